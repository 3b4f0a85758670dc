//! Wiring only: builds each room from its part of the settings, and owns the order of reload and shutdown.

mod generation;
mod listening;
mod reload;

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use thiserror::Error;
use tokio_util::sync::DropGuard;

use self::{
    generation::{Kept, build},
    listening::{Serving, bind, stop_listening},
};
use crate::{
    admin::{Admin, AdminSockets},
    auth::AuthError,
    backend::HostStates,
    config::settings::{AuthSource, ListenerSettings, LogTarget, ProxyHeaderSettings, Settings},
    director::{self, Director, DirectorError},
    health::Health,
    lifecycle::{self, PrivilegeError, Request, Signals, Supervisor},
    listener::{BindError, Listener},
    metrics::{Metrics, MetricsSockets},
    observe::LogHandle,
    relay::{self, Relay},
    session::{Sessions, Stop},
    tls::TlsError,
};

/// How long sessions may take to leave at shutdown before the process ends anyway.
const SHUTDOWN_TIME: Duration = Duration::from_secs(10);

/// Why the program cannot start, or a reload is refused.
#[derive(Debug, Error)]
pub enum StartError {
    /// Signals cannot be listened to.
    #[error("cannot listen to signals: {0}")]
    Signals(#[source] io::Error),
    /// An address cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// None of the addresses is of a family that this machine has.
    #[error("there is no address to listen on")]
    NoAddress,
    /// Certificates or keys are not usable.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The authentication cannot be set up.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The director cannot be set up.
    #[error(transparent)]
    Director(#[from] DirectorError),
    /// A socket for others cannot be made.
    #[error(transparent)]
    RelayBind(#[from] relay::BindError),
    /// A socket for others cannot be served.
    #[error(transparent)]
    Relay(#[from] relay::ServeError),
    /// Root privileges could not be given up.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
}

/// A program that has what only root can get: its addresses.
pub struct Prepared {
    settings: Settings,
    bound: Vec<(ListenerSettings, Listener)>,
    relay: Relay,
    admin: AdminSockets,
    metrics: MetricsSockets,
}

impl Prepared {
    /// Binds, then gives up root as `default_login_user` says. Comes before the runtime and its threads.
    pub fn new(settings: Settings) -> Result<Self, StartError> {
        lifecycle::raise_open_files();
        let bound = bind(&settings.listeners)?;
        if bound.is_empty() {
            return Err(StartError::NoAddress);
        }
        let relay = Relay::bind(&settings.relay)?;
        let admin = AdminSockets::bind(&settings.admin);
        let metrics = MetricsSockets::bind(&settings.metrics);
        if let Some(user) = &settings.process.login_user {
            let log = match &settings.log.target {
                LogTarget::File(path) => Some(path.as_path()),
                _ => None,
            };
            lifecycle::drop_to(user, log.as_slice())?;
        }
        Ok(Self { settings, bound, relay, admin, metrics })
    }
}

/// The running program.
pub struct App {
    config: Option<PathBuf>,
    settings: Arc<Settings>,
    sessions: Sessions,
    director: Director,
    /// Sockets for others; ended when dropped.
    relay: relay::Serving,
    hosts: Arc<HostStates>,
    health: Arc<Health>,
    proxy_header: Arc<ArcSwap<ProxyHeaderSettings>>,
    listeners: HashMap<ListenerSettings, Serving>,
    admin: Admin,
    metrics: Metrics,
    /// Ends the background work of the current generation when dropped.
    generation_work: DropGuard,
    /// `None` while the program runs.
    signals: Option<Signals>,
    log: Arc<LogHandle>,
}

impl App {
    /// Starts serving. `config` is read again at a reload.
    pub async fn start(
        prepared: Prepared,
        config: Option<PathBuf>,
        log: Arc<LogHandle>,
    ) -> Result<Self, StartError> {
        let Prepared { settings, bound, relay, admin, metrics } = prepared;
        // Before anybody is served: from now on no signal ends the process without a goodbye.
        let signals = Signals::new().map_err(StartError::Signals)?;
        let settings = Arc::new(settings);
        let director = Director::start(&settings.director).await?;
        let health = Arc::new(Health::new(director.clone()));
        let hosts = Arc::new(HostStates::watched_by(health.watcher()));
        let (generation, generation_work) = build(&settings, Kept::default(), &hosts)?;
        health.reload(&settings.health, generation.backends().clone());
        let relay = relay.serve(&director)?;
        let sessions = Sessions::new(generation, director.clone());
        let own = own_address(&settings.director.servers);
        let (registry, foreign) = (Arc::clone(sessions.registry()), relay.foreign_sessions().clone());
        let admin = Admin::serve(admin, director.clone(), registry, foreign, own);
        let metrics = Metrics::serve(metrics, sessions.clone(), director.clone(), Arc::clone(&health));
        let proxy_header = Arc::new(ArcSwap::from_pointee(settings.proxy_header.clone()));
        let mut app = Self {
            config,
            settings,
            sessions,
            director,
            relay,
            hosts,
            health,
            proxy_header,
            listeners: HashMap::new(),
            admin,
            metrics,
            generation_work,
            signals: Some(signals),
            log,
        };
        app.serve(bound);
        Ok(app)
    }

    /// The sessions of this program.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Serves until asked to stop.
    pub async fn run(mut self) -> Result<(), StartError> {
        let Some(mut signals) = self.signals.take() else { return Ok(()) };
        announce(&self.settings);
        Supervisor.ready();
        loop {
            match signals.next().await {
                Request::Stop => break,
                // Files and name servers may be slow; whatever is half done then is not needed any more.
                Request::Reload => tokio::select! {
                    () = self.reload_and_report() => {}
                    () = signals.stop() => break,
                },
                Request::ReopenLogs => {
                    if let Err(error) = self.log.reopen() {
                        tracing::error!(target: "homing::app", "cannot reopen the log: {error}");
                    }
                }
            }
        }
        Supervisor.stopping();
        self.shut_down(&mut signals).await;
        Ok(())
    }

    /// Stops listening, then ends the sessions as `shutdown_clients` says. With `no`, sessions go on until
    /// they end by themselves or a second request to stop arrives.
    async fn shut_down(mut self, signals: &mut Signals) {
        self.metrics.stopping();
        stop_listening(self.listeners.drain().map(|(_, serving)| serving).collect()).await;
        drop(self.relay);
        self.health.stop();
        let registry = Arc::clone(self.sessions.registry());
        if self.settings.process.shutdown_clients {
            tracing::info!(target: "homing::app", "stopping; {} sessions end", registry.len());
        } else {
            tracing::info!(target: "homing::app", "stopping; {} sessions live on until they end", registry.len());
            tokio::select! {
                () = registry.emptied() => {}
                () = signals.stop() => {}
            }
        }
        registry.stop_all(Stop::Shutdown);
        if tokio::time::timeout(SHUTDOWN_TIME, registry.emptied()).await.is_err() {
            tracing::warn!(target: "homing::app", "{} sessions did not end in time", registry.len());
        }
        // Administrators can watch until here.
        self.admin.stop().await;
        self.metrics.stop().await;
        self.director.finish().await;
        drop(self.generation_work);
        self.log.flush();
    }
}

/// Builds what the settings describe, as a start would, but binds and serves nothing. Gives the names of backends
/// that have no address now, which is no reason not to start.
pub async fn rehearse(settings: Settings) -> Result<Vec<String>, StartError> {
    let settings = Arc::new(settings);
    if let Some(user) = &settings.process.login_user {
        lifecycle::can_drop_to(user)?;
    }
    if let Some(folder) = &settings.director.state_dir {
        director::state::check(folder, settings.process.login_user.as_deref())
            .map_err(DirectorError::from)?;
    }
    relay::check(&settings.relay)?;
    let director = Director::new(&settings.director).await?;
    // What it spawns never runs: nothing is awaited behind it.
    build(&settings, Kept::default(), &Arc::default())?;
    Ok(director.names_without_address())
}

/// Says who serves, and who checks passwords: a configuration chooses that in several ways.
fn announce(settings: &Settings) {
    let mut protocols: Vec<_> =
        settings.listeners.iter().map(|listener| listener.service.auth_name()).collect();
    protocols.dedup();
    let passwords = match &settings.auth.source {
        AuthSource::Socket(path) => format!("the auth service at {}", path.display()),
        AuthSource::Embedded(_) => "the passdbs of the configuration".to_owned(),
    };
    let (version, protocols) = (env!("CARGO_PKG_VERSION"), protocols.join(", "));
    tracing::info!(
        target: "homing::app",
        "Homing v{version} starting up for {protocols}; passwords are checked by {passwords}"
    );
}

/// What the list of directors shows for this one: the first of `director_servers`, if that is an address.
fn own_address(servers: &[String]) -> IpAddr {
    let first = servers.first().map(String::as_str).unwrap_or_default();
    let with_port = || first.parse().ok().map(|address: SocketAddr| address.ip());
    first.parse().ok().or_else(with_port).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}
