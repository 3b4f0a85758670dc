//! Homing's own command line asks and changes the whole program: what it prints for people and for programs, what it does
//! to users with live sessions, and how it ends. Drains are in it_cli_drain.rs.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

mod support;

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    thread,
};

use homing_doveadm::director::{Request, Server, ServerEvent};
use serde_json::{Value, json};
use support::{
    client::assert_kicked,
    fake_backend::Behaviour,
    site::{Run, Site, homing, wait_until},
};

#[test]
fn backends_and_users_are_shown() {
    let site = Site::good(0, 3);
    assert_eq!(
        site.run("director status").rows(),
        [
            "backend tag vhosts state changed users",
            "127.44.0.11 - 100 up - 0",
            "127.44.0.12 - 100 up - 0",
            "127.44.0.13 - 100 up - 0"
        ]
    );
    let nobody = site.run("director status foo").rows();
    assert_eq!(nobody[0], "current none");
    let (_session, n) = site.log_in("foo");
    let ip = site.backend(n).to_string();
    let placed = site.run("director status foo").rows();
    assert!(placed[0].starts_with(&format!("current {ip} (until 20")), "{placed:?}");
    assert_eq!(placed[1..], [format!("hashed {ip}"), format!("initial {ip}")]);
    let json = site.run("director status foo --json").json();
    assert_eq!(
        (&json["user"], &json["current"]["ip"], &json["hashed"]),
        (&json!("foo"), &json!(ip), &json!(ip))
    );
    assert!(json["current"]["expires"].as_u64() > Some(1_700_000_000));
    let nowhere = site.run("director status foo --tag nosuch --json").json();
    assert_eq!((&nowhere["current"], &nowhere["hashed"]), (&Value::Null, &Value::Null));

    assert_eq!(site.run("director down IP1").rows(), ["127.44.0.12: down"]);
    let json = site.run("director --json status").json();
    let down = &json["backends"][1];
    assert_eq!(
        (&down["ip"], &down["state"], &down["users"]),
        (&json!("127.44.0.12"), &json!("down"), &json!(u8::from(n == 1)))
    );
    assert!(down["state_changed"].as_u64() > Some(1_700_000_000));
    assert_eq!(json["backends"][0]["state_changed"], Value::Null);
    let long = site.run("director status --long --json").json();
    let down = &long["backends"][1];
    assert_eq!((&down["changed_by"], &down["sessions"]), (&json!("operator"), &json!(u8::from(n == 1))));
    site.run(&format!("director remove IP{n}")).rows();
    let leaving = site.run("director status --long").rows();
    let row = leaving.iter().find(|row| row.starts_with(&ip)).unwrap();
    assert!(row.ends_with("1 1 leaving"), "it keeps its user: {leaving:?}");
    let ring = site.run("director ring status").rows();
    assert!(ring[1].starts_with("127.0.0.1 0 self - ring synced"), "{ring:?}");
    let json = site.run("director ring status --json").json();
    assert_eq!(
        (&json["directors"][0]["type"], &json["directors"][0]["last_failed"]),
        (&json!("self"), &Value::Null)
    );
}

#[test]
fn w34_mappings_have_names_where_they_are_known() {
    let site = Site::good(1, 2);
    let (session, n) = site.log_in("foo");
    let ip = site.backend(n).to_string();
    let map = site.run("director map").rows();
    assert_eq!(map[0], "user hash backend expires");
    assert!(map[1].starts_with(&format!("foo 2898073819 {ip} 20")), "{map:?}");
    drop(session);
    wait_until("the session ends", || site.run("who").rows().len() == 1);
    assert!(site.run("director map").rows()[1].starts_with("- 2898073819"));
    assert_eq!(site.run("director map --json").json()["users"][0]["user"], Value::Null);
    let file = site.homing.folder().join("users");
    let many: String = (0..2000).map(|n| format!("someone-{n}@example.com\n")).collect();
    fs::write(&file, format!("bar\n\n{many}FOO\nfoo\n")).unwrap();
    let file = file.display();
    let json = site.run(&format!("director map -f {file} --json")).json();
    let users: Vec<_> = json["users"].as_array().unwrap().iter().map(|row| &row["user"]).collect();
    assert_eq!(users, ["FOO", "foo"], "names with one hash share the mapping");
    assert_eq!(json["users"][0]["ip"], ip);
    let here = site.run(&format!("director map -f {file} IP{n}")).rows();
    let there = site.run(&format!("director map -f {file} IP{}", 1 - n)).rows();
    assert_eq!((here.len(), there.len()), (3, 1));
    assert_eq!(site.run("director map -u foo").rows(), ["user hash", "foo 2898073819"]);
    assert_eq!(
        site.run("director map -u foo --json").json(),
        json!({"users": [{"user": "foo", "hash": 2_898_073_819_u32}]})
    );
    assert_eq!(
        site.run(&format!("director map -f {file} -h 2898073819")).rows()[1..],
        ["FOO 2898073819", "foo 2898073819"]
    );
    assert_eq!(site.run(&format!("director map -f {file} -h 1")).code, 68);
}

