//! The lines a server sends first (spec/auth-protocol.md 2.1, 2.4). Knows no requests.

use std::sync::Arc;

use homing_login::Mechanism;
use homing_wire::{printable, tab};

use crate::{ProtocolError, client::MECHANISMS_MAX};

/// Major version of the protocol.
const MAJOR: &[u8] = b"1";

/// What has been told so far.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    version: bool,
    cookie: bool,
    mechanisms: Vec<Mechanism>,
}

impl Opening {
    /// Takes one line without its line end; gives the mechanisms once the opening is complete.
    pub(crate) fn take(&mut self, line: &[u8]) -> Result<Option<Arc<[Mechanism]>>, ProtocolError> {
        let mut words = tab::split(line);
        let word = words.next().unwrap_or_default();
        let rest: Vec<_> = words.collect();
        if !self.version {
            let compatible = &*word == b"VERSION" && rest.first().is_some_and(|major| &**major == MAJOR);
            self.version = true;
            return if compatible { Ok(None) } else { Err(ProtocolError::Incompatible) };
        }
        let first = rest.first().map(|field| &**field).unwrap_or_default();
        match &*word {
            b"MECH" => self.mechanism(first, rest.iter().skip(1).map(|flag| &**flag))?,
            b"SPID" => number(first, "SPID")?,
            b"CUID" => number(first, "CUID")?,
            b"COOKIE" if first.is_empty() || self.cookie => return Err(ProtocolError::BrokenCookie),
            b"COOKIE" => self.cookie = true,
            b"DONE" => return self.done().map(Some),
            other => return Err(ProtocolError::UnknownOpening(printable(other))),
        }
        Ok(None)
    }

    fn mechanism<'a>(
        &mut self,
        name: &[u8],
        flags: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), ProtocolError> {
        // Names go into capability lines, so they must be what RFC 4422 section 3.1 allows, in any case.
        let clean = name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        let name = std::str::from_utf8(name).ok().filter(|name| clean && !name.is_empty());
        let name = name.ok_or(ProtocolError::BrokenMech)?.to_owned();
        if self.mechanisms.len() >= MECHANISMS_MAX {
            return Err(ProtocolError::TooManyMechs);
        }
        let mut mechanism = Mechanism { name, private: false, anonymous: false, plaintext: false };
        for flag in flags {
            match flag {
                b"private" => mechanism.private = true,
                b"anonymous" => mechanism.anonymous = true,
                b"plaintext" => mechanism.plaintext = true,
                _ => {}
            }
        }
        self.mechanisms.push(mechanism);
        Ok(())
    }

    fn done(&mut self) -> Result<Arc<[Mechanism]>, ProtocolError> {
        if self.mechanisms.is_empty() {
            return Err(ProtocolError::NoMechs);
        }
        if !self.cookie {
            return Err(ProtocolError::NoCookie);
        }
        Ok(std::mem::take(&mut self.mechanisms).into())
    }
}

fn number(field: &[u8], word: &'static str) -> Result<(), ProtocolError> {
    let number = std::str::from_utf8(field).ok().and_then(|text| text.parse::<u32>().ok());
    number.map(drop).ok_or(ProtocolError::BrokenNumber(word))
}
