//! Scripts and properties of the ipc protocol. Texts and what becomes of malformed lines were measured with the
//! reference, 2.3.19.1.

use super::*;
use crate::{IPC_LINE_BYTES_MAX, OUTPUT_BYTES_MAX, UserHash, UserPattern};

/// What a server says about one line without help; commands are told as `command TARGET LINE`.
fn told(line: &str) -> String {
    let mut server = Server::default();
    server.received(line.as_bytes());
    server.received(b"\n");
    match server.poll_event() {
        Some(ServerEvent::Command(target, command)) => {
            format!("{target:?} {}", String::from_utf8_lossy(&command.to_line()))
        }
        Some(ServerEvent::Close(error)) => panic!("{error}"),
        None => text(server.poll_transmit()),
    }
}

fn text(bytes: Option<Vec<u8>>) -> String {
    String::from_utf8(bytes.unwrap_or_default()).unwrap()
}

fn session(user: &str, alternatives: &[&str]) -> SessionRow {
    SessionRow {
        user: user.into(),
        alternatives: alternatives.iter().map(|value| value.as_bytes().to_vec()).collect(),
        service: b"imap".to_vec(),
        source: Some("127.0.0.1".parse().unwrap()),
        backend: "127.0.0.61:143".parse().unwrap(),
    }
}

#[test]
fn bad_lines_are_answered() {
    for line in ["", "proxy", "proxy\t*", "proxy\t*\t", "\t\t", "\t*\tKICK\ta"] {
        assert_eq!(told(line), "-Invalid input\n", "{line:?}");
    }
    assert_eq!(told("proxy\tx\tKICK"), "-Invalid IPC connection id: x\n");
    assert_eq!(told("foo\t*\tKICK"), "+\n");
    assert_eq!(told("foo\t1\tKICK"), "-Unknown IPC group: foo\n");
    assert_eq!(told("proxy\t*\tlist-full"), "-Unknown command\n");
    for line in ["KICK", "KICK-ALT", "KICK-ALT\tuser_group", "KICK-HOST"] {
        assert_eq!(told(&format!("proxy\t*\t{line}")), "-Missing parameter\n");
    }
    assert_eq!(told("proxy\t*\tKICK-DIRECTOR-HASH"), "-Invalid parameters\n");
    assert_eq!(told("proxy\t*\tKICK-DIRECTOR-HASH\tx"), "-Invalid parameters\n");
    assert_eq!(told("proxy\t*\tKICK-DIRECTOR-HASH\t5\tx"), "-Invalid except_ip parameter\n");
}

#[test]
fn commands_are_understood() {
    assert_eq!(told("proxy\t*\tLIST-FULL\tx\r"), "All LIST-FULL");
    assert_eq!(told("proxy\t17\tKICK\t"), "Process(17) KICK\t");
    assert_eq!(told("proxy\t*\tKICK\ta\x01tb\tc"), "All KICK\ta\x01tb\tc");
    assert_eq!(told("proxy\t*\tKICK-ALT\tuser_group\tg1\tg2"), "All KICK-ALT\tuser_group\tg1\tg2");
    assert_eq!(told("proxy\t*\tKICK-HOST\tbe.test"), "All KICK-HOST\tbe.test");
    assert_eq!(told("proxy\t*\tKICK-DIRECTOR-HASH\t5\t"), "All KICK-DIRECTOR-HASH\t5");
    assert_eq!(told("proxy\t*\tKICK-DIRECTOR-HASH\t5\t::1"), "All KICK-DIRECTOR-HASH\t5\t::1");
}

#[test]
fn w25_a_list_has_one_header_and_constant_columns() {
    let mut server = Server::default();
    server.received(b"proxy\t*\tLIST-FULL\nproxy\t*\tKICK\tq\n");
    assert!(matches!(server.poll_event(), Some(ServerEvent::Command(Target::All, Command::ListFull))));
    server.begin_list(&[b"user_group".to_vec(), b"user_x".to_vec()]);
    let rows = [session("a", &["g1", "y"]), session("b\tc", &[]), session("d", &["1", "2", "3"])];
    assert!(server.push_sessions(&mut rows.into_iter()));
    server.end_list();
    assert!(matches!(server.poll_event(), Some(ServerEvent::Command(Target::All, Command::Kick(_)))));
    server.answer(&Answer::Count(0));
    assert_eq!(
        text(server.poll_transmit()),
        ":username\tuser_group\tuser_x\tservice\tsrc-ip\tdest-ip\tdest-port\n\
         :a\tg1\ty\timap\t127.0.0.1\t127.0.0.61\t143\n\
         :b\x01tc\t\t\timap\t127.0.0.1\t127.0.0.61\t143\n\
         :d\t1\t2\timap\t127.0.0.1\t127.0.0.61\t143\n+\n+0\n"
    );
}

