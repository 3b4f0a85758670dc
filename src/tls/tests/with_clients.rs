//! `ServerTls` and clients of all kinds.

use std::sync::Arc;

use homing_login::{Service, TlsFacts};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_rustls::{TlsConnector, client, server};

use super::ca::{Ca, Leaf, settings};
use crate::{
    config::settings::{NamedCertificate, Pem, TlsSettings, TlsVersion},
    tls::{HandshakeError, ServerTls, provider},
};

type Pair = (client::TlsStream<DuplexStream>, server::TlsStream<DuplexStream>, TlsFacts);

pub(super) fn client(ca: &Ca) -> ClientConfig {
    client_with(ca, None, &[&TLS13, &TLS12])
}

fn client_with(
    ca: &Ca,
    leaf: Option<&Leaf>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    match leaf {
        None => builder.with_no_client_auth(),
        Some(leaf) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(leaf.cert.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap(),
            )
            .unwrap(),
    }
}

pub(super) async fn shake(
    tls: &ServerTls,
    config: &Arc<ClientConfig>,
    name: &str,
) -> Result<Pair, HandshakeError> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connecting = TlsConnector::from(Arc::clone(config)).connect(name, near);
    let (client, server) = tokio::join!(connecting, tls.accept(far, Service::Imap));
    let (server, facts) = server?;
    Ok((client.unwrap(), server, facts))
}

