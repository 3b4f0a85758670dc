//! One accepted login on its way to a backend: where it goes, what must hold before the backend is
//! contacted, and what is handed over to forwarding.

use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use homing_login::{
    BackendFailure, ClientIdentity, Decision, FailureClass, OkReply, ProxyTarget, Refusal, RefusalKind,
};
use homing_sasl::CLIENT_MECHANISMS;

use super::{
    Generation, Shared, leaving,
    log::LoginLog,
    registry::{Seat, SessionLogin},
};
use crate::{
    backend::{Attempted, Backends, LoginRequest, Tries},
    director::{Director, PlaceError, PlaceRequest, Placement, SessionLine},
    observe::ProxyDestination,
    transport::Transport,
};

/// A login that is refused here, with the words for the log.
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    /// `None`: the refusal is the auth service's wish and needs no words of ours.
    pub(super) log: Option<String>,
    pub(super) user: homing_login::UserName,
}

/// A user on the way to a backend. Holds the placement from before the backend is contacted until after it is let go
/// of: fields are dropped in order.
pub(super) struct Login {
    target: Box<ProxyTarget>,
    /// The auth service named the backend, so the director is not asked (spec/director.md 5.2).
    has_host: bool,
    /// Before the attempt under way.
    tries: Tries,
    backend: Option<(Transport, Bytes, u64)>,
    placement: Option<Placement>,
}

/// A login at a backend under way.
pub(super) type Attempt = Pin<Box<dyn Future<Output = Attempted> + Send>>;

/// The client's half of a handover.
pub(super) struct ClientSide {
    pub(super) transport: Transport,
    pub(super) unread: Bytes,
    pub(super) client: ClientIdentity,
    pub(super) sent: u64,
    pub(super) seat: Seat,
    pub(super) shared: Arc<Shared>,
    pub(super) generation: Arc<Generation>,
    pub(super) log: LoginLog,
}

/// A logged-in session: all that forwarding needs, and the guards that live as long as it does. The placement is
/// dropped last.
pub(super) struct Handover {
    pub(super) client: ClientSide,
    pub(super) target: Box<ProxyTarget>,
    pub(super) address: SocketAddr,
    pub(super) backend: Transport,
    pub(super) backend_unread: Bytes,
    pub(super) backend_sent: u64,
    pub(super) placement: Option<Placement>,
}

/// What an accepted authentication leads to.
pub(super) fn decide(
    client: &ClientIdentity,
    mechanism: &str,
    reply: &OkReply,
) -> Result<Login, Box<Refused>> {
    let user = reply.fields.value("user").map(homing_login::UserName::from).unwrap_or_default();
    match homing_login::decide(client.service, mechanism, reply) {
        Decision::Proxy(target) => Ok(Login {
            has_host: target.host.is_some(),
            target,
            tries: Tries::begin(),
            backend: None,
            placement: None,
        }),
        Decision::Refuse(refusal) => Err(Box::new(Refused { refusal, log: None, user })),
        Decision::NoDestination => Err(Box::new(Refused {
            refusal: Refusal::new(RefusalKind::Unavailable),
            log: Some(
                "auth service wants a local login (no proxy field), which a proxy does not have".to_owned(),
            ),
            user,
        })),
    }
}

impl Login {
    /// Fields of the auth reply.
    pub(super) fn target(&self) -> &ProxyTarget {
        &self.target
    }

    /// The auth service named the backend, so the director is not asked (spec/director.md 5.2).
    pub(super) fn has_host(&self) -> bool {
        self.has_host
    }

    /// Where the login goes, for the log. Meaningful once [`Login::check`] has passed.
    pub(super) fn destination(&self) -> ProxyDestination {
        let ip = self.target.check(CLIENT_MECHANISMS).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        super::log::destination(&self.target, SocketAddr::new(ip, self.target.port))
    }

