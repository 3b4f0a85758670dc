//! What a transport adds to the streams inside: telling them apart, and closing.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs::default_provider,
    pki_types::{PrivateKeyDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{CLOSING_TIME_MAX, Transport};

async fn pair() -> (Transport, Transport) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connecting = TcpStream::connect(listener.local_addr().unwrap());
    let (near, far) = tokio::join!(connecting, listener.accept());
    (Transport::Plain(near.unwrap()), Transport::Plain(far.unwrap().0))
}

#[tokio::test]
async fn the_last_words_survive_input_that_nobody_reads() {
    let (mut near, mut far) = pair().await;
    far.write_all(&[b'x'; 100_000]).await.unwrap();
    near.write_all(b"bye\r\n").await.unwrap();
    let closing = tokio::spawn(near.close_within(CLOSING_TIME_MAX));
    let mut heard = String::new();
    far.read_to_string(&mut heard).await.expect("no reset");
    assert_eq!(heard, "bye\r\n");
    far.close_within(CLOSING_TIME_MAX).await;
    closing.await.unwrap();
}

#[tokio::test]
async fn a_peer_that_never_closes_is_left_alone() {
    let (near, _far) = pair().await;
    tokio::time::timeout(20 * CLOSING_TIME_MAX, near.close_within(CLOSING_TIME_MAX)).await.expect("bounded");
}

#[tokio::test]
async fn a_peer_that_goes_on_writing_gets_a_reset() {
    let (near, mut far) = pair().await;
    let writing = tokio::spawn(async move { while far.write_all(&[b'x'; 4096]).await.is_ok() {} });
    // Long before the time is over.
    near.close_within(600 * CLOSING_TIME_MAX).await;
    tokio::time::timeout(60 * CLOSING_TIME_MAX, writing).await.expect("cut off").unwrap();
}

#[tokio::test]
async fn a_plain_transport_gives_its_socket_back() {
    let (near, far) = pair().await;
    let port = near.socket().local_addr().unwrap().port();
    assert!(near.as_plain().is_some());
    assert_eq!(near.into_plain().unwrap().local_addr().unwrap().port(), port);
    assert_eq!(far.socket().peer_addr().unwrap().port(), port);
}

async fn tls_pair() -> (Transport, Transport) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let (near, far) = pair().await;
    let (near, far) = (near.into_plain().unwrap(), far.into_plain().unwrap());
    let name = ServerName::try_from("localhost").unwrap();
    let (connector, acceptor) = (TlsConnector::from(Arc::new(client)), TlsAcceptor::from(Arc::new(server)));
    let (near, far) = tokio::join!(connector.connect(name, near), acceptor.accept(far));
    (Transport::Client(Box::new(near.unwrap())), Transport::Server(Box::new(far.unwrap())))
}

#[tokio::test]
async fn a_tls_peer_that_closes_without_close_notify_has_closed() {
    for swapped in [false, true] {
        let (near, far) = tls_pair().await;
        let (mut leaving, mut staying) = if swapped { (far, near) } else { (near, far) };
        // What is left unread, session tickets too, would make the close a reset.
        staying.write_all(b"hello\r\n").await.unwrap();
        staying.flush().await.unwrap();
        leaving.read_exact(&mut [0; 7]).await.unwrap();
        leaving.write_all(b"last\r\n").await.unwrap();
        leaving.flush().await.unwrap();
        drop(leaving);
        let mut heard = String::new();
        staying.read_to_string(&mut heard).await.expect("an end, not an error");
        assert_eq!(heard, "last\r\n");
    }
}
