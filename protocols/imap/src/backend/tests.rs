//! Rows IB-01 to IB-45 as far as one backend connection decides them, as scripts, and what must hold for any bytes.

use homing_login::{ForwardField, Service};
use homing_transcripts::backend::{self, feed};

use super::*;

const BANNER: &str = "* OK [CAPABILITY IMAP4rev1 SASL-IR ID LITERAL+ STARTTLS AUTH=PLAIN] Mock ready.\n";
const BARE: &str = "* OK [CAPABILITY IMAP4rev1] Mock\n";
const SILENT: &str = "* OK Mock\n";
const ID: &str = "I ID (\"x-session-id\" \"S0\" \"x-originating-ip\" \"127.0.77.100\" \"x-originating-port\" \"38471\" \
    \"x-connected-ip\" \"127.0.77.1\" \"x-connected-port\" \"143\" \"x-proxy-ttl\" \"4\")/";
const LOGIN: &str = "L LOGIN \"alice\" \"alicepw\"/";
const ID_DONE: &str = "* ID (\"name\" \"mock\")\nI OK ID done\n";

fn login() -> BackendLogin {
    backend::login(Service::Imap)
}

fn with_password(password: &[u8]) -> BackendLogin {
    BackendLogin { password: Secret::from(password), ..login() }
}

fn with_mechanism(name: &str) -> BackendLogin {
    BackendLogin { mechanism: Some(name.to_owned()), ..login() }
}

fn id_and(rest: &str) -> String {
    format!("{ID}{rest}")
}

fn play(login: &BackendLogin, steps: &[(&str, &str)]) {
    backend::play(|| ImapBackend::new(login.clone()), steps);
}

#[test]
fn ib_01_id_and_login_in_one_go() {
    let mut backend = ImapBackend::new(login());
    feed(&mut backend, BANNER.trim_end(), usize::MAX);
    backend.handle(BackendInput::Bytes(b"\r\n"));
    let Some(BackendOutput::Send(bytes)) = backend.poll_output() else { panic!() };
    assert_eq!(String::from_utf8_lossy(bytes.expose()).replace("\r\n", "/"), id_and(LOGIN));
    assert!(backend.poll_output().is_none());
    // IB-14: the text goes to the client as it is; what follows stays untouched.
    assert_eq!(
        feed(&mut backend, "* ID NIL\nI NO\nL OK [CAPABILITY IMAP4rev1 IDLE] in\n* 1 EXISTS\nx", usize::MAX),
        "<in [CAPABILITY IMAP4rev1 IDLE] in [IMAP4rev1 SASL-IR ID LITERAL+ STARTTLS AUTH=PLAIN] + * 1 EXISTS/x>"
    );
    assert_eq!(feed(&mut backend, "L NO later\n", 1), "");
}

#[test]
fn ib_03_capabilities_are_asked_for_if_the_banner_has_none() {
    play(
        &login(),
        &[
            (SILENT, &format!("C CAPABILITY/{LOGIN}")),
            ("* CAPABILITY IMAP4rev1 ID\nC OK done\n", ""),
            ("L OK in\n", "<in in [IMAP4rev1 ID] + >"),
        ],
    );
    play(&login(), &[(SILENT, &format!("C CAPABILITY/{LOGIN}")), ("C NO\nL OK in\n", "<in in + >")]);
    let known = BackendLogin { known_capabilities: Some("OLD ID".to_owned()), ..login() };
    play(&known, &[(SILENT, LOGIN), ("L OK in\n", "<in in [OLD ID] + >")]);
    play(&known, &[(BARE, LOGIN), ("L OK in\n", "<in in [IMAP4rev1] + >")]);
}

#[test]
fn ib_04_no_id_without_the_capability() {
    play(&login(), &[("* OK [CAPABILITY IMAP4rev1 SASL-IR IDLE] Mock\n", LOGIN)]);
}

#[test]
fn ib_05_no_id_to_a_backend_that_does_not_trust() {
    play(&BackendLogin { not_trusted: true, ..login() }, &[(BANNER, LOGIN)]);
}

