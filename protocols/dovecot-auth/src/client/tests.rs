//! Scripts against the multiplexer, and what must hold for any input. Names follow the rows of
//! spec/login-proxy.md 16.

use homing_login::{ClientIdentity, ForwardField, Secured, Service, TlsFacts};
use homing_wire::SessionId;

use super::*;

const OPENING: &[u8] =
    b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tFOO\tprivate\nMECH\tX-NEW\tunknown-flag\nSPID\t1\nCUID\t1\nCOOKIE\t00\nDONE\n";

fn request() -> AuthRequest {
    let session = SessionId::received(b"S1").unwrap();
    let (remote, local) = ("192.0.2.1:1234".parse().unwrap(), "192.0.2.9:143".parse().unwrap());
    AuthRequest {
        mechanism: "PLAIN".to_owned(),
        initial_response: Some(Secret::from("AGFsaWNlAHB3")),
        client: ClientIdentity::new(Service::Imap, remote, local, session),
        tls: None,
    }
}

/// Up to `DONE`, everything polled.
fn ready() -> AuthClient {
    let mut client = AuthClient::default();
    connect(&mut client);
    client
}

fn connect(client: &mut AuthClient) {
    client.connected(ConnectionId::new(7).unwrap());
    client.received(OPENING);
    assert_eq!(sent(client), "VERSION\t1\t2\nCPID\t7\n");
    assert!(matches!(client.poll_event(), Some(Event::Ready(_))));
}

fn sent(client: &mut AuthClient) -> String {
    let bytes: Vec<u8> =
        std::iter::from_fn(|| client.poll_transmit()).flat_map(|s| s.expose().to_vec()).collect();
    String::from_utf8(bytes).unwrap()
}

fn events(client: &mut AuthClient) -> Vec<String> {
    std::iter::from_fn(|| client.poll_event()).map(|event| told(&event)).collect()
}

fn told(event: &Event) -> String {
    match event {
        Event::Ready(list) => format!("ready {}", list.len()),
        Event::UnknownId(id) => format!("unknown {id}"),
        Event::Close(error) => format!("close: {error}"),
        Event::Reply(id, AuthReply::Lost) => format!("{id} lost"),
        Event::Reply(id, AuthReply::Challenge(data)) => format!("{id} + {}", String::from_utf8_lossy(data)),
        Event::Reply(id, AuthReply::Ok(ok)) => format!("{id} ok {}", ok.fields.text("user").unwrap_or("-")),
        Event::Reply(id, AuthReply::Fail(fail)) => {
            format!("{id} fail {}", fail.fields.text("code").unwrap_or("-"))
        }
    }
}

/// What is asked for `change`d requests, from `service=` on.
fn parameters(change: impl Fn(&mut AuthRequest)) -> String {
    let mut request = request();
    change(&mut request);
    let line = request::auth(RequestId::FIRST, &request);
    let text = String::from_utf8(line.expose().to_vec()).unwrap();
    text.strip_prefix("AUTH\t1\tPLAIN\t").unwrap().strip_suffix('\n').unwrap().to_owned()
}

#[test]
fn ap_01_speaks_first_and_asks_only_after_done() {
    let mut client = AuthClient::default();
    assert_eq!(client.begin(&request()), Err(BeginError::NotReady));
    client.connected(ConnectionId::new(9674).unwrap());
    assert_eq!(sent(&mut client), "VERSION\t1\t2\nCPID\t9674\n");
    client.received(&OPENING[..OPENING.len() - 1]);
    assert_eq!(client.begin(&request()), Err(BeginError::NotReady));
    client.received(b"\n");
    assert_eq!(events(&mut client), ["ready 3"]);
    assert!(client.begin(&request()).is_ok());
}

#[test]
fn ap_03_mechanisms_with_their_flags() {
    let client = ready();
    let list = client.mechanisms().unwrap();
    assert!(Mechanism::find(list, b"plain").unwrap().plaintext);
    assert!(Mechanism::find(list, b"FOO").is_none());
    assert!(!Mechanism::find(list, b"x-new").unwrap().plaintext);
}

#[test]
fn ap_04_parameters_in_order() {
    let expected =
        "service=imap\tsession=S1\tlip=192.0.2.9\trip=192.0.2.1\tlport=143\trport=1234\tresp=AGFsaWNlAHB3";
    assert_eq!(parameters(|_| {}), expected);
    let without = parameters(|r| r.initial_response = None);
    assert!(without.ends_with("rport=1234"));
    assert!(parameters(|r| r.initial_response = Some(Secret::default())).ends_with("\tresp="));
    assert!(parameters(|r| r.client.service = Service::Sieve).starts_with("service=sieve\t"));
}

