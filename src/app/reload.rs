//! A reload: the new configuration is checked, built and bound, and only then takes the place of the old one.

use std::sync::Arc;

use thiserror::Error;

use super::{
    App, StartError,
    generation::{Kept, build},
    listening::{Serving, bind, overlap, probe, stop_listening},
};
use crate::{
    config::{
        self,
        settings::{ListenerSettings, Settings},
    },
    lifecycle::Supervisor,
    observe::tally::{ReloadResult, tally},
    session::Stop,
};

#[derive(Debug, Error)]
enum ReloadError {
    #[error("the new configuration has {0}")]
    Config(String),
    #[error("reading the configuration failed: {0}")]
    Reading(#[from] tokio::task::JoinError),
    #[error(transparent)]
    Start(#[from] StartError),
}

impl App {
    pub(super) async fn reload_and_report(&mut self) {
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
        for line in outcome.report.warnings_to_log() {
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
}
