//! Login processes at the hub, with hands of their own.

use super::*;

/// A login process that answers the hub.
struct LoginProcess(Peer);

impl LoginProcess {
    async fn join(site: &Site, id: u32) -> Self {
        let mut peer = site.client("ipc-proxy").await;
        assert_eq!(peer.line().await, "VERSION\tipc-proxy\t1\t0");
        peer.send(&format!("VERSION\tipc-server\t1\t0\nHANDSHAKE\tproxy\t{id}\n")).await;
        let foreign = site.serving.as_ref().unwrap().foreign_sessions();
        while !foreign.has_process(id) {
            tokio::task::yield_now().await;
        }
        Self(peer)
    }

    /// The next command: its tag and the rest.
    async fn command(&mut self) -> (String, String) {
        let line = self.0.line().await;
        let (tag, command) = line.split_once('\t').unwrap();
        (tag.to_owned(), command.to_owned())
    }

    async fn answer(&mut self, expected: &str, answers: &[&str]) {
        let (tag, command) = self.command().await;
        assert_eq!(command, expected);
        for answer in answers {
            self.0.send(&format!("{tag}\t{answer}\n")).await;
        }
    }
}

impl Site {
    fn foreign(&self) -> ForeignSessions {
        self.serving.as_ref().unwrap().foreign_sessions().clone()
    }

    /// A login of foo through `login/director`; the relay has handed out a backend.
    async fn foreign_login(&self) -> (Peer, Peer) {
        let (mut client, mut auth) = self.login_process().await;
        auth.send("OK\t1\tuser=foo\tproxy\n").await;
        assert!(client.line().await.contains("\thost=10.1.0."));
        (client, auth)
    }

    fn move_foo(&self, ip: &str) {
        let (user, ip) = (self.director.hash(b"foo"), ip.parse().unwrap());
        let operation = crate::director::core::Operation::MoveUser { user, ip };
        self.director.apply(crate::director::core::Origin::Operator, operation).unwrap();
    }

    fn foo_is_moving(&self) -> bool {
        self.director.foreign_placed(self.director.hash(b"foo")).is_some()
    }
}

const HASH_OF_FOO: &str = "KICK-DIRECTOR-HASH\t2898073819";

