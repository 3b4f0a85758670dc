//! What is written is read back; what anybody else writes panics nowhere.

use super::*;
use crate::{
    ADMIN_LINE_BYTES_MAX, ANSWER_LINE_BYTES_MAX, OUTPUT_BYTES_MAX, UserHash, UserPattern,
    director::{self, Client, ClientEvent, OwnRequest, Request, RequestRefused, Scope, Server, ServerEvent},
};

fn ip(last: u8) -> std::net::IpAddr {
    [10, 0, 0, last].into()
}

fn commands() -> Vec<Command> {
    let plan = |request| Command::Plan(Planned::Request(Box::new(request)));
    let pace = DrainPace { parallel: 5.try_into().ok(), per_sec: None, grace_msecs: Some(1500) };
    vec![
        Command::Words,
        Command::Hash(vec![b"a\tb".to_vec(), b"c".to_vec()]),
        Command::Hosts,
        Command::Sessions(UserPattern::new("*@x")),
        Command::Explain { user: b"12".to_vec(), tag: b"blue".to_vec() },
        plan(Request::HostFlush(Scope::All)),
        plan(Request::UserKick { user: UserPattern::new("a\n*"), waiting: director::Waiting::Allowed }),
        Command::Plan(Planned::Drain(ip(1))),
        Command::Drain { host: ip(1), pace },
        Command::Drain { host: ip(1), pace: DrainPace::default() },
        Command::DrainStatus(None),
        Command::DrainStatus(Some(ip(2))),
        Command::DrainStop { host: ip(3), restore: false },
        Command::DrainStop { host: ip(3), restore: true },
        Command::Wait { what: Awaited::Sessions(UserPattern::new("a")), secs: 5 },
        Command::Wait {
            what: Awaited::SessionsByField { field: b"user_x".to_vec(), value: UserPattern::new("y") },
            secs: 5,
        },
        Command::Wait { what: Awaited::Move(UserHash(7)), secs: WAIT_SECS_MAX },
        Command::Wait { what: Awaited::Flush(Scope::Host(ip(1))), secs: 0 },
        Command::Dump,
        Command::Load(LoadRequest { dry_run: true, host: ip(1), users: vec![UserHash(7), UserHash(8)] }),
        Command::Load(LoadRequest {
            dry_run: false,
            host: ip(1),
            users: vec![UserHash(u32::MAX); LOAD_USERS_MAX],
        }),
    ]
}

fn rows() -> Vec<Row> {
    let session = SessionRow {
        user: b"a\t=\n\xff".to_vec(),
        hash: Some(UserHash(7)),
        service: "imap".to_owned(),
        client: "2001:db8::1".parse().ok(),
        client_port: Some(4000),
        backend: Some("10.0.0.1:143".parse().unwrap()),
        hostname: Some("be1".to_owned()),
        since: Some(5),
    };
    let foreign = SessionRow { client_port: None, hostname: None, since: None, ..session.clone() };
    let empty = SessionRow { hash: None, client: None, backend: None, ..foreign.clone() };
    let drain = DrainRow {
        host: ip(1),
        state: DrainState::Moving,
        safe: false,
        users: 10,
        moved: 3,
        left: 7,
        sessions: 9,
        moving: 2,
        stuck: 1,
        since: 5,
        eta_msecs: Some(1500),
        vhosts_before: Some(100),
        pace: DrainPace { parallel: 5.try_into().ok(), per_sec: 6.try_into().ok(), grace_msecs: Some(7) },
        note: "x y".to_owned(),
    };
    let ended = DrainRow {
        state: DrainState::Ended,
        safe: true,
        eta_msecs: None,
        vhosts_before: None,
        pace: DrainPace::default(),
        note: String::new(),
        ..drain.clone()
    };
    let host = HostRow {
        ip: ip(1),
        hostname: Some("be1".to_owned()),
        tag: b"a\tb".to_vec(),
        vhosts: 5,
        up: true,
        changed: Some(7),
        changed_by: Some("operator".to_owned()),
        users: 3,
        sessions: 4,
        leaving: true,
        draining: false,
    };
    let bare = HostRow { hostname: None, tag: Vec::new(), changed: None, changed_by: None, ..host.clone() };
    let plan = |effect, to| PlanRow { effect, from: Some(ip(1)), to, users: 2, sessions: 3 };
    vec![
        Row::Word("X-WORDS".to_owned()),
        Row::StateHost(StateHostRow {
            ip: ip(1),
            hostname: Some("be1".to_owned()),
            tag: b"a\tb".to_vec(),
            vhosts: 7,
            up: false,
            changed: Some((5, "operator".to_owned())),
            removed: true,
        }),
        Row::StateUser(StateUserRow {
            user: UserHash(7),
            ip: ip(1),
            expires: None,
            since: 5,
            why: "by hash".to_owned(),
            moving_to: Some(ip(2)),
        }),
        Row::NotLoaded(LoadRow { user: UserHash(7), why: "busy".to_owned() }),
        Row::Loaded(LoadedRow { loaded: 5, kept: 6 }),
        Row::Hash(HashRow { user: Vec::new(), hash: UserHash(1) }),
        Row::Host(host),
        Row::Host(bare),
        Row::Session(session),
        Row::Session(empty),
        Row::Current(CurrentRow {
            ip: ip(1),
            since: 1,
            cause: "by hash".to_owned(),
            sessions: 2,
            expires: 3,
        }),
        Row::Moving(MovingRow { to: None, cause: "c".to_owned(), wait: String::new() }),
        Row::Ring(RingRow { hashed: Some(ip(1)), initial: None, why: "w".to_owned() }),
        Row::Event(EventRow { msecs: 5, text: "moved".to_owned() }),
        Row::Note("n".to_owned()),
        Row::Plan(plan(PlanEffect::Moved, Some(ip(2)))),
        Row::Plan(plan(PlanEffect::Later, None)),
        Row::Plan(PlanRow { from: None, ..plan(PlanEffect::Kept, None) }),
        Row::Drain(drain),
        Row::Drain(ended),
        Row::Waiting(Some(3)),
        Row::Waiting(None),
        Row::End,
        Row::Failure(Failure::new(FailureKind::NotFound, "no such backend")),
        Row::Other,
    ]
}

