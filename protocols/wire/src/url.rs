//! Parts of URLs, as logins are referred to elsewhere by them.

use std::fmt::Write as _;

/// Percent-encodes everything that is not unreserved in a URL (RFC 3986 section 2.3), so that a user name
/// cannot leave its place in a referral.
pub fn url_encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(*byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_place_in_a_url() {
        assert_eq!(url_encode("al ice;@)\r\n".as_bytes()), "al%20ice%3B%40%29%0D%0A");
        assert_eq!(url_encode("j\u{fc}rgen".as_bytes()), "j%C3%BCrgen");
    }
}
