//! Real mail clients against `homing demo`: each reads the one message of a mailbox, which names the backend, in
//! every way that it knows to log in. Also the very lines that the demo prints. Clients that are not installed are
//! skipped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // a test from end to end

mod support;

use support::demo::{Demo, Said, backends_in, installed, shell};

/// Runs a client as alice; whatever it prints must name her backend and no other.
fn reaches_alice(demo: &Demo, script: &str, input: &str) {
    let said = shell(script, input);
    let home = demo.home_of("alice", "wonderland");
    let named = backends_in(&said.text);
    assert!(!named.is_empty() && named.iter().all(|b| *b == home), "{home}: {script}\n{}", said.text);
    assert_eq!(said.status, Some(0), "{script}\n{}", said.text);
}

/// The lines to paste that the demo prints; a pipe at the end of one goes on in the next.
fn printed_lines(demo: &Demo) -> Vec<String> {
    let is_command = |l: &str| ["curl ", "openssl ", "printf "].iter().any(|start| l.starts_with(start));
    let mut lines: Vec<String> = Vec::new();
    for line in demo.instructions().lines().map(str::trim) {
        match lines.last_mut() {
            Some(last) if last.ends_with('|') => *last += &format!(" {line}"),
            _ if is_command(line) => lines.push(line.to_owned()),
            _ => {}
        }
    }
    assert!(lines.len() >= 7, "{}", demo.instructions());
    lines
}

/// Runs a printed line; `None` if its program is missing.
fn paste(line: &str) -> Option<Said> {
    let uses = |program: &&&str| line.split(' ').any(|word| word == **program);
    if !["curl", "openssl"].iter().filter(uses).all(|program| installed(program)) {
        return None;
    }
    // What a person would type, as the text above the line says.
    let typed = "a login bob builder\nb select inbox\nc fetch 1 body[]\nd logout\n";
    Some(shell(line, if line.starts_with("openssl") { typed } else { "" }))
}

#[test]
fn the_printed_lines_work_and_alice_has_one_home() {
    let demo = Demo::visit();
    let home_of_bob = demo.home_of("bob", "builder");
    let home_of_carol = demo.home_of("carol", "singer");
    let home_of_alice = demo.home_of("alice", "wonderland");
    let mut of_alice = Vec::new();
    for line in printed_lines(&demo) {
        let Some(said) = paste(&line) else { continue };
        let home = match line.as_str() {
            line if line.starts_with("openssl") => &home_of_bob,
            line if line.contains("carol") => &home_of_carol,
            line => {
                of_alice.push(line.to_owned());
                &home_of_alice
            }
        };
        let named = backends_in(&said.text);
        assert!(!named.is_empty() && named.iter().all(|b| b == home), "{home}: {line}\n{}", said.text);
    }
    if installed("curl") && installed("openssl") {
        for protocol in ["imap://", "imaps://", "pop3://", ":4190"] {
            assert!(of_alice.iter().any(|line| line.contains(protocol)), "{protocol}: {of_alice:?}");
        }
    }
}

#[test]
fn curl() {
    let demo = Demo::visit();
    if !installed("curl") {
        return;
    }
    let imap = "'imap://127.0.0.1:1143/INBOX;UID=1'";
    let pop3 = "'pop3://127.0.0.1:1110/1'";
    for url in [
        imap,
        &format!("--ssl-reqd -k {imap}"),
        "-k 'imaps://127.0.0.1:1993/INBOX;UID=1'",
        pop3,
        &format!("--ssl-reqd -k {pop3}"),
        "-k pop3s://127.0.0.1:1995/1",
    ] {
        for way in ["", "--login-options AUTH=PLAIN", "--login-options AUTH=PLAIN --sasl-ir"] {
            reaches_alice(&demo, &format!("curl -sS -m 30 {way} -u alice:wonderland {url}"), "");
        }
    }
    // CURLE_LOGIN_DENIED. From an address of its own, so that no penalty slows the other tests.
    for url in [imap, pop3] {
        let said = shell(&format!("curl -sS -m 60 --interface 127.0.0.7 -u alice:wrong {url}"), "");
        assert_eq!((said.status, backends_in(&said.text).len()), (Some(67), 0), "{}", said.text);
    }
}

#[test]
fn curl_checks_the_certificate() {
    let demo = Demo::visit();
    if !installed("curl") {
        return;
    }
    let certificate = format!("{}/cert.pem", demo.folder());
    for url in ["'imaps://127.0.0.1:1993/INBOX;UID=1'", "--ssl-reqd pop3://127.0.0.1:1110/1"] {
        reaches_alice(&demo, &format!("curl -sS -m 30 --cacert {certificate} -u alice:wonderland {url}"), "");
        // CURLE_PEER_FAILED_VERIFICATION.
        let said = shell(&format!("curl -sS -m 30 -u alice:wonderland {url}"), "");
        assert_eq!(said.status, Some(60), "{}", said.text);
    }
}

#[test]
fn openssl_s_client() {
    let demo = Demo::visit();
    if !installed("openssl") {
        return;
    }
    let imap = "a LOGIN alice wonderland\nb SELECT INBOX\nc FETCH 1 BODY[]\nd LOGOUT\n";
    let pop3 = "USER alice\nPASS wonderland\nRETR 1\nQUIT\n";
    let sieve = "AUTHENTICATE \"PLAIN\" \"AGFsaWNlAHdvbmRlcmxhbmQ=\"\nLISTSCRIPTS\nLOGOUT\n";
    for (target, dialogue) in [
        ("1993", imap),
        ("1143 -starttls imap", imap),
        ("1995", pop3),
        ("1110 -starttls pop3", pop3),
        ("4190 -starttls sieve", sieve),
        ("1993 -tls1_2", imap),
        ("1995 -tls1_3", pop3),
    ] {
        let script = format!("openssl s_client -quiet -crlf -connect 127.0.0.1:{target}");
        reaches_alice(&demo, &script, dialogue);
    }
}

