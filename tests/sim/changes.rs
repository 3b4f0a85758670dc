//! The model's side of operations on backends, and what each should answer.

use std::net::IpAddr;

use homing::director::core::{DrainEnd, Host, Operation, OperationError, Origin};

use super::model::{Backend, Life, Model, Who};

impl Model {
    /// Changes the backends as an operation should, or says why not. Users are not its business, except that they
    /// forget backends that are gone.
    pub fn change(&mut self, origin: Origin, operation: &Operation) -> Result<(), OperationError> {
        match operation {
            Operation::AddHost { ip, tag, vhosts, .. } => self.add_host(*ip, tag.as_deref(), *vhosts)?,
            Operation::SetVhosts { ip, vhosts } => {
                let is_drained = self.drains.iter().any(|drain| drain.ip == *ip);
                let host = self.host(*ip)?;
                if origin == Origin::Health && *vhosts > 0 && is_drained {
                    return Err(OperationError::HeldDown(*ip));
                }
                host.host.vhosts = *vhosts;
            }
            Operation::Up { ip } => self.set_up(origin, *ip, true)?,
            Operation::Down { ip } => self.set_up(origin, *ip, false)?,
            Operation::RemoveHost { ip } => self.host(*ip)?.in_table = false,
            Operation::SetTag { ip, tag } => {
                if self.host(*ip)?.host.tag != *tag {
                    self.replace(*ip, |host| host.tag.clone_from(tag));
                }
            }
            Operation::Configure(table) => self.configure(origin, &table.hosts),
            _ => panic!("not about backends: {operation:?}"),
        }
        self.version += 1;
        self.forget_strays();
        self.review_drains(origin);
        Ok(())
    }

    fn host(&mut self, ip: IpAddr) -> Result<&mut Backend, OperationError> {
        let at = self.in_table(ip).ok_or(OperationError::UnknownHost(ip))?;
        Ok(&mut self.backends[at])
    }

    fn add_host(
        &mut self,
        ip: IpAddr,
        tag: Option<&[u8]>,
        vhosts: Option<u32>,
    ) -> Result<(), OperationError> {
        match self.host(ip) {
            Ok(known) if tag.is_some_and(|tag| known.host.tag != tag) => Err(OperationError::TagDiffers),
            Ok(known) => {
                known.host.vhosts = vhosts.unwrap_or(known.host.vhosts);
                Ok(())
            }
            Err(_) => {
                let new = Host::new(ip, None, tag.unwrap_or_default().to_vec());
                self.put(Host { vhosts: vhosts.unwrap_or(100), ..new }, None);
                Ok(())
            }
        }
    }

    fn put(&mut self, host: Host, changed_by: Option<Origin>) {
        self.backends.push(Backend { host, in_table: true, changed_by, left: None });
    }

    /// A twin takes the place of a backend.
    pub fn replace(&mut self, ip: IpAddr, change: impl FnOnce(&mut Host)) {
        let old = self.host(ip).unwrap();
        let (mut host, changed_by) = (old.host.clone(), old.changed_by);
        old.in_table = false;
        change(&mut host);
        self.put(host, changed_by);
    }

    fn set_up(&mut self, origin: Origin, ip: IpAddr, up: bool) -> Result<(), OperationError> {
        let backend = self.host(ip)?.clone();
        if backend.host.up == up {
            if !up && origin != Origin::Health && backend.changed_by.is_some() {
                self.host(ip)?.changed_by = Some(origin);
            }
            return Ok(());
        }
        if origin == Origin::Health {
            if up && backend.changed_by != Some(Origin::Health) && backend.changed_by.is_some() {
                return Err(OperationError::HeldDown(ip));
            }
            let serves =
                |b: &Backend| b.in_table && b.host.tag == backend.host.tag && b.host.up && b.host.vhosts > 0;
            let serving: Vec<_> = self.backends.iter().filter(|b| serves(b)).map(|b| b.host.ip).collect();
            if !up && serving == [ip] {
                return Err(OperationError::LastUsable(ip));
            }
        }
        if up && origin == Origin::Operator {
            self.owe_end(ip, DrainEnd::BackInUse(origin));
        }
        let backend = self.host(ip)?;
        (backend.host.up, backend.changed_by) = (up, Some(origin));
        Ok(())
    }

    fn configure(&mut self, origin: Origin, hosts: &[Host]) {
        let said = std::mem::replace(&mut self.said, hosts.to_vec());
        let find = |list: &[Host], ip| list.iter().find(|host| host.ip == ip).cloned();
        for ip in (1..=super::model::HOSTS + 1).map(super::model::address) {
            let now = self.in_table(ip).map(|at| self.backends[at].host.clone());
            match (find(&said, ip), find(hosts, ip), now) {
                (Some(_), None, Some(_)) => self.host(ip).unwrap().in_table = false,
                (None, Some(new), None) => self.put(new, None),
                (old, Some(new), Some(now)) => self.merge(origin, old, new, &now),
                _ => {}
            }
        }
    }

    /// The file's word counts where it is a new one.
    fn merge(&mut self, origin: Origin, old: Option<Host>, new: Host, now: &Host) {
        let first = old.is_none();
        let old = old.unwrap_or(Host { vhosts: new.vhosts, up: new.up, ..now.clone() });
        let tag = if first || old.tag != new.tag { new.tag } else { now.tag.clone() };
        let vhosts = if old.vhosts != new.vhosts { new.vhosts } else { now.vhosts };
        let up = if old.up != new.up { new.up } else { now.up };
        if up != now.up {
            self.host(now.ip).unwrap().changed_by = Some(origin);
        }
        if tag != now.tag {
            self.replace(now.ip, |host| host.tag.clone_from(&tag));
        }
        let backend = self.host(now.ip).unwrap();
        (backend.host.vhosts, backend.host.up) = (vhosts, up);
    }

    /// What a move of a user should do; `Ok(true)`: it starts.
    pub fn order_move(&mut self, who: Who, to: usize) -> Result<bool, OperationError> {
        let ip = self.ip_of(to);
        let (now, step) = (self.now, self.step);
        self.call_back(who);
        let Some(person) = self.people.iter().find(|person| person.who == who) else {
            self.add(who, to);
            return Ok(false);
        };
        let here = self.ip_of(person.backend);
        let person = self.person(who).unwrap();
        match person.life {
            Life::Settled if here != ip => {
                self.owed_start = Some((who, ip));
                return Ok(true);
            }
            Life::Settled => {
                person.backend = to;
                if person.sessions.is_empty() {
                    person.seen = now;
                }
            }
            Life::Ending { stuck: true, .. } => {
                person.to = Some(ip);
                if person.from == ip {
                    (person.backend, person.life, person.arrived) = (to, Life::Done, step);
                }
            }
            _ if person.to == Some(ip) => {}
            _ => return Err(OperationError::BeingMoved),
        }
        Ok(false)
    }
}
