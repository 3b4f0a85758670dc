//! `homing proxy` and `homing kick`: sessions by way of the ipc socket, which Dovecot's login processes have, too.

use clap::{Args, Subcommand};
use homing_doveadm::{
    UserPattern,
    ipc::{Answer, Client, ClientEvent, Command, SessionRow},
};
use serde_json::{Value, json};

use super::{
    exit::{EXIT_HELP, Fault},
    link::Link,
    place::{Asking, Place},
    show::{Shown, Table, count, name},
};
use crate::config::settings::AdminProtocol;

/// Show the sessions as login processes know them
#[derive(Debug, Args)]
#[command(after_help = EXIT_HELP)]
pub(super) struct Proxy {
    #[command(flatten)]
    asking: Asking,
    #[command(subcommand)]
    command: ProxyCommand,
}

#[derive(Debug, Subcommand)]
enum ProxyCommand {
    /// List the sessions with their user_* fields
    #[command(after_help = "Examples:
  homing proxy list
  homing proxy list --json | jq -r '.sessions[] | select(.backend_ip == \"10.0.0.11\") | .user'

It asks the ipc socket. JSON: {\"sessions\": [{user, fields, service, client_ip, backend_ip, backend_port}]}, fields an
object with the user_* fields.")]
    List,
}

/// End the sessions of users
#[derive(Debug, Args)]
#[command(after_help = format!("Examples:
  homing kick alice
  homing kick --dry-run '*@example.com'   how many sessions it would be

It asks the ipc socket; `homing director kick` can also wait for the end. JSON: {{\"kicked\": n}}, or {{\"dry_run\": true,
\"users\": n, \"sessions\": n}}.\n\n{EXIT_HELP}"))]
pub(super) struct Kick {
    /// Login name; * stands for any letters, ? for one
    pattern: String,
    /// End nothing, tell how many sessions it would be
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    asking: Asking,
}

impl Proxy {
    /// Does what the command line says.
    pub(super) async fn run(self) -> Result<(), Fault> {
        let ProxyCommand::List = self.command;
        let list = list(&self.asking.place(AdminProtocol::Ipc)?).await?;
        self.asking.form().print(&list);
        Ok(())
    }
}

impl Kick {
    /// Does what the command line says.
    pub(super) async fn run(self) -> Result<(), Fault> {
        let (place, form) = (self.asking.place(AdminProtocol::Ipc)?, self.asking.form());
        let pattern = UserPattern::new(self.pattern.as_str());
        if self.dry_run {
            form.print(&Meant::of(&list(&place).await?, &pattern));
            return Ok(());
        }
        let told = ask(&place, &Command::Kick(vec![pattern])).await?;
        form.print(&Kicked(told.count));
        Ok(())
    }
}

async fn list(place: &Place) -> Result<List, Fault> {
    ask(place, &Command::ListFull).await
}

/// The sessions, each with the names of its fields: login processes of Dovecot may name different ones (spec/director.md
/// 10, W25).
#[derive(Default)]
struct List {
    sessions: Vec<(Vec<Vec<u8>>, SessionRow)>,
    count: u64,
}

async fn ask(place: &Place, command: &Command) -> Result<List, Fault> {
    let (mut link, mut client) = (Link::open(place).await?, Client::default());
    client.ask(command).map_err(|refused| Fault::Usage(refused.to_string()))?;
    link.send(client.poll_transmit()).await?;
    let (mut list, mut names) = (List::default(), Vec::new());
    loop {
        while let Some(event) = client.poll_event() {
            match event {
                ClientEvent::Header(header) => names = header,
                ClientEvent::Session(row) => list.sessions.push((names.clone(), row)),
                ClientEvent::Answer(Answer::Refused(refusal)) => {
                    return Err(Fault::NotDone(format!("{place}: {refusal}")));
                }
                ClientEvent::Answer(answer) => {
                    list.count = if let Answer::Count(count) = answer { count } else { 0 };
                    return Ok(list);
                }
                ClientEvent::Close(error) => return Err(Fault::Protocol(format!("{place}: {error}"))),
            }
        }
        let bytes = link.receive(client.room(), Some(super::link::ANSWER_TIME)).await?;
        if bytes.is_empty() {
            return Err(Fault::Unreachable(format!("{place}: the connection was closed before the answer")));
        }
        client.received(bytes);
    }
}