#[test]
fn ib_06_forward_fields() {
    let forward = vec![ForwardField { key: b"x".to_vec(), value: Some(b"1".to_vec()) }];
    let id = ID.replace(")/", " \"x-forward-x\" \"1\")/");
    play(&BackendLogin { forward, ..login() }, &[(BANNER, &(id + LOGIN))]);
}

#[test]
fn ib_07_no_pipelining() {
    let login = BackendLogin { no_pipelining: true, ..login() };
    play(&login, &[(BANNER, ID), ("* ID NIL\n", ""), ("I BAD\n", LOGIN), ("I OK again\n", "")]);
    play(
        &login,
        &[
            (SILENT, "C CAPABILITY/"),
            ("* CAPABILITY IMAP4rev1\n", ""),
            ("C OK done\n", LOGIN),
            ("C OK done\n", ""),
        ],
    );
    play(&login, &[(SILENT, "C CAPABILITY/"), ("C NO no\n", "")]);
    play(&login, &[(BARE, LOGIN)]);
    let secure = BackendLogin { starttls: true, ask_capabilities: true, ..login };
    play(
        &secure,
        &[
            (BANNER, ID),
            ("I OK\n", "S STARTTLS/"),
            ("S OK go\n", "<starttls>"),
            ("TLS", "C CAPABILITY/"),
            ("C OK done\n", LOGIN),
        ],
    );
}

