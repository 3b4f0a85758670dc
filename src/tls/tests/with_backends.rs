//! `ClientTls` and backends with good and bad certificates.

use std::{sync::Arc, time::Duration};

use homing_login::{Service, TlsFacts};
use rcgen::{CertificateParams, DnType, IsCa, KeyPair};

use super::ca::{Ca, Leaf, settings};
use crate::{
    config::settings::{BackendSettings, ClientCertificate, Pem, SourceIps, TlsSettings},
    tls::{ClientTls, HandshakeError, ServerTls},
};

fn trusting(ca: &str) -> BackendSettings {
    BackendSettings {
        timeout: Duration::ZERO,
        reconnects_max: 0,
        disconnect_delay_max: Duration::ZERO,
        source_ips: SourceIps::default(),
        ca: Some(Pem::Inline(ca.to_owned())),
        require_valid_cert: true,
        client_certificate: None,
    }
}

async fn connect(
    backend: &TlsSettings,
    client: &BackendSettings,
    host: &str,
    verify: bool,
) -> Result<TlsFacts, HandshakeError> {
    let server = Arc::new(ServerTls::new(backend).unwrap().unwrap());
    let client = ClientTls::new(client).unwrap();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (client, server) =
        tokio::join!(client.connect(near, host, verify), server.accept(far, Service::Imap));
    client?;
    Ok(server.unwrap().1)
}

fn self_signed(params: &CertificateParams) -> Leaf {
    let key = KeyPair::generate().unwrap();
    Leaf { cert: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

#[tokio::test]
async fn chain_and_name_are_checked() {
    let (ca, foreign) = (Ca::new(), Ca::new());
    let backend = settings(ca.issue("backend.example.com").inline());
    let trusted = trusting(&ca.pem());
    let facts = connect(&backend, &trusted, "backend.example.com", true).await.unwrap();
    assert_eq!(facts.server_name.as_deref(), Some("backend.example.com"));
    let wrong = connect(&backend, &trusted, "wrong.example.com", true).await.unwrap_err();
    assert_eq!(wrong.to_string(), "SSL certificate doesn't match expected host name wrong.example.com");
    let untrusted = trusting(&foreign.pem());
    let text = connect(&backend, &untrusted, "backend.example.com", true).await.unwrap_err().to_string();
    assert!(text.starts_with("Received invalid SSL certificate: "), "{text}");
    assert!(connect(&backend, &untrusted, "backend.example.com", false).await.is_ok());
    let lenient = BackendSettings { require_valid_cert: false, ..untrusted };
    assert!(connect(&backend, &lenient, "backend.example.com", true).await.is_ok());
}

#[tokio::test]
async fn addresses_match_address_entries() {
    let ca = Ca::new();
    let backend = settings(ca.issue("192.0.2.1").inline());
    let trusted = trusting(&ca.pem());
    let facts = connect(&backend, &trusted, "192.0.2.1", true).await.unwrap();
    assert_eq!(facts.server_name, None);
    let other = connect(&backend, &trusted, "192.0.2.2", true).await;
    assert!(matches!(other, Err(HandshakeError::NameMismatch(_))));
    assert!(connect(&backend, &trusted, "[192.0.2.1]", true).await.is_ok());
}

#[tokio::test]
async fn what_is_no_name_matters_only_where_names_are_checked() {
    let ca = Ca::new();
    let (backend, trusted) = (settings(ca.issue("192.0.2.1").inline()), trusting(&ca.pem()));
    assert!(connect(&backend, &trusted, "back end", false).await.is_ok());
    let checked = connect(&backend, &trusted, "back end", true).await;
    assert!(matches!(checked, Err(HandshakeError::NameMismatch(_))));
}

#[tokio::test]
async fn a_common_name_counts_where_no_alternative_name_is() {
    let ca = Ca::new();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "*.example.com");
    let backend = settings(ca.sign(&params).inline());
    let trusted = trusting(&ca.pem());
    assert!(connect(&backend, &trusted, "b1.example.com", true).await.is_ok());
    for host in ["example.com", "a.b.example.com", "b1.example.org", "192.0.2.1"] {
        let refused = connect(&backend, &trusted, host, true).await;
        assert!(matches!(refused, Err(HandshakeError::NameMismatch(_))), "{host}");
    }
    let mut with_alternative = CertificateParams::new(vec!["other.example.com".to_owned()]).unwrap();
    with_alternative.distinguished_name.push(DnType::CommonName, "b1.example.com");
    let backend = settings(ca.sign(&with_alternative).inline());
    assert!(connect(&backend, &trusted, "b1.example.com", true).await.is_err());
}

#[tokio::test]
async fn a_listed_self_signed_certificate_is_trusted_for_its_name() {
    let mut params = CertificateParams::new(vec!["backend.example.com".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let leaf = self_signed(&params);
    let backend = settings(leaf.inline());
    let trusted = trusting(&leaf.cert);
    assert!(connect(&backend, &trusted, "backend.example.com", true).await.is_ok());
    assert!(connect(&backend, &trusted, "wrong.example.com", true).await.is_err());
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let old = self_signed(&params);
    let text = connect(&settings(old.inline()), &trusting(&old.cert), "backend.example.com", true)
        .await
        .unwrap_err()
        .to_string();
    assert!(text.contains("Received invalid SSL certificate: ") && text.contains("xpired"), "{text}");
}

#[tokio::test]
async fn our_certificate_is_presented() {
    let ca = Ca::new();
    let mut backend = settings(ca.issue("backend.example.com").inline());
    backend.verify_client = true;
    backend.ca = Some(Pem::Inline(ca.pem()));
    let ours = ca.issue("proxy");
    let mut client = trusting(&ca.pem());
    client.client_certificate =
        Some(ClientCertificate { cert: Pem::Inline(ours.cert), key: Pem::Inline(ours.key) });
    let facts = connect(&backend, &client, "backend.example.com", true).await.unwrap();
    assert_eq!(facts.cert_username.as_deref(), Some("proxy"));
}
