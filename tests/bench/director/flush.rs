//! The whole director: logins of others while every user of a backend is moved to another one.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use homing::{
    config::{self, settings::DirectorSettings},
    director::{
        Director, PlaceRequest,
        core::{Action, FlushId, Flushing, Operation, Origin},
    },
};
use homing_login::UserName;
use serde_json::{Value, json};

use super::numbers::latencies;

pub const FIRST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 1));
const SECOND: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 2));
/// Users who log in meanwhile; they are on the second backend.
const OTHERS: usize = 10_000;
/// How long their logins are measured without a flush.
const QUIET: Duration = Duration::from_secs(3);
/// How often a person looks at how far it is.
const LOOK: Duration = Duration::from_millis(20);

/// Logins of others while nothing else happens, and during a flush of so many users.
pub fn measure(users: u32) -> Value {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let director = Director::new(&settings()).await.unwrap();
        for n in 0..users {
            drop(place(&director, &UserName::from(format!("user{n}@example.com").as_str())).await);
        }
        let add = Operation::AddHost { ip: SECOND, hostname: None, tag: None, vhosts: None };
        director.apply(Origin::Operator, add).unwrap();
        director.apply(Origin::Operator, Operation::SetVhosts { ip: FIRST, vhosts: 0 }).unwrap();
        let others = others(&director).await;
        let (times, during) = logins(&director, &others, tokio::time::sleep(QUIET)).await;
        let quiet = latencies("logins of others, nothing else happens", times, during);
        // The kick delay of those who came last is over now, so moves are as fast as they can be.
        let before = mappings(&director);
        let flush = start_flush(&director);
        let (times, during) = logins(&director, &others, end_of(director.clone(), flush)).await;
        let busy = latencies("logins of others, a flush of everybody else goes on", times, during);
        assert_eq!(mappings(&director), [0, before.iter().sum()], "not everybody has moved");
        eprintln!("{:<58} {:>7.0} users/s", "the flush", f64::from(users) / during.as_secs_f64());
        json!({ "logins_without": quiet, "logins_during": busy, "seconds": during.as_secs_f64() })
    })
}

/// How many users are on each backend; some names have equal hashes.
fn mappings(director: &Director) -> [usize; 2] {
    let rows = director.backends();
    [FIRST, SECOND].map(|ip| rows.iter().find(|row| row.host.ip == ip).unwrap().users)
}

/// Who is on the second backend. A name whose hash is that of a user on the first one is left out: it would be moved.
async fn others(director: &Director) -> Vec<UserName> {
    let mut others = Vec::new();
    for name in (0..OTHERS).map(|n| UserName::from(format!("other{n}").as_str())) {
        if place(director, &name).await.ip() == SECOND {
            others.push(name);
        }
    }
    others
}

fn start_flush(director: &Director) -> FlushId {
    let flush = Operation::FlushHost { ip: FIRST, flush: Flushing::Safe { parallel: None } };
    let told = director.apply(Origin::Operator, flush).unwrap();
    let started = told.iter().find_map(|action| match action {
        Action::FlushStarted { flush, .. } => Some(*flush),
        _ => None,
    });
    started.unwrap()
}

/// The last user has been moved.
async fn end_of(director: Director, flush: FlushId) {
    director.flush_walked(flush).await;
    while director.backends().iter().any(|row| row.host.ip == FIRST && row.users > 0) {
        tokio::time::sleep(LOOK).await;
    }
}

/// Logs the users in and out, one after the other and all over again, until something ends; how long each placement
/// took, and how long all of it.
async fn logins(
    director: &Director,
    users: &[UserName],
    end: impl Future<Output = ()>,
) -> (Vec<Duration>, Duration) {
    let (director, users) = (director.clone(), users.to_vec());
    let over = tokio_util::sync::CancellationToken::new();
    let (start, is_over) = (Instant::now(), over.clone());
    let clients = tokio::spawn(async move {
        let mut times = Vec::new();
        for user in users.iter().cycle() {
            let start = Instant::now();
            let placement = place(&director, user).await;
            times.push(start.elapsed());
            drop(placement);
            if is_over.is_cancelled() {
                break;
            }
            tokio::task::yield_now().await;
        }
        times
    });
    end.await;
    over.cancel();
    (clients.await.unwrap(), start.elapsed())
}

async fn place(director: &Director, user: &UserName) -> homing::director::Placement {
    director.place(PlaceRequest { user, tag: b"" }).await.unwrap()
}

/// As a configuration file has them; the default of everything else.
pub fn settings() -> DirectorSettings {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("homing.conf");
    fs::write(&file, format!("protocols = imap\nssl = no\ndirector_mail_servers = {FIRST}\n")).unwrap();
    let outcome = config::load(&file);
    outcome.settings.unwrap_or_else(|| panic!("{}", outcome.report)).director
}