/// Over both machines.
#[test]
fn requests_and_rows_arrive_as_they_were() {
    let (mut client, mut server) = (Client::default(), Server::default());
    for command in commands() {
        client.ask(&Request::Own(command.to_request())).unwrap();
        server.received(&client.poll_transmit().unwrap());
        let Some(ServerEvent::Request(Request::Own(own))) = server.poll_event() else {
            panic!("{command:?}")
        };
        assert_eq!(Command::read(&own), Ok(command.clone()));
        assert_eq!(OwnRequest::new(command.word(), own.arguments.clone()), Some(own));
        assert!(server.push_rows(&mut rows().iter().map(Row::to_row)));
        server.end_rows();
        client.received(&server.poll_transmit().unwrap());
        for row in rows() {
            let Some(ClientEvent::Row(director::Row::Own(fields))) = client.poll_event() else { panic!() };
            assert_eq!(Row::read(&fields), Some(row));
        }
        assert_eq!(client.poll_event(), Some(ClientEvent::RowsEnd));
    }
}

#[test]
fn every_word_has_a_command() {
    let mut seen: Vec<_> = commands().iter().map(Command::word).collect();
    seen.dedup();
    assert_eq!(seen, WORDS);
    assert!(WORDS.iter().all(|word| OwnRequest::new(word, Vec::new()).is_some()));
}

fn read(line: &str) -> Result<Command, Unreadable> {
    match Request::parse(line.as_bytes()).unwrap() {
        Request::Own(own) => Command::read(&own),
        other => panic!("{other:?}"),
    }
}

#[test]
fn malformed_requests_are_told() {
    for line in [
        "X-SESSIONS",
        "X-EXPLAIN",
        "X-PLAN",
        "X-PLAN\tFOO",
        "X-PLAN\tHOST-UP\tx",
        "X-PLAN\tX-PLAN\tHOST-FLUSH",
        "X-PLAN\tX-EXPLAIN\ta",
        "X-PLAN\tX-DRAIN",
        "X-DRAIN",
        "X-DRAIN\tx",
        "X-DRAIN\t10.0.0.1\t0",
        "X-DRAIN\t10.0.0.1\t\tx",
        "X-DRAIN-STOP",
        "X-DRAIN-STATUS\tx",
        "X-WAIT",
        "X-WAIT\t5",
        "X-WAIT\tx\tmove\t7",
        "X-WAIT\t5\tmove\tname",
        "X-WAIT\t5\tother",
    ] {
        let word = line.split('\t').next().unwrap();
        let told = read(line).unwrap_err().to_string();
        assert_eq!(told, format!("invalid {word} parameters"), "{line}");
    }
    assert_eq!(read("X-NEW").unwrap_err().to_string(), "X-NEW is not known here");
    assert_eq!(read("X-WORDS\tmore"), Ok(Command::Words));
    assert_eq!(read("X-DRAIN\t10.0.0.1"), read("X-DRAIN\t10.0.0.1\t\t\t\tmore"));
}

