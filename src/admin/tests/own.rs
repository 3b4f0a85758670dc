//! The own words as lines; what the command line makes of them is in tests/it_cli*.rs.

use super::*;
use crate::director::core::{Operation, Origin};

/// Fields of a row that begins so.
fn row<'a>(rows: &'a [String], start: &str) -> &'a str {
    rows.iter().find(|row| row.starts_with(start)).map_or_else(|| panic!("{start}: {rows:?}"), String::as_str)
}

#[tokio::test]
async fn unknown_words_are_told_and_the_connection_goes_on() {
    let access = access("10.1.0.1").await;
    let mut client = Client::director(&access).await;
    let told = client.table("X-NEW\t1").await;
    assert_eq!(told, ["error\tkind=unknown\ttext=X-NEW is not known here"]);
    let told = client.table("X-EXPLAIN").await;
    assert_eq!(told, ["error\tkind=unknown\ttext=invalid X-EXPLAIN parameters"]);
    let words = client.table("X-WORDS").await;
    assert!(words.contains(&"word\tname=X-DRAIN".to_owned()), "{words:?}");
}

#[tokio::test]
async fn w23_w34_names_and_hashes() {
    let access = access("10.1.0.1 10.1.0.2").await;
    let mut client = Client::director(&access).await;
    let told = client.table("X-HASH\tfoo\tFOO\t12345").await;
    assert_eq!(told[..2], ["hash\tuser=foo\thash=2898073819", "hash\tuser=FOO\thash=2898073819"]);
    let number = told[2].rsplit('=').next().unwrap();
    // A number is a hash until a user has that name.
    assert_eq!(row(&client.table("X-EXPLAIN\t12345").await, "hash"), "hash\tuser=12345\thash=12345");
    let _session = place(&access, "12345").await;
    let told = client.table("X-EXPLAIN\t12345").await;
    assert_eq!(row(&told, "hash"), format!("hash\tuser=12345\thash={number}"));
    // Sessions are found by the name at the backend.
    let _seat = seat(&access, "foo", "", Some("10.1.0.2:143"));
    let told = client.table("X-SESSIONS\tF*").await;
    assert!(
        told[0].starts_with("session\tuser=foo\thash=2898073819\tservice=sieve\tclient=127.0.0.9:4000\t"),
        "{told:?}"
    );
    assert!(told[0].contains("\tbackend=10.1.0.2:143\thostname=be2.example\tsince="), "{told:?}");
    assert_eq!(told[1..], ["end"]);
    assert_eq!(client.table("X-SESSIONS\tbar").await, ["end"]);
}

#[tokio::test]
async fn explaining_changes_nothing() {
    let access = access("10.1.0.1 10.1.0.2 10.1.0.3").await;
    let mut client = Client::director(&access).await;
    let nobody = client.table("X-EXPLAIN\tfoo").await;
    assert_eq!(
        row(&nobody, "ring"),
        "ring\thashed=10.1.0.3\tinitial=10.1.0.3\twhy=goes to 10.1.0.3, by the hash"
    );
    assert_eq!(nobody.last().unwrap(), "end");
    assert!(client.table("USER-LIST").await.is_empty());
    let session = place(&access, "foo").await;
    assert_eq!(client.ask("USER-MOVE\tfoo\t10.1.0.1").await, "OK");
    let told = client.table("X-EXPLAIN\tfoo").await;
    assert!(row(&told, "current").contains("ip=10.1.0.3\t") && row(&told, "current").contains("sessions=1"));
    assert_eq!(row(&told, "moving").split('\t').nth(1), Some("to=10.1.0.1"));
    assert!(row(&told, "ring").contains("why=waits: kill waiting"), "{told:?}");
    assert!(row(&told, "event").contains("text=placed on 10.1.0.3, by hash"));
    drop(session);
    assert_eq!(client.table("X-WAIT\t60\tmove\t2898073819").await, ["end"]);
    let told = client.table("X-EXPLAIN\tfoo").await;
    assert!(row(&told, "current").contains("cause=moved by operator"), "{told:?}");
    assert!(told.iter().any(|row| row.contains("is moved from 10.1.0.3 to 10.1.0.1, moved by operator")));
    assert!(row(&told, "ring").contains("by the mapping; the hash alone says otherwise"));
    assert_eq!(client.ask("HOST-DOWN\t10.1.0.1").await, "OK");
    let told = client.table("X-EXPLAIN\tfoo").await;
    assert_eq!(row(&told, "note"), "note\ttext=10.1.0.1 is down, by operator; it gets no new users");
}

