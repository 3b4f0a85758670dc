//! A small table behind the admin protocols: hosts, users, sessions and a ring as they were when the runs of
//! `doveadm_director_transcripts.tsv` were recorded. It knows users by heart instead of hashing them.

use std::{collections::BTreeMap, net::IpAddr};

use homing_doveadm::{
    UserHash,
    director::{
        DirectorAddress, DirectorRow, DirectorStatus, HostArgument, HostRow, Link, Refusal, Reply, Request,
        RingMember, Row, Scope, Server, UserArgument, UserPlace, UserRow, VHOSTS_MAX, Waiting,
    },
    ipc,
};

/// When the recorded mappings expire.
const EXPIRES: u64 = 1_795_440_812;

/// When the recorded host went down; it came up a second later.
const DOWN_TIME: u64 = 1_795_439_928;

const FOO: UserHash = UserHash(2_898_073_819);

pub struct AdminTable {
    hosts: BTreeMap<IpAddr, HostRow>,
    configured: Vec<IpAddr>,
    users: Vec<UserRow>,
    moving: Option<UserHash>,
    directors: Vec<(IpAddr, u16)>,
    sessions: Vec<ipc::SessionRow>,
}

impl Default for AdminTable {
    fn default() -> Self {
        let hosts = [(61, ""), (62, ""), (63, ""), (64, "blue")];
        let hosts: BTreeMap<_, _> = hosts.map(|(n, tag)| (ip(n), host(ip(n), tag.as_bytes()))).into();
        Self {
            configured: hosts.keys().copied().collect(),
            hosts,
            users: Vec::new(),
            moving: None,
            directors: vec![(ip(1), 0)],
            sessions: Vec::new(),
        }
    }
}

fn ip(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, last])
}

fn host(ip: IpAddr, tag: &[u8]) -> HostRow {
    HostRow { ip, vhosts: 100, users: 0, tag: tag.to_vec(), up: true, changed: 0 }
}

fn session(user: &str, alternatives: [&str; 2], last: u8) -> ipc::SessionRow {
    ipc::SessionRow {
        user: user.into(),
        alternatives: alternatives.map(|value| value.as_bytes().to_vec()).into(),
        service: b"imap".to_vec(),
        source: Some(ip(1)),
        backend: (ip(last), 143).into(),
    }
}

impl AdminTable {
    /// What happened before this run.
    pub fn meanwhile(&mut self, run: usize) {
        match run {
            8 => {
                let users = [(FOO.0, 62), (3_244_357_836, 63), (880_947_510, 61)];
                let row = |(hash, last)| UserRow { hash: UserHash(hash), expires: EXPIRES, ip: ip(last) };
                self.users = users.map(row).into();
                self.sessions = vec![
                    session("foo", ["", ""], 62),
                    session("alice@example.com", ["", ""], 63),
                    session("alt", ["grp1", "y"], 61),
                ];
            }
            // Its session has ended by itself.
            18 => self.sessions.retain(|session| session.user != b"alt"),
            _ => {}
        }
    }

    pub fn answer(&mut self, request: &Request, server: &mut Server) {
        let rows: Vec<Row> = match request {
            Request::HostList => self.host_rows(),
            Request::HostListRemoved => {
                let gone = self.configured.iter().filter(|ip| !self.hosts.contains_key(ip));
                gone.copied().map(Row::RemovedHost).collect()
            }
            Request::UserList(host) => {
                let there = |user: &&UserRow| host.is_none_or(|ip| user.ip == ip);
                self.users.iter().filter(there).copied().map(Row::User).collect()
            }
            Request::DirectorList => self.directors.iter().map(director).collect(),
            request => return server.answer(&self.line(request)),
        };
        assert!(server.push_rows(&mut rows.into_iter()));
        server.end_rows();
    }

    fn line(&mut self, request: &Request) -> Reply {
        match request {
            Request::HostSet { host, vhosts } => self.set(host, *vhosts, true),
            Request::HostUpdate { host, vhosts } => self.set(host, Some(*vhosts), false),
            Request::HostUp(ip) => self.switch(*ip, true),
            Request::HostDown(ip) => self.switch(*ip, false),
            Request::HostRemove(ip) => {
                self.users.retain(|user| user.ip != *ip);
                done(self.hosts.remove(ip).is_some())
            }
            Request::HostFlush(scope) => self.flush(*scope, true),
            Request::HostResetUsers { scope, .. } => self.flush(*scope, false),
            Request::UserLookup { user, tag } => Reply::Place(self.place(user, tag)),
            Request::UserMove { user, host } => self.move_user(user.hash().unwrap(), *host),
            Request::UserKick { user, waiting: Waiting::Allowed } if user.as_bytes() == b"busy" => {
                Reply::TryAgain
            }
            Request::UserKick { .. } | Request::UserKickAlt { .. } => Reply::Ok,
            Request::DirectorAdd(director) => {
                self.directors.push((director.ip, director.port.map_or(0, Into::into)));
                self.directors.sort_unstable();
                Reply::Ok
            }
            Request::DirectorRemove(DirectorAddress { ip, .. }) => {
                let before = self.directors.len();
                self.directors.retain(|(known, _)| known != ip);
                done(self.directors.len() < before)
            }
            other => panic!("{other:?}"),
        }
    }

