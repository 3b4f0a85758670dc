//! The backends by number: those of the table and those that are gone but still have users. A number is never used
//! twice, so a mapping to a removed backend cannot be mistaken for one to its successor with the same address.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    sync::Arc,
};

use super::{Host, Hosts, Moment, Origin, Ring, UserHash, hosts::order, users::TagNumber};

/// Names a backend from its appearance in the table to the end of its last session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct HostNumber(u32);

impl HostNumber {
    /// As it is written down.
    pub(super) fn value(self) -> u32 {
        self.0
    }

    #[cfg(test)]
    pub(super) const fn first() -> Self {
        Self(0)
    }
}

/// One backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backend {
    pub(super) host: Arc<Host>,
    pub(super) tag: TagNumber,
    /// Last change between up and down, and who made it.
    pub(super) changed: Option<(Moment, Origin)>,
    /// When a session last ended there.
    pub(super) left: Option<Moment>,
}

/// All backends, their tags and their ring.
#[derive(Debug, Clone, Default)]
pub(super) struct Backends {
    rows: BTreeMap<HostNumber, Backend>,
    /// The table, by address.
    current: BTreeMap<IpAddr, HostNumber>,
    table: Hosts,
    gone: BTreeSet<HostNumber>,
    next: u32,
    ring: Ring,
    /// Something is not as it was last written down.
    pub(super) is_changed: bool,
    /// The ring waits for the end of many changes.
    ring_is_old: bool,
    /// Every tag ever used by a backend; a login cannot add one.
    tags: BTreeMap<Vec<u8>, TagNumber>,
    tag_names: Vec<Vec<u8>>,
}

impl Backends {
    /// The table.
    pub(super) fn table(&self) -> &Hosts {
        &self.table
    }

    pub(super) fn ring(&self) -> &Ring {
        &self.ring
    }

    pub(super) fn tag(&self, tag: &[u8]) -> Option<TagNumber> {
        self.tags.get(tag).copied()
    }

    pub(super) fn tag_name(&self, tag: TagNumber) -> &[u8] {
        self.tag_names.get(tag.0 as usize).map_or(b"", Vec::as_slice)
    }

    fn tag_number(&mut self, tag: &[u8]) -> TagNumber {
        let new = TagNumber(u32::try_from(self.tag_names.len()).unwrap_or(u32::MAX));
        let number = *self.tags.entry(tag.to_vec()).or_insert(new);
        if number == new {
            self.tag_names.push(tag.to_vec());
        }
        number
    }

    pub(super) fn tags(&self) -> impl Iterator<Item = (&Vec<u8>, TagNumber)> {
        self.tags.iter().map(|(tag, number)| (tag, *number))
    }

    pub(super) fn tag_count(&self) -> usize {
        self.tags.len()
    }

