//! Version 2, binary. The `proxy-header` crate reads addresses and TLVs; the checks before it tell the log what is
//! wrong, and keep the crate to what a TCP service may get.

use proxy_header::{ParseConfig, ProxyHeader, SslInfo, Tlv};

use super::{Addresses, Header, Refusal, frame::V2_START};

/// The address families (`proxy-protocol.txt` 2.2).
mod family {
    pub(super) const UNSPECIFIED: u8 = 0;
    pub(super) const IPV4: u8 = 1;
    pub(super) const IPV6: u8 = 2;
    pub(super) const UNIX: u8 = 3;
}

/// Bytes of two IPv4 addresses and ports.
const IPV4_BYTES: usize = 12;
/// Bytes of two IPv6 addresses and ports.
const IPV6_BYTES: usize = 36;
/// The transport protocol TCP.
const STREAM: u8 = 1;

/// `header` is complete, and its version is 2.
pub(super) fn parse(header: &[u8]) -> Result<Header, Refusal> {
    let (start, fixed) = header.split_at_checked(V2_START.len()).ok_or(Refusal::NoHeader)?;
    let &[command, kind, high, low, ref payload @ ..] = fixed else { return Err(Refusal::NoHeader) };
    match command & 0x0f {
        // LOCAL: a health check of the sender; the rest is to be ignored.
        0 => return Ok(Header::default()),
        1 => {}
        other => return Err(Refusal::Command(other)),
    }
    if kind & 0x0f != STREAM {
        return Err(Refusal::NotTcp(kind & 0x0f));
    }
    let family = kind >> 4;
    let (kind, unsupported_family) = match family {
        family::IPV4 if payload.len() < IPV4_BYTES => return Err(Refusal::Incomplete("IPv4")),
        family::IPV6 if payload.len() < IPV6_BYTES => return Err(Refusal::Incomplete("IPv6")),
        family::IPV4 | family::IPV6 => (kind, None),
        // The crate knows this family only without a transport protocol.
        family::UNSPECIFIED => (0, Some(family)),
        family::UNIX => (kind, Some(family)),
        other => return Err(Refusal::Family(other)),
    };
    let header = [start, &[command, kind, high, low], payload].concat();
    Ok(Header { unsupported_family, ..parse_checked(&header)? })
}

fn parse_checked(header: &[u8]) -> Result<Header, Refusal> {
    let config = ParseConfig { include_tlvs: true, allow_v1: false, allow_v2: true };
    let (parsed, _) = ProxyHeader::parse(header, config).map_err(|_| Refusal::NoHeader)?;
    let addresses = parsed.proxied_address();
    let addresses = addresses.map(|a| Addresses { source: a.source, destination: a.destination });
    let mut found = Header { addresses, ..Header::default() };
    for tlv in parsed.tlvs() {
        match tlv.map_err(|_| Refusal::Tlv)? {
            Tlv::Authority(name) => found.authority = authority(&name)?,
            Tlv::Ssl(info) => found.tls = tls(&info)?,
            _ => {}
        }
    }
    Ok(found)
}

/// The name goes to the auth service and into the log, so it must be text. No host name has control characters.
fn authority(name: &str) -> Result<Option<String>, Refusal> {
    if name.chars().any(char::is_control) {
        return Err(Refusal::Tlv);
    }
    Ok(Some(name.to_owned()).filter(|name| !name.is_empty()))
}

/// Whether the client speaks TLS. The TLVs inside are not used, but must be whole.
fn tls(info: &SslInfo<'_>) -> Result<bool, Refusal> {
    if info.tlvs().any(|tlv| tlv.is_err()) {
        return Err(Refusal::Tlv);
    }
    Ok(info.client_ssl())
}