    fn host_rows(&self) -> Vec<Row> {
        let users = |ip| self.users.iter().filter(|user| user.ip == ip).count() as u64;
        self.hosts.values().map(|host| Row::Host(HostRow { users: users(host.ip), ..host.clone() })).collect()
    }

    fn set(&mut self, argument: &HostArgument, vhosts: Option<u32>, add: bool) -> Reply {
        let tag = argument.tag.as_deref().unwrap_or_default();
        if vhosts.is_some_and(|vhosts| vhosts > VHOSTS_MAX) {
            return Reply::Refused(Refusal::VhostsTooLarge);
        }
        if !add && !self.hosts.contains_key(&argument.ip) {
            return Reply::NotFound;
        }
        let host = self.hosts.entry(argument.ip).or_insert_with(|| host(argument.ip, tag));
        if !tag.is_empty() && host.tag != tag {
            return Reply::Refused(Refusal::TagFixed);
        }
        host.vhosts = vhosts.unwrap_or(host.vhosts);
        Reply::Ok
    }

    fn switch(&mut self, ip: IpAddr, up: bool) -> Reply {
        let Some(host) = self.hosts.get_mut(&ip) else { return Reply::NotFound };
        if host.up != up {
            (host.up, host.changed) = (up, DOWN_TIME + u64::from(up));
        }
        Reply::Ok
    }

    fn flush(&mut self, scope: Scope, forget: bool) -> Reply {
        if scope.host().is_some_and(|ip| !self.hosts.contains_key(&ip)) {
            return Reply::NotFound;
        }
        if forget {
            self.users.retain(|user| scope.host().is_some_and(|ip| user.ip != ip));
        }
        Reply::Ok
    }

    fn place(&self, user: &UserArgument, tag: &[u8]) -> UserPlace {
        let hashed = match (tag, user.as_bytes()) {
            (b"", b"foo" | b"2898073819") => Some(ip(62)),
            (b"", b"12345") => Some(ip(61)),
            (b"blue", _) => Some(ip(64)),
            _ => None,
        };
        let is_user = |row: &&UserRow| tag.is_empty() && row.hash == FOO && user.as_bytes() == b"foo";
        let current = self.users.iter().find(is_user).map(|row| (row.ip, row.expires));
        UserPlace { current, hashed, initial: hashed }
    }

    /// A move goes on until it was asked about once.
    fn move_user(&mut self, hash: UserHash, to: IpAddr) -> Reply {
        if !self.hosts.contains_key(&to) {
            return Reply::NotFound;
        }
        if self.moving.take() == Some(hash) {
            return Reply::TryAgain;
        }
        for user in self.users.iter_mut().filter(|user| user.hash == hash && user.ip != to) {
            user.ip = to;
            self.moving = Some(hash);
        }
        Reply::Ok
    }

    pub fn answer_ipc(&mut self, command: &ipc::Command, server: &mut ipc::Server) {
        let fits: Box<dyn Fn(&ipc::SessionRow) -> bool> = match command {
            ipc::Command::ListFull => {
                server.begin_list(&[b"user_group".to_vec(), b"user_x".to_vec()]);
                assert!(server.push_sessions(&mut self.sessions.iter().cloned()));
                return server.end_list();
            }
            ipc::Command::Kick(users) => Box::new(|row| users.iter().any(|user| user.matches(&row.user))),
            ipc::Command::KickAlt { field, values } => {
                let column = usize::from(field != b"user_group");
                Box::new(move |row| values.iter().any(|value| value.matches(&row.alternatives[column])))
            }
            ipc::Command::KickHost(hosts) => Box::new(|row| {
                let backend = row.backend.ip().to_string();
                hosts.iter().any(|host| host == backend.as_bytes())
            }),
            ipc::Command::KickHash { .. } => panic!("doveadm does not ask this"),
        };
        let before = self.sessions.len();
        self.sessions.retain(|row| !fits(row));
        server.answer(&ipc::Answer::Count((before - self.sessions.len()) as u64));
    }
}

fn done(known: bool) -> Reply {
    if known { Reply::Ok } else { Reply::NotFound }
}

fn director((ip, port): &(IpAddr, u16)) -> Row {
    let own = ip.to_string() == "127.0.0.1";
    let link = if own { Link::OwnNode } else { Link::Absent };
    let status = if own { DirectorStatus::RingSynced } else { DirectorStatus::None };
    let member = RingMember { ip: *ip, port: *port, link, last_failed: 0 };
    Row::Director(DirectorRow { member: Some(member), status, ping_msecs: own.then_some(0), traffic: None })
}