#[test]
fn w32_one_kind_of_ending_has_one_exit_status() {
    let site = Site::good(2, 2);
    assert_eq!(site.run("director add 127.44.2.98@green 5").rows(), ["127.44.2.98: added"]);
    let plan = site.run("director add --dry-run 127.44.2.97").rows();
    assert_eq!(plan, ["nothing was changed; it would be 0 users with 0 sessions to end"]);
    assert!(!site.run("director status").out.contains("127.44.2.97"), "it was a dry run");
    for (words, code, err) in [
        ("director add -t red 127.44.2.98", 75, "127.44.2.98: host tag can't be changed"),
        ("director add 127.44.2.98 1001", 64, "1001"),
        ("director update 127.44.2.99 5", 68, "127.44.2.99: doesn't exist"),
        ("director up 127.44.2.99", 68, "127.44.2.99: doesn't exist"),
        ("director up --dry-run 127.44.2.99", 68, "127.44.2.99: doesn't exist"),
        ("director down 127.44.2.99", 68, "127.44.2.99: doesn't exist"),
        ("director remove 127.44.2.99", 68, "127.44.2.99: doesn't exist"),
        ("director remove --dry-run 127.44.2.99", 68, "127.44.2.99: doesn't exist"),
        ("director flush 127.44.2.99", 68, "127.44.2.99: doesn't exist"),
        ("director flush -F 127.44.2.99", 68, "127.44.2.99: doesn't exist"),
        ("director flush --max-parallel 0 all", 64, "'0'"),
        ("director flush --dry-run 127.44.2.99", 68, "127.44.2.99: doesn't exist"),
        ("director move foo 127.44.2.99", 68, "foo to 127.44.2.99: doesn't exist"),
        ("director drain 127.44.2.99", 68, "127.44.2.99: doesn't exist"),
        ("director drain --status 127.44.2.11", 68, "127.44.2.11: is not being drained"),
        ("director drain --stop 127.44.2.11", 68, "127.44.2.11: is not being drained"),
        ("director up 12345", 64, "\"12345\" is no host"),
        ("director up nosuch.invalid", 68, "nosuch.invalid: "),
        ("director nosuch", 64, "nosuch"),
        ("director", 64, "Usage"),
        ("director map -u foo -h 5", 64, "cannot be used with"),
        ("director status -a nowhere", 64, "neither a path nor host:port"),
        ("director status -a /nonexistent/s", 69, "/nonexistent/s: No such file"),
        ("director status -a 127.44.2.1:9", 69, "127.44.2.1:9: Connection refused"),
        ("proxy list -a /nonexistent/s", 69, "/nonexistent/s: No such file"),
        ("kick", 64, "PATTERN"),
    ] {
        let run = site.run(words);
        assert!(run.code == code && run.err.contains(err) && run.out.is_empty(), "{words}: {run:?}");
    }
    let config = Run::of(homing().args(["who", "-c", "/nonexistent"]));
    assert_eq!(config.code, 78, "{config:?}");
    let ipc = site.homing.folder().join("ipc");
    let other = Run::of(homing().args(["director", "status", "-a"]).arg(&ipc));
    assert_eq!(other.code, 76, "another protocol: {other:?}");
    for (words, out) in [
        ("director up 127.44.2.98", "127.44.2.98: up\n"),
        ("director update 127.44.2.98@blue 7", "127.44.2.98: updated\n"),
        ("director flush all", "all: flushed\n"),
        ("director flush -F 127.44.2.98", "127.44.2.98: flushed\n"),
        ("director kick nobody", "nobody: sessions end, if there are any\n"),
        ("director remove 127.44.2.98", "127.44.2.98: removed\n"),
    ] {
        let run = site.run(words);
        assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (0, out, ""), "{words}");
    }
    let json = Run::of(&mut site.command("director up 127.44.2.99 --json"));
    let document: Value = serde_json::from_str(&json.out).unwrap();
    let result = json!({"ip": "127.44.2.99", "done": false, "error": "127.44.2.99: doesn't exist"});
    assert_eq!((json.code, &document["results"][0]), (68, &result));
}

