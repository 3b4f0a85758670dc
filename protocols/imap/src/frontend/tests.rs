//! Rows IM-* as scripts, captured conversations, another parser as oracle, and what must hold for any input.

mod identification;
mod logins;
mod oracle;
mod properties;
mod scripts;
mod transcripts;

use homing_login::{Refusal, RefusalKind, Secured, Service, limits::LOGIN_TIMEOUT};
use homing_transcripts::{
    client::{self, Session, success},
    identity, mechanisms, pieces,
};
use homing_wire::Secret;

use super::*;

/// How a connection starts. The default is that of the checklist: plain, plaintext allowed, mechanisms PLAIN,
/// LOGIN and SCRAM, untrusted.
#[derive(Clone, Copy)]
struct Setup {
    policy: SecurityPolicy,
    trusted: bool,
    tls: bool,
    auth_up: bool,
    /// Without PLAIN and LOGIN.
    plain: bool,
    capability: &'static str,
    literal_minus: bool,
    id_log: &'static str,
    id_retain: bool,
}

const POLICY: SecurityPolicy =
    SecurityPolicy { tls_available: true, tls_required: false, disable_plaintext: false };

const PLAIN: Setup = Setup {
    policy: POLICY,
    trusted: false,
    tls: false,
    auth_up: true,
    plain: true,
    capability: "",
    literal_minus: false,
    id_log: "",
    id_retain: false,
};

fn config(setup: Setup) -> ImapFrontendConfig {
    ImapFrontendConfig {
        greeting: "ready".to_owned(),
        policy: setup.policy,
        capability: setup.capability.to_owned(),
        id_send: "name *".to_owned(),
        id_log: setup.id_log.to_owned(),
        id_retain: setup.id_retain,
        literal_minus: setup.literal_minus,
    }
}

fn accept(setup: Setup, step: usize) -> Session<ImapFrontend> {
    let config = config(setup);
    let tls = setup.tls.then(TlsFacts::default);
    let offered = mechanisms().iter().filter(|m| setup.plain || !m.plaintext).cloned().collect();
    let mechanisms = setup.auth_up.then_some(offered);
    let client = identity(Service::Imap, setup.trusted);
    Session::new(step, |now| ImapFrontend::new(Arc::new(config), client, now, tls, mechanisms))
}

fn play(setup: Setup, steps: &[(&str, &str)]) {
    client::play_in_pieces(|step| accept(setup, step), steps);
}

const BAD: &str = "a BAD Error in IMAP command received by server.";
const UNTAGGED_BAD: &str = "* BAD Error in IMAP command received by server.";
const TOO_MANY: &str = "* BYE Too many invalid IMAP commands. | <close TooManyBadCommands>";
const OK: &str = "a OK NOOP completed.";
const FULL: &str = "* BYE Input buffer full, aborting | <close InputBufferFull>";
const WAITING: &str = "* OK Waiting for authentication process to respond..";
const FAILED: &str = "a NO [AUTHENTICATIONFAILED] Authentication failed.";
const LOGIN: &str = "C a LOGIN alice pw";
const LOGGED: &str = "<auth PLAIN AGFsaWNlAHB3>";

const NO_PLAINTEXT: Setup = Setup { policy: SecurityPolicy { disable_plaintext: true, ..POLICY }, ..PLAIN };
const TLS_REQUIRED: Setup = Setup { policy: SecurityPolicy { tls_required: true, ..POLICY }, ..PLAIN };
const NO_TLS: Setup = Setup { policy: SecurityPolicy { tls_available: false, ..POLICY }, ..PLAIN };
const TRUSTED: Setup = Setup { trusted: true, ..PLAIN };
