//! Base64 with the padding rules of RFC 4648 section 4, as SASL uses it.

use base64::{Engine, engine::general_purpose::STANDARD};

/// Encodes with padding.
pub fn encode_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes; `None` for anything that is not complete, padded base64.
pub fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// True if only characters of the base64 alphabet and `=` occur. Says nothing about padding.
pub fn is_base64(text: &[u8]) -> bool {
    text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        assert_eq!(encode_base64(b"\0alice\0pw"), "AGFsaWNlAHB3");
        assert_eq!(decode_base64(b"AGFsaWNlAHB3").unwrap(), b"\0alice\0pw");
        assert!(decode_base64(b"!!!").is_none());
        assert!(!is_base64(b"a b"));
    }
}
