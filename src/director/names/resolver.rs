//! Questions to the system's resolver: a few at a time, each with a time limit. It knows names and addresses, not
//! what they are for.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

/// Questions asked at a time. Each takes a thread until the C library gives up, which nobody can hasten; these are
/// so few that files are still read by others.
pub(super) const QUESTIONS_MAX: usize = 8;

/// Most addresses of one name. A site has fewer backends; a longer answer is somebody's mistake.
pub(super) const ADDRESSES_MAX: usize = 256;

/// The addresses of a name, in no order and perhaps twice; blocks.
pub(in crate::director) type LookUp = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// The addresses of one name: some, in order, each once.
pub(super) type Answer = io::Result<Vec<IpAddr>>;

/// Times of asking.
#[derive(Debug, Clone, Copy)]
pub(in crate::director) struct Pace {
    /// How often a name is asked again. The C library does not tell how long an answer holds; 60 s is what pools of
    /// servers are often published with.
    pub(in crate::director) interval: Duration,
    /// Pause before a name without any address is asked again, doubled each time up to the interval. 5 s: logins wait
    /// for it, but not longer than 30 s.
    pub(in crate::director) retry: Duration,
    /// When a question counts as failed. 20 s: two rounds over two silent name servers, 5 s each, as resolv.conf(5)
    /// has it.
    pub(in crate::director) limit: Duration,
    /// How long a start or a reload waits for all names; what comes later is taken over when it comes. 8 s: one
    /// silent name server, and the answer of the next one.
    pub(in crate::director) patience: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            retry: Duration::from_secs(5),
            limit: Duration::from_secs(20),
            patience: Duration::from_secs(8),
        }
    }
}

/// Who is asked, and how often.
#[derive(Clone)]
pub(in crate::director) struct Resolver {
    look_up: Arc<LookUp>,
    free: Arc<Semaphore>,
    pub(super) pace: Pace,
}

/// A question under way. Dropped, nobody waits for the answer.
pub(super) struct Question(AbortOnDropHandle<Answer>);

/// What a name has said so far.
pub(super) enum Reply {
    Answered(Answer),
    Pending(Question),
}

impl Resolver {
    pub(in crate::director) fn new(look_up: Arc<LookUp>, pace: Pace) -> Self {
        Self { look_up, free: Arc::new(Semaphore::new(QUESTIONS_MAX)), pace }
    }

    /// The one of the C library: `/etc/hosts`, then DNS, as nsswitch.conf(5) has it.
    pub(in crate::director) fn of_system() -> Self {
        let look_up =
            |name: &str| Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect::<Vec<_>>());
        Self::new(Arc::new(look_up), Pace::default())
    }

    /// Asks for one name. The place among [`QUESTIONS_MAX`] is taken until the C library has answered, whoever waits.
    pub(super) fn ask(&self, name: &str) -> Question {
        let (look_up, free, name) = (Arc::clone(&self.look_up), Arc::clone(&self.free), name.to_owned());
        let asked = async move {
            let place = free.acquire_owned().await.map_err(io::Error::other)?;
            let blocking = tokio::task::spawn_blocking(move || {
                let answer = look_up(&name);
                drop(place);
                answer
            });
            checked(blocking.await.map_err(io::Error::other)??)
        };
        Question(AbortOnDropHandle::new(tokio::spawn(asked)))
    }

    /// Asks for all names; waits for as long as [`Pace::patience`] has it.
    pub(super) async fn ask_all(&self, names: BTreeSet<&String>) -> BTreeMap<String, Reply> {
        let deadline = Instant::now() + self.pace.patience;
        let asked: Vec<_> = names.into_iter().map(|name| (name.clone(), self.ask(name))).collect();
        let mut replies = BTreeMap::new();
        for (name, mut question) in asked {
            let reply = match question.within(deadline).await {
                Some(answer) => Reply::Answered(answer),
                None => Reply::Pending(question),
            };
            replies.insert(name, reply);
        }
        replies
    }
}

impl Question {
    /// The answer; `None` if it has not come then, and the question goes on.
    pub(super) async fn within(&mut self, deadline: Instant) -> Option<Answer> {
        let answer = timeout_at(deadline, &mut self.0).await.ok()?;
        Some(answer.unwrap_or_else(|error| Err(io::Error::other(error))))
    }

    /// The answer, whenever it comes.
    pub(super) async fn answer(self) -> Answer {
        self.0.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

/// An answer that came too late.
pub(super) fn no_answer(limit: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} secs", limit.as_secs()))
}

/// An empty answer is an error: no name is configured for having no backend.
fn checked(addresses: Vec<IpAddr>) -> Answer {
    let addresses: BTreeSet<_> = addresses.into_iter().collect();
    match addresses.len() {
        0 => Err(io::Error::other("no addresses")),
        len if len > ADDRESSES_MAX => {
            Err(io::Error::other(format!("{len} addresses, at most {ADDRESSES_MAX}")))
        }
        _ => Ok(addresses.into_iter().collect()),
    }
}
