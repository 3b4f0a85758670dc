//! Rows MS-15 to MS-21 of the backend side, as scripts, and what must hold for any bytes.

use homing_login::{ForwardField, Service};
use homing_transcripts::{
    backend::{self, feed},
    client, pieces,
};

use super::*;

const GREETING: &str =
    "\"IMPLEMENTATION\" \"mock\"\n\"SASL\" \"PLAIN LOGIN\"\n\"STARTTLS\"\n\"XCLIENT\"\nOK \"ready\"\n";
const BARE: &str = "\"SASL\" \"PLAIN\"\nOK\n";
const XCLIENT: &str = "XCLIENT ADDR=127.0.77.100 PORT=38471 SESSION=S0 TTL=4/";
const PLAIN: &str = "AUTHENTICATE \"PLAIN\" \"YWxpY2UAYWxpY2UAYWxpY2Vwdw==\"/";

fn login() -> BackendLogin {
    backend::login(Service::Sieve)
}

fn play(login: &BackendLogin, steps: &[(&str, &str)]) {
    backend::play(|| SieveBackend::new(login.clone()), steps);
}

#[test]
fn ms_15_xclient_is_answered_before_the_login() {
    let forward = vec![ForwardField { key: b"foo".to_vec(), value: Some(b"bar".to_vec()) }];
    let with_forward = XCLIENT.replace('/', " FORWARD=Zm9vPWJhcg==/");
    play(
        &BackendLogin { forward, ..login() },
        &[
            (GREETING, &with_forward),
            ("OK \"Updated\"\n", PLAIN),
            ("OK \"Logged in.\"\n", "<in OK \"Logged in.\" + >"),
            ("OK\n", ""),
        ],
    );
    play(&login(), &[(BARE, PLAIN), ("OK\n", "<in OK + >")]);
    let refused = "<Remote: Remote XCLIENT failed: NO \"no\">";
    play(&login(), &[(GREETING, XCLIENT), ("NO \"no\"\n", refused)]);
}

#[test]
fn ms_16_not_trusted_does_not_stop_xclient() {
    play(&BackendLogin { not_trusted: true, ..login() }, &[(GREETING, XCLIENT)]);
}

#[test]
fn ms_17_starttls() {
    let login = BackendLogin { starttls: true, ..login() };
    play(
        &login,
        &[
            (GREETING, "STARTTLS/"),
            ("OK \"go\"\n", "<starttls>"),
            ("TLS", ""),
            ("\"SASL\" \"PLAIN\"\nOK \"TLS ok\"\n", PLAIN),
        ],
    );
    // The capabilities seen in the clear are forgotten.
    let no_sasl = "<RemoteConfig: Server has disabled authentication (TLS required?)>";
    play(&login, &[(GREETING, "STARTTLS/"), ("OK\n", "<starttls>"), ("TLS", ""), ("OK\n", no_sasl)]);
    play(&login, &[(BARE, "<RemoteConfig: Remote doesn't support STARTTLS>")]);
    play(&login, &[(GREETING, "STARTTLS/"), ("NO \"no\"\n", "<Remote: Remote refused STARTTLS command>")]);
}

#[test]
fn replies_injected_behind_starttls_are_refused() {
    let injected = "<Protocol: Remote sent data in the clear behind STARTTLS>";
    let mut backend = SieveBackend::new(BackendLogin { starttls: true, ..login() });
    feed(&mut backend, GREETING, usize::MAX);
    assert_eq!(feed(&mut backend, "OK\n\"SASL\" \"PLAIN\"\n", usize::MAX), injected);
    let mut backend = SieveBackend::new(BackendLogin { starttls: true, ..login() });
    feed(&mut backend, GREETING, usize::MAX);
    assert_eq!(feed(&mut backend, "OK\n", usize::MAX), "<starttls>");
    assert_eq!(feed(&mut backend, "\"", usize::MAX), injected);
    assert_eq!(feed(&mut backend, "TLS", 1) + &feed(&mut backend, BARE, 1), "");
}

#[test]
fn ms_18_no_mechanism_offered() {
    let refused = "<RemoteConfig: Server has disabled authentication (TLS required?)>";
    play(&login(), &[("\"SASL\" \"\"\nOK \"ready\"\n", refused)]);
    play(&login(), &[("\"SASL\" \"\"\n\"XCLIENT\"\nOK\n", XCLIENT), ("OK\n", refused)]);
}

#[test]
fn ms_19_refusals_that_the_client_does_not_see() {
    for (line, text) in [
        ("NO \"Wrong (backend text)\"\n", "Wrong (backend text)"),
        ("NO (QUOTA/MAXSIZE) \"x\"\n", "x"),
        ("NO {4}\na\nb\n", "a\\x0d\\x0ab"),
        ("NO\n", ""),
        ("BYE \"x\"\n", "BYE \"x\""),
        ("BYE (TRYLATER) \"x\"\n", "BYE (TRYLATER) \"x\""),
        ("{3}\nabc\n", "{3}\\x0d\\x0aabc"),
        ("what\n", "what"),
    ] {
        play(&login(), &[(BARE, PLAIN), (line, &format!("<Auth: {text}>"))]);
    }
}

