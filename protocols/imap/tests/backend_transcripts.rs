//! Replays conversations captured from the reference (tests/transcripts/login at the workspace root) against the
//! backend side: the backend's lines are played to the machine, the proxy's lines, its lines for the client and
//! its log are compared with what the machine says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test program: it reads files, and stops at the first surprise"
)]

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
};

use homing_imap::ImapBackend;
use homing_login::{
    BackendDialogue, BackendFailure, BackendInput, BackendLogin, BackendOutput, BackendSuccess,
    ClientIdentity, Decision, FailureClass, OkReply, ProxyTarget, Service, TlsUse, decide,
};
use homing_wire::{Fields, SessionId};

/// One backend connection.
struct Backend {
    machine: ImapBackend,
    sent: VecDeque<Vec<u8>>,
    /// Lines for the client.
    passed_on: Vec<Vec<u8>>,
    warnings: Vec<String>,
    wants_tls: bool,
    verdict: Option<Result<BackendSuccess, BackendFailure>>,
}

impl Backend {
    fn new(login: BackendLogin) -> Self {
        let machine = ImapBackend::new(login);
        let (sent, passed_on, warnings) = (VecDeque::new(), Vec::new(), Vec::new());
        let mut backend = Self { machine, sent, passed_on, warnings, wants_tls: false, verdict: None };
        backend.drain();
        backend
    }

    fn event(&mut self, input: BackendInput<'_>) {
        self.machine.handle(input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                BackendOutput::Send(bytes) => self.sent.extend(lines(bytes.expose())),
                BackendOutput::StartTls => self.wants_tls = true,
                BackendOutput::ClientLine(line) => self.passed_on.extend(lines(&line)),
                BackendOutput::Warning(text) => self.warnings.push(text),
                BackendOutput::LoggedIn(success) => self.verdict = Some(Ok(success)),
                BackendOutput::Failed(failure) => self.verdict = Some(Err(failure)),
            }
        }
    }

    fn is_logged_in(&self) -> bool {
        self.verdict.as_ref().is_some_and(Result::is_ok)
    }
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    assert!(bytes.ends_with(b"\r\n"), "{:?}", String::from_utf8_lossy(bytes));
    let text = bytes.strip_suffix(b"\r\n").unwrap();
    let mut out = vec![Vec::new()];
    for byte in text {
        match (byte, out.last_mut().unwrap()) {
            (b'\n', _) => out.push(Vec::new()),
            (b'\r', _) => {}
            (byte, line) => line.push(*byte),
        }
    }
    out
}

