//! Builds the dialect's machine for a connection from the settings.

use std::{sync::Arc, time::Instant};

use homing_imap::{ImapFrontend, ImapFrontendConfig};
use homing_login::{ClientIdentity, Frontend, Mechanism, SecurityPolicy, Service, TlsFacts};
use homing_managesieve::{SieveFrontend, SieveFrontendConfig};
use homing_pop3::{Pop3Frontend, Pop3FrontendConfig};

use crate::config::settings::{LoginSettings, Settings, SslMode};

/// Settings of the three machines, made once per configuration. The greeting may have variables of the
/// connection and is expanded for each.
pub(super) struct FrontendConfigs {
    settings: Arc<Settings>,
}

impl FrontendConfigs {
    pub(super) fn new(settings: &Arc<Settings>) -> Self {
        Self { settings: Arc::clone(settings) }
    }

    /// The machine for one connection. Its greeting is the first output if `mechanisms` are known.
    pub(super) fn build(
        &self,
        client: ClientIdentity,
        now: Instant,
        tls: Option<TlsFacts>,
        mechanisms: Option<Arc<[Mechanism]>>,
    ) -> Box<dyn Frontend> {
        let login = self.settings.login.of(client.service);
        let greeting = greeting(login, &client);
        let policy = policy(&self.settings, login);
        match client.service {
            Service::Imap => {
                let config = ImapFrontendConfig {
                    greeting,
                    policy,
                    capability: login.imap.capability.clone(),
                    id_send: login.imap.id_send.clone(),
                    id_log: login.imap.id_log.clone(),
                    id_retain: login.imap.id_retain,
                    literal_minus: login.imap.literal_minus,
                };
                Box::new(ImapFrontend::new(Arc::new(config), client, now, tls, mechanisms))
            }
            Service::Pop3 => {
                let config = Pop3FrontendConfig { greeting, policy };
                Box::new(Pop3Frontend::new(Arc::new(config), client, now, tls, mechanisms))
            }
            Service::Sieve => {
                let config = SieveFrontendConfig {
                    greeting,
                    policy,
                    implementation: login.sieve.implementation.clone(),
                    sieve_capability: login.sieve.sieve_capability.clone(),
                    notify_capability: Some(login.sieve.notify_capability.clone()).filter(|n| !n.is_empty()),
                };
                Box::new(SieveFrontend::new(Arc::new(config), client, now, tls, mechanisms))
            }
        }
    }
}

fn policy(settings: &Settings, login: &LoginSettings) -> SecurityPolicy {
    SecurityPolicy {
        tls_available: settings.tls.mode != SslMode::No,
        tls_required: settings.tls.mode == SslMode::Required,
        disable_plaintext: login.disable_plaintext,
    }
}

/// `login_greeting` with its variables (spec/login-proxy.md 3.4).
fn greeting(login: &LoginSettings, client: &ClientIdentity) -> String {
    if !login.greeting.contains('%') {
        return login.greeting.clone();
    }
    let values: [(&str, &str, String); 5] = [
        ("%{lip}", "%l", client.local.ip().to_string()),
        ("%{rip}", "%r", client.remote.ip().to_string()),
        ("%{pid}", "%p", std::process::id().to_string()),
        ("%{service}", "%s", client.service.auth_name().to_owned()),
        ("%{local_name}", "", client.local_name.clone().unwrap_or_default()),
    ];
    let mut text = login.greeting.clone();
    for (long, short, value) in values {
        text = text.replace(long, &value);
        if !short.is_empty() {
            text = text.replace(short, &value);
        }
    }
    text.replace("%%", "%")
}