#[test]
fn wrong_answers_close_the_connection() {
    type Answering = fn(&mut Server);
    let wrong: [(&str, Answering); 6] = [
        ("KICK\ta", |server| server.begin_list(&[])),
        ("KICK\ta", Server::end_list),
        ("LIST-FULL", |server| server.answer(&Answer::Done)),
        ("LIST-FULL", |server| assert!(server.push_sessions(&mut std::iter::empty()))),
        ("LIST-FULL", Server::end_list),
        ("KICK\ta", |server| {
            server.answer(&Answer::Count(1));
            server.answer(&Answer::Count(1));
        }),
    ];
    for (line, answer) in wrong {
        let mut server = Server::default();
        server.received(format!("proxy\t*\t{line}\n").as_bytes());
        server.poll_event().unwrap();
        answer(&mut server);
        assert!(
            matches!(server.poll_event(), Some(ServerEvent::Close(ServerError::WrongAnswer(_)))),
            "{line}"
        );
        assert_eq!(server.poll_event(), None);
    }
}

#[test]
fn a_list_may_be_refused() {
    let mut server = Server::default();
    server.received(b"proxy\t9\tLIST-FULL\n");
    server.poll_event().unwrap();
    server.answer(&Answer::Refused(Refusal::UnknownId(9)));
    assert_eq!(text(server.poll_transmit()), "-Unknown IPC connection id: 9\n");
}

#[test]
fn a_line_has_64_kib() {
    let line = |length: usize| format!("proxy\t*\tKICK\t{}\n", "a".repeat(length - 14));
    let mut good = Server::default();
    good.received(line(IPC_LINE_BYTES_MAX).as_bytes());
    assert!(matches!(good.poll_event(), Some(ServerEvent::Command(..))));
    let mut bad = Server::default();
    bad.received(&line(IPC_LINE_BYTES_MAX + 1).as_bytes()[..bad.room()]);
    assert!(matches!(bad.poll_event(), Some(ServerEvent::Close(ServerError::LineTooLong(_)))));
    let long = Command::Kick(vec![UserPattern::new("a".repeat(IPC_LINE_BYTES_MAX))]);
    assert_eq!(Client::default().ask(&long), Err(CommandRefused::TooLong));
}

#[test]
fn many_sessions_need_no_large_buffer() {
    let mut server = Server::default();
    server.received(b"proxy\t*\tLIST-FULL\n");
    server.poll_event().unwrap();
    server.begin_list(&[]);
    let mut rows = (0..100_000).map(|n| session(&format!("user{n}"), &[]));
    let (mut lines, mut largest, mut all) = (0, 0, false);
    while !all {
        all = server.push_sessions(&mut rows);
        let piece = server.poll_transmit().unwrap_or_default();
        largest = largest.max(piece.len());
        lines += piece.iter().filter(|byte| **byte == b'\n').count();
    }
    assert_eq!(lines, 100_001);
    assert!(largest < OUTPUT_BYTES_MAX + 64, "{largest}");
}

#[test]
fn a_peer_that_does_not_read_is_not_answered_without_end() {
    let mut server = Server::default();
    let line = format!("proxy\t{}\tKICK\n", "x".repeat(400));
    let mut sent = 0;
    while server.room() >= line.len() {
        server.received(line.as_bytes());
        assert_eq!(server.poll_event(), None);
        sent += 1;
    }
    assert!(sent > 200 && server.poll_transmit().unwrap().len() < OUTPUT_BYTES_MAX + 512);
}

#[test]
fn w25_numbers_of_kicks_add_up() {
    let refused = |id| Answer::Refused(Refusal::UnknownId(id));
    assert_eq!(Answer::Count(2).and(Answer::Count(3)), Answer::Count(5));
    assert_eq!(Answer::Done.and(Answer::Count(3)), Answer::Count(3));
    assert_eq!(Answer::Count(2).and(Answer::Done), Answer::Count(2));
    assert_eq!(Answer::Done.and(Answer::Done), Answer::Done);
    assert_eq!(Answer::Count(2).and(refused(1)).and(refused(2)).and(Answer::Count(1)), refused(1));
}

