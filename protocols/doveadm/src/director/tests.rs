//! Scripts and properties of the director admin protocol. What becomes of malformed lines was measured with the
//! reference, 2.3.19.1.

use super::*;
use crate::{ADMIN_LINE_BYTES_MAX, OUTPUT_BYTES_MAX, UserHash, UserPattern};

const VERSION: &str = "VERSION\tdirector-doveadm\t1\t0\n";

/// After the handshake.
fn server() -> Server {
    let mut server = Server::default();
    server.received(VERSION.as_bytes());
    assert_eq!(server.poll_transmit().unwrap(), VERSION.as_bytes());
    assert_eq!(server.poll_event(), None);
    server
}

/// What comes of one line after the handshake.
fn told(line: &str) -> ServerEvent {
    let mut server = server();
    server.received(line.as_bytes());
    server.received(b"\n");
    server.poll_event().unwrap()
}

fn request(line: &str) -> Request {
    match told(line) {
        ServerEvent::Request(request) => request,
        ServerEvent::Close(error) => panic!("{line:?}: {error}"),
    }
}

fn refusal(line: &str) -> String {
    match told(line) {
        ServerEvent::Close(error) => error.to_string(),
        ServerEvent::Request(request) => panic!("{line:?}: {request:?}"),
    }
}

fn text(bytes: Option<Vec<u8>>) -> String {
    String::from_utf8(bytes.unwrap_or_default()).unwrap()
}

#[test]
fn the_first_line_must_be_the_same_protocol() {
    for (line, compatible) in [
        (VERSION, true),
        ("VERSION\tdirector-doveadm\t1\t7\r\n", true),
        ("VERSION\tdirector-doveadm\t2\t0\n", false),
        ("VERSION\tother\t1\t0\n", false),
        ("HOST-LIST\n", false),
        ("\n", false),
    ] {
        let mut server = Server::default();
        server.received(line.as_bytes());
        let expected = (!compatible).then_some(ServerEvent::Close(ServerError::Incompatible));
        assert_eq!(server.poll_event(), expected, "{line:?}");
        assert_eq!(server.poll_event(), None);
        assert_eq!(text(server.poll_transmit()), VERSION, "the greeting does not wait");

        let mut client = Client::default();
        client.received(line.as_bytes());
        let expected = (!compatible).then_some(ClientEvent::Close(ClientError::Incompatible));
        assert_eq!(client.poll_event(), expected, "{line:?}");
    }
}

#[test]
fn malformed_lines_close_the_connection() {
    let invalid = [
        ("HOST-SET", &["", "\tx", "\t", "\t127.0.0.1\tx", "\t127.0.0.1\t", "\t127.0.0.1\t-1"][..]),
        ("HOST-UPDATE", &["\t127.0.0.1", "\t127.0.0.1\tx", "\t127.0.0.1\t4294967296"]),
        ("HOST-UP", &["", "\tx", "\t127.0.0.1@blue"]),
        ("HOST-DOWN", &["", "\tx"]),
        ("HOST-REMOVE", &["", "\tx"]),
        ("HOST-FLUSH", &["\tx"]),
        ("HOST-RESET-USERS", &["\tx", "\t\tx", "\t\t", "\t\t4294967296"]),
        ("USER-LIST", &["\tx"]),
        ("USER-MOVE", &["", "\ta", "\ta\tx", "\ta\t127.0.0.1@blue"]),
        ("USER-KICK", &[""]),
        ("USER-KICK-ALT", &["", "\tfield"]),
        ("USER-KICK-HASH", &["", "\tname"]),
        ("DIRECTOR-ADD", &["", "\tx", "\t127.0.0.1\t0", "\t127.0.0.1\t65536", "\t127.0.0.1\t"]),
        ("DIRECTOR-REMOVE", &["", "\tx", "\t127.0.0.1\tx", "\t127.0.0.1\t0"]),
    ];
    for (word, tails) in invalid {
        for tail in tails {
            assert_eq!(refusal(&format!("{word}{tail}")), format!("doveadm sent invalid {word} parameters"));
        }
    }
    assert_eq!(refusal(""), "doveadm sent empty command line");
    assert_eq!(refusal("host-list"), "doveadm sent unknown command: host-list");
    assert_eq!(refusal("\0HOST-LIST"), "doveadm sent unknown command: \\x00HOST-LIST");
    assert_eq!(refusal("X-"), "doveadm sent unknown command: X-");
}