#[test]
fn ap_05_06_secured() {
    let tls = parameters(|r| r.client.secured = Secured::Tls);
    assert!(tls.starts_with("service=imap\tsecured=tls\tsession="), "{tls}");
    let trusted = parameters(|r| r.client.secured = Secured::Yes);
    assert!(trusted.starts_with("service=imap\tsecured\tsession="), "{trusted}");
}

#[test]
fn ap_07_08_client_certificates() {
    let facts = |valid| TlsFacts {
        valid_client_cert: valid,
        cert_username: Some("alice".to_owned()),
        ..TlsFacts::default()
    };
    let valid = parameters(|r| r.tls = Some(facts(true)));
    assert!(valid.starts_with("service=imap\tvalid-client-cert\tsession=S1\tcert_username=alice\tlip="));
    let invalid = parameters(|r| r.tls = Some(facts(false)));
    assert!(!invalid.contains("cert"), "{invalid}");
}

#[test]
fn ap_09_server_name() {
    let sni = TlsFacts { server_name: Some("Other.Example.com".to_owned()), ..TlsFacts::default() };
    let line = parameters(|r| {
        r.client.local_name = Some("authority.example".to_owned());
        r.tls = Some(sni.clone());
    });
    assert!(line.contains("\trport=1234\tlocal_name=Other.Example.com\tresp="), "{line}");
    let header = parameters(|r| r.client.local_name = Some("authority.example".to_owned()));
    assert!(header.contains("local_name=authority.example"), "{header}");
}

#[test]
fn ap_10_real_addresses_where_they_differ() {
    let line = parameters(|r| {
        r.client.real_remote = "127.0.0.5:99".parse().unwrap();
        r.client.real_local = "192.0.2.9:2143".parse().unwrap();
        r.client.remote = "[2001:db8::1]:1234".parse().unwrap();
    });
    let part =
        "rip=2001:db8::1\tlport=143\trport=1234\treal_rip=127.0.0.5\treal_lport=2143\treal_rport=99\tresp=";
    assert!(line.contains(part), "{line}");
}

#[test]
fn forward_fields_are_escaped_twice_and_never_bare() {
    let field = |key: &str, value: Option<&str>| ForwardField {
        key: key.into(),
        value: value.map(|v| v.as_bytes().to_vec()),
    };
    let line = parameters(|r| {
        r.client.forward =
            vec![field("foo", Some("bar")), field("nopassword", None), field("x", Some("a\tb"))];
        r.client.retained_id = "\"a\" \"b\tc\"".to_owned();
    });
    let part = "\tclient_id=\"a\" \"b\x01tc\"\tforward_fields=foo=bar\x01tx=a\x011tb\tresp=";
    assert!(line.contains(part), "{line}");
}

#[test]
fn ap_11_ids_rise_over_reconnects() {
    let mut client = ready();
    let first = client.begin(&request()).unwrap();
    assert_eq!(client.begin(&request()).unwrap(), first.next());
    client.disconnected();
    connect_after_loss(&mut client);
    assert_eq!(client.begin(&request()).unwrap(), first.next().next());
}

fn connect_after_loss(client: &mut AuthClient) {
    assert_eq!(events(client), ["1 lost", "2 lost"]);
    connect(client);
}

#[test]
fn ids_wrap_without_touching_open_requests() {
    let mut client = AuthClient::starting_with(RequestId::new(u32::MAX).unwrap());
    connect(&mut client);
    let ids = [(); 2].map(|()| client.begin(&request()).unwrap().to_string());
    assert_eq!(ids, ["4294967295", "1"]);
    client.next = RequestId::new(u32::MAX).unwrap();
    assert_eq!(client.begin(&request()).unwrap().to_string(), "2");
}

#[test]
fn ap_12_unknown_ids_are_told_and_ignored() {
    let mut client = ready();
    client.begin(&request()).unwrap();
    client.received(b"OK\t9999\tuser=alice\nOK\t0\nOK\t1\tuser=bob\tproxy\n");
    assert_eq!(events(&mut client), ["unknown 9999", "unknown 0", "1 ok bob"]);
}