    /// Asks the director. The placement is registered before the future returns.
    pub(super) fn place(
        &self,
        director: &Director,
    ) -> Pin<Box<dyn Future<Output = Result<Placement, PlaceError>> + Send>> {
        let (director, user, tag) = (director.clone(), self.target.destuser.clone(), self.target.tag.clone());
        Box::pin(async move { director.place(PlaceRequest { user: &user, tag: &tag }).await })
    }

    pub(super) fn set_placement(&mut self, placement: Placement) {
        self.target.host_ip = placement.hostname().map(|_| placement.ip().to_string());
        self.target.host =
            Some(placement.hostname().map_or_else(|| placement.ip().to_string(), ToOwned::to_owned));
        self.placement = Some(placement);
    }

    /// The place that the director gave.
    pub(super) fn placement(&self) -> Option<&Placement> {
        self.placement.as_ref()
    }

    /// What the registry says about the session; `ip` once the backend is known.
    pub(super) fn for_registry(&self, ip: Option<IpAddr>) -> SessionLogin {
        let target = &self.target;
        let is_name = |host: &&String| host.parse::<IpAddr>().is_err();
        SessionLogin {
            user: target.user.clone(),
            destuser: target.destuser.clone(),
            alternatives: target.alt_names.clone().into(),
            hostname: target.host.as_ref().filter(is_name).map(|host| host.as_str().into()),
            backend: ip.map(|ip| SocketAddr::new(ip, target.port)),
        }
    }

    /// An attempt is over and another one due. The user is nowhere until the director is asked again: it may have
    /// learned something meanwhile (spec/director.md 10, W12). For a backend that is `undecided` see [`Login::fail`].
    pub(super) fn try_again(&mut self, tries: Tries, undecided: Option<Transport>, limit: Duration) {
        self.tries = tries;
        see_off(self.placement.take(), undecided, limit);
    }

    /// No attempt is left. A backend that is `undecided` may let the user in although nobody waits for it any more, so
    /// the placement is held until it has closed.
    pub(super) fn fail(self, undecided: Option<Transport>, limit: Duration) {
        see_off(self.placement, undecided, limit);
    }

    /// True if the director moves the user off a backend that is taken for dead: the login follows, instead of ending.
    pub(super) fn follows_move(&self) -> bool {
        self.placement.as_ref().is_some_and(Placement::leaves_down_host)
    }

    /// Leaves the old backend to itself, as [`Login::abandon`] does: the director waits for that.
    pub(super) fn follow_move(&mut self, attempt: Option<Attempt>, limit: Duration) {
        self.tries.count_broken_off();
        let (placement, backend) = (self.placement.take(), self.backend.take());
        if let Some(placement) = placement {
            abandon(placement, attempt, backend, limit);
        }
    }

    /// True before the first attempt.
    pub(super) fn is_first_try(&self) -> bool {
        self.tries.is_first()
    }

    /// Fires when the director wants the session to end.
    pub(super) fn kicked(&self) -> Option<SessionLine> {
        self.placement.as_ref().map(Placement::kicked)
    }

    /// What must hold before a backend is contacted (spec/login-proxy.md 7.1, 7.2).
    pub(super) fn check(&self, client: &ClientIdentity) -> Result<IpAddr, Box<Refused>> {
        let refuse = |kind, log: String| {
            let user = self.target.user.clone();
            Box::new(Refused { refusal: Refusal::new(kind), log: Some(log), user })
        };
        let ip = self
            .target
            .check(CLIENT_MECHANISMS)
            .map_err(|error| refuse(RefusalKind::Unavailable, error.to_string()))?;
        if client.ttl <= 1 {
            let text = "TTL reached zero - proxies appear to be looping?".to_owned();
            return Err(refuse(RefusalKind::ServerBug, text));
        }
        let own_address = client.local == SocketAddr::new(ip, self.target.port);
        if own_address && self.target.destuser == self.target.user {
            return Err(refuse(RefusalKind::Unavailable, "Proxying loops to itself".to_owned()));
        }
        Ok(ip)
    }

