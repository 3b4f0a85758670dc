//! Walks through a recording: lines of clients, the auth service and backends are played to the machines, lines of the
//! reference are compared with what the machines sent.

use std::{collections::HashMap, sync::Arc};

use homing_login::{
    BackendInput, ClientIdentity, Decision, FailReply, FailureClass, ForwardField, Frontend, Input,
    Mechanism, OkReply, ProxyTarget, Refusal, RefusalKind, Secured, SecurityPolicy, Service, TlsFacts,
    decide, refusal_of,
};
use homing_pop3::Pop3FrontendConfig;
use homing_wire::{Fields, SessionId, tab};

use crate::{
    DIFFERENCES, Policy,
    actors::{Backend, Client},
    file::Line,
};

/// What the recorder's auth service offered where a recording does not show it.
const MECHANISMS: [&str; 8] = [
    "PLAIN\tplaintext",
    "LOGIN\tplaintext",
    "SCRAM-SHA-256",
    "EXTERNAL",
    "XOAUTH2\tplaintext",
    "OAUTHBEARER\tplaintext",
    "ANONYMOUS\tanonymous",
    "CRAM-MD5",
];

pub struct Replay<'a> {
    name: &'static str,
    policy: Policy,
    lines: &'a [Line],
    at: usize,
    clients: HashMap<String, Client>,
    /// The client that logs in at present.
    asker: String,
    /// As the auth request described it.
    identity: Option<ClientIdentity>,
    target: Option<ProxyTarget>,
    backend: Option<Backend>,
    /// The reference has APOP refused by its auth service; here it was refused without asking.
    apop_refused: bool,
    /// CANCEL lines that clients already gone have caused; the recorder saw some of them late.
    late_cancels: usize,
    compared: usize,
}

impl<'a> Replay<'a> {
    pub fn new(name: &'static str, policy: Policy, lines: &'a [Line]) -> Self {
        Self {
            name,
            policy,
            lines,
            at: 0,
            clients: HashMap::new(),
            asker: String::new(),
            identity: None,
            target: None,
            backend: None,
            apop_refused: false,
            late_cancels: 0,
            compared: 0,
        }
    }

    /// Gives the number of lines compared.
    pub fn run(mut self) -> usize {
        while let Some(line) = self.lines.get(self.at) {
            self.at += 1;
            match line.who {
                '#' => self.remark(&line.text),
                'C' => self.client_says(line),
                'S' => self.client_is_told(line),
                'L' => self.auth_is_asked(&line.text),
                'A' => self.auth_says(&line.text),
                'B' => self.backend_says(&line.text),
                'P' => self.backend_is_told(&line.text),
                _ => {}
            }
        }
        let clients = std::mem::take(&mut self.clients);
        clients.into_values().for_each(|client| self.finish(client));
        self.compared
    }

    fn remark(&mut self, text: &str) {
        if let Some((who, port)) = text.split_once(" connects to port ") {
            let number = who.strip_prefix("client").unwrap().trim().to_owned();
            let client = self.connect(&number, port == "995");
            if let Some(old) = self.clients.insert(number, client) {
                self.late_cancels += old.cancels;
                self.finish(old);
            }
        } else if text.starts_with("client: TLS handshake done") {
            // On the TLS port it was done before the greeting.
            for client in self.clients.values_mut().filter(|client| client.wants_tls) {
                client.wants_tls = false;
                client.event(Input::TlsUp(TlsFacts::default()));
            }
        } else if text.starts_with("client: TLS handshake failed") {
            assert!(self.client().closed);
        } else if text.starts_with("client: read error") && !self.client().closed {
            // The reference crashed (auth-protocol.md 10.2).
            self.client().sent.clear();
        } else if let Some(number) = text.strip_prefix("proxy closes the client connection") {
            let client = &self.clients[number.trim()];
            assert!(client.closed || client.forwarded.is_some(), "{}", self.place());
        } else if text.starts_with("proxy connects to backend") {
            let (target, identity) = (self.target.as_ref().unwrap(), self.identity.clone().unwrap());
            self.backend = Some(Backend::new(target, identity));
        } else if text.starts_with("backend connection: TLS handshake done") {
            let backend = self.backend.as_mut().unwrap();
            if std::mem::take(&mut backend.wants_tls) {
                backend.event(BackendInput::TlsUp);
            }
        }
    }

    /// A new client; trust and mechanisms are those that the recording shows.
    fn connect(&self, number: &str, tls: bool) -> Client {
        let said = self.lines[self.at..].iter().find(|l| l.who == 'S' && l.number == number);
        let trusted = said.is_some_and(|l| l.text.starts_with("+OK [XCLIENT]"));
        let session = SessionId::received(b"S0").unwrap();
        let (remote, local) = ("127.0.77.100:1".parse().unwrap(), "127.0.77.1:110".parse().unwrap());
        let secured = if trusted { Secured::Yes } else { Secured::No };
        let identity =
            ClientIdentity { trusted, secured, ..ClientIdentity::new(Service::Pop3, remote, local, session) };
        let config = Pop3FrontendConfig {
            greeting: "Dovecot ready.".to_owned(),
            policy: SecurityPolicy {
                tls_available: true,
                tls_required: self.policy.tls_required,
                disable_plaintext: self.policy.disable_plaintext,
            },
        };
        Client::new(config, identity, tls.then(TlsFacts::default), self.mechanisms())
    }