#[test]
fn the_client_reads_refusals() {
    for refusal in [
        Refusal::InvalidInput,
        Refusal::InvalidId("x".into()),
        Refusal::UnknownGroup("g".into()),
        Refusal::UnknownId(7),
        Refusal::UnknownCommand,
        Refusal::MissingParameter,
        Refusal::InvalidParameters,
        Refusal::InvalidExceptIp,
        Refusal::Other("else".into()),
    ] {
        let answer = Answer::Refused(refusal);
        assert_eq!(Answer::parse(&answer.to_line()), Some(answer));
    }
    assert_eq!(Answer::Refused(Refusal::Other("a\n+1".into())).to_line(), b"-a\\x0a+1");
}

#[test]
fn the_client_refuses_what_it_did_not_ask_for() {
    let closes = |asked: &[Command], answer: &str| {
        let mut client = Client::default();
        asked.iter().for_each(|command| client.ask(command).unwrap());
        client.received(answer.as_bytes());
        matches!(std::iter::from_fn(|| client.poll_event()).last(), Some(ClientEvent::Close(_)))
    };
    assert!(closes(&[], "+\n"));
    assert!(closes(&[Command::ListFull], ":a\timap\t127.0.0.1\t127.0.0.2\t143\n"), "no header");
    assert!(closes(&[Command::ListFull], ":username\tservice\tsrc-ip\tdest-ip\tdest-port\n:a\tb\n"));
    assert!(closes(&[Command::ListFull], "?\n"));
    assert!(!closes(&[Command::ListFull], "+\n"));
}

const JOIN: &str = "VERSION\tipc-server\t1\t0\nHANDSHAKE\tproxy\t42\n";

fn joined() -> LoginProcess {
    let mut process = LoginProcess::default();
    assert_eq!(text(process.poll_transmit()), "VERSION\tipc-proxy\t1\t0\n");
    assert_eq!(process.send(&Command::ListFull), None);
    process.received(JOIN.as_bytes());
    assert_eq!(process.poll_event(), Some(ProcessEvent::Joined(42)));
    process
}

#[test]
fn a_login_process_is_asked() {
    let mut process = joined();
    let list = process.send(&Command::ListFull).unwrap();
    let kick = process.send(&Command::KickHash { hash: UserHash(5), except: None }).unwrap();
    assert_eq!(text(process.poll_transmit()), "1\tLIST-FULL\n2\tKICK-DIRECTOR-HASH\t5\n");
    process.received(b"1\t:username\tuser_x\tservice\tsrc-ip\tdest-ip\tdest-port\n2\t+3\n");
    process.received(b"1\t:a\ty\timap\t127.0.0.1\t127.0.0.61\t143\n1\t+\n");
    let heard: Vec<_> = std::iter::from_fn(|| process.poll_event()).collect();
    assert_eq!(
        heard,
        [
            ProcessEvent::Header(list, vec![b"user_x".to_vec()]),
            ProcessEvent::Answer(kick, Answer::Count(3)),
            ProcessEvent::Session(list, session("a", &["y"])),
            ProcessEvent::Answer(list, Answer::Done),
        ]
    );
    assert_eq!(process.open_commands(), 0);
}

#[test]
fn a_login_process_must_introduce_itself() {
    for (input, expected) in [
        ("VERSION\tipc-proxy\t1\t0\n", ProcessError::Incompatible),
        ("HANDSHAKE\tproxy\t42\n", ProcessError::Incompatible),
        ("VERSION\tipc-server\t1\t0\nHANDSHAKE\tother\t42\n", ProcessError::BadHandshake),
        ("VERSION\tipc-server\t1\t0\nHANDSHAKE\tproxy\n", ProcessError::BadHandshake),
        ("VERSION\tipc-server\t1\t0\nVERSION\tipc-server\t1\t0\n", ProcessError::BadHandshake),
    ] {
        let mut process = LoginProcess::default();
        process.received(input.as_bytes());
        assert_eq!(process.poll_event(), Some(ProcessEvent::Close(expected)), "{input:?}");
        assert_eq!(process.poll_event(), None);
    }
    let mut process = joined();
    process.received(b"1\t+0\n");
    assert_eq!(process.poll_event(), Some(ProcessEvent::Close(ProcessError::BadReply("1\\x09+0".into()))));
}

