//! Settings of the login dialogues, one set for each protocol.

use homing_login::Service;

use super::View;
use crate::config::{
    grammar::Block,
    schema::known::LOGIN_SERVICE,
    settings::{ImapSettings, LoginByService, LoginSettings, SieveSettings},
};

/// Connections of a service whose configuration says nothing of limits: what the reference allows with
/// `service_count = 0` and its other defaults. Its own default, 100 processes with one client each, protects
/// against the cost of processes, which there are none of.
const CONNECTIONS_MAX_DEFAULT: usize = 100_000;

pub(super) fn login(root: &Block) -> LoginByService {
    let of = |service| of_service(root, service);
    LoginByService { imap: of(Service::Imap), pop3: of(Service::Pop3), sieve: of(Service::Sieve) }
}

fn of_service(root: &Block, service: Service) -> LoginSettings {
    let view = View::of_protocol(root, service.auth_name());
    LoginSettings {
        greeting: view.text("login_greeting"),
        trusted_networks: view.networks("login_trusted_networks"),
        disable_plaintext: view.flag("disable_plaintext_auth"),
        connections_max: connections_max(root, service),
        imap: ImapSettings {
            capability: view.text("imap_capability"),
            id_send: view.text("imap_id_send"),
            id_log: view.text("imap_id_log"),
            id_retain: view.flag("imap_id_retain"),
            literal_minus: view.flag("imap_literal_minus"),
        },
        sieve: SieveSettings {
            implementation: view.text("managesieve_implementation_string"),
            sieve_capability: view.text("managesieve_sieve_capability"),
            notify_capability: view.text("managesieve_notify_capability"),
        },
    }
}

/// Processes times clients of one process; with `service_count = 1` a process has one client (spec/login-proxy.md 12).
fn connections_max(root: &Block, service: Service) -> usize {
    let top = View::top(root);
    let service = root.of_kind("service").find(|block| block.name == service.login_name());
    let own = service.map(|block| View::of_block(block, LOGIN_SERVICE));
    let is_set = |name| own.as_ref().is_some_and(|view| view.is_set(name));
    let limits = ["client_limit", "process_limit", "service_count"];
    let defaults = ["default_client_limit", "default_process_limit"];
    if !limits.into_iter().any(is_set) && !defaults.into_iter().any(|name| top.is_set(name)) {
        return CONNECTIONS_MAX_DEFAULT;
    }
    let own = |name| own.as_ref().map_or(0, |view| view.count(name));
    let or_default = |own: u32, default| if own == 0 { top.count(default) } else { own };
    let processes = or_default(own("process_limit"), "default_process_limit");
    let one_each = own("service_count") == 1 || !is_set("service_count");
    let clients = if one_each { 1 } else { or_default(own("client_limit"), "default_client_limit") };
    (processes as usize).saturating_mul(clients as usize).max(1)
}
