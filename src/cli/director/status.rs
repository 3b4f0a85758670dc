//! `homing director status`: the backends, or where one user is.

use clap::Args;
use homing_doveadm::{
    director::{HostRow, Request, Row, UserArgument, UserPlace},
    own,
};
use serde_json::{Value, json};

use super::Connection;
use crate::cli::{
    exit::Fault,
    show::{Form, Shown, Table, moment, name},
};

const EXAMPLES: &str = "Examples:
  homing director status                 all backends
  homing director status alice           where alice is, and would be
  homing director status alice --tag eu  the same among the backends with the tag eu
  homing director status --long          with sessions, who took it down, and what is leaving
  homing director status --json | jq '.backends[] | select(.state == \"down\")'

JSON: {\"backends\": [{ip, tag, vhosts, state, state_changed, users}]} with state \"up\" or \"down\" and state_changed in
Unix seconds or null, and for --long also hostname, changed_by, sessions, leaving, draining; for a user {user, tag,
current, hashed, initial} with current {ip, expires} or null.";

/// Show the backends, or where a user is
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Status {
    /// Name of a user, or the hash that lists show
    user: Option<String>,
    /// Tag of the backends among which the user is
    #[arg(short, long, default_value = "", requires = "user")]
    tag: String,
    /// Tell more of the backends, as far as Homing's director knows it
    #[arg(short, long, conflicts_with = "user")]
    long: bool,
}

impl Status {
    pub(super) async fn run(self, connection: &mut Connection, form: Form) -> Result<(), Fault> {
        let Some(user) = self.user else {
            if self.long {
                form.print(&Long(long_rows(connection).await?));
                return Ok(());
            }
            form.print(&Backends(host_rows(connection).await?));
            return Ok(());
        };
        let request =
            Request::UserLookup { user: UserArgument::named(user.as_str()), tag: self.tag.clone().into() };
        let place = connection.user_place(&request).await?;
        form.print(&OfUser { user, tag: self.tag, place });
        Ok(())
    }
}

/// The backends as the director lists them.
async fn host_rows(connection: &mut Connection) -> Result<Vec<HostRow>, Fault> {
    let host = |row| match row {
        Row::Host(host) => Some(host),
        _ => None,
    };
    Ok(connection.rows(&Request::HostList).await?.into_iter().filter_map(host).collect())
}

struct Backends(Vec<HostRow>);

impl Shown for Backends {
    fn text(&self) -> String {
        let mut table = Table::new(&["backend", "tag", "#vhosts", "state", "changed", "#users"]);
        for row in &self.0 {
            let (vhosts, users) = (row.vhosts.to_string(), row.users.to_string());
            let changed = moment(Some(row.changed));
            table.row([row.ip.to_string(), name(&row.tag), vhosts, word(row.up).to_owned(), changed, users]);
        }
        table.to_string()
    }

    fn json(&self) -> Value {
        let backend = |row: &HostRow| {
            json!({
                "ip": row.ip.to_string(), "tag": name(&row.tag), "vhosts": row.vhosts, "state": word(row.up),
                "state_changed": (row.changed > 0).then_some(row.changed), "users": row.users,
            })
        };
        json!({ "backends": self.0.iter().map(backend).collect::<Vec<_>>() })
    }
}

/// With what the reference's words do not tell.
async fn long_rows(connection: &mut Connection) -> Result<Vec<own::HostRow>, Fault> {
    let host = |row| match row {
        own::Row::Host(host) => Some(host),
        _ => None,
    };
    Ok(connection.own(&own::Command::Hosts).await?.into_iter().filter_map(host).collect())
}

struct Long(Vec<own::HostRow>);

fn word(up: bool) -> &'static str {
    if up { "up" } else { "down" }
}

impl Shown for Long {
    fn text(&self) -> String {
        let mut table = Table::new(&[
            "backend",
            "name",
            "tag",
            "#vhosts",
            "state",
            "changed",
            "by",
            "#users",
            "#sessions",
            "doing",
        ]);
        for row in &self.0 {
            let doing = match (row.leaving, row.draining) {
                (true, _) => "leaving",
                (false, true) => "draining",
                _ => "",
            };
            table.row([
                row.ip.to_string(),
                row.hostname.clone().unwrap_or_default(),
                name(&row.tag),
                row.vhosts.to_string(),
                word(row.up).to_owned(),
                moment(row.changed),
                row.changed_by.clone().unwrap_or_default(),
                row.users.to_string(),
                row.sessions.to_string(),
                doing.to_owned(),
            ]);
        }
        table.to_string()
    }

    fn json(&self) -> Value {
        let backend = |row: &own::HostRow| {
            json!({
                "ip": row.ip.to_string(), "hostname": row.hostname, "tag": name(&row.tag), "vhosts": row.vhosts,
                "state": word(row.up), "state_changed": row.changed, "changed_by": row.changed_by,
                "users": row.users, "sessions": row.sessions, "leaving": row.leaving, "draining": row.draining,
            })
        };
        json!({ "backends": self.0.iter().map(backend).collect::<Vec<_>>() })
    }
}

struct OfUser {
    user: String,
    tag: String,
    place: UserPlace,
}

impl Shown for OfUser {
    fn text(&self) -> String {
        let shown = |ip: Option<std::net::IpAddr>| ip.map_or_else(|| "none".to_owned(), |ip| ip.to_string());
        let current = match self.place.current {
            Some((ip, expires)) => format!("{ip} (until {} without a session)", moment(Some(expires))),
            None => "none".to_owned(),
        };
        format!(
            "current  {current}\nhashed   {}\ninitial  {}\n",
            shown(self.place.hashed),
            shown(self.place.initial)
        )
    }

    fn json(&self) -> Value {
        let shown = |ip: Option<std::net::IpAddr>| ip.map(|ip| ip.to_string());
        let current =
            self.place.current.map(|(ip, expires)| json!({"ip": ip.to_string(), "expires": expires}));
        json!({
            "user": self.user, "tag": self.tag, "current": current,
            "hashed": shown(self.place.hashed), "initial": shown(self.place.initial),
        })
    }
}