#[test]
fn w22_a_move_that_was_waited_for_has_ended() {
    let site = Site::good(3, 2);
    let (session, from) = site.log_in("foo");
    let to = 1 - from;
    let run = site.run(&format!("director move --wait foo IP{to}"));
    assert_eq!(run.rows(), [format!("foo moved to {}", site.backend(to))]);
    assert_eq!(site.backends[from].live(), 0, "nothing is left when it returns");
    assert_kicked(session);
    assert_eq!(site.log_in("foo").1, to);
    let json = site.run(&format!("director move foo IP{to} --json")).json();
    assert_eq!(json, json!({"user": "foo", "done": true, "waited": false}));
}

/// doveadm takes a number for a hash.
#[test]
fn w23_a_user_with_a_number_for_a_name_is_moved() {
    let site = Site::good(4, 2);
    let (session, from) = site.log_in("12345");
    let run = site.run(&format!("director move --wait 12345 IP{}", 1 - from));
    assert_eq!(run.code, 0, "{run:?}");
    assert_kicked(session);
    assert_eq!(site.log_in("12345").1, 1 - from);
    let json = site.run("director explain 12345 --json").json();
    assert_eq!(json["current"]["cause"], "moved by operator");
}

#[test]
fn w22_w24_kicks_are_planned_counted_and_waited_for() {
    let site = Site::good(5, 2);
    let names = ["a@x", "A@x", "b@x", "c@y"];
    let mut sessions: Vec<_> = names.iter().map(|user| site.log_in(user).0).collect();
    let plan = site.run("director kick --dry-run *@X --json").json();
    assert_eq!((&plan["users"], &plan["sessions"]), (&json!(3), &json!(3)));
    let told = site.run("kick --dry-run *@X --json").json();
    assert_eq!(told, json!({"dry_run": true, "users": 3, "sessions": 3}));
    let plan = site.run("director kick --dry-run -f user_group staff").rows();
    assert_eq!(plan.last().unwrap(), "nothing was changed; it would be 4 users with 4 sessions to end");
    for client in &mut sessions {
        assert_eq!(client.ask("still"), "echo still");
    }
    assert_eq!(site.run("director kick --wait *@X").rows(), ["*@X: no sessions any more"]);
    assert_eq!(site.backends.iter().map(|b| b.live()).sum::<usize>(), 1, "nothing is left when it returns");
    let last = sessions.pop().unwrap();
    sessions.into_iter().for_each(assert_kicked);
    assert_eq!(site.run("kick c@* --json").json(), json!({"kicked": 1}));
    assert_kicked(last);
    assert_eq!(site.run("kick c@*").rows(), ["0 sessions told to end"]);
    let (session, _) = site.log_in("foo");
    assert_eq!(site.run("director kick --wait -f user_id 7 --json").json()["waited"], true);
    assert_kicked(session);
}

#[test]
fn sessions_are_listed() {
    let site = Site::start(6, &[Behaviour::Good, Behaviour::Silent], "");
    assert_eq!(site.run("who").rows(), ["user service client backend since"]);
    assert_eq!(site.run("proxy list --json").json(), json!({"sessions": []}));
    // One that is there, and one that logs in for long.
    site.run("director move foo IP0").rows();
    site.run("director move bar IP1").rows();
    let _foo = site.log_in("foo");
    let mut bar = site.connect();
    bar.send("a LOGIN bar pw\r\n");
    wait_until("the login reaches the backend", || site.backends[1].live() == 1);
    let who = site.run("who").rows();
    assert!(who[1].starts_with("bar imap 127.0.0.1:") && who[1].contains(" 127.44.6.12:2143 20"), "{who:?}");
    assert!(who[2].starts_with("foo imap 127.0.0.1:"), "{who:?}");
    let json = site.run("who F* --json").json();
    let session = &json["sessions"][0];
    assert_eq!(json["sessions"].as_array().unwrap().len(), 1);
    assert_eq!((&session["user"], &session["hash"]), (&json!("foo"), &json!(2_898_073_819_u32)));
    assert_eq!((&session["backend"], &session["service"]), (&json!("127.44.6.11:2143"), &json!("imap")));
    assert!(session["since"].as_u64() > Some(1_700_000_000));
    let list = site.run("proxy list").rows();
    assert_eq!(list[0], "user service client backend port user_group user_id");
    assert_eq!(
        list[1..],
        ["bar imap 127.0.0.1 127.44.6.12 2143 staff 7", "foo imap 127.0.0.1 127.44.6.11 2143 staff 7"]
    );
    let json = site.run("proxy list --json").json();
    assert_eq!(json["sessions"][1]["fields"], json!({"user_group": "staff", "user_id": "7"}));
}