/// For programs that fail to log in: connections come from an address of their own, so that no penalty slows the
/// other tests.
const FROM_ELSEWHERE: &str = "import imaplib, poplib, socket\ndirect = socket.create_connection\n\
    socket.create_connection = lambda to, *rest: direct(to, 60, ('127.0.0.8', 0))\n";

/// Runs a Python program that prints the message.
fn python(demo: &Demo, program: &str) {
    let head = "import imaplib, poplib, socket, ssl\nsocket.setdefaulttimeout(30)\n\
        tls = ssl._create_unverified_context()\n";
    reaches_alice(demo, "python3 -", &format!("{head}{program}"));
}

#[test]
fn python_imaplib() {
    let demo = Demo::visit();
    if !installed("python3") {
        return;
    }
    let plain = "c.authenticate('PLAIN', lambda challenge: b'\\0alice\\0wonderland')";
    for open in [
        "c = imaplib.IMAP4('127.0.0.1', 1143)",
        "c = imaplib.IMAP4('127.0.0.1', 1143); c.starttls(ssl_context=tls)",
        "c = imaplib.IMAP4_SSL('127.0.0.1', 1993, ssl_context=tls)",
    ] {
        for login in ["c.login('alice', 'wonderland')", plain] {
            let read = "c.select('INBOX'); print(c.fetch('1', '(BODY[])')); c.logout()";
            python(&demo, &format!("{open}\n{login}\n{read}\n"));
        }
    }
    let refused = "c = imaplib.IMAP4('127.0.0.1', 1143)\n\
        try: c.login('alice', 'wrong')\nexcept imaplib.IMAP4.error as e: print('refused:', e)\n\
        print(c.login('alice', 'wonderland'))\n";
    let said = shell("python3 -", &format!("{FROM_ELSEWHERE}{refused}"));
    assert!(said.text.contains("refused: b'[AUTHENTICATIONFAILED] Authentication failed.'"), "{}", said.text);
    assert!(said.text.contains("('OK',"), "{}", said.text);
}

#[test]
fn python_poplib() {
    let demo = Demo::visit();
    if !installed("python3") {
        return;
    }
    for open in [
        "c = poplib.POP3('127.0.0.1', 1110)",
        "c = poplib.POP3('127.0.0.1', 1110); c.stls(tls)",
        "c = poplib.POP3_SSL('127.0.0.1', 1995, context=tls)",
    ] {
        let read = "c.user('alice'); c.pass_('wonderland'); print(c.stat(), c.retr(1)); c.quit()";
        python(&demo, &format!("{open}\n{read}\n"));
    }
    let refused = "c = poplib.POP3('127.0.0.1', 1110)\nc.user('alice')\n\
        try: c.pass_('wrong')\nexcept poplib.error_proto as e: print('refused:', e)\n\
        c.user('alice')\nprint(c.pass_('wonderland'))\n";
    let said = shell("python3 -", &format!("{FROM_ELSEWHERE}{refused}"));
    assert!(said.text.contains("refused: b'-ERR [AUTH] Authentication failed.'"), "{}", said.text);
    assert!(said.text.contains("b'+OK"), "{}", said.text);
}

#[test]
fn mbsync_lists_mailboxes() {
    let demo = Demo::visit();
    if !installed("mbsync") {
        return;
    }
    for (port, kind) in [(1143, "None"), (1143, "STARTTLS"), (1993, "IMAPS")] {
        let config = format!(
            "IMAPAccount a\nHost localhost\nPort {port}\nUser alice\nPass wonderland\nSSLType {kind}\n\
             SystemCertificates no\nCertificateFile {}/cert.pem\nAuthMechs *\n\n\
             IMAPStore far\nAccount a\n\nMaildirStore near\nPath ./mail/\nInbox ./inbox\n\n\
             Channel c\nFar :far:\nNear :near:\nPatterns *\n",
            demo.folder()
        );
        // The network log has the backend's words of welcome; the list is all that the demo's mailbox can do for it.
        let said = shell("mkdir mail; cat > rc; mbsync -c rc -DN -l c", &config);
        assert_eq!(said.status, Some(0), "{kind}\n{}", said.text);
        assert!(said.text.lines().any(|line| line == "INBOX"), "{kind}\n{}", said.text);
        assert!(said.text.contains(&demo.home_of("alice", "wonderland")), "{kind}\n{}", said.text);
    }
}

#[test]
fn fetchmail() {
    let demo = Demo::visit();
    if !installed("fetchmail") {
        return;
    }
    for server in
        ["port 1110 sslproto ''", "port 1110 sslproto 'auto' no sslcertck", "port 1995 ssl no sslcertck"]
    {
        let (server, ssl) = server.split_at(server.find("ssl").unwrap());
        let config = format!(
            "poll 127.0.0.1 protocol pop3 {server}\n  user alice password wonderland {ssl} keep mda \"cat >&2\"\n"
        );
        let script = "export FETCHMAILHOME=$PWD; umask 077; cat > rc; fetchmail -f rc --nosyslog -t 30";
        reaches_alice(&demo, script, &config);
    }
}

#[test]
fn sieve_connect() {
    let demo = Demo::visit();
    if !installed("sieve-connect") {
        return;
    }
    let line = "sieve-connect -4 --server 127.0.0.1 --port 4190 --user alice --authmech PLAIN --passwordfd 0";
    let checked = format!("--tlscafile {}/cert.pem --tlshostname localhost", demo.folder());
    for check in ["--nosslverify", &checked] {
        reaches_alice(&demo, &format!("{line} {check} --list"), "wonderland\n");
    }
}