    fn mechanisms(&self) -> Arc<[Mechanism]> {
        let told: Vec<Mechanism> =
            self.lines.iter().filter_map(|l| l.text.strip_prefix("MECH\t")).map(mechanism).collect();
        if told.is_empty() { MECHANISMS.map(mechanism).into() } else { told.into() }
    }

    /// Lines of one client that follow each other were sent in one segment.
    fn client_says(&mut self, line: &Line) {
        self.settle();
        let mut segment = wire_form(&line.text);
        while let Some(next) = self.lines.get(self.at).filter(|l| l.who == 'C' && l.number == line.number) {
            segment.push_str(&wire_form(&next.text));
            self.at += 1;
        }
        self.clients.get_mut(&line.number).unwrap().bytes(segment.as_bytes());
    }

    fn client_is_told(&mut self, line: &Line) {
        if self.clients[&line.number].sent.is_empty() {
            self.settle();
        }
        if self.clients[&line.number].sent.is_empty() {
            self.hear_late_input(&line.number);
        }
        let ours = self.clients.get_mut(&line.number).unwrap().sent.pop_front();
        assert_eq!(ours, Some(self.expected(line)), "{}", self.place());
        self.compared += 1;
    }

    /// The recorder notes an answered piece of a line behind the answer.
    fn hear_late_input(&mut self, number: &str) {
        let said = |l: &&Line| l.who == 'C' && l.number == number && l.text.ends_with("  [no EOL]");
        let late = self.lines[self.at..].iter().find(said).unwrap_or_else(|| panic!("{}", self.place()));
        self.clients.get_mut(number).unwrap().bytes(wire_form(&late.text).as_bytes());
    }

    fn expected(&mut self, line: &Line) -> String {
        if std::mem::take(&mut self.apop_refused) {
            return "-ERR APOP not enabled.".to_owned();
        }
        let listed = DIFFERENCES
            .iter()
            .find(|d| d.file == self.name && d.client == line.number && d.theirs == line.text);
        listed.map_or_else(|| without_recorder(&line.text), |d| d.ours.to_owned())
    }

    fn auth_is_asked(&mut self, text: &str) {
        let fields: Vec<&str> = text.split('\t').collect();
        match fields.as_slice() {
            ["AUTH", _, mechanism, parameters @ ..] => self.auth_starts(mechanism, &parameters.join("\t")),
            ["CONT", _, response] => {
                let ours = self.client().responses.pop_front();
                assert_eq!(ours.as_deref(), Some(response.as_bytes()), "{}", self.place());
            }
            ["CANCEL", _] => {
                let place = self.place();
                let own = self.client().cancels;
                let count = if own > 0 { &mut self.client().cancels } else { &mut self.late_cancels };
                *count = count.checked_sub(1).expect(&place);
            }
            _ => {}
        }
    }

    fn auth_starts(&mut self, mechanism: &str, parameters: &str) {
        let place = self.place();
        let fields = Fields::parse(parameters.as_bytes());
        if mechanism == "APOP" {
            self.apop_refused = true;
            return;
        }
        let asker = self.clients.iter().find(|(_, c)| c.asked.is_some()).expect(&place).0.clone();
        self.asker = asker;
        let start = self.client().asked.take().unwrap();
        assert_eq!(start.mechanism, mechanism, "{place}");
        let ours = start.initial_response.as_ref().map(|r| r.expose().to_vec());
        assert_eq!(ours.as_deref(), fields.value("resp"), "{place}");
        let address = |ip: &str, port: &str| {
            format!("{}:{}", fields.text(ip).unwrap(), fields.text(port).unwrap()).parse().unwrap()
        };
        let session = SessionId::received(fields.value("session").unwrap()).unwrap();
        let identity =
            ClientIdentity::new(Service::Pop3, address("rip", "rport"), address("lip", "lport"), session);
        self.same_client(&fields, &identity);
        self.identity = Some(identity);
    }

