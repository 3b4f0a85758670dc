//! `homing director flush`.

use std::num::NonZeroU32;

use clap::Args;
use homing_doveadm::{
    director::{Request, Scope},
    own::Awaited,
};
use serde_json::{Value, json};

use super::{Connection, change::outcome, hosts, plan, wait};
use crate::cli::{
    exit::Fault,
    show::{Form, Shown},
};

/// Move the users of a backend to where they belong
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  homing director flush --dry-run 10.0.0.11   who would move where
  homing director flush 10.0.0.11             returns when all users were looked at
  homing director flush --wait all            returns when the last one has moved
  homing director flush -F 10.0.0.11          forgets instead of moving; nobody is kicked

Users whose hash says so stay on a backend that takes users; drain empties one. JSON: {\"flushed\": [ip or \"all\"],
\"waited\"}.")]
pub(super) struct Flush {
    /// Address or name, or the word all
    #[arg(value_name = "HOST|all")]
    host: String,
    /// Forget the users without kicking anybody
    #[arg(short = 'F', long)]
    force: bool,
    /// Users that are moved at one time
    #[arg(long, value_name = "N", conflicts_with = "force")]
    max_parallel: Option<NonZeroU32>,
    /// Return when the last user has moved
    #[arg(short, long, conflicts_with_all = ["dry_run", "force"])]
    wait: bool,
    /// Change nothing, tell who would move where
    #[arg(long)]
    dry_run: bool,
}

impl Flush {
    pub(super) async fn run(self, connection: &mut Connection, form: Form) -> Result<(), Fault> {
        let scopes = match self.host.as_str() {
            "all" => vec![Scope::All],
            host => hosts::addresses(host).await?.into_iter().map(Scope::Host).collect(),
        };
        let request = |scope| match self.force {
            true => Request::HostFlush(scope),
            false => Request::HostResetUsers { scope, max_parallel: self.max_parallel },
        };
        if self.dry_run {
            let planned = scopes.into_iter().map(|scope| plan::of(request(scope))).collect();
            return plan::show(connection, form, planned).await;
        }
        wait::check(connection, self.wait).await?;
        let mut flushed = Flushed { scopes: Vec::new(), waited: self.wait };
        for scope in scopes {
            outcome(&shown(scope), &connection.reply(&request(scope)).await?)?;
            if self.wait {
                wait::until_ended(connection, Awaited::Flush(scope)).await?;
            }
            flushed.scopes.push(scope);
        }
        form.print(&flushed);
        Ok(())
    }
}

fn shown(scope: Scope) -> String {
    scope.host().map_or_else(|| "all".to_owned(), |ip| ip.to_string())
}

struct Flushed {
    scopes: Vec<Scope>,
    waited: bool,
}

impl Shown for Flushed {
    fn text(&self) -> String {
        let words = if self.waited { "flushed, and nobody is moving any more" } else { "flushed" };
        self.scopes.iter().map(|scope| format!("{}: {words}\n", shown(*scope))).collect()
    }

    fn json(&self) -> Value {
        let scopes: Vec<_> = self.scopes.iter().map(|scope| shown(*scope)).collect();
        json!({ "flushed": scopes, "waited": self.waited })
    }
}
