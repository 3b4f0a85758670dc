//! Many clients at once: how a number of logins is spread over a bounded number of tasks.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::timeout};

use super::{LoadError, client::MailClient, site::Site, tally::Tally};

/// How long a client that was turned away waits before it tries again.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// How long a client of a storm waits before it hangs up and tries again. Where a kernel's queue has overflown, its
/// connection may exist on its side only.
const ATTEMPT_TIME: Duration = Duration::from_secs(20);

/// Logs in `count` clients, `--concurrency` at a time, and keeps those that got in.
pub(super) async fn gather(site: &Arc<Site>, count: usize, tally: &Arc<Tally>) -> Vec<MailClient> {
    let clients = Arc::new(Mutex::new(Vec::with_capacity(count)));
    let keep = {
        let clients = Arc::clone(&clients);
        move |client| clients.lock().unwrap_or_else(PoisonError::into_inner).push(client)
    };
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..site.common.concurrency.min(count) {
        let (site, tally, next, keep) =
            (Arc::clone(site), Arc::clone(tally), Arc::clone(&next), keep.clone());
        tasks.spawn(async move {
            while let Some(n) = taken(&next, count) {
                if let Some(client) = log_in(&site, n, &tally).await {
                    keep(client);
                }
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    std::mem::take(&mut *clients.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Logs in and out `count` times, `--concurrency` at a time.
pub(super) async fn visit(site: &Arc<Site>, count: usize, tally: &Arc<Tally>) {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..site.common.concurrency.min(count) {
        let (site, tally, next) = (Arc::clone(site), Arc::clone(tally), Arc::clone(&next));
        tasks.spawn(async move {
            while let Some(n) = taken(&next, count) {
                let Some(client) = log_in(&site, n, &tally).await else { continue };
                if let Err(error) = client.log_out(site.patience()).await {
                    tally.failed(&error);
                }
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

/// Logs in `count` clients all at once; each tries until it is in or `--patience` is over. Failed attempts are counted.
pub(super) async fn rush(site: &Arc<Site>, count: usize, tally: &Arc<Tally>) -> Vec<MailClient> {
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for n in 0..count {
        let (site, tally) = (Arc::clone(site), Arc::clone(tally));
        tasks.spawn(async move {
            while begin.elapsed() < site.patience() {
                let attempt = timeout(ATTEMPT_TIME, MailClient::log_in(&site, n)).await;
                match attempt.unwrap_or(Err(LoadError::Timeout("attempt"))) {
                    Ok(client) => {
                        tally.succeeded(begin.elapsed(), client.resumed);
                        return Some(client);
                    }
                    Err(error) => tally.failed(&error),
                }
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            None
        });
    }
    let mut clients = Vec::with_capacity(count);
    while let Some(client) = tasks.join_next().await {
        clients.extend(client.ok().flatten());
    }
    clients
}

async fn log_in(site: &Site, n: usize, tally: &Tally) -> Option<MailClient> {
    let begin = Instant::now();
    match MailClient::log_in(site, n).await {
        Ok(client) => {
            tally.succeeded(begin.elapsed(), client.resumed);
            Some(client)
        }
        Err(error) => {
            tally.failed(&error);
            None
        }
    }
}

/// The next number below `count`.
fn taken(next: &AtomicUsize, count: usize) -> Option<usize> {
    let n = next.fetch_add(1, Ordering::Relaxed);
    (n < count).then_some(n)
}
