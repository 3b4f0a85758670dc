//! One check of one protocol of one backend, made as logins reach it. It asks no director for a place: the test user
//! is at all backends at once, and at none of them for long.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use homing_login::{ClientIdentity, ProxyTarget, Service};
use homing_wire::SessionId;

use super::watch::Seen;
use crate::{
    backend::{Backends, Depth, LoginRequest, ProbeFailure, is_fault_of_ours},
    config::settings::{CheckDepth, CheckSettings, HealthSettings},
    director::Director,
};

/// How to check, under one set of settings.
pub(super) struct Prober {
    checks: Vec<CheckSettings>,
    timeout: Duration,
    backends: Backends,
}

impl Prober {
    pub(super) fn new(settings: &HealthSettings, backends: Backends) -> Self {
        Self { checks: settings.checks.clone(), timeout: settings.timeout, backends }
    }

    pub(super) fn check(&self, service: Service) -> Option<&CheckSettings> {
        self.checks.iter().find(|check| check.service == service)
    }

    /// `None`: it says nothing about the backend. It ends within the time limit.
    pub(super) async fn probe(&self, director: &Director, ip: IpAddr, service: Service) -> Option<Seen> {
        let check = self.check(service)?;
        let depth = match check.depth {
            CheckDepth::Connect => Depth::Connect,
            CheckDepth::Greeting => Depth::Greeting,
            CheckDepth::Login => Depth::Login,
        };
        let target = self.target(check, director.hostname_of(ip).unwrap_or_else(|| ip.to_string()));
        let client = client(service);
        let request =
            LoginRequest { target: &target, ip, client, ask_capabilities: false, known_capabilities: None };
        match self.backends.probe(request, depth).await {
            Ok(()) => Some(Seen::Good),
            Err(ProbeFailure::Connect(error)) if is_fault_of_ours(&error) => {
                tracing::debug!("backend {ip} {}: not checked: {error}", service.auth_name());
                None
            }
            Err(failure) => Some(Seen::Bad(failure.to_string())),
        }
    }

    fn target(&self, check: &CheckSettings, host: String) -> ProxyTarget {
        ProxyTarget {
            user: check.user.as_str().into(),
            destuser: check.user.as_str().into(),
            password: Some(check.password.clone()),
            host: Some(host),
            host_ip: None,
            port: check.port,
            source_ip: None,
            master: None,
            mechanism: None,
            tls: check.tls,
            timeout: Some(self.timeout),
            refresh: Duration::ZERO,
            no_pipelining: true,
            // There is no client to tell the backend of.
            not_trusted: true,
            immediate_failure_after: Duration::ZERO,
            tag: Vec::new(),
            alt_names: Vec::new(),
            forward: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

fn client(service: Service) -> ClientIdentity {
    let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    ClientIdentity::new(service, nobody, nobody, SessionId::generate(0, nobody))
}
