//! Replays conversations captured from the reference (tests/transcripts/login at the workspace root) against the
//! frontend: what the reference told clients and asked the auth service is what it must say and ask, except for the
//! differences listed here. Backends are reduced to the events that follow from their lines.

use std::collections::HashMap;

use homing_login::{Decision, FailReply, OkReply, decide, refusal_of};
use homing_transcripts::{
    actors, mechanism,
    recording::{Difference, Line, bytes_of, load, mechanisms_told, text_of, without_stamp},
    replay::additional_lines,
};
use homing_wire::{Fields, is_base64, tab};

use super::*;

type Client = actors::Client<ImapFrontend>;

/// Why: the stock texts for bad base64 are preferred (auth-protocol.md 10.6) and no tab reaches the auth service;
/// FAIL with a host is no referral (10.3); no `]` is left of a dropped response code (login-proxy.md 15, row 2);
/// the reference had crashed (10.2).
const DIFFERENCES: &[Difference] = &[
    Difference::new(
        "imap-auth-errors",
        "d NO [ALERT] Invalid base64 in response",
        "d BAD Invalid base64 data in continued response",
    ),
    Difference::new(
        "hardening-imap",
        "a NO [AUTHENTICATIONFAILED] Authentication failed.",
        "a BAD Invalid base64 data in initial response",
    ),
    Difference::new(
        "imap-auth-fail-codes",
        "a NO [REFERRAL imap://;AUTH=PLAIN@127.0.77.4/] Go there",
        "a NO [ALERT] Go there",
    ),
    Difference::new(
        "imap-proxy-otherrespcode",
        "a OK [CAPABILITY IMAP4rev1 SASL-IR ID LITERAL+ STARTTLS AUTH=PLAIN] ] Logged in",
        "a OK [CAPABILITY IMAP4rev1 SASL-IR ID LITERAL+ STARTTLS AUTH=PLAIN] Logged in",
    ),
    Difference::new("imap-auth-fail-codes", "", "b OK NOOP completed."),
    // The client had left.
    Difference::new("hardening-imap", "", "a NO [AUTHENTICATIONFAILED] Authentication failed."),
    Difference::new("imap-fail-nopass", "", "b OK NOOP completed."),
    Difference::new("imap-fail-nopass", "", "* BYE Logging out"),
    Difference::new("imap-fail-nopass", "", "c OK Logout completed."),
];

/// Settings that a recording does not show.
#[derive(Clone, Copy)]
struct Settings {
    greeting: &'static str,
    capability: &'static str,
    id_send: &'static str,
    id_retain: bool,
    literal_minus: bool,
}

const DEFAULT: Settings = Settings {
    greeting: "Dovecot ready.",
    capability: "",
    id_send: "name *",
    id_retain: false,
    literal_minus: false,
};

struct Replay {
    name: &'static str,
    settings: Settings,
    lines: Vec<Line>,
    at: usize,
    clients: HashMap<String, Client>,
    /// Who asked which request.
    askers: HashMap<String, String>,
    /// The client whose backend login runs, with the backend's capabilities.
    login: Option<(String, Option<String>)>,
    compared: usize,
}

impl Replay {
    /// Gives the number of lines compared.
    fn run(mut self) -> usize {
        while self.at < self.lines.len() {
            self.at += 1;
            let line = &self.lines[self.at - 1];
            let (who, number, text) = (line.who, line.number.clone(), line.text.clone());
            match who {
                '#' => self.remark(&text),
                'C' => self.client_says(&number),
                'S' => self.client_is_told(&number, &text),
                'L' => self.auth_is_asked(&text),
                'A' => self.auth_says(&text),
                'B' => self.backend_says(&text),
                _ => {}
            }
        }
        std::mem::take(&mut self.clients).into_values().for_each(|client| self.finish(&client));
        self.compared
    }

