//! `homing director drain`: starts a drain or finds the one under way, and shows how far it is until the backend is
//! safe to power off. The drain belongs to the director, so this program may be interrupted and started again.

mod argument;
mod screen;

use std::{net::IpAddr, time::Duration};

use clap::Args;
use homing_doveadm::{
    director::{self, Request},
    own::{Command, DrainPace, DrainRow, DrainState, Planned, Row},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep, timeout_at},
};

use super::{Connection, hosts, plan};
use crate::cli::{complain, exit::Fault, place::Place, show::Form};
use argument::{Rate, Span};
use screen::Screen;

/// Pause between two looks at a drain.
const STEP: Duration = Duration::from_millis(300);

/// Attempts to reach the director again after a connection broke, with [`RECONNECT_PAUSE`] before each: a restart of
/// the network or of a tunnel, but not for ever.
const RECONNECTS_MAX: u32 = 60;

/// Weight of backends of which nobody says otherwise, as with Dovecot.
const VHOSTS_USUAL: u32 = 100;

/// Pause before a new connection.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// Empty a backend, so that it can be powered off
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  homing director drain --dry-run 10.0.0.11      who would move where
  homing director drain 10.0.0.11                until it is safe to power off
  homing director drain 10.0.0.11 && ssh be1 poweroff
  homing director drain --rate 5/s --grace 10m 10.0.0.11
  homing director drain --status 10.0.0.11       one look at it
  homing director drain --stop --restore 10.0.0.11

No new users come, then those who are there move away: first who has no session, then whose sessions are between two
commands, at last the others, when the grace is over. Exit status 0 means that the backend is safe to power off: no users,
no sessions, no logins in progress, and nobody comes. Ctrl-C ends only the watching; the same command goes on with it.

With --json it prints a line with an object whenever something has changed: {host, state, safe, users, moved, left,
sessions, moving, stuck, since, eta_msecs, vhosts_before, parallel, per_sec, grace_msecs, note}, state one of moving,
waiting, blocked, safe, ended.")]
pub(super) struct Drain {
    /// Address or name with one address
    host: String,
    /// Users that are moved at one time; director_max_parallel_moves unless told
    #[arg(long, value_name = "N")]
    parallel: Option<std::num::NonZeroU32>,
    /// Users with sessions that are moved in a second; 50/s unless told
    #[arg(long, value_name = "N/s")]
    rate: Option<Rate>,
    /// How long sessions that are busy are waited for, such as 90s, 10m, 1h, which is the most; 60s unless told
    #[arg(long, value_name = "TIME")]
    grace: Option<Span>,
    /// Stop watching after this time, with exit status 75 if it is not done
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,
    /// Change nothing, tell who would move where
    #[arg(long, conflicts_with_all = ["status", "stop"])]
    dry_run: bool,
    /// Start nothing, tell how far it is; exit status 0 only if it is safe to power off
    #[arg(long, conflicts_with = "stop")]
    status: bool,
    /// End the drain; users who have moved stay where they are
    #[arg(long)]
    stop: bool,
    /// Give the backend the weight back that it had before
    #[arg(long, requires = "stop")]
    restore: bool,
}

impl Drain {
    pub(in crate::cli::director) async fn run(
        self,
        connection: &mut Connection,
        form: Form,
    ) -> Result<(), Fault> {
        let host = hosts::address(&self.host).await?;
        if self.dry_run {
            return plan::show(connection, form, vec![Planned::Drain(host)]).await;
        }
        if self.stop {
            let row = one(connection, &Command::DrainStop { host, restore: self.restore }).await?;
            screen::print(form, &row);
            let vhosts = match self.restore {
                false => row.vhosts_before,
                true => nothing_to_restore(connection, host).await?,
            };
            if let Some(vhosts) = vhosts {
                let back = format!("homing director update {host} {vhosts}");
                complain(&format!("{host}: still gets no new users; this gives it a weight: {back}"));
            }
            return Ok(());
        }
        if self.status {
            let row = one(connection, &Command::DrainStatus(Some(host))).await?;
            screen::print(form, &row);
            return verdict(&row);
        }
        let pace = DrainPace {
            parallel: self.parallel,
            per_sec: self.rate.map(|rate| rate.0),
            grace_msecs: self.grace.map(Span::msecs),
        };
        // From here on a signal does not end the program without a word.
        let mut signals = Signals::new()?;
        let first = one(connection, &Command::Drain { host, pace }).await?;
        let deadline = self.timeout.map(|span| Instant::now() + span.0);
        let watch = Watch { place: connection.place().clone(), host, screen: Screen::new(form, &first) };
        tokio::select! {
            ended = watch.until_safe(connection, first) => ended,
            () = until(deadline) => Err(Fault::NotDone(format!("{host}: not empty yet; {}", goes_on(&self.host)))),
            () = signals.next() => Err(Fault::NotDone(format!("{host}: interrupted; {}", goes_on(&self.host)))),
        }
    }
}

