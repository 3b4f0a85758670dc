//! TLS with the other implementation at the far end: the `openssl` program as client, with certificates and keys
//! that it made itself. Needs `openssl`.

#![allow(clippy::unwrap_used, clippy::panic)] // a test from end to end

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use homing::{
    config::settings::{CertificateFiles, NamedCertificate, Pem, SslMode, TlsSettings, TlsVersion},
    tls::ServerTls,
};
use homing_login::{Service, TlsFacts};
use tokio::{io::AsyncWriteExt, net::TcpListener};

/// Runs `openssl` in `dir` and returns what it said.
fn openssl(dir: &Path, args: &str) -> String {
    let output =
        Command::new("openssl").args(args.split(' ')).current_dir(dir).stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

fn self_signed(dir: &Path, name: &str, key: &str) -> CertificateFiles {
    let made = openssl(
        dir,
        &format!(
            "req -x509 -newkey {key} -nodes -days 30 -subj /CN={name} -keyout {name}.key -out {name}.crt"
        ),
    );
    assert!(dir.join(format!("{name}.crt")).exists(), "{made}");
    let file = |end: &str| Pem::File(dir.join(format!("{name}.{end}")));
    CertificateFiles { cert: file("crt"), key: file("key") }
}

/// Accepts one connection while `openssl s_client` runs with `args`.
async fn visit(tls: &ServerTls, dir: &Path, args: &str) -> (Result<TlsFacts, String>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (dir, args) = (dir.to_owned(), format!("s_client -connect 127.0.0.1:{port} {args}"));
    let client = tokio::task::spawn_blocking(move || openssl(&dir, &args));
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        match tls.accept(stream, Service::Imap).await {
            Ok((mut stream, facts)) => {
                // The client may be gone already.
                let _ = stream.write_all(b"* OK ready\r\n").await;
                let _ = stream.shutdown().await;
                Ok(facts)
            }
            Err(error) => Err(error.to_string()),
        }
    };
    let served = tokio::time::timeout(Duration::from_secs(60), serve).await.unwrap();
    (served, tokio::time::timeout(Duration::from_secs(60), client).await.unwrap().unwrap())
}

#[tokio::test]
async fn openssl_as_client() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("SKIPPED: openssl is not installed; nothing was checked against it");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let rsa = self_signed(dir, "default.example.com", "rsa:2048");
    let other = self_signed(dir, "other.example.com", "ec -pkeyopt ec_paramgen_curve:P-256");
    let alice = self_signed(dir, "alice", "rsa:2048");
    let settings = TlsSettings {
        mode: SslMode::Yes,
        default: vec![rsa],
        by_name: vec![NamedCertificate { names: vec!["other.example.com".to_owned()], files: other }],
        min_version: TlsVersion::V12,
        prefer_server_ciphers: true,
        verify_client: true,
        ca: Some(alice.cert),
        require_crl: false,
        username_field: "commonName".to_owned(),
    };
    let tls = ServerTls::new(&settings).unwrap().unwrap();

    let (facts, said) = visit(&tls, dir, "-servername OTHER.example.com").await;
    assert_eq!(
        facts.as_ref().unwrap().description,
        "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"
    );
    assert!(said.contains("CN = other.example.com"), "{said}");

    let (facts, said) = visit(&tls, dir, "-servername unknown.example.net -tls1_2").await;
    let description = facts.as_ref().unwrap().description.as_str();
    assert!(
        description.starts_with("TLSv1.2 with cipher ECDHE-RSA-")
            && said.contains(description_name(description))
    );
    assert!(said.contains("CN = default.example.com"), "{said}");

    let (refused, said) = visit(&tls, dir, "-tls1_1 -cipher ALL:@SECLEVEL=0").await;
    assert!(refused.is_err() && said.contains("alert handshake failure"), "{refused:?} {said}");

    let (refused, said) = visit(&tls, dir, "-alpn h2,http/1.1").await;
    assert!(refused.is_err() && said.contains("no application protocol"), "{refused:?} {said}");

    let (facts, _) =
        visit(&tls, dir, "-alpn imap -cert other.example.com.crt -key other.example.com.key").await;
    assert!(!facts.unwrap().valid_client_cert, "signed by nobody we trust");

    let (facts, _) = visit(&tls, dir, "-cert alice.crt -key alice.key").await;
    let facts = facts.unwrap();
    assert!(facts.valid_client_cert, "listed itself");
    assert_eq!(facts.cert_username.as_deref(), Some("alice"));
}

/// The cipher's name as `openssl s_client` prints it.
fn description_name(description: &str) -> &str {
    description.split(' ').nth(3).unwrap()
}
