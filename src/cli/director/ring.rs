//! `homing director ring`.

use clap::{Args, Subcommand};
use homing_doveadm::director::{DirectorRow, Request, Row};
use serde_json::{Value, json};

use super::Connection;
use crate::cli::{
    exit::Fault,
    show::{Form, Shown, Table, moment},
};

/// Show the ring of directors
#[derive(Debug, Args)]
pub(super) struct Ring {
    #[command(subcommand)]
    command: RingCommand,
}

#[derive(Debug, Subcommand)]
enum RingCommand {
    /// Show the directors and how they are connected
    #[command(after_help = "Example:
  homing director ring status --json | jq '.directors[].status'

JSON: {\"directors\": [{ip, port, type, last_failed, status, ping_msecs, bytes_in, bytes_out, last_read, last_write}]},
what is not known null, times in Unix seconds.")]
    Status,
}

impl Ring {
    pub(super) async fn run(self, connection: &mut Connection, form: Form) -> Result<(), Fault> {
        let RingCommand::Status = self.command;
        let director = |row| match row {
            Row::Director(director) => Some(director),
            _ => None,
        };
        let rows = connection.rows(&Request::DirectorList).await?;
        form.print(&Directors(rows.into_iter().filter_map(director).collect()));
        Ok(())
    }
}

struct Directors(Vec<DirectorRow>);

impl Shown for Directors {
    fn text(&self) -> String {
        let mut table =
            Table::new(&["director", "#port", "type", "last failed", "status", "#ping ms", "#in", "#out"]);
        for row in &self.0 {
            let member = row.member.as_ref();
            let maybe = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
            table.row([
                member.map_or_else(|| "?".to_owned(), |member| member.ip.to_string()),
                maybe(member.map(|member| member.port.into())),
                member.map_or("?", |member| member.link.word()).to_owned(),
                moment(member.map(|member| member.last_failed)),
                row.status.to_string(),
                maybe(row.ping_msecs.map(u64::from)),
                maybe(row.traffic.map(|traffic| traffic.bytes_in)),
                maybe(row.traffic.map(|traffic| traffic.bytes_out)),
            ]);
        }
        table.to_string()
    }

    fn json(&self) -> Value {
        let time = |secs: u64| (secs > 0).then_some(secs);
        let director = |row: &DirectorRow| {
            let (member, traffic) = (row.member.as_ref(), row.traffic.as_ref());
            json!({
                "ip": member.map(|member| member.ip.to_string()), "port": member.map(|member| member.port),
                "type": member.map(|member| member.link.word()),
                "last_failed": member.and_then(|member| time(member.last_failed)),
                "status": row.status.to_string(), "ping_msecs": row.ping_msecs,
                "bytes_in": traffic.map(|traffic| traffic.bytes_in),
                "bytes_out": traffic.map(|traffic| traffic.bytes_out),
                "last_read": traffic.and_then(|traffic| time(traffic.last_read)),
                "last_write": traffic.and_then(|traffic| time(traffic.last_write)),
            })
        };
        json!({ "directors": self.0.iter().map(director).collect::<Vec<_>>() })
    }
}
