//! Settings of authentication.

use std::path::PathBuf;

/// Who authenticates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthSettings {
    /// Socket or embedded.
    pub source: AuthSource,
    /// `auth_master_user_separator`: first character only; also cuts names before hashing.
    pub master_user_separator: Option<char>,
    /// `auth_failure_delay` in milliseconds, for the embedded authenticator.
    pub failure_delay_millis: u64,
}

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthSource {
    /// A unix socket that speaks Dovecot's auth-client protocol.
    Socket(PathBuf),
    /// Password databases read by Homing itself, asked in order.
    Embedded(Vec<PassdbSettings>),
}

/// One `passdb` block that Homing can serve itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassdbSettings {
    /// `driver = passwd-file`.
    PasswdFile(PasswdFileSettings),
    /// `driver = static`.
    Static(StaticSettings),
}

/// `passdb { driver = passwd-file; args = scheme=X username_format=Y /path }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswdFileSettings {
    /// File, re-read when it changes.
    pub path: PathBuf,
    /// Scheme of passwords without `{SCHEME}`; default `CRYPT`.
    pub default_scheme: String,
    /// `username_format`, default `%u`.
    pub username_format: String,
    /// `default_fields`, then `override_fields`: `key=value` words.
    pub default_fields: Vec<String>,
    /// See `default_fields`.
    pub override_fields: Vec<String>,
}

/// `passdb { driver = static; args = password=X proxy=y ... }`.
#[derive(Clone, PartialEq, Eq)]
pub struct StaticSettings {
    /// `password=` with optional `{SCHEME}`; `None` with `nopassword`.
    pub password: Option<String>,
    /// The other words of `args`, then `default_fields` and `override_fields`.
    pub fields: Vec<String>,
}

impl std::fmt::Debug for StaticSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StaticSettings").field("password", &"..").finish_non_exhaustive()
    }
}