    /// One attempt to log in at the backend. Times count from the first.
    pub(super) fn at_backend(
        &mut self,
        backends: Backends,
        ip: IpAddr,
        client: ClientIdentity,
        ask_capabilities: bool,
        known_capabilities: Option<String>,
    ) -> Attempt {
        if self.tries.is_first() {
            self.tries = Tries::begin();
        }
        let (target, tries) = (self.target.clone(), self.tries.clone());
        Box::pin(async move {
            let request = LoginRequest { target: &target, ip, client, ask_capabilities, known_capabilities };
            backends.login(request, tries).await
        })
    }

    pub(super) fn logged_in(&mut self, transport: Transport, unread: Bytes, sent: u64) {
        self.backend = Some((transport, unread, sent));
    }

    /// The client is gone or has to go. The placement is held until the user is not at the backend any more, which may
    /// be in the middle of `attempt`.
    pub(super) fn abandon(self, attempt: Option<Attempt>, limit: Duration) {
        if let Some(placement) = self.placement {
            abandon(placement, attempt, self.backend, limit);
        }
    }

    pub(super) fn into_handover(mut self, client: ClientSide) -> Option<Handover> {
        let (backend, backend_unread, backend_sent) = self.backend?;
        let ip = self.target.check(CLIENT_MECHANISMS).ok()?;
        let address = SocketAddr::new(ip, self.target.port);
        // Not needed any more; wiped on drop.
        self.target.password = None;
        Some(Handover {
            client,
            target: self.target,
            address,
            backend,
            backend_unread,
            backend_sent,
            placement: self.placement,
        })
    }
}

fn abandon(
    placement: Placement,
    attempt: Option<Attempt>,
    backend: Option<(Transport, Bytes, u64)>,
    limit: Duration,
) {
    match (attempt, backend) {
        (Some(attempt), _) => {
            let login = async {
                match attempt.await {
                    Attempted::Done(outcome) => {
                        outcome.result.ok().map(|stream| stream.transport).or(outcome.undecided)
                    }
                    Attempted::Again(_, undecided) => undecided,
                }
            };
            tokio::spawn(leaving::abandon(placement, login, limit));
        }
        (None, backend) => see_off(Some(placement), backend.map(|(transport, ..)| transport), limit),
    }
}

/// Gives a placement back when the user is not at the backend any more. Nobody waits for that here.
fn see_off(placement: Option<Placement>, backend: Option<Transport>, limit: Duration) {
    if let (Some(placement), Some(backend)) = (placement, backend) {
        tokio::spawn(leaving::leave(placement, backend, limit));
    }
}

