//! Places of connections, and socket files.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    sync::Arc,
    time::Duration,
};

use super::{accept::Places, *};

/// Limit for what must happen soon.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_oldest_connection_gives_way() {
    let mut places = Places::default();
    let alive: Vec<_> = (0..CONNECTIONS_MAX + 3).map(Arc::new).collect();
    for held in &alive {
        let held = Arc::clone(held);
        let connection = async move {
            std::future::pending::<()>().await;
            drop(held);
        };
        tokio::time::timeout(PATIENCE, places.seat(connection)).await.unwrap();
    }
    let living: Vec<_> = alive.iter().filter(|held| Arc::strong_count(held) > 1).map(|held| **held).collect();
    assert_eq!(living, (3..CONNECTIONS_MAX + 3).collect::<Vec<_>>());
    drop(places);
    tokio::task::yield_now().await;
    assert!(alive.iter().all(|held| Arc::strong_count(held) == 1), "all end with the socket");
}

#[tokio::test]
async fn connections_that_have_ended_leave_their_places() {
    let mut places = Places::default();
    let stays = Arc::new(());
    let held = Arc::clone(&stays);
    places
        .seat(async move {
            std::future::pending::<()>().await;
            drop(held);
        })
        .await;
    for _ in 0..10 * CONNECTIONS_MAX {
        let done = Arc::new(tokio::sync::Notify::new());
        let tell = Arc::clone(&done);
        places.seat(async move { tell.notify_one() }).await;
        tokio::time::timeout(PATIENCE, done.notified()).await.unwrap();
    }
    assert_eq!(Arc::strong_count(&stays), 2, "there was room for it all the time");
}

#[test]
fn socket_files_are_for_everybody_on_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics");
    let bind = || Bound::new(&MetricsPlace::Unix(path.clone()));
    let ours = bind().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
    assert!(bind().is_err(), "another one listens there");
    UnixStream::connect(&path).unwrap();
    drop(ours);
    assert!(!path.exists(), "removed at the end");
}

#[test]
fn a_place_that_cannot_be_had_is_left_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = |listener: &std::net::TcpListener| MetricsPlace::Tcp(listener.local_addr().unwrap());
    let places = vec![address(&taken), address(&free)];
    drop(free);
    let sockets = MetricsSockets::bind(&MetricsSettings { places: places.clone() });
    let bound: Vec<_> = sockets.0.iter().map(|bound| bound.place.clone()).collect();
    assert_eq!(bound, places[1..]);
}
