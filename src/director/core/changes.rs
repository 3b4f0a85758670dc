//! Changes of the backend table: by people, health checks and the configuration (spec/director.md 4). Users follow
//! lazily: a mapping to a backend that is gone means nothing without a session, so no change walks over users.

use std::{collections::VecDeque, net::IpAddr, sync::Arc};

use super::{
    Action, Core, HOSTS_MAX, Host, Hosts, OperationError, Origin, Ring, Rules, STEP_USERS_MAX, TAGS_MAX,
    Table, VHOSTS_MAX, hosts::VHOSTS_DEFAULT,
};

type Outcome = Result<Vec<Action>, OperationError>;

impl Core {
    pub(super) fn add_host(
        &mut self,
        origin: Origin,
        ip: IpAddr,
        hostname: Option<String>,
        tag: Option<Vec<u8>>,
        vhosts: Option<u32>,
    ) -> Outcome {
        check_vhosts(vhosts.unwrap_or(VHOSTS_DEFAULT))?;
        if let Some(host) = self.hosts().get(ip) {
            if tag.is_some_and(|tag| tag != host.tag) {
                return Err(OperationError::TagDiffers);
            }
            return Ok(self.change_host(origin, ip, |host| {
                host.vhosts = vhosts.unwrap_or(host.vhosts);
                host.hostname = hostname.or(host.hostname.take());
            }));
        }
        if self.hosts().len() >= HOSTS_MAX {
            return Err(OperationError::TooManyHosts);
        }
        let tag = tag.unwrap_or_default();
        self.check_tag(&tag)?;
        let vhosts = vhosts.unwrap_or(VHOSTS_DEFAULT);
        Ok(self.insert_host(origin, Host { vhosts, ..Host::new(ip, hostname, tag) }))
    }

    pub(super) fn set_vhosts(&mut self, origin: Origin, ip: IpAddr, vhosts: u32) -> Outcome {
        check_vhosts(vhosts)?;
        self.known_host(ip)?;
        // A slow start that was under way does not know yet.
        if origin == Origin::Health && vhosts > 0 && self.drains.active.contains_key(&ip) {
            return Err(OperationError::HeldDown(ip));
        }
        Ok(self.change_host(origin, ip, |host| host.vhosts = vhosts))
    }

    /// An unchanged state keeps the time of its last change, as in the reference. But whoever takes down what a health
    /// check has taken down means it: it is down for their reason from then on.
    pub(super) fn set_up(&mut self, origin: Origin, ip: IpAddr, up: bool) -> Outcome {
        let host = Arc::clone(self.known_host(ip)?);
        if host.up == up {
            if !up && origin != Origin::Health {
                self.backends.note_origin(ip, origin);
            }
            return Ok(Vec::new());
        }
        if origin == Origin::Health {
            self.check_health_change(&host)?;
        }
        self.backends.note_change(ip, self.now, origin);
        Ok(self.change_host(origin, ip, |host| host.up = up))
    }

    fn check_health_change(&self, host: &Host) -> Result<(), OperationError> {
        if !host.up {
            let number = self.backends.number(host.ip);
            let changed = number.and_then(|n| self.backends.row(n)).and_then(|row| row.changed);
            let by_others = changed.is_some_and(|(_, origin)| origin != Origin::Health);
            return if by_others { Err(OperationError::HeldDown(host.ip)) } else { Ok(()) };
        }
        let mut others = self.hosts().iter().filter(|other| other.ip != host.ip && other.tag == host.tag);
        if host.is_usable() && !others.any(|other| other.is_usable()) {
            return Err(OperationError::LastUsable(host.ip));
        }
        Ok(())
    }

    pub(super) fn remove_host(&mut self, origin: Origin, ip: IpAddr) -> Outcome {
        self.known_host(ip)?;
        Ok(self.retire_host(origin, ip))
    }

    pub(super) fn set_tag(&mut self, origin: Origin, ip: IpAddr, tag: Vec<u8>) -> Outcome {
        if self.known_host(ip)?.tag == tag {
            return Ok(Vec::new());
        }
        self.check_tag(&tag)?;
        Ok(self.exchange_host(origin, ip, |host| host.tag = tag))
    }

    /// Forgets the users of a backend without a kick: the backend leaves and its twin takes the place.
    pub(super) fn forget_users(&mut self, ip: IpAddr, origin: Origin) -> Option<Action> {
        let number = self.backends.renew(ip)?;
        let census = self.users.census(number);
        Some(Action::UsersForgotten { ip, users: census.users - census.held, staying: census.held, origin })
    }

    pub(super) fn configure(&mut self, origin: Origin, table: Table) -> Outcome {
        let renamed = table.rules.naming != self.rules.naming;
        self.check_naming(&table.rules)?;
        if table.rules.longest_use() != self.expiry.time {
            // Who is too old by now must be written down as such: a restart does not know the time of before.
            self.users.expire(self.now, self.expiry, STEP_USERS_MAX);
            self.expiry.change(self.now, table.rules.longest_use());
        }
        if table.rules.kick_delay != self.rules.kick_delay {
            self.lingering.change(self.now, table.rules.kick_delay);
        }
        self.rules = table.rules;
        let hosts: Hosts = table.hosts.into_iter().collect();
        let before = std::mem::replace(&mut self.configured, hosts.clone());
        self.configured_ring = Ring::of(hosts.iter().map(Arc::as_ref));
        self.backends.begin_changes();
        let mut actions = Vec::new();
        for host in before.iter().filter(|host| !hosts.contains(host.ip)) {
            actions.extend(self.retire_host(origin, host.ip));
        }
        for host in hosts.iter() {
            actions.extend(self.configure_host(origin, before.get(host.ip), host));
        }
        if renamed {
            let ips: VecDeque<_> = self.hosts().iter().map(|host| host.ip).collect();
            actions.extend(ips.into_iter().filter_map(|ip| self.forget_users(ip, origin)));
        }
        self.backends.end_changes();
        actions.extend(self.differences());
        actions.push(Action::WakeAll);
        Ok(actions)
    }

