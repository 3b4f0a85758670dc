//! `homing director explain`: why a user is where they are. Changes nothing.

use std::net::IpAddr;

use clap::Args;
use homing_doveadm::own::{Command, CurrentRow, EventRow, HashRow, MovingRow, RingRow, Row, SessionRow};
use serde_json::{Value, json};

use super::{
    Connection,
    sessions::{Sessions, session},
};
use crate::cli::{
    exit::Fault,
    show::{Form, Shown, Table, moment},
};

/// Tell why a user is where they are
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  homing director explain alice
  homing director explain alice --tag eu
  homing director explain alice --json | jq '.events[-1]'

It changes nothing, so alice may be somebody who was never here. JSON: {user, tag, hash, current, moving, hashed, initial,
why, notes, sessions, events}: current null or {ip, since, cause, sessions, expires}, moving null or {to, cause, wait}, sessions
as `homing who` has them, events [{msecs, text}] with the latest last, times in Unix seconds or milliseconds.")]
pub(super) struct Explain {
    /// Name of a user, or the hash that lists show
    user: String,
    /// Tag of the backends among which the user is
    #[arg(short, long, default_value = "")]
    tag: String,
}

impl Explain {
    pub(super) async fn run(self, connection: &mut Connection, form: Form) -> Result<(), Fault> {
        let command = Command::Explain { user: self.user.clone().into(), tag: self.tag.clone().into() };
        let rows = connection.own(&command).await?;
        form.print(&Explanation::of(self.user, self.tag, rows));
        Ok(())
    }
}

struct Explanation {
    user: String,
    tag: String,
    hash: Option<HashRow>,
    current: Option<CurrentRow>,
    moving: Option<MovingRow>,
    ring: Option<RingRow>,
    notes: Vec<String>,
    sessions: Vec<SessionRow>,
    events: Vec<EventRow>,
}

impl Explanation {
    fn of(user: String, tag: String, rows: Vec<Row>) -> Self {
        let (hash, current, moving, ring) = (None, None, None, None);
        let (notes, sessions, events) = (Vec::new(), Vec::new(), Vec::new());
        let mut all = Self { user, tag, hash, current, moving, ring, notes, sessions, events };
        for row in rows {
            match row {
                Row::Hash(row) => all.hash = Some(row),
                Row::Current(row) => all.current = Some(row),
                Row::Moving(row) => all.moving = Some(row),
                Row::Ring(row) => all.ring = Some(row),
                Row::Note(text) => all.notes.push(text),
                Row::Session(row) => all.sessions.push(row),
                Row::Event(row) => all.events.push(row),
                _ => {}
            }
        }
        all
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![("user", self.user.clone())];
        let mut add = |name, text: String| facts.push((name, text));
        self.hash.iter().for_each(|row| add("hash", row.hash.to_string()));
        if !self.tag.is_empty() {
            add("tag", self.tag.clone());
        }
        match &self.current {
            Some(current) => {
                add(
                    "current",
                    format!("{} since {}, {}", current.ip, moment(Some(current.since)), current.cause),
                );
                let until = moment(Some(current.expires));
                match current.sessions {
                    0 => add("sessions", format!("0, forgotten at {until} unless something is heard")),
                    sessions => add("sessions", sessions.to_string()),
                }
            }
            None => add("current", "none".to_owned()),
        }
        if let Some(moving) = &self.moving {
            add("moving", format!("to {}, {}; {}", shown(moving.to), moving.cause, moving.wait));
        }
        if let Some(ring) = &self.ring {
            add("hashed", shown(ring.hashed));
            add("initial", shown(ring.initial));
            add("login", ring.why.clone());
        }
        self.notes.iter().for_each(|note| add("note", note.clone()));
        facts
    }
}

fn shown(ip: Option<IpAddr>) -> String {
    ip.map_or_else(|| "none".to_owned(), |ip| ip.to_string())
}

impl Shown for Explanation {
    fn text(&self) -> String {
        let mut text: String = self
            .facts()
            .iter()
            .map(|(name, fact)| format!("{name:<8}  {}\n", homing_wire::printable(fact.as_bytes())))
            .collect();
        if !self.sessions.is_empty() {
            text += &format!("\n{}", Sessions::table(&self.sessions));
        }
        if !self.events.is_empty() {
            let mut table = Table::new(&["time", "event"]);
            for event in &self.events {
                table.row([moment(Some(event.msecs / 1000)), event.text.clone()]);
            }
            text += &format!("\n{table}");
        }
        text
    }

    fn json(&self) -> Value {
        let maybe = |ip: Option<IpAddr>| ip.map(|ip| ip.to_string());
        let ring = self.ring.as_ref();
        let current = self.current.as_ref().map(|row| {
            json!({
                "ip": row.ip.to_string(), "since": row.since, "cause": row.cause, "sessions": row.sessions,
                "expires": row.expires,
            })
        });
        let moving = self
            .moving
            .as_ref()
            .map(|row| json!({"to": maybe(row.to), "cause": row.cause, "wait": row.wait}));
        let event = |row: &EventRow| json!({ "msecs": row.msecs, "text": row.text });
        json!({
            "user": self.user, "tag": self.tag, "hash": self.hash.as_ref().map(|row| row.hash.0),
            "current": current, "moving": moving, "hashed": ring.and_then(|row| maybe(row.hashed)),
            "initial": ring.and_then(|row| maybe(row.initial)), "why": ring.map(|row| row.why.clone()), "notes": self.notes,
            "sessions": self.sessions.iter().map(session).collect::<Vec<_>>(),
            "events": self.events.iter().map(event).collect::<Vec<_>>(),
        })
    }
}
