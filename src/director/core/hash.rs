//! The 32-bit user hash, bit for bit that of Dovecot 2.3 (spec/director.md 1.5).

use std::fmt;

use md5::{Digest, Md5};

use super::UsernameFormat;

/// A user as the director knows it. Users with equal hashes share one mapping, as in the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserHash(u32);

impl UserHash {
    /// The number.
    pub fn number(self) -> u32 {
        self.0
    }

    /// A hash without a name, as admin commands give it. 0 is nobody and becomes 1.
    pub fn from_number(number: u32) -> Self {
        Self(number.max(1))
    }
}

/// How names become hashes. Two logins of one user meet only if both went through the same rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naming {
    /// `director_username_hash`.
    pub format: UsernameFormat,
    /// `auth_master_user_separator`: names are cut at its first occurrence.
    pub master_user_separator: Option<char>,
}

impl Naming {
    /// Hashes a user name. 0 stands for no user elsewhere, so it becomes 1.
    pub fn hash(&self, user: &[u8]) -> UserHash {
        let name = without_master(user, self.master_user_separator);
        self.hash_whole(name)
    }

    /// Likewise, but without cutting: as login processes hash their sessions.
    pub fn hash_whole(&self, name: &[u8]) -> UserHash {
        UserHash::from_number(first_word(&self.format.expand(name)))
    }
}

impl fmt::Display for UserHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The first four bytes of the MD5 digest, big endian: places users and backends on the ring. MD5 is no
/// protection here; it spreads.
pub(super) fn first_word(bytes: &[u8]) -> u32 {
    let digest = Md5::digest(bytes);
    u32::from_be_bytes(std::array::from_fn(|i| digest.get(i).copied().unwrap_or(0)))
}

fn without_master(user: &[u8], separator: Option<char>) -> &[u8] {
    let Some(separator) = separator else { return user };
    let mut utf8 = [0; 4];
    let separator = separator.encode_utf8(&mut utf8).as_bytes();
    let at = user.windows(separator.len()).position(|window| window == separator);
    at.and_then(|at| user.get(..at)).unwrap_or(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(format: &str, master_user_separator: Option<char>) -> Naming {
        Naming { format: UsernameFormat::parse(format).unwrap(), master_user_separator }
    }

    #[test]
    fn dr_02_zero_becomes_one() {
        assert_eq!(UserHash::from_number(0), UserHash::from_number(1));
    }

    #[test]
    fn all_username_vectors() {
        let table = include_str!("../../../tests/vectors/director_username_hash.tsv");
        let mut count = 0;
        for (number, line) in table.lines().enumerate().skip(1) {
            let cells: Vec<_> = line.split('\t').collect();
            let [format, user, expected] = cells[..] else { panic!("row {number}: {line}") };
            let hash = naming(format, None).hash(user.as_bytes());
            assert_eq!(hash.number().to_string(), expected, "row {number}: {line}");
            count += 1;
        }
        assert_eq!(count, 248);
    }

    #[test]
    fn master_suffixes_are_cut() {
        let hash = |user: &str, separator| naming("%Lu", separator).hash(user.as_bytes());
        assert_eq!(hash("foo*master", Some('*')), hash("foo", None));
        assert_eq!(hash("foo*a*b", Some('*')), hash("foo", None));
        assert_eq!(hash("foo", Some('*')), hash("foo", None));
        assert_ne!(hash("foo*master", None), hash("foo", None));
    }
}
