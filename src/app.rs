//! Wiring only: builds each room from its part of the settings, and owns the order of reload and shutdown.

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
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    admin::{Admin, AdminSockets},
    auth::{Auth, AuthError},
    backend::{Backends, HostStates},
    config::{
        self,
        settings::{AuthSource, ListenerSettings, LogTarget, ProxyHeaderSettings, Settings},
    },
    director::{self, Director, DirectorError},
    health::Health,
    lifecycle::{self, PrivilegeError, Request, Signals, Supervisor},
    listener::{BindError, Listener},
    metrics::{Metrics, MetricsSockets},
    observe::{
        LogHandle,
        tally::{ReloadResult, tally},
    },
    relay::{self, Relay},
    session::{Generation, Sessions, Stop},
    tls::{ClientTls, ServerTls, TlsError},
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

/// A listener at work. Its socket is closed when the task has ended.
struct Serving {
    stop: CancellationToken,
    task: JoinHandle<()>,
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

    async fn reload_and_report(&mut self) {
        Supervisor.reloading();
        tracing::warn!(target: "homing::app", "SIGHUP received - reloading configuration");
        match self.reload().await {
            Ok(()) => {
                tally().reloads.of(ReloadResult::Ok).count();
                tracing::info!(target: "homing::app", "the new configuration is in use");
            }
            Err(error) => {
                tally().reloads.of(ReloadResult::Refused).count();
                tracing::error!(target: "homing::app", "reload refused, the old configuration stays: {error}");
            }
        }
        Supervisor.ready();
    }

    /// Checks the configuration first; on any error nothing changes.
    async fn reload(&mut self) -> Result<(), ReloadError> {
        let Some(path) = self.config.clone() else { return Ok(()) };
        // Reads files and resolves names.
        let outcome = tokio::task::spawn_blocking(move || config::load(&path)).await?;
        let Some(settings) = outcome.settings else {
            for line in outcome.report.errors() {
                tracing::error!(target: "homing::config", "{line}");
            }
            return Err(ReloadError::Config(outcome.report.summary()));
        };
        for line in outcome.report.warnings() {
            tracing::warn!(target: "homing::config", "{line}");
        }
        self.apply(settings).await?;
        Ok(())
    }

    /// All or nothing, but for an address that has to be taken from an old listener: should another program be
    /// faster, it is missing until the next reload.
    async fn apply(&mut self, settings: Settings) -> Result<(), StartError> {
        let settings = Arc::new(settings);
        let current = self.sessions.generation();
        let kept = Kept {
            auth: (self.settings.auth == settings.auth).then(|| current.auth().clone()),
            tls: current.tls().cloned(),
        };
        let (generation, generation_work) = build(&settings, kept, &self.hosts)?;
        let added = settings.listeners.iter().filter(|l| !self.listeners.contains_key(*l)).cloned();
        let removed: Vec<_> =
            self.listeners.keys().filter(|l| !settings.listeners.contains(l)).cloned().collect();
        let taken = |l: &ListenerSettings| removed.iter().any(|r| overlap(r.address, l.address));
        let (late, early): (Vec<_>, Vec<_>) = added.partition(taken);
        probe(&late)?;
        let bound = bind(&early)?;
        self.director.reload(&settings.director).await?;
        // From here on the new configuration holds.
        let ending = removed.iter().filter_map(|listener| self.listeners.remove(listener)).collect();
        self.proxy_header.store(Arc::new(settings.proxy_header.clone()));
        self.health.reload(&settings.health, generation.backends().clone());
        self.sessions.set_generation(generation);
        self.generation_work = generation_work;
        self.warn_of_fixed(&settings);
        self.settings = settings;
        self.serve(bound);
        self.replace(ending, &late).await;
        self.metrics.reload(&self.settings.metrics).await;
        if self.settings.process.shutdown_clients {
            self.sessions.registry().stop_all(Stop::Shutdown);
        }
        Ok(())
    }

    /// Ends old listeners, and then binds what they were in the way of.
    async fn replace(&mut self, old: Vec<Serving>, late: &[ListenerSettings]) {
        stop_listening(old).await;
        for listener in late {
            match bind(std::slice::from_ref(listener)) {
                Ok(bound) => self.serve(bound),
                Err(error) => {
                    tracing::error!(target: "homing::app", "{error}; tried again at the next reload")
                }
            }
        }
    }

