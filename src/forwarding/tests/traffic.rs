//! Bytes arrive unchanged, by every way.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    super::EndedBy,
    rig::{Rig, Running, Wire, hear, rest, say, within},
};
use crate::transport::{CLOSING_TIME_MAX, Transport};

/// Repeats after a prime number of bytes, so that a loss or a swap of blocks shows.
fn pattern(seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..65_521).map(|_| next()).collect()
}

async fn send_pattern(to: &mut (impl AsyncWriteExt + Unpin), seed: u32, total: usize) {
    let pattern = pattern(seed);
    let mut sent = 0;
    while sent < total {
        let part = &pattern[..pattern.len().min(total - sent)];
        to.write_all(part).await.unwrap();
        sent += part.len();
    }
    to.flush().await.unwrap();
}

/// Reads `total` bytes; `pause` after each read makes a slow reader.
async fn check_pattern(
    from: &mut (impl AsyncReadExt + Unpin),
    seed: u32,
    total: usize,
    pause: Option<Duration>,
) {
    let mut expected = pattern(seed);
    expected.extend_from_within(..);
    let period = expected.len() / 2;
    let (mut received, mut buffer) = (0, vec![0; period]);
    while received < total {
        let count = from.read(&mut buffer).await.unwrap();
        assert!(count > 0, "ended after {received} bytes");
        let at = received % period;
        assert!(buffer[..count] == expected[at..at + count], "at {received}");
        received += count;
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
    }
    assert_eq!(received, total);
}

