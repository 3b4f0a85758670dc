//! Walks through a recording with both machines of a dialect: lines of clients, the auth service and backends are
//! played to them, lines of the reference are compared with what they sent.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use homing_login::{
    BackendDialogue, BackendLogin, ClientIdentity, Decision, FailReply, FailureClass, ForwardField, Frontend,
    Input, Mechanism, OkReply, ProxyTarget, Refusal, RefusalKind, SecurityPolicy, Service, TlsFacts, decide,
    refusal_of,
};
use homing_wire::{Fields, SessionId, is_base64, tab};

use crate::{
    actors::{Backend, Client, login_at},
    client::Session,
    recording::{Difference, Line, bytes_of, load, without_stamp},
};

/// What a recording does not show of the settings.
#[derive(Debug, Clone, Copy, Default)]
pub struct Policy {
    /// `disable_plaintext_auth`.
    pub disable_plaintext: bool,
    /// `ssl = required`.
    pub tls_required: bool,
}

/// Plaintext logins anywhere.
pub const OPEN: Policy = Policy { disable_plaintext: false, tls_required: false };
/// Plaintext logins on secured connections only.
pub const NO_PLAINTEXT: Policy = Policy { disable_plaintext: true, tls_required: false };
/// No logins but on secured connections.
pub const TLS_REQUIRED: Policy = Policy { disable_plaintext: false, tls_required: true };

/// What a new client finds.
pub struct Accepted {
    /// Its address, and whether it is trusted.
    pub identity: ClientIdentity,
    /// Plaintext and TLS.
    pub policy: SecurityPolicy,
    /// On the TLS port.
    pub tls: Option<TlsFacts>,
    /// What the auth service offers.
    pub mechanisms: Arc<[Mechanism]>,
}

/// The machines of one dialect, and how to read its recordings.
pub trait Dialect {
    /// Server side.
    type Frontend: Frontend;
    /// Client side.
    type Backend: BackendDialogue;
    /// Which service it is.
    const SERVICE: Service;
    /// The port with TLS from the start.
    const TLS_PORT: &'static str;
    /// What differs on purpose.
    const DIFFERENCES: &'static [Difference];

    /// A frontend.
    fn frontend(accepted: Accepted, now: std::time::Instant) -> Self::Frontend;

    /// A dialogue.
    fn backend(login: BackendLogin) -> Self::Backend;

    /// Whether the client that is told these lines is trusted.
    fn is_trusted(told: &[&Line]) -> bool;

    /// From the MECH lines, or else from what the client is told.
    fn mechanisms(lines: &[Line], told: &[&Line], policy: Policy) -> Arc<[Mechanism]>;

    /// True for a request that is refused here without asking.
    fn is_never_asked(&mut self, _mechanism: &str) -> bool {
        false
    }

    /// What must be sent where the reference sent this, the listed differences apart.
    fn expected(&mut self, theirs: &str) -> String {
        without_stamp(theirs)
    }

    /// The initial response that must be sent where the reference sent this.
    fn initial_response<'a>(_file: &str, theirs: Option<&'a [u8]>) -> Option<&'a [u8]> {
        theirs
    }
}

/// Replays a recording.
pub fn replay<D: Dialect>(dialect: D, name: &'static str, policy: Policy) {
    let lines = load(name);
    let replay = Replay {
        dialect,
        name,
        policy,
        lines: &lines,
        at: 0,
        clients: HashMap::new(),
        asker: String::new(),
        identity: None,
        target: None,
        backend: None,
        late_cancels: 0,
        compared: 0,
    };
    assert!(replay.run() > 0, "{name} has nothing to compare");
}

struct Replay<'a, D: Dialect> {
    dialect: D,
    name: &'static str,
    policy: Policy,
    lines: &'a [Line],
    at: usize,
    clients: HashMap<String, Client<D::Frontend>>,
    /// The client that logs in at present.
    asker: String,
    /// As the auth request described it.
    identity: Option<ClientIdentity>,
    target: Option<ProxyTarget>,
    backend: Option<Backend<D::Backend>>,
    /// CANCEL lines that clients already gone have caused; the recorder saw some of them late.
    late_cancels: usize,
    compared: usize,
}

