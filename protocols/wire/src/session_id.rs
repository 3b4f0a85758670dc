//! The id that follows one client connection through proxies, logs and auth requests.

use std::{fmt, net::SocketAddr};

use crate::encode_base64;

/// Longest id accepted from a trusted proxy, in bytes (spec/login-proxy.md 3.5).
const SESSION_ID_BYTES_MAX: usize = 64;

/// A session id: 1 to 64 printable ASCII characters without space, `<`, `>` or `"`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(Box<str>);

impl SessionId {
    /// Makes the id of a new connection: base64 of the low 48 bits of `micros` (microseconds since the
    /// epoch, little endian), the client's port (little endian) and the client's address
    /// (spec/login-proxy.md 3.5). The caller passes a different `micros` for every connection.
    pub fn generate(micros: u64, client: SocketAddr) -> Self {
        let mut raw = Vec::with_capacity(24);
        raw.extend_from_slice(micros.to_le_bytes().get(..6).unwrap_or_default());
        raw.extend_from_slice(&client.port().to_le_bytes());
        match client.ip() {
            std::net::IpAddr::V4(ip) => raw.extend_from_slice(&ip.octets()),
            std::net::IpAddr::V6(ip) => raw.extend_from_slice(&ip.octets()),
        }
        Self(encode_base64(&raw).into_boxed_str())
    }

    /// Takes an id received from a trusted proxy; `None` if it is empty, too long or has characters that
    /// could break a log line.
    pub fn received(bytes: &[u8]) -> Option<Self> {
        let fits = !bytes.is_empty() && bytes.len() <= SESSION_ID_BYTES_MAX;
        let clean = bytes.iter().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'"' | b'\\'));
        (fits && clean).then(|| Self(String::from_utf8_lossy(bytes).into_owned().into_boxed_str()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_ids_have_the_reference_layout() {
        let id = SessionId::generate(0x0102_0304_0506, "127.0.77.100:36213".parse().unwrap());
        assert_eq!(id.as_str().len(), 16);
        assert!(id.as_str().ends_with("/AE1k"), "{id}");
    }

    #[test]
    fn received_ids_are_bounded_and_clean() {
        assert!(SessionId::received(b"abc").is_some());
        assert!(SessionId::received(&[b'a'; 64]).is_some());
        assert!(SessionId::received(&[b'a'; 65]).is_none());
        for bad in [&b""[..], b"a b", b"a>b", b"a\nb", b"a\"b", b"\xc3\xa4"] {
            assert!(SessionId::received(bad).is_none(), "{bad:?}");
        }
    }
}
