//! What can be loaded: Homing's own dump, what `doveadm director dump` and `doveadm director map` print, and lists of
//! `USER ADDRESS`. Every line is understood, or none is used. It knows nothing of the director they go to.

use std::{collections::BTreeMap, net::IpAddr};

use homing_doveadm::UserHash;
use homing_wire::{printable, tab};

use crate::cli::director::dump::HEADER;

/// One line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// A backend as it should be.
    Host(HostItem),
    /// A backend that should not be.
    Removed(IpAddr),
    /// A user and where.
    User(UserItem),
}

/// A backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostItem {
    pub(super) ip: IpAddr,
    pub(super) tag: Vec<u8>,
    pub(super) vhosts: u32,
    /// Not said by `doveadm director dump`.
    pub(super) up: Option<bool>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UserItem {
    pub(super) who: Who,
    pub(super) ip: IpAddr,
    /// Target of a move under way.
    pub(super) to: Option<IpAddr>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    Hash(UserHash),
    Name(Vec<u8>),
}

/// What is in a file, by number of line; or the lines that are not understood.
pub(super) type Parsed = Result<BTreeMap<usize, Item>, Vec<(usize, String)>>;

/// Reads a file.
pub(super) fn parse(text: &[u8]) -> Parsed {
    let lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut lines = (1..).zip(lines).peekable();
    let is_ours = lines.next_if(|(_, line)| *line == HEADER.as_bytes()).is_some();
    let (mut items, mut bad) = (BTreeMap::new(), Vec::new());
    for (number, line) in lines {
        if line.trim_ascii().is_empty() || line.starts_with(b"#") {
            continue;
        }
        match if is_ours { own(line).map(Some) } else { foreign(line) } {
            Some(item) => items.extend(item.map(|item| (number, item))),
            None => bad.push((number, printable(line))),
        }
    }
    if bad.is_empty() { Ok(items) } else { Err(bad) }
}

/// A line of Homing's dump. Keys of a later version are passed over.
fn own(line: &[u8]) -> Option<Item> {
    let fields: Vec<_> = tab::split(line).map(|field| field.into_owned()).collect();
    let value = |key: &str| fields.iter().find_map(|field| field.strip_prefix(key.as_bytes()));
    let text = |at: usize| fields.get(at).and_then(|field| std::str::from_utf8(field).ok());
    let ip = text(1).and_then(|ip| ip.parse().ok());
    Some(match text(0)? {
        "host" => Item::Host(HostItem {
            ip: ip?,
            tag: value("tag=").unwrap_or_default().to_vec(),
            vhosts: text(2)?.parse().ok()?,
            up: match text(3)? {
                "up" => Some(true),
                "down" => Some(false),
                _ => return None,
            },
        }),
        "removed" => Item::Removed(ip?),
        "user" => {
            let to = match value("to=") {
                Some(to) => Some(std::str::from_utf8(to).ok()?.parse().ok()?),
                None => None,
            };
            Item::User(UserItem { who: Who::Hash(hash(text(1)?)?), ip: text(2)?.parse().ok()?, to })
        }
        _ => return None,
    })
}

/// `Some(None)`: a line that says nothing, as the titles of a table.
fn foreign(line: &[u8]) -> Option<Option<Item>> {
    let text = std::str::from_utf8(line).ok();
    let words: Vec<_> = text.map(|text| text.split_whitespace().collect()).unwrap_or_default();
    match words.as_slice() {
        ["doveadm", "director", command @ ("add" | "remove"), rest @ ..] => {
            command_line(command, rest).map(Some)
        }
        ["user", "hash", "mail", "server", "ip", ..] => Some(None),
        _ => map_line(line).map(Some),
    }
}

/// `add [-a SOCKET] IP[@TAG] [VHOSTS]` and `remove [-a SOCKET] IP`.
fn command_line(command: &str, words: &[&str]) -> Option<Item> {
    let words = match words {
        ["-a", _, rest @ ..] => rest,
        words => words,
    };
    match (command, words) {
        ("add", [host, rest @ ..]) => {
            let (ip, tag) = host.split_once('@').unwrap_or((host, ""));
            let vhosts = match rest {
                [] => 100,
                [vhosts] => vhosts.parse().ok()?,
                _ => return None,
            };
            Some(Item::Host(HostItem { ip: ip.parse().ok()?, tag: tag.into(), vhosts, up: None }))
        }
        ("remove", [ip]) => Some(Item::Removed(ip.parse().ok()?)),
        _ => None,
    }
}

