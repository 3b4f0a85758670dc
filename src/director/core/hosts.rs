//! The backend table (spec/director.md 4.1) and its checksum (2.3).

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

/// Vhosts of a backend unless told otherwise.
pub const VHOSTS_DEFAULT: u32 = 100;

/// One backend. The address is its identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Address to connect to.
    pub ip: IpAddr,
    /// Name it was configured by; used for TLS and logs.
    pub hostname: Option<String>,
    /// Users and backends with equal tags belong together.
    pub tag: Vec<u8>,
    /// Weight; 0 takes no new users.
    pub vhosts: u32,
    /// Down backends take no new users either; that flag is for health checks, the weight for people.
    pub up: bool,
}

impl Host {
    /// A backend as configured.
    pub fn new(ip: IpAddr, hostname: Option<String>, tag: Vec<u8>) -> Self {
        Self { ip, hostname, tag, vhosts: VHOSTS_DEFAULT, up: true }
    }

    /// True if new users may come.
    pub fn is_usable(&self) -> bool {
        self.up && self.vhosts > 0
    }
}

/// IPv4 before IPv6, then by address: the order of the table and of equal ring points.
pub(super) fn order(ip: IpAddr) -> (bool, IpAddr) {
    (ip.is_ipv6(), ip)
}

/// Backends in order. Shared rows, since each session keeps the one it was placed on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts(BTreeMap<(bool, IpAddr), Arc<Host>>);

impl Hosts {
    /// The backend with this address.
    pub fn get(&self, ip: IpAddr) -> Option<&Arc<Host>> {
        self.0.get(&order(ip))
    }

    /// True if there is a backend with this address.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.contains_key(&order(ip))
    }

    /// Adds a backend, or replaces the one with its address.
    pub(super) fn insert(&mut self, host: Arc<Host>) {
        self.0.insert(order(host.ip), host);
    }

    /// Removes a backend.
    pub(super) fn remove(&mut self, ip: IpAddr) {
        self.0.remove(&order(ip));
    }

    /// All backends by address.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Host>> {
        self.0.values()
    }

    /// Number of backends.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True without backends.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The checksum by which directors compare their tables (spec/director.md 2.3).
    pub fn checksum(&self) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        for host in self.iter() {
            let state = u32::from(!host.up) ^ host.vhosts;
            crc.update(&state.to_le_bytes());
            crc.update(&address_hash(host.ip).to_le_bytes());
            crc.update(&host.tag);
        }
        crc.finalize().max(1)
    }
}

impl FromIterator<Host> for Hosts {
    fn from_iter<T: IntoIterator<Item = Host>>(hosts: T) -> Self {
        hosts.into_iter().map(Arc::new).collect()
    }
}

impl FromIterator<Arc<Host>> for Hosts {
    fn from_iter<T: IntoIterator<Item = Arc<Host>>>(hosts: T) -> Self {
        Self(hosts.into_iter().map(|host| (order(host.ip), host)).collect())
    }
}

fn address_hash(ip: IpAddr) -> u32 {
    match ip {
        IpAddr::V4(ip) => u32::from_le_bytes(ip.octets()),
        IpAddr::V6(ip) => ip.octets().iter().fold(0, |hash: u32, byte| {
            let hash = (hash << 4).wrapping_add(u32::from(*byte));
            let high = hash & 0xf000_0000;
            (hash ^ (high >> 24)) ^ high
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::director::core::tests::hosts_of_vector;

    #[test]
    fn all_checksum_vectors() {
        let table = include_str!("../../../tests/vectors/director_hosts_hash.tsv");
        let mut count = 0;
        for line in table.lines().skip(1) {
            let cells: Vec<_> = line.split('\t').collect();
            let hosts: Hosts = hosts_of_vector(cells[1]).into_iter().collect();
            assert_eq!(hosts.checksum().to_string(), cells[2], "{line}");
            count += 1;
        }
        assert_eq!(count, 11);
    }
}
