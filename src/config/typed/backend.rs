//! Settings of connections to backends.

use std::net::IpAddr;

use super::{View, pem, resolve};
use crate::config::{
    report::Report,
    schema::kind,
    settings::{BackendSettings, ClientCertificate, Pem, SourceIps},
};

pub(super) fn backend(view: &View<'_>, report: &mut Report) -> BackendSettings {
    BackendSettings {
        timeout: view.time("login_proxy_timeout"),
        reconnects_max: view.count("login_proxy_max_reconnects"),
        disconnect_delay_max: view.time("login_proxy_max_disconnect_delay"),
        source_ips: source_ips(view, report),
        ca: ca(view, report),
        require_valid_cert: view.flag("ssl_client_require_valid_cert"),
        client_certificate: client_certificate(view, report),
    }
}

/// `ssl_ca` is what the reference's login proxies use (spec/login-proxy.md 7.7), so it comes first.
fn ca(view: &View<'_>, report: &mut Report) -> Option<Pem> {
    if let Some(ca) = pem::pem(view, "ssl_ca", report) {
        return Some(ca);
    }
    let path = match view.file("ssl_client_ca_file") {
        // The setting is a path, but `<` is what hands expect here.
        Some(path) => path.display().to_string(),
        None => view.text("ssl_client_ca_file"),
    };
    pem::file(path.as_ref(), view.position("ssl_client_ca_file"), "ssl_client_ca_file", report)
}

fn client_certificate(view: &View<'_>, report: &mut Report) -> Option<ClientCertificate> {
    let (cert, key) = pem::pair(view, "ssl_client_cert", "ssl_client_key", report)?;
    Some(ClientCertificate { cert, key })
}

/// Addresses and host names; a leading `?` for the whole list (spec/login-proxy.md 7.6).
fn source_ips(view: &View<'_>, report: &mut Report) -> SourceIps {
    let text = view.text("login_source_ips");
    let (optional, list) = match text.trim_start().strip_prefix('?') {
        Some(list) => (true, list),
        None => (false, text.as_str()),
    };
    let mut ips: Vec<IpAddr> = Vec::new();
    for word in kind::words(list) {
        match resolve::addresses(word) {
            Ok(found) => ips.extend(found),
            Err(error) => {
                report.error(view.position("login_source_ips"), format!("login_source_ips: {error}"))
            }
        }
    }
    SourceIps { ips, optional }
}