#[test]
fn what_is_too_much_is_ignored() {
    assert_eq!(request("HOST-LIST\tx\r"), Request::HostList);
    assert_eq!(request("HO\x01ST-LIST"), Request::HostList, "the whole line is unescaped");
    let ip = "127.0.0.1".parse().unwrap();
    assert_eq!(request("HOST-UP\t127.0.0.1\tx"), Request::HostUp(ip));
    assert_eq!(request("HOST-FLUSH\t"), Request::HostFlush(Scope::All));
    assert_eq!(request("USER-LIST\t"), Request::UserList(None));
    let nobody = Request::UserLookup { user: UserArgument::named(""), tag: Vec::new() };
    assert_eq!(request("USER-LOOKUP"), nobody);
    let kick = |user: &str, waiting| Request::UserKick { user: UserPattern::new(user), waiting };
    assert_eq!(request("USER-KICK\t"), kick("", Waiting::Allowed));
    assert_eq!(request("USER-KICK\ta\tother"), kick("a", Waiting::Allowed));
    assert_eq!(request("USER-KICK\ta\tnowait\tx"), kick("a", Waiting::Refused));
}

#[test]
fn own_requests_are_passed_on() {
    let own = OwnRequest::new("X-EXPLAIN", vec![b"a\tb".to_vec(), Vec::new()]).unwrap();
    assert_eq!(request("X-EXPLAIN\ta\x01tb\t"), Request::Own(own.clone()));
    assert_eq!(Request::Own(own).to_line(), b"X-EXPLAIN\ta\x01tb\t");
    assert_eq!(OwnRequest::new("x", vec![]), None);
    assert_eq!(OwnRequest::new("X-A B", vec![]), None);
}

#[test]
fn w21_pipelined_lines_are_never_lost() {
    let mut server = server();
    let lines = "HOST-SET\t127.0.0.1\nHOST-SET\t127.0.0.2\nUSER-LIST\nHOST-SET\t127.0.0.3\n";
    server.received(lines.as_bytes());
    let next = |server: &mut Server| match server.poll_event() {
        Some(ServerEvent::Request(request)) => String::from_utf8(request.to_line()).unwrap(),
        other => format!("{other:?}"),
    };
    assert_eq!(next(&mut server), "HOST-SET\t127.0.0.1");
    assert_eq!(next(&mut server), "None", "the answer is late");
    assert!(server.is_asked());
    server.received(b"HOST-LIST-REMOVED\n");
    server.answer(&Reply::Ok);
    assert_eq!(next(&mut server), "HOST-SET\t127.0.0.2");
    server.answer(&Reply::Refused(Refusal::RingSyncTimeout));
    assert_eq!(next(&mut server), "USER-LIST");
    server.end_rows();
    assert_eq!(next(&mut server), "HOST-SET\t127.0.0.3");
    server.answer(&Reply::NotFound);
    assert_eq!(next(&mut server), "HOST-LIST-REMOVED");
    server.end_rows();
    assert_eq!(text(server.poll_transmit()), "OK\nRing sync timed out\n\nNOTFOUND\n\n");
    assert_eq!(next(&mut server), "None");
}

#[test]
fn w23_numbers_are_hashes() {
    let hash = |line: &str| match request(line) {
        Request::UserLookup { user, .. } => user.hash(),
        other => panic!("{other:?}"),
    };
    assert_eq!(hash("USER-LOOKUP\t12345\t"), Some(UserHash(12345)));
    assert_eq!(hash("USER-LOOKUP\t007"), Some(UserHash(7)));
    assert_eq!(hash("USER-LOOKUP\t4294967296"), None);
    assert_eq!(hash("USER-LOOKUP\t+7"), None);
    assert_eq!(UserArgument::from(UserHash(7)).as_bytes(), b"7");
}

#[test]
fn w24_kicks_carry_patterns() {
    let Request::UserKick { user, .. } = request("USER-KICK\t*@Example.com") else { panic!() };
    assert!(user.has_wildcards() && user.matches(b"a@example.com"));
}

#[test]
fn w29_a_limit_of_zero_is_refused() {
    assert_eq!(refusal("HOST-RESET-USERS\t\t0"), "doveadm sent invalid HOST-RESET-USERS parameters");
    assert_eq!(refusal("HOST-RESET-USERS\t127.0.0.1\t0"), "doveadm sent invalid HOST-RESET-USERS parameters");
}

