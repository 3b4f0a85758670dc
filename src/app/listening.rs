//! The listeners of this program: bound, served, ended.

use std::{net::SocketAddr, sync::Arc};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::App;
use crate::{
    config::settings::ListenerSettings,
    listener::{BindError, Listener},
};

/// A listener at work. Its socket is closed when the task has ended.
pub(super) struct Serving {
    pub(super) stop: CancellationToken,
    pub(super) task: JoinHandle<()>,
}

impl App {
    pub(super) fn serve(&mut self, listeners: Vec<(ListenerSettings, Listener)>) {
        for (settings, listener) in listeners {
            let stop = CancellationToken::new();
            let sessions = self.sessions.clone();
            let serve = listener.run(Arc::clone(&self.proxy_header), stop.clone(), move |accepted| {
                sessions.spawn(accepted);
            });
            self.listeners.insert(settings, Serving { stop, task: tokio::spawn(serve) });
        }
    }
}

/// An address of a family that this machine does not have (`::` without IPv6) is left out.
pub(super) fn bind(listeners: &[ListenerSettings]) -> Result<Vec<(ListenerSettings, Listener)>, BindError> {
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
pub(super) async fn stop_listening(listeners: Vec<Serving>) {
    listeners.iter().for_each(|serving| serving.stop.cancel());
    for serving in listeners {
        // If it has panicked it has ended, too.
        let _ = serving.task.await;
    }
}

/// True if two listeners cannot be bound at the same time.
pub(super) fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let same_ip = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.is_ipv4() == b.is_ipv4() && same_ip
}

/// Asks whether this machine has the addresses, at a port that is free: they cannot be bound yet.
pub(super) fn probe(listeners: &[ListenerSettings]) -> Result<(), BindError> {
    for settings in listeners {
        let address = SocketAddr::new(settings.address.ip(), 0);
        match Listener::bind(&ListenerSettings { address, ..settings.clone() }) {
            Err(error) if !error.is_missing_family() => return Err(error),
            _ => {}
        }
    }
    Ok(())
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
