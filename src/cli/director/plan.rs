//! `--dry-run`: what a command would do to users, told by the director that would do it.

use std::net::IpAddr;

use homing_doveadm::{
    director::Request,
    own::{Command, PlanEffect, PlanRow, Planned, Row},
};
use serde_json::{Value, json};

use super::Connection;
use crate::cli::{
    exit::Fault,
    show::{Form, Shown, Table, count},
};

/// Of a request of the reference.
pub(super) fn of(request: Request) -> Planned {
    Planned::Request(Box::new(request))
}

/// Asks for each and prints all of it.
pub(super) async fn show(
    connection: &mut Connection,
    form: Form,
    planned: Vec<Planned>,
) -> Result<(), Fault> {
    let mut rows = Vec::new();
    for planned in planned {
        let answer = connection.own(&Command::Plan(planned)).await?;
        rows.extend(answer.into_iter().filter_map(|row| match row {
            Row::Plan(row) => Some(row),
            _ => None,
        }));
    }
    form.print(&Plan(rows));
    Ok(())
}

struct Plan(Vec<PlanRow>);

/// Users and sessions.
#[derive(Default)]
struct Count(u64, u64);

impl Plan {
    fn sum(&self, is_meant: impl Fn(PlanEffect) -> bool) -> Count {
        let rows = self.0.iter().filter(|row| is_meant(row.effect));
        rows.fold(Count::default(), |sum, row| {
            Count(sum.0.saturating_add(row.users), sum.1.saturating_add(row.sessions))
        })
    }

    /// What is to be said of those who notice nothing yet.
    fn others(&self) -> String {
        let mut words = String::new();
        for (meant, what) in [
            (PlanEffect::Later, "elsewhere once their sessions and mappings have ended"),
            (PlanEffect::Blocked, "kept since there is no other backend"),
        ] {
            let Count(users, _) = self.sum(|effect| effect == meant);
            if users > 0 {
                words.push_str(&format!("; {} {what}", count(users, "user")));
            }
        }
        words
    }

    /// Those who notice something.
    fn affected(&self) -> Count {
        self.sum(|effect| matches!(effect, PlanEffect::Moved | PlanEffect::Kicked))
    }
}

fn shown(ip: Option<IpAddr>) -> Option<String> {
    ip.map(|ip| ip.to_string())
}

impl Shown for Plan {
    fn text(&self) -> String {
        let mut table = Table::new(&["effect", "from", "to", "#users", "#sessions"]);
        for row in self.0.iter().filter(|row| row.users > 0) {
            let cell = |ip| shown(ip).unwrap_or_else(|| "-".to_owned());
            let (users, sessions) = (row.users.to_string(), row.sessions.to_string());
            table.row([row.effect.word().to_owned(), cell(row.from), cell(row.to), users, sessions]);
        }
        let Count(users, sessions) = self.affected();
        let table = if table.is_empty() { String::new() } else { table.to_string() };
        let (users, sessions) = (count(users, "user"), count(sessions, "session"));
        format!("{table}nothing was changed; it would be {users} with {sessions} to end{}\n", self.others())
    }

    fn json(&self) -> Value {
        let row = |row: &PlanRow| {
            json!({
                "effect": row.effect.word(), "from": shown(row.from), "to": shown(row.to),
                "users": row.users, "sessions": row.sessions,
            })
        };
        let Count(users, sessions) = self.affected();
        json!({
            "dry_run": true, "users": users, "sessions": sessions,
            "rows": self.0.iter().map(row).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_summed_up() {
        let row = |effect, to: Option<&str>, users| PlanRow {
            effect,
            from: "10.0.0.1".parse().ok(),
            to: to.and_then(|to| to.parse().ok()),
            users,
            sessions: users + 1,
        };
        let rows = vec![
            row(PlanEffect::Moved, Some("10.0.0.2"), 5),
            row(PlanEffect::Kicked, None, 2),
            row(PlanEffect::Later, Some("10.0.0.2"), 9),
            row(PlanEffect::Kept, None, 0),
        ];
        let text = "effect  from      to        users  sessions\n\
                    moved   10.0.0.1  10.0.0.2      5         6\n\
                    kicked  10.0.0.1  -             2         3\n\
                    later   10.0.0.1  10.0.0.2      9        10\n\
                    nothing was changed; it would be 7 users with 9 sessions to end; \
                    9 users elsewhere once their sessions and mappings have ended\n";
        let plan = Plan(rows);
        assert_eq!(plan.text(), text);
        let json = plan.json();
        assert_eq!((&json["users"], &json["rows"][1]["to"]), (&json!(7), &Value::Null));
        assert!(Plan(Vec::new()).text().starts_with("nothing was changed; it would be 0 users"));
    }
}
