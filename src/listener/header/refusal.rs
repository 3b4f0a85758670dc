//! Why a connection is dropped for its PROXY header, and Dovecot's words for it.

use std::{io, net::IpAddr};

/// Why no header was read. Texts from the peer have been through `printable`.
#[derive(Debug)]
pub(in crate::listener) enum Refusal {
    /// The header was not complete in time.
    TimedOut,
    /// The sender ended the connection before.
    Gone(io::Error),
    /// These bytes are no header.
    NoHeader,
    /// Longer than the limits.
    TooLong,
    /// Not version 2, though it begins so.
    Version(u8),
    /// Version 2: neither LOCAL nor PROXY.
    Command(u8),
    /// Version 2: another transport protocol than TCP.
    NotTcp(u8),
    /// Version 2: fewer bytes than addresses of the named family have.
    Incomplete(&'static str),
    /// Version 2: a family that does not exist.
    Family(u8),
    /// Version 2: a field behind the addresses is cut off or malformed.
    Tlv,
    /// Version 1: neither UNKNOWN, TCP4 nor TCP6.
    Protocol(String),
    /// Version 1: no address of the remote or local side.
    NoAddress(&'static str),
    /// Version 1: a bad address, or one of another family.
    Address(&'static str, String),
    /// Version 1: no port of the remote or local side.
    NoPort(&'static str),
    /// Version 1: a bad port.
    Port(&'static str, String),
    /// Version 1: a field behind the last.
    Surplus(String),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

impl Refusal {
    /// The line for the log; `rip` is the sender of the header. The spelling is Dovecot's: filters match it.
    pub(in crate::listener) fn line(&self, rip: IpAddr) -> String {
        let text = match self {
            Self::TimedOut => ": Client timed out (".to_owned(),
            Self::Gone(error) => return format!("haproxy: Client disconnected (rip={rip}): {error}"),
            Self::NoHeader => dropped("", "Failed to read valid HAproxy data ("),
            Self::TooLong => dropped("", "Too long header ("),
            Self::Version(version) => {
                dropped("", &format!("Unsupported protocol version (version={version:02x}, "))
            }
            Self::Command(command) => dropped("(v2)", &format!("Invalid command (cmd={command:02x}, ")),
            Self::NotTcp(kind) => dropped("(v2)", &format!("Not using TCP (type={kind:02x}, ")),
            Self::Incomplete(family) => dropped("(v2)", &format!("{family} data is incomplete (")),
            Self::Family(family) => {
                dropped("(v2)", &format!("Unknown address family (family={family:02x}, "))
            }
            Self::Tlv => dropped("(v2)", "Invalid TLV: Truncated data (cmd=01, "),
            Self::Protocol(word) => {
                dropped("(v1)", &format!("Unknown proxied protocol (protocol=`{word}', "))
            }
            Self::NoAddress(side) => {
                dropped("(v1)", &format!("Field for proxied {side} address is missing ("))
            }
            Self::Address(side, word) => {
                dropped("(v1)", &format!("Proxied {side} address is invalid (address=`{word}', "))
            }
            Self::NoPort(side) => dropped("(v1)", &format!("Field for proxied {side} port is missing (")),
            Self::Port(side, word) => {
                dropped("(v1)", &format!("Proxied {side} port is invalid (port=`{word}', "))
            }
            Self::Surplus(word) => {
                dropped("(v1)", &format!("Header line has spurius extra field (field=`{word}', "))
            }
        };
        format!("haproxy{text}rip={rip})")
    }
}

fn dropped(version: &str, why: &str) -> String {
    format!("{version}: Client disconnected: {why}")
}
