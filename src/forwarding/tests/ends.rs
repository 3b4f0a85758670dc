//! Every way a session ends by itself.

use std::{io, time::Duration};

use tokio::io::AsyncWriteExt;

use super::{
    super::EndedBy,
    rig::{Rig, Wire, hear, reset_on_drop, rest, say, within},
};
use crate::transport::{CLOSING_TIME_MAX, Transport};

const WIRES: [(Wire, Wire); 4] =
    [(Wire::Plain, Wire::Plain), (Wire::Tls, Wire::Plain), (Wire::Plain, Wire::Tls), (Wire::Tls, Wire::Tls)];

/// Replaces a program's end by one that is closed.
async fn close(transport: &mut Transport) {
    let (spare, _) = super::rig::connection(Wire::Plain).await;
    drop(std::mem::replace(transport, spare));
}

#[tokio::test]
async fn sp_01_sp_07_the_client_closes() {
    for (client, backend) in WIRES {
        let mut running = Rig { client, backend, ..Rig::default() }.start().await;
        running.round_trip().await;
        say(&mut running.client, b"last\r\n").await;
        // Without `close_notify`, as many clients do.
        close(&mut running.client).await;
        assert_eq!(rest(&mut running.backend).await, b"last\r\n");
        running.backend.shutdown().await.unwrap();
        let end = running.end().await;
        assert_eq!((end.by, end.bytes_in, end.bytes_out), (EndedBy::Client, 15, 7));
        assert!(end.error.is_none(), "{:?}", end.error);
        assert_eq!(running.counters.sessions_live(), 0);
    }
}

#[tokio::test]
async fn sp_02_sp_04_the_backend_closes() {
    for (client, backend) in WIRES {
        let mut running = Rig { client, backend, ..Rig::default() }.start().await;
        running.round_trip().await;
        say(&mut running.backend, b"* BYE\r\n").await;
        running.backend.shutdown().await.unwrap();
        hear(&mut running.client, b"* BYE\r\n").await;
        let end = running.end().await;
        assert_eq!((end.by, end.bytes_in, end.bytes_out), (EndedBy::Server, 9, 14));
        assert!(end.error.is_none(), "{:?}", end.error);
        // The client is still there until the caller closes.
        let closing = tokio::spawn(end.client.unwrap().close_within(CLOSING_TIME_MAX));
        assert_eq!(rest(&mut running.client).await, b"");
        running.client.shutdown().await.unwrap();
        within(closing).await.unwrap();
        assert_eq!(rest(&mut running.backend).await, b"");
    }
}

#[tokio::test]
async fn sp_03_after_a_half_close_by_the_client_replies_arrive() {
    for (client, backend) in WIRES {
        let mut running = Rig { client, backend, ..Rig::default() }.start().await;
        say(&mut running.client, b"FETCH\r\n").await;
        running.client.shutdown().await.unwrap();
        assert_eq!(rest(&mut running.backend).await, b"FETCH\r\n");
        say(&mut running.backend, b"first\r\n").await;
        hear(&mut running.client, b"first\r\n").await;
        say(&mut running.backend, b"second\r\n").await;
        running.backend.shutdown().await.unwrap();
        hear(&mut running.client, b"second\r\n").await;
        let end = running.end().await;
        assert_eq!((end.by, end.bytes_in, end.bytes_out), (EndedBy::Client, 7, 15));
        let closing = tokio::spawn(end.client.unwrap().close_within(CLOSING_TIME_MAX));
        assert_eq!(rest(&mut running.client).await, b"");
        within(closing).await.unwrap();
    }
}

