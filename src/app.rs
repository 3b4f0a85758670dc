//! Wiring only: builds each room from its part of the settings, and owns the order of reload and shutdown.

use std::{collections::HashMap, io, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use thiserror::Error;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    auth::{Auth, AuthError},
    backend::{Backends, HostStates},
    config::{
        self,
        settings::{ListenerSettings, ProxyHeaderSettings, Settings},
    },
    director::{Director, DirectorError},
    lifecycle::{self, PrivilegeError, Request, Signals, Supervisor},
    listener::{BindError, Listener},
    observe::LogHandle,
    relay::{BindError as RelayBindError, Relay, ServeError, Serving},
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
    RelayBind(#[from] RelayBindError),
    /// A socket for others cannot be served.
    #[error(transparent)]
    Relay(#[from] ServeError),
    /// Root privileges could not be given up.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
}

/// A program that has what only root can get: its addresses.
pub struct Prepared {
    settings: Settings,
    bound: Vec<(ListenerSettings, Listener)>,
    relay: Relay,
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
        if let Some(user) = &settings.process.login_user {
            lifecycle::drop_to(user)?;
        }
        Ok(Self { settings, bound, relay })
    }
}

/// The running program.
pub struct App {
    config: Option<PathBuf>,
    settings: Arc<Settings>,
    sessions: Sessions,
    director: Director,
    /// Sockets for others; ended when dropped.
    relay: Serving,
    hosts: Arc<HostStates>,
    proxy_header: Arc<ArcSwap<ProxyHeaderSettings>>,
    listeners: HashMap<ListenerSettings, CancellationToken>,
    /// Ends the background work of the current generation when dropped.
    generation_work: DropGuard,
    signals: Signals,
    log: Arc<LogHandle>,
}

impl App {
    /// Starts serving. `config` is read again at a reload.
    pub async fn start(
        prepared: Prepared,
        config: Option<PathBuf>,
        log: Arc<LogHandle>,
    ) -> Result<Self, StartError> {
        let Prepared { settings, bound, relay } = prepared;
        // Before anybody is served: from now on no signal ends the process without a goodbye.
        let signals = Signals::new().map_err(StartError::Signals)?;
        let hosts = Arc::<HostStates>::default();
        let settings = Arc::new(settings);
        let director = Director::new(&settings.director).await?;
        let (generation, generation_work) = build(&settings, None, &hosts)?;
        let relay = relay.serve(&director)?;
        let sessions = Sessions::new(generation, director.clone());
        let proxy_header = Arc::new(ArcSwap::from_pointee(settings.proxy_header.clone()));
        let mut app = Self {
            config,
            settings,
            sessions,
            director,
            relay,
            hosts,
            proxy_header,
            listeners: HashMap::new(),
            generation_work,
            signals,
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
        Supervisor.ready();
        loop {
            match self.signals.next().await {
                Request::Stop => break,
                Request::Reload => self.reload_and_report().await,
                Request::ReopenLogs => {
                    if let Err(error) = self.log.reopen() {
                        tracing::error!(target: "homing::app", "cannot reopen the log: {error}");
                    }
                }
            }
        }
        Supervisor.stopping();
        self.shut_down().await;
        Ok(())
    }

    async fn reload_and_report(&mut self) {
        Supervisor.reloading();
        tracing::warn!(target: "homing::app", "SIGHUP received - reloading configuration");
        if let Err(error) = self.reload().await {
            tracing::error!(target: "homing::app", "reload refused, the old configuration stays: {error}");
        }
        Supervisor.ready();
    }

    /// Checks the configuration first; on any error nothing changes.
    async fn reload(&mut self) -> Result<(), ReloadError> {
        let Some(path) = self.config.clone() else { return Ok(()) };
        // Reads files and resolves names.
        let outcome = tokio::task::spawn_blocking(move || config::load(&path)).await?;
        let settings = outcome.settings.ok_or_else(|| ReloadError::Config(outcome.report.to_string()))?;
        for line in outcome.report.warnings() {
            tracing::warn!(target: "homing::config", "{line}");
        }
        self.apply(settings).await?;
        Ok(())
    }

    async fn apply(&mut self, settings: Settings) -> Result<(), StartError> {
        let settings = Arc::new(settings);
        let current = self.sessions.generation();
        let auth = (self.settings.auth == settings.auth).then(|| current.auth().clone());
        let (generation, generation_work) = build(&settings, auth, &self.hosts)?;
        let added: Vec<_> =
            settings.listeners.iter().filter(|l| !self.listeners.contains_key(*l)).cloned().collect();
        let removed: Vec<_> =
            self.listeners.keys().filter(|l| !settings.listeners.contains(l)).cloned().collect();
        // An address whose role changes is bound only after the old listener let go of it.
        let replaced = |l: &ListenerSettings| removed.iter().any(|r| r.address == l.address);
        let (late, early): (Vec<_>, Vec<_>) = added.into_iter().partition(replaced);
        let bound = bind(&early)?;
        self.director.reload(&settings.director).await?;
        for listener in &removed {
            if let Some(stop) = self.listeners.remove(listener) {
                stop.cancel();
            }
        }
        self.proxy_header.store(Arc::new(settings.proxy_header.clone()));
        self.sessions.set_generation(generation);
        self.generation_work = generation_work;
        self.warn_of_fixed(&settings);
        let ends_sessions = settings.process.shutdown_clients;
        self.settings = settings;
        self.serve(bound);
        if !late.is_empty() {
            tokio::time::sleep(REBIND_PAUSE).await;
            self.serve(bind(&late)?);
        }
        if ends_sessions {
            self.sessions.registry().stop_all(Stop::Shutdown);
        }
        Ok(())
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
        if old.relay != new.relay {
            tracing::warn!(target: "homing::app", "a changed socket of service director {fixed}");
        }
        if old.process.instance_name != new.process.instance_name {
            tracing::warn!(target: "homing::app", "a changed instance_name {fixed}");
        }
    }

    fn serve(&mut self, listeners: Vec<(ListenerSettings, Listener)>) {
        for (settings, listener) in listeners {
            let stop = CancellationToken::new();
            let sessions = self.sessions.clone();
            let serve = listener.run(Arc::clone(&self.proxy_header), stop.clone(), move |accepted| {
                sessions.spawn(accepted);
            });
            tokio::spawn(serve);
            self.listeners.insert(settings, stop);
        }
    }

    /// Stops listening, then ends the sessions as `shutdown_clients` says. With `no`, sessions go on until
    /// they end by themselves or a second request to stop arrives.
    async fn shut_down(mut self) {
        for (_, stop) in self.listeners.drain() {
            stop.cancel();
        }
        drop(self.relay);
        let registry = Arc::clone(self.sessions.registry());
        if !self.settings.process.shutdown_clients {
            tracing::info!(target: "homing::app", "stopping; {} sessions live on until they end", registry.len());
            let again = async { while self.signals.next().await != Request::Stop {} };
            tokio::select! {
                () = registry.emptied() => {}
                () = again => {}
            }
        }
        registry.stop_all(Stop::Shutdown);
        if tokio::time::timeout(SHUTDOWN_TIME, registry.emptied()).await.is_err() {
            tracing::warn!(target: "homing::app", "{} sessions did not end in time", registry.len());
        }
        drop(self.generation_work);
        self.log.flush();
    }
}

/// Time for a listener task to close its socket before the same address is bound again.
const REBIND_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Error)]
enum ReloadError {
    #[error("the new configuration has errors\n{0}")]
    Config(String),
    #[error("reading the configuration failed: {0}")]
    Reading(#[from] tokio::task::JoinError),
    #[error(transparent)]
    Start(#[from] StartError),
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

/// Everything that depends on the settings and is replaced as a whole, and what ends its background work.
fn build(
    settings: &Arc<Settings>,
    auth: Option<Auth>,
    hosts: &Arc<HostStates>,
) -> Result<(Generation, DropGuard), StartError> {
    let tls = ServerTls::new(&settings.tls)?;
    let stop = CancellationToken::new();
    if let Some(tls) = &tls {
        tokio::spawn(tls.clone().watch(stop.clone()));
    }
    // From here on, failing ends the watching.
    let work = stop.drop_guard();
    let backends =
        Backends::new(settings.backend.clone(), ClientTls::new(&settings.backend)?, Arc::clone(hosts));
    let auth = match auth {
        Some(auth) => auth,
        None => Auth::start(&settings.auth)?,
    };
    Ok((Generation::new(Arc::clone(settings), auth, tls, backends), work))
}