impl<D: Dialect> Replay<'_, D> {
    /// Gives the number of lines compared.
    fn run(mut self) -> usize {
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
            let client = self.connect(&number, port == D::TLS_PORT);
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
        } else if let Some(number) = text.strip_prefix("proxy closes the client connection") {
            let client = &self.clients[number.trim()];
            assert!(client.closed || client.forwarded.is_some(), "{}", self.place());
        } else if text.starts_with("proxy connects to backend") {
            let login = login_at(self.target.as_ref().unwrap(), self.identity.clone().unwrap());
            self.backend = Some(Backend::new(D::backend(login)));
        } else if text.starts_with("backend connection: TLS handshake done") {
            self.backend.as_mut().unwrap().secure();
        }
    }

    /// A new client; trust and mechanisms are those that the recording shows.
    fn connect(&self, number: &str, tls: bool) -> Client<D::Frontend> {
        let told: Vec<&Line> =
            self.lines[self.at..].iter().filter(|l| l.who == 'S' && l.number == number).collect();
        let accepted = Accepted {
            identity: crate::identity(D::SERVICE, D::is_trusted(&told)),
            policy: SecurityPolicy {
                tls_available: true,
                tls_required: self.policy.tls_required,
                disable_plaintext: self.policy.disable_plaintext,
            },
            tls: tls.then(TlsFacts::default),
            mechanisms: D::mechanisms(self.lines, &told, self.policy),
        };
        Client::new(Session::new(usize::MAX, |now| D::frontend(accepted, now)))
    }

    /// Lines of one client that follow each other were sent in one segment.
    fn client_says(&mut self, line: &Line) {
        self.settle();
        let mut segment = line.bytes();
        while let Some(next) = self.lines.get(self.at).filter(|l| l.who == 'C' && l.number == line.number) {
            segment.extend(next.bytes());
            self.at += 1;
        }
        self.clients.get_mut(&line.number).unwrap().bytes(&segment);
    }

    fn client_is_told(&mut self, line: &Line) {
        if self.clients[&line.number].sent.is_empty() {
            self.settle();
        }
        if self.clients[&line.number].sent.is_empty() {
            self.hear_late_input(&line.number);
        }
        let ours = self.clients.get_mut(&line.number).unwrap().sent.pop_front();
        let listed = D::DIFFERENCES.iter().find(|d| d.concerns(self.name, line));
        let expected = self.dialect.expected(&line.text);
        let expected = listed.map_or(expected, |d| d.ours.to_owned());
        assert_eq!(ours, Some(expected), "{}", self.place());
        self.compared += 1;
    }

    /// The recorder notes an answered piece of a line behind the answer.
    fn hear_late_input(&mut self, number: &str) {
        let said = |l: &&Line| l.who == 'C' && l.number == number && l.end.is_empty();
        let late = self.lines[self.at..].iter().find(said).unwrap_or_else(|| panic!("{}", self.place()));
        self.clients.get_mut(number).unwrap().bytes(&late.bytes());
    }

    fn auth_is_asked(&mut self, text: &str) {
        let fields: Vec<&str> = text.split('\t').collect();
        match fields.as_slice() {
            ["AUTH", _, mechanism, parameters @ ..] => self.auth_starts(mechanism, &parameters.join("\t")),
            ["CONT", _, response] => {
                let ours = self.client().responses.pop_front();
                assert_eq!(ours.as_deref(), Some(*response), "{}", self.place());
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
        let fields = Fields::parse(&bytes_of(parameters));
        let resp = fields.value("resp");
        // What is no base64 is refused without asking; the reference lets the auth service say the same.
        if self.dialect.is_never_asked(mechanism) || resp.is_some_and(|r| !is_base64(r)) {
            return;
        }
        self.asker = self.clients.iter().find(|(_, c)| c.asked.is_some()).expect(&place).0.clone();
        let start = self.client().asked.take().unwrap();
        assert_eq!(start.mechanism, mechanism, "{place}");
        let ours = start.initial_response.as_ref().map(|r| r.expose());
        assert_eq!(ours, D::initial_response(self.name, resp), "{place}");
        let identity = identity_in(D::SERVICE, &fields);
        self.same_client(&fields, &identity);
        self.identity = Some(identity);
    }

    /// What a trusted proxy said has the same effect; what was not said is the recorder's.
    fn same_client(&mut self, fields: &Fields, theirs: &ClientIdentity) {
        let (place, known) = (self.place(), self.client().session.frontend.client().clone());
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
        let fields = Fields::parse(&bytes_of(rest));
        match word {
            "CONT" => self.client().event(Input::Challenge(rest.as_bytes())),
            "FAIL" => {
                let refusal = refusal_of(&FailReply { fields }, "stamp");
                self.client().event(Input::Refused(refusal));
            }
            "OK" => match decide(D::SERVICE, "PLAIN", &OkReply { fields }) {
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
        backend.line(text);
        assert!(backend.passed_on.is_empty() && backend.warnings.is_empty(), "{}.txt: {text}", self.name);
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
        if self.target.take().is_none() {
            return;
        }
        let verdict = self.backend.take().and_then(|backend| backend.verdict);
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
    fn finish(&self, client: Client<D::Frontend>) {
        let left = additional_lines(D::DIFFERENCES, self.name, client.sent);
        assert!(left.is_empty(), "{}: {left:?}", self.name);
        assert!(client.forwarded.is_none_or(|lines| lines.is_empty()), "{}", self.name);
    }

    fn client(&mut self) -> &mut Client<D::Frontend> {
        self.clients.get_mut(&self.asker).unwrap()
    }

    fn place(&self) -> String {
        format!("{}.txt:{}", self.name, self.at + 1)
    }
}

/// Those of the lines left that no difference explains.
pub fn additional_lines(
    differences: &[Difference],
    file: &str,
    left: impl IntoIterator<Item = String>,
) -> Vec<String> {
    let listed = |line: &String| {
        differences
            .iter()
            .any(|d| d.file == file && d.theirs.is_empty() && d.ours.split('\n').any(|l| l == line))
    };
    left.into_iter().filter(|line| !listed(line)).collect()
}

/// The client as an auth request describes it.
pub fn identity_in(service: Service, fields: &Fields) -> ClientIdentity {
    let address = |ip: &str, port: &str| -> SocketAddr {
        format!("{}:{}", fields.text(ip).unwrap(), fields.text(port).unwrap()).parse().unwrap()
    };
    let session = SessionId::received(fields.value("session").unwrap()).unwrap();
    ClientIdentity::new(service, address("rip", "rport"), address("lip", "lport"), session)
}