    fn remark(&mut self, text: &str) {
        if let Some((who, port)) = text.split_once(" connects to port ") {
            let Some(number) = who.strip_prefix("client") else { return };
            let number = number.trim().to_owned();
            let imap = matches!(port, "143" | "993");
            let client = imap.then(|| self.connect(&number, port == "993")).flatten();
            let old = self.clients.remove(&number);
            old.iter().for_each(|old| self.finish(old));
            client.and_then(|client| self.clients.insert(number, client));
        } else if let Some(number) = text.strip_prefix("client").and_then(|t| t.strip_suffix(" closes")) {
            self.settle();
            self.clients.get_mut(number).into_iter().for_each(|client| client.event(Input::Eof));
        } else if text.starts_with("client: TLS handshake done") {
            if let Some(client) = self.clients.values_mut().find(|c| c.wants_tls) {
                client.wants_tls = false;
                client.event(Input::TlsUp(TlsFacts::default()));
            }
        } else if let Some(number) = text.strip_prefix("proxy closes the client connection") {
            self.settle();
            let Some(client) = self.clients.get(number) else { return };
            // A handshake that fails is the driver's to notice.
            assert!(client.closed || client.forwarded.is_some() || client.wants_tls, "{}", self.place());
        }
    }

    /// A new client, unless it does not get to the greeting; policy, trust and mechanisms are those that the recording shows.
    fn connect(&self, number: &str, tls: bool) -> Option<Client> {
        let rest = &self.lines[self.at..];
        let remark = format!("client{} connects", if number.is_empty() { "" } else { " " });
        let own = rest.iter().take_while(|l| l.who != '#' || l.text != format!("{remark}{number}"));
        let lists = own.filter(|l| l.who == 'S' && l.number == number && l.text.contains("CAPABILITY "));
        let greeting = lists.clone().next()?;
        let longest = lists.max_by_key(|l| l.text.matches("AUTH=").count())?;
        let shows = |text: &str| greeting.text.contains(text);
        let hidden = shows("LOGINDISABLED") && !tls;
        let mechanisms = self.mechanisms(&longest.text, hidden);
        // Where passwords could be sent on plain connections, `secured` in requests tells of trusted networks.
        let trusted = self.lines.iter().any(|l| l.who == 'L' && l.text.contains("\tsecured\t")) && !hidden;
        let config = ImapFrontendConfig {
            greeting: self.settings.greeting.to_owned(),
            policy: SecurityPolicy {
                tls_available: tls || shows("STARTTLS"),
                tls_required: hidden && !shows("AUTH="),
                disable_plaintext: hidden && shows("AUTH="),
            },
            capability: self.settings.capability.to_owned(),
            id_send: self.settings.id_send.to_owned(),
            id_log: String::new(),
            id_retain: self.settings.id_retain,
            literal_minus: self.settings.literal_minus,
        };
        let facts = tls.then(TlsFacts::default);
        let client = identity(Service::Imap, trusted);
        Some(Client::new(Session::new(usize::MAX, |now| {
            ImapFrontend::new(Arc::new(config), client, now, facts, Some(mechanisms))
        })))
    }

    /// From the MECH lines, or else from a list that a client was told.
    fn mechanisms(&self, list: &str, hidden: bool) -> Arc<[Mechanism]> {
        let told = mechanisms_told(&self.lines);
        if !told.is_empty() {
            return told.into();
        }
        let unlisted =
            ["PLAIN", "LOGIN"].into_iter().filter(|m| hidden && !list.contains(&format!("AUTH={m}")));
        let listed = list.split([' ', ']']).filter_map(|word| word.strip_prefix("AUTH="));
        let flagged = |name: &str| match name {
            "PLAIN" | "LOGIN" | "XOAUTH2" | "OAUTHBEARER" => mechanism(&format!("{name}\tplaintext")),
            "ANONYMOUS" => mechanism("ANONYMOUS\tanonymous"),
            _ => mechanism(name),
        };
        listed.chain(unlisted).map(flagged).collect()
    }

