//! PLAIN messages: made from LOGIN and USER/PASS commands, and read by the embedded authenticator.

use homing_wire::{Secret, encode_base64};
use zeroize::Zeroizing;

/// The parts of a PLAIN message (RFC 4616 section 2).
#[derive(Debug, PartialEq, Eq)]
pub struct PlainMessage {
    /// Whom to act as; empty: as `authcid`.
    pub authzid: Vec<u8>,
    /// Who authenticates.
    pub authcid: Vec<u8>,
    /// The password.
    pub password: Secret,
}

/// Base64 of NUL user NUL password: how LOGIN and USER/PASS reach the auth service.
pub fn plain_message(user: &[u8], password: &[u8]) -> Secret {
    let raw = Zeroizing::new([b"\0", user, b"\0", password].concat());
    Secret::new(encode_base64(&raw).into_bytes())
}

/// Splits a decoded PLAIN message; `None` unless it has exactly two NULs and a non-empty authcid.
pub fn parse_plain(message: &[u8]) -> Option<PlainMessage> {
    let mut parts = message.split(|b| *b == 0);
    let (authzid, authcid, password) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || authcid.is_empty() {
        return None;
    }
    Some(PlainMessage {
        authzid: authzid.to_vec(),
        authcid: authcid.to_vec(),
        password: Secret::from(password),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_becomes_plain() {
        assert_eq!(plain_message(b"alice", b"alicepw").expose(), b"AGFsaWNlAGFsaWNlcHc=");
    }

    #[test]
    fn parsing_is_strict() {
        let message = parse_plain(b"z\0c\0p").unwrap();
        assert_eq!((&*message.authzid, &*message.authcid), (&b"z"[..], &b"c"[..]));
        for bad in [&b"a\0b"[..], b"a\0b\0c\0d", b"", b"\0\0p"] {
            assert!(parse_plain(bad).is_none());
        }
    }

    #[test]
    fn any_message_is_split_into_what_it_was_made_of() {
        bolero::check!().with_type::<Vec<u8>>().for_each(|message| {
            let Some(plain) = parse_plain(message) else { return };
            let parts = [&plain.authzid[..], b"\0", &plain.authcid, b"\0", plain.password.expose()];
            assert_eq!(parts.concat(), *message);
        });
    }

    #[test]
    fn what_is_made_can_be_read() {
        bolero::check!().with_type::<(Vec<u8>, Vec<u8>)>().for_each(|(user, password)| {
            let message = homing_wire::decode_base64(plain_message(user, password).expose()).unwrap();
            let read = parse_plain(&message);
            let clean = !user.is_empty() && !user.contains(&0) && !password.contains(&0);
            assert_eq!(read.is_some(), clean);
            if let Some(read) = read {
                assert_eq!((read.authzid, read.authcid), (Vec::new(), user.clone()));
                assert_eq!(read.password.expose(), password);
            }
        });
    }
}
