//! The pool against a tiny auth service. The service's side is written out line by line in each test.

use std::{path::PathBuf, time::Duration};

use homing_login::{AuthReply, AuthRequest, ClientIdentity, Service};
use homing_wire::{Secret, SessionId};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    time::timeout,
};

use super::{CONNECTIONS, Timing};
use crate::{
    auth::{Auth, AuthError, Source, socket::Pool},
    config::settings::{AuthSettings, AuthSource},
};

const OPENING: &str =
    "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t00\nDONE\n";
const PATIENCE: Duration = Duration::from_secs(30);

fn timing() -> Timing {
    Timing { pause_min: Duration::from_millis(1), pause_max: Duration::from_millis(20), ..Timing::default() }
}

pub(in crate::auth) fn request() -> AuthRequest {
    let session = SessionId::received(b"S1").unwrap();
    let (remote, local) = ("192.0.2.1:1234".parse().unwrap(), "192.0.2.9:143".parse().unwrap());
    AuthRequest {
        mechanism: "PLAIN".to_owned(),
        initial_response: Some(Secret::from("AGFsaWNlAHB3")),
        client: ClientIdentity::new(Service::Imap, remote, local, session),
        tls: None,
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it should have happened by now")
}

pub(in crate::auth) async fn available(auth: &Auth, wanted: bool) {
    soon(auth.availability().wait_for(|list| list.is_some() == wanted)).await.unwrap();
}

/// A service and the pool that talks to it.
struct Stage {
    folder: tempfile::TempDir,
    listener: Option<UnixListener>,
    auth: Auth,
}

impl Stage {
    fn new(timing: Timing) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("auth");
        let listener = Some(UnixListener::bind(&path).unwrap());
        let pool = Pool::start(&path, timing).unwrap();
        Self { folder, listener, auth: Auth(std::sync::Arc::new(Source::Socket(pool))) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("auth")
    }

    /// The next connection, without opening.
    async fn accept(&self) -> Peer {
        let (stream, _) = soon(self.listener.as_ref().unwrap().accept()).await.unwrap();
        Peer(BufReader::new(stream))
    }

    /// All connections of the pool, opened; the pool is ready with all of them.
    async fn opened(timing: Timing) -> (Self, Vec<Peer>) {
        let stage = Self::new(timing);
        let mut peers = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut peer = stage.accept().await;
            peer.open().await;
            peers.push(peer);
        }
        let Source::Socket(pool) = &*stage.auth.0 else { panic!("a socket") };
        soon(async {
            while !pool.all_ready() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        (stage, peers)
    }
}

/// The service's end of one connection.
struct Peer(BufReader<UnixStream>);

impl Peer {
    async fn open(&mut self) {
        self.say(OPENING).await;
        assert_eq!(self.line().await, "VERSION\t1\t2");
        assert!(self.line().await.starts_with("CPID\t"));
    }

    async fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).await.unwrap();
    }

    /// The next line; empty at the end.
    async fn line(&mut self) -> String {
        let mut line = String::new();
        soon(self.0.read_line(&mut line)).await.unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    /// The id of the next AUTH line.
    async fn asked(&mut self) -> String {
        let line = self.line().await;
        let mut words = line.split('\t');
        assert_eq!(words.next(), Some("AUTH"), "{line}");
        words.next().unwrap().to_owned()
    }
}

/// The first peer that is asked, and the id. Requests go to the connection with the fewest.
async fn asked_of(peers: &mut [Peer]) -> (&mut Peer, String) {
    let [first, second] = peers else { panic!("two connections") };
    let mut lines = (String::new(), String::new());
    tokio::select! {
        _ = soon(first.0.read_line(&mut lines.0)) => {
            let id = lines.0.split('\t').nth(1).unwrap().to_owned();
            (first, id)
        }
        _ = soon(second.0.read_line(&mut lines.1)) => {
            let id = lines.1.split('\t').nth(1).unwrap().to_owned();
            (second, id)
        }
    }
}

#[tokio::test]
async fn ap_01_nobody_can_be_asked_before_done() {
    let stage = Stage::new(timing());
    let mut peer = stage.accept().await;
    let (opening, done) = OPENING.split_at(OPENING.len() - 5);
    peer.say(opening).await;
    assert_eq!(peer.line().await, "VERSION\t1\t2");
    assert!(peer.line().await.starts_with("CPID\t"));
    assert!(stage.auth.availability().borrow().is_none());
    assert!(matches!(soon(stage.auth.begin(request()).reply()).await, AuthReply::Lost));
    peer.say(done).await;
    available(&stage.auth, true).await;
    let names: Vec<_> =
        stage.auth.availability().borrow().iter().flat_map(|l| l.iter()).map(|m| m.name.clone()).collect();
    assert_eq!(names, ["PLAIN", "LOGIN"]);
}

#[tokio::test]
async fn connections_have_different_ids() {
    let stage = Stage::new(timing());
    let mut ids = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut peer = stage.accept().await;
        peer.line().await;
        ids.push(peer.line().await);
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn requests_and_replies_meet() {
    let (stage, mut peers) = Stage::opened(timing()).await;
    let mut good = stage.auth.begin(request());
    let (peer, id) = asked_of(&mut peers).await;
    peer.say(&format!("OK\t9999\tuser=x\nOK\t{id}\tuser=alice\tproxy\n")).await;
    let AuthReply::Ok(ok) = soon(good.reply()).await else { panic!("accepted") };
    assert_eq!(ok.fields.text("user"), Some("alice"));
    assert!(matches!(soon(good.reply()).await, AuthReply::Lost), "nothing follows the end");
    let mut bad = stage.auth.begin(request());
    let (peer, id) = asked_of(&mut peers).await;
    peer.say(&format!("FAIL\t{id}\tuser=alice\n")).await;
    assert!(matches!(soon(bad.reply()).await, AuthReply::Fail(_)));
}

#[tokio::test]
async fn ap_17_challenge_and_response() {
    let (stage, mut peers) = Stage::opened(timing()).await;
    let mut exchange = stage.auth.begin(request());
    let (peer, id) = asked_of(&mut peers).await;
    peer.say(&format!("CONT\t{id}\tcixyPTE=\n")).await;
    let AuthReply::Challenge(data) = soon(exchange.reply()).await else { panic!("a challenge") };
    assert_eq!(data, b"cixyPTE=");
    exchange.respond(Secret::from("Yz1h"));
    assert_eq!(peer.line().await, format!("CONT\t{id}\tYz1h"));
    peer.say(&format!("OK\t{id}\tuser=a\tnologin\n")).await;
    assert!(matches!(soon(exchange.reply()).await, AuthReply::Ok(_)));
}

#[tokio::test]
async fn ap_19_dropping_the_exchange_cancels() {
    let (stage, mut peers) = Stage::opened(timing()).await;
    let exchange = stage.auth.begin(request());
    let (peer, id) = asked_of(&mut peers).await;
    drop(exchange);
    assert_eq!(peer.line().await, format!("CANCEL\t{id}"));
}

#[tokio::test]
async fn ap_14_requests_are_lost_with_their_connection_and_it_comes_back() {
    let (stage, mut peers) = Stage::opened(timing()).await;
    let mut exchange = stage.auth.begin(request());
    asked_of(&mut peers).await;
    drop(peers);
    assert!(matches!(soon(exchange.reply()).await, AuthReply::Lost));
    available(&stage.auth, false).await;
    let mut peer = stage.accept().await;
    peer.open().await;
    available(&stage.auth, true).await;
    let mut exchange = stage.auth.begin(request());
    let id = peer.asked().await;
    peer.say(&format!("OK\t{id}\tuser=a\tproxy\n")).await;
    assert!(matches!(soon(exchange.reply()).await, AuthReply::Ok(_)));
}

#[tokio::test]
async fn ap_13_broken_input_closes_the_connection() {
    let (stage, mut peers) = Stage::opened(timing()).await;
    let mut exchange = stage.auth.begin(request());
    let (peer, id) = asked_of(&mut peers).await;
    peer.say(&format!("FOO\t{id}\n")).await;
    assert!(matches!(soon(exchange.reply()).await, AuthReply::Lost));
    assert_eq!(peer.line().await, "", "closed");
    stage.accept().await.open().await;
}

#[tokio::test]
async fn one_connection_is_enough() {
    let (stage, mut peers) = Stage::opened(timing()).await;
    peers.pop();
    stage.accept().await; // replaced, but silent
    let mut exchange = stage.auth.begin(request());
    let id = peers[0].asked().await;
    peers[0].say(&format!("FAIL\t{id}\n")).await;
    assert!(matches!(soon(exchange.reply()).await, AuthReply::Fail(_)));
}

#[tokio::test]
async fn a_service_that_is_down_at_start_is_found_later() {
    let mut stage = Stage::new(timing());
    stage.listener = None;
    std::fs::remove_file(stage.path()).unwrap();
    assert!(matches!(soon(stage.auth.begin(request()).reply()).await, AuthReply::Lost));
    stage.listener = Some(UnixListener::bind(stage.path()).unwrap());
    let mut peer = stage.accept().await;
    peer.say(OPENING).await;
    available(&stage.auth, true).await;
}

#[tokio::test]
async fn the_opening_must_end_in_time() {
    let stage = Stage::new(Timing { opening: Duration::from_millis(20), ..timing() });
    let mut peer = stage.accept().await;
    peer.say("VERSION\t1\t2\n").await;
    assert_eq!(peer.line().await, "VERSION\t1\t2");
    assert!(peer.line().await.starts_with("CPID\t"));
    assert_eq!(peer.line().await, "", "closed");
}

#[tokio::test]
async fn a_reply_must_come_in_time() {
    let (stage, mut peers) = Stage::opened(Timing { reply: Duration::from_millis(20), ..timing() }).await;
    let mut exchange = stage.auth.begin(request());
    let (peer, id) = asked_of(&mut peers).await;
    assert!(matches!(soon(exchange.reply()).await, AuthReply::Lost));
    assert_eq!(peer.line().await, format!("CANCEL\t{id}"));
}

#[tokio::test]
async fn a_client_may_think_as_long_as_it_likes() {
    let (stage, mut peers) = Stage::opened(Timing { reply: Duration::from_secs(20), ..timing() }).await;
    let mut exchange = stage.auth.begin(request());
    let (peer, id) = asked_of(&mut peers).await;
    peer.say(&format!("CONT\t{id}\t\n")).await;
    assert!(matches!(soon(exchange.reply()).await, AuthReply::Challenge(_)));
    assert!(exchange.is_clients_turn());
    exchange.respond(Secret::from("AAAA"));
    assert!(!exchange.is_clients_turn());
}

#[tokio::test]
async fn mechanisms_that_the_service_lacks_are_not_asked_for() {
    let (stage, _peers) = Stage::opened(timing()).await;
    let unknown = AuthRequest { mechanism: "NOSUCH".to_owned(), ..request() };
    let AuthReply::Fail(fail) = soon(stage.auth.begin(unknown).reply()).await else { panic!("refused") };
    assert_eq!(fail.fields.text("code"), Some("auth_mech_invalid"));
}

#[tokio::test]
async fn the_last_handle_closes_the_connections() {
    let (stage, mut peers) = Stage::opened(timing()).await;
    let mut exchange = stage.auth.begin(request());
    asked_of(&mut peers).await;
    let Stage { auth, .. } = stage;
    drop(auth.clone());
    assert!(auth.availability().borrow().is_some());
    drop(auth);
    for peer in &mut peers {
        assert_eq!(peer.line().await, "", "closed");
    }
    assert!(matches!(soon(exchange.reply()).await, AuthReply::Lost));
}

#[tokio::test]
async fn impossible_paths_are_refused() {
    let settings = AuthSettings {
        source: AuthSource::Socket(PathBuf::from("/".repeat(200))),
        master_user_separator: None,
        failure_delay_millis: 0,
    };
    assert!(matches!(Auth::start(&settings), Err(AuthError::SocketPath { .. })));
}

#[test]
fn handles_cross_threads() {
    fn shared<T: Send + Sync + Clone>() {}
    fn moved<T: Send>() {}
    shared::<Auth>();
    moved::<crate::auth::Exchange>();
}
