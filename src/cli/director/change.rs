//! Commands that change backends: add, update, up, down, remove. A name stands for all its addresses.

use std::net::IpAddr;

use clap::{Args, builder::RangedU64ValueParser};
use homing_doveadm::director::{HostArgument, Reply, Request, VHOSTS_MAX};
use serde_json::{Value, json};

use super::{Connection, hosts, plan};
use crate::cli::{
    exit::Fault,
    show::{Form, Shown},
};

fn vhosts() -> RangedU64ValueParser<u32> {
    RangedU64ValueParser::new().range(0..=u64::from(VHOSTS_MAX))
}

/// Add a backend, or change a known one
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  homing director add 10.0.0.13              with weight 100
  homing director add 10.0.0.13 50           with half of it
  homing director add 10.0.0.13@eu           for users with the tag eu
  homing director add be3.example.org        all addresses of the name
  homing director add --dry-run 10.0.0.13    how many users belong there; they come when flushed

JSON: {\"results\": [{ip, done, error}]}, error null or a text.")]
pub(super) struct Add {
    /// Address or name, perhaps with @TAG behind it
    #[arg(value_name = "HOST[@TAG]")]
    host: String,
    /// Weight, 0 to 1000; 100 is normal
    #[arg(value_parser = vhosts())]
    vhosts: Option<u32>,
    /// Tag, if it is not behind the host
    #[arg(short, long)]
    tag: Option<String>,
    /// Change nothing, tell what would become of users
    #[arg(long)]
    dry_run: bool,
}

/// Change the weight of a backend
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  homing director update 10.0.0.13 50
  homing director update 10.0.0.13 0             no new users
  homing director update --dry-run 10.0.0.13 0   what would become of its users

Users who are there stay; flush or drain move them. JSON: as for add.")]
pub(super) struct Update {
    /// Address or name, perhaps with @TAG behind it to change the tag (Homing only)
    #[arg(value_name = "HOST[@TAG]")]
    host: String,
    /// Weight, 0 to 1000; 100 is normal
    #[arg(value_parser = vhosts())]
    vhosts: u32,
    /// Change nothing, tell what would become of users
    #[arg(long)]
    dry_run: bool,
}

/// Let new users come to a backend again
#[derive(Debug, Args)]
#[command(after_help = "Example:
  homing director up 10.0.0.13

JSON: as for add.")]
pub(super) struct Up {
    /// Address or name
    host: String,
    /// Change nothing, tell what would become of users
    #[arg(long)]
    dry_run: bool,
}

/// Let no new users come to a backend; those who are there stay
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  homing director down 10.0.0.13
  homing director down --dry-run 10.0.0.13

To move its users away, too, drain it. JSON: as for add.")]
pub(super) struct Down {
    /// Address or name
    host: String,
    /// Change nothing, tell what would become of users
    #[arg(long)]
    dry_run: bool,
}

/// Remove a backend
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  homing director remove --dry-run 10.0.0.13   how many users and sessions are there
  homing director remove 10.0.0.13

Users with sessions stay until these end; drain it first to move them. JSON: as for add.")]
pub(super) struct Remove {
    /// Address or name
    host: String,
    /// Change nothing, tell what would become of users
    #[arg(long)]
    dry_run: bool,
}

impl Add {
    pub(super) async fn run(self, connection: &mut Connection, form: Form) -> Result<(), Fault> {
        let (host, behind) = split_tag(&self.host);
        let tag = self.tag.or(behind).map(String::into_bytes);
        let request =
            |ip| Request::HostSet { host: HostArgument { ip, tag: tag.clone() }, vhosts: self.vhosts };
        change_or_plan(connection, form, "added", self.dry_run, requests(host, request).await?).await
    }
}

impl Update {
    pub(super) async fn run(self, connection: &mut Connection, form: Form) -> Result<(), Fault> {
        let (host, tag) = split_tag(&self.host);
        if tag.as_deref() == Some("") {
            // The protocol takes it for no word about the tag.
            return Err(Fault::Usage(format!(
                "{host}: to take a tag away, remove the backend and add it again"
            )));
        }
        let tag = tag.map(String::into_bytes);
        let request =
            |ip| Request::HostUpdate { host: HostArgument { ip, tag: tag.clone() }, vhosts: self.vhosts };
        change_or_plan(connection, form, "updated", self.dry_run, requests(host, request).await?).await
    }
}

impl Up {
    pub(super) async fn run(self, connection: &mut Connection, form: Form) -> Result<(), Fault> {
        let requests = requests(&self.host, Request::HostUp).await?;
        change_or_plan(connection, form, "up", self.dry_run, requests).await
    }
}

impl Down {
    pub(super) async fn run(self, connection: &mut Connection, form: Form) -> Result<(), Fault> {
        let requests = requests(&self.host, Request::HostDown).await?;
        change_or_plan(connection, form, "down", self.dry_run, requests).await
    }
}

