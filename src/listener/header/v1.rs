//! Version 1: `PROXY TCP4 SOURCE DESTINATION SPORT DPORT`. Split here and not by the `proxy-header` crate, since
//! the log names the field that is wrong, and the crate takes `+1` for a port and `UNKNOWNx` for `UNKNOWN`.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use homing_wire::printable;

use super::{Addresses, Header, Refusal, frame::V1_START};

/// `header` is a line from `PROXY ` to CRLF.
pub(super) fn parse(header: &[u8]) -> Result<Header, Refusal> {
    let line = header.strip_prefix(V1_START).and_then(|rest| rest.strip_suffix(b"\r\n"));
    let line = line.and_then(|line| str::from_utf8(line).ok()).ok_or(Refusal::NoHeader)?;
    let mut fields = line.split(' ');
    let addresses = match fields.next().unwrap_or_default() {
        // Whatever follows is to be ignored.
        "UNKNOWN" => None,
        "TCP4" => Some(addresses::<Ipv4Addr>(fields)?),
        "TCP6" => Some(addresses::<Ipv6Addr>(fields)?),
        other => return Err(Refusal::Protocol(printable(other.as_bytes()))),
    };
    Ok(Header { addresses, ..Header::default() })
}

fn addresses<'a, Ip>(mut fields: impl Iterator<Item = &'a str>) -> Result<Addresses, Refusal>
where
    Ip: FromStr + Into<IpAddr>,
{
    let source: IpAddr = address::<Ip>(fields.next(), "remote")?;
    let destination: IpAddr = address::<Ip>(fields.next(), "local")?;
    let source = SocketAddr::new(source, port(fields.next(), "remote")?);
    let destination = SocketAddr::new(destination, port(fields.next(), "local")?);
    match fields.next() {
        None => Ok(Addresses { source, destination }),
        Some(extra) => Err(Refusal::Surplus(printable(extra.as_bytes()))),
    }
}

fn address<Ip: FromStr + Into<IpAddr>>(field: Option<&str>, side: &'static str) -> Result<IpAddr, Refusal> {
    let field = field.ok_or(Refusal::NoAddress(side))?;
    let parsed = field.parse::<Ip>().map(Into::into);
    parsed.map_err(|_| Refusal::Address(side, printable(field.as_bytes())))
}

/// Not 0, and digits only.
fn port(field: Option<&str>, side: &'static str) -> Result<u16, Refusal> {
    let field = field.ok_or(Refusal::NoPort(side))?;
    let digits = field.bytes().all(|b| b.is_ascii_digit());
    let port = field.parse().ok().filter(|port| digits && *port != 0);
    port.ok_or_else(|| Refusal::Port(side, printable(field.as_bytes())))
}