#[test]
fn ap_13_broken_input_closes() {
    let long = [b"OK\t1\tuser=alice\tproxy\tx=", &vec![b'y'; 17000][..]].concat();
    let cases: [(&[u8], &str); 9] = [
        (b"FOO\t1\n", "Auth server sent unknown response: FOO"),
        (b"\n", "Auth server sent unknown response: "),
        (b"CONT\t1\n", "BUG: Authentication server sent broken CONT line"),
        (b"CONT\t1\tAA\x01n==\n", "BUG: Authentication server sent broken CONT line"),
        (b"OK\n", "BUG: Authentication server input missing ID"),
        (b"FAIL\tx\n", "BUG: Authentication server input missing ID"),
        (b"CONT\t1\tAA==\nCONT\t1\tAA==\n", "Authentication server sent CONT twice"),
        (b"CONT\t1\tAA==\nOK\t1\tuser=a\n", "Authentication server sent OK before its CONT was answered"),
        (&long, "BUG: Auth server sent us more than 16384 bytes of data"),
    ];
    for (bytes, text) in cases {
        let mut client = ready();
        client.begin(&request()).unwrap();
        for piece in bytes.chunks(1000) {
            let fitting = piece.len().min(client.room());
            client.received(&piece[..fitting]);
        }
        let told: Vec<_> = events(&mut client).into_iter().filter(|e| !e.contains('+')).collect();
        assert_eq!(told, ["1 lost".to_owned(), format!("close: {text}")]);
        assert_eq!(client.begin(&request()), Err(BeginError::NotReady));
    }
}

#[test]
fn a_line_of_the_longest_length_is_taken() {
    let mut client = ready();
    client.begin(&request()).unwrap();
    let mut line = b"OK\t1\tuser=alice\tproxy\tx=".to_vec();
    line.resize(AUTH_LINE_BYTES_MAX - 1, b'y');
    line.push(b'\n');
    client.received(&line);
    assert_eq!(events(&mut client), ["1 ok alice"]);
}

#[test]
fn broken_openings_are_refused() {
    let many = format!("VERSION\t1\t2\n{}", "MECH\tX\n".repeat(MECHANISMS_MAX + 1));
    let cases: [(&str, ProtocolError); 13] = [
        ("VERSION\t2\t0\n", ProtocolError::Incompatible),
        ("MECH\tPLAIN\n", ProtocolError::Incompatible),
        ("VERSION\n", ProtocolError::Incompatible),
        ("VERSION\t1\t9\nFOO\n", ProtocolError::UnknownOpening("FOO".to_owned())),
        ("VERSION\t1\t2\nMECH\n", ProtocolError::BrokenMech),
        ("VERSION\t1\t2\nMECH\tA B\n", ProtocolError::BrokenMech),
        ("VERSION\t1\t2\nSPID\tx\n", ProtocolError::BrokenNumber("SPID")),
        ("VERSION\t1\t2\nCUID\n", ProtocolError::BrokenNumber("CUID")),
        ("VERSION\t1\t2\nCOOKIE\n", ProtocolError::BrokenCookie),
        ("VERSION\t1\t2\nCOOKIE\ta\nCOOKIE\ta\n", ProtocolError::BrokenCookie),
        ("VERSION\t1\t2\nCOOKIE\ta\nDONE\n", ProtocolError::NoMechs),
        ("VERSION\t1\t2\nMECH\tPLAIN\nDONE\n", ProtocolError::NoCookie),
        (&many, ProtocolError::TooManyMechs),
    ];
    for (lines, error) in cases {
        let mut client = AuthClient::default();
        client.connected(ConnectionId::new(1).unwrap());
        client.received(lines.as_bytes());
        assert_eq!(events(&mut client), [format!("close: {error}")], "{lines}");
    }
}

#[test]
fn ap_14_open_requests_are_lost_with_the_connection() {
    let mut client = ready();
    client.begin(&request()).unwrap();
    client.disconnected();
    assert_eq!(events(&mut client), ["1 lost"]);
    assert_eq!(sent(&mut client), "", "nothing of the old connection reaches the new one");
}

#[test]
fn ap_17_challenges_and_responses() {
    let mut client = ready();
    let id = client.begin(&AuthRequest { initial_response: None, ..request() }).unwrap();
    client.respond(id, &Secret::from("AAAA"));
    client.received(b"CONT\t1\tcixyPTE=\n");
    client.respond(id, &Secret::from("Yz1h"));
    client.respond(id, &Secret::from("Yz1h"));
    client.received(b"CONT\t1\t\nFAIL\t1\tuser=x\n");
    assert_eq!(events(&mut client), ["1 + cixyPTE=", "1 + ", "1 fail -"]);
    assert!(sent(&mut client).ends_with("\nCONT\t1\tYz1h\n"), "only asked for, only once");
}

#[test]
fn ap_18_19_cancelled_requests() {
    let mut client = ready();
    let id = client.begin(&request()).unwrap();
    client.cancel(id);
    client.cancel(id);
    assert!(sent(&mut client).ends_with("\nCANCEL\t1\n"));
    client.received(b"FAIL\t1\tuser=x\n");
    assert_eq!(events(&mut client), Vec::<String>::new(), "a late reply is ignored");
}