/// `\t`, `\\`, `\xNN` and `x<1000 times>`.
fn unescape(text: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c == '\\' {
            let (kind, behind) = rest.split_at(1);
            rest = behind;
            match kind {
                "t" => out.push(b'\t'),
                "x" => {
                    out.push(u8::from_str_radix(&rest[..2], 16).unwrap());
                    rest = &rest[2..];
                }
                other => out.extend_from_slice(other.as_bytes()),
            }
        } else if let Some((count, behind)) = repeated(c, rest) {
            out.extend(std::iter::repeat_n(*out.last().unwrap(), count - 1));
            rest = behind;
        } else {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    out
}

fn repeated(first: char, rest: &str) -> Option<(usize, &str)> {
    let (count, behind) = rest.split_once(" times>")?;
    (first == '<').then(|| count.parse().ok()).flatten().map(|count| (count, behind))
}

#[derive(Default)]
struct Replay {
    name: &'static str,
    identity: Option<ClientIdentity>,
    target: Option<ProxyTarget>,
    /// The client has asked for capabilities other than after STARTTLS.
    asked: bool,
    client_tls: bool,
    known: Option<String>,
    backends: HashMap<String, Backend>,
    last: String,
    passed_on: Vec<Vec<u8>>,
    compared: usize,
}

impl Replay {
    fn line(&mut self, line: &str) {
        if let Some(remark) = line.strip_prefix("# ") {
            return self.remark(remark);
        }
        let (head, text) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
        let (who, number) = head.split_at(1);
        let text = unescape(text);
        match who {
            "C" if text == b"s STARTTLS" => self.client_tls = true,
            "C" => self.asked |= text == b"x CAPABILITY" && !self.client_tls,
            "L" if text.starts_with(b"AUTH\t") => self.auth_starts(&text),
            "A" if text.starts_with(b"OK\t") => self.auth_says(&text),
            "B" => self.backend_says(number, &text),
            "P" => self.backend_is_told(number, &text),
            "S" => self.passed_on.retain(|line| *line != text),
            "G" => self.log_says(&String::from_utf8_lossy(&text)),
            _ => {}
        }
    }

    fn remark(&mut self, text: &str) {
        if text.starts_with("proxy connects to backend") {
            let number = text.split_once("(backend connection ").map_or("", |(_, n)| n.trim_end_matches(')'));
            if let Some(backend) = self.backends.get(&self.last) {
                self.known = backend.machine.capabilities().map(str::to_owned).or(self.known.take());
            }
            self.last = number.to_owned();
            let backend = Backend::new(self.login());
            self.backends.insert(self.last.clone(), backend);
        } else if text.starts_with("backend connection: TLS handshake done")
            && let Some(backend) = self.backends.get_mut(&self.last)
            && std::mem::take(&mut backend.wants_tls)
        {
            backend.event(BackendInput::TlsUp);
        }
    }

    fn login(&self) -> BackendLogin {
        let target = self.target.as_ref().unwrap();
        BackendLogin {
            user: target.destuser.clone(),
            password: target.password.clone().unwrap(),
            master: target.master.clone(),
            mechanism: target.mechanism.clone(),
            starttls: matches!(target.tls, TlsUse::StartTls { .. }),
            tls: matches!(target.tls, TlsUse::Implicit { .. }),
            not_trusted: target.not_trusted,
            no_pipelining: target.no_pipelining,
            client: self.identity.clone().unwrap(),
            forward: target.forward.clone(),
            ask_capabilities: self.asked,
            known_capabilities: self.known.clone(),
        }
    }

    fn auth_starts(&mut self, request: &[u8]) {
        let parameters: Vec<&[u8]> = request.split(|b| *b == b'\t').skip(3).collect();
        let fields = Fields::parse(&parameters.join(&b'\t'));
        let address = |ip: &str, port: &str| -> SocketAddr {
            format!("{}:{}", fields.text(ip).unwrap(), fields.text(port).unwrap()).parse().unwrap()
        };
        let session = SessionId::received(fields.value("session").unwrap()).unwrap();
        let (remote, local) = (address("rip", "rport"), address("lip", "lport"));
        self.identity = Some(ClientIdentity::new(Service::Imap, remote, local, session));
    }

    fn auth_says(&mut self, reply: &[u8]) {
        let fields: Vec<&[u8]> = reply.split(|b| *b == b'\t').skip(2).collect();
        let fields = Fields::parse(&fields.join(&b'\t'));
        match decide(Service::Imap, "PLAIN", &OkReply { fields }) {
            Decision::Proxy(target) => self.target = Some(*target),
            _ => panic!("{}: no target", self.name),
        }
    }

    fn backend_says(&mut self, number: &str, text: &[u8]) {
        let backend = self.backends.get_mut(number).unwrap();
        if !backend.is_logged_in() {
            backend.event(BackendInput::Bytes(&[text, b"\r\n"].concat()));
            self.passed_on.append(&mut backend.passed_on);
        }
    }

    fn backend_is_told(&mut self, number: &str, text: &[u8]) {
        let backend = self.backends.get_mut(number).unwrap();
        if backend.is_logged_in() && backend.sent.is_empty() {
            return;
        }
        let ours = backend.sent.pop_front().unwrap_or_default();
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(shown(&ours), shown(text), "{}: backend connection {number:?}", self.name);
        self.compared += 1;
    }

    /// The log comes last, so it speaks about the last connection; two logins in one file, about the verdict of each.
    fn log_says(&mut self, line: &str) {
        let Some((_, event)) = line.split_once(": proxy(") else { return };
        let (_, event) = event.split_once("): ").unwrap();
        let event = event.split(": user=<").next().unwrap();
        let verdicts = || self.backends.values().filter_map(|b| b.verdict.as_ref());
        let failed = |class: &[FailureClass], text: &str| {
            verdicts().any(|v| matches!(v, Err(f) if class.contains(&f.class) && f.text == text))
        };
        let told = |after: &str| event.split_once(after).map(|(_, text)| text.to_owned());
        let last = self.backends.get(&self.last);
        let agrees = if event.starts_with("Started proxying") {
            verdicts().any(Result::is_ok)
        } else if let Some(text) = told("Login failed: ") {
            failed(&[FailureClass::Auth, FailureClass::AuthTempFail], &text)
        } else if let Some(text) = told("Aborting due to remote server: ") {
            failed(&[FailureClass::Remote, FailureClass::RemoteConfig], &text)
        } else if let Some(text) = told("Remote server sent invalid input: ") {
            failed(&[FailureClass::Protocol], &text)
        } else if event.starts_with("Unexpected input") {
            self.backends.values().any(|b| b.warnings.iter().any(|w| w == event))
        } else if let Some(state) = told("state=") {
            let state = state.split([' ', ',']).next().unwrap();
            last.is_some_and(|b| b.machine.state() == state && b.verdict.is_none())
        } else {
            true
        };
        assert!(agrees, "{}: {event:?} and {:?}", self.name, verdicts().collect::<Vec<_>>());
        self.compared += 1;
    }

    /// Nothing may have been sent that the reference did not send.
    fn finish(self) {
        for (number, backend) in &self.backends {
            assert!(backend.verdict.is_none() || backend.sent.is_empty(), "{}: {number:?}", self.name);
        }
        assert!(self.passed_on.is_empty(), "{}: {:?}", self.name, self.passed_on);
        assert!(self.compared > 0, "{} has nothing to compare", self.name);
    }
}

fn replay(name: &'static str) {
    let path = format!("{}/../../tests/transcripts/login/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let content = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let mut replay = Replay { name, ..Replay::default() };
    content.lines().skip(1).for_each(|line| replay.line(line));
    replay.finish();
}

macro_rules! transcripts {
    ($($test:ident: $name:literal;)*) => {
        $(#[test]
        fn $test() {
            replay($name);
        })*
    };
}

transcripts! {
    ib_01_login: "imap-p01-login";
    ib_02_authenticate: "imap-proxy-authenticate";
    ib_03_no_banner_capabilities: "imap-proxy-nobannercap";
    ib_03_nor_in_the_reply: "imap-proxy-nobannercap2";
    ib_04_no_id: "imap-proxy-noid";
    ib_05_not_trusted: "imap-proxy-nottrusted";
    ib_06_forward: "imap-proxy-forward";
    ib_07_no_pipelining: "imap-proxy-nopipelining";
    ib_07_no_pipelining_no_capabilities: "imap-proxy-nopipelining-nocap";
    ib_08_eight_bit: "imap-proxy-8bit";
    ib_09_destuser: "imap-proxy-destuser";
    ib_10_master: "imap-proxy-master";
    ib_11_master_without_initial_response: "imap-proxy-master-noir";
    ib_12_external: "imap-proxy-mech-external";
    ib_12_login: "imap-proxy-mech-login";
    ib_12_oauthbearer: "imap-proxy-mech-oauthbearer";
    ib_12_xoauth2: "imap-proxy-mech-xoauth2";
    ib_15_no_login_capabilities: "imap-proxy-nologincap";
    ib_15_other_response_code: "imap-proxy-otherrespcode";
    ib_16_capability_used: "imap-proxy-capability-used";
    ib_17_capability_after_starttls: "imap-proxy-capability-starttls";
    ib_18_capability_inside_tls: "imap-proxy-capability-after-starttls";
    ib_19_untagged: "imap-proxy-untagged";
    ib_19_untagged_capability: "imap-proxy-untaggedcap";
    ib_19_untagged_capability_ignored: "imap-proxy-untaggedcap-ignores";
    ib_20_starttls: "imap-proxy-starttls";
    ib_20_starttls_no_capabilities: "imap-proxy-starttls-nobannercap";
    ib_20_starttls_no_pipelining: "imap-proxy-starttls-nopipelining";
    ib_21_starttls_missing: "imap-proxy-starttls-missing";
    ib_22_starttls_refused: "imap-proxy-starttls-refused";
    ib_23_ssl: "imap-proxy-ssl";
    ib_24_ssl_port: "imap-proxy-ssl-port";
    ib_26_starttls_wrong_name: "imap-proxy-starttls-yes-host";
    ib_26_starttls_address: "imap-proxy-starttls-yes-ip";
    ib_26_starttls_right_name: "imap-proxy-starttls-yes-ok";
    ib_27_starttls_invalid: "imap-proxy-starttls-yes";
    ib_29_client_certificate: "imap-proxy-clientcert";
    ib_30_source_address: "imap-proxy-sourceip";
    ib_31_login_disabled: "imap-proxy-logindisabled";
    ib_32_pipelined: "imap-proxy-pipelined";
    ib_32_pipelined_partial: "imap-proxy-pipelined-partial";
    ib_33_pipelined_behind_a_failure: "imap-proxy-fail-pipelined";
    ib_34_second_login: "imap-proxy-relogin";
    ib_35_auth: "imap-fail-auth";
    ib_35_bad: "imap-fail-bad";
    ib_35_no_code: "imap-fail-nocode";
    ib_36_limit: "imap-fail-limit";
    ib_36_other_code: "imap-fail-othercode";
    ib_37_unavailable_twice: "imap-fail-unavailable-retry";
    ib_38_unavailable_always: "imap-fail-unavailable-max";
    ib_39_unavailable_short: "imap-fail-unavailable-timeout";
    ib_42_no_banner: "imap-fail-timeout-banner";
    ib_42_no_answer: "imap-fail-timeout-login";
    ib_43_banner: "imap-fail-banner";
    ib_43_preauth: "imap-fail-preauth";
    ib_44_long_line: "imap-fail-longline";
    ib_45_bye: "imap-fail-bye";
    ib_45_disconnect: "imap-fail-disconnect";
    ib_49_client_gone: "imap-proxy-client-gone";
    ignored_fields: "imap-proxy-ignorefields";
}
