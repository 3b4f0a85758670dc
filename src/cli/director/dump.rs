//! `homing director dump`: the whole state of a director as text, for `load`, for people and for diff. Dovecot's director
//! can be asked, too; it knows less.

use std::{
    fs::{OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use clap::Args;
use homing_doveadm::{
    director::{Request, Row},
    own::{self, Command, StateHostRow, StateUserRow},
};
use homing_wire::tab;
use serde_json::{Value, json};

use super::Connection;
use crate::cli::{
    exit::Fault,
    show::{Form, Shown, name},
};

/// The first line of a dump.
pub(super) const HEADER: &str = "homing-director-dump\t1";

/// Permissions of a file.
const MODE: u32 = 0o600;

/// Write the whole state down as text
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  homing director dump                                     to standard output
  homing director dump /var/backups/director.dump
  homing director dump -a /run/dovecot/director-admin      of Dovecot's director

Lines of fields with tabs between them: backends by address, then users by hash. What a user's line has behind the
address is for people, but for `to`, the target of a move under way. JSON: {\"hosts\": [{ip, hostname, tag, vhosts, up,
changed, by, removed}], \"users\": [{hash, ip, expires, since, why, to}]}.")]
pub(super) struct Dump {
    /// File to write to, only readable for its owner; one that is there is replaced
    file: Option<PathBuf>,
}

impl Dump {
    pub(super) async fn run(self, connection: &mut Connection, form: Form) -> Result<(), Fault> {
        let state = State::of(connection).await?;
        let Some(file) = self.file else {
            form.print(&state);
            return Ok(());
        };
        let text = match form {
            Form::Text => state.text(),
            Form::Json => format!("{}\n", state.json()),
        };
        write(&file, &text).map_err(|error| Fault::NotDone(format!("{}: {error}", file.display())))
    }
}

/// Only for the owner, also where a file was there before: who uses mail, and when, is nobody else's business.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path)?;
    if file.metadata()?.is_file() {
        file.set_permissions(Permissions::from_mode(MODE))?;
    }
    file.write_all(text.as_bytes())
}

/// Everything.
struct State {
    hosts: Vec<StateHostRow>,
    users: Vec<StateUserRow>,
}

impl State {
    async fn of(connection: &mut Connection) -> Result<Self, Fault> {
        let mut state = Self { hosts: Vec::new(), users: Vec::new() };
        if connection.knows(Command::Dump.word()).await? {
            for row in connection.own(&Command::Dump).await? {
                match row {
                    own::Row::StateHost(host) => state.hosts.push(host),
                    own::Row::StateUser(user) => state.users.push(user),
                    _ => {}
                }
            }
        } else {
            for request in [Request::HostList, Request::HostListRemoved, Request::UserList(None)] {
                connection.rows(&request).await?.into_iter().for_each(|row| state.add(row));
            }
        }
        state.hosts.sort_by_key(|host| (host.removed, host.ip));
        state.users.sort_by_key(|user| (user.user, user.ip));
        Ok(state)
    }

    /// What Dovecot's director tells.
    fn add(&mut self, row: Row) {
        match row {
            Row::Host(row) => self.hosts.push(StateHostRow {
                ip: row.ip,
                hostname: None,
                tag: row.tag,
                vhosts: row.vhosts,
                up: row.up,
                changed: (row.changed > 0).then_some((row.changed, "unknown".to_owned())),
                removed: false,
            }),
            Row::RemovedHost(ip) => self.hosts.push(StateHostRow {
                ip,
                hostname: None,
                tag: Vec::new(),
                vhosts: 100,
                up: true,
                changed: None,
                removed: true,
            }),
            Row::User(row) => self.users.push(StateUserRow {
                user: row.hash,
                ip: row.ip,
                expires: Some(row.expires),
                since: 0,
                why: "unknown".to_owned(),
                moving_to: None,
            }),
            Row::Director(_) | Row::Own(_) => {}
        }
    }
}

impl Shown for State {
    fn text(&self) -> String {
        let hosts = self.hosts.iter().map(host_line);
        let lines = hosts.chain(self.users.iter().map(user_line));
        let lines: String = lines.map(|fields| line(&fields)).collect();
        format!("{HEADER}\n{lines}")
    }