#[test]
fn w33_a_tag_may_be_given_empty_or_not_at_all() {
    let tag = |line: &str| match request(line) {
        Request::HostSet { host, .. } | Request::HostUpdate { host, .. } => host.tag,
        other => panic!("{other:?}"),
    };
    assert_eq!(tag("HOST-SET\t127.0.0.1"), None);
    assert_eq!(tag("HOST-SET\t127.0.0.1@\t5"), Some(Vec::new()));
    assert_eq!(tag("HOST-UPDATE\t127.0.0.1@a@b\t5"), Some(b"a@b".to_vec()));
    assert_eq!(tag("HOST-SET\t127.0.0.1@a\x01tb"), Some(b"a\tb".to_vec()));
}

#[test]
fn a_line_has_1024_bytes() {
    let line = |length: usize| format!("USER-LOOKUP\t{}\n", "a".repeat(length - 13));
    let mut good = server();
    good.received(line(ADMIN_LINE_BYTES_MAX).as_bytes());
    assert!(matches!(good.poll_event(), Some(ServerEvent::Request(_))));
    let mut bad = server();
    bad.received(&line(ADMIN_LINE_BYTES_MAX + 1).as_bytes()[..bad.room()]);
    assert_eq!(bad.room(), 0);
    let Some(ServerEvent::Close(error)) = bad.poll_event() else { panic!() };
    assert_eq!(error.to_string(), "doveadm sent a line of more than 1024 bytes");
    let long = Request::UserLookup { user: UserArgument::named("a".repeat(1011)), tag: Vec::new() };
    assert_eq!(Client::default().ask(&long), Err(RequestRefused::TooLong));
}

#[test]
fn a_peer_that_does_not_read_gets_no_more_requests() {
    let mut server = server();
    let mut asked = 0;
    loop {
        server.received(b"USER-LOOKUP\ta\n");
        let Some(event) = server.poll_event() else { break };
        assert!(matches!(event, ServerEvent::Request(_)));
        let ip = Some("127.0.0.1".parse().unwrap());
        server.answer(&Reply::Place(UserPlace { current: None, hashed: ip, initial: ip }));
        asked += 1;
    }
    let waiting = server.poll_transmit().unwrap();
    assert!(waiting.len() < OUTPUT_BYTES_MAX + 64 && asked > 1000);
    assert!(server.poll_event().is_some());
}

#[test]
fn a_million_users_need_no_large_buffer() {
    let mut server = server();
    server.received(b"USER-LIST\n");
    server.poll_event().unwrap();
    let ip = "127.0.0.1".parse().unwrap();
    let row = |n| Row::User(UserRow { hash: UserHash(n), expires: 1_795_440_812, ip });
    let mut rows = (0..1_000_000).map(row);
    let (mut lines, mut largest) = (0, 0);
    loop {
        let all = server.push_rows(&mut rows);
        if all {
            server.end_rows();
        }
        let piece = server.poll_transmit().unwrap();
        largest = largest.max(piece.len());
        lines += piece.iter().filter(|byte| **byte == b'\n').count();
        if all {
            break;
        }
    }
    assert_eq!(lines, 1_000_001);
    assert!(largest < OUTPUT_BYTES_MAX + 64, "{largest}");
}

#[test]
fn an_answer_of_another_shape_closes_instead_of_confusing_the_peer() {
    type Answering = fn(&mut Server, Row);
    let ip = "127.0.0.1".parse().unwrap();
    let push = |server: &mut Server, row| assert!(server.push_rows(&mut std::iter::once(row)));
    let wrong: [(&str, Answering); 7] = [
        ("HOST-LIST", |server, _| server.answer(&Reply::NotFound)),
        ("HOST-UP\t127.0.0.1", |server, _| server.end_rows()),
        ("HOST-UP\t127.0.0.1", push),
        ("USER-LOOKUP\ta", |server, _| server.answer(&Reply::Ok)),
        ("USER-LIST", push),
        ("X-A", |server, _| assert!(server.push_rows(&mut std::iter::once(Row::Own(vec![vec![]]))))),
        ("X-A", |server, _| {
            server.end_rows();
            server.end_rows();
        }),
    ];
    for (line, answer) in wrong {
        let mut server = server();
        server.received(line.as_bytes());
        server.received(b"\n");
        server.poll_event().unwrap();
        answer(&mut server, Row::RemovedHost(ip));
        let event = server.poll_event();
        assert!(matches!(event, Some(ServerEvent::Close(ServerError::WrongAnswer(_)))), "{line}: {event:?}");
        assert_eq!(server.poll_event(), None);
    }
}