#[test]
fn explaining_tells_why_and_changes_nothing() {
    let site = Site::good(7, 2);
    let nobody = site.run("director explain foo").rows();
    assert_eq!(nobody[..3], ["user foo", "hash 2898073819", "current none"]);
    let before = site.run("director map --json").json();
    assert_eq!(before, json!({"users": []}));
    let (session, from) = site.log_in("foo");
    site.run(&format!("director move --wait foo IP{}", 1 - from)).rows();
    assert_kicked(session);
    site.run(&format!("director down IP{}", 1 - from)).rows();
    let _session = site.log_in("foo");
    let rows = site.run("director explain foo").rows();
    let has = |start: &str, part: &str| rows.iter().any(|row| row.starts_with(start) && row.contains(part));
    let (old, new) = (site.backend(from), site.backend(1 - from));
    assert!(has(&format!("current {new} since 20"), ", moved by operator"), "{rows:?}");
    assert!(
        has("sessions 1", "")
            && has(&format!("hashed {old}"), "")
            && has("login goes to", "by the mapping; "),
        "{rows:?}"
    );
    assert!(has("note", &format!("{new} is down, by operator")), "{rows:?}");
    assert!(has("foo imap", &format!("{new}:2143")), "{rows:?}");
    assert!(has("20", &format!("placed on {old}, by hash")), "{rows:?}");
    assert!(has("20", &format!("is moved from {old} to {new}, moved by operator")), "{rows:?}");
    let json = site.run("director explain foo --json").json();
    assert_eq!((&json["current"]["ip"], &json["current"]["sessions"]), (&json!(new.to_string()), &json!(1)));
    assert_eq!(json["sessions"][0]["user"], "foo");
    assert!(json["events"].as_array().unwrap().len() >= 2 && json["moving"].is_null());
}

/// What a plan says is what then happens.
#[test]
fn a_dry_run_of_a_flush_tells_what_the_flush_does() {
    let site = Site::good(8, 2);
    let sessions = site.fill(0, 4);
    let users = |n: usize| sessions.iter().filter(|(_, there)| *there == n).count();
    let stays = site.run("director flush --dry-run IP0 --json").json();
    assert_eq!(
        (&stays["users"], &stays["rows"][0]["effect"]),
        (&json!(0), &json!("kept")),
        "W41: they belong there"
    );
    let update = site.run("director update --dry-run IP0 0 --json").json();
    assert_eq!((&update["users"], &update["rows"][0]["effect"]), (&json!(0), &json!("later")));
    assert_eq!(update["rows"][0]["users"], 4);
    let down = site.run("director down --dry-run IP0 --json").json();
    assert_eq!((&down["rows"][0]["effect"], &down["rows"][0]["users"]), (&json!("later"), &json!(4)));
    let remove = site.run("director remove --dry-run IP0 --json").json();
    assert_eq!((&remove["rows"][0]["effect"], &remove["rows"][0]["users"]), (&json!("later"), &json!(4)));
    let row = format!("127.44.8.11 - 100 up - {}", users(0));
    assert_eq!(site.run("director status").rows()[1], row, "nothing was changed");

    site.run("director update IP0 0").rows();
    let plan = site.run("director flush --dry-run IP0").rows();
    assert_eq!(plan[..2], ["effect from to users sessions", "moved 127.44.8.11 127.44.8.12 4 4"]);
    assert_eq!(plan[2], "nothing was changed; it would be 4 users with 4 sessions to end");
    let told = site.run("director flush --wait IP0 --json").json();
    assert_eq!(told, json!({"flushed": ["127.44.8.11"], "waited": true}));
    // A backend that is slow to notice is taken for dead after the kick delay.
    wait_until("W22: nothing is left", || {
        (site.backends[0].live(), site.backends[1].live()) == (0, users(1))
    });
    let status = site.run("director status --json").json();
    assert_eq!(
        (&status["backends"][0]["users"], &status["backends"][1]["users"]),
        (&json!(0), &json!(users(0) + users(1)))
    );
    for (mut client, n) in sessions {
        if n == 0 { assert_kicked(client) } else { assert_eq!(client.ask("still"), "echo still") }
    }
}