    /// Hashes of the old and the new kind cannot be compared, so a user with a session would be a stranger, and so would one
    /// who has just left.
    pub(super) fn check_naming(&self, rules: &Rules) -> Result<(), OperationError> {
        let is_left = |(number, _)| self.left_until(number).is_some();
        let in_use = self.session_count() > 0 || self.moves.len() > 0 || self.backends.rows().any(is_left);
        if in_use && rules.naming != self.rules.naming { Err(OperationError::NamingInUse) } else { Ok(()) }
    }

    /// Where the table is not as the file has it, so that nobody wonders.
    fn differences(&self) -> impl Iterator<Item = Action> {
        self.configured.iter().filter_map(|said| {
            let is = self.hosts().get(said.ip).cloned();
            (is.as_ref() != Some(said)).then(|| Action::HostDiffers { said: Arc::clone(said), is })
        })
    }

    /// Applies what the file says differently about one backend.
    fn configure_host(
        &mut self,
        origin: Origin,
        before: Option<&Arc<Host>>,
        host: &Arc<Host>,
    ) -> Vec<Action> {
        let Some(now) = self.hosts().get(host.ip).cloned() else {
            // Removed by a person since: the file has said nothing new.
            let is_new = before.is_none();
            return if is_new { self.insert_host(origin, Host::clone(host)) } else { Vec::new() };
        };
        let wanted = merge(&now, before, host);
        if wanted.up != now.up {
            self.backends.note_change(host.ip, self.now, origin);
        }
        if wanted.tag == now.tag {
            self.change_host(origin, host.ip, |host| *host = wanted)
        } else {
            self.exchange_host(origin, host.ip, |host| *host = wanted)
        }
    }

    fn insert_host(&mut self, origin: Origin, host: Host) -> Vec<Action> {
        let host = self.backends.add(host, None);
        vec![Action::HostAdded { host, origin }, Action::WakeAll]
    }

    fn retire_host(&mut self, origin: Origin, ip: IpAddr) -> Vec<Action> {
        let Some((number, _)) = self.backends.retire(ip) else { return Vec::new() };
        let users = self.users.census(number).held;
        vec![Action::HostRemoved { ip, users, origin }]
    }

    /// Changes a backend that stays what it is for its users.
    pub(super) fn change_host(
        &mut self,
        origin: Origin,
        ip: IpAddr,
        change: impl FnOnce(&mut Host),
    ) -> Vec<Action> {
        let Some((before, after)) = self.backends.change(ip, change) else { return Vec::new() };
        if before == after {
            return Vec::new();
        }
        vec![Action::HostChanged { before, after, origin }, Action::WakeAll]
    }

    /// Puts a different backend in the place of one.
    fn exchange_host(&mut self, origin: Origin, ip: IpAddr, change: impl FnOnce(&mut Host)) -> Vec<Action> {
        let Some((_, row)) = self.backends.retire(ip) else { return Vec::new() };
        let mut host = Host::clone(&row.host);
        change(&mut host);
        let after = self.backends.add(host, row.changed);
        vec![Action::HostChanged { before: row.host, after, origin }, Action::WakeAll]
    }

    fn known_host(&self, ip: IpAddr) -> Result<&Arc<Host>, OperationError> {
        self.hosts().get(ip).ok_or(OperationError::UnknownHost(ip))
    }

    fn check_tag(&self, tag: &[u8]) -> Result<(), OperationError> {
        let is_full = self.backends.tag(tag).is_none() && self.backends.tag_count() >= TAGS_MAX;
        if is_full { Err(OperationError::TooManyTags) } else { Ok(()) }
    }
}

/// A backend as it is, with what the file says now and did not say before. The file's first word about a backend
/// that a person has added tells what it is (tag, name), not what it does at the moment (weight, up or down).
fn merge(now: &Host, before: Option<&Arc<Host>>, said: &Host) -> Host {
    let mut wanted = now.clone();
    if before.is_none_or(|before| before.hostname != said.hostname) {
        wanted.hostname.clone_from(&said.hostname);
    }
    if before.is_none_or(|before| before.tag != said.tag) {
        wanted.tag.clone_from(&said.tag);
    }
    if before.is_some_and(|before| before.vhosts != said.vhosts) {
        wanted.vhosts = said.vhosts;
    }
    if before.is_some_and(|before| before.up != said.up) {
        wanted.up = said.up;
    }
    wanted
}

fn check_vhosts(vhosts: u32) -> Result<(), OperationError> {
    if vhosts > VHOSTS_MAX { Err(OperationError::VhostsTooMany) } else { Ok(()) }
}
