//! What a transport adds to the streams inside: telling them apart, and closing.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

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
    let closing = tokio::spawn(near.close());
    let mut heard = String::new();
    far.read_to_string(&mut heard).await.expect("no reset");
    assert_eq!(heard, "bye\r\n");
    far.close().await;
    closing.await.unwrap();
}

#[tokio::test]
async fn a_peer_that_never_closes_is_left_alone() {
    let (near, _far) = pair().await;
    tokio::time::timeout(20 * CLOSING_TIME_MAX, near.close()).await.expect("bounded");
}

#[tokio::test]
async fn a_plain_transport_gives_its_socket_back() {
    let (near, far) = pair().await;
    let port = near.socket().local_addr().unwrap().port();
    assert!(near.as_plain().is_some());
    assert_eq!(near.into_plain().unwrap().local_addr().unwrap().port(), port);
    assert_eq!(far.socket().peer_addr().unwrap().port(), port);
}
