//! Plain and salted digests: old schemes without any work factor, still found in databases.

use md5::{Digest as _, Md5};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;

use super::{Encoding, SchemeError};

/// A scheme whose value is a digest, with the salt behind it if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::auth::embedded) struct Digest {
    pub(super) algorithm: Algorithm,
    pub(super) salted: bool,
    /// Usually written as hex.
    pub(super) hex: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::auth::embedded) enum Algorithm {
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

impl Digest {
    /// The encoding without `.b64` or `.hex`: like Dovecot, hex if the length fits that.
    pub(super) fn usual(self, value: &[u8]) -> Encoding {
        let hex = self.hex || (!self.salted && value.len() == self.algorithm.len() * 2);
        if hex { Encoding::Hex } else { Encoding::Base64 }
    }

    pub(super) fn verify(self, stored: &[u8], password: &[u8]) -> Result<bool, SchemeError> {
        let (digest, salt) = stored.split_at_checked(self.algorithm.len()).ok_or(SchemeError::Malformed)?;
        if salt.is_empty() == self.salted {
            return Err(SchemeError::Malformed);
        }
        let computed = self.algorithm.digest(password, salt);
        Ok(computed.ct_eq(digest).into())
    }
}

impl Algorithm {
    /// Bytes of one digest.
    fn len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    fn digest(self, password: &[u8], salt: &[u8]) -> Vec<u8> {
        match self {
            Self::Md5 => Md5::new().chain_update(password).chain_update(salt).finalize().to_vec(),
            Self::Sha1 => Sha1::new().chain_update(password).chain_update(salt).finalize().to_vec(),
            Self::Sha256 => Sha256::new().chain_update(password).chain_update(salt).finalize().to_vec(),
            Self::Sha512 => Sha512::new().chain_update(password).chain_update(salt).finalize().to_vec(),
        }
    }
}
