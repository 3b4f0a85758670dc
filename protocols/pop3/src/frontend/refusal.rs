//! The words for refused logins (spec/auth-protocol.md 6, spec/login-proxy.md 7.8; POP3 columns).

use homing_login::{
    AUTHENTICATION_FAILED, Refusal, RefusalKind, TEMPORARILY_UNAVAILABLE, conversation::Denial,
};

use super::Pop3Frontend;

impl Pop3Frontend {
    pub(super) fn say_refusal(&mut self, refusal: &Refusal) {
        self.talk.send(refusal_line(refusal));
    }

    pub(super) fn say_denial(&mut self, denial: Denial) {
        self.say(match denial {
            Denial::TlsRequired => "-ERR [AUTH] Authentication not allowed until SSL/TLS is enabled.",
            Denial::UnsupportedMechanism => "-ERR [AUTH] Unsupported authentication mechanism.",
            Denial::PlaintextDisabled => "-ERR [AUTH] Plaintext authentication disabled.",
            Denial::InitialResponse => "-ERR [AUTH] Invalid base64 data in initial response",
            Denial::Aborted => "-ERR Authentication aborted by client.",
            Denial::Response => "-ERR [AUTH] Invalid base64 data in continued response",
        });
    }
}

/// The reply with CR LF.
fn refusal_line(refusal: &Refusal) -> Vec<u8> {
    let reason_or = |default: &'static str| refusal.reason.as_deref().unwrap_or(default);
    let line = match &refusal.kind {
        RefusalKind::AuthFailed
        | RefusalKind::UserDisabled
        | RefusalKind::PassExpired
        | RefusalKind::InvalidBase64
        | RefusalKind::MechInvalid
        | RefusalKind::MechSslRequired => with_auth_code(reason_or(AUTHENTICATION_FAILED)),
        RefusalKind::AuthzFailed => with_auth_code(reason_or("Authorization failed")),
        RefusalKind::LoginDisabled => with_auth_code(reason_or("Login disabled for this user")),
        RefusalKind::TempFail { stamp } => {
            format!("-ERR [SYS/TEMP] Temporary authentication failure. [{stamp}]")
        }
        RefusalKind::AnonymousDenied => format!("-ERR {}", reason_or(AUTHENTICATION_FAILED)),
        RefusalKind::Referral { .. } => format!("-ERR {}", reason_or("Try this server instead.")),
        RefusalKind::Unavailable => format!("-ERR [SYS/TEMP] {TEMPORARILY_UNAVAILABLE}"),
        RefusalKind::ServerBug => format!("-ERR {TEMPORARILY_UNAVAILABLE}"),
        RefusalKind::BackendAuthFailed => format!("-ERR {AUTHENTICATION_FAILED}"),
        RefusalKind::Backend(line) => return [line.as_slice(), b"\r\n"].concat(),
    };
    // Reasons are free of control characters; should one not be, it still ends no line.
    line.chars().filter(|c| !matches!(c, '\r' | '\n')).chain("\r\n".chars()).collect::<String>().into_bytes()
}

/// `[AUTH]` (RFC 3206) before a text that brings no response code of its own.
fn with_auth_code(text: &str) -> String {
    let code = if text.starts_with('[') { "" } else { "[AUTH] " };
    format!("-ERR {code}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p3_25_every_refusal_has_its_words() {
        let stamp = || RefusalKind::TempFail { stamp: "proxyhost:2026-11-23 13:00:34".to_owned() };
        let referral = || RefusalKind::Referral {
            user: b"alice".to_vec(),
            mechanism: "PLAIN".to_owned(),
            host: "backend.example.com".to_owned(),
            port: None,
        };
        let temp = "-ERR [SYS/TEMP] Temporary authentication failure. [proxyhost:2026-11-23 13:00:34]";
        for (kind, reason, expected) in [
            (RefusalKind::AuthFailed, None, "-ERR [AUTH] Authentication failed."),
            (RefusalKind::AuthFailed, Some("Free text"), "-ERR [AUTH] Free text"),
            (RefusalKind::AuthFailed, Some("[INUSE] With a code"), "-ERR [INUSE] With a code"),
            (stamp(), None, temp),
            (stamp(), Some("Custom temp text"), temp),
            (RefusalKind::AuthzFailed, None, "-ERR [AUTH] Authorization failed"),
            (RefusalKind::AuthzFailed, Some("Not yours"), "-ERR [AUTH] Not yours"),
            (RefusalKind::UserDisabled, None, "-ERR [AUTH] Authentication failed."),
            (RefusalKind::UserDisabled, Some("Off"), "-ERR [AUTH] Off"),
            (RefusalKind::PassExpired, None, "-ERR [AUTH] Authentication failed."),
            (RefusalKind::PassExpired, Some("[EXPIRED] Code text"), "-ERR [EXPIRED] Code text"),
            (RefusalKind::InvalidBase64, Some("Bad"), "-ERR [AUTH] Bad"),
            (RefusalKind::MechInvalid, None, "-ERR [AUTH] Authentication failed."),
            (RefusalKind::MechSslRequired, Some("TLS"), "-ERR [AUTH] TLS"),
            (RefusalKind::AnonymousDenied, None, "-ERR Authentication failed."),
            (RefusalKind::AnonymousDenied, Some("No"), "-ERR No"),
            (RefusalKind::LoginDisabled, None, "-ERR [AUTH] Login disabled for this user"),
            (RefusalKind::LoginDisabled, Some("[UNAVAILABLE] Maintenance"), "-ERR [UNAVAILABLE] Maintenance"),
            (referral(), None, "-ERR Try this server instead."),
            (referral(), Some("Elsewhere"), "-ERR Elsewhere"),
            (RefusalKind::Unavailable, None, "-ERR [SYS/TEMP] Account is temporarily unavailable."),
            (RefusalKind::ServerBug, None, "-ERR Account is temporarily unavailable."),
            (RefusalKind::BackendAuthFailed, None, "-ERR Authentication failed."),
            (RefusalKind::Backend(b"-ERR [IN-USE] x".to_vec()), None, "-ERR [IN-USE] x"),
        ] {
            let refusal = Refusal { reason: reason.map(str::to_owned), ..Refusal::new(kind.clone()) };
            let line = String::from_utf8(refusal_line(&refusal)).unwrap();
            assert_eq!(line, format!("{expected}\r\n"), "{kind:?}");
        }
    }

    #[test]
    fn no_reason_ends_a_line() {
        let refusal =
            Refusal { reason: Some("a\r\n+OK b".to_owned()), ..Refusal::new(RefusalKind::AuthFailed) };
        assert_eq!(refusal_line(&refusal), b"-ERR [AUTH] a+OK b\r\n");
    }
}
