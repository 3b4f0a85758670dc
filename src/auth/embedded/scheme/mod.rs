//! Stored passwords: `{SCHEME.encoding}value`, as Dovecot writes them. What each hash means is the libraries'
//! business. Knows no users.

mod digest;

use argon2::Argon2;
use homing_wire::{Secret, decode_base64};
use sha_crypt::{
    PasswordVerifier, ShaCrypt,
    password_hash::{Error, Result as HashResult},
};
use subtle::ConstantTimeEq;
use thiserror::Error;
use yescrypt::Yescrypt;
use zeroize::Zeroizing;

use digest::{Algorithm, Digest};

/// Longest password given to a hash, in bytes: what libxcrypt takes. The cost of SHA-crypt grows with the square of
/// the length.
const HASHED_PASSWORD_BYTES_MAX: usize = 512;

/// How a password is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Plain,
    /// Whatever crypt(3) format the value has.
    Crypt,
    Sha256Crypt,
    Sha512Crypt,
    BlfCrypt,
    Argon2,
    Digest(Digest),
}

/// How the value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    /// As the scheme usually has it.
    Usual,
    Base64,
    Hex,
}

/// A stored password, taken apart.
#[derive(Clone, Copy)]
pub(super) struct Stored<'a> {
    scheme: Scheme,
    encoding: Encoding,
    value: &'a [u8],
}

/// Why it cannot be said whether a password is right. Says nothing about the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum SchemeError {
    #[error("stored password has a crypt format that is not supported (DES, MD5 and the like are not)")]
    Unsupported,
    #[error("stored password is not valid for its scheme")]
    Malformed,
}

impl Scheme {
    /// Finds a scheme by its name in any case.
    pub(super) fn parse(name: &[u8]) -> Option<Self> {
        let digest = |algorithm, salted, hex| Self::Digest(Digest { algorithm, salted, hex });
        Some(match name.to_ascii_uppercase().as_slice() {
            b"PLAIN" | b"CLEAR" | b"CLEARTEXT" => Self::Plain,
            b"CRYPT" => Self::Crypt,
            b"SHA256-CRYPT" => Self::Sha256Crypt,
            b"SHA512-CRYPT" => Self::Sha512Crypt,
            b"BLF-CRYPT" => Self::BlfCrypt,
            b"ARGON2I" | b"ARGON2ID" => Self::Argon2,
            b"PLAIN-MD5" => digest(Algorithm::Md5, false, true),
            b"LDAP-MD5" => digest(Algorithm::Md5, false, false),
            b"SMD5" => digest(Algorithm::Md5, true, false),
            b"SHA" | b"SHA1" => digest(Algorithm::Sha1, false, false),
            b"SSHA" => digest(Algorithm::Sha1, true, false),
            b"SHA256" => digest(Algorithm::Sha256, false, false),
            b"SSHA256" => digest(Algorithm::Sha256, true, false),
            b"SHA512" => digest(Algorithm::Sha512, false, false),
            b"SSHA512" => digest(Algorithm::Sha512, true, false),
            _ => return None,
        })
    }
}

impl<'a> Stored<'a> {
    /// Takes `{SCHEME.encoding}value` apart; `default` without braces. `None` for an unknown scheme or encoding.
    pub(super) fn parse(stored: &'a [u8], default: Scheme) -> Option<Self> {
        let braced = stored.strip_prefix(b"{").and_then(|rest| {
            let end = rest.iter().position(|b| *b == b'}')?;
            Some((rest.get(..end)?, rest.get(end + 1..)?))
        });
        let Some((name, value)) = braced else {
            return Some(Self { scheme: default, encoding: Encoding::Usual, value: stored });
        };
        let mut parts = name.splitn(2, |b| *b == b'.');
        let scheme = Scheme::parse(parts.next()?)?;
        let encoding = match parts.next().map(<[u8]>::to_ascii_uppercase).as_deref() {
            None => Encoding::Usual,
            Some(b"B64" | b"BASE64") => Encoding::Base64,
            Some(b"HEX") => Encoding::Hex,
            Some(_) => return None,
        };
        Some(Self { scheme, encoding, value })
    }

    /// True if there is no password at all.
    pub(super) fn is_empty(&self) -> bool {
        self.value.is_empty()
    }

    /// Compares; an empty stored password fits none. Takes its time.
    pub(super) fn verify(&self, password: &Secret) -> Result<bool, SchemeError> {
        if self.is_empty() {
            return Ok(false);
        }
        let given = password.expose();
        let too_long = given.len() > HASHED_PASSWORD_BYTES_MAX;
        match self.scheme {
            Scheme::Digest(digest) => digest.verify(&self.bytes(digest.usual(self.value))?, given),
            Scheme::Plain => Ok(self.text()?.ct_eq(given).into()),
            _ if too_long => Ok(false),
            _ => {
                let text = self.text()?;
                let hash = std::str::from_utf8(&text).map_err(|_| SchemeError::Malformed)?;
                self.verify_crypt(hash, given)
            }
        }
    }

    fn verify_crypt(&self, hash: &str, given: &[u8]) -> Result<bool, SchemeError> {
        let kind = hash.split('$').nth(1).unwrap_or_default();
        let crypt = self.scheme == Scheme::Crypt;
        match (self.scheme, kind) {
            (Scheme::Sha256Crypt | Scheme::Crypt, "5") | (Scheme::Sha512Crypt | Scheme::Crypt, "6") => {
                outcome(ShaCrypt::default().verify_password(given, hash))
            }
            (Scheme::BlfCrypt | Scheme::Crypt, "2a" | "2b" | "2y") => {
                bcrypt::verify(given, hash).map_err(|_| SchemeError::Malformed)
            }
            (Scheme::Argon2 | Scheme::Crypt, "argon2i" | "argon2id") => {
                outcome(Argon2::default().verify_password(given, hash))
            }
            (Scheme::Crypt, "y") => outcome(Yescrypt::default().verify_password(given, hash)),
            _ if crypt => Err(SchemeError::Unsupported),
            _ => Err(SchemeError::Malformed),
        }
    }

    /// The value of schemes that are written as text.
    fn text(&self) -> Result<Zeroizing<Vec<u8>>, SchemeError> {
        match self.encoding {
            Encoding::Usual => Ok(Zeroizing::new(self.value.to_vec())),
            encoding => self.bytes(encoding),
        }
    }

    fn bytes(&self, usual: Encoding) -> Result<Zeroizing<Vec<u8>>, SchemeError> {
        let encoding = if self.encoding == Encoding::Usual { usual } else { self.encoding };
        let bytes = match encoding {
            Encoding::Hex => hex(self.value),
            _ => decode_base64(self.value),
        };
        bytes.map(Zeroizing::new).ok_or(SchemeError::Malformed)
    }
}

fn outcome(result: HashResult<()>) -> Result<bool, SchemeError> {
    match result {
        Ok(()) => Ok(true),
        Err(Error::PasswordInvalid) => Ok(false),
        Err(_) => Err(SchemeError::Malformed),
    }
}

fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests;