/// RFC 3501 section 6.2.1: anybody on the way may have said them.
#[test]
fn capabilities_from_before_tls_are_not_shown() {
    let secure = BackendLogin { starttls: true, ..login() };
    let greeted = id_and("S STARTTLS/");
    let until_login =
        [(BANNER, greeted.as_str()), (ID_DONE, ""), ("S OK go\n", "<starttls>"), ("TLS", LOGIN)];
    play(&secure, &[&until_login[..], &[("L OK in\n", "<in in + >")]].concat());
    play(&secure, &[&until_login[..], &[("* CAPABILITY B\nL OK in\n", "<in in [B] + >")]].concat());
    let mut backend = ImapBackend::new(secure);
    backend.handle(BackendInput::Bytes(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"));
    assert_eq!(backend.capabilities(), None);
}

#[test]
fn ib_08_ib_09_literals_do_not_wait() {
    let sent = "L LOGIN \"alice\" {5}/p\u{e4}ss/";
    play(
        &with_password("p\u{e4}ss".as_bytes()),
        &[(BARE, sent), ("+ OK\n+\n", ""), ("L OK in\n", "<in in [IMAP4rev1] + >")],
    );
    let odd = BackendLogin { user: UserName::from("we\"i\\rd"), ..with_password(b"a\"b\"c\"d\"e\"f") };
    play(&odd, &[(BARE, "L LOGIN \"we\\\"i\\\\rd\" {11}/a\"b\"c\"d\"e\"f/")]);
}

#[test]
fn ib_10_ib_11_master_user() {
    let login = BackendLogin { master: Some(UserName::from("pm")), ..login() };
    let plain = "YWxpY2UAcG0AYWxpY2Vwdw==/";
    play(&login, &[(BANNER, &id_and(&format!("L AUTHENTICATE PLAIN {plain}")))]);
    play(
        &login,
        &[
            (BARE, "L AUTHENTICATE PLAIN/"),
            ("+ \n", plain),
            ("+ \n", "<Protocol: Invalid authentication data: Server didn't finish authentication>"),
        ],
    );
    // PLAIN speaks first: a server that asks something does not speak PLAIN.
    let asked = "<Protocol: Invalid authentication data: Server sent non-empty initial response>";
    for master in [login, with_mechanism("XOAUTH2")] {
        let mechanism = master.mechanism.clone().unwrap_or("PLAIN".to_owned());
        let sent = format!("L AUTHENTICATE {mechanism}/");
        play(&master, &[(BARE, &sent), ("+ eA==\n", asked), ("+ \n", "")]);
    }
}

#[test]
fn ib_12_mechanisms() {
    let ir = "* OK [CAPABILITY IMAP4rev1 sasl-ir] Mock\n";
    play(
        &with_mechanism("LOGIN"),
        &[
            (ir, "L AUTHENTICATE LOGIN =/"),
            ("+ VXNlcg==\n", "YWxpY2U=/"),
            ("+ UGFzcw== \n", "YWxpY2Vwdw==/"),
            ("L OK in\n", "<in in [IMAP4rev1 sasl-ir] + >"),
        ],
    );
    play(&with_mechanism("EXTERNAL"), &[(ir, "L AUTHENTICATE EXTERNAL YWxpY2U=/")]);
    play(
        &with_mechanism("XOAUTH2"),
        &[(ir, "L AUTHENTICATE XOAUTH2 dXNlcj1hbGljZQFhdXRoPUJlYXJlciBhbGljZXB3AQE=/")],
    );
    play(
        &with_mechanism("OAUTHBEARER"),
        &[(BARE, "L AUTHENTICATE OAUTHBEARER/"), ("+ \n", "bixhPWFsaWNlLAFhdXRoPUJlYXJlciBhbGljZXB3AQE=/")],
    );
    let bad = "<Protocol: Invalid base64 data in AUTHENTICATE response>";
    for challenge in ["+\n", "+x\n", "+ !\n", "+ eA=\n"] {
        play(&with_mechanism("LOGIN"), &[(ir, "L AUTHENTICATE LOGIN =/"), (challenge, bad)]);
    }
}

#[test]
fn ib_13_unknown_mechanism() {
    play(
        &with_mechanism("SCRAM-SHA-256"),
        &[("", "<Internal: Unsupported SASL mechanism SCRAM-SHA-256>"), (BANNER, "")],
    );
}

#[test]
fn ib_16_the_client_asked_for_capabilities() {
    play(
        &BackendLogin { ask_capabilities: true, ..login() },
        &[
            (BANNER, &id_and(&format!("C CAPABILITY/{LOGIN}"))),
            ("* CAPABILITY A\nC OK done\n* capability B\nL OK in\n", "<in in [B] + >"),
        ],
    );
}

#[test]
fn ib_19_untagged_lines() {
    let said = "* OK [ALERT] hello\n* 3 EXISTS\n* BYE nothing\n* id NIL\nX OK stray\n";
    let expected =
        "<line * OK [ALERT] hello/> <line * 3 EXISTS/> <warning Unexpected input, ignoring: X OK stray>";
    for step in [usize::MAX, 1] {
        let mut backend = ImapBackend::new(login());
        feed(&mut backend, BANNER, step);
        assert_eq!(feed(&mut backend, said, step), expected);
    }
}

#[test]
fn ib_20_starttls() {
    let login = BackendLogin { starttls: true, ..login() };
    play(
        &login,
        &[
            (BANNER, &id_and("S STARTTLS/")),
            (ID_DONE, ""),
            ("S OK go\n", "<starttls>"),
            ("TLS", LOGIN),
            ("TLS", ""),
            ("* 1 EXISTS\n", "<line * 1 EXISTS/>"),
        ],
    );
    play(
        &login,
        &[(SILENT, "S STARTTLS/"), ("S OK go\n", "<starttls>"), ("TLS", &format!("C CAPABILITY/{LOGIN}"))],
    );
}

#[test]
fn replies_injected_before_tls_are_not_believed() {
    let login = BackendLogin { starttls: true, ..login() };
    let injected = "<Protocol: Remote sent data in the clear behind STARTTLS>";
    let start = || {
        let mut backend = ImapBackend::new(login.clone());
        feed(&mut backend, BANNER, usize::MAX);
        backend
    };
    assert_eq!(feed(&mut start(), "S OK go\nL OK in\n", usize::MAX), injected);
    let mut backend = start();
    assert_eq!(feed(&mut backend, "S OK go\n", usize::MAX), "<starttls>");
    assert_eq!(feed(&mut backend, "L", usize::MAX), injected);
    assert_eq!(feed(&mut backend, "TLS", 1) + &feed(&mut backend, "L OK in\n", 1), "");
    // A verdict on a login that was never sent, and words for the client, in the clear.
    let mut backend = start();
    let ignored =
        "<warning Unexpected input, ignoring: L OK in> <warning Unexpected input, ignoring: L NO [X] y>";
    assert_eq!(feed(&mut backend, "L OK in\nL NO [X] y\n* OK [ALERT] call us\n", usize::MAX), ignored);
    assert_eq!(feed(&mut backend, "S OK go\n", usize::MAX), "<starttls>");
}

#[test]
fn ib_21_starttls_missing() {
    let login = BackendLogin { starttls: true, ..login() };
    play(&login, &[("* OK [CAPABILITY IMAP4rev1 ID] Mock\n", "<RemoteConfig: STARTTLS not supported>")]);
}

#[test]
fn ib_22_starttls_refused() {
    let login = BackendLogin { starttls: true, ..login() };
    let sent = id_and("S STARTTLS/");
    play(&login, &[(BANNER, &sent), ("S NO not now\n", "<Remote: STARTTLS failed: not now>")]);
    play(&login, &[(BANNER, &sent), ("S BAD what\n", "<Remote: STARTTLS failed: BAD what>")]);
    // Not asked for.
    play(&self::login(), &[(BARE, LOGIN), ("S OK go\n", "<warning Unexpected input, ignoring: S OK go>")]);
}

#[test]
fn ib_31_login_disabled() {
    let banner = "* OK [CAPABILITY IMAP4rev1 LOGINDISABLED STARTTLS] Mock\n";
    let refused = "<RemoteConfig: LOGINDISABLED advertised, but SSL/TLS not enabled>";
    play(&login(), &[(banner, refused)]);
    play(&BackendLogin { tls: true, ..login() }, &[(banner, LOGIN)]);
    play(
        &BackendLogin { starttls: true, ..login() },
        &[(banner, "S STARTTLS/"), ("S OK go\n", "<starttls>"), ("TLS", LOGIN)],
    );
    play(&with_mechanism("PLAIN"), &[(banner, "L AUTHENTICATE PLAIN/")]);
}

#[test]
fn ib_35_to_ib_38_refusals() {
    for (line, expected) in [
        ("L NO [AUTHENTICATIONFAILED] x\n", "<Auth: [AUTHENTICATIONFAILED] x>"),
        ("L NO x\n", "<Auth: x>"),
        ("L BAD Huh\n", "<Auth: BAD Huh>"),
        ("L OK\n", "<Auth: OK>"),
        ("L NO [LIMIT] Too many\n", "<Auth: [LIMIT] Too many => NO [LIMIT] Too many>"),
        ("L NO [UNAVAILABLE] Later\n", "<AuthTempFail: [UNAVAILABLE] Later => NO [UNAVAILABLE] Later>"),
    ] {
        play(&login(), &[(BARE, LOGIN), (line, expected), ("L OK in\n", "")]);
    }
}

#[test]
fn ib_43_banners_that_are_none() {
    for line in ["* PREAUTH hi", "* BYE go away", "+OK POP3", "SSH-2.0-OpenSSH_9.2", ""] {
        let expected = format!("<Protocol: Invalid banner: {line}>");
        play(&login(), &[(&format!("{line}\n"), &expected), (BANNER, "")]);
    }
}

#[test]
fn ib_44_everything_is_bounded() {
    let long = format!("* OK {}", "x".repeat(5000));
    play(&login(), &[(&long, "<Protocol: Too long input line>")]);
    play(&login(), &[(BARE, LOGIN), (&"x".repeat(4097), "<Protocol: Too long input line>")]);
    play(&login(), &[(BARE, LOGIN), (&"* BYE x\n".repeat(1000), "<Protocol: Too many input lines>")]);
}

#[test]
fn credentials_do_not_come_back_in_texts() {
    let hidden = "(not shown, it may repeat the password)";
    for line in ["L BAD what is \"alicepw\"?\n", "L NO [X] alicepw\n"] {
        let mut backend = ImapBackend::new(login());
        feed(&mut backend, BARE, usize::MAX);
        assert!(feed(&mut backend, line, usize::MAX).starts_with(&format!("<Auth: {hidden}")));
    }
    let warning = format!("<warning Unexpected input, ignoring: {hidden}>");
    play(&login(), &[(BARE, LOGIN), ("alicepw OK what\n", &warning)]);
    let secret = "two w\u{f6}rds";
    let sent = format!("L LOGIN \"alice\" {{{}}}/{secret}/", secret.len());
    play(&with_password(secret.as_bytes()), &[(BARE, &sent), ("two BAD unknown command\n", &warning)]);
    let login = BackendLogin { master: Some(UserName::from("pm")), ..login() };
    let plain = "YWxpY2UAcG0AYWxpY2Vwdw==";
    play(
        &login,
        &[
            (BARE, "L AUTHENTICATE PLAIN/"),
            ("+ \n", &format!("{plain}/")),
            (&format!("L BAD {plain}\n"), &format!("<Auth: {hidden}>")),
        ],
    );
}

#[test]
fn logins_that_cannot_be_sent() {
    let mut hopeless = login();
    hopeless.client.ttl = 1;
    let text = "<RemoteConfig: TTL reached zero - proxies appear to be looping?>";
    play(&hopeless, &[("", text), (BANNER, "")]);
    let nul = "<Internal: NUL in user name or password>";
    play(&with_password(b"a\0b"), &[("", nul)]);
    play(&BackendLogin { user: UserName::from("a\0b"), ..login() }, &[("", nul)]);
    play(&BackendLogin { master: Some(UserName::from("a\0b")), ..login() }, &[("", nul)]);
}

#[test]
fn section_8_4_states() {
    let states = |login: &BackendLogin, said: &[&str]| {
        let mut backend = ImapBackend::new(login.clone());
        let mut states = vec![backend.state()];
        for said in said {
            feed(&mut backend, said, 3);
            states.push(backend.state());
        }
        states
    };
    assert_eq!(
        states(&login(), &[BANNER, ID_DONE, "L OK in\n"]),
        ["/none", "id+login/banner", "login/id", "/login"]
    );
    assert_eq!(
        states(&login(), &[SILENT, "C OK\n"]),
        ["/none", "capability+login/banner", "login/capability"]
    );
    let secure = BackendLogin { starttls: true, ..login() };
    assert_eq!(
        states(&secure, &[BANNER, ID_DONE, "S OK go\n", "TLS"]),
        ["/none", "id+starttls/banner", "starttls/id", "login/starttls", "login/starttls"]
    );
    assert_eq!(
        states(&with_mechanism("PLAIN"), &[BARE, "+ \n", "L NO\n"]),
        ["/none", "authenticate/banner", "auth-continue/auth-continue", "auth-continue/login"]
    );
}

#[test]
fn capabilities_are_remembered_after_a_failure() {
    let mut backend = ImapBackend::new(login());
    assert_eq!(backend.capabilities(), None);
    feed(&mut backend, BARE, 1);
    assert_eq!(backend.capabilities(), Some("IMAP4rev1"));
    feed(&mut backend, "* CAPABILITY B\nL NO no\n", 1);
    assert_eq!(backend.capabilities(), Some("B"));
}

const PIECES: &[&str] = &[
    "* OK ",
    "[CAPABILITY ",
    "ID",
    " SASL-IR",
    " STARTTLS",
    " LOGINDISABLED",
    "]",
    "\n",
    "\n",
    "\n",
    "I OK\n",
    "S OK go\n",
    "S NO no\n",
    "L OK ",
    "L NO [",
    "UNAVAILABLE]",
    "L BAD x\n",
    "C OK\n",
    "C NO\n",
    "* CAPABILITY A\n",
    "* BYE x\n",
    "* 1 EXISTS\n",
    "+ \n",
    "+ eA==\n",
    "+",
    "* ID NIL\n",
    BANNER,
    BARE,
    SILENT,
];

fn said(choices: &[u8]) -> Vec<u8> {
    let piece = |c: &u8| match c {
        0..230 => PIECES[usize::from(*c) % PIECES.len()].replace('\n', "\r\n").into_bytes(),
        byte => vec![*byte],
    };
    choices.iter().flat_map(piece).collect()
}

/// A banner first, most of the time; else nothing much happens.
fn conversation(first: u8, choices: &[u8]) -> Vec<u8> {
    let banner = [BANNER, BARE, SILENT, ""][usize::from(first) % 4].replace('\n', "\r\n");
    [banner.as_bytes(), &said(choices)].concat()
}

fn any_login(flags: u8) -> BackendLogin {
    let mechanism = [None, Some("LOGIN"), Some("PLAIN"), Some("EXTERNAL")][usize::from(flags & 3)];
    BackendLogin {
        mechanism: mechanism.map(str::to_owned),
        no_pipelining: flags & 4 != 0,
        ask_capabilities: flags & 8 != 0,
        not_trusted: flags & 16 != 0,
        master: (flags & 32 != 0).then(|| UserName::from("pm")),
        ..login()
    }
}

fn run(login: &BackendLogin, input: &[u8], step: usize) -> Vec<BackendOutput> {
    let mut backend = ImapBackend::new(login.clone());
    input.chunks(step).for_each(|segment| backend.handle(BackendInput::Bytes(segment)));
    let outputs: Vec<_> = std::iter::from_fn(|| backend.poll_output()).collect();
    let ends = |o: &BackendOutput| matches!(o, BackendOutput::LoggedIn(_) | BackendOutput::Failed(_));
    assert!(outputs.iter().rev().skip(1).all(|o| !ends(o)), "{outputs:?}");
    assert!(outputs.len() <= 2 * homing_login::limits::BACKEND_LINES_MAX);
    outputs
}

/// `Debug` hides what is sent, so it is shown here; how much arrived behind the success line depends on the cut.
fn shown(output: &BackendOutput) -> String {
    match output {
        BackendOutput::Send(bytes) => format!("send {:?}", String::from_utf8_lossy(bytes.expose())),
        BackendOutput::LoggedIn(s) => format!("in {:?} {:?}", s.reply, s.capabilities),
        other => format!("{other:?}"),
    }
}

#[test]
fn any_bytes_end_in_at_most_one_verdict_however_they_are_cut() {
    bolero::check!().with_type::<(u8, u8, Vec<u8>, u8)>().for_each(|(flags, first, choices, step)| {
        let (login, input) = (any_login(*flags), conversation(*first, choices));
        let whole = run(&login, &input, usize::MAX);
        let shown_whole: Vec<_> = whole.iter().map(shown).collect();
        for step in [1, usize::from(*step).max(1)] {
            assert_eq!(shown_whole, run(&login, &input, step).iter().map(shown).collect::<Vec<_>>());
        }
        if let Some(BackendOutput::LoggedIn(success)) = whole.last() {
            let consumed = input.strip_suffix(&success.unread[..]).unwrap();
            let line = [b"L OK ", &success.reply[..]].concat();
            let consumed = consumed.strip_suffix(b"\n").unwrap();
            assert!(consumed.strip_suffix(b"\r").unwrap_or(consumed).ends_with(&line));
        }
    });
}

#[test]
fn nothing_is_sent_in_the_clear_that_belongs_into_tls() {
    bolero::check!().with_type::<(u8, u8, Vec<u8>, u8)>().for_each(|(flags, first, choices, step)| {
        let login = BackendLogin { starttls: true, ..any_login(*flags) };
        let outputs = run(&login, &conversation(*first, choices), usize::from(*step).max(1));
        for output in outputs {
            match output {
                BackendOutput::Send(bytes) => {
                    let text = String::from_utf8_lossy(bytes.expose()).into_owned();
                    let harmless = |line: &str| line.starts_with("I ID (") || line == "S STARTTLS";
                    assert!(text.split_terminator("\r\n").all(harmless), "{text:?}");
                }
                BackendOutput::LoggedIn(_) | BackendOutput::ClientLine(_) => panic!("{output:?}"),
                _ => {}
            }
        }
    });
}
