//! The scenarios: what happens in which order, and what is told after each step.

use std::{sync::Arc, time::Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    Direction, LoadError, Scenario, client::MailClient, crowd, gate, report::Reporter, site::Site,
    tally::Tally,
};

/// Round trips of each session in the mixed scenario.
const MIXED_ROUNDS: usize = 200;
/// Bytes of a line there.
const MIXED_LINE_BYTES: usize = 100;

/// Runs a scenario and returns how many sessions failed.
pub(super) async fn run(
    site: &Arc<Site>,
    reporter: &Reporter,
    scenario: Scenario,
) -> Result<usize, LoadError> {
    let run = Run { site: Arc::clone(site), reporter: *reporter, tally: Arc::default() };
    match scenario {
        Scenario::Login { count } => run.login(count).await,
        Scenario::Hold { sessions } => run.hold(sessions).await,
        Scenario::Storm { sessions } => run.storm(sessions).await,
        Scenario::Bulk { direction, sessions, bytes } => {
            run.work(sessions, Task::bulk(direction, bytes)).await
        }
        Scenario::Echo { sessions, rounds, size } => run.work(sessions, Task::Echo { rounds, size }).await,
        Scenario::Mixed { sessions, bytes } => run.mixed(sessions, bytes).await,
    }
    Ok(run.tally.failures())
}

/// What one session does.
#[derive(Debug, Clone, Copy)]
enum Task {
    Down(u64),
    Up(u64),
    Echo { rounds: usize, size: usize },
}

impl Task {
    fn bulk(direction: Direction, bytes: u64) -> Self {
        match direction {
            Direction::Down => Self::Down(bytes),
            Direction::Up => Self::Up(bytes),
        }
    }
}

struct Run {
    site: Arc<Site>,
    reporter: Reporter,
    /// Logins, and failures of any kind.
    tally: Arc<Tally>,
}

impl Run {
    /// Tells a step that began then: counts, and seconds taken.
    fn tell(&self, event: &str, begin: Instant, more: Value) {
        let mut facts = self.tally.report();
        if let (Some(facts), Value::Object(more)) = (facts.as_object_mut(), more) {
            facts.insert("seconds".to_owned(), json!((begin.elapsed().as_secs_f64() * 1e6).round() / 1e6));
            facts.extend(more);
        }
        self.reporter.tell(event, &facts);
    }

    async fn gather(&self, count: usize) -> Vec<MailClient> {
        crowd::gather(&self.site, count, &self.tally).await
    }

    async fn gate(&self, begin: Instant) {
        if self.site.common.gate {
            self.tell("ready", begin, json!({}));
            gate::opened().await;
        }
    }

    async fn login(&self, count: usize) {
        let begin = Instant::now();
        crowd::visit(&self.site, count, &self.tally).await;
        self.tell("login", begin, json!({}));
    }

    async fn hold(&self, sessions: usize) {
        self.gate(Instant::now()).await;
        let begin = Instant::now();
        let clients = self.gather(sessions).await;
        self.tell("held", begin, json!({ "sessions": clients.len() }));
        let mut waiting = waiting(clients);
        let mut first = None;
        let closings = async {
            while waiting.join_next().await.is_some() {
                first.get_or_insert_with(Instant::now);
            }
        };
        tokio::select! {
            () = closings => {}
            () = gate::opened() => {}
        }
        let left = waiting.len();
        self.tell("closed", first.unwrap_or_else(Instant::now), json!({ "left": left }));
    }

    async fn storm(&self, sessions: usize) {
        let begin = Instant::now();
        let clients = self.gather(sessions).await;
        let dropped = clients.len();
        self.gate(begin).await;
        let (begin, back) = (Instant::now(), Arc::default());
        // At once, and without a word, as when a network fails.
        drop(clients);
        let clients = crowd::rush(&self.site, sessions, &back).await;
        let storm = Self { tally: back, ..self.again() };
        let missing = sessions.saturating_sub(clients.len());
        storm.tell("storm", begin, json!({ "dropped": dropped, "missing": missing }));
        for _ in 0..missing {
            self.tally.failed(&LoadError::Timeout("storm"));
        }
    }

    /// The same place, for counts of their own.
    fn again(&self) -> Self {
        Self { site: Arc::clone(&self.site), reporter: self.reporter, tally: Arc::default() }
    }

    /// The same work for each of a few sessions.
    async fn work(&self, sessions: usize, task: Task) {
        let begin = Instant::now();
        let clients = self.gather(sessions).await;
        self.gate(begin).await;
        let begin = Instant::now();
        let done = self.all(clients.into_iter().map(|client| (client, task)).collect()).await;
        self.tell("work", begin, json!({ "sessions": done }));
    }

    /// Idle sessions, and beside them logins, round trips and transfers, all at the same time.
    async fn mixed(&self, sessions: usize, bytes: u64) {
        let begin = Instant::now();
        let idle = self.gather(sessions).await;
        let echoes = sessions / 10;
        let echo = Task::Echo { rounds: MIXED_ROUNDS, size: MIXED_LINE_BYTES };
        let transfers = [Task::Down(bytes), Task::Down(bytes), Task::Up(bytes), Task::Up(bytes)];
        let tasks = std::iter::repeat_n(echo, echoes).chain(transfers);
        let busy = self.gather(echoes + transfers.len()).await;
        self.gate(begin).await;
        let begin = Instant::now();
        let work = self.all(busy.into_iter().zip(tasks).collect());
        let (done, ()) = tokio::join!(work, crowd::visit(&self.site, 2 * sessions, &self.tally));
        self.tell("mixed", begin, json!({ "sessions": idle.len() + done }));
    }

    /// Lets every client do its task and leave; returns how many did.
    async fn all(&self, work: Vec<(MailClient, Task)>) -> usize {
        let mut tasks = JoinSet::new();
        for (client, task) in work {
            let (site, tally) = (Arc::clone(&self.site), Arc::clone(&self.tally));
            tasks.spawn(async move {
                let outcome = perform(client, task, &site).await;
                outcome.inspect_err(|error| tally.failed(error)).is_ok()
            });
        }
        let mut done = 0;
        while let Some(outcome) = tasks.join_next().await {
            done += usize::from(outcome.unwrap_or_default());
        }
        done
    }
}

async fn perform(mut client: MailClient, task: Task, site: &Site) -> Result<(), LoadError> {
    let patience = site.patience();
    match task {
        Task::Down(bytes) => client.download(bytes, patience).await?,
        Task::Up(bytes) => client.upload(bytes, patience).await?,
        Task::Echo { rounds, size } => client.echo(rounds, size, patience).await?,
    }
    client.log_out(patience).await
}

/// One task for each client, which ends when the server has closed.
fn waiting(clients: Vec<MailClient>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for mut client in clients {
        tasks.spawn(async move { client.closed().await });
    }
    tasks
}