#[tokio::test]
async fn a_backend_that_ignores_the_end_of_the_client_is_given_up() {
    let quiet_max = Duration::from_millis(50);
    let mut running = Rig { quiet_max, ..Rig::default() }.start().await;
    running.round_trip().await;
    running.client.shutdown().await.unwrap();
    let end = running.end().await;
    assert_eq!(end.by, EndedBy::Client);
    assert_eq!(rest(&mut running.backend).await, b"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_does_not_outlive_its_backend_for_ever() {
    for client in [Wire::Plain, Wire::Tls] {
        let stuck_max = Duration::from_millis(50);
        let mut running = Rig { client, stuck_max, ..Rig::default() }.start().await;
        let block = vec![b'x'; 64 << 20];
        // The kernel's buffers are smaller than this.
        let blocked = tokio::time::timeout(Duration::from_secs(1), running.backend.write_all(&block)).await;
        assert!(blocked.is_err(), "nobody takes all of it");
        close(&mut running.backend).await;
        let end = running.end().await;
        assert_eq!((end.by, end.client_blocked), (EndedBy::Client, true));
        assert_eq!(end.error.unwrap().to_string(), "write failed: timed out");
    }
}

#[tokio::test]
async fn what_the_client_sent_before_the_backend_half_closed_arrives() {
    let mut running = Rig::default().start().await;
    running.round_trip().await;
    running.client.write_all(b"LOGOUT\r\n").await.unwrap();
    running.backend.shutdown().await.unwrap();
    let end = running.end().await;
    assert_eq!(end.by, EndedBy::Server);
    assert_eq!(end.bytes_in, 17);
    assert_eq!(rest(&mut running.backend).await, b"LOGOUT\r\n");
}

#[tokio::test]
async fn sp_05_a_reset_by_the_client() {
    for client in [Wire::Plain, Wire::Tls] {
        let mut running = Rig { client, ..Rig::default() }.start().await;
        running.round_trip().await;
        reset_on_drop(&running.client);
        close(&mut running.client).await;
        let end = running.end().await;
        assert_eq!(end.by, EndedBy::Client);
        let error = end.error.unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(error.to_string().starts_with("read failed: Connection reset by peer"), "{error}");
        assert!(end.client.is_none());
        assert_eq!(rest(&mut running.backend).await, b"");
    }
}

#[tokio::test]
async fn sp_05_a_reset_by_the_backend() {
    for backend in [Wire::Plain, Wire::Tls] {
        let mut running = Rig { backend, ..Rig::default() }.start().await;
        running.round_trip().await;
        say(&mut running.backend, b"* BYE\r\n").await;
        hear(&mut running.client, b"* BYE\r\n").await;
        reset_on_drop(&running.backend);
        close(&mut running.backend).await;
        let end = running.end().await;
        assert_eq!((end.by, end.bytes_out), (EndedBy::Server, 14));
        assert_eq!(end.error.unwrap().kind(), io::ErrorKind::ConnectionReset);
        assert!(end.client.is_some(), "the caller decides when the client goes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_in_the_middle_of_a_large_reply() {
    for client in [Wire::Plain, Wire::Tls] {
        let mut running = Rig { client, ..Rig::default() }.start().await;
        let block = vec![b'x'; 64 << 20];
        let Transport::Plain(backend) = &mut running.backend else { panic!("plain") };
        let leaving = async {
            hear(&mut running.client, &[b'x'; 1000]).await;
            close(&mut running.client).await;
        };
        let write = async {
            tokio::select! {
                _ = backend.write_all(&block) => panic!("nobody takes all of it"),
                () = leaving => {}
            }
        };
        within(write).await;
        let end = running.end().await;
        assert_eq!(end.by, EndedBy::Client);
        assert!(end.client.is_none());
        drop(end);
        let Transport::Plain(backend) = &mut running.backend else { panic!("plain") };
        within(backend.write_all(&block)).await.unwrap_err();
        assert_eq!(running.pipes.state().1, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_words_of_a_backend_that_stops_reading_arrive() {
    let mut running = Rig::default().start().await;
    say(&mut running.client, &vec![b'x'; 4 << 20]).await;
    say(&mut running.backend, b"* BYE too much\r\n").await;
    // Much of the input is unread, so this is a reset.
    close(&mut running.backend).await;
    hear(&mut running.client, b"* BYE too much\r\n").await;
    let end = running.end().await;
    assert_eq!(end.by, EndedBy::Server);
    assert!(end.error.is_some());
}
