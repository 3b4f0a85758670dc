//! Rows MS-* of the client side, as scripts, and what must hold for any input.

mod properties;
mod scripts;

use homing_login::{Secured, Service, limits::INPUT_BYTES_MAX};
use homing_transcripts::{
    client::{self, Session, success},
    identity, mechanisms, pieces,
};

use super::*;

/// How a connection starts. The default is that of the checklist: plain, plaintext allowed, mechanisms PLAIN,
/// LOGIN and SCRAM, untrusted.
#[derive(Clone, Copy)]
struct Setup {
    policy: SecurityPolicy,
    trusted: bool,
    tls: bool,
    auth_up: bool,
}

const PLAIN: Setup = Setup {
    policy: SecurityPolicy { tls_available: true, tls_required: false, disable_plaintext: false },
    trusted: false,
    tls: false,
    auth_up: true,
};

fn accept(setup: Setup, step: usize) -> Session<SieveFrontend> {
    let config = SieveFrontendConfig {
        greeting: "ready".to_owned(),
        implementation: "Homing".to_owned(),
        sieve_capability: "fileinto".to_owned(),
        notify_capability: Some("mailto".to_owned()),
        policy: setup.policy,
    };
    let tls = setup.tls.then(TlsFacts::default);
    let mechanisms = setup.auth_up.then(mechanisms);
    let client = identity(Service::Sieve, setup.trusted);
    Session::new(step, |now| SieveFrontend::new(Arc::new(config), client, now, tls, mechanisms))
}
