//! Certificates in files: reload, renewal, half-written pairs.

use std::{path::Path, sync::Arc, time::Duration};

use rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::{
    ca::{Ca, Leaf, settings},
    with_clients::{client, shake},
};
use crate::{
    config::settings::{CertificateFiles, Pem, TlsSettings},
    tls::{Refresh, ServerTls},
};

const NAME: &str = "proxy.example.com";

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

fn files(dir: &Path, leaf: &Leaf) -> TlsSettings {
    replace(&dir.join("cert"), &leaf.cert);
    replace(&dir.join("key"), &leaf.key);
    settings(CertificateFiles { cert: Pem::File(dir.join("cert")), key: Pem::File(dir.join("key")) })
}

async fn served(tls: &ServerTls, ca: &Ca) -> Vec<u8> {
    let pair = shake(tls, &Arc::new(client(ca)), NAME).await.unwrap();
    pair.0.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

fn der(leaf: &Leaf) -> Vec<u8> {
    CertificateDer::from_pem_slice(leaf.cert.as_bytes()).unwrap().to_vec()
}

#[tokio::test]
async fn sessions_outlive_a_reload() {
    let (ca, dir) = (Ca::new(), tempfile::tempdir().unwrap());
    let (old, new) = (ca.issue(NAME), ca.issue(NAME));
    let settings = files(dir.path(), &old);
    let tls = ServerTls::new(&settings).unwrap().unwrap();
    let (mut near, mut far, _) = shake(&tls, &Arc::new(client(&ca)), NAME).await.unwrap();
    files(dir.path(), &new);
    let later = tls.successor(&settings).unwrap().unwrap();
    assert_eq!(served(&later, &ca).await, der(&new));
    near.write_all(b"still here").await.unwrap();
    let mut got = [0; 10];
    far.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"still here");
    assert_eq!(later.refresh(), Refresh::Unchanged);
    let expiries = later.expiries();
    assert!(expiries[0].name.ends_with("/cert") && expiries[0].not_after > 0 && expiries.len() == 1);
}

#[tokio::test]
async fn a_failed_reload_keeps_the_old() {
    let (ca, dir) = (Ca::new(), tempfile::tempdir().unwrap());
    let old = ca.issue(NAME);
    let settings = files(dir.path(), &old);
    let tls = ServerTls::new(&settings).unwrap().unwrap();
    replace(&dir.path().join("key"), &ca.issue(NAME).key);
    let text = tls.successor(&settings).unwrap_err().to_string();
    assert!(
        text.contains("/cert and key ") && text.ends_with("does not belong to the certificate"),
        "{text}"
    );
    assert_eq!(served(&tls, &ca).await, der(&old));
}

#[tokio::test]
async fn a_half_written_pair_is_tried_again() {
    let (ca, dir) = (Ca::new(), tempfile::tempdir().unwrap());
    let (old, new) = (ca.issue(NAME), ca.issue(NAME));
    let tls = ServerTls::new(&files(dir.path(), &old)).unwrap().unwrap();
    assert_eq!(tls.refresh(), Refresh::Unchanged);
    replace(&dir.path().join("cert"), &new.cert);
    assert!(matches!(tls.refresh(), Refresh::Failed(_)));
    assert!(matches!(tls.refresh(), Refresh::Failed(_)), "tried again without a further change");
    assert_eq!(served(&tls, &ca).await, der(&old));
    replace(&dir.path().join("key"), &new.key);
    assert_eq!(tls.refresh(), Refresh::Reloaded);
    assert_eq!(served(&tls, &ca).await, der(&new));
    std::fs::remove_file(dir.path().join("key")).unwrap();
    assert!(matches!(tls.refresh(), Refresh::Failed(_)));
    assert_eq!(served(&tls, &ca).await, der(&new));
}

#[tokio::test]
async fn the_watcher_sees_a_renewal_and_stops() {
    let (ca, dir) = (Ca::new(), tempfile::tempdir().unwrap());
    let (old, new) = (ca.issue(NAME), ca.issue(NAME));
    let tls = ServerTls::new(&files(dir.path(), &old)).unwrap().unwrap();
    let stop = CancellationToken::new();
    let watching = tokio::spawn(tls.clone().watch_every(Duration::from_millis(10), stop.clone()));
    files(dir.path(), &new);
    let seen = async {
        while served(&tls, &ca).await != der(&new) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), seen).await.unwrap();
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(60), watching).await.unwrap().unwrap();
}