impl Remove {
    pub(super) async fn run(self, connection: &mut Connection, form: Form) -> Result<(), Fault> {
        let requests = requests(&self.host, Request::HostRemove).await?;
        change_or_plan(connection, form, "removed", self.dry_run, requests).await
    }
}

fn split_tag(host: &str) -> (&str, Option<String>) {
    match host.split_once('@') {
        Some((host, tag)) => (host, Some(tag.to_owned())),
        None => (host, None),
    }
}

type PerHost = (IpAddr, Request);

async fn requests(host: &str, request: impl Fn(IpAddr) -> Request) -> Result<Vec<PerHost>, Fault> {
    Ok(hosts::addresses(host).await?.into_iter().map(|ip| (ip, request(ip))).collect())
}

async fn change_or_plan(
    connection: &mut Connection,
    form: Form,
    done: &'static str,
    dry_run: bool,
    requests: Vec<PerHost>,
) -> Result<(), Fault> {
    if dry_run {
        let planned = requests.into_iter().map(|(_, request)| plan::of(request)).collect();
        return plan::show(connection, form, planned).await;
    }
    change(connection, form, done, &requests).await
}

/// All of them are tried; the first fault is the outcome.
pub(super) async fn change(
    connection: &mut Connection,
    form: Form,
    done: &'static str,
    requests: &[PerHost],
) -> Result<(), Fault> {
    let mut results = Vec::new();
    for (ip, request) in requests {
        let reply = connection.reply(request).await?;
        results.push((*ip, outcome(&ip.to_string(), &reply)));
    }
    let results = Results { done, results };
    form.print(&results);
    results.first_fault()
}

/// What a one-line answer about something means.
pub(super) fn outcome(what: &str, reply: &Reply) -> Result<(), Fault> {
    match reply {
        Reply::Ok => Ok(()),
        Reply::NotFound => Err(Fault::NotFound(format!("{what}: doesn't exist"))),
        Reply::TryAgain => Err(Fault::NotDone(format!("{what}: busy, try again later"))),
        Reply::Refused(refusal) => Err(Fault::NotDone(format!("{what}: {refusal}"))),
        Reply::Place(_) => Err(Fault::Protocol(format!("{what}: unexpected answer"))),
    }
}

struct Results {
    done: &'static str,
    results: Vec<(IpAddr, Result<(), Fault>)>,
}

impl Results {
    /// Told on standard error all together.
    fn first_fault(self) -> Result<(), Fault> {
        let mut faults = self.results.into_iter().filter_map(|(_, result)| result.err());
        let Some(first) = faults.next() else { return Ok(()) };
        let text = std::iter::once(first.to_string()).chain(faults.map(|fault| fault.to_string()));
        let text = text.collect::<Vec<_>>().join("\n");
        Err(match first {
            Fault::NotFound(_) => Fault::NotFound(text),
            Fault::NotDone(_) => Fault::NotDone(text),
            _ => Fault::Protocol(text),
        })
    }
}

impl Shown for Results {
    fn text(&self) -> String {
        let done = self.results.iter().filter(|(_, result)| result.is_ok());
        done.map(|(ip, _)| format!("{ip}: {}\n", self.done)).collect()
    }

    fn json(&self) -> Value {
        let result = |(ip, result): &(IpAddr, Result<(), Fault>)| {
            let error = result.as_ref().err().map(ToString::to_string);
            json!({ "ip": ip.to_string(), "done": result.is_ok(), "error": error })
        };
        json!({ "results": self.results.iter().map(result).collect::<Vec<_>>() })
    }
}

#[cfg(test)]
mod tests {
    use homing_doveadm::director::Refusal;

    use super::*;

    fn results() -> Results {
        let result = |last: u8, reply| {
            let ip = IpAddr::from([10, 0, 0, last]);
            (ip, outcome(&ip.to_string(), &reply))
        };
        let refused = Reply::Refused(Refusal::TagFixed);
        Results {
            done: "up",
            results: vec![result(1, Reply::Ok), result(2, Reply::NotFound), result(3, refused)],
        }
    }

    #[test]
    fn w32_all_are_told_and_the_first_fault_decides() {
        assert_eq!(results().text(), "10.0.0.1: up\n");
        let json = results().json();
        assert_eq!(json["results"][0], json!({"ip": "10.0.0.1", "done": true, "error": null}));
        assert_eq!(json["results"][1]["error"], "10.0.0.2: doesn't exist");
        let fault = results().first_fault().unwrap_err();
        assert_eq!(fault.status(), 68);
        assert_eq!(fault.to_string(), "10.0.0.2: doesn't exist\n10.0.0.3: host tag can't be changed");
    }

    #[test]
    fn w32_replies_decide_the_exit_status() {
        let status = |reply| outcome("x", &reply).map_err(|fault| fault.status());
        assert_eq!(status(Reply::Ok), Ok(()));
        assert_eq!(status(Reply::NotFound), Err(68));
        assert_eq!(status(Reply::TryAgain), Err(75));
        assert_eq!(status(Reply::Refused(Refusal::RingSyncTimeout)), Err(75));
    }
}