    /// What a trusted proxy said has the same effect; what was not said is the recorder's.
    fn same_client(&mut self, fields: &Fields, theirs: &ClientIdentity) {
        let (place, known) = (self.place(), self.client().frontend.client().clone());
        if fields.has("real_rip") {
            assert_eq!(known.remote.ip(), theirs.remote.ip(), "{place}");
        }
        if fields.has("real_rport") {
            assert_eq!(known.remote.port(), theirs.remote.port(), "{place}");
        }
        if theirs.session.as_str() == "SESS1" || known.session.as_str() != "S0" {
            assert_eq!(known.session, theirs.session, "{place}");
        }
        // Without what is not accepted (auth-protocol.md 10.7).
        let good = |item: &&[u8]| !item.starts_with(b"=") && item.contains(&b'=') && !item.contains(&b'\n');
        let list = fields.value("forward_fields").unwrap_or_default();
        let theirs: Vec<&[u8]> = list.split(|b| *b == b'\t').filter(good).collect();
        let item = |f: &ForwardField| {
            [&tab::escape(&f.key), &b"="[..], &tab::escape(f.value.as_deref().unwrap())].concat()
        };
        let ours: Vec<Vec<u8>> = known.forward.iter().map(item).collect();
        assert_eq!(ours, theirs, "{place}");
    }

    fn auth_says(&mut self, text: &str) {
        let mut parts = text.splitn(3, '\t');
        let (word, _id, rest) = (parts.next().unwrap(), parts.next(), parts.next().unwrap_or_default());
        let fields = Fields::parse(rest.as_bytes());
        match word {
            "CONT" => self.client().event(Input::Challenge(rest.as_bytes())),
            "FAIL" => {
                let refusal = refusal_of(&FailReply { fields }, "stamp");
                self.client().event(Input::Refused(refusal));
            }
            "OK" => match decide(Service::Pop3, "PLAIN", &OkReply { fields }) {
                Decision::Refuse(refusal) => self.client().event(Input::Refused(refusal)),
                Decision::Proxy(target) => {
                    self.client().event(Input::AuthDone);
                    self.backend = None;
                    self.target = Some(*target);
                }
                Decision::NoDestination => panic!("{}", self.place()),
            },
            _ => {}
        }
    }

    fn backend_says(&mut self, text: &str) {
        if self.client().forwarded.is_some() {
            return self.client().sent.push_back(text.to_owned());
        }
        let backend = self.backend.as_mut().unwrap();
        backend.event(BackendInput::Bytes(format!("{text}\r\n").as_bytes()));
        if let Some(Ok(success)) = backend.verdict.take_if(|verdict| verdict.is_ok()) {
            self.target = None;
            self.client().event(Input::LoggedIn(success));
        }
    }

    fn backend_is_told(&mut self, text: &str) {
        let place = self.place();
        let ours = match self.client().forwarded.as_mut().and_then(|lines| lines.pop_front()) {
            Some(line) => line,
            None => self.backend.as_mut().unwrap().sent.pop_front().expect(&place),
        };
        assert_eq!(ours, text, "{place}");
        self.compared += 1;
    }

    /// The recording goes on at the client although no backend has accepted: the last attempt decides.
    fn settle(&mut self) {
        if self.target.is_none() {
            return;
        }
        let verdict = self.backend.take().and_then(|backend| backend.verdict);
        self.target = None;
        let kind = match verdict {
            Some(Err(failure)) => match (failure.class, failure.reply) {
                (FailureClass::RemoteConfig, _) => RefusalKind::ServerBug,
                (FailureClass::Auth, None) => RefusalKind::BackendAuthFailed,
                (_, Some(reply)) => RefusalKind::Backend(reply),
                _ => RefusalKind::Unavailable,
            },
            _ => RefusalKind::Unavailable,
        };
        self.client().event(Input::Refused(Refusal::new(kind)));
    }

    /// Nothing may have been sent that the reference did not send.
    fn finish(&self, client: Client) {
        assert!(client.sent.is_empty(), "{}: {:?}", self.name, client.sent);
        assert!(client.forwarded.is_none_or(|lines| lines.is_empty()), "{}", self.name);
    }

    fn client(&mut self) -> &mut Client {
        self.clients.get_mut(&self.asker).unwrap()
    }

    fn place(&self) -> String {
        format!("{}.txt:{}", self.name, self.at + 1)
    }
}

/// Without APOP challenge; host and time in a temporary failure are the recorder's.
fn without_recorder(text: &str) -> String {
    if let Some((head, challenge)) = text.split_once(" <") {
        assert!(challenge.ends_with("@proxyhost>"));
        return head.to_owned();
    }
    match text.split_once("[proxyhost:") {
        Some((head, tail)) => format!("{head}[stamp]{}", tail.split_once(']').unwrap().1),
        None => text.to_owned(),
    }
}

/// A line with its line end, which the recorder marks if it is not CR LF.
fn wire_form(text: &str) -> String {
    if let Some(text) = text.strip_suffix("  [LF only]") {
        format!("{text}\n")
    } else if let Some(text) = text.strip_suffix("  [no EOL]") {
        text.to_owned()
    } else {
        format!("{text}\r\n")
    }
}

/// `NAME[\tflag...]`.
fn mechanism(told: &str) -> Mechanism {
    let mut words = told.split('\t');
    let name = words.next().unwrap().to_owned();
    let flags: Vec<&str> = words.collect();
    Mechanism {
        private: flags.contains(&"private"),
        anonymous: flags.contains(&"anonymous"),
        plaintext: flags.contains(&"plaintext"),
        name,
    }
}