#[tokio::test]
async fn w25_all_login_processes_are_asked_and_look_like_one() {
    let site = Site::with("10.1.0.1").await;
    let (mut one, mut two) = (LoginProcess::join(&site, 7).await, LoginProcess::join(&site, 8).await);
    let foreign = site.foreign();
    let list = tokio::spawn(async move { foreign.list(None).await.lists });
    one.answer("LIST-FULL", &[":username\tservice\tsrc-ip\tdest-ip\tdest-port", "+"]).await;
    let header = ":username\tuser_group\tservice\tsrc-ip\tdest-ip\tdest-port";
    two.answer("LIST-FULL", &[header, ":foo\tg1\timap\t127.0.0.9\t10.1.0.1\t143", "+"]).await;
    let lists = soon(list).await.unwrap();
    assert_eq!(lists.iter().map(|list| list.rows.len()).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(lists[1].columns, [b"user_group"]);

    let foreign = site.foreign();
    let kick = homing_doveadm::ipc::Command::KickHost(vec![b"10.1.0.1".to_vec()]);
    let kicked = tokio::spawn(async move { foreign.kick(None, &kick).await });
    one.answer("KICK-HOST\t10.1.0.1", &["+2"]).await;
    two.answer("KICK-HOST\t10.1.0.1", &["+3"]).await;
    assert_eq!(soon(kicked).await.unwrap(), 5);
}

#[tokio::test]
async fn w24_names_with_wildcards_are_looked_up_and_then_kicked_exactly() {
    let site = Site::with("10.1.0.1").await;
    let mut process = LoginProcess::join(&site, 7).await;
    let foreign = site.foreign();
    let kick = homing_doveadm::ipc::Command::Kick(vec![homing_doveadm::UserPattern::new("a*")]);
    let kicked = tokio::spawn(async move { foreign.kick(Some(7), &kick).await });
    let row = |user: &str| format!(":{user}\timap\t127.0.0.9\t10.1.0.1\t143");
    let rows = [row("alice"), row("bob"), row("Anna"), row("alice")];
    let header = ":username\tservice\tsrc-ip\tdest-ip\tdest-port";
    process.answer("LIST-FULL", &[header, &rows[0], &rows[1], &rows[2], &rows[3], "+"]).await;
    process.answer("KICK\tAnna\talice", &["+3"]).await;
    assert_eq!(soon(kicked).await.unwrap(), 3);
    let (foreign, exact) = (site.foreign(), vec![homing_doveadm::UserPattern::new("Bob")]);
    let kick = homing_doveadm::ipc::Command::Kick(exact);
    let kicked = tokio::spawn(async move { foreign.kick(None, &kick).await });
    process.answer("KICK\tBob\tbob", &["+1"]).await;
    assert_eq!(soon(kicked).await.unwrap(), 1);
}

#[tokio::test]
async fn a_moved_user_waits_until_the_login_processes_have_ended_the_sessions() {
    let site = Site::with("10.1.0.1 10.1.0.2 10.1.0.3").await;
    let mut process = LoginProcess::join(&site, 7).await;
    let _login = site.foreign_login().await;
    site.move_foo("10.1.0.1");
    // The first one may be too early for an answer that was on its way.
    process.answer(HASH_OF_FOO, &["+1"]).await;
    process.answer(HASH_OF_FOO, &["+0"]).await;
    let placement = soon(site.director.place(PlaceRequest { user: &"foo".into(), tag: b"" })).await.unwrap();
    assert_eq!(placement.ip().to_string(), "10.1.0.1");
}

/// The invariant: a user whose old session may live has no other.
async fn assert_foo_stays_moving(site: &Site) {
    assert!(site.foo_is_moving());
    let user = UserName::from("foo");
    let place = site.director.place(PlaceRequest { user: &user, tag: b"" });
    assert!(timeout(Duration::from_millis(300), place).await.is_err(), "placed elsewhere");
    assert!(site.foo_is_moving());
}

#[tokio::test]
async fn w01_a_login_process_that_has_not_come_to_the_hub_keeps_the_user_waiting() {
    let site = Site::with("10.1.0.1 10.1.0.2 10.1.0.3").await;
    let _login = site.foreign_login().await;
    tokio::time::sleep(hub::logins::SETTLE_TIME).await;
    site.move_foo("10.1.0.1");
    // Nobody is there to be kicked, which says nothing.
    assert_foo_stays_moving(&site).await;
    // The login process (this one) forwards by now.
    let mut process = LoginProcess::join(&site, 7).await;
    process.answer(HASH_OF_FOO, &["+1"]).await;
    soon(async {
        while site.foo_is_moving() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn w08_a_kick_that_fails_is_no_success() {
    let site = Site::with("10.1.0.1 10.1.0.2 10.1.0.3").await;
    let mut process = LoginProcess::join(&site, 7).await;
    let _login = site.foreign_login().await;
    tokio::time::sleep(hub::logins::SETTLE_TIME).await;
    site.move_foo("10.1.0.1");
    process.answer(HASH_OF_FOO, &["-no"]).await;
    assert_foo_stays_moving(&site).await;
    // Nonsense ends the connection, not the sessions.
    let user = site.director.hash(b"foo");
    site.director
        .apply(crate::director::core::Origin::Operator, crate::director::core::Operation::KickUser { user })
        .unwrap();
    process.answer(HASH_OF_FOO, &["?"]).await;
    let _ = process.0.rest().await;
    assert_foo_stays_moving(&site).await;
}

#[tokio::test]
async fn w08_a_login_process_that_does_not_answer_ends_nothing() {
    let site = Site::with("10.1.0.1 10.1.0.2 10.1.0.3").await;
    let mut process = LoginProcess::join(&site, 7).await;
    let _login = site.foreign_login().await;
    tokio::time::sleep(hub::logins::SETTLE_TIME).await;
    site.move_foo("10.1.0.1");
    let (late, _) = process.command().await;
    assert!(
        site.foreign().list(None).await.lists.is_empty(),
        "given up after a while, which is over for the kick, too"
    );
    process.command().await;
    assert_foo_stays_moving(&site).await;
    process.0.send(&format!("{late}\t+1\n")).await;
    assert_foo_stays_moving(&site).await;
    let user = site.director.hash(b"foo");
    let operation = crate::director::core::Operation::KickUser { user };
    site.director.apply(crate::director::core::Origin::Operator, operation).unwrap();
    process.answer(HASH_OF_FOO, &["+0"]).await;
    soon(async {
        while site.foo_is_moving() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_login_process_that_ends_takes_its_sessions_along() {
    let site = Site::with("10.1.0.1 10.1.0.2 10.1.0.3").await;
    let mut process = LoginProcess::join(&site, 7).await;
    let _other = LoginProcess::join(&site, 8).await;
    let foreign = site.foreign();
    let kick = homing_doveadm::ipc::Command::KickHost(vec![b"x".to_vec()]);
    let kicked = tokio::spawn(async move { foreign.kick(Some(7), &kick).await });
    process.command().await;
    drop(process);
    assert_eq!(soon(kicked).await.unwrap(), 0);
    assert!(!site.foreign().has_process(7));
}

#[tokio::test]
async fn w02_a_session_under_another_name_is_not_taken_for_ended() {
    let site = Site::with("10.1.0.1 10.1.0.2 10.1.0.3").await;
    let mut process = LoginProcess::join(&site, 7).await;
    let (mut client, mut auth) = site.login_process().await;
    auth.send("OK\t1\tuser=alias\tdestuser=foo\tproxy\n").await;
    assert!(client.line().await.contains("\thost=10.1.0."));
    site.move_foo("10.1.0.1");
    process.answer(HASH_OF_FOO, &["+0"]).await;
    let user = UserName::from("foo");
    let place = site.director.place(PlaceRequest { user: &user, tag: b"" });
    assert!(timeout(Duration::from_millis(300), place).await.is_err());
}

#[tokio::test]
async fn dr_70_only_so_many_kicks_are_with_the_login_processes() {
    let site = Site::with("10.1.0.1").await;
    let mut process = LoginProcess::join(&site, 7).await;
    let (mut client, mut auth) = site.login_process().await;
    for user in ["foo", "bar", "baz"] {
        auth.send(&format!("OK\t1\tuser={user}\tproxy\n")).await;
        client.line().await;
        let user = site.director.hash(user.as_bytes());
        let operation = crate::director::core::Operation::KickUser { user };
        site.director.apply(crate::director::core::Origin::Operator, operation).unwrap();
    }
    let first = [process.command().await, process.command().await];
    assert!(timeout(Duration::from_millis(100), process.0.0.fill_buf()).await.is_err(), "a third one");
    process.0.send(&format!("{}\t+1\n", first[0].0)).await;
    let (_, third) = process.command().await;
    assert!(first.iter().all(|(_, command)| *command != third), "{third}");
}

/// Login processes come back one by one: the first that is there may not be the one that forwards the user.
#[tokio::test]
async fn w07_behind_a_restart_no_kick_is_sure_to_reach_everybody_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let state_dir = Some(folder.path().to_owned());
    let settings = DirectorSettings { state_dir, ..director_settings("10.1.0.1 10.1.0.2 10.1.0.3", None) };
    let before = Director::start(&settings).await.unwrap();
    let user = UserName::from("foo");
    let request = PlaceRequest { user: &user, tag: b"" };
    before.place_foreign(crate::director::ForeignUse::Session, request).await.unwrap();
    before.finish().await;
    drop(before);
    let site = Site::start(100, settings).await;
    let mut process = LoginProcess::join(&site, 7).await;
    site.move_foo("10.1.0.1");
    process.answer(HASH_OF_FOO, &["+0"]).await;
    assert_foo_stays_moving(&site).await;
    // Whoever forwards it may end it all the same.
    site.director.end_foreign(site.director.hash(b"foo"), std::time::Instant::now());
    assert!(!site.foo_is_moving());
}
