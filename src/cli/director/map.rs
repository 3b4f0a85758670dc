//! `homing director map`: which user is where. Directors know users by hash only (spec/director.md 10, W34); names come
//! from a file and from the live sessions.

use std::{
    collections::BTreeMap,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use clap::Args;
use homing_doveadm::{
    UserHash,
    director::{Request, Row, UserRow},
    own::{self, Command},
};
use serde_json::{Value, json};

use super::{Connection, hosts, sessions};
use crate::cli::{
    exit::Fault,
    show::{Form, Shown, Table, moment, name},
};

/// Bytes of names in one request: with their escapes they fit a line.
const NAMES_BYTES_MAX: usize = 480;

/// List which user is on which backend
#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:
  homing director map                      every mapping; names of who has a session
  homing director map -f users.txt         names from a file with one on each line, too
  homing director map -f users.txt 10.0.0.11
  homing director map -u alice             her hash
  homing director map -f users.txt -h 2898073819

A mapping expires at the time that is shown unless a session is heard of before. One whose name is not known has - in its place, and null in JSON; names with equal hashes share a mapping and have
a row each. JSON: {\"users\": [{user, hash, ip, expires}]}; for -u and -h {\"users\": [{user, hash}]}."
)]
pub(super) struct Map {
    /// Only the users of this backend
    host: Option<String>,
    /// File with user names, one on each line
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Tell the hash of this user
    #[arg(short, long, value_name = "NAME", conflicts_with_all = ["host", "file", "hash"])]
    user: Option<String>,
    /// Tell the names with this hash
    #[arg(short = 'h', long, value_name = "HASH", conflicts_with = "host")]
    hash: Option<u32>,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

impl Map {
    pub(super) async fn run(self, connection: &mut Connection, form: Form) -> Result<(), Fault> {
        if let Some(user) = self.user {
            let names = Names::of(connection, vec![user.into_bytes()]).await?;
            form.print(&Hashes(names.pairs()));
            return Ok(());
        }
        let mut names = Names::live(connection).await?;
        if let Some(file) = &self.file {
            names.extend(Names::of(connection, users_in(file)?).await?);
        }
        if let Some(hash) = self.hash.map(UserHash) {
            let pairs: Vec<_> = names.pairs().into_iter().filter(|(_, known)| *known == hash).collect();
            if pairs.is_empty() {
                return Err(Fault::NotFound(format!("{hash}: no name with this hash is known")));
            }
            form.print(&Hashes(pairs));
            return Ok(());
        }
        let rows = rows(connection, self.host.as_deref()).await?;
        form.print(&Mappings { names, rows });
        Ok(())
    }
}

fn users_in(file: &Path) -> Result<Vec<Vec<u8>>, Fault> {
    let bytes = fs::read(file).map_err(|error| Fault::Data(format!("{}: {error}", file.display())))?;
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    Ok(lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect())
}

/// Of one backend, or all.
async fn rows(connection: &mut Connection, host: Option<&str>) -> Result<Vec<UserRow>, Fault> {
    let ips: Vec<Option<IpAddr>> = match host {
        Some(host) => hosts::addresses(host).await?.into_iter().map(Some).collect(),
        None => vec![None],
    };
    let mut rows = Vec::new();
    for ip in ips {
        let user = |row| match row {
            Row::User(user) => Some(user),
            _ => None,
        };
        rows.extend(connection.rows(&Request::UserList(ip)).await?.into_iter().filter_map(user));
    }
    Ok(rows)
}

/// Names by what the director knows them by.
#[derive(Default)]
struct Names(BTreeMap<UserHash, Vec<Vec<u8>>>);

impl Names {
    /// Of the live sessions; none with Dovecot's director.
    async fn live(connection: &mut Connection) -> Result<Self, Fault> {
        let mut names = Self::default();
        if connection.knows("X-SESSIONS").await? {
            for session in sessions::live(connection, "*").await? {
                session.hash.into_iter().for_each(|hash| names.add(hash, session.user.clone()));
            }
        }
        Ok(names)
    }