/// The usual weight, if a backend has none after all: it had none when its drain began, perhaps since an earlier one
/// had taken it and ended with the director.
async fn nothing_to_restore(connection: &mut Connection, host: IpAddr) -> Result<Option<u32>, Fault> {
    let rows = connection.rows(&Request::HostList).await?;
    let is_meant =
        |row: &director::Row| matches!(row, director::Row::Host(row) if row.ip == host && row.vhosts == 0);
    Ok(rows.iter().any(is_meant).then_some(VHOSTS_USUAL))
}

/// What to tell whoever stops watching.
fn goes_on(host: &str) -> String {
    format!(
        "the drain goes on. To watch it again: homing director drain {host}. \
         To stop it: homing director drain --stop {host}"
    )
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => {
            let _ = timeout_at(deadline, std::future::pending::<()>()).await;
        }
        None => std::future::pending().await,
    }
}

/// What asks a program to stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, Fault> {
        let listen =
            |kind| signal(kind).map_err(|error| Fault::NotDone(format!("cannot await signals: {error}")));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The one row that answers a request about one drain.
async fn one(connection: &mut Connection, command: &Command) -> Result<DrainRow, Fault> {
    let rows = connection.own(command).await?;
    let row = rows.into_iter().find_map(|row| match row {
        Row::Drain(row) => Some(row),
        _ => None,
    });
    row.ok_or_else(|| Fault::Protocol(format!("{}: no word about the drain", connection.place())))
}

/// Exit status of what is seen.
fn verdict(row: &DrainRow) -> Result<(), Fault> {
    match (row.safe, row.state) {
        (true, _) => Ok(()),
        (false, DrainState::Ended) => {
            Err(Fault::NotDone(format!("{}: {}; it is not safe to power off", row.host, row.note)))
        }
        (false, _) => Err(Fault::NotDone(format!("{}: not empty yet", row.host))),
    }
}

struct Watch {
    place: Place,
    host: IpAddr,
    screen: Screen,
}

impl Watch {
    /// Goes on until the drain is over in one way or another.
    async fn until_safe(mut self, connection: &mut Connection, first: DrainRow) -> Result<(), Fault> {
        let mut row = first;
        loop {
            self.screen.show(&row);
            if row.safe || row.state == DrainState::Ended {
                self.screen.end(&row);
                return verdict(&row);
            }
            sleep(STEP).await;
            row = self.look(connection).await?;
        }
    }

    /// Over a new connection, if the old one broke.
    async fn look(&mut self, connection: &mut Connection) -> Result<DrainRow, Fault> {
        let command = Command::DrainStatus(Some(self.host));
        let mut attempts = 0;
        loop {
            let lost = match one(connection, &command).await {
                Err(Fault::NotFound(text)) => {
                    let why =
                        "the director does not know of the drain any more; it was started anew, perhaps";
                    return Err(Fault::NotDone(format!("{text}; {why}")));
                }
                Err(Fault::Unreachable(lost)) => lost,
                told => return told,
            };
            if attempts == 0 {
                self.screen.remark(&format!("{lost}; trying again"));
            }
            loop {
                attempts += 1;
                if attempts > RECONNECTS_MAX {
                    let host = self.host.to_string();
                    return Err(Fault::Unreachable(format!("{lost}; {}", goes_on(&host))));
                }
                sleep(RECONNECT_PAUSE).await;
                if let Ok(new) = Connection::open(&self.place).await {
                    *connection = new;
                    break;
                }
            }
        }
    }
}
