//! The stop signal: heeded everywhere, with last words only between lines.

use std::time::Duration;

use super::{
    super::{EndedBy, forward},
    rig::{Rig, Wire, hear, rest, say, within},
};
use crate::transport::CLOSING_TIME_MAX;

const BYE: &str = "* BYE Shutting down\r\n";

#[tokio::test]
async fn last_words_between_lines() {
    for client in [Wire::Plain, Wire::Tls] {
        let mut running = Rig { client, ..Rig::default() }.start().await;
        running.round_trip().await;
        running.stop(Some(BYE));
        let end = running.end().await;
        assert_eq!((end.by, end.bytes_out), (EndedBy::Stopped, 7 + BYE.len() as u64));
        let closing = tokio::spawn(end.client.unwrap().close_within(CLOSING_TIME_MAX));
        assert_eq!(rest(&mut running.client).await, BYE.as_bytes());
        assert_eq!(rest(&mut running.backend).await, b"", "the backend is closed");
        drop(running);
        within(closing).await.unwrap();
    }
}

#[tokio::test]
async fn last_words_before_anything_was_said() {
    let mut running = Rig::default().start().await;
    running.stop(Some(BYE));
    let client = running.end().await.client;
    drop(client);
    assert_eq!(rest(&mut running.client).await, BYE.as_bytes());
}

#[tokio::test]
async fn no_last_words_inside_a_line() {
    for (client, to_client) in [(Wire::Plain, b"* OK [".as_slice()), (Wire::Tls, b"* OK [".as_slice())] {
        let mut running = Rig { client, to_client, ..Rig::default() }.start().await;
        hear(&mut running.client, to_client).await;
        running.stop(Some(BYE));
        let end = running.end().await;
        assert_eq!((end.by, end.bytes_out), (EndedBy::Stopped, 6));
        let closing = tokio::spawn(end.client.unwrap().close_within(CLOSING_TIME_MAX));
        assert_eq!(rest(&mut running.client).await, b"");
        drop(running);
        within(closing).await.unwrap();
    }
}

#[tokio::test]
async fn no_last_words_where_none_are_wanted() {
    let mut running = Rig::default().start().await;
    running.round_trip().await;
    running.stop(None);
    drop(running.end().await);
    assert_eq!(rest(&mut running.client).await, b"");
    assert_eq!(rest(&mut running.backend).await, b"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_words_after_a_spliced_reply() {
    let mut running = Rig::default().start().await;
    let mut reply = vec![b'x'; 4 << 20];
    reply.extend_from_slice(b"\r\na OK done\r\n");
    let sent = reply.clone();
    let (client, backend) = (&mut running.client, &mut running.backend);
    within(async { tokio::join!(say(backend, &sent), hear(client, &reply)) }).await;
    assert!(running.counters.bytes_spliced() > 0);
    running.stop(Some(BYE));
    drop(running.end().await);
    assert_eq!(rest(&mut running.client).await, BYE.as_bytes());
}

#[tokio::test]
async fn a_stop_ends_the_wait_for_replies() {
    let mut running = Rig::default().start().await;
    let tokio_client = &mut running.client;
    tokio::io::AsyncWriteExt::shutdown(tokio_client).await.unwrap();
    assert_eq!(rest(&mut running.backend).await, b"");
    running.stop(None);
    assert_eq!(running.end().await.by, EndedBy::Stopped);
}

#[tokio::test]
async fn a_dropped_session_closes_both_sides() {
    let (mut client, near_client) = super::rig::connection(Wire::Plain).await;
    let (near_backend, mut backend) = super::rig::connection(Wire::Plain).await;
    let ends = super::super::Ends {
        client: near_client,
        to_backend: bytes::Bytes::new(),
        backend: near_backend,
        to_client: bytes::Bytes::new(),
    };
    let counters = super::super::Counters::new();
    let session = forward(ends, std::future::pending(), &|_| {}, &counters);
    assert!(tokio::time::timeout(Duration::from_millis(10), session).await.is_err(), "it would go on");
    assert_eq!((rest(&mut client).await, rest(&mut backend).await), (Vec::new(), Vec::new()));
    assert_eq!((counters.sessions_started(), counters.sessions_live()), (1, 0));
}