#[tokio::test]
async fn w22_waits_end_with_what_they_wait_for() {
    let access = access("10.1.0.1 10.1.0.2").await;
    let mut client = Client::director(&access).await;
    let session = place(&access, "foo").await;
    let other = if session.ip().to_string() == "10.1.0.1" { "10.1.0.2" } else { "10.1.0.1" };
    assert_eq!(client.ask(&format!("USER-MOVE\tfoo\t{other}")).await, "OK");
    assert_eq!(client.table("X-WAIT\t0\tmove\t2898073819").await, ["waiting"]);
    client.send("X-WAIT\t60\tmove\t2898073819\n").await;
    drop(session);
    assert_eq!([client.line().await, client.line().await], ["end", ""]);
    // A flush whose users were all looked at.
    let session = place(&access, "foo").await;
    assert_eq!(client.ask(&format!("HOST-UPDATE\t{other}\t0")).await, "OK");
    assert_eq!(client.ask(&format!("HOST-RESET-USERS\t{other}")).await, "OK");
    let wait = |secs| format!("X-WAIT\t{secs}\tflush\t{other}");
    assert_eq!(client.table(&wait(0)).await, ["waiting"]);
    assert_eq!(client.table("X-WAIT\t0\tflush\t").await, ["end"], "another one");
    client.send(&format!("{}\n", wait(60))).await;
    drop(session);
    assert_eq!([client.line().await, client.line().await], ["end", ""]);
    // A kick; those who came later do not count.
    let seats = [seat(&access, "a@x", "g", None), seat(&access, "b@x", "", None)];
    assert_eq!(client.ask("USER-KICK\t*@x").await, "OK");
    let _later = seat(&access, "a@x", "g", None);
    assert_eq!(client.table("X-WAIT\t0\tsessions\t*@X").await, ["waiting\tleft=2"]);
    assert_eq!(client.table("X-WAIT\t0\tsessions-by-field\tuser_group\tg").await, ["waiting\tleft=1"]);
    client.send("X-WAIT\t60\tsessions\t*@X\n").await;
    drop(seats);
    assert_eq!([client.line().await, client.line().await], ["end", ""]);
}

#[tokio::test]
async fn only_so_many_wait_for_an_end() {
    let mut access = access("10.1.0.1").await;
    access.waiting = Arc::new(Semaphore::new(0));
    let mut client = Client::director(&access).await;
    let told = client.table("X-WAIT\t60\tmove\t5").await;
    assert_eq!(told, ["error\tkind=tryagain\ttext=too many wait already"]);
}

