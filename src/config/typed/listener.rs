//! What to listen on: `protocols` chooses the services, their `inet_listener` blocks the ports, `listen` the
//! addresses.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use homing_login::Service;

use super::{View, resolve};
use crate::config::{
    grammar::{Block, Position},
    report::Report,
    schema::{kind, known::INET_LISTENER},
    settings::{ListenerSettings, ProxyHeaderSettings},
};

/// Listeners that exist without being configured: name, port, `ssl`.
type Preset = (&'static str, u16, bool);

fn presets(service: Service) -> &'static [Preset] {
    match service {
        Service::Imap => &[("imap", 143, false), ("imaps", 993, true)],
        Service::Pop3 => &[("pop3", 110, false), ("pop3s", 995, true)],
        Service::Sieve => &[("sieve", 4190, false)],
    }
}

pub(super) fn proxy_header(view: &View<'_>) -> ProxyHeaderSettings {
    ProxyHeaderSettings {
        trusted_networks: view.networks("haproxy_trusted_networks"),
        timeout: view.time("haproxy_timeout"),
    }
}

/// One listener before its addresses are known.
struct Wanted<'a> {
    name: &'a str,
    port: u16,
    ssl: bool,
    haproxy: bool,
    /// Empty: those of `listen`.
    address: String,
    position: &'a Position,
    /// `port` is written in a block.
    has_port: bool,
    /// It would exist without a block.
    is_preset: bool,
}

impl Wanted<'_> {
    /// Tells what was probably not meant.
    fn warn(&self, ssl_is_off: bool, top: &View<'_>, report: &mut Report) {
        let name = self.name;
        if !self.has_port && !self.is_preset {
            report.warning(self.position, format!("inet_listener {name}: without port nothing listens"));
        }
        if self.port == 0 {
            return;
        }
        if self.ssl && ssl_is_off && self.has_port {
            report.warning(self.position, format!("inet_listener {name}: off, because of ssl = no"));
        }
        if self.haproxy && top.networks("haproxy_trusted_networks").is_empty() {
            let text = format!(
                "inet_listener {name}: haproxy_trusted_networks is empty, so every connection is closed"
            );
            report.warning(self.position, text);
        }
    }
}

pub(super) fn listeners(root: &Block, report: &mut Report) -> Vec<ListenerSettings> {
    let top = View::top(root);
    let general = addresses("listen", &top.text("listen"), top.position("listen"), report);
    let ssl_is_off = top.text("ssl") == "no";
    let mut listeners = Vec::new();
    let mut taken: HashMap<SocketAddr, String> = HashMap::new();
    for service in protocols(&top, report) {
        for wanted in wanted(root, service) {
            wanted.warn(ssl_is_off, &top, report);
            if wanted.port == 0 || wanted.ssl && ssl_is_off {
                continue;
            }
            let own = addresses("address", &wanted.address, wanted.position, report);
            for ip in if own.is_empty() { &general } else { &own } {
                let listener = listener(&wanted, service, *ip);
                if let Some(other) = taken.insert(listener.address, wanted.name.to_owned()) {
                    let text =
                        format!("inet_listener {}: {} is taken by {other}", wanted.name, listener.address);
                    report.error(wanted.position, text);
                }
                listeners.push(listener);
            }
        }
    }
    if listeners.is_empty() && !report.has_errors() {
        let text = "nothing to listen on: set protocols (for example: protocols = imap pop3 sieve)";
        report.error(top.position("protocols"), text);
    }
    listeners
}

fn listener(wanted: &Wanted<'_>, service: Service, ip: IpAddr) -> ListenerSettings {
    ListenerSettings {
        name: wanted.name.to_owned(),
        service,
        address: SocketAddr::new(ip, wanted.port),
        ssl: wanted.ssl,
        haproxy: wanted.haproxy,
    }
}

/// The services that `protocols` names, each once.
fn protocols(top: &View<'_>, report: &mut Report) -> Vec<Service> {
    let mut services = Vec::new();
    let position = top.position("protocols");
    for word in kind::words(&top.text("protocols")) {
        let service = match word {
            "imap" => Service::Imap,
            "pop3" => Service::Pop3,
            "sieve" => Service::Sieve,
            "managesieve" => {
                report.warning(position, "protocols: 'managesieve' is now called 'sieve'");
                Service::Sieve
            }
            "lmtp" | "submission" | "doveadm" => {
                let text = format!("protocols: {word} is not served by this version: nothing listens for it");
                report.warning(position, text);
                continue;
            }
            "none" => continue,
            "imaps" | "pop3s" => {
                let text = format!(
                    "protocols: '{word}' is no protocol, its TLS listener comes with '{0}' (port = 0 in inet_listener {0} turns the plain one off)",
                    word.trim_end_matches('s')
                );
                report.error(position, text);
                continue;
            }
            _ => {
                report.error(
                    position,
                    format!("protocols: unknown protocol '{word}' (known: imap, pop3, sieve)"),
                );
                continue;
            }
        };
        if !services.contains(&service) {
            services.push(service);
        }
    }
    services
}

/// The presets that no block changes, then the `inet_listener` blocks in order.
fn wanted(root: &Block, service: Service) -> Vec<Wanted<'_>> {
    let blocks: Vec<&Block> = root
        .of_kind("service")
        .filter(|block| block.name == service.login_name())
        .flat_map(|block| block.of_kind("inet_listener"))
        .collect();
    let mut presets: BTreeMap<&str, &Preset> =
        presets(service).iter().map(|preset| (preset.0, preset)).collect();
    let changed: Vec<_> =
        blocks.into_iter().map(|block| configured(block, presets.remove(block.name.as_str()))).collect();
    let untouched = presets.into_values().map(|(name, port, ssl)| Wanted {
        name,
        port: *port,
        ssl: *ssl,
        haproxy: false,
        address: String::new(),
        position: &root.position,
        has_port: false,
        is_preset: true,
    });
    untouched.chain(changed).collect()
}

fn configured<'a>(block: &'a Block, preset: Option<&Preset>) -> Wanted<'a> {
    let view = View::of_block(block, INET_LISTENER);
    let (_, port, ssl) = preset.copied().unwrap_or(("", 0, false));
    Wanted {
        name: &block.name,
        port: if view.is_set("port") { kind::port(&view.text("port")).unwrap_or(0) } else { port },
        ssl: if view.is_set("ssl") { view.flag("ssl") } else { ssl },
        haproxy: view.flag("haproxy"),
        address: view.text("address"),
        position: &block.position,
        has_port: view.is_set("port"),
        is_preset: preset.is_some(),
    }
}

/// `*`, `::`, addresses and host names; what cannot be resolved is reported.
pub(super) fn addresses(name: &str, text: &str, position: &Position, report: &mut Report) -> Vec<IpAddr> {
    let mut ips: Vec<IpAddr> = Vec::new();
    for word in kind::words(text) {
        let found = match word {
            "*" => Ok(vec![Ipv4Addr::UNSPECIFIED.into()]),
            "::" | "[::]" => Ok(vec![Ipv6Addr::UNSPECIFIED.into()]),
            _ => resolve::addresses(word),
        };
        match found {
            Ok(found) => ips.extend(found),
            Err(error) => report.error(position, format!("{name}: {error}")),
        }
    }
    let mut seen = std::collections::HashSet::new();
    ips.retain(|ip| seen.insert(*ip));
    ips
}
