//! `homing director load`: a director is brought to the state that a file tells of, while it runs. Nobody is kicked for
//! it, and what cannot be done is told with the number of its line.

mod file;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    net::IpAddr,
    path::{Path, PathBuf},
};

use clap::Args;
use homing_doveadm::{
    UserHash,
    director::{HostArgument, HostRow, Request, Row},
    own::{self, Command, LOAD_USERS_MAX, LoadRequest},
};
use serde_json::{Value, json};

use super::{Connection, change::outcome};
use crate::cli::{
    exit::Fault,
    show::{Form, Shown},
};
use file::{HostItem, Item, UserItem, Who};

/// Bytes of names in one request: with their escapes they fit a line.
const NAMES_BYTES_MAX: usize = 480;

/// Longest file. A million users are some 70 MB.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Lines that are told of if they are not understood: enough to see what kind of file it is.
const BAD_LINES_MAX: usize = 20;

/// Bring backends and users to the state of a dump
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  homing director load director.dump --dry-run
  homing director load director.dump
  doveadm director map | homing director load          users of Dovecot's director
  doveadm director dump | homing director load         its backends

It reads what `homing director dump`, `doveadm director dump` and `doveadm director map` print (without --json), and lines of
USER ADDRESS. If a line cannot be understood, nothing is loaded and the exit status is 65. Users with sessions on another backend stay
there. What could not be done is told with its line, and the exit status is 75. JSON: {\"hosts\": {added, changed,
removed}, \"users\": {loaded, kept}, \"problems\": [{line, text}]}.")]
pub(super) struct Load {
    /// File to read; standard input if there is none, or for -
    file: Option<PathBuf>,
    /// Tell what would be done, and do nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Add backends that are not known here, instead of telling of them
    #[arg(long)]
    add_hosts: bool,
}

impl Load {
    pub(super) async fn run(self, connection: &mut Connection, form: Form) -> Result<(), Fault> {
        let text = read(self.file.as_deref())?;
        let items = file::parse(&text).map_err(|lines| {
            let more = lines.len().saturating_sub(BAD_LINES_MAX);
            let told = lines.iter().take(BAD_LINES_MAX);
            let told = told.map(|(line, text)| format!("line {line} is not understood: {text}"));
            let more = (more > 0).then(|| format!("and {more} more"));
            let told: Vec<_> = told.chain(more).chain(["nothing is loaded".to_owned()]).collect();
            Fault::Data(told.join("\n"))
        })?;
        let mut loading = Loading::new(connection, self.dry_run, self.add_hosts).await?;
        let mut users = Vec::new();
        for (line, item) in items {
            match item {
                Item::Host(host) => loading.host(line, host).await?,
                Item::Removed(ip) => loading.remove(line, ip).await?,
                Item::User(user) => users.push((line, user)),
            }
        }
        loading.users(users).await?;
        let result = loading.result;
        form.print(&result);
        result.fault()
    }
}

fn read(file: Option<&Path>) -> Result<Vec<u8>, Fault> {
    let text = match file.filter(|file| *file != Path::new("-")) {
        Some(file) => File::open(file).and_then(|file| read_some(file, FILE_BYTES_MAX)),
        None => read_some(io::stdin().lock(), FILE_BYTES_MAX),
    };
    text.map_err(|error| Fault::Data(format!("{}: {error}", file.unwrap_or(Path::new("-")).display())))
}

fn read_some(from: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    from.take(most + 1).read_to_end(&mut text)?;
    if text.len() as u64 > most { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(text) }
}

/// How far it is.
struct Loading<'a> {
    connection: &'a mut Connection,
    dry_run: bool,
    add_hosts: bool,
    known: BTreeMap<IpAddr, HostRow>,
    result: Outcome,
}

impl<'a> Loading<'a> {
    async fn new(connection: &'a mut Connection, dry_run: bool, add_hosts: bool) -> Result<Self, Fault> {
        let rows = connection.rows(&Request::HostList).await?.into_iter().filter_map(|row| match row {
            Row::Host(host) => Some((host.ip, host)),
            _ => None,
        });
        let known = rows.collect();
        let result = Outcome { dry_run, ..Outcome::default() };
        Ok(Self { connection, dry_run, add_hosts, known, result })
    }

    async fn host(&mut self, line: usize, host: HostItem) -> Result<(), Fault> {
        let (ip, vhosts) = (host.ip, host.vhosts);
        let argument = |tag: Vec<u8>| HostArgument { ip, tag: Some(tag).filter(|tag| !tag.is_empty()) };
        let mut requests = Vec::new();
        let (is_new, is_up) = match self.known.get(&ip) {
            None if !self.add_hosts => {
                self.result.problem(line, format!("backend {ip} is not known here; --add-hosts adds it"));
                return Ok(());
            }
            None => {
                requests.push(Request::HostSet { host: argument(host.tag.clone()), vhosts: Some(vhosts) });
                (true, true)
            }
            Some(known) => {
                if known.tag != host.tag {
                    self.result.problem(line, format!("backend {ip} has another tag here, which it keeps"));
                }
                if known.vhosts != vhosts {
                    requests.push(Request::HostUpdate { host: argument(Vec::new()), vhosts });
                }
                (false, known.up)
            }
        };
        match host.up.filter(|up| *up != is_up) {
            Some(true) => requests.push(Request::HostUp(ip)),
            Some(false) => requests.push(Request::HostDown(ip)),
            None => {}
        }
        if self.all_done(line, ip, &requests).await? && !requests.is_empty() {
            *(if is_new { &mut self.result.added } else { &mut self.result.changed }) += 1;
        }
        Ok(())
    }