fn leaf_of(pair: &Pair) -> Vec<u8> {
    pair.0.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

fn der(leaf: &Leaf) -> Vec<u8> {
    CertificateDer::from_pem_slice(leaf.cert.as_bytes()).unwrap().to_vec()
}

async fn echo(pair: &mut Pair) {
    let mut byte = [0];
    pair.0.write_all(b"x").await.unwrap();
    pair.1.read_exact(&mut byte).await.unwrap();
    pair.1.write_all(&byte).await.unwrap();
    pair.0.read_exact(&mut byte).await.unwrap();
    assert_eq!(&byte, b"x");
}

#[tokio::test]
async fn tl_02_names_choose_certificates() {
    let ca = Ca::new();
    let (plain, wild, exact) =
        (ca.issue("proxy.example.com"), ca.issue("*.example.org"), ca.issue("a.example.org"));
    let named =
        |name: &str, leaf: &Leaf| NamedCertificate { names: vec![name.to_owned()], files: leaf.inline() };
    let mut settings = settings(plain.inline());
    settings.by_name = vec![named("*.example.org", &wild), named("a.example.org", &exact)];
    let tls = ServerTls::new(&settings).unwrap().unwrap();
    // The names are not all in the certificates: look, do not check.
    let mut config = client(&ca);
    config
        .dangerous()
        .set_certificate_verifier(Arc::new(crate::tls::no_verification::DangerousAnyCertificate(provider())));
    let config = Arc::new(config);
    for (name, expected) in [
        ("b.example.org", &wild),
        ("B.EXAMPLE.ORG", &wild),
        ("a.example.org", &wild), // file order, not exactness
        ("x.b.example.org", &plain),
        ("unknown.example.net", &plain),
        ("127.0.0.1", &plain), // no SNI
    ] {
        let pair = shake(&tls, &config, name).await.unwrap();
        assert_eq!(leaf_of(&pair), der(expected), "{name}");
        let sni = (name != "127.0.0.1").then(|| name.to_ascii_lowercase());
        assert_eq!(pair.2.server_name, sni);
    }
}

#[tokio::test]
async fn tl_01_old_versions_are_refused() {
    let ca = Ca::new();
    let leaf = ca.issue("proxy.example.com");
    let mut settings = settings(leaf.inline());
    let old = Arc::new(client_with(&ca, None, &[&TLS12]));
    let tls = ServerTls::new(&settings).unwrap().unwrap();
    let facts = shake(&tls, &old, "proxy.example.com").await.unwrap().2;
    assert!(facts.description.starts_with("TLSv1.2 with cipher ECDHE-ECDSA-"), "{}", facts.description);
    let facts = shake(&tls, &Arc::new(client(&ca)), "proxy.example.com").await.unwrap().2;
    assert_eq!(facts.description, "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)");
    settings.min_version = TlsVersion::V13;
    let tls = ServerTls::new(&settings).unwrap().unwrap();
    let text = shake(&tls, &old, "proxy.example.com").await.unwrap_err().to_string();
    assert!(text.starts_with("SSL_accept() failed: "), "{text}");
}

#[tokio::test]
async fn alpn_is_checked_only_if_offered() {
    let ca = Ca::new();
    let tls = ServerTls::new(&settings(ca.issue("proxy.example.com").inline())).unwrap().unwrap();
    let mut config = client(&ca);
    config.alpn_protocols = vec![b"h2".to_vec(), b"imap".to_vec()];
    let pair = shake(&tls, &Arc::new(config.clone()), "proxy.example.com").await.unwrap();
    assert_eq!(pair.0.get_ref().1.alpn_protocol(), Some(&b"imap"[..]));
    for foreign in [&b"h2"[..], b"http/1.1", b"pop3"] {
        config.alpn_protocols = vec![foreign.to_vec()];
        let refused = shake(&tls, &Arc::new(config.clone()), "proxy.example.com").await;
        assert!(matches!(refused, Err(HandshakeError::Accept(_))), "{foreign:?}");
    }
    assert!(shake(&tls, &Arc::new(client(&ca)), "proxy.example.com").await.is_ok());
}

fn verifying(ca: &Ca) -> TlsSettings {
    let mut settings = settings(ca.issue("proxy.example.com").inline());
    settings.verify_client = true;
    settings.ca = Some(Pem::Inline(ca.pem()));
    settings
}

/// AP-07, AP-08: presented and valid, presented and invalid, not presented.
#[tokio::test]
async fn client_certificates_become_facts() {
    let (ca, foreign) = (Ca::new(), Ca::new());
    let tls = ServerTls::new(&verifying(&ca)).unwrap().unwrap();
    let (good, bad) = (ca.issue("alice"), foreign.issue("mallory"));
    for versions in [[&TLS13], [&TLS12]] {
        let facts = async |leaf| {
            let config = Arc::new(client_with(&ca, leaf, &versions));
            let mut pair = shake(&tls, &config, "proxy.example.com").await.unwrap();
            echo(&mut pair).await;
            (pair.2.valid_client_cert, pair.2.cert_username)
        };
        assert_eq!(facts(Some(&good)).await, (true, Some("alice".to_owned())));
        assert_eq!(facts(Some(&bad)).await, (false, None));
        assert_eq!(facts(None).await, (false, None));
    }
}

#[tokio::test]
async fn resumed_sessions_are_judged_again() {
    let (ca, other) = (Ca::new(), Ca::new());
    let mut settings = verifying(&ca);
    let tls = ServerTls::new(&settings).unwrap().unwrap();
    let config = Arc::new(client_with(&ca, Some(&ca.issue("alice")), &[&TLS13]));
    let mut first = shake(&tls, &config, "proxy.example.com").await.unwrap();
    echo(&mut first).await;
    let mut second = shake(&tls, &config, "proxy.example.com").await.unwrap();
    assert_eq!(second.0.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
    assert!(second.2.valid_client_cert);
    echo(&mut second).await;
    settings.ca = Some(Pem::Inline(other.pem()));
    let later = tls.successor(&settings).unwrap().unwrap();
    let third = shake(&later, &config, "proxy.example.com").await.unwrap();
    assert_eq!(third.0.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
    assert!(!third.2.valid_client_cert);
    assert_eq!(third.2.cert_username, None);
}

#[tokio::test]
async fn revoked_certificates_are_not_valid() {
    let ca = Ca::new();
    let issue = |serial: u64| {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "alice");
        params.serial_number = Some(serial.into());
        ca.sign(&params)
    };
    let mut settings = verifying(&ca);
    settings.require_crl = true;
    let tls = ServerTls::new(&settings).unwrap().unwrap();
    let config = Arc::new(client_with(&ca, Some(&issue(8)), &[&TLS13]));
    assert!(!shake(&tls, &config, "proxy.example.com").await.unwrap().2.valid_client_cert, "no CRL at all");
    settings.ca = Some(Pem::Inline(ca.pem() + &ca.revoke(7)));
    let tls = ServerTls::new(&settings).unwrap().unwrap();
    for (serial, valid) in [(7, false), (8, true)] {
        let config = Arc::new(client_with(&ca, Some(&issue(serial)), &[&TLS13]));
        assert_eq!(shake(&tls, &config, "proxy.example.com").await.unwrap().2.valid_client_cert, valid);
    }
}

#[tokio::test]
async fn a_second_key_type_serves_clients_that_need_it() {
    let ca = Ca::new();
    let ed_key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["proxy.example.com".to_owned()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "ed");
    let ed = Leaf { cert: params.self_signed(&ed_key).unwrap().pem(), key: ed_key.serialize_pem() };
    let ec = ca.issue("proxy.example.com");
    let mut settings = settings(ed.inline());
    settings.default.push(ec.inline());
    let tls = ServerTls::new(&settings).unwrap().unwrap();
    let mut without_ed = provider().as_ref().clone();
    without_ed.signature_verification_algorithms = rustls::crypto::WebPkiSupportedAlgorithms {
        mapping: &without_ed.signature_verification_algorithms.mapping[..2],
        ..without_ed.signature_verification_algorithms
    };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(without_ed))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let pair = shake(&tls, &Arc::new(config), "proxy.example.com").await.unwrap();
    assert_eq!(leaf_of(&pair), der(&ec));
}

#[tokio::test]
async fn hostile_first_bytes_end_in_an_error() {
    let tls = ServerTls::new(&settings(Ca::new().issue("a.example.com").inline())).unwrap().unwrap();
    // A handshake message that announces 16 MiB, and one that is no TLS at all.
    let huge = [22, 3, 1, 0, 6, 1, 0xff, 0xff, 0xff, 3, 3];
    // A complete TLS 1.1 hello (TL-01): ECDHE-RSA-AES128-SHA, no extensions.
    let mut tls11 = vec![22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2];
    tls11.extend([7; 32]);
    tls11.extend([0, 0, 2, 0xc0, 0x13, 1, 0]);
    for bytes in [&huge[..], &tls11, b"a LOGIN alice secret\r\n", &[0; 64]] {
        let (mut near, far) = tokio::io::duplex(1024);
        near.write_all(bytes).await.unwrap();
        let refused = tls.accept(far, Service::Pop3).await.unwrap_err();
        assert!(matches!(refused, HandshakeError::Accept(_)), "{refused}");
        assert!(!refused.to_string().contains("secret"));
    }
    let (near, far) = tokio::io::duplex(1024);
    drop(near);
    assert!(matches!(tls.accept(far, Service::Sieve).await, Err(HandshakeError::Closed)));
}

#[test]
fn settings_that_cannot_work() {
    let ca = Ca::new();
    let mut off = settings(ca.issue("a.example.com").inline());
    off.mode = crate::config::settings::SslMode::No;
    assert!(ServerTls::new(&off).unwrap().is_none());
    let mut none = settings(ca.issue("a.example.com").inline());
    none.default.clear();
    assert_eq!(ServerTls::new(&none).unwrap_err().to_string(), "ssl is enabled, but no ssl_cert is set");
    let mut field = verifying(&ca);
    field.username_field = "favouriteDrink".to_owned();
    assert!(ServerTls::new(&field).unwrap_err().to_string().contains("favouriteDrink is not supported"));
}
