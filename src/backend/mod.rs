//! Connects to the user's backend and logs the user in there: source address, TLS, the dialect's dialogue,
//! time limits, retries (spec/login-proxy.md 7). Also asks a backend how it is, as a login would. It knows nothing of
//! how the backend was chosen, nor what follows from how backends are.

mod attempt;
mod connect;
mod hosts;
mod pacing;
mod probe;
mod retry;
mod sighting;

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use homing_login::{BackendSuccess, ClientIdentity, ProxyTarget};

use crate::{config::settings::BackendSettings, tls::ClientTls, transport::Transport};
pub use attempt::{Cause, LoginFailure, plain_text};
pub use hosts::HostStates;
pub use pacing::{LiveSession, Pacing};
pub use probe::{Depth, ProbeFailure};
pub use retry::{Attempted, RETRY_PAUSE, Tries};
pub use sighting::{Sight, Sighting, Watcher, is_fault_of_ours};

/// Everything needed to reach backends, under one set of settings. Cheap to clone.
#[derive(Clone)]
pub struct Backends {
    settings: Arc<BackendSettings>,
    tls: ClientTls,
    hosts: Arc<HostStates>,
    sources: Arc<connect::Sources>,
}

/// One user's login at one backend.
pub struct LoginRequest<'a> {
    /// Fields of the auth reply, the director's host filled in.
    pub target: &'a ProxyTarget,
    /// Address to connect to.
    pub ip: IpAddr,
    /// The client as known now.
    pub client: ClientIdentity,
    /// See [`homing_login::BackendLogin::ask_capabilities`].
    pub ask_capabilities: bool,
    /// See [`homing_login::BackendLogin::known_capabilities`].
    pub known_capabilities: Option<String>,
}

/// What came of a login.
pub struct LoginOutcome {
    /// Lines for the client that arrived during the login, in order.
    pub client_lines: Vec<Bytes>,
    /// What was odd about the backend, in words for the log; escaped.
    pub warnings: Vec<String>,
    /// IMAP capabilities to remember for the next login of this client connection.
    pub capabilities: Option<String>,
    /// Attempts after the first.
    pub reconnects: u32,
    /// From the first connect to the end.
    pub took: Duration,
    /// The connection, or the last failure.
    pub result: Result<BackendStream, LoginFailure>,
    /// The connection of an attempt that has failed without an answer to the password, as by the time limit. Until it is
    /// closed the backend may let the user in.
    pub undecided: Option<Transport>,
}

/// A backend connection after a successful login.
pub struct BackendStream {
    /// Both directions.
    pub transport: Transport,
    /// The backend's answer and what came behind it.
    pub success: BackendSuccess,
    /// Bytes written to the backend so far.
    pub sent: u64,
    /// The address it was asked to come from, by the auth reply or `login_source_ips`.
    pub source: Option<IpAddr>,
}

impl Backends {
    /// `hosts` outlives reloads; it is what was learned about backends while running.
    pub fn new(settings: BackendSettings, tls: ClientTls, hosts: Arc<HostStates>) -> Self {
        let sources = Arc::new(connect::Sources::new(&settings.source_ips));
        Self { settings: Arc::new(settings), tls, hosts, sources }
    }

    /// One attempt to log in; whether it is repeated follows spec/login-proxy.md 7.4. Dropping the future closes the
    /// connection.
    pub async fn login(&self, request: LoginRequest<'_>, tries: Tries) -> Attempted {
        retry::login(self, request, tries).await
    }

    /// Asks a backend how it is, as deep as `depth` says, and leaves again. No login hears of it.
    pub async fn probe(&self, request: LoginRequest<'_>, depth: Depth) -> Result<(), ProbeFailure> {
        probe::probe(self, request, depth).await
    }
}