    async fn remove(&mut self, line: usize, ip: IpAddr) -> Result<(), Fault> {
        if self.known.contains_key(&ip) && self.all_done(line, ip, &[Request::HostRemove(ip)]).await? {
            self.result.removed += 1;
        }
        Ok(())
    }

    /// Asks one after the other; what is refused is a problem of this line.
    async fn all_done(&mut self, line: usize, ip: IpAddr, requests: &[Request]) -> Result<bool, Fault> {
        for request in requests.iter().filter(|_| !self.dry_run) {
            let reply = self.connection.reply(request).await?;
            if let Err(fault) = outcome(&format!("backend {ip}"), &reply) {
                self.result.problem(line, fault.to_string());
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn users(&mut self, users: Vec<(usize, UserItem)>) -> Result<(), Fault> {
        let names = self.hashes(&users).await?;
        let mut by_host: BTreeMap<IpAddr, Vec<(usize, UserHash)>> = BTreeMap::new();
        let mut moves = Vec::new();
        for (line, user) in users {
            let hash = match &user.who {
                Who::Hash(hash) => Some(*hash),
                Who::Name(name) => names.get(name).copied(),
            };
            let Some(hash) = hash else {
                self.result.problem(line, "the director tells no hash of the name".to_owned());
                continue;
            };
            by_host.entry(user.ip).or_default().push((line, hash));
            moves.extend(user.to.map(|to| (line, hash, to)));
        }
        for (ip, users) in by_host {
            for some in users.chunks(LOAD_USERS_MAX) {
                self.bring(ip, some).await?;
            }
        }
        for (line, user, host) in moves {
            self.all_done(line, host, &[Request::UserMove { user: user.into(), host }]).await?;
        }
        Ok(())
    }

    async fn bring(&mut self, host: IpAddr, users: &[(usize, UserHash)]) -> Result<(), Fault> {
        let dry_run = self.dry_run;
        let request = LoadRequest { dry_run, host, users: users.iter().map(|(_, user)| *user).collect() };
        let rows = match self.connection.own(&Command::Load(request)).await {
            Ok(rows) => rows,
            Err(Fault::NotFound(_)) if dry_run && self.add_hosts && !self.known.contains_key(&host) => {
                self.result.loaded += users.len() as u64;
                return Ok(());
            }
            Err(Fault::NotFound(_)) => {
                for (line, user) in users {
                    self.result.problem(*line, format!("user {user}: backend {host} is not known here"));
                }
                return Ok(());
            }
            Err(fault) => return Err(fault),
        };
        let lines: BTreeMap<UserHash, usize> = users.iter().map(|(line, user)| (*user, *line)).collect();
        for row in rows {
            match row {
                own::Row::NotLoaded(row) => {
                    let line = lines.get(&row.user).copied().unwrap_or_default();
                    self.result.problem(line, format!("user {}: {}", row.user, row.why));
                }
                own::Row::Loaded(row) => {
                    self.result.loaded += row.loaded;
                    self.result.kept += row.kept;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The director knows how names become hashes.
    async fn hashes(&mut self, users: &[(usize, UserItem)]) -> Result<BTreeMap<Vec<u8>, UserHash>, Fault> {
        let mut hashes = BTreeMap::new();
        let names = users.iter().filter_map(|(_, user)| match &user.who {
            Who::Name(name) => Some(name.clone()),
            Who::Hash(_) => None,
        });
        let mut names = names.peekable();
        while names.peek().is_some() {
            let (mut some, mut bytes) = (Vec::new(), 0);
            while let Some(name) =
                names.next_if(|name| some.is_empty() || bytes + name.len() < NAMES_BYTES_MAX)
            {
                bytes += name.len() + 1;
                some.push(name);
            }
            for row in self.connection.own(&Command::Hash(some)).await? {
                if let own::Row::Hash(row) = row {
                    hashes.insert(row.user, row.hash);
                }
            }
        }
        Ok(hashes)
    }
}

/// What was done, or would be.
#[derive(Debug, Default)]
struct Outcome {
    dry_run: bool,
    added: u64,
    changed: u64,
    removed: u64,
    loaded: u64,
    kept: u64,
    problems: Vec<(usize, String)>,
}

impl Outcome {
    fn problem(&mut self, line: usize, text: String) {
        self.problems.push((line, text));
    }

    /// All of them, in the order of the file.
    fn fault(mut self) -> Result<(), Fault> {
        if self.problems.is_empty() {
            return Ok(());
        }
        self.problems.sort();
        let told: Vec<_> = self.problems.iter().map(|(line, text)| format!("line {line}: {text}")).collect();
        Err(Fault::NotDone(told.join("\n")))
    }
}

impl Shown for Outcome {
    fn text(&self) -> String {
        let would = if self.dry_run { "nothing is done; it would be: " } else { "" };
        format!(
            "{would}backends: {} added, {} changed, {} removed; users: {} loaded, {} there already; problems: {}\n",
            self.added,
            self.changed,
            self.removed,
            self.loaded,
            self.kept,
            self.problems.len()
        )
    }

    fn json(&self) -> Value {
        let problem = |(line, text): &(usize, String)| json!({ "line": line, "text": text });
        json!({
            "dry_run": self.dry_run,
            "hosts": { "added": self.added, "changed": self.changed, "removed": self.removed },
            "users": { "loaded": self.loaded, "kept": self.kept },
            "problems": self.problems.iter().map(problem).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_end_is_refused() {
        assert_eq!(read_some(&b"abc"[..], 3).unwrap(), b"abc");
        let refused = read_some(io::repeat(b'a'), 3).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
    }
}
