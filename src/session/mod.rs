//! Drives one connection from greeting to end, for all three dialects: the dialect's machine says what to do,
//! this room does it through the handles of the other rooms. It is the only room that knows their order.

mod connection;
mod forward;
mod frontends;
mod ids;
mod leaving;
mod log;
mod login;
mod prelogin;
mod registry;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use homing_login::{ClientIdentity, Secured};
use socket2::SockRef;
use tokio::{net::TcpStream, sync::Semaphore};

use crate::{
    auth::Auth,
    backend::{Backends, Pacing},
    config::settings::Settings,
    director::Director,
    listener::Accepted,
    observe::LoginLog,
    tls::ServerTls,
};
use frontends::FrontendConfigs;
pub use registry::{Listed, Registry, Seat, SessionCursor, SessionLogin, Stop};

/// How long a connection waits for a place when all places are taken by forwarding sessions
/// (spec/login-proxy.md 12.1).
const SEAT_WAIT: Duration = Duration::from_secs(10);

/// Connections that wait for a place. Each has a descriptor outside of the limit, so further ones are dropped at once.
const SEATS_AWAITED_MAX: usize = 256;

/// What sessions share under one configuration. A reload makes a new one for new connections.
pub struct Generation {
    settings: Arc<Settings>,
    auth: Auth,
    tls: Option<ServerTls>,
    backends: Backends,
    frontends: FrontendConfigs,
    words: Arc<LoginLog>,
}

impl Generation {
    /// Puts the handles together.
    pub fn new(settings: Arc<Settings>, auth: Auth, tls: Option<ServerTls>, backends: Backends) -> Self {
        let frontends = FrontendConfigs::new(&settings);
        let words = Arc::new(LoginLog::new(&settings.log));
        Self { settings, auth, tls, backends, frontends, words }
    }

    /// The settings of this generation.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The handle to the auth service.
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// The server side of TLS; `None` with `ssl = no`.
    pub fn tls(&self) -> Option<&ServerTls> {
        self.tls.as_ref()
    }
}

/// Starts sessions. Cheap to clone.
#[derive(Clone)]
pub struct Sessions(Arc<Shared>);

/// What all sessions share.
struct Shared {
    generation: ArcSwap<Generation>,
    director: Director,
    registry: Arc<Registry>,
    pacing: Arc<Pacing>,
    ids: ids::SessionIds,
    waiting: Semaphore,
}

impl Sessions {
    /// `director` outlives reloads.
    pub fn new(generation: Generation, director: Director) -> Self {
        Self(Arc::new(Shared {
            generation: ArcSwap::from_pointee(generation),
            director,
            registry: Arc::default(),
            pacing: Arc::default(),
            ids: ids::SessionIds::default(),
            waiting: Semaphore::new(SEATS_AWAITED_MAX),
        }))
    }

    /// New connections use `generation` from now on; live sessions keep theirs.
    pub fn set_generation(&self, generation: Generation) {
        self.0.generation.store(Arc::new(generation));
    }

    /// The generation that new connections get.
    pub fn generation(&self) -> Arc<Generation> {
        self.0.generation.load_full()
    }

    /// The live sessions.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.0.registry
    }

    /// Serves one connection in a task of its own.
    pub fn spawn(&self, accepted: Accepted) {
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move { serve(shared, accepted).await });
    }
}

/// The life of one connection. The phases before forwarding are boxed, so that a session that only forwards
/// does not keep their state.
async fn serve(shared: Arc<Shared>, accepted: Accepted) {
    let generation = shared.generation.load_full();
    let Some(seat) = Box::pin(seat_for(&shared, &generation, &accepted)).await else {
        tracing::warn!(
            target: "homing::session",
            "service({}): client_limit ({}) reached, client connections are being dropped",
            accepted.service.login_name(),
            generation.settings.login.of(accepted.service).connections_max,
        );
        return;
    };
    let client = identity_of(&shared, &generation, &accepted);
    let start = prelogin::Start { shared, generation, client, implicit_tls: accepted.tls, seat };
    if let Some(handover) = Box::pin(prelogin::run(start, accepted.stream)).await {
        forward::run(handover).await;
    }
}

async fn seat_for(shared: &Shared, generation: &Generation, accepted: &Accepted) -> Option<registry::Seat> {
    let limit = generation.settings.login.of(accepted.service).connections_max;
    let enter = || shared.registry.enter(accepted.service, accepted.remote, limit);
    if let Some(seat) = enter() {
        return Some(seat);
    }
    let _waiting = shared.waiting.try_acquire().ok()?;
    let deadline = tokio::time::Instant::now() + SEAT_WAIT;
    loop {
        let left = shared.registry.seat_left();
        tokio::pin!(left);
        left.as_mut().enable();
        if let Some(seat) = enter() {
            return Some(seat);
        }
        tokio::time::timeout_at(deadline, left).await.ok()?;
    }
}

/// Who connected, and whether the connection counts as secured (spec/login-proxy.md 3.3).
fn identity_of(shared: &Shared, generation: &Generation, accepted: &Accepted) -> ClientIdentity {
    let session = shared.ids.next(accepted.remote);
    let mut client = ClientIdentity::new(accepted.service, accepted.remote, accepted.local, session);
    client.real_remote = accepted.real_remote;
    client.real_local = accepted.real_local;
    client.trusted = generation.settings.login.of(accepted.service).trusts(accepted.remote.ip());
    let same_machine = accepted.proxied.is_none() && accepted.real_remote.ip() == accepted.real_local.ip();
    client.secured = if accepted.proxied.as_ref().is_some_and(|facts| facts.tls) {
        Secured::Tls
    } else if client.trusted || same_machine {
        Secured::Yes
    } else {
        Secured::No
    };
    client.local_name = accepted.proxied.as_ref().and_then(|facts| facts.authority.clone());
    client
}

/// Bytes that may wait in the kernel for a client that has not logged in and does not read. Without this limit it would
/// be megabytes each (`tcp_wmem`), for twenty times fewer sent. Longer than any answer.
const SEND_QUEUE_BYTES_MAX: u32 = 16 * 1024;

/// Small outgoing segments go at once: dialogues are short lines.
fn set_options(stream: &TcpStream) {
    // A socket that refuses an option fails on its first read, which reports better.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(SEND_QUEUE_BYTES_MAX);
}

/// For a user who is logged in, the kernel's default is the limit: throughput needs more.
fn lift_limits(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(0);
}