    /// Lines of one client that follow each other were sent in one segment.
    fn client_says(&mut self, number: &str) {
        self.settle();
        let first = self.at - 1;
        while self.lines.get(self.at).is_some_and(|l| l.who == 'C' && l.number == number) {
            self.at += 1;
        }
        let lines = &self.lines[first..self.at];
        let segment: Vec<u8> = lines.iter().flat_map(Line::bytes).collect();
        if let Some(client) = self.clients.get_mut(number).filter(|c| c.forwarded.is_none() && !c.closed) {
            client.bytes(&segment);
        }
    }

    fn client_is_told(&mut self, number: &str, text: &str) {
        // The recorder saw the farewell before it had sent all.
        let next = self.lines.get(self.at);
        if text.starts_with("* BYE") && next.is_some_and(|l| l.who == '#' && l.text.contains("read error")) {
            self.at += 1;
        }
        if self.lines.get(self.at).is_some_and(|l| l.who == 'C' && l.end.is_empty()) {
            self.at += 1;
            self.client_says(number);
        }
        self.settle();
        let place = self.place();
        let Some(client) = self.clients.get_mut(number) else { return };
        if client.forwarded.is_some() && client.sent.is_empty() {
            return;
        }
        let ours = client.sent.pop_front();
        let differs = DIFFERENCES.iter().find(|d| {
            d.file == self.name && d.theirs == text && ours.as_deref().is_some_and(|ours| ours == d.ours)
        });
        let expected = differs.map_or_else(|| without_stamp(text), |d| d.ours.to_owned());
        assert_eq!(ours.as_deref(), Some(expected.as_str()), "{place}");
        self.compared += 1;
    }

    fn auth_is_asked(&mut self, text: &str) {
        let place = self.place();
        let fields: Vec<&str> = text.split('\t').collect();
        match fields.as_slice() {
            ["AUTH", id, mechanism, parameters @ ..] if parameters.contains(&"service=imap") => {
                self.auth_starts(id, mechanism, &parameters.join("\t"));
            }
            ["CONT", id, response] => {
                let Some(client) = self.asker(id) else { return };
                // What is no base64 is refused without asking.
                if !is_base64(response.as_bytes()) {
                    client.cancels = client.cancels.checked_sub(1).expect(&place);
                    return;
                }
                assert_eq!(client.responses.pop_front().as_deref(), Some(*response), "{place}");
            }
            ["CANCEL", id] => {
                if let Some(client) = self.asker(id) {
                    client.cancels = client.cancels.checked_sub(1).expect(&place);
                }
            }
            _ => {}
        }
    }

    fn auth_starts(&mut self, id: &str, mechanism: &str, parameters: &str) {
        let place = self.place();
        let fields = Fields::parse(&bytes_of(parameters));
        let resp = fields.value("resp");
        // What is no base64 is refused without asking; the reference lets the auth service say the same.
        if resp.is_some_and(|r| !is_base64(r)) {
            return;
        }
        let number = self.clients.iter().find(|(_, c)| c.asked.is_some()).expect(&place).0.clone();
        self.askers.insert(id.to_owned(), number);
        let client = self.asker(id).unwrap();
        let start = client.asked.take().unwrap();
        assert_eq!(start.mechanism, mechanism, "{place}");
        assert_eq!(start.initial_response.as_ref().map(Secret::expose), resp, "{place}");
        let known = client.session.frontend.client();
        let retained = fields.text("client_id").unwrap_or_default();
        assert_eq!(known.retained_id, retained.trim_start(), "{place}");
        let items: Vec<String> = known
            .forward
            .iter()
            .map(|f| format!("{}={}", text_of(&f.key), text_of(&tab::escape(f.value.as_deref().unwrap()))))
            .collect();
        let forward = fields.value("forward_fields").map(text_of).unwrap_or_default();
        assert_eq!(items.join("\t"), forward, "{place}");
        if fields.has("real_rip") {
            let told = (fields.text("rip").unwrap(), fields.text("lip").unwrap());
            let address = |a: std::net::SocketAddr| a.ip().to_string();
            assert_eq!((address(known.remote), address(known.local)), (told.0.to_owned(), told.1.to_owned()));
        }
        self.compared += 1;
    }

