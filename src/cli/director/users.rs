//! Commands about users: move and kick.

use clap::Args;
use homing_doveadm::{
    UserHash, UserPattern,
    director::{Request, UserArgument, Waiting},
    own::{Awaited, Command, Row},
};
use serde_json::{Value, json};

use super::{Connection, change::outcome, hosts, plan, wait};
use crate::cli::{
    exit::Fault,
    show::{Form, Shown},
};

/// Move a user to a backend
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  homing director move alice 10.0.0.12          her sessions end, her next login goes there
  homing director move --wait alice 10.0.0.12   and return when the old ones have ended

JSON: {\"user\", \"done\": true, \"waited\"}.")]
pub(super) struct Move {
    /// Name of the user
    user: String,
    /// Address or name with one address
    host: String,
    /// Return when the sessions at the old backend have ended
    #[arg(short, long)]
    wait: bool,
}

/// End the sessions of users
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  homing director kick alice
  homing director kick --dry-run '*@example.com'    how many sessions are there
  homing director kick --wait -f user_group staff   by a user_* field of the auth service

With Homing, * stands for any letters and ? for one. JSON: as for move.")]
pub(super) struct Kick {
    /// Login name, or the value of the field
    user: String,
    /// Take users by a passdb field instead of the login name
    #[arg(short, long, value_name = "NAME")]
    field: Option<String>,
    /// Return when the sessions have ended
    #[arg(short, long, conflicts_with = "dry_run")]
    wait: bool,
    /// Change nothing, tell how many users and sessions it would be
    #[arg(long)]
    dry_run: bool,
}

impl Move {
    pub(super) async fn run(self, connection: &mut Connection, form: Form) -> Result<(), Fault> {
        let ip = hosts::address(&self.host).await?;
        wait::check(connection, self.wait).await?;
        let hash = hash_of(connection, &self.user, self.wait).await?;
        let user = hash.map_or_else(|| UserArgument::named(self.user.as_str()), UserArgument::from);
        let reply = connection.reply(&Request::UserMove { user, host: ip }).await?;
        outcome(&format!("{} to {ip}", self.user), &reply)?;
        if let Some(hash) = hash.filter(|_| self.wait) {
            wait::until_ended(connection, Awaited::Move(hash)).await?;
        }
        let text = format!("{} {} to {ip}", self.user, if self.wait { "moved" } else { "moves" });
        form.print(&Done { user: self.user, waited: self.wait, text });
        Ok(())
    }
}

impl Kick {
    pub(super) async fn run(self, connection: &mut Connection, form: Form) -> Result<(), Fault> {
        let (user, waiting) = (UserPattern::new(self.user.as_str()), Waiting::Allowed);
        let field = self.field.as_ref().map(|field| field.clone().into_bytes());
        let request = match field.clone() {
            None => Request::UserKick { user: user.clone(), waiting },
            Some(field) => Request::UserKickAlt { field, value: user.clone(), waiting },
        };
        if self.dry_run {
            return plan::show(connection, form, vec![plan::of(request)]).await;
        }
        wait::check(connection, self.wait).await?;
        outcome(&self.user, &connection.reply(&request).await?)?;
        if self.wait {
            let what = match field {
                None => Awaited::Sessions(user),
                Some(field) => Awaited::SessionsByField { field, value: user },
            };
            wait::until_ended(connection, what).await?;
        }
        let ended = if self.wait { "no sessions any more" } else { "sessions end, if there are any" };
        form.print(&Done { text: format!("{}: {ended}", self.user), user: self.user, waited: self.wait });
        Ok(())
    }
}

/// What the director knows a user by, if it can tell and that is needed: a name that looks like a number would be taken
/// for a hash (spec/director.md 10, W23).
async fn hash_of(connection: &mut Connection, user: &str, needed: bool) -> Result<Option<UserHash>, Fault> {
    let is_odd = UserArgument::named(user).hash().is_some();
    if !is_odd && !needed {
        return Ok(None);
    }
    let rows = connection.own(&Command::Hash(vec![user.into()])).await.map_err(|fault| match fault {
        Fault::Protocol(_) => Fault::Protocol(format!("{user}: this director takes a number for a hash")),
        other => other,
    })?;
    Ok(rows.into_iter().find_map(|row| match row {
        Row::Hash(row) => Some(row.hash),
        _ => None,
    }))
}

struct Done {
    user: String,
    waited: bool,
    text: String,
}

impl Shown for Done {
    fn text(&self) -> String {
        format!("{}\n", self.text)
    }

    fn json(&self) -> Value {
        json!({ "user": self.user, "done": true, "waited": self.waited })
    }
}
