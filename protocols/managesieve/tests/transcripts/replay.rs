//! Walks through a recording: lines of clients, the auth service and backends are played to the machines, lines of the
//! reference are compared with what the machines sent.

use std::{collections::HashMap, sync::Arc};

use homing_login::{
    BackendInput, ClientIdentity, Decision, FailReply, FailureClass, Frontend, Input, Mechanism, OkReply,
    ProxyTarget, Refusal, RefusalKind, Secured, SecurityPolicy, Service, TlsFacts, decide, refusal_of,
};
use homing_managesieve::SieveFrontendConfig;
use homing_wire::{Fields, SessionId, is_base64};

use crate::{
    DIFFERENCES, Policy,
    actors::{Backend, Client},
    file::Line,
};

const SIEVE: &str = "fileinto reject envelope encoded-character vacation subaddress \
    comparator-i;ascii-numeric relational regex imap4flags copy include variables body enotify environment mailbox \
    date index ihave duplicate mime foreverypart extracttext";

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
        if let Some((who, _)) = text.split_once(" connects to port ") {
            let number = who.strip_prefix("client").unwrap().trim().to_owned();
            let client = self.connect(&number);
            if let Some(old) = self.clients.insert(number, client) {
                self.late_cancels += old.cancels;
                self.finish(old);
            }
        } else if text.starts_with("client: TLS handshake done") {
            assert!(std::mem::take(&mut self.client().wants_tls));
            self.client().event(Input::TlsUp(TlsFacts::default()));
        } else if text.starts_with("client: TLS handshake failed") {
            assert!(self.client().closed);
        } else if let Some(number) = text.strip_prefix("proxy closes the client connection") {
            let client = &self.clients[number];
            assert!(client.closed || client.forwarded.is_some(), "{}", self.place());
        } else if text.starts_with("proxy connects to backend") {
            let (target, identity) = (self.target.as_ref().unwrap(), self.identity.clone().unwrap());
            self.backend = Some(Backend::new(target, identity));
        } else if text.starts_with("backend connection: TLS handshake done") {
            let backend = self.backend.as_mut().unwrap();
            assert!(std::mem::take(&mut backend.wants_tls));
            backend.event(BackendInput::TlsUp);
        }
    }

    /// A new client; trust and mechanisms are those that the recording shows.
    fn connect(&self, number: &str) -> Client {
        let greeting: Vec<&Line> = self.lines[self.at..]
            .iter()
            .filter(|l| l.who == 'S' && l.number == number)
            .take_while(|l| !l.text.starts_with("OK "))
            .collect();
        let shows = |text: &str| greeting.iter().any(|l| l.text == text);
        let session = SessionId::received(b"S0").unwrap();
        let (remote, local) = ("127.0.77.100:1".parse().unwrap(), "127.0.77.1:4190".parse().unwrap());
        let trusted = shows("\"XCLIENT\"");
        let secured = if trusted { Secured::Yes } else { Secured::No };
        let identity = ClientIdentity {
            trusted,
            secured,
            ..ClientIdentity::new(Service::Sieve, remote, local, session)
        };
        let config = SieveFrontendConfig {
            greeting: "Dovecot ready.".to_owned(),
            implementation: "Dovecot Pigeonhole".to_owned(),
            sieve_capability: SIEVE.to_owned(),
            notify_capability: Some("mailto".to_owned()),
            policy: SecurityPolicy {
                tls_available: true,
                tls_required: self.policy.tls_required,
                disable_plaintext: self.policy.disable_plaintext,
            },
        };
        Client::new(config, identity, self.mechanisms(&greeting))
    }

    /// From the MECH lines, or else from what the greeting lists.
    fn mechanisms(&self, greeting: &[&Line]) -> Arc<[Mechanism]> {
        let told: Vec<Mechanism> =
            self.lines.iter().filter_map(|l| l.text.strip_prefix("MECH\t")).map(mechanism).collect();
        if !told.is_empty() {
            return told.into();
        }
        let listed = greeting.iter().find_map(|l| l.text.strip_prefix("\"SASL\" \"")).unwrap();
        // Those that are there but not listed.
        let hidden = self.policy.disable_plaintext.then_some("PLAIN\tplaintext");
        listed.trim_end_matches('"').split(' ').chain(hidden).map(mechanism).collect()
    }

    /// Lines of one client that follow each other were sent in one segment.
    fn client_says(&mut self, line: &Line) {
        self.settle();
        let mut segment = format!("{}\r\n", line.text);
        while let Some(next) = self.lines.get(self.at).filter(|l| l.who == 'C' && l.number == line.number) {
            segment.push_str(&format!("{}\r\n", next.text));
            self.at += 1;
        }
        self.clients.get_mut(&line.number).unwrap().bytes(segment.as_bytes());
    }

    fn client_is_told(&mut self, line: &Line) {
        self.settle();
        let ours = self.clients.get_mut(&line.number).unwrap().sent.pop_front();
        let differs = DIFFERENCES.iter().find(|d| d.file == self.name && d.theirs == line.text);
        let expected = differs.map_or_else(|| without_stamp(&line.text), |d| d.ours.to_owned());
        assert_eq!(ours, Some(expected), "{}", self.place());
        self.compared += 1;
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
        let resp = fields.value("resp");
        // What is no base64 is refused without asking; the reference lets the auth service say the same.
        if resp.is_some_and(|r| !is_base64(r)) {
            return;
        }
        let asker = self.clients.iter().find(|(_, c)| c.asked.is_some()).expect(&place).0.clone();
        self.asker = asker;
        let start = self.client().asked.take().unwrap();
        assert_eq!(start.mechanism, mechanism, "{place}");
        let ours = start.initial_response.as_ref().map(|r| r.expose().to_vec());
        // The reference sends an empty response left over from the attempt before (login-proxy.md 15.4).
        let theirs = resp.filter(|r| !(r.is_empty() && self.name == "sieve-auth-second"));
        assert_eq!(ours.as_deref(), theirs, "{place}");
        let address = |ip: &str, port: &str| {
            format!("{}:{}", fields.text(ip).unwrap(), fields.text(port).unwrap()).parse().unwrap()
        };
        let session = SessionId::received(fields.value("session").unwrap()).unwrap();
        let identity =
            ClientIdentity::new(Service::Sieve, address("rip", "rport"), address("lip", "lport"), session);
        let known = self.client().frontend.client();
        if known.trusted {
            assert_eq!((known.remote, &known.session), (identity.remote, &identity.session), "{place}");
        }
        self.identity = Some(identity);
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
            "OK" => match decide(Service::Sieve, "PLAIN", &OkReply { fields }) {
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
        let extra = |line: &&String| {
            !DIFFERENCES.iter().any(|d| d.file == self.name && d.theirs.is_empty() && d.ours == **line)
        };
        let left: Vec<&String> = client.sent.iter().filter(extra).collect();
        assert!(left.is_empty(), "{}: {left:?}", self.name);
        assert!(client.forwarded.is_none_or(|lines| lines.is_empty()), "{}", self.name);
    }

    fn client(&mut self) -> &mut Client {
        self.clients.get_mut(&self.asker).unwrap()
    }

    fn place(&self) -> String {
        format!("{}.txt:{}", self.name, self.at + 1)
    }
}

/// Host and time in a temporary failure are the recorder's.
fn without_stamp(text: &str) -> String {
    match text.split_once("[proxyhost:") {
        Some((head, tail)) => format!("{head}[stamp]{}", tail.split_once(']').unwrap().1),
        None => text.to_owned(),
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
