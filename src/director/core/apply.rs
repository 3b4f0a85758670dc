//! What each operation does: backends in `changes.rs`, flushes in `flush.rs`, single users here.

use std::net::IpAddr;

use super::{
    Action, Cause, Core, DrainEnd, Operation, OperationError, Origin, UserHash, UserKey,
    backends::HostNumber, moves::Reason,
};

impl Core {
    pub(super) fn perform(
        &mut self,
        origin: Origin,
        operation: Operation,
    ) -> Result<Vec<Action>, OperationError> {
        match operation {
            Operation::Configure(table) => self.configure(origin, table),
            Operation::AddHost { ip, hostname, tag, vhosts } => {
                self.add_host(origin, ip, hostname, tag, vhosts)
            }
            Operation::SetVhosts { ip, vhosts } => self.set_vhosts(origin, ip, vhosts),
            Operation::Up { ip } => self.bring_up(origin, ip),
            Operation::Down { ip } => self.set_up(origin, ip, false),
            Operation::RemoveHost { ip } => self.remove_host(origin, ip),
            Operation::SetTag { ip, tag } => self.set_tag(origin, ip, tag),
            Operation::MoveUser { user, ip } => self.move_user(origin, user, ip),
            Operation::MapUser { user, ip } => self.map_user(origin, user, ip),
            Operation::LoadUser { user, ip } => self.load_user(origin, user, ip),
            Operation::KickUser { user } => Ok(self.kick(origin, user)),
            Operation::FlushHost { ip, flush } => {
                self.check_in_use(ip)?;
                self.flush(origin, [ip].into(), None, flush)
            }
            Operation::FlushAll { tag, flush } => {
                let ips = self.backends.addresses(|number, host| {
                    self.is_in_use(number) && tag.as_ref().is_none_or(|tag| host.tag == *tag)
                });
                self.flush(origin, ips, tag, flush)
            }
            Operation::StopFlush { flush } => self.stop_flush(flush),
            Operation::Drain { ip, draining } => self.drain(origin, ip, draining),
            Operation::StopDrain { ip, restore } => self.stop_drain(origin, ip, restore),
            Operation::FlushDone { run, success } => Ok(self.flush_done(run, success)),
        }
    }

    fn move_user(
        &mut self,
        origin: Origin,
        hash: UserHash,
        ip: IpAddr,
    ) -> Result<Vec<Action>, OperationError> {
        let (number, user) = self.resident_of(ip, hash)?;
        let cause = Cause::Moved(origin);
        let mut actions = Vec::new();
        let Some(slot) = self.find(user) else {
            actions.push(Action::UserMapped { user, ip, cause });
            actions.extend(self.map(user, number, cause));
            return Ok(actions);
        };
        match self.moves.get(user) {
            Some(moving) if moving.is_stuck() => self.redirect_move(slot, number, cause, &mut actions),
            Some(moving) if moving.to == Some(ip) => {}
            Some(_) => return Err(OperationError::BeingMoved),
            None => self.start_move(slot, Some(number), Reason { cause, flush: None }, &mut actions),
        }
        Ok(actions)
    }

    fn map_user(
        &mut self,
        origin: Origin,
        hash: UserHash,
        ip: IpAddr,
    ) -> Result<Vec<Action>, OperationError> {
        let (number, user) = self.resident_of(ip, hash)?;
        let cause = Cause::Mapped(origin);
        let Some(slot) = self.find(user) else { return Ok(self.map(user, number, cause)) };
        let mut actions = Vec::new();
        if self.users.row(slot).is_some_and(|row| self.is_forgotten(row)) {
            self.start_move(slot, Some(number), Reason { cause, flush: None }, &mut actions);
        }
        Ok(actions)
    }

    fn load_user(
        &mut self,
        origin: Origin,
        hash: UserHash,
        ip: IpAddr,
    ) -> Result<Vec<Action>, OperationError> {
        self.can_load(hash, ip)?;
        let (number, user) = self.resident_of(ip, hash)?;
        let cause = Cause::Mapped(origin);
        let Some(slot) = self.find(user) else {
            return Ok(self.map(user, number, cause));
        };
        let mut actions = Vec::new();
        self.start_move(slot, Some(number), Reason { cause, flush: None }, &mut actions);
        Ok(actions)
    }

    /// Whether [`Operation::LoadUser`] would be refused; true if the user is there already.
    pub fn can_load(&self, hash: UserHash, ip: IpAddr) -> Result<bool, OperationError> {
        let (_, user) = self.resident_of(ip, hash)?;
        let row = self.users.find(user).and_then(|slot| self.users.row(slot));
        let Some(row) = row.filter(|row| !self.is_forgotten(row)) else { return Ok(false) };
        if row.moving {
            return Err(OperationError::BeingMoved);
        }
        let here = self.backends.row(row.host).map(|row| row.host.ip);
        match here.filter(|here| *here != ip && row.sessions > 0) {
            Some(here) => Err(OperationError::InUse(here)),
            None => Ok(here == Some(ip)),
        }
    }

    /// Maps a user who has no mapping. A login of the user may be waiting for a usable backend.
    fn map(&mut self, user: UserKey, number: HostNumber, cause: Cause) -> Vec<Action> {
        self.users.add(user, number, self.now, cause);
        vec![Action::Wake { user: user.hash }]
    }

    /// A backend of the table, and the user under its tag.
    pub(super) fn resident_of(
        &self,
        ip: IpAddr,
        hash: UserHash,
    ) -> Result<(HostNumber, UserKey), OperationError> {
        let number = self.backends.number(ip).ok_or(OperationError::UnknownHost(ip))?;
        let tag = self.backends.row(number).ok_or(OperationError::UnknownHost(ip))?.tag;
        Ok((number, UserKey { tag, hash }))
    }

    fn kick(&self, origin: Origin, hash: UserHash) -> Vec<Action> {
        let mut actions = Vec::new();
        for (_, tag) in self.backends.tags() {
            let user = UserKey { tag, hash };
            let before = actions.len();
            actions.extend(self.kicks(user));
            let sessions = u32::try_from(actions.len() - before).unwrap_or(u32::MAX);
            let row = self.users.find(user).and_then(|slot| self.users.row(slot));
            let host = row.and_then(|row| self.backends.row(row.host)).map(|row| row.host.ip);
            let told = host.filter(|_| sessions > 0);
            actions.extend(told.map(|ip| Action::UserKicked { user, ip, sessions, origin }));
        }
        actions
    }

    /// A person who brings a backend up wants it to be used.
    fn bring_up(&mut self, origin: Origin, ip: IpAddr) -> Result<Vec<Action>, OperationError> {
        let mut actions = self.set_up(origin, ip, true)?;
        if origin == Origin::Operator && !actions.is_empty() {
            self.end_drain(ip, DrainEnd::BackInUse(origin), &mut actions);
        }
        Ok(actions)
    }

    pub(super) fn check_in_use(&self, ip: IpAddr) -> Result<(), OperationError> {
        let is_in_use = self.backends.numbers(ip).into_iter().any(|number| self.is_in_use(number));
        if is_in_use { Ok(()) } else { Err(OperationError::UnknownHost(ip)) }
    }
}
