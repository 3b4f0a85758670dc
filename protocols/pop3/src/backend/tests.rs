//! Rows P3-16 to P3-23 of the backend side, as scripts, and what must hold for any bytes.

use homing_login::{ForwardField, Service};
use homing_transcripts::{
    backend::{self, feed},
    client, pieces,
};

use super::*;

const OFFERS: &str = "+OK [XCLIENT] Backend ready.\n";
const BARE: &str = "+OK Mock ready.\n";
const XCLIENT: &str = "XCLIENT ADDR=127.0.77.100 PORT=38471 SESSION=S0 TTL=4/";
const USER: &str = "USER alice/";
const PASS: &str = "PASS alicepw/";

fn login() -> BackendLogin {
    backend::login(Service::Pop3)
}

fn play(login: &BackendLogin, steps: &[(&str, &str)]) {
    backend::play(|| Pop3Backend::new(login.clone()), steps);
}

#[test]
fn p3_16_xclient_and_user_are_pipelined() {
    let forward = vec![
        ForwardField { key: b"foo".to_vec(), value: Some(b"bar".to_vec()) },
        ForwardField { key: b"x".to_vec(), value: Some(b"1".to_vec()) },
    ];
    let with_forward = XCLIENT.replace('/', " FORWARD=Zm9vPWJhcgl4PTE=/") + USER;
    play(
        &BackendLogin { forward, ..login() },
        &[
            (OFFERS, &with_forward),
            ("+OK Updated\n", ""),
            ("+OK\n", PASS),
            ("+OK Logged in.\n", "<in +OK Logged in. + >"),
            ("+OK\n", ""),
        ],
    );
    play(&login(), &[(OFFERS, &(XCLIENT.to_owned() + USER)), ("+OK\n+OK\n", PASS)]);
}

#[test]
fn p3_17_no_xclient() {
    play(&login(), &[(BARE, USER), ("+OK\n", PASS), ("+OK\n", "<in +OK + >")]);
    play(&login(), &[("+OK ready [XCLIENT]\n", USER)]);
    play(&BackendLogin { not_trusted: true, ..login() }, &[(OFFERS, USER)]);
}

#[test]
fn p3_18_master_and_mechanisms() {
    let plain = "AUTH PLAIN YWxpY2UAcG0AYWxpY2Vwdw==/";
    let master = BackendLogin { master: Some(UserName::from("pm")), ..login() };
    play(&master, &[(OFFERS, &(XCLIENT.to_owned() + plain)), ("+OK\n", ""), ("+OK in\n", "<in +OK in + >")]);
    play(&master, &[(BARE, plain), ("+ !\n", "<Protocol: Invalid base64 data in AUTH response>")]);
    let with = |name: &str| BackendLogin { mechanism: Some(name.to_owned()), ..login() };
    play(
        &with("LOGIN"),
        &[
            (BARE, "AUTH LOGIN =/"),
            ("+ VXNlcg==\n", "YWxpY2U=/"),
            ("+ UGFzcw==\n", "YWxpY2Vwdw==/"),
            (
                "+ \n",
                "<Protocol: Server sent invalid authentication data: Server didn't finish authentication>",
            ),
        ],
    );
    play(&with("EXTERNAL"), &[(BARE, "AUTH EXTERNAL YWxpY2U=/")]);
    let nobody = BackendLogin { user: UserName::default(), ..with("EXTERNAL") };
    play(&nobody, &[(BARE, "AUTH EXTERNAL =/")]);
    play(&with("NOSUCH"), &[("", "<Internal: Unsupported SASL mechanism NOSUCH>"), (BARE, "")]);
    // A challenge is no answer to PASS.
    play(&login(), &[(BARE, USER), ("+OK\n", PASS), ("+ x\n", "<Auth: + x>")]);
}

#[test]
fn p3_19_stls() {
    let login = BackendLogin { starttls: true, ..login() };
    play(&login, &[(BARE, "STLS/"), ("+OK Begin TLS\n", "<starttls>"), ("TLS", USER), ("+OK\n", PASS)]);
    // The banner's offer counts; there is no other.
    play(
        &login,
        &[(OFFERS, "STLS/"), ("+OK\n", "<starttls>"), ("TLS", &(XCLIENT.to_owned() + USER)), ("TLS", "")],
    );
    play(&login, &[(BARE, "STLS/"), ("-ERR no\n", "<Remote: STLS failed: -ERR no>"), ("TLS", "")]);
}

#[test]
fn replies_injected_behind_stls_are_refused() {
    let injected = "<Protocol: Remote sent data in the clear behind STLS>";
    let login = BackendLogin { starttls: true, ..login() };
    for reply in ["+OK\n+OK\n", "+OK\n+"] {
        let mut backend = Pop3Backend::new(login.clone());
        feed(&mut backend, BARE, usize::MAX);
        assert_eq!(feed(&mut backend, reply, usize::MAX), injected);
    }
    let mut backend = Pop3Backend::new(login);
    feed(&mut backend, BARE, usize::MAX);
    assert_eq!(feed(&mut backend, "+OK\n", usize::MAX), "<starttls>");
    assert_eq!(feed(&mut backend, "+", usize::MAX), injected);
    assert_eq!(feed(&mut backend, "TLS", 1) + &feed(&mut backend, "+OK\n", 1), "");
}

#[test]
fn p3_20_refusals_are_forwarded() {
    for text in ["[AUTH] x", "[IN-USE] x", "[SYS/PERM] x", "bad user", "[sys/temp] x", " "] {
        let (line, expected) = (format!("-ERR {text}\n"), format!("<Auth: {text} => -ERR {text}>"));
        play(&login(), &[(BARE, USER), (&line, &expected)]);
        play(&login(), &[(BARE, USER), ("+OK\n", PASS), (&line, &expected)]);
    }
    play(&login(), &[(BARE, USER), ("-ERR <x>\x01\n", "<Auth: \\x3cx\\x3e\\x01 => -ERR <x>\x01>")]);
}