/// `total` bytes each way at once; returns how many were spliced and copied.
async fn both_ways(rig: Rig, total: usize) -> (Running, u64, u64) {
    let mut running = rig.start().await;
    let (mut from_client, mut to_client) = tokio::io::split(&mut running.client);
    let (mut from_backend, mut to_backend) = tokio::io::split(&mut running.backend);
    within(async {
        tokio::join!(
            send_pattern(&mut to_client, 1, total),
            send_pattern(&mut to_backend, 2, total),
            check_pattern(&mut from_backend, 1, total, None),
            check_pattern(&mut from_client, 2, total, None),
        )
    })
    .await;
    running.client.shutdown().await.unwrap();
    assert_eq!(rest(&mut running.backend).await, b"");
    running.backend.shutdown().await.unwrap();
    let end = running.end().await;
    assert_eq!((end.bytes_in, end.bytes_out, end.unsent_out), (total as u64, total as u64, 0));
    assert!(end.error.is_none(), "{:?}", end.error);
    let (spliced, copied) = (running.counters.bytes_spliced(), running.counters.bytes_copied());
    assert_eq!(spliced + copied, 2 * total as u64);
    (running, spliced, copied)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_to_plain_is_spliced() {
    let total = 64 << 20;
    let (running, spliced, copied) = both_ways(Rig::default(), total).await;
    assert!(spliced > copied, "{spliced} spliced, {copied} copied");
    assert_eq!(running.counters.pipes_missing(), 0);
    let (waiting, lent) = running.pipes.state();
    assert_eq!((waiting as u64, lent), (running.pipes.made(), 0), "all pipes are back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_pipes_everything_is_copied() {
    let (running, spliced, _) = both_ways(Rig { pipes_max: 0, ..Rig::default() }, 16 << 20).await;
    assert_eq!(spliced, 0);
    assert!(running.counters.pipes_missing() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_to_plain_is_copied() {
    let (_, spliced, _) = both_ways(Rig { client: Wire::Tls, ..Rig::default() }, 64 << 20).await;
    assert_eq!(spliced, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_to_tls_is_copied() {
    let (_, spliced, _) = both_ways(Rig { backend: Wire::Tls, ..Rig::default() }, 16 << 20).await;
    assert_eq!(spliced, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_to_tls_is_copied() {
    let rig = Rig { client: Wire::Tls, backend: Wire::Tls, ..Rig::default() };
    let (_, spliced, _) = both_ways(rig, 64 << 20).await;
    assert_eq!(spliced, 0);
}

#[tokio::test]
async fn what_was_unread_arrives_first() {
    for (client, backend) in [(Wire::Plain, Wire::Plain), (Wire::Tls, Wire::Plain), (Wire::Tls, Wire::Tls)] {
        let (to_backend, to_client) = (b"a1 NOOP\r\na2 NO".as_slice(), b"* 1 EXISTS\r\n".as_slice());
        let mut running = Rig { client, backend, to_backend, to_client, ..Rig::default() }.start().await;
        say(&mut running.client, b"OP\r\n").await;
        hear(&mut running.backend, b"a1 NOOP\r\na2 NOOP\r\n").await;
        say(&mut running.backend, b"a1 OK\r\n").await;
        hear(&mut running.client, b"* 1 EXISTS\r\na1 OK\r\n").await;
    }
}

#[tokio::test]
async fn small_talk_is_copied() {
    let mut running = Rig::default().start().await;
    for _ in 0..100 {
        running.round_trip().await;
    }
    assert_eq!((running.counters.bytes_spliced(), running.pipes.made()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sp_06_a_slow_client_gets_everything_after_the_backend_closed() {
    for client in [Wire::Plain, Wire::Tls] {
        // Much shorter than the client takes.
        let quiet_max = Duration::from_millis(1);
        let mut running = Rig { client, quiet_max, ..Rig::default() }.start().await;
        let total = 8 << 20;
        let sending = async {
            send_pattern(&mut running.backend, 3, total).await;
            running.backend.shutdown().await.unwrap();
        };
        let reading = check_pattern(&mut running.client, 3, total, Some(Duration::from_millis(1)));
        within(async { tokio::join!(sending, reading) }).await;
        let end = running.end().await;
        assert_eq!((end.by, end.bytes_out, end.unsent_out), (EndedBy::Server, total as u64, 0));
        end.client.unwrap().close_within(CLOSING_TIME_MAX).await;
        assert_eq!(rest(&mut running.client).await, b"");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_client_costs_one_step_of_memory_and_no_pipe() {
    for client in [Wire::Plain, Wire::Tls] {
        let mut running = Rig { client, ..Rig::default() }.start().await;
        // The kernel's buffers are smaller than this.
        let block = vec![b'x'; 64 << 20];
        let blocked = tokio::time::timeout(Duration::from_secs(2), running.backend.write_all(&block)).await;
        assert!(blocked.is_err(), "reading from the backend stops");
        assert_eq!(running.pipes.state().1, 0, "no pipe is lent while the client stalls");
        running.stop(Some("* BYE\r\n"));
        let end = running.end().await;
        assert!(end.client_blocked && !end.server_blocked);
        assert!(end.unsent_out <= super::super::HELD_BYTES_MAX as u64, "{}", end.unsent_out);
        assert!(end.unsent_out > 0 || client == Wire::Tls, "a TLS stream may have taken the step as a whole");
        drop(end);
        let got = rest_or_reset(&mut running.client).await;
        assert!(got.iter().all(|b| *b == b'x'), "no last words inside the flow");
    }
}

async fn rest_or_reset(at: &mut Transport) -> Vec<u8> {
    let mut buffer = Vec::new();
    // Closing without `close_notify` or with a reset is what a stalled client may see.
    let _ = within(at.read_to_end(&mut buffer)).await;
    buffer
}

/// What is known of a session without knowing its dialect: whose turn it is.
#[tokio::test]
async fn a_beat_tells_whether_the_client_waits() {
    let mut running = Rig::default().start().await;
    let waits = |running: &Running| running.beats.lock().unwrap().last().map(|beat| beat.client_waits);
    say(&mut running.client, b"a FETCH\r\n").await;
    hear(&mut running.backend, b"a FETCH\r\n").await;
    assert_eq!(waits(&running), Some(true));
    say(&mut running.backend, b"* 1 FET").await;
    hear(&mut running.client, b"* 1 FET").await;
    assert_eq!(waits(&running), Some(true), "inside a line");
    say(&mut running.backend, b"CH ()\r\na OK\r\n").await;
    hear(&mut running.client, b"CH ()\r\na OK\r\n").await;
    assert_eq!(waits(&running), Some(false));
    let beats = running.beats.lock().unwrap();
    assert_eq!(beats.first().map(|beat| beat.client_waits), Some(false), "nobody has said anything");
    assert!(beats.is_sorted_by_key(|beat| beat.at), "{beats:?}");
}
