//! The words of `Disconnected` lines (spec/login-proxy.md 14.2).
//!
//! fail2ban bans by these words (users.md 6.1), so: one line per failed attempt, at once, in the first form its
//! filter knows; and the line at the end of such a connection has none of the filter's words, or each
//! attempt would count twice.

use std::fmt;

use homing_login::CloseReason;

/// REASON.
pub(super) fn reason_words(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::ConnectionClosed => "Connection closed",
        CloseReason::Inactivity => "Inactivity",
        CloseReason::InactivityDuringAuth => "Inactivity during authentication",
        CloseReason::Logout => "Aborted login by logging out",
        CloseReason::TooManyBadCommands => "Too many invalid commands",
        CloseReason::InputBufferFull => "Input buffer full",
        CloseReason::AuthResponseTooLarge => "Authentication response too large",
        CloseReason::PlaintextBehindStartTls => "Plaintext data behind STARTTLS",
        CloseReason::QueueFull => "Connection queue full",
        CloseReason::Shutdown => "Shutting down",
        CloseReason::TlsFailed => "TLS initialization failed",
    }
}

/// EXTRA: what the connection had come to. The reference takes the first that applies, in this order.
/// Seconds are counted from accept, or from the start of the attempt where it says `waited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extra {
    /// A certificate is required, and an invalid one came.
    InvalidCertificate,
    /// A certificate is required, and none came.
    NoCertificate,
    /// No greeting was sent.
    AuthNotReady {
        /// Waited.
        secs: u64,
    },
    /// Nothing was tried.
    NoAttempts {
        /// Since accept.
        secs: u64,
    },
    /// A certificate is required, but the client did not start TLS.
    NoTlsForCertificate,
    /// The client owes the next SASL response.
    SaslUnfinished {
        /// Waited.
        secs: u64,
    },
    /// The auth service owes its answer.
    Authenticating {
        /// Waited.
        secs: u64,
    },
    /// The backend login was running.
    FinishingLogin {
        /// Waited.
        secs: u64,
    },
    /// The client cancelled the only attempt.
    AuthAborted,
    /// The auth service was lost.
    AuthServiceLost,
    /// The backend could not be used, after the auth service had accepted.
    InternalFailure {
        /// How often it had accepted.
        successes: u32,
    },
    /// `code=authz_fail`.
    AuthorizationFailed {
        /// Attempts so far.
        attempts: u32,
        /// Since accept.
        secs: u64,
    },
    /// `code=temp_fail`.
    AuthTempFail,
    /// `code=user_disabled`.
    UserDisabled,
    /// `code=pass_expired`.
    PasswordExpired,
    /// `code=invalid_base64`.
    InvalidBase64,
    /// `nologin`.
    LoginDisabled,
    /// A mechanism that is not offered.
    UnsupportedMechanism,
    /// Failed attempts that have been reported by `LoginLog::failed_attempt`, one line each. Takes the place of the
    /// reference's `auth failed, N attempts`, `proxy dest auth failed` and `tried to use disallowed
    /// plaintext auth` at the end, which filters would count again.
    Reported {
        /// How many.
        attempts: u32,
        /// Since accept.
        secs: u64,
    },
}

impl fmt::Display for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::InvalidCertificate => f.write_str("client sent an invalid cert"),
            Self::NoCertificate => f.write_str("client didn't send a cert"),
            Self::AuthNotReady { secs } => {
                write!(f, "disconnected before auth was ready, waited {secs} secs")
            }
            Self::NoAttempts { secs } => write!(f, "no auth attempts in {secs} secs"),
            Self::NoTlsForCertificate => f.write_str("cert required, client didn't start TLS"),
            Self::SaslUnfinished { secs } => {
                write!(f, "client didn't finish SASL auth, waited {secs} secs")
            }
            Self::Authenticating { secs } => {
                write!(f, "disconnected while authenticating, waited {secs} secs")
            }
            Self::FinishingLogin { secs } => {
                write!(f, "disconnected while finishing login, waited {secs} secs")
            }
            Self::AuthAborted => f.write_str("aborted authentication"),
            Self::AuthServiceLost => f.write_str("auth process communication failure"),
            Self::InternalFailure { successes } => {
                write!(f, "internal failure, {successes} successful auths")
            }
            Self::AuthorizationFailed { attempts, secs } => {
                write!(f, "authorization failed, {attempts} attempts in {secs} secs")
            }
            Self::AuthTempFail => f.write_str("auth service reported temporary failure"),
            Self::UserDisabled => f.write_str("user disabled"),
            Self::PasswordExpired => f.write_str("password expired"),
            Self::InvalidBase64 => f.write_str("sent invalid base64 in response"),
            Self::LoginDisabled => f.write_str("login disabled"),
            Self::UnsupportedMechanism => f.write_str("tried to use unsupported auth mechanism"),
            Self::Reported { attempts, secs } => {
                write!(f, "{attempts} failed attempts already reported, in {secs} secs")
            }
        }
    }
}

/// A failed attempt that filters count. Not for outages, expired passwords and the like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailedAttempt {
    /// The auth service refused.
    AuthFailed {
        /// How long the attempt took.
        secs: u64,
    },
    /// The backend refused the login.
    ProxyDestAuthFailed,
    /// A password was sent, or about to be, in the clear.
    DisallowedPlaintext,
}

impl fmt::Display for FailedAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Always plural: the filter asks for "attempts".
            Self::AuthFailed { secs } => write!(f, "auth failed, 1 attempts in {secs} secs"),
            Self::ProxyDestAuthFailed => f.write_str("proxy dest auth failed"),
            Self::DisallowedPlaintext => f.write_str("tried to use disallowed plaintext auth"),
        }
    }
}