impl List {
    /// Every field that some session has.
    fn fields(&self) -> Vec<Vec<u8>> {
        let mut fields: Vec<_> = self.sessions.iter().flat_map(|(names, _)| names.clone()).collect();
        fields.sort();
        fields.dedup();
        fields
    }
}

fn field<'a>(names: &[Vec<u8>], row: &'a SessionRow, field: &[u8]) -> Option<&'a [u8]> {
    let at = names.iter().position(|name| name == field)?;
    row.alternatives.get(at).map(Vec::as_slice)
}

impl Shown for List {
    fn text(&self) -> String {
        let fields = self.fields();
        let mut table = Table::new(&["user", "service", "client", "backend", "#port"]);
        fields.iter().for_each(|field| table.column(name(field)));
        for (names, row) in &self.sessions {
            let client = row.source.map_or_else(|| "-".to_owned(), |ip| ip.to_string());
            let (backend, port) = (row.backend.ip().to_string(), row.backend.port().to_string());
            let fixed = [name(&row.user), name(&row.service), client, backend, port];
            let more = fields.iter().map(|wanted| name(field(names, row, wanted).unwrap_or_default()));
            table.row(fixed.into_iter().chain(more));
        }
        table.to_string()
    }

    fn json(&self) -> Value {
        let session = |(names, row): &(Vec<Vec<u8>>, SessionRow)| {
            let fields: serde_json::Map<_, _> = names
                .iter()
                .map(|wanted| (name(wanted), name(field(names, row, wanted).unwrap_or_default()).into()))
                .collect();
            json!({
                "user": name(&row.user), "fields": fields, "service": name(&row.service),
                "client_ip": row.source.map(|ip| ip.to_string()), "backend_ip": row.backend.ip().to_string(),
                "backend_port": row.backend.port(),
            })
        };
        json!({ "sessions": self.sessions.iter().map(session).collect::<Vec<_>>() })
    }
}

struct Kicked(u64);

impl Shown for Kicked {
    fn text(&self) -> String {
        format!("{} told to end\n", count(self.0, "session"))
    }

    fn json(&self) -> Value {
        json!({ "kicked": self.0 })
    }
}

/// Whom a kick would meet.
struct Meant {
    users: u64,
    sessions: u64,
}

impl Meant {
    fn of(list: &List, pattern: &UserPattern) -> Self {
        let meant = list.sessions.iter().map(|(_, row)| &row.user).filter(|user| pattern.matches(user));
        let mut users: Vec<_> = meant.collect();
        let sessions = users.len() as u64;
        users.sort();
        users.dedup();
        Self { users: users.len() as u64, sessions }
    }
}

impl Shown for Meant {
    fn text(&self) -> String {
        let (users, sessions) = (count(self.users, "user"), count(self.sessions, "session"));
        format!("nothing was changed; it would be {sessions} of {users}\n")
    }

    fn json(&self) -> Value {
        json!({ "dry_run": true, "users": self.users, "sessions": self.sessions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(user: &str, alternatives: &[&str]) -> SessionRow {
        SessionRow {
            user: user.into(),
            alternatives: alternatives.iter().map(|value| value.as_bytes().to_vec()).collect(),
            service: b"imap".to_vec(),
            source: None,
            backend: "10.0.0.1:143".parse().unwrap(),
        }
    }

    #[test]
    fn w25_processes_may_name_different_fields() {
        let one = (vec![b"user_b".to_vec()], session("foo", &["x"]));
        let other = (vec![b"user_a".to_vec(), b"user_b".to_vec()], session("bar", &["y", "z"]));
        let list = List { sessions: vec![one, other], count: 0 };
        let text = "user  service  client  backend   port  user_a  user_b\n\
                    foo   imap     -       10.0.0.1   143  -       x\n\
                    bar   imap     -       10.0.0.1   143  y       z\n";
        assert_eq!(list.text(), text);
        assert_eq!(list.json()["sessions"][1]["fields"], json!({"user_a": "y", "user_b": "z"}));
    }

    #[test]
    fn w24_a_dry_run_counts_as_a_kick_does() {
        let sessions = ["foo", "FOO", "food", "bar"].map(|user| (Vec::new(), session(user, &[])));
        let list = List { sessions: sessions.into(), count: 0 };
        let meant = |pattern| Meant::of(&list, &UserPattern::new(pattern));
        assert_eq!((meant("foo").users, meant("foo").sessions), (2, 2));
        assert_eq!(meant("f*").sessions, 3);
        assert_eq!(meant("x").text(), "nothing was changed; it would be 0 sessions of 0 users\n");
    }
}