    pub(super) fn row(&self, number: HostNumber) -> Option<&Backend> {
        self.rows.get(&number)
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = (HostNumber, &Backend)> {
        self.rows.iter().map(|(number, row)| (*number, row))
    }

    pub(super) fn is_gone(&self, number: HostNumber) -> bool {
        self.gone.contains(&number)
    }

    pub(super) fn gone(&self) -> impl Iterator<Item = HostNumber> {
        self.gone.iter().copied()
    }

    /// The number of a backend of the table.
    pub(super) fn number(&self, ip: IpAddr) -> Option<HostNumber> {
        self.current.get(&ip).copied()
    }

    /// Every backend with this address: that of the table, then those that are gone.
    pub(super) fn numbers(&self, ip: IpAddr) -> VecDeque<HostNumber> {
        let has_ip = |number: &HostNumber| self.row(*number).is_some_and(|row| row.host.ip == ip);
        self.number(ip).into_iter().chain(self.gone().filter(has_ip)).collect()
    }

    /// The addresses of those backends in order, those that are gone included.
    pub(super) fn addresses(&self, is_meant: impl Fn(HostNumber, &Host) -> bool) -> VecDeque<IpAddr> {
        let rows = self.rows().filter(|(number, row)| is_meant(*number, &row.host));
        let ips: BTreeSet<_> = rows.map(|(_, row)| order(row.host.ip)).collect();
        ips.into_iter().map(|(_, ip)| ip).collect()
    }

    /// Where the ring puts a user.
    pub(super) fn hashed(&self, tag: &[u8], user: UserHash) -> Option<HostNumber> {
        self.ring.lookup(tag, user).and_then(|ip| self.number(ip))
    }

    /// Adds a backend whose address is not in the table.
    pub(super) fn add(&mut self, host: Host, changed: Option<(Moment, Origin)>) -> Arc<Host> {
        self.is_changed = true;
        let tag = self.tag_number(&host.tag);
        let host = Arc::new(host);
        let number = self.next_number();
        self.current.insert(host.ip, number);
        self.table.insert(Arc::clone(&host));
        self.exchange_points(None, Some(&host));
        self.rows.insert(number, Backend { host: Arc::clone(&host), tag, changed, left: None });
        host
    }

    /// Changes a backend of the table in place; address and tag stay. Returns it before and after.
    pub(super) fn change(
        &mut self,
        ip: IpAddr,
        change: impl FnOnce(&mut Host),
    ) -> Option<(Arc<Host>, Arc<Host>)> {
        self.is_changed = true;
        let number = self.number(ip)?;
        let row = self.rows.get_mut(&number)?;
        let before = Arc::clone(&row.host);
        let mut host = Host::clone(&before);
        change(&mut host);
        let host = Arc::new(Host { ip, tag: before.tag.clone(), ..host });
        row.host = Arc::clone(&host);
        self.table.insert(Arc::clone(&host));
        self.exchange_points(Some(&before), Some(&host));
        Some((before, host))
    }

    /// A session has ended.
    pub(super) fn note_left(&mut self, number: HostNumber, now: Moment) {
        if let Some(row) = self.rows.get_mut(&number) {
            row.left = row.left.max(Some(now));
        }
    }

    pub(super) fn note_change(&mut self, ip: IpAddr, now: Moment, origin: Origin) {
        self.is_changed = true;
        if let Some(row) = self.number(ip).and_then(|number| self.rows.get_mut(&number)) {
            row.changed = Some((now, origin));
        }
    }

    /// Somebody else says what is so already.
    pub(super) fn note_origin(&mut self, ip: IpAddr, origin: Origin) {
        let row = self.number(ip).and_then(|number| self.rows.get_mut(&number));
        if let Some((_, said)) = row.and_then(|row| row.changed.as_mut()) {
            *said = origin;
        }
    }

    /// Takes a backend out of the table. Its number stays known until [`Backends::drop_row`].
    pub(super) fn retire(&mut self, ip: IpAddr) -> Option<(HostNumber, Backend)> {
        self.is_changed = true;
        let number = self.current.remove(&ip)?;
        self.table.remove(ip);
        self.gone.insert(number);
        let row = self.rows.get(&number)?.clone();
        self.exchange_points(Some(&row.host), None);
        Some((number, row))
    }

    /// Keeps the ring as it is until [`Backends::end_changes`], so that a thousand changes cost one sort.
    pub(super) fn begin_changes(&mut self) {
        self.is_changed = true;
        self.ring_is_old = true;
    }

    /// Builds the ring anew.
    pub(super) fn end_changes(&mut self) {
        self.ring_is_old = false;
        self.ring = Ring::of(self.table.iter().map(Arc::as_ref));
    }

    fn exchange_points(&mut self, before: Option<&Arc<Host>>, after: Option<&Arc<Host>>) {
        if !self.ring_is_old {
            before.into_iter().for_each(|host| self.ring.remove(host));
            after.into_iter().for_each(|host| self.ring.insert(host));
        }
    }

    /// Gives a backend a new number; the old one is gone and is returned. The ring knows addresses only.
    pub(super) fn renew(&mut self, ip: IpAddr) -> Option<HostNumber> {
        let number = self.number(ip)?;
        self.is_changed = true;
        let row = self.rows.get(&number)?.clone();
        self.gone.insert(number);
        let new = self.next_number();
        self.current.insert(ip, new);
        self.rows.insert(new, row);
        Some(number)
    }

    fn next_number(&mut self) -> HostNumber {
        self.next += 1;
        HostNumber(self.next)
    }

    /// Forgets a backend that is gone.
    pub(super) fn drop_row(&mut self, number: HostNumber) {
        if self.gone.remove(&number) {
            self.rows.remove(&number);
        }
    }
}
