//! Metrics for Prometheus over HTTP: `/metrics` and `/healthz`, on loopback or a socket file, without a password. This
//! room shows what others have counted ([`crate::observe::tally`]) and what it reads off the director, the sessions
//! and TLS when it is asked. It changes nothing, and shows no name of a user and no address of a client.
//!
//! Nobody who reads metrics can hold up the mail: connections are few and short, and pages are made one at a time, on a
//! thread that may block.

mod accept;
mod answer;
mod exposition;
mod socket;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    config::settings::{MetricsPlace, MetricsSettings},
    director::Director,
    health::Health,
    session::Sessions,
};
use answer::Answers;
use exposition::Sources;
use socket::Bound;

/// Connections of one listener at a time. A scraper or two and a health check need one each, for milliseconds. Beyond
/// that the oldest one is closed, so that connections that are held open keep nobody out.
pub const CONNECTIONS_MAX: usize = 32;

/// How long a connection may take, from the first byte of the request to the last one of the answer.
pub const CONNECTION_TIME: Duration = Duration::from_secs(10);

/// Longest head of a request, in bytes. Scrapers send some hundred.
pub const HEAD_BYTES_MAX: usize = 8192;

/// Most header fields of a request.
pub const HEADERS_MAX: usize = 64;

/// Backends with rows of their own; further ones are summed up as `others`. Ten times what large sites have, and some
/// 300 kB.
pub const BACKENDS_MAX: usize = 1000;

/// Certificates with rows of their own: those that end first.
pub const CERTIFICATES_MAX: usize = 100;

/// Sockets that listen but are not accepted from yet.
#[derive(Default)]
pub struct MetricsSockets(Vec<Bound>);

impl MetricsSockets {
    /// Makes what the settings want. A socket that cannot be made is a warning: users are served without it. Needs no
    /// runtime, so that it can be done before root is given up.
    pub fn bind(settings: &MetricsSettings) -> Self {
        Self(settings.places.iter().filter_map(bind).collect())
    }
}

fn bind(place: &MetricsPlace) -> Option<Bound> {
    Bound::new(place)
        .inspect_err(|error| {
            tracing::warn!(target: "homing::metrics", "cannot listen on {place} for metrics: {error}");
        })
        .ok()
}

/// The sockets at work.
pub struct Metrics {
    answers: Arc<Answers>,
    serving: Vec<Serving>,
}

struct Serving {
    place: MetricsPlace,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Metrics {
    /// Answers at these sockets.
    pub fn serve(
        sockets: MetricsSockets,
        sessions: Sessions,
        director: Director,
        health: Arc<Health>,
    ) -> Self {
        let answers = Arc::new(Answers::new(Sources { sessions, director, health }));
        let mut metrics = Self { answers, serving: Vec::new() };
        sockets.0.into_iter().for_each(|bound| metrics.add(bound));
        metrics
    }

    fn add(&mut self, bound: Bound) {
        let (place, stop) = (bound.place.clone(), CancellationToken::new());
        let task = tokio::spawn(accept::serve(bound, Arc::clone(&self.answers), stop.clone()));
        self.serving.push(Serving { place, stop, task });
    }

    /// Listens where the settings want it now. Places that stay are left alone.
    pub async fn reload(&mut self, settings: &MetricsSettings) {
        let is_wanted = |serving: &mut Serving| !settings.places.contains(&serving.place);
        let ending: Vec<_> = self.serving.extract_if(.., is_wanted).collect();
        end(ending).await;
        for place in &settings.places {
            if !self.serving.iter().any(|serving| serving.place == *place) {
                bind(place).into_iter().for_each(|bound| self.add(bound));
            }
        }
    }

    /// `/healthz` says from now on that no new users are served.
    pub fn stopping(&self) {
        self.answers.stopping();
    }

    /// Closes the sockets and their connections, and removes their files.
    pub async fn stop(self) {
        end(self.serving).await;
    }
}

async fn end(serving: Vec<Serving>) {
    serving.iter().for_each(|serving| serving.stop.cancel());
    for serving in serving {
        // If it has panicked it has ended, too.
        let _ = serving.task.await;
    }
}
