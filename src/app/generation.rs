//! What depends on the settings and is replaced as a whole by a reload.

use std::sync::Arc;

use tokio_util::sync::{CancellationToken, DropGuard};

use super::StartError;
use crate::{
    auth::Auth,
    backend::{Backends, HostStates},
    config::settings::Settings,
    session::Generation,
    tls::{ClientTls, ServerTls},
};

/// What goes on over a reload.
#[derive(Default)]
pub(super) struct Kept {
    /// If its settings have not changed.
    pub(super) auth: Option<Auth>,
    /// Its ticket keys are kept.
    pub(super) tls: Option<ServerTls>,
}

/// Everything that depends on the settings and is replaced as a whole, and what ends its background work.
pub(super) fn build(
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