#[test]
fn p3_21_temporary_refusals_are_for_another_attempt() {
    let expected = "<AuthTempFail: [SYS/TEMP] later => -ERR [SYS/TEMP] later>";
    play(&login(), &[(BARE, USER), ("-ERR [SYS/TEMP] later\n", expected)]);
    play(&login(), &[(BARE, USER), ("+OK\n", PASS), ("-ERR [SYS/TEMP] later\n", expected)]);
}

#[test]
fn p3_22_answers_without_text_are_not_shown() {
    for line in ["-ERR", "WHAT", "-err [AUTH] x", "-ERRx", "", "+O"] {
        let (said, expected) = (format!("{line}\n"), format!("<Auth: {line}>"));
        play(&login(), &[(BARE, USER), (&said, &expected)]);
        play(&login(), &[(BARE, USER), ("+OK\n", PASS), (&said, &expected)]);
    }
}

#[test]
fn p3_23_backends_that_are_none() {
    play(&login(), &[("-ERR busy\n", "<Protocol: Invalid banner: -ERR busy>")]);
    play(&login(), &[("* OK IMAP\n", "<Protocol: Invalid banner: * OK IMAP>"), (BARE, "")]);
    let refused = "<Remote: XCLIENT failed: -ERR no>";
    play(&login(), &[(OFFERS, &(XCLIENT.to_owned() + USER)), ("-ERR no\n+OK\n", refused)]);
    let too_long = "<Protocol: Too long input line>";
    play(&login(), &[(&"x".repeat(BACKEND_LINE_BYTES_MAX), too_long)]);
    let fits = format!("+OK {}\n", "x".repeat(BACKEND_LINE_BYTES_MAX - 6));
    play(&login(), &[(&fits, USER), (&fits, PASS)]);
    play(&login(), &[(&format!("+OK {}\n", "x".repeat(BACKEND_LINE_BYTES_MAX - 5)), too_long)]);
}

#[test]
fn p3_26_no_hop_left() {
    let mut login = login();
    login.client.ttl = 1;
    play(&login, &[("", "<RemoteConfig: TTL reached zero - proxies appear to be looping?>"), (BARE, "")]);
}

#[test]
fn section_15_7_no_credentials_end_a_line() {
    let refused = "<Internal: CR, LF or NUL in user name or password>";
    for bad in ["a\r", "a\nb", "\0"] {
        let name = BackendLogin { user: UserName::from(bad), ..login() };
        let password = BackendLogin { password: Secret::from(bad), ..login() };
        play(&name, &[("", refused), (BARE, "")]);
        play(&password, &[("", refused), (BARE, "")]);
        // In base64 they do no harm.
        let by_mechanism = BackendLogin { mechanism: Some("PLAIN".to_owned()), ..password };
        let mut backend = Pop3Backend::new(by_mechanism);
        assert!(feed(&mut backend, BARE, 1).starts_with("AUTH PLAIN "));
    }
    let spaces = BackendLogin { password: Secret::from(" a b "), ..login() };
    play(&spaces, &[(BARE, USER), ("+OK\n", "PASS  a b /")]);
}

#[test]
fn what_follows_success_is_the_clients() {
    let mut backend = Pop3Backend::new(login());
    feed(&mut backend, BARE, usize::MAX);
    assert_eq!(feed(&mut backend, "+OK\n", 1), PASS);
    assert_eq!(feed(&mut backend, "+OK in\n+OK 0 0\n-E", usize::MAX), "<in +OK in + +OK 0 0/-E>");
    assert_eq!(feed(&mut backend, "later", usize::MAX), "");
    let mut backend = Pop3Backend::new(login());
    feed(&mut backend, &format!("{BARE}+OK\n"), usize::MAX);
    let long = "x".repeat(3 * BACKEND_LINE_BYTES_MAX);
    assert_eq!(feed(&mut backend, &format!("+OK\n{long}"), usize::MAX), format!("<in +OK + {long}>"));
}

#[test]
fn section_8_4_states() {
    let mut backend = Pop3Backend::new(BackendLogin { starttls: true, ..login() });
    let mut states = vec![backend.state()];
    for said in [OFFERS, "+OK\n", "TLS", "+OK\n", "+OK\n"] {
        feed(&mut backend, said, 3);
        states.push(backend.state());
    }
    assert_eq!(states, ["banner", "starttls", "starttls", "xclient", "login1", "login2"]);
}

#[test]
fn any_bytes_end_in_at_most_one_verdict_however_they_are_cut() {
    let words = [
        "+OK",
        "+OK\r\n",
        "+OK [XCLIENT] x\r\n",
        "-ERR ",
        "-ERR",
        "[SYS/TEMP]",
        "[AUTH]",
        "+ ",
        "+ eA==\r\n",
        "\r\n",
        "\r\n",
        " ",
        "x",
    ];
    bolero::check!().with_type::<(Vec<u8>, u8, bool)>().for_each(|(choices, step, login_mech)| {
        let said = pieces(&words, choices);
        let login = BackendLogin { mechanism: login_mech.then(|| "LOGIN".to_owned()), ..login() };
        client::assert_cuts_change_nothing(*step, |step| run(&login, &said, step));
    });
}

fn run(login: &BackendLogin, said: &[u8], step: usize) -> Vec<String> {
    let bounded = |b: &Pop3Backend| assert!(b.input.len() <= BACKEND_LINE_BYTES_MAX);
    backend::run(Pop3Backend::new(login.clone()), said, step, bounded)
}