    /// As the director tells.
    async fn of(connection: &mut Connection, users: Vec<Vec<u8>>) -> Result<Self, Fault> {
        let (mut names, mut users) = (Self::default(), users.into_iter().peekable());
        while users.peek().is_some() {
            let (mut some, mut bytes) = (Vec::new(), 0);
            while let Some(user) =
                users.next_if(|user| some.is_empty() || bytes + user.len() < NAMES_BYTES_MAX)
            {
                bytes += user.len() + 1;
                some.push(user);
            }
            for row in connection.own(&Command::Hash(some)).await? {
                if let own::Row::Hash(row) = row {
                    names.add(row.hash, row.user);
                }
            }
        }
        Ok(names)
    }

    fn add(&mut self, hash: UserHash, user: Vec<u8>) {
        let known = self.0.entry(hash).or_default();
        if !known.contains(&user) {
            known.push(user);
        }
    }

    fn extend(&mut self, other: Self) {
        other.pairs().into_iter().for_each(|(user, hash)| self.add(hash, user));
    }

    fn pairs(&self) -> Vec<(Vec<u8>, UserHash)> {
        let pairs = |(hash, users): (&UserHash, &Vec<Vec<u8>>)| {
            let hash = *hash;
            users.clone().into_iter().map(move |user| (user, hash))
        };
        self.0.iter().flat_map(pairs).collect()
    }
}

struct Hashes(Vec<(Vec<u8>, UserHash)>);

impl Shown for Hashes {
    fn text(&self) -> String {
        let mut table = Table::new(&["user", "#hash"]);
        self.0.iter().for_each(|(user, hash)| table.row([name(user), hash.to_string()]));
        table.to_string()
    }

    fn json(&self) -> Value {
        let pair = |(user, hash): &(Vec<u8>, UserHash)| json!({ "user": name(user), "hash": hash.0 });
        json!({ "users": self.0.iter().map(pair).collect::<Vec<_>>() })
    }
}

struct Mappings {
    names: Names,
    rows: Vec<UserRow>,
}

impl Mappings {
    /// A row for each name.
    fn named(&self) -> impl Iterator<Item = (Option<String>, &UserRow)> {
        self.rows.iter().flat_map(|row| {
            let known = self.names.0.get(&row.hash);
            let unknown = known.is_none().then_some((None, row));
            known.into_iter().flatten().map(move |user| (Some(name(user)), row)).chain(unknown)
        })
    }
}

impl Shown for Mappings {
    fn text(&self) -> String {
        let mut table = Table::new(&["user", "#hash", "backend", "expires"]);
        for (user, row) in self.named() {
            let user = user.unwrap_or_else(|| "-".to_owned());
            table.row([user, row.hash.to_string(), row.ip.to_string(), moment(Some(row.expires))]);
        }
        table.to_string()
    }

    fn json(&self) -> Value {
        let mapping = |(user, row): (Option<String>, &UserRow)| json!({ "user": user, "hash": row.hash.0, "ip": row.ip.to_string(), "expires": row.expires });
        json!({ "users": self.named().map(mapping).collect::<Vec<_>>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w34_mappings_have_the_names_that_are_known() {
        let mut names = Names::default();
        names.add(UserHash(7), b"foo".to_vec());
        names.add(UserHash(7), b"FOO".to_vec());
        names.add(UserHash(7), b"foo".to_vec());
        let row = |hash| UserRow { hash: UserHash(hash), expires: 5, ip: [10, 0, 0, 1].into() };
        let mappings = Mappings { names, rows: vec![row(7), row(8)] };
        let json = mappings.json();
        assert_eq!(json["users"][0], json!({"user": "foo", "hash": 7, "ip": "10.0.0.1", "expires": 5}));
        assert_eq!((&json["users"][1]["user"], &json["users"][2]["user"]), (&json!("FOO"), &Value::Null));
        assert_eq!(mappings.text().lines().count(), 4);
        assert!(mappings.text().contains("\n-        8  10.0.0.1"), "{}", mappings.text());
    }
}
