//! Homing's command line against Dovecot itself: its director and its ipc service do what they can, and what they cannot
//! is told. Needs root and Dovecot 2.3.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // tests

mod support;

use std::{net::IpAddr, os::unix::net::UnixStream};

use homing_login::Service;
use serde_json::{Value, json};
use support::{
    client::Client,
    dovecot::{self, Dovecot},
    fake_backend::{Behaviour, FakeBackend},
    site::{Run, homing},
};

fn missing() -> bool {
    if let Some(reason) = dovecot::missing() {
        eprintln!("SKIPPED: {reason}; nothing was checked against it");
        return true;
    }
    false
}

/// A director that stands alone.
fn director() -> Dovecot {
    let settings = "protocols =\nssl = no\nlisten = 127.40.3.1\n\
                    director_mail_servers = 127.40.3.61 127.40.3.62 127.40.3.64@blue\n\
                    service director {\n unix_listener director-admin {\n  mode = 0600\n }\n}\n";
    Dovecot::configured(settings, |base| UnixStream::connect(base.join("director-admin")).is_ok())
}

fn run(dovecot: &Dovecot, socket: &str, words: &str) -> Run {
    let mut command = homing();
    command.args(words.split_whitespace()).arg("-a").arg(dovecot.base_dir().join(socket));
    Run::of(&mut command)
}

#[test]
fn a_real_director_is_driven() {
    if missing() {
        return;
    }
    let dovecot = director();
    let run = |words: &str| run(&dovecot, "director-admin", words);
    for (words, code, told) in [
        ("director add 127.40.3.65@red 5", 0, "127.40.3.65: added"),
        ("director add -t blue 127.40.3.65", 75, "127.40.3.65: host tag can't be changed"),
        ("director update 127.40.3.61 50", 0, "127.40.3.61: updated"),
        ("director update 127.40.3.99 5", 68, "127.40.3.99: doesn't exist"),
        ("director down 127.40.3.62", 0, "127.40.3.62: down"),
        ("director up 127.40.3.99", 68, "127.40.3.99: doesn't exist"),
        ("director remove 127.40.3.64", 0, "127.40.3.64: removed"),
        ("director move foo 127.40.3.62", 0, "foo moves to 127.40.3.62"),
        ("director move foo 127.40.3.99", 68, "doesn't exist"),
        ("director kick foo", 0, "foo: sessions end, if there are any"),
        ("director kick -f user_x y", 0, "y: sessions end, if there are any"),
    ] {
        let run = run(words);
        assert!(run.code == code && (run.out + &run.err).contains(told), "{words}: {told}");
    }
    let status = run("director status --json").json();
    let row = |n: usize| {
        let row = &status["backends"][n];
        (
            row["ip"].clone(),
            row["tag"].clone(),
            row["vhosts"].clone(),
            row["state"].clone(),
            row["users"].clone(),
        )
    };
    assert_eq!(status["backends"].as_array().unwrap().len(), 3);
    assert_eq!(row(0), (json!("127.40.3.61"), json!(""), json!(50), json!("up"), json!(0)));
    assert_eq!(row(1), (json!("127.40.3.62"), json!(""), json!(100), json!("down"), json!(1)));
    assert_eq!(row(2), (json!("127.40.3.65"), json!("red"), json!(5), json!("up"), json!(0)));
    let user = run("director status foo --json").json();
    assert_eq!((&user["current"]["ip"], &user["hashed"]), (&json!("127.40.3.62"), &json!("127.40.3.61")));
    let map = run("director map --json").json();
    assert_eq!(
        (&map["users"][0]["hash"], &map["users"][0]["user"]),
        (&json!(2_898_073_819_u32), &Value::Null)
    );
    assert_eq!(run("director map 127.40.3.61").rows().len(), 1);
    assert_eq!(run("director ring status --json").json()["directors"][0]["type"], "self");
    for words in
        ["director flush 127.40.3.62", "director flush -F all", "director flush --max-parallel 3 all"]
    {
        assert_eq!(run(words).code, 0, "{words}");
    }
    assert_eq!(run("director flush 127.40.3.99").code, 68);
}

/// Before anything is done.
#[test]
fn what_only_homing_can_do_is_told() {
    if missing() {
        return;
    }
    let dovecot = director();
    for words in [
        "director move --wait foo 127.40.3.62",
        "director move 12345 127.40.3.62",
        "director kick --wait foo",
        "director flush --wait all",
        "director remove --dry-run 127.40.3.62",
        "director drain 127.40.3.62",
        "director explain foo",
        "director map -u foo",
        "who",
    ] {
        let run = run(&dovecot, "director-admin", words);
        assert!(
            run.code == 76 && run.err.contains("this director") && run.out.is_empty(),
            "{words}: {run:?}"
        );
    }
    let map = run(&dovecot, "director-admin", "director map --json").json();
    assert_eq!(map, json!({"users": []}), "nobody was moved");
}

/// Two login processes, with a session each.
#[test]
fn the_sessions_of_real_login_processes() {
    if missing() {
        return;
    }
    let ip = |last| IpAddr::from([127, 40, 3, last]);
    let (own, backend) = (ip(2), FakeBackend::start((ip(3), 0).into(), Service::Imap, Behaviour::Good));
    let [port] = dovecot::free_ports(&[own]);
    let settings = format!(
        "protocols = imap\nssl = no\ndisable_plaintext_auth = no\nlisten = {own}\n\
         passdb {{\n driver = static\n args = nopassword=y proxy=y host={} port={} user_group=g1\n}}\n\
         userdb {{\n driver = static\n args = uid=65534 gid=65534 home=/tmp\n}}\n\
         service imap-login {{\n inet_listener imap {{\n  port = {port}\n }}\n}}\n",
        backend.address().ip(),
        backend.address().port()
    );
    let dovecot = Dovecot::configured(&settings, |base| {
        base.join("login/login").exists() && std::net::TcpStream::connect((own, port)).is_ok()
    });
    let run = |words: &str| run(&dovecot, "ipc", words);
    let log_in = |user: &str| {
        let mut client = Client::greeted((own, port).into());
        assert!(client.ask(&format!("a LOGIN {user} pw")).contains("OK"));
        client
    };
    let (alice, mut bob) = (log_in("alice"), log_in("bob"));
    support::site::wait_until("both are known", || run("proxy list").rows().len() == 3);
    let json = run("proxy list --json").json();
    let mut users: Vec<_> =
        json["sessions"].as_array().unwrap().iter().map(|s| s["user"].as_str().unwrap()).collect();
    users.sort_unstable();
    assert_eq!(users, ["alice", "bob"], "W25: one row for each session");
    assert_eq!(json["sessions"][0]["fields"], json!({"user_group": "g1"}));
    assert_eq!(json["sessions"][0]["backend_ip"], "127.40.3.3");
    assert_eq!(run("kick --dry-run b*").rows(), ["nothing was changed; it would be 1 session of 1 user"]);
    assert_eq!(run("kick alice").code, 0);
    let mut alice = alice;
    assert_eq!(alice.rest(), "");
    assert_eq!(bob.ask("still"), "echo still");
}