#[test]
fn ap_20_a_response_that_is_no_base64_ends_the_request() {
    let mut client = ready();
    let id = client.begin(&request()).unwrap();
    client.received(b"CONT\t1\t\n");
    client.respond(id, &Secret::from("!!\tx"));
    assert_eq!(events(&mut client), ["1 + ", "1 fail invalid_base64"]);
    assert!(sent(&mut client).ends_with("\nCANCEL\t1\n"));
}

#[test]
fn a_success_without_destination_is_cancelled() {
    for (fields, cancelled) in [("proxy", false), ("nologin", false), ("host=1.2.3.4", true)] {
        let mut client = ready();
        client.begin(&request()).unwrap();
        drop(sent(&mut client));
        client.received(format!("OK\t1\tuser=a\t{fields}\n").as_bytes());
        assert_eq!(!sent(&mut client).is_empty(), cancelled, "{fields}");
        assert_eq!(client.open_requests(), 0);
    }
}

#[test]
fn requests_are_bounded() {
    let mut client = ready();
    let unknown = AuthRequest { mechanism: "NOSUCH".to_owned(), ..request() };
    assert_eq!(client.begin(&unknown), Err(BeginError::UnknownMechanism));
    let long = Secret::new(vec![b'A'; AUTH_LINE_BYTES_MAX]);
    let long = AuthRequest { initial_response: Some(long), ..request() };
    assert_eq!(client.begin(&long), Err(BeginError::TooLong));
    for _ in 0..REQUESTS_OPEN_MAX {
        client.begin(&request()).unwrap();
    }
    drop(sent(&mut client));
    assert_eq!(client.begin(&request()), Err(BeginError::Busy));
}

#[test]
fn bytes_to_send_are_bounded() {
    let mut client = ready();
    let large = Secret::new(vec![b'A'; 8192]);
    let large = AuthRequest { initial_response: Some(large), ..request() };
    let error = std::iter::from_fn(|| Some(client.begin(&large))).find_map(Result::err);
    assert_eq!(error, Some(BeginError::Busy));
    assert!(client.queued < QUEUED_BYTES_MAX + AUTH_LINE_BYTES_MAX);
    drop(sent(&mut client));
    assert!(client.begin(&large).is_ok());
}

#[test]
fn secrets_stay_out_of_debug() {
    let mut client = ready();
    client.begin(&request()).unwrap();
    client.received(b"OK\t1\tuser=a\tproxy\tpass=hunter2\nOK\t1\tpass=hunter2");
    let shown = format!("{client:?}");
    assert!(shown.contains("user") && !shown.contains("AHB3") && !shown.contains("hunter2"), "{shown}");
}

/// Plays `bytes` in pieces, answering and cancelling on the way.
fn play(bytes: &[u8], mut piece: impl FnMut() -> usize) -> (Vec<String>, usize) {
    let mut client = ready();
    for _ in 0..3 {
        client.begin(&request()).unwrap();
    }
    let (mut rest, mut log) = (bytes, Vec::new());
    while !rest.is_empty() {
        let count = piece().clamp(1, rest.len()).min(client.room());
        assert!(count > 0, "there is always room after a line was taken");
        client.received(&rest[..count]);
        rest = &rest[count..];
        let told = events(&mut client);
        let over = told.iter().any(|event| event.starts_with("close"));
        log.extend(told);
        if over {
            break;
        }
    }
    (log, client.open_requests())
}

#[test]
fn any_input_is_survived_and_read_alike_in_pieces() {
    const LINES: [&str; 8] = [
        "OK\t1\tuser=a\tproxy",
        "OK\t2\tuser=b",
        "CONT\t3\tAA==",
        "FAIL\t3\tcode=temp_fail",
        "OK\t77",
        "CONT\t1\t",
        "FAIL\t2",
        "",
    ];
    bolero::check!().with_type::<(Vec<u8>, Vec<u8>, u8)>().for_each(|(lines, noise, size)| {
        let mut bytes = Vec::new();
        for line in lines {
            bytes.extend_from_slice(LINES[usize::from(*line) % 7].as_bytes());
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(noise);
        let whole = play(&bytes, || usize::MAX);
        assert_eq!(play(&bytes, || usize::from(*size)), whole);
        assert_eq!(play(&bytes, || 1), whole);
        assert!(whole.1 <= 3);
    });
}

#[test]
fn any_opening_is_survived() {
    bolero::check!().with_type::<(Vec<u8>, u8)>().for_each(|(bytes, cut)| {
        let mut client = AuthClient::default();
        client.connected(ConnectionId::new(1).unwrap());
        let cut = usize::from(*cut).min(OPENING.len());
        client.received(&OPENING[..cut]);
        client.received(&bytes[..bytes.len().min(client.room())]);
        assert!(events(&mut client).len() <= bytes.len() + 1);
    });
}