#[test]
fn a_login_process_that_hangs_gets_no_more_commands() {
    let mut process = joined();
    let sent = (0..).take_while(|_| process.send(&Command::ListFull).is_some()).count();
    assert_eq!((sent, process.open_commands()), (COMMANDS_OPEN_MAX, COMMANDS_OPEN_MAX));
}

/// Mostly pieces of real lines, so that most inputs get somewhere.
fn sentence(bytes: &[u8]) -> Vec<u8> {
    let words = [
        "proxy\t*\tLIST-FULL\n",
        "proxy\t*\tKICK",
        "\ta",
        "\n",
        "\t",
        "proxy\t7\tKICK-ALT\tf",
        "proxy\t*\tKICK-HOST\t",
        "proxy\t*\tKICK-DIRECTOR-HASH\t5",
        "\t::1",
        "1\t",
        "+",
        ":",
        "-",
        "\r\n",
        "127.0.0.1",
        "\x01",
    ];
    let word = |byte: &u8| words.get(usize::from(*byte)).map_or(vec![*byte], |word| word.as_bytes().to_vec());
    bytes.iter().flat_map(word).collect()
}

/// What a server makes of any input, each command answered in the simplest way.
fn outcome(input: &[u8], cuts: &[u8]) -> (Vec<(Target, Command)>, Vec<u8>) {
    let mut server = Server::default();
    let (mut commands, mut said, mut rest) = (Vec::new(), Vec::new(), input);
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let wanted = usize::from(*cuts.next().unwrap_or(&255)).max(1);
        let (piece, later) = rest.split_at(wanted.min(rest.len()).min(server.room()));
        server.received(piece);
        rest = later;
        while let Some(ServerEvent::Command(target, command)) = server.poll_event() {
            if command == Command::ListFull {
                server.begin_list(&[]);
                server.end_list();
            } else {
                server.answer(&Answer::Count(1));
            }
            commands.push((target, command));
        }
        said.extend(server.poll_transmit().unwrap_or_default());
    }
    (commands, said)
}

#[test]
fn cuts_do_not_matter_and_nothing_panics() {
    bolero::check!().with_type::<(Vec<u8>, Vec<u8>)>().for_each(|(bytes, cuts)| {
        let input = sentence(bytes);
        let (commands, said) = outcome(&input, cuts);
        assert_eq!((&commands, &said), (&outcome(&input, &[]).0, &outcome(&input, &[]).1));
        for (_, command) in commands {
            assert_eq!(Command::parse(&command.to_line()), Ok(command));
        }
    });
}

#[test]
fn client_and_process_survive_any_answer() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let input = sentence(bytes);
        let (mut client, mut process) = (Client::default(), joined());
        client.ask(&Command::ListFull).unwrap();
        process.send(&Command::ListFull).unwrap();
        for piece in input.chunks(100) {
            client.received(piece);
            process.received(piece);
            while client.poll_event().is_some() {}
            while process.poll_event().is_some() {}
        }
    });
}

#[test]
fn client_and_server_understand_each_other() {
    bolero::check!().with_type::<(Vec<Vec<u8>>, u16)>().for_each(|(names, port)| {
        let row = |name: &Vec<u8>| SessionRow {
            user: name.iter().take(500).copied().collect(),
            alternatives: vec![name.iter().rev().take(500).copied().collect()],
            service: b"pop3".to_vec(),
            source: None,
            backend: (std::net::Ipv6Addr::LOCALHOST, *port).into(),
        };
        let rows: Vec<_> = names.iter().take(20).map(row).collect();
        let (mut client, mut server) = (Client::default(), Server::default());
        client.ask(&Command::ListFull).unwrap();
        server.received(&client.poll_transmit().unwrap());
        server.poll_event().unwrap();
        let header = vec![b"user_a\tb".to_vec()];
        server.begin_list(&header);
        assert!(server.push_sessions(&mut rows.iter().cloned()));
        server.end_list();
        let mut heard = Vec::new();
        for piece in server.poll_transmit().unwrap().chunks(100) {
            client.received(piece);
            heard.extend(std::iter::from_fn(|| client.poll_event()));
        }
        let mut expected = vec![ClientEvent::Header(header)];
        expected.extend(rows.into_iter().map(ClientEvent::Session));
        expected.push(ClientEvent::Answer(Answer::Done));
        assert_eq!(heard, expected);
    });
}