    fn auth_says(&mut self, text: &str) {
        let mut parts = text.splitn(3, '\t');
        let (word, id, rest) = (parts.next().unwrap(), parts.next(), parts.next().unwrap_or_default());
        let Some(number) = id.and_then(|id| self.askers.get(id)).cloned() else { return };
        let fields = Fields::parse(&bytes_of(rest));
        let Some(client) = self.asker(id.unwrap_or_default()) else { return };
        match word {
            "CONT" => client.event(Input::Challenge(rest.as_bytes())),
            "FAIL" => client.event(Input::Refused(refusal_of(&FailReply { fields }, "stamp"))),
            "OK" => match decide(Service::Imap, "PLAIN", &OkReply { fields }) {
                Decision::Refuse(refusal) => client.event(Input::Refused(refusal)),
                Decision::Proxy(_) => {
                    client.event(Input::AuthDone);
                    self.login = Some((number, None));
                }
                Decision::NoDestination => panic!("{}", self.place()),
            },
            _ => {}
        }
    }

    /// What follows from a backend's line during the login (spec/login-proxy.md 8.1.6 to 8.1.8).
    fn backend_says(&mut self, text: &str) {
        let Some((number, mut capabilities)) = self.login.take() else { return };
        let client = self.clients.get_mut(&number).unwrap();
        let code = text.strip_prefix("* OK [CAPABILITY ").and_then(|t| t.split(']').next());
        if let Some(list) = code.or(text.strip_prefix("* CAPABILITY ")) {
            capabilities = Some(list.to_owned());
        } else if let Some(reply) = text.strip_prefix("L OK ") {
            return client.event(Input::LoggedIn(success(reply, capabilities.as_deref())));
        } else if let Some(reply) = text.strip_prefix("L ") {
            let own = ["NO [AUTHENTICATIONFAILED]", "NO ["].map(|head| reply.starts_with(head));
            let shown = RefusalKind::Backend(reply.as_bytes().to_vec());
            let kind = if own == [false, true] { shown } else { RefusalKind::BackendAuthFailed };
            return client.event(Input::Refused(Refusal::new(kind)));
        } else if text.starts_with("* ") && !["* ID", "* BYE"].iter().any(|head| text.starts_with(head)) {
            let banner = text.contains("ready") || text.contains("Mock");
            if !banner {
                client.event(Input::BackendLine(format!("{text}\r\n").as_bytes()));
            }
        }
        self.login = Some((number, capabilities));
    }

    /// The recording goes on at the client although no backend has accepted.
    fn settle(&mut self) {
        let passed_on = |client: &Client| !client.sent.is_empty();
        let Some((number, _)) = &self.login else { return };
        let client = self.clients.get_mut(number).unwrap();
        if !passed_on(client) {
            client.event(Input::Refused(Refusal::new(RefusalKind::Unavailable)));
            self.login = None;
        }
    }

    /// Nothing may have been sent that the reference did not send.
    fn finish(&self, client: &Client) {
        let left = additional_lines(DIFFERENCES, self.name, client.sent.clone());
        assert!(left.is_empty(), "{}: {left:?}", self.name);
    }

    fn asker(&mut self, id: &str) -> Option<&mut Client> {
        self.clients.get_mut(self.askers.get(id)?)
    }

    fn place(&self) -> String {
        format!("{}.txt:{}", self.name, self.at + 1)
    }
}