/// Host name and local time, shown with temporary failures to find the log line.
pub(super) fn stamp(hostname: &str) -> String {
    format!("{hostname}:{}", jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S"))
}

pub(super) fn temporary(stamp: String) -> Refusal {
    Refusal::new(RefusalKind::TempFail { stamp })
}

/// `None`: a temporary failure with a stamp.
pub(super) fn refusal_of_place_error(error: &PlaceError) -> Option<Refusal> {
    match error {
        PlaceError::NoDirector => Some(Refusal::new(RefusalKind::Unavailable)),
        _ => None,
    }
}

/// What the client sees of a failed backend login (spec/login-proxy.md 7.8).
pub(super) fn refusal_of_failure(failure: BackendFailure) -> Refusal {
    let kind = match (failure.class, failure.reply) {
        (FailureClass::RemoteConfig, _) => RefusalKind::ServerBug,
        (FailureClass::AuthTempFail | FailureClass::Auth, Some(reply)) => {
            RefusalKind::Backend(without_bare_line_ends(reply))
        }
        (FailureClass::Auth, None) => RefusalKind::BackendAuthFailed,
        _ => RefusalKind::Unavailable,
    };
    Refusal::new(kind)
}

/// Half a line end would be a whole one for some clients, and what follows another reply. CR LF stays: it belongs to
/// literals.
fn without_bare_line_ends(mut reply: Vec<u8>) -> Vec<u8> {
    let mut rest = reply.as_mut_slice();
    loop {
        rest = match rest {
            [] => return reply,
            [b'\r', b'\n', rest @ ..] => rest,
            [byte, rest @ ..] => {
                if matches!(byte, b'\r' | b'\n' | 0) {
                    *byte = b' ';
                }
                rest
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use homing_login::Service;
    use homing_wire::{Fields, SessionId};

    use super::*;

    fn client() -> ClientIdentity {
        let (remote, local) = ("127.0.0.9:4000".parse().unwrap(), "127.0.0.1:143".parse().unwrap());
        ClientIdentity::new(Service::Imap, remote, local, SessionId::generate(1, remote))
    }

    fn login(line: &str) -> Login {
        let reply = OkReply { fields: Fields::parse(line.as_bytes()) };
        decide(&client(), "PLAIN", &reply).map_err(|r| r.log).unwrap()
    }

    fn why_refused(login: &Login, client: &ClientIdentity) -> (RefusalKind, String) {
        let refused = login.check(client).err().unwrap();
        (refused.refusal.kind, refused.log.unwrap())
    }

    #[test]
    fn ib_47_unusable_targets_are_temporary_failures() {
        for line in [
            "user=a\tproxy\thost=10.0.0.1",
            "user=a\tproxy\tpass=x\thost=b",
            "user=a\tproxy\tpass=x\thost=127.0.0.1",
        ] {
            assert_eq!(why_refused(&login(line), &client()).0, RefusalKind::Unavailable, "{line}");
        }
        let looping = login("user=a\tproxy\tpass=x\thost=127.0.0.1");
        assert_eq!(why_refused(&looping, &client()).1, "Proxying loops to itself");
        assert!(login("user=a\tproxy\tpass=x\thost=127.0.0.1\tdestuser=b").check(&client()).is_ok());
    }

    #[test]
    fn ib_48_the_last_hop_refuses() {
        let mut client = client();
        client.ttl = 1;
        let (kind, text) = why_refused(&login("user=a\tproxy\tpass=x\thost=10.0.0.1"), &client);
        assert_eq!((kind, &text[..16]), (RefusalKind::ServerBug, "TTL reached zero"));
    }

    #[test]
    fn a_local_login_is_a_configuration_error() {
        let reply = OkReply { fields: Fields::parse(b"user=a") };
        let refused = decide(&client(), "PLAIN", &reply).err().unwrap();
        assert_eq!(refused.refusal.kind, RefusalKind::Unavailable);
        assert!(refused.log.is_some());
    }

    #[test]
    fn failures_by_class() {
        let kind = |class, reply: Option<&[u8]>| {
            let reply = reply.map(<[u8]>::to_vec);
            refusal_of_failure(BackendFailure { class, text: String::new(), reply }).kind
        };
        assert_eq!(kind(FailureClass::Connect, None), RefusalKind::Unavailable);
        assert_eq!(kind(FailureClass::RemoteConfig, None), RefusalKind::ServerBug);
        assert_eq!(kind(FailureClass::Auth, None), RefusalKind::BackendAuthFailed);
        assert_eq!(
            kind(FailureClass::Auth, Some(b"NO [LIMIT] x")),
            RefusalKind::Backend(b"NO [LIMIT] x".to_vec())
        );
        assert_eq!(kind(FailureClass::AuthTempFail, None), RefusalKind::Unavailable);
        assert_eq!(
            kind(FailureClass::Auth, Some(b"NO {4}\r\nno\ra OK\0\n")),
            RefusalKind::Backend(b"NO {4}\r\nno a OK  ".to_vec())
        );
    }
}