/// `USER HASH IP DATE TIME`, where a name may have spaces; `USER IP` or `HASH IP`.
fn map_line(line: &[u8]) -> Option<Item> {
    let mut words = Words(line);
    let mut ip = words.last()?;
    if is_of(ip, b':') {
        // A time, and a date before it.
        words.last().filter(|date| is_of(date, b'-'))?;
        ip = words.last()?;
    }
    let ip = std::str::from_utf8(ip).ok()?.parse().ok()?;
    let (before, mut name) = (words.last()?, words);
    let number = std::str::from_utf8(before).ok().and_then(hash);
    let who = match (name.last().is_some(), number) {
        (_, Some(hash)) => Who::Hash(hash),
        (false, None) => Who::Name(before.to_vec()),
        (true, None) => return None,
    };
    Some(Item::User(UserItem { who, ip, to: None }))
}

/// Digits and separators.
fn is_of(word: &[u8], separator: u8) -> bool {
    word.contains(&separator)
        && word.iter().filter(|byte| **byte == separator).count() == 2
        && word.iter().all(|byte| byte.is_ascii_digit() || *byte == separator)
        && word.first().is_some_and(u8::is_ascii_digit)
}

/// A decimal number that is somebody's.
fn hash(text: &str) -> Option<UserHash> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|hash| digits && *hash > 0).map(UserHash)
}

/// Words from the right.
#[derive(Clone, Copy)]
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn last(&mut self) -> Option<&'a [u8]> {
        let text = self.0.trim_ascii_end();
        let start = text.iter().rposition(u8::is_ascii_whitespace).map_or(0, |at| at + 1);
        let (rest, word) = text.split_at_checked(start)?;
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::director::dump::tests::sample;

    fn ip(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    fn user(who: Who, last: u8) -> Item {
        Item::User(UserItem { who, ip: ip(last), to: None })
    }

    fn items(text: &str) -> Vec<(usize, Item)> {
        parse(text.as_bytes()).unwrap().into_iter().collect()
    }

    #[test]
    fn own_dumps_are_read() {
        let host = |last, tag: &str| {
            Item::Host(HostItem { ip: ip(last), tag: tag.into(), vhosts: 50, up: Some(false) })
        };
        let moving = UserItem { who: Who::Hash(UserHash(5)), ip: ip(1), to: Some(ip(2)) };
        let expected = [
            (2, host(1, "")),
            (3, host(2, "e\tu")),
            (4, Item::Removed(ip(3))),
            (5, Item::User(moving)),
            (6, user(Who::Hash(UserHash(6)), 1)),
        ];
        assert_eq!(items(&sample()), expected);
    }

    /// As doveadm 2.3.19.1 prints them (spec/director.md 6.3).
    #[test]
    fn dumps_and_maps_of_dovecot_are_read() {
        let text = "doveadm director add 10.0.0.1 100\ndoveadm director add -a /s 10.0.0.2@blue 0\n\
                    doveadm director remove 10.0.0.3 \n\n# who is where\n\
                    user      hash       mail server ip expire time\n\
                    user 1    2898073819 10.0.0.1       2026-11-23 13:33:32\n\
                    <unknown> 7          10.0.0.2       2026-11-23 13:33:32\r\n\
                    alice 10.0.0.1\n8 10.0.0.2\nu@x\t9\t10.0.0.1\t2026-11-23 13:33:32\n";
        let host = |last, tag: &str, vhosts| {
            Item::Host(HostItem { ip: ip(last), tag: tag.into(), vhosts, up: None })
        };
        let hash = |hash| Who::Hash(UserHash(hash));
        let expected = [
            (1, host(1, "", 100)),
            (2, host(2, "blue", 0)),
            (3, Item::Removed(ip(3))),
            (7, user(hash(2_898_073_819), 1)),
            (8, user(hash(7), 2)),
            (9, user(Who::Name(b"alice".to_vec()), 1)),
            (10, user(hash(8), 2)),
            (11, user(hash(9), 1)),
        ];
        assert_eq!(items(text), expected);
    }

    #[test]
    fn lines_that_are_not_understood_are_all_told() {
        let bad =
            parse(b"alice 10.0.0.1\nalice\nbob builder 10.0.0.1\nx 10.0.0.300\nrm -rf /\n").unwrap_err();
        let numbers: Vec<_> = bad.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [2, 3, 4, 5]);
        assert_eq!(bad[0].1, "alice");
        let bad = parse(format!("{HEADER}\nuser\t0\t10.0.0.1\nhost\t10.0.0.1\t5\nweather\n").as_bytes());
        assert_eq!(bad.unwrap_err().len(), 3);
    }

    #[test]
    fn any_text_is_read_or_refused() {
        bolero::check!().for_each(|text: &[u8]| {
            let _ = parse(text);
            let _ = parse(&[HEADER.as_bytes(), b"\n", text].concat());
        });
    }
}