#[test]
fn refusals_are_one_line() {
    let reply = Reply::Refused(Refusal::Other("a\nOK\r\n".to_owned()));
    assert_eq!(reply.to_line(), b"a\\x0aOK\\x0d\\x0a");
    for refusal in [Refusal::VhostsTooLarge, Refusal::TagFixed, Refusal::HostBusy, Refusal::RingSyncTimeout] {
        let reply = Reply::Refused(refusal);
        assert_eq!(Reply::parse(&reply.to_line()), reply);
    }
}

#[test]
fn rows_of_the_ring() {
    for line in [
        "127.0.0.1\t0\tself\t0\tring synced\t0",
        "127.0.0.1\t0\tself\t0\tring syncing - last sync 7 secs ago\t0",
        "127.0.0.59\t9190\t\t0\t",
        "127.0.0.59\t9190\tremoved\t5\t",
        "127.0.0.55\t9190\tright\t0\tsyncing\t4\t74\t453\t0\t141\t1795439047\t1795439047",
        "127.0.0.55\t9190\tout\t0\thandshaking - 12 USERs sent\t0\t74\t453\t0\t141\t1795439047\t0",
        "handshaking - 3 USERs received\t0\t1\t2\t3\t4\t5\t0",
        "::1\t9190\tself\t0\tring handshaking\t0",
        "127.0.0.1\t0\tself\t0\tsomething new\t0",
    ] {
        let row = Row::parse(RowKind::Director, line.as_bytes()).unwrap();
        let mut written = Vec::new();
        row.write_to(&mut written);
        assert_eq!(String::from_utf8(written).unwrap(), line);
    }
    let known = Row::parse(RowKind::Director, b"127.0.0.1\t0\tleft\t0\tsynced\t3\t1\t2\t3\t4\t5\t6");
    let Some(Row::Director(row)) = known else { panic!() };
    assert_eq!((row.status, row.member.unwrap().link), (DirectorStatus::Synced, Link::Left));
    assert_eq!(Row::parse(RowKind::Director, b"127.0.0.1\t0\tup\t0\tsynced"), None);
}

#[test]
fn the_client_refuses_what_it_did_not_ask_for() {
    let heard = |asked: &[Request], answer: &str| {
        let mut client = Client::default();
        asked.iter().for_each(|request| client.ask(request).unwrap());
        client.received(VERSION.as_bytes());
        client.received(answer.as_bytes());
        std::iter::from_fn(|| client.poll_event()).last()
    };
    let closes = |event| matches!(event, Some(ClientEvent::Close(_)));
    assert!(closes(heard(&[], "OK\n")));
    assert!(closes(heard(&[Request::HostList], "some text\n")));
    assert!(closes(heard(&[Request::UserList(None)], "\t\t\n")));
    let lookup = Request::UserLookup { user: UserArgument::named("a"), tag: Vec::new() };
    assert!(closes(heard(std::slice::from_ref(&lookup), "NOTFOUND\n")));
    assert_eq!(heard(&[Request::HostList], "\n"), Some(ClientEvent::RowsEnd));
    assert_eq!(heard(&[Request::HostList], ""), None);
}

#[test]
fn the_client_does_not_ask_without_end() {
    let mut client = Client::default();
    let asked = (0..).take_while(|_| client.ask(&Request::HostList).is_ok()).count();
    assert_eq!((asked, client.open_requests()), (REQUESTS_OPEN_MAX, REQUESTS_OPEN_MAX));
}

/// Everything that any input leads to, answered in the simplest way.
fn outcome(input: &[u8], cuts: &[u8]) -> (Vec<Request>, Option<ServerError>) {
    let mut server = Server::default();
    let (mut requests, mut rest, mut cuts) = (Vec::new(), input, cuts.iter().cycle());
    loop {
        let wanted = usize::from(*cuts.next().unwrap_or(&255)).max(1);
        let (piece, later) = rest.split_at(wanted.min(rest.len()).min(server.room()));
        server.received(piece);
        rest = later;
        let mut moved = !piece.is_empty();
        while let Some(event) = server.poll_event() {
            moved = true;
            let request = match event {
                ServerEvent::Request(request) => request,
                ServerEvent::Close(error) => return (requests, Some(error)),
            };
            match request.answer_shape() {
                AnswerShape::Line => server.answer(&Reply::Ok),
                AnswerShape::Place => {
                    server.answer(&Reply::Place(UserPlace { current: None, hashed: None, initial: None }));
                }
                AnswerShape::Table(_) => server.end_rows(),
            }
            assert!(server.poll_transmit().unwrap().len() < 64);
            requests.push(request);
        }
        if !moved {
            return (requests, None);
        }
    }
}