#[tokio::test]
async fn plans_of_kicks_and_operations() {
    let access = access("10.1.0.1 10.1.0.2").await;
    let mut client = Client::director(&access).await;
    let _seats = [
        seat(&access, "a@x", "g", Some("10.1.0.1:143")),
        seat(&access, "a@x", "", Some("10.1.0.1:143")),
        seat(&access, "b@x", "", None),
        seat(&access, "c@y", "", Some("10.1.0.1:143")),
    ];
    let told = client.table("X-PLAN\tUSER-KICK\t*@x").await;
    assert_eq!(
        told,
        [
            "plan\teffect=kicked\tusers=1\tsessions=1",
            "plan\teffect=kicked\tfrom=10.1.0.1\tusers=1\tsessions=2",
            "end"
        ]
    );
    let told = client.table("X-PLAN\tUSER-KICK-ALT\tuser_group\tg").await;
    assert_eq!(told[0], "plan\teffect=kicked\tfrom=10.1.0.1\tusers=1\tsessions=1");
    let session = place(&access, "foo").await;
    let (at, other) = match session.ip().to_string().as_str() {
        "10.1.0.1" => ("10.1.0.1", "10.1.0.2"),
        _ => ("10.1.0.2", "10.1.0.1"),
    };
    let told = client.table(&format!("X-PLAN\tX-DRAIN\t{at}")).await;
    assert_eq!(
        told,
        [format!("plan\teffect=moved\tfrom={at}\tto={other}\tusers=1\tsessions=1"), "end".to_owned()]
    );
    let told = client.table(&format!("X-PLAN\tHOST-UPDATE\t{at}\t0")).await;
    assert_eq!(told[0], format!("plan\teffect=later\tfrom={at}\tto={other}\tusers=1\tsessions=1"));
    let told = client.table("X-PLAN\tHOST-RESET-USERS").await;
    assert_eq!(told[0], "plan\teffect=kept\tusers=1\tsessions=1");
    assert_eq!(
        client.table("X-PLAN\tHOST-REMOVE\t10.1.0.9").await,
        ["error\tkind=notfound\ttext=10.1.0.9: doesn't exist"]
    );
    assert_eq!(
        client.table("X-PLAN\tHOST-LIST").await,
        ["error\tkind=refused\ttext=HOST-LIST changes no users"]
    );
    assert!(!session.kicked().is_cancelled(), "nothing was done");
}

/// What a login process beside Homing answers to lists, again and again.
async fn list_sessions(process: UnixStream, rows: &[&str]) {
    let mut process = BufReader::new(process);
    process.get_mut().write_all(b"VERSION\tipc-server\t1\t0\nHANDSHAKE\tproxy\t7\n").await.unwrap();
    let mut line = String::new();
    while process.read_line(&mut line).await.unwrap() > 0 {
        if let Some(tag) = line.strip_suffix("\tLIST-FULL\n") {
            let rows: String = rows.iter().map(|row| format!("{tag}\t{row}\n")).collect();
            process.get_mut().write_all(rows.as_bytes()).await.unwrap();
        }
        line.clear();
    }
}

#[tokio::test]
async fn sessions_of_other_login_processes_are_shown_and_counted() {
    let mut access = access("10.1.0.1 10.1.0.2").await;
    let (ours, theirs) = UnixStream::pair().unwrap();
    access.foreign = crate::relay::ForeignSessions::of(ours);
    let header = ":username\tuser_group\tservice\tsrc-ip\tdest-ip\tdest-port";
    let row = |user, group| format!(":{user}\t{group}\tsubmission\t127.0.0.9\t10.1.0.2\t587");
    let rows = [header.to_owned(), row("foo", "g"), row("bar", ""), "+".to_owned()];
    tokio::spawn(async move { list_sessions(theirs, &rows.each_ref().map(String::as_str)).await });
    let joined = async {
        while !access.foreign.has_process(7) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, joined).await.unwrap();
    let mut client = Client::director(&access).await;
    let _seat = seat(&access, "foo", "", Some("10.1.0.1:143"));
    let told = client.table("X-SESSIONS\tF*").await;
    assert!(told[0].starts_with("session\tuser=foo\thash=2898073819\tservice=sieve\t"), "{told:?}");
    let theirs =
        "session\tuser=foo\thash=2898073819\tservice=submission\tclient=127.0.0.9\tbackend=10.1.0.2:587";
    assert_eq!(told[1..], [theirs, "end"]);
    assert!(client.table("X-EXPLAIN\tfoo").await.contains(&theirs.to_owned()));
    let plan = |from| format!("plan\teffect=kicked\tfrom={from}\tusers=1\tsessions=1");
    let told = client.table("X-PLAN\tUSER-KICK\tfoo").await;
    assert_eq!(told, [plan("10.1.0.1"), plan("10.1.0.2"), "end".to_owned()]);
    let told = client.table("X-PLAN\tUSER-KICK-ALT\tuser_group\tg").await;
    assert_eq!(told, [plan("10.1.0.2"), "end".to_owned()]);
}

