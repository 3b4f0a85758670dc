//! Addresses of the names in `director_mail_servers`, at start, at a reload and from then on: a changed answer is a
//! changed configuration. A name that does not resolve stops nothing, and its last addresses stay (spec/director.md
//! 10, W18). It does not know what a change does to users.

mod resolver;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    DirectorError,
    core::{Host, MailServer, MailServerError, Rules, Saved, ServerHost, Table, hosts_of},
    tables::Tables,
};
pub(super) use resolver::Resolver;
use resolver::{Question, Reply, no_answer};

/// The settings before names have addresses.
pub(super) struct Plan {
    pub(super) servers: Vec<MailServer>,
    pub(super) rules: Rules,
}

/// The names of the configuration with their addresses, and the tables that follow them. Dropped, nobody is asked any
/// more.
pub(super) struct Names {
    tables: Arc<Tables>,
    resolver: Resolver,
    state: Mutex<State>,
}

struct State {
    plan: Plan,
    known: Known,
    /// The backends as last configured.
    hosts: Vec<Host>,
    /// The answers contradict each other, and that was said.
    is_refused: bool,
    /// One for each name.
    followers: JoinSet<()>,
}

type Known = BTreeMap<String, Name>;

/// What is known of a name.
#[derive(Default)]
struct Name {
    /// The last answer.
    addresses: Vec<IpAddr>,
    /// No answer since, and that was said.
    is_failing: bool,
}

impl Plan {
    fn names<'a>(&'a self) -> BTreeSet<&'a String> {
        let name = |server: &'a MailServer| match &server.host {
            ServerHost::Name(name) => Some(name),
            ServerHost::Addresses(_) => None,
        };
        self.servers.iter().filter_map(name).collect()
    }

    fn hosts(&self, known: &Known) -> Result<Vec<Host>, MailServerError> {
        let answers = known.iter().map(|(name, known)| (name.clone(), known.addresses.clone())).collect();
        hosts_of(&self.servers, &answers)
    }

    fn table(&self, hosts: Vec<Host>) -> Table {
        Table { hosts, rules: self.rules.clone() }
    }

    /// False without any backend, with or without address.
    fn is_director(&self) -> bool {
        !self.servers.is_empty()
    }
}

impl Names {
    /// Tables for this plan. Names that have no address in time are a warning; they keep those that an earlier run knew.
    pub(super) async fn start(
        plan: Plan,
        resolver: Resolver,
        saved: Option<Saved>,
    ) -> Result<Arc<Self>, DirectorError> {
        let replies = resolver.ask_all(plan.names()).await;
        let before = saved.as_ref().map(|saved| known_of(&saved.hosts.configured)).unwrap_or_default();
        let (known, pending) = sort(replies, &resolver, &before);
        let hosts = plan.hosts(&known)?;
        let tables = Arc::new(Tables::new(plan.table(hosts.clone()), plan.is_director(), saved));
        let state = State { plan, known, hosts, is_refused: false, followers: JoinSet::new() };
        let names = Arc::new(Self { tables, resolver, state: Mutex::new(state) });
        names.follow_all(&mut names.lock(), pending);
        Ok(names)
    }

    /// The names that have no address now.
    pub(super) fn without_address(&self) -> Vec<String> {
        let state = self.lock();
        state
            .known
            .iter()
            .filter(|(_, known)| known.addresses.is_empty())
            .map(|(name, _)| name.clone())
            .collect()
    }

