//! What a session costs while nothing happens.

use std::mem::size_of_val;

use bytes::Bytes;

use super::{
    super::{CLIENT_STUCK_MAX, Counters, Ends, Means, PEER_QUIET_MAX, PipePool, forward, forward_by},
    rig::{Wire, connection, hear, say, within},
};
use crate::transport::Transport;

/// Sessions that are open at once; four descriptors each here.
const SESSIONS: usize = 200;

async fn ends() -> (Transport, Ends, Transport) {
    let (client, near_client) = connection(Wire::Plain).await;
    let (near_backend, backend) = connection(Wire::Plain).await;
    let nothing = Bytes::new();
    let ends =
        Ends { client: near_client, to_backend: nothing.clone(), backend: near_backend, to_client: nothing };
    (client, ends, backend)
}

#[tokio::test]
async fn the_future_is_small() {
    let (_client, ends, _backend) = ends().await;
    let counters = Counters::new();
    let session = forward(ends, std::future::pending(), &|_| {}, &counters);
    let size = size_of_val(&session);
    assert!(size <= 1024, "{size} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_sessions_hold_no_pipe() {
    let counters: &'static Counters = Box::leak(Box::default());
    let pipes: &'static PipePool = Box::leak(Box::new(PipePool::new(4)));
    let means =
        Means { counters, on_beat: &|_| {}, pipes, quiet_max: PEER_QUIET_MAX, stuck_max: CLIENT_STUCK_MAX };
    let large = vec![b'x'; 256 << 10];
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let (mut client, ends, mut backend) = ends().await;
        let session = tokio::spawn(forward_by(means, ends, std::future::pending()));
        // Every session has spliced before it becomes idle.
        tokio::join!(say(&mut backend, &large), hear(&mut client, &large));
        sessions.push((client, backend, session));
    }
    assert_eq!(counters.sessions_live(), SESSIONS as u64);
    assert!(counters.bytes_spliced() > 0);
    assert!(pipes.made() <= 2, "one per thread");
    assert_eq!(pipes.state(), (pipes.made() as usize, 0));
    for (client, backend, session) in sessions {
        drop((client, backend));
        within(session).await.unwrap();
    }
    assert_eq!(counters.sessions_live(), 0);
}