/// Mostly pieces of real lines, so that most inputs get somewhere.
fn sentence(bytes: &[u8]) -> Vec<u8> {
    let words = [
        "HOST-LIST\n",
        "HOST-SET\t127.0.0.1",
        "@tag",
        "\t5",
        "\n",
        "USER-LOOKUP\tuser",
        "USER-KICK\ta\tnowait\n",
        "X-OWN\ta\t\x01",
        "DIRECTOR-ADD\t::1\t1\n",
        "HOST-RESET-USERS\t\t7\n",
        "USER-LIST\n",
        "\r\n",
        "USER-MOVE\t",
        "7\t127.0.0.1\n",
        "\t",
        "HOST-FLUSH",
    ];
    let mut out = VERSION.as_bytes().to_vec();
    for byte in bytes {
        match words.get(usize::from(*byte)) {
            Some(word) => out.extend_from_slice(word.as_bytes()),
            None => out.push(*byte),
        }
    }
    out
}

#[test]
fn cuts_do_not_matter_and_nothing_panics() {
    bolero::check!().with_type::<(Vec<u8>, Vec<u8>)>().for_each(|(bytes, cuts)| {
        for input in [bytes.clone(), sentence(bytes)] {
            assert_eq!(outcome(&input, cuts), outcome(&input, &[]));
        }
    });
}

#[test]
fn a_request_is_written_as_it_is_read() {
    bolero::check!().for_each(|bytes: &[u8]| {
        for request in outcome(&sentence(bytes), &[]).0 {
            assert_eq!(Request::parse(&request.to_line()), Ok(request));
        }
    });
}

#[test]
fn client_and_server_understand_each_other() {
    bolero::check!().with_type::<(Vec<u8>, Vec<(u32, u64, bool, Vec<u8>)>)>().for_each(|(tag, rows)| {
        let ip = |n: &u32| std::net::IpAddr::from(n.to_be_bytes());
        let tag: Vec<u8> = tag.iter().take(200).copied().collect();
        let row = |(n, users, up, tag): &(u32, u64, bool, Vec<u8>)| {
            let tag = tag.iter().take(500).copied().collect();
            Row::Host(HostRow { ip: ip(n), vhosts: *n, users: *users, tag, up: *up, changed: *users })
        };
        let rows: Vec<_> = rows.iter().take(50).map(row).collect();
        let asked = [
            Request::HostSet { host: HostArgument { ip: ip(&7), tag: Some(tag.clone()) }, vhosts: Some(3) },
            Request::HostList,
        ];
        let (mut client, mut server) = (Client::default(), Server::default());
        asked.iter().for_each(|request| client.ask(request).unwrap());
        server.received(&client.poll_transmit().unwrap());
        assert_eq!(server.poll_event(), Some(ServerEvent::Request(asked[0].clone())));
        server.answer(&Reply::TryAgain);
        assert_eq!(server.poll_event(), Some(ServerEvent::Request(asked[1].clone())));
        assert!(server.push_rows(&mut rows.iter().cloned()));
        server.end_rows();
        let mut heard = Vec::new();
        for piece in server.poll_transmit().unwrap().chunks(100) {
            client.received(piece);
            heard.extend(std::iter::from_fn(|| client.poll_event()));
        }
        let mut expected = vec![ClientEvent::Reply(Reply::TryAgain)];
        expected.extend(rows.into_iter().map(ClientEvent::Row));
        expected.push(ClientEvent::RowsEnd);
        assert_eq!(heard, expected);
    });
}

#[test]
fn the_client_survives_any_answer() {
    bolero::check!().with_type::<(Vec<u8>, Vec<u8>)>().for_each(|(bytes, cuts)| {
        let told = |cuts: &[u8]| {
            let mut client = Client::default();
            for request in ["HOST-LIST", "USER-LIST", "USER-LOOKUP", "DIRECTOR-LIST", "USER-KICK\ta", "X-A"] {
                client.ask(&Request::parse(request.as_bytes()).unwrap()).unwrap();
            }
            client.received(VERSION.as_bytes());
            let (mut events, mut rest, mut cuts) = (Vec::new(), bytes.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let wanted = usize::from(*cuts.next().unwrap_or(&255)).max(1);
                let (piece, later) = rest.split_at(wanted.min(rest.len()));
                client.received(piece);
                events.extend(std::iter::from_fn(|| client.poll_event()));
                rest = later;
            }
            events
        };
        assert_eq!(told(cuts), told(&[]));
    });
}
