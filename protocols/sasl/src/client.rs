//! The client side of SASL towards backends (spec/login-proxy.md 8.1.5).

use homing_wire::Secret;
use thiserror::Error;

/// Mechanisms this side can do, as `proxy_mech` may name them.
pub const CLIENT_MECHANISMS: &[&str] = &["PLAIN", "LOGIN", "EXTERNAL", "XOAUTH2", "OAUTHBEARER"];

/// Why an exchange cannot go on, in the reference's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SaslError {
    /// The server asked for more than the mechanism has.
    #[error("Server didn't finish authentication")]
    UnexpectedChallenge,
    /// The server says something before a mechanism in which the client speaks first, whose first challenge is
    /// empty (RFC 4422 section 5, RFC 3501 section 6.2.2).
    #[error("Server sent non-empty initial response")]
    NonEmptyInitial,
}

/// One exchange. Responses are raw bytes; base64 is the dialect's business.
#[derive(Debug)]
pub struct ClientMechanism {
    name: &'static str,
    initial: Option<Secret>,
    later: Vec<Secret>,
}

impl ClientMechanism {
    /// Starts `name` (upper case). `authid` authenticates with `password` on behalf of `authzid`.
    /// `None` for a mechanism not in [`CLIENT_MECHANISMS`].
    pub fn start(name: &str, authzid: &[u8], authid: &[u8], password: &Secret) -> Option<Self> {
        let name = *CLIENT_MECHANISMS.iter().find(|m| **m == name)?;
        let token = password.expose();
        let (initial, later) = match name {
            "PLAIN" => (Some([authzid, b"\0", authid, b"\0", token].concat()), Vec::new()),
            // Answered in order: user name, then password. Stored in reverse.
            "LOGIN" => (None, vec![Secret::from(token), Secret::from(authid)]),
            "EXTERNAL" => (Some(authzid.to_vec()), Vec::new()),
            "XOAUTH2" => {
                (Some([b"user=", authid, b"\x01auth=Bearer ", token, b"\x01\x01"].concat()), Vec::new())
            }
            _ => (
                Some([b"n,a=", &saslname(authid)[..], b",\x01auth=Bearer ", token, b"\x01\x01"].concat()),
                Vec::new(),
            ),
        };
        Some(Self { name, initial: initial.map(Secret::new), later })
    }

    /// The mechanism's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The initial response, once; `None` if the mechanism has none or it was taken.
    pub fn take_initial(&mut self) -> Option<Secret> {
        self.initial.take()
    }

    /// Answers a challenge. An untaken initial response answers the first one, which must be empty then.
    pub fn respond(&mut self, challenge: &[u8]) -> Result<Secret, SaslError> {
        if self.initial.is_some() && !challenge.is_empty() {
            return Err(SaslError::NonEmptyInitial);
        }
        self.initial.take().or_else(|| self.later.pop()).ok_or(SaslError::UnexpectedChallenge)
    }
}

/// `=` and `,` are escaped in the GS2 header (RFC 5801 section 4).
fn saslname(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    for byte in name {
        match byte {
            b'=' => out.extend_from_slice(b"=3D"),
            b',' => out.extend_from_slice(b"=2C"),
            other => out.push(*other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(name: &str) -> ClientMechanism {
        ClientMechanism::start(name, b"user", b"master", &Secret::from("pw")).unwrap()
    }

    #[test]
    fn initial_responses() {
        assert_eq!(start("PLAIN").take_initial().unwrap().expose(), b"user\0master\0pw");
        assert_eq!(start("EXTERNAL").take_initial().unwrap().expose(), b"user");
        assert_eq!(
            start("XOAUTH2").take_initial().unwrap().expose(),
            b"user=master\x01auth=Bearer pw\x01\x01"
        );
        assert_eq!(
            start("OAUTHBEARER").take_initial().unwrap().expose(),
            b"n,a=master,\x01auth=Bearer pw\x01\x01"
        );
        assert!(ClientMechanism::start("FOO", b"", b"", &Secret::from("")).is_none());
    }

    #[test]
    fn login_answers_twice_and_then_no_more() {
        let mut login = start("LOGIN");
        assert!(login.take_initial().is_none());
        assert_eq!(login.respond(b"Username:").unwrap().expose(), b"master");
        assert_eq!(login.respond(b"Password:").unwrap().expose(), b"pw");
        assert_eq!(login.respond(b""), Err(SaslError::UnexpectedChallenge));
    }

    #[test]
    fn an_untaken_initial_response_answers_the_first_challenge() {
        let mut plain = start("PLAIN");
        assert!(plain.respond(b"").is_ok());
        assert_eq!(plain.respond(b""), Err(SaslError::UnexpectedChallenge));
    }

    #[test]
    fn a_client_that_speaks_first_is_not_asked_anything() {
        for name in ["PLAIN", "EXTERNAL", "XOAUTH2", "OAUTHBEARER"] {
            assert_eq!(start(name).respond(b"x"), Err(SaslError::NonEmptyInitial), "{name}");
            assert!(start(name).respond(b"").is_ok(), "{name}");
        }
    }
}
