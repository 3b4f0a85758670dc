//! `homing who`: the live sessions, as the director's program knows them.

use clap::Args;
use homing_doveadm::{
    UserPattern,
    own::{Command, Row, SessionRow},
};
use serde_json::{Value, json};

use super::Connection;
use crate::{
    cli::{
        exit::{EXIT_HELP, Fault},
        place::Asking,
        show::{Shown, Table, moment, name},
    },
    config::settings::AdminProtocol,
};

/// Show who is connected
#[derive(Debug, Args)]
#[command(after_help = format!("Examples:
  homing who
  homing who '*@example.com'
  homing who --json | jq '.sessions | length'

It asks the director's socket, which `homing director` asks, too. JSON: {{\"sessions\": [{{user, hash, service, client,
backend, hostname, since}}]}}, addresses with ports, since in Unix seconds, what is not known null.
Sessions of Dovecot's own login processes are among them; those do not tell the client's port, and since when.\n\n{EXIT_HELP}"))]
pub(in crate::cli) struct Who {
    /// Login name; * stands for any letters, ? for one
    #[arg(default_value = "*")]
    pattern: String,
    #[command(flatten)]
    asking: Asking,
}

impl Who {
    /// Prints the list.
    pub(in crate::cli) async fn run(self) -> Result<(), Fault> {
        let (place, form) = (self.asking.place(AdminProtocol::Director)?, self.asking.form());
        let connection = &mut Connection::open(&place).await?;
        form.print(&Sessions(live(connection, &self.pattern).await?));
        Ok(())
    }
}

/// The sessions of users by login name.
pub(super) async fn live(connection: &mut Connection, pattern: &str) -> Result<Vec<SessionRow>, Fault> {
    let rows = connection.own(&Command::Sessions(UserPattern::new(pattern))).await?;
    let session = |row| match row {
        Row::Session(session) => Some(session),
        _ => None,
    };
    Ok(rows.into_iter().filter_map(session).collect())
}

/// A list of sessions.
pub(super) struct Sessions(pub(super) Vec<SessionRow>);

impl Shown for Sessions {
    fn text(&self) -> String {
        let mut table = Table::new(&["user", "service", "client", "backend", "since"]);
        for row in &self.0 {
            let backend = match (&row.hostname, row.backend) {
                (Some(name), Some(backend)) => format!("{backend} ({name})"),
                (None, Some(backend)) => backend.to_string(),
                _ => "-".to_owned(),
            };
            let client = row.client_address().unwrap_or_default();
            table.row([name(&row.user), row.service.clone(), client, backend, moment(row.since)]);
        }
        table.to_string()
    }

    fn json(&self) -> Value {
        json!({ "sessions": self.0.iter().map(session).collect::<Vec<_>>() })
    }
}

/// One session as JSON.
pub(super) fn session(row: &SessionRow) -> Value {
    json!({
        "user": name(&row.user), "hash": row.hash.map(|hash| hash.0), "service": row.service,
        "client": row.client_address(), "backend": row.backend.map(|backend| backend.to_string()),
        "hostname": row.hostname, "since": row.since,
    })
}

impl Sessions {
    /// Form of a list within something else.
    pub(super) fn table(rows: &[SessionRow]) -> String {
        Self(rows.to_vec()).text()
    }
}