    pub(super) fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }

    /// Takes over another plan, or nothing of it. Names that have no address in time keep those they had. All
    /// backends are not given up for names alone of which none has an address.
    pub(super) async fn reload(self: &Arc<Self>, plan: Plan) -> Result<(), DirectorError> {
        let replies = self.resolver.ask_all(plan.names()).await;
        let mut state = self.lock();
        let (known, pending) = sort(replies, &self.resolver, &state.known);
        let hosts = plan.hosts(&known)?;
        if hosts.is_empty() && plan.is_director() && !state.hosts.is_empty() {
            return Err(DirectorError::NoHosts);
        }
        self.tables.configure(plan.table(hosts.clone()), plan.is_director())?;
        *state = State { plan, known, hosts, is_refused: false, followers: JoinSet::new() };
        self.follow_all(&mut state, pending);
        Ok(())
    }

    fn follow_all(self: &Arc<Self>, state: &mut State, mut pending: BTreeMap<String, Question>) {
        for name in state.known.keys() {
            let follower = follow(Arc::downgrade(self), name.clone(), pending.remove(name));
            state.followers.spawn(follower);
        }
    }

    /// Takes over an answer if it is a new one; says so, and when a name begins to fail and when it has recovered.
    fn learn(&self, name: &str, answer: io::Result<Vec<IpAddr>>) {
        let mut state = self.lock();
        // A follower of the plan before may have come this far.
        let Some(known) = state.known.get_mut(name) else { return };
        let addresses = match answer {
            Ok(addresses) => addresses,
            Err(error) => return known.fail(name, &error),
        };
        if std::mem::take(&mut known.is_failing) {
            tracing::info!("director_mail_servers: mail host {name} is known again");
        }
        if known.addresses != addresses {
            let (before, now) = (shown(&known.addresses), shown(&addresses));
            tracing::info!("director_mail_servers: mail host {name} has other addresses: {before} -> {now}");
            known.addresses = addresses;
            self.follow_change(&mut state);
        }
    }

    /// Configures the backends again if they are others. Answers that contradict each other change nothing; they may
    /// belong together with one that is still to come.
    fn follow_change(&self, state: &mut State) {
        let hosts = match state.plan.hosts(&state.known) {
            Ok(hosts) => hosts,
            Err(error) => {
                if !std::mem::replace(&mut state.is_refused, true) {
                    tracing::warn!(
                        "{error}; the backends stay as they were until their names have other addresses"
                    );
                }
                return;
            }
        };
        state.is_refused = false;
        if hosts == state.hosts {
            return;
        }
        match self.tables.configure(state.plan.table(hosts.clone()), state.plan.is_director()) {
            Ok(()) => state.hosts = hosts,
            Err(error) => tracing::error!("director_mail_servers: {error}"),
        }
    }

    /// How long a name is left alone: evenly, but not all names at once; soon if logins may be waiting for it.
    fn pause(&self, name: &str, retry: &mut Duration) -> Duration {
        let interval = self.resolver.pace.interval;
        if self.lock().known.get(name).is_some_and(|known| known.addresses.is_empty()) {
            let pause = (*retry).min(interval);
            *retry = pause * 2;
            return pause;
        }
        *retry = self.resolver.pace.retry;
        interval + interval * (getrandom::u32().unwrap_or_default() % 10) / 100
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Name {
    fn fail(&mut self, name: &str, error: &io::Error) {
        if !std::mem::replace(&mut self.is_failing, true) {
            let consequence = if self.addresses.is_empty() {
                "left out until it has an address"
            } else {
                "its addresses stay as they were"
            };
            tracing::warn!("director_mail_servers: unknown mail host {name}: {error}; {consequence}");
        }
    }
}

/// The addresses that names had.
fn known_of(hosts: &[Arc<Host>]) -> Known {
    let mut known = Known::new();
    for host in hosts {
        if let Some(name) = &host.hostname {
            known.entry(name.clone()).or_default().addresses.push(host.ip);
        }
    }
    known
}

/// What is known of all names now, failed ones as they were `before`; and the questions without answer.
fn sort(
    replies: BTreeMap<String, Reply>,
    resolver: &Resolver,
    before: &Known,
) -> (Known, BTreeMap<String, Question>) {
    let (mut known, mut pending) = (Known::new(), BTreeMap::new());
    for (name, reply) in replies {
        let answer = match reply {
            Reply::Answered(answer) => answer,
            Reply::Pending(question) => {
                pending.insert(name.clone(), question);
                Err(no_answer(resolver.pace.patience))
            }
        };
        let addresses = before.get(&name).map(|name| name.addresses.clone()).unwrap_or_default();
        let mut row = Name { addresses, is_failing: false };
        match answer {
            Ok(addresses) => row.addresses = addresses,
            Err(error) => row.fail(&name, &error),
        }
        known.insert(name, row);
    }
    (known, pending)
}

/// Asks for a name again and again until the names are gone. One question at a time: an answer that comes late is
/// waited for, and is an answer.
async fn follow(names: Weak<Names>, name: String, pending: Option<Question>) {
    let Some(pace) = names.upgrade().map(|names| names.resolver.pace) else { return };
    let learn = |answer| {
        if let Some(names) = names.upgrade() {
            names.learn(&name, answer);
        }
    };
    if let Some(question) = pending {
        learn(question.answer().await);
    }
    let mut retry = pace.retry;
    while let Some(pause) = names.upgrade().map(|names| names.pause(&name, &mut retry)) {
        sleep(pause).await;
        let Some(mut question) = names.upgrade().map(|names| names.resolver.ask(&name)) else { return };
        match question.within(Instant::now() + pace.limit).await {
            Some(answer) => learn(answer),
            None => {
                learn(Err(no_answer(pace.limit)));
                learn(question.answer().await);
            }
        }
    }
}

fn shown(addresses: &[IpAddr]) -> String {
    if addresses.is_empty() {
        return "none".to_owned();
    }
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