fn replay(name: &'static str, settings: Settings) {
    let compared = Replay {
        name,
        settings,
        lines: load(name),
        at: 0,
        clients: HashMap::new(),
        askers: HashMap::new(),
        login: None,
        compared: 0,
    }
    .run();
    assert!(compared > 0, "{name} has nothing to compare");
}

macro_rules! transcripts {
    ($($test:ident: $name:literal;)*) => {
        $(#[test]
        fn $test() {
            replay($name, DEFAULT);
        })*
    };
}

transcripts! {
    auth_cont: "imap-auth-cont";
    auth_errors: "imap-auth-errors";
    auth_errors_stock: "v21-imap-auth-errors";
    auth_fail_codes: "imap-auth-fail-codes";
    auth_pipelined: "imap-auth-pipelined";
    auth_toolong: "imap-auth-toolong";
    badcmds: "imap-badcmds";
    badcmds_reset: "imap-badcmds-reset";
    badtags: "imap-badtags";
    banner_plain: "imap-banner-plain";
    banner_tls: "imap-banner-tls";
    disconnect_states: "imap-disconnect-states";
    external: "imap-external";
    fail_auth: "imap-fail-auth";
    fail_bad: "imap-fail-bad";
    fail_limit: "imap-fail-limit";
    fail_nocode: "imap-fail-nocode";
    fail_othercode: "imap-fail-othercode";
    fail_nopass: "imap-fail-nopass";
    hardening: "hardening-imap";
    id: "imap-id";
    id_long: "imap-id-long";
    id_trusted: "imap-id-trusted";
    id_untrusted: "imap-id-untrusted";
    lf_only: "imap-lf-only";
    literal_sizes: "imap-literal-sizes";
    literals: "imap-literals";
    login_syntax: "imap-login-syntax";
    long_ir: "imap-long-ir";
    longline: "imap-longline";
    misc: "imap-misc";
    notag: "imap-notag";
    pipelined_preauth: "imap-pipelined-preauth";
    plaintext_disabled: "imap-plaintext-disabled";
    proxy_capability_after_starttls: "imap-proxy-capability-after-starttls";
    proxy_capability_starttls: "imap-proxy-capability-starttls";
    proxy_capability_used: "imap-proxy-capability-used";
    proxy_fail_pipelined: "imap-proxy-fail-pipelined";
    proxy_nobannercap: "imap-proxy-nobannercap";
    proxy_nobannercap2: "imap-proxy-nobannercap2";
    proxy_nologincap: "imap-proxy-nologincap";
    proxy_otherrespcode: "imap-proxy-otherrespcode";
    proxy_pipelined: "imap-proxy-pipelined";
    proxy_pipelined_partial: "imap-proxy-pipelined-partial";
    proxy_relogin: "imap-proxy-relogin";
    proxy_untagged: "imap-proxy-untagged";
    proxy_untaggedcap: "imap-proxy-untaggedcap";
    proxy_untaggedcap_ignores: "imap-proxy-untaggedcap-ignores";
    scram: "imap-scram";
    secured_trusted: "secured-trusted";
    secured_trusted_sslrequired: "secured-trusted-sslrequired";
    secured_local: "secured-local";
    ssl_required: "ssl-required-imap";
    starttls: "imap-starttls";
    starttls_inject: "imap-starttls-inject";
    starttls_inject2: "imap-starttls-inject2";
    xoauth2_fail: "imap-xoauth2-fail";
    xoauth2_fail_stock: "v21-imap-xoauth2-fail";
}

#[test]
fn capability_explicit() {
    replay("imap-capability-explicit", Settings { capability: "IMAP4rev1 ONLY", ..DEFAULT });
}

#[test]
fn settings() {
    let settings = Settings {
        greeting: "Hi imap from 127.0.77.1 to 127.0.77.100 pid",
        capability: "+XEXTRA XMORE",
        id_send: "name * version * support-url http://example.com/ empty NIL",
        id_retain: true,
        literal_minus: true,
    };
    replay("imap-settings", settings);
}