#[test]
fn ms_20_try_later_is_quoted_to_the_client() {
    for (line, expected) in [
        ("NO (TRYLATER) \"later\"\n", "<AuthTempFail: later => NO (TRYLATER) \"later\">"),
        ("no (trylater) \"a\\\"b\"\n", "<AuthTempFail: a\"b => NO (TRYLATER) \"a\\\"b\">"),
        ("NO (TRYLATER) {5}\na\nOK\n", "<AuthTempFail: a\\x0d\\x0aOK => NO (TRYLATER) {5}/a/OK>"),
        ("NO (TRYLATER)\n", "<AuthTempFail:  => NO (TRYLATER) \"\">"),
        ("NO (TRYLATER) bare\n", "<AuthTempFail: bare => NO (TRYLATER) \"bare\">"),
    ] {
        play(&login(), &[(BARE, PLAIN), (line, expected)]);
    }
}

#[test]
fn ms_21_greetings_that_are_none() {
    let bye = "<Protocol: Remote sent unexpected NO/BYE instead of capability response>";
    let invalid = "<Protocol: Remote returned with invalid capability/greeting line: ";
    for (line, expected) in [
        ("\"SASL\" \"PLAIN\"\nBYE \"busy\"\n", bye.to_owned()),
        ("NO\n", bye.to_owned()),
        ("* OK IMAP\n", format!("{invalid}* OK IMAP>")),
        ("\"SASL\"\n", "<Protocol: Server returned erroneous SASL capability>".to_owned()),
        (&"\"A\"\n".repeat(300), "<Protocol: Too long input line>".to_owned()),
        (&"x".repeat(4097), "<Protocol: Too long input line>".to_owned()),
        ("\"SIEVE\" {4096}\n", "<Protocol: Too long input line>".to_owned()),
    ] {
        let line =
            if line.contains("{4096}") { format!("{line}{}", "x".repeat(4096)) } else { line.to_owned() };
        play(&login(), &[(&line, &expected)]);
    }
}

#[test]
fn greetings_may_have_literals() {
    play(&login(), &[("\"SIEVE\" {10}\nOK\nBYE\n!\n\"SASL\" {5+}\nPLAIN\nOK {2}\nhi\n", PLAIN)]);
}

#[test]
fn success_may_have_a_literal_and_bytes_behind_it() {
    let mut backend = SieveBackend::new(login());
    feed(&mut backend, BARE, usize::MAX);
    assert_eq!(
        feed(&mut backend, "OK (TAG {1}\nx) {4}\na\nb\n\"next\"\n", usize::MAX),
        "<in OK (TAG {1}/x) {4}/a/b + \"next\"/>"
    );
    assert_eq!(feed(&mut backend, "later", usize::MAX), "");
}

#[test]
fn mechanisms() {
    let with = |name: &str| BackendLogin { mechanism: Some(name.to_owned()), ..login() };
    play(
        &with("LOGIN"),
        &[
            (BARE, "AUTHENTICATE \"LOGIN\"/"),
            ("\"VXNlcg==\"\n", "\"YWxpY2U=\"/"),
            ("\"UGFzcw==\"\n", "\"YWxpY2Vwdw==\"/"),
            (
                "\"\"\n",
                "<Protocol: Server sent invalid authentication data: Server didn't finish authentication>",
            ),
        ],
    );
    play(&with("EXTERNAL"), &[(BARE, "AUTHENTICATE \"EXTERNAL\" \"YWxpY2U=\"/")]);
    play(&with("NOSUCH"), &[("", "<Internal: Unsupported SASL mechanism NOSUCH>"), (BARE, "")]);
    play(
        &BackendLogin { master: Some(UserName::from("pm")), ..login() },
        &[
            (BARE, "AUTHENTICATE \"PLAIN\" \"YWxpY2UAcG0AYWxpY2Vwdw==\"/"),
            ("\"!\"\n", "<Protocol: Server sent invalid base64 data in AUTHENTICATE response>"),
        ],
    );
    let invalid = "<Protocol: Server sent invalid SASL challenge line: \"eA==\" x>";
    play(&login(), &[(BARE, PLAIN), ("\"eA==\" x\n", invalid)]);
}

#[test]
fn no_hop_left() {
    let mut login = login();
    login.client.ttl = 1;
    play(&login, &[("", "<RemoteConfig: TTL reached zero - proxies appear to be looping?>"), (BARE, "")]);
}

#[test]
fn section_8_4_states() {
    let mut backend = SieveBackend::new(BackendLogin { starttls: true, ..login() });
    let mut states = vec![backend.state()];
    for said in [GREETING, "OK\n", "TLS", GREETING, "OK\n", "NO\n"] {
        feed(&mut backend, said, 3);
        states.push(backend.state());
    }
    assert_eq!(states, ["none", "tls-start", "tls-ready", "tls-ready", "xclient", "auth", "auth"]);
}

#[test]
fn any_bytes_end_in_at_most_one_verdict_however_they_are_cut() {
    let words = [
        "OK",
        "NO",
        "BYE",
        " ",
        "\r\n",
        "\r\n",
        "\"SASL\" \"PLAIN\"",
        "\"XCLIENT\"",
        "(TRYLATER)",
        "\"\"",
        "\"",
        "{3}\r\n",
        "{3}",
        "\\",
        "(",
        "\"eA==\"\r\n",
        "OK\r\n",
        "\"SASL\" \"X\"\r\nOK\r\n",
    ];
    bolero::check!().with_type::<(Vec<u8>, u8, bool)>().for_each(|(choices, step, login_mech)| {
        let said = pieces(&words, choices);
        let login = BackendLogin { mechanism: login_mech.then(|| "LOGIN".to_owned()), ..login() };
        client::assert_cuts_change_nothing(*step, |step| run(&login, &said, step));
    });
}

fn run(login: &BackendLogin, said: &[u8], step: usize) -> Vec<String> {
    backend::run(SieveBackend::new(login.clone()), said, step, |_| {})
}
