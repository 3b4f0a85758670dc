//! Moves with a flush program of the test's own.

use std::{path::Path, time::Duration};

use homing_login::UserName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    time::timeout,
};

use crate::{
    config::settings::DirectorSettings,
    director::{
        Director, PlaceRequest, Placement,
        core::{Action, Operation, Origin},
        tests::settings,
    },
};

use super::FlushJob;

const PATIENCE: Duration = Duration::from_secs(60);

/// Nobody waits for it in these tests: a login that is let in had no delay.
const DELAY: Duration = Duration::from_secs(3600);

struct Site {
    director: Director,
    program: UnixListener,
    _folder: tempfile::TempDir,
}

fn with_program(folder: &Path, delay: Duration) -> DirectorSettings {
    let flush_socket = format!("unix:{}/flush", folder.display());
    DirectorSettings { flush_socket, user_kick_delay: delay, ..settings("10.1.0.1-10.1.0.3") }
}

impl Site {
    async fn start(delay: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = UnixListener::bind(folder.path().join("flush")).unwrap();
        let director = Director::new(&with_program(folder.path(), delay)).await.unwrap();
        Self { director, program, _folder: folder }
    }

    /// The next run: what it is told, and where the answer goes.
    async fn run(&self) -> (String, UnixStream) {
        let (mut stream, _) = timeout(PATIENCE, self.program.accept()).await.unwrap().unwrap();
        let mut told = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut told)).await.unwrap().unwrap();
        (told, stream)
    }

    fn move_foo(&self, ip: &str) -> Vec<Action> {
        let (user, ip) = (self.director.hash(b"foo"), ip.parse().unwrap());
        self.director.apply(Origin::Operator, Operation::MoveUser { user, ip }).unwrap()
    }

    async fn place(&self) -> Placement {
        let user = UserName::from("foo");
        let request = PlaceRequest { user: &user, tag: b"" };
        timeout(PATIENCE, self.director.place(request)).await.unwrap().unwrap()
    }

    async fn assert_waits(&self) {
        let user = UserName::from("foo");
        let request = PlaceRequest { user: &user, tag: b"" };
        assert!(timeout(Duration::from_millis(50), self.director.place(request)).await.is_err());
    }
}

#[tokio::test]
async fn dr_67_the_program_is_told_of_the_move_and_plus_ends_the_wait() {
    let site = Site::start(DELAY).await;
    let session = site.place().await;
    assert_eq!(session.ip().to_string(), "10.1.0.3");
    site.move_foo("10.1.0.1");
    drop(session);
    let (told, mut answer) = site.run().await;
    assert_eq!(told, "VERSION\tscript\t4\t0\n-\nFLUSH\n2898073819\n10.1.0.3\n10.1.0.1\nup\n100\n\n");
    site.assert_waits().await;
    answer.write_all(b"done\n+\n").await.unwrap();
    drop(answer);
    assert_eq!(site.place().await.ip().to_string(), "10.1.0.1");
}

#[tokio::test]
async fn dr_67_minus_and_nonsense_leave_the_kick_delay() {
    for reply in ["no\n-\n", "?\n", ""] {
        let site = Site::start(DELAY).await;
        drop(site.place().await);
        site.move_foo("10.1.0.1");
        let (_, mut answer) = site.run().await;
        answer.write_all(reply.as_bytes()).await.unwrap();
        drop(answer);
        site.assert_waits().await;
    }
    let site = Site::start(Duration::ZERO).await;
    drop(site.place().await);
    site.move_foo("10.1.0.1");
    let (_, mut answer) = site.run().await;
    answer.write_all(b"no\n-\n").await.unwrap();
    drop(answer);
    assert_eq!(site.place().await.ip().to_string(), "10.1.0.1", "the move is never undone");
}

#[tokio::test]
async fn a_program_that_is_not_there_leaves_the_kick_delay() {
    let site = Site::start(Duration::ZERO).await;
    drop(site.place().await);
    let folder = tempfile::tempdir().unwrap();
    site.director.reload(&with_program(folder.path(), Duration::ZERO)).await.unwrap();
    site.move_foo("10.1.0.1");
    assert_eq!(site.place().await.ip().to_string(), "10.1.0.1");
}

#[tokio::test]
async fn a_reload_switches_the_program_off_and_on() {
    let site = Site::start(Duration::ZERO).await;
    drop(site.place().await);
    let off =
        DirectorSettings { flush_socket: String::new(), ..with_program(Path::new("/x"), Duration::ZERO) };
    site.director.reload(&off).await.unwrap();
    site.move_foo("10.1.0.1");
    drop(site.place().await);
    site.director.reload(&with_program(site._folder.path(), Duration::ZERO)).await.unwrap();
    site.move_foo("10.1.0.2");
    let (told, answer) = site.run().await;
    assert!(told.contains("\n10.1.0.1\n10.1.0.2\n"), "the first move had no run: {told}");
    drop(answer);
    assert_eq!(site.place().await.ip().to_string(), "10.1.0.2");
}

/// When that is, the core knows.
#[tokio::test]
async fn dr_67_a_program_that_takes_too_long_is_ended() {
    let site = Site::start(DELAY).await;
    drop(site.place().await);
    let run = site.move_foo("10.1.0.1").into_iter().find_map(|action| match action {
        Action::RunFlush(program) => Some(program.run),
        _ => None,
    });
    let (_, mut answer) = site.run().await;
    site.director.tables.flush_jobs().add([FlushJob::Abort(run.unwrap())]);
    let told_more = timeout(PATIENCE, async {
        // Far fewer bytes than an answer may have: nobody listens any more.
        while answer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    told_more.await.unwrap();
}
