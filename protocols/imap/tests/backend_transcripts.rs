//! Replays conversations captured from the reference (tests/transcripts/login at the workspace root) against the
//! backend side: the backend's lines are played to the machine, the proxy's lines, its lines for the client and
//! its log are compared with what the machine says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test program: it stops at the first surprise")]

use std::collections::HashMap;

use homing_imap::ImapBackend;
use homing_login::{
    BackendDialogue, BackendLogin, ClientIdentity, Decision, FailureClass, OkReply, ProxyTarget, Service,
    decide,
};
use homing_transcripts::{
    actors::{self, login_at},
    recording::{Line, bytes_of, load},
    replay::identity_in,
};
use homing_wire::Fields;

type Backend = actors::Backend<ImapBackend>;

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
    passed_on: Vec<String>,
    compared: usize,
}

impl Replay {
    fn line(&mut self, line: &Line) {
        let (number, text) = (line.number.as_str(), line.text.as_str());
        match line.who {
            '#' => self.remark(text),
            'C' if text == "s STARTTLS" => self.client_tls = true,
            'C' => self.asked |= text == "x CAPABILITY" && !self.client_tls,
            'L' if text.starts_with("AUTH\t") => self.auth_starts(text),
            'A' if text.starts_with("OK\t") => self.auth_says(text),
            'B' => self.backend_says(number, text),
            'P' => self.backend_is_told(number, text),
            'S' => self.passed_on.retain(|line| *line != text),
            'G' => self.log_says(text),
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
            let backend = Backend::new(ImapBackend::new(self.login()));
            self.backends.insert(self.last.clone(), backend);
        } else if text.starts_with("backend connection: TLS handshake done")
            && let Some(backend) = self.backends.get_mut(&self.last)
        {
            backend.secure();
        }
    }

    fn login(&self) -> BackendLogin {
        BackendLogin {
            ask_capabilities: self.asked,
            known_capabilities: self.known.clone(),
            ..login_at(self.target.as_ref().unwrap(), self.identity.clone().unwrap())
        }
    }

    fn auth_starts(&mut self, request: &str) {
        let parameters = request.splitn(4, '\t').nth(3).unwrap_or_default();
        self.identity = Some(identity_in(Service::Imap, &Fields::parse(&bytes_of(parameters))));
    }

    fn auth_says(&mut self, reply: &str) {
        let fields = Fields::parse(&bytes_of(reply.splitn(3, '\t').nth(2).unwrap_or_default()));
        match decide(Service::Imap, "PLAIN", &OkReply { fields }) {
            Decision::Proxy(target) => self.target = Some(*target),
            _ => panic!("{}: no target", self.name),
        }
    }

    fn backend_says(&mut self, number: &str, text: &str) {
        let backend = self.backends.get_mut(number).unwrap();
        if !backend.is_logged_in() {
            backend.line(text);
            self.passed_on.append(&mut backend.passed_on);
        }
    }

    fn backend_is_told(&mut self, number: &str, text: &str) {
        let backend = self.backends.get_mut(number).unwrap();
        if backend.is_logged_in() && backend.sent.is_empty() {
            return;
        }
        let ours = backend.sent.pop_front().unwrap_or_default();
        assert_eq!(ours, text, "{}: backend connection {number:?}", self.name);
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
    let mut replay = Replay { name, ..Replay::default() };
    load(name).iter().for_each(|line| replay.line(line));
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
