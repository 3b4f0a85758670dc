//! The consistent hash ring: each usable backend has as many points as it has vhosts, and a user belongs to the
//! next point (spec/director.md 2.1).

use std::{collections::BTreeMap, net::IpAddr};

use super::{Host, UserHash, hash::first_word, hosts::order};

/// Points of all tags; no empty ones. A change of one backend computes the points of that one alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ring(BTreeMap<Vec<u8>, Vec<Point>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Point {
    at: u32,
    ip: IpAddr,
}

impl Ring {
    /// Builds the points of all usable hosts.
    pub fn of<'a>(hosts: impl IntoIterator<Item = &'a Host>) -> Self {
        let mut ring = Self::default();
        for host in hosts {
            ring.extend(host);
        }
        ring.0.values_mut().for_each(|points| sort(points));
        ring
    }

    /// Adds the points of a host that has none yet.
    pub(super) fn insert(&mut self, host: &Host) {
        self.extend(host);
        if let Some(points) = self.0.get_mut(&host.tag) {
            sort(points);
        }
    }

    /// Takes the points of a host away.
    pub(super) fn remove(&mut self, host: &Host) {
        if let Some(points) = self.0.get_mut(&host.tag) {
            points.retain(|point| point.ip != host.ip);
            if points.is_empty() {
                self.0.remove(&host.tag);
            }
        }
    }

    fn extend(&mut self, host: &Host) {
        if host.is_usable() {
            let points = self.0.entry(host.tag.clone()).or_default();
            points.extend((0..host.vhosts).map(|vhost| Point::of(host.ip, vhost)));
        }
    }

    /// True if users with this tag can be anywhere but there.
    pub(super) fn has_other(&self, tag: &[u8], ip: IpAddr) -> bool {
        self.0.get(tag).is_some_and(|points| points.iter().any(|point| point.ip != ip))
    }

    /// The backend of a user among the hosts with this tag; `None` if none of them is usable.
    pub fn lookup(&self, tag: &[u8], user: UserHash) -> Option<IpAddr> {
        let points = self.0.get(tag)?;
        let next = points.partition_point(|point| point.at < user.number());
        points.get(next).or_else(|| points.first()).map(|point| point.ip)
    }
}

/// Addresses decide between equal points.
fn sort(points: &mut [Point]) {
    points.sort_by_key(|point| (point.at, order(point.ip)));
}

impl Point {
    fn of(ip: IpAddr, vhost: u32) -> Self {
        Self { at: first_word(format!("{ip}-{vhost}").as_bytes()), ip }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::director::core::{Naming, UsernameFormat, tests::hosts_of_vector};

    #[test]
    fn all_host_vectors() {
        let table = include_str!("../../../tests/vectors/director_host_by_user.tsv");
        let format = UsernameFormat::parse("%Lu").unwrap();
        let naming = Naming { format, master_user_separator: None };
        let mut count = 0;
        for (number, line) in table.lines().enumerate().skip(1) {
            let cells: Vec<_> = line.split('\t').collect();
            let [_, hosts, tag, user, hash, hashed, initial] = cells[..] else {
                panic!("row {number}: {line}")
            };
            let user = naming.hash(user.as_bytes());
            assert_eq!(user.number().to_string(), hash, "row {number}");
            let hosts = hosts_of_vector(hosts);
            let found = |hosts: &[Host]| {
                let ip = Ring::of(hosts).lookup(tag.as_bytes(), user);
                ip.map(|ip| ip.to_string()).unwrap_or_default()
            };
            assert_eq!(found(&hosts), hashed, "row {number}: {line}");
            let fresh: Vec<_> = hosts.iter().map(|h| Host { up: true, vhosts: 100, ..h.clone() }).collect();
            assert_eq!(found(&fresh), initial, "row {number}: {line}");
            count += 1;
        }
        assert_eq!(count, 336);
    }

    #[test]
    fn all_point_vectors() {
        let table = include_str!("../../../tests/vectors/director_ring_points.tsv");
        let mut count = 0;
        for line in table.lines().skip(1) {
            let cells: Vec<_> = line.split('\t').collect();
            let point = Point::of(cells[0].parse().unwrap(), cells[1].parse().unwrap());
            assert_eq!(point.at.to_string(), cells[3], "{line}");
            count += 1;
        }
        assert_eq!(count, 20);
    }

    #[test]
    fn a_hash_on_a_point_belongs_to_it_and_the_ring_closes() {
        let hosts = hosts_of_vector("10.1.0.1=100,10.1.0.2=100,10.1.0.3=100");
        let ring = Ring::of(&hosts);
        let points = &ring.0[&b""[..]];
        for (point, next) in points.iter().zip(points.iter().cycle().skip(1)) {
            assert_eq!(ring.lookup(b"", UserHash::from_number(point.at)), Some(point.ip));
            assert_eq!(ring.lookup(b"", UserHash::from_number(point.at + 1)), Some(next.ip));
        }
    }

    #[test]
    fn removing_a_host_moves_only_its_users() {
        let hosts = hosts_of_vector("10.1.0.1=100,10.1.0.2=100,10.1.0.3=100");
        let (before, after) = (Ring::of(&hosts), Ring::of(&hosts[..2]));
        let mut moved = 0;
        for number in 1..5000_u32 {
            let user = UserHash::from_number(number.wrapping_mul(2_654_435_761).max(1));
            let (old, new) = (before.lookup(b"", user).unwrap(), after.lookup(b"", user).unwrap());
            if old == hosts[2].ip {
                moved += 1;
            } else {
                assert_eq!(old, new);
            }
        }
        assert!((800..2600).contains(&moved), "{moved} of 5000 were on the third host");
    }
}
