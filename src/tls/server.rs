//! The handshake with clients, and its configuration, which is replaced while sessions live when its files change.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use homing_login::{Service, TlsFacts};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    HandshakeError, TlsError,
    configuration::{CertificateExpiry, Current},
    watch::FileStates,
};
use crate::config::settings::{SslMode, TlsSettings};

/// TLS towards clients. Cheap to clone; all clones share one configuration.
///
/// Bounds: rustls refuses handshake messages over 64 KiB and keeps at most 64 KiB of output; the caller
/// sets the deadline. Tickets are stateless, so handshakes leave nothing behind in memory.
#[derive(Clone)]
pub struct ServerTls {
    shared: Arc<Shared>,
}

struct Shared {
    current: ArcSwap<Current>,
    /// Serialises reloads; holds what the next look at the files needs.
    reload: Mutex<Reload>,
}

pub(super) struct Reload {
    /// What to load from.
    pub(super) settings: TlsSettings,
    /// The files as they were just before they were last read.
    pub(super) files: FileStates,
    /// The last attempt failed with this text.
    pub(super) failed: Option<String>,
}

impl ServerTls {
    /// Loads and checks everything; `None` for `ssl=no`.
    pub fn new(settings: &TlsSettings) -> Result<Option<Self>, TlsError> {
        Self::load(settings, None)
    }

    /// The same for changed settings, with the ticket keys of `self`: a reload must not make every phone do a full
    /// handshake. `self` stays as it is, for the sessions that have it.
    pub fn successor(&self, settings: &TlsSettings) -> Result<Option<Self>, TlsError> {
        Self::load(settings, Some(&self.shared.current.load_full()))
    }

    fn load(settings: &TlsSettings, old: Option<&Current>) -> Result<Option<Self>, TlsError> {
        if settings.mode == SslMode::No {
            return Ok(None);
        }
        // Taken before reading: a change in between is seen by the next look.
        let files = FileStates::of(settings);
        let current = Current::load(settings, old)?;
        let reload = Reload { settings: settings.clone(), files, failed: None };
        let shared = Shared { current: ArcSwap::from_pointee(current), reload: Mutex::new(reload) };
        Ok(Some(Self { shared: Arc::new(shared) }))
    }

    /// Does the handshake. The deadline is the caller's. A client that offers ALPN must offer the name of
    /// this service (RFC 7301 section 3.2), so that a browser cannot be led here (ALPACA); a client
    /// without ALPN is served.
    pub async fn accept<S>(
        &self,
        stream: S,
        service: Service,
    ) -> Result<(TlsStream<S>, TlsFacts), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let current = self.shared.current.load_full();
        let acceptor = TlsAcceptor::from(Arc::clone(current.config(service)));
        let stream = acceptor.accept(stream).await.map_err(|error| HandshakeError::accept(&error))?;
        let facts = current.facts(stream.get_ref().1);
        Ok((stream, facts))
    }

    /// The certificates in use, defaults first.
    pub fn expiries(&self) -> Vec<CertificateExpiry> {
        self.shared.current.load().expiries.clone()
    }

    /// Replaces the configuration for new handshakes; sessions keep theirs. On error the old one stays. Reads files.
    pub(super) fn replace(&self, settings: &TlsSettings) -> Result<(), TlsError> {
        let old = self.shared.current.load_full();
        self.shared.current.store(Arc::new(Current::load(settings, Some(&old))?));
        Ok(())
    }

    pub(super) fn lock_reload(&self) -> std::sync::MutexGuard<'_, Reload> {
        self.shared.reload.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}