    fn json(&self) -> Value {
        let host = |host: &StateHostRow| {
            let (changed, by) = host.changed.clone().unzip();
            json!({
                "ip": host.ip.to_string(), "hostname": host.hostname, "tag": name(&host.tag), "vhosts": host.vhosts,
                "up": host.up, "changed": changed, "by": by, "removed": host.removed,
            })
        };
        let user = |user: &StateUserRow| {
            json!({
                "hash": user.user.0, "ip": user.ip.to_string(), "expires": user.expires, "since": user.since,
                "why": user.why, "to": user.moving_to.map(|ip| ip.to_string()),
            })
        };
        let hosts: Vec<_> = self.hosts.iter().map(host).collect();
        json!({ "hosts": hosts, "users": self.users.iter().map(user).collect::<Vec<_>>() })
    }
}

fn line(fields: &[Vec<u8>]) -> String {
    // Tags may be any bytes; whoever has such ones loads them as replacement characters, and is told so by `load`.
    let line = tab::join(fields.iter().map(Vec::as_slice));
    format!("{}\n", String::from_utf8_lossy(&line))
}

fn host_line(host: &StateHostRow) -> Vec<Vec<u8>> {
    if host.removed {
        return vec![b"removed".to_vec(), shown(host.ip)];
    }
    let state = if host.up { "up" } else { "down" };
    let mut fields = vec![b"host".to_vec(), shown(host.ip), shown(host.vhosts), shown(state)];
    if !host.tag.is_empty() {
        fields.push([b"tag=", host.tag.as_slice()].concat());
    }
    fields.extend(host.hostname.iter().map(|name| shown(format_args!("name={name}"))));
    if let Some((when, who)) = &host.changed {
        fields.extend([shown(format_args!("changed={when}")), shown(format_args!("by={who}"))]);
    }
    fields
}

fn user_line(user: &StateUserRow) -> Vec<Vec<u8>> {
    let mut fields = vec![b"user".to_vec(), shown(user.user), shown(user.ip)];
    fields.extend(user.moving_to.map(|ip| shown(format_args!("to={ip}"))));
    fields.extend(user.expires.map(|when| shown(format_args!("expires={when}"))));
    if user.since > 0 {
        fields.push(shown(format_args!("since={}", user.since)));
    }
    fields.push(shown(format_args!("why={}", user.why)));
    fields
}

fn shown(value: impl std::fmt::Display) -> Vec<u8> {
    value.to_string().into_bytes()
}

#[cfg(test)]
pub(super) mod tests {
    use homing_doveadm::UserHash;

    use super::*;

    /// A dump with everything in it.
    pub(in crate::cli::director) fn sample() -> String {
        let host = |last, removed| StateHostRow {
            ip: [10, 0, 0, last].into(),
            hostname: Some("be.test".to_owned()),
            tag: b"e\tu".to_vec(),
            vhosts: 50,
            up: false,
            changed: Some((7, "health check".to_owned())),
            removed,
        };
        let user = |hash, moving_to| StateUserRow {
            user: UserHash(hash),
            ip: [10, 0, 0, 1].into(),
            expires: Some(9),
            since: 8,
            why: "moved by operator".to_owned(),
            moving_to,
        };
        let plain = StateHostRow { tag: Vec::new(), hostname: None, changed: None, ..host(1, false) };
        let users = vec![user(5, Some([10, 0, 0, 2].into())), user(6, None)];
        State { hosts: vec![plain, host(2, false), host(3, true)], users }.text()
    }

    #[test]
    fn a_file_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dump");
        std::fs::write(&path, "something longer, for everybody").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        for path in [path, folder.path().join("new")] {
            write(&path, "text").unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        }
    }

    #[test]
    fn the_words_of_a_dump_stay() {
        assert_eq!(
            sample(),
            "homing-director-dump\t1\nhost\t10.0.0.1\t50\tdown\n\
             host\t10.0.0.2\t50\tdown\ttag=e\u{1}tu\tname=be.test\tchanged=7\tby=health check\nremoved\t10.0.0.3\n\
             user\t5\t10.0.0.1\tto=10.0.0.2\texpires=9\tsince=8\twhy=moved by operator\n\
             user\t6\t10.0.0.1\texpires=9\tsince=8\twhy=moved by operator\n"
        );
    }
}