/// What was not said about the pace stays as it is.
#[tokio::test]
async fn w41_a_drain_is_started_once_and_looked_at_often() {
    let access = access("10.1.0.1 10.1.0.2").await;
    let mut client = Client::director(&access).await;
    let session = place(&access, "foo").await;
    let ip = session.ip().to_string();
    let hosts = client.table("X-HOSTS").await;
    let told = row(&hosts, &format!("host\tip={ip}\t"));
    assert!(told.ends_with("up=1\tusers=1\tsessions=1\tleaving=0\tdraining=0"), "{hosts:?}");
    let none = client.table(&format!("X-DRAIN-STATUS\t{ip}")).await;
    assert_eq!(none, [format!("error\tkind=notfound\ttext={ip}: is not being drained")]);
    let told = client.table(&format!("X-DRAIN\t{ip}\t3\t\t5000")).await;
    let pace = "vhosts-before=100\tparallel=3\tper-sec=50\tgrace=5000";
    assert!(told[0].contains(pace) && told[0].contains("\tsafe=0\t"), "{told:?}");
    let again = client.table(&format!("X-DRAIN\t{ip}")).await;
    assert!(again[0].contains(pace), "{again:?}");
    let faster = client.table(&format!("X-DRAIN\t{ip}\t\t7")).await;
    assert!(faster[0].contains("parallel=3\tper-sec=7\tgrace=5000"), "{faster:?}");
    drop(session);
    let safe = async {
        while !client.table("X-DRAIN-STATUS").await[0].contains("\tsafe=1\t") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, safe).await.unwrap();
    let stopped = client.table(&format!("X-DRAIN-STOP\t{ip}\trestore")).await;
    assert!(
        stopped[0].contains("state=ended") && stopped[0].ends_with("note=stopped by operator"),
        "{stopped:?}"
    );
    let hosts = client.table("HOST-LIST").await;
    assert!(row(&hosts, &ip).starts_with(&format!("{ip}\t100\t")), "{hosts:?}");
    let told = client.table(&format!("X-DRAIN-STOP\t{ip}")).await;
    assert!(told[0].starts_with("error\tkind=notfound"), "{told:?}");
    assert!(client.table("X-DRAIN\t10.1.0.9").await[0].starts_with("error\tkind=notfound"));
}

#[tokio::test]
async fn a_drain_that_nobody_can_take_over_waits() {
    let access = access("10.1.0.1").await;
    let mut client = Client::director(&access).await;
    let session = place(&access, "foo").await;
    let told = client.table("X-DRAIN\t10.1.0.1\t\t\t0").await;
    assert!(told[0].contains("state=blocked"), "{told:?}");
    assert!(!session.kicked().is_cancelled());
    let added =
        Operation::AddHost { ip: "10.1.0.2".parse().unwrap(), hostname: None, tag: None, vhosts: None };
    access.director.apply(Origin::Operator, added).unwrap();
    timeout(PATIENCE, session.kicked().cancelled_owned()).await.unwrap();
}

#[tokio::test]
async fn a_long_list_of_sessions_is_complete() {
    let access = access("10.1.0.1").await;
    let seats: Vec<_> =
        (0..1200).map(|n| seat(&access, &format!("user{n}"), "", Some("10.1.0.1:143"))).collect();
    let mut client = Client::director(&access).await;
    let all = client.table("X-SESSIONS\t*").await;
    assert_eq!((all.len(), all.last().unwrap().as_str()), (1201, "end"));
    assert_eq!(client.table("X-SESSIONS\tuser1?").await.len(), 11);
    assert_eq!(
        client.table("X-PLAN\tUSER-KICK\t*").await[0],
        "plan\teffect=kicked\tfrom=10.1.0.1\tusers=1200\tsessions=1200"
    );
    drop(seats);
}
