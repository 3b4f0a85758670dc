//! Who wants to be authenticated: the name checked and normalized, and why a request is refused.

use homing_login::{AuthRequest, ClientIdentity};
use homing_wire::{Fields, Secret, printable};

use super::dialogue::Credentials;

/// `auth_username_chars`: its default; names with others are refused.
const USERNAME_CHARS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567890.-_@";

/// One login attempt, ready to be looked up.
pub(super) struct Subject {
    /// In lower case (`auth_username_format = %Lu`, the default).
    pub(super) user: String,
    /// As given.
    pub(super) original_user: String,
    pub(super) password: Secret,
    pub(super) client: ClientIdentity,
}

/// A failure and whether it is held back.
pub(super) struct Refused {
    pub(super) fields: Fields,
    pub(super) delayed: bool,
}

impl Refused {
    pub(super) fn at_once(fields: Fields) -> Self {
        Self { fields, delayed: false }
    }

    pub(super) fn invalid_input() -> Self {
        Self { fields: Fields::new(), delayed: true }
    }

    pub(super) fn user(user: &[u8], original: &[u8]) -> Self {
        let fields = Fields::new().with("user", user);
        let fields = if original == user { fields } else { fields.with("original_user", original) };
        Self { fields, delayed: true }
    }

    pub(super) fn temporarily(user: &[u8]) -> Self {
        Self { fields: Fields::new().with("user", user).with("code", "temp_fail"), delayed: true }
    }
}

impl Subject {
    /// Checks the name. Master logins (`user*master`, or another authzid) are refused: there is no master passdb.
    pub(super) fn new(
        request: &AuthRequest,
        given: Credentials,
        master_user_separator: Option<char>,
    ) -> Result<Self, Refused> {
        let (login, name) = split_master(&given.name, master_user_separator);
        if login.or(given.authzid.as_deref()).is_some() {
            let who = printable(name);
            tracing::info!(target: "homing::auth", "{who}: master user login attempted without master passdbs");
            return Err(Refused::user(name, name));
        }
        let allowed = |byte: &u8| USERNAME_CHARS.contains(byte);
        let text = std::str::from_utf8(name).ok().filter(|name| !name.is_empty());
        let Some(original_user) = text.filter(|name| name.as_bytes().iter().all(allowed)) else {
            return Err(Refused {
                fields: Fields::new().with("user", name).with("original_user", name),
                delayed: true,
            });
        };
        Ok(Self {
            user: original_user.to_ascii_lowercase(),
            original_user: original_user.to_owned(),
            password: given.password,
            client: request.client.clone(),
        })
    }

    /// For log lines: name and address, as Dovecot puts them.
    pub(super) fn label(&self) -> String {
        format!("{},{}", self.user, self.client.remote.ip())
    }
}

/// `user*master`: who to log in as, and who authenticates.
fn split_master(name: &[u8], separator: Option<char>) -> (Option<&[u8]>, &[u8]) {
    let separator = separator.and_then(|c| u8::try_from(c).ok());
    let at = separator.and_then(|separator| name.iter().position(|b| *b == separator));
    match at.and_then(|at| Some((name.get(..at)?, name.get(at + 1..)?))) {
        Some((user, master)) => (Some(user), master),
        None => (None, name),
    }
}