    /// Names what a reload cannot change.
    fn warn_of_fixed(&self, new: &Settings) {
        let (old, fixed) = (&self.settings, "takes effect at the next start");
        if old.log != new.log {
            tracing::warn!(target: "homing::app", "a changed log setting {fixed}");
        }
        if old.process.login_user != new.process.login_user {
            tracing::warn!(target: "homing::app", "a changed default_login_user {fixed}");
        }
        if old.director.state_dir != new.director.state_dir {
            tracing::warn!(target: "homing::app", "a changed director_state_dir {fixed}");
        }
        let is_relaying = !old.relay.sockets.is_empty() || !new.relay.sockets.is_empty();
        if is_relaying && old.relay != new.relay {
            tracing::warn!(target: "homing::app", "a changed socket of service director or ipc, or a limit of theirs, {fixed}");
        }
        if old.process.instance_name != new.process.instance_name {
            tracing::warn!(target: "homing::app", "a changed instance_name {fixed}");
        }
        if old.admin != new.admin {
            tracing::warn!(target: "homing::app", "a changed socket of service director or ipc, or director_admin_networks, {fixed}");
        }
    }

    fn serve(&mut self, listeners: Vec<(ListenerSettings, Listener)>) {
        for (settings, listener) in listeners {
            let stop = CancellationToken::new();
            let sessions = self.sessions.clone();
            let serve = listener.run(Arc::clone(&self.proxy_header), stop.clone(), move |accepted| {
                sessions.spawn(accepted);
            });
            self.listeners.insert(settings, Serving { stop, task: tokio::spawn(serve) });
        }
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

#[derive(Debug, Error)]
enum ReloadError {
    #[error("the new configuration has {0}")]
    Config(String),
    #[error("reading the configuration failed: {0}")]
    Reading(#[from] tokio::task::JoinError),
    #[error(transparent)]
    Start(#[from] StartError),
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

/// An address of a family that this machine does not have (`::` without IPv6) is left out.
fn bind(listeners: &[ListenerSettings]) -> Result<Vec<(ListenerSettings, Listener)>, BindError> {
    let mut bound = Vec::with_capacity(listeners.len());
    for settings in listeners {
        match Listener::bind(settings) {
            Ok(listener) => bound.push((settings.clone(), listener)),
            Err(error) if error.is_missing_family() => {
                tracing::warn!(target: "homing::app", "{error}; this address is left out");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(bound)
}

/// Ends listeners; their sockets are closed then. All of them before the first wait, which may be cut short.
async fn stop_listening(listeners: Vec<Serving>) {
    listeners.iter().for_each(|serving| serving.stop.cancel());
    for serving in listeners {
        // If it has panicked it has ended, too.
        let _ = serving.task.await;
    }
}

/// True if two listeners cannot be bound at the same time.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let same_ip = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.is_ipv4() == b.is_ipv4() && same_ip
}

/// Asks whether this machine has the addresses, at a port that is free: they cannot be bound yet.
fn probe(listeners: &[ListenerSettings]) -> Result<(), BindError> {
    for settings in listeners {
        let address = SocketAddr::new(settings.address.ip(), 0);
        match Listener::bind(&ListenerSettings { address, ..settings.clone() }) {
            Err(error) if !error.is_missing_family() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// What goes on over a reload.
#[derive(Default)]
struct Kept {
    /// If its settings have not changed.
    auth: Option<Auth>,
    /// Its ticket keys are kept.
    tls: Option<ServerTls>,
}

/// Everything that depends on the settings and is replaced as a whole, and what ends its background work.
fn build(
    settings: &Arc<Settings>,
    kept: Kept,
    hosts: &Arc<HostStates>,
) -> Result<(Generation, DropGuard), StartError> {
    let tls = match &kept.tls {
        Some(before) => before.successor(&settings.tls)?,
        None => ServerTls::new(&settings.tls)?,
    };
    let stop = CancellationToken::new();
    if let Some(tls) = &tls {
        tokio::spawn(tls.clone().watch(stop.clone()));
    }
    // From here on, failing ends the watching.
    let work = stop.drop_guard();
    let backends =
        Backends::new(settings.backend.clone(), ClientTls::new(&settings.backend)?, Arc::clone(hosts));
    let auth = match kept.auth {
        Some(auth) => auth,
        None => Auth::start(&settings.auth)?,
    };
    Ok((Generation::new(Arc::clone(settings), auth, tls, backends), work))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_in_the_way_of_each_other() {
        let overlap = |a: &str, b: &str| overlap(a.parse().unwrap(), b.parse().unwrap());
        for (a, b) in
            [("10.0.0.1:143", "10.0.0.1:143"), ("0.0.0.0:143", "10.0.0.1:143"), ("[::1]:1", "[::]:1")]
        {
            assert!(overlap(a, b) && overlap(b, a), "{a} {b}");
        }
        for (a, b) in
            [("10.0.0.1:143", "10.0.0.2:143"), ("0.0.0.0:143", "10.0.0.1:993"), ("0.0.0.0:1", "[::]:1")]
        {
            assert!(!overlap(a, b) && !overlap(b, a), "{a} {b}");
        }
    }
}