/// Names in /etc/hosts may have several addresses; a port needs no configuration.
#[test]
fn the_socket_may_be_named() {
    let more = "service director {\n inet_listener director-doveadm {\n  port = 9091\n }\n}\n";
    let site = Site::start(9, &[Behaviour::Good], more);
    let status = site.run("director status").rows();
    let socket = site.homing.folder().join("director-admin").display().to_string();
    for socket in ["127.44.9.1:9091", &socket] {
        let run = Run::of(homing().args(["director", "status", "-a", socket]));
        assert_eq!(run.rows(), status);
        let run = Run::of(homing().args(["director", "-a", socket, "status"]));
        assert_eq!(run.rows(), status);
    }
    let ipc = site.homing.folder().join("ipc").display().to_string();
    assert_eq!(Run::of(homing().args(["proxy", "list", "-a", &ipc])).rows().len(), 1);
}

/// A director that knows no own word, and takes every one, as Homing did before it had some.
fn start_older_director(path: &Path) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve_as_older_director(stream));
        }
    });
}

fn serve_as_older_director(mut stream: UnixStream) {
    let mut server = Server::default();
    let mut buffer = [0; 512];
    loop {
        while let Some(ServerEvent::Request(request)) = server.poll_event() {
            assert!(matches!(request, Request::Own(_) | Request::DirectorList), "{request:?}");
            server.end_rows();
        }
        let _ = stream.write_all(&server.poll_transmit().unwrap_or_default());
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => server.received(&buffer[..count]),
            _ => return,
        }
    }
}

#[test]
fn an_older_director_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("director-admin");
    start_older_director(&path);
    for words in ["director explain foo", "director drain 10.0.0.1", "who", "director kick --wait foo"] {
        let run = Run::of(homing().args(words.split(' ')).arg("-a").arg(&path));
        assert!(run.code == 76 && run.err.contains("this director"), "{words}: {run:?}");
    }
}

/// Whatever a socket says, the program ends with a word about it.
#[test]
fn strange_answers_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let version = "VERSION\tdirector-doveadm\t1\t0\n";
    let answers = [
        (String::new(), 69),
        ("VERSION\tother\t1\t0\n".to_owned(), 76),
        (format!("{version}what\n"), 76),
        (format!("{version}10.0.0.1\t5\n"), 76),
        (format!("{version}{}", "x".repeat(20_000)), 76),
        (format!("{version}10.0.0.1\t5\t1\t\x1b[2J\tU\t0\n"), 69),
    ];
    for (n, (answer, code)) in answers.into_iter().enumerate() {
        let path = folder.path().join(n.to_string());
        let listener = UnixListener::bind(&path).unwrap();
        let serving = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // The request is there before the end of the connection.
            let _ = stream.read(&mut [0; 512]);
            let _ = stream.write_all(answer.as_bytes());
        });
        let run = Run::of(homing().args(["director", "status", "-a"]).arg(&path));
        assert!(run.code == code && run.out.is_empty() && !run.err.contains('\x1b'), "{n}: {run:?}");
        serving.join().unwrap();
    }
}

#[test]
fn every_command_has_help_with_examples() {
    let help = |words: &str| {
        let run = Run::of(homing().args(words.split_whitespace()).arg("--help"));
        assert_eq!((run.code, run.err.as_str()), (0, ""), "{words}");
        run.out
    };
    let all = help("director");
    let commands = all.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let commands: Vec<_> = commands.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.contains(&"drain") && commands.contains(&"explain"), "{commands:?}");
    for command in commands.iter().filter(|command| !["help", "ring"].contains(command)) {
        let text = help(&format!("director {command}"));
        assert!(
            text.contains("Example") && text.contains("JSON") || text.contains("--json"),
            "{command}: {text}"
        );
        assert!(text.contains(&format!("homing director {command}")), "{command}: {text}");
    }
    for words in ["director ring status", "who", "kick", "proxy list"] {
        let text = help(words);
        assert!(text.contains("Example") && text.contains("JSON"), "{words}: {text}");
    }
    assert!(all.contains("Exit status:"), "{all}");
}

#[test]
fn shells_complete() {
    for (shell, part) in [("bash", "complete -F"), ("zsh", "#compdef homing"), ("fish", "complete -c homing")]
    {
        let run = Run::of(homing().args(["completion", shell]));
        assert!(run.code == 0 && run.out.contains(part) && run.out.contains("drain"), "{shell}");
    }
    let script = Run::of(homing().args(["completion", "bash"])).out;
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), script).unwrap();
    assert_eq!(Run::of(std::process::Command::new("bash").arg("-n").arg(file.path())).code, 0);
    assert_eq!(Run::of(homing().args(["completion", "cmd"])).code, 64);
}