#[test]
fn rows_of_later_versions_are_passed_over() {
    let read = |fields: &[&str]| Row::read(&fields.iter().map(|f| f.as_bytes().to_vec()).collect::<Vec<_>>());
    assert_eq!(read(&["new", "x=1"]), Some(Row::Other));
    assert_eq!(read(&["waiting", "left=2", "new=x"]), Some(Row::Waiting(Some(2))));
    assert_eq!(read(&["session", "service=a"]), None);
    let failure = Failure::new(FailureKind::Refused, "t");
    assert_eq!(read(&["error", "kind=new", "text=t"]), Some(Row::Failure(failure)));
    assert_eq!(read(&[]), None);
}

/// The longest row that can be made is read by a client.
#[test]
fn the_longest_row_fits_a_line() {
    let long = "\n".repeat(OUTPUT_BYTES_MAX);
    let session = SessionRow {
        user: long.clone().into_bytes(),
        hash: Some(UserHash(u32::MAX)),
        service: long.clone(),
        client: "2001:db8::1".parse().ok(),
        client_port: Some(4000),
        backend: Some("[2001:db8::1]:4000".parse().unwrap()),
        hostname: Some(long.clone()),
        since: Some(u64::MAX),
    };
    let current = CurrentRow { ip: ip(1), since: 1, cause: long.clone(), sessions: 2, expires: 3 };
    let moving = MovingRow { to: Some(ip(1)), cause: long.clone(), wait: long };
    for row in [Row::Session(session), Row::Current(current), Row::Moving(moving)] {
        let mut server = Server::default();
        server.received(b"VERSION\tdirector-doveadm\t1\t0\nX-WORDS\n");
        server.poll_event().unwrap();
        server.poll_transmit().unwrap();
        assert!(server.push_rows(&mut std::iter::once(row.to_row())));
        let line = server.poll_transmit().unwrap();
        assert!(line.len() <= ANSWER_LINE_BYTES_MAX, "{}", line.len());
    }
}

#[test]
fn a_request_over_the_limit_is_not_sent() {
    let command = Command::Explain { user: vec![b'a'; ADMIN_LINE_BYTES_MAX], tag: Vec::new() };
    let asked = Client::default().ask(&Request::Own(command.to_request()));
    assert_eq!(asked, Err(RequestRefused::TooLong));
}

/// Anybody's request is read or told, and what was read means the same when it is sent again.
#[test]
fn any_request_is_read_or_refused() {
    bolero::check!().with_type::<(u8, Vec<u8>)>().for_each(|(word, bytes)| {
        let word = WORDS[usize::from(*word) % WORDS.len()];
        // Mostly what could be an argument.
        let words: [&[u8]; 8] =
            [b"10.0.0.1", b"5", b"move", b"flush", b"sessions", b"HOST-FLUSH", b"X-DRAIN", b""];
        let mut arguments = vec![Vec::new()];
        for byte in bytes {
            match words.get(usize::from(*byte)) {
                Some(word) => arguments.push(word.to_vec()),
                None => arguments.last_mut().unwrap().push(*byte),
            }
        }
        let own = OwnRequest::new(word, arguments).unwrap();
        if let Ok(command) = Command::read(&own) {
            assert_eq!(Command::read(&command.to_request()), Ok(command));
        }
    });
}

#[test]
fn any_row_is_read_or_refused() {
    bolero::check!().with_type::<(u8, Vec<Vec<u8>>)>().for_each(|(which, fields)| {
        let director::Row::Own(mut row) = rows()[usize::from(*which) % rows().len()].to_row() else {
            panic!()
        };
        row.truncate(fields.len().max(1));
        row.extend(fields.iter().cloned());
        if let Some(read) = Row::read(&row) {
            let director::Row::Own(again) = read.to_row() else { panic!() };
            assert!(Row::read(&again).is_some());
        }
    });
}
