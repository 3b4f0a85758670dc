//! Settings of TLS towards clients.

use super::{View, pem};
use crate::config::{
    grammar::Block,
    report::Report,
    schema::known,
    settings::{CertificateFiles, NamedCertificate, SslMode, TlsSettings, TlsVersion},
};

pub(super) fn tls(root: &Block, report: &mut Report) -> TlsSettings {
    let view = &View::top(root);
    let mode = match view.text("ssl").as_str() {
        "yes" => SslMode::Yes,
        "required" => SslMode::Required,
        // `no`, or a word that has been reported.
        _ => SslMode::No,
    };
    // Without TLS nobody opens the files.
    let (default, by_name) = match mode {
        SslMode::No => (Vec::new(), Vec::new()),
        SslMode::Yes | SslMode::Required => (certificates(view, report), by_name(root, report)),
    };
    let ca = if mode == SslMode::No { None } else { pem::pem(view, "ssl_ca", report) };
    let verify_client = view.flag("ssl_verify_client_cert");
    if verify_client && ca.is_none() && mode != SslMode::No {
        let text = "ssl_verify_client_cert needs ssl_ca = <file with the authorities of client certificates";
        report.error(view.position("ssl_verify_client_cert"), text);
    }
    TlsSettings {
        mode,
        default,
        by_name,
        min_version: min_version(view, report),
        prefer_server_ciphers: view.flag("ssl_prefer_server_ciphers"),
        verify_client,
        ca,
        require_crl: view.flag("ssl_require_crl"),
        username_field: view.text("ssl_cert_username_field"),
    }
}

fn certificates(view: &View<'_>, report: &mut Report) -> Vec<CertificateFiles> {
    if view.file("ssl_cert").is_none() && view.text("ssl_cert").is_empty() {
        let default = if view.is_set("ssl") { "" } else { " (the default)" };
        let text = format!(
            "ssl = {}{default} needs a certificate: set ssl_cert = <file and ssl_key = <file (or ssl = no)",
            view.text("ssl")
        );
        report.error(view.position("ssl"), text);
    }
    let pairs = [("ssl_cert", "ssl_key"), ("ssl_alt_cert", "ssl_alt_key")];
    let read = |(cert, key)| pem::pair(view, cert, key, report);
    pairs.into_iter().filter_map(read).map(|(cert, key)| CertificateFiles { cert, key }).collect()
}

/// A block without a key of its own uses the general one.
fn by_name(root: &Block, report: &mut Report) -> Vec<NamedCertificate> {
    let mut found = Vec::new();
    for block in root.of_kind("local_name") {
        let own = View::of_block(block, known::TOP);
        if !own.is_set("ssl_cert") && !own.is_set("ssl_key") {
            continue;
        }
        let Some((cert, key)) = pem::pair(&own.over(root), "ssl_cert", "ssl_key", report) else { continue };
        let names = block.name.split_whitespace().map(str::to_ascii_lowercase).collect();
        found.push(NamedCertificate { names, files: CertificateFiles { cert, key } });
    }
    found
}

fn min_version(view: &View<'_>, report: &mut Report) -> TlsVersion {
    let text = view.text("ssl_min_protocol");
    match text.as_str() {
        "TLSv1.3" | "LATEST" => TlsVersion::V13,
        "ANY" | "SSLv3" | "TLSv1" | "TLSv1.1" => {
            let told = format!("ssl_min_protocol: {text} is not supported any more, TLSv1.2 is used");
            report.warning(view.position("ssl_min_protocol"), told);
            TlsVersion::V12
        }
        _ => TlsVersion::V12,
    }
}
