//! The words for refused logins (spec/auth-protocol.md 6, spec/login-proxy.md 7.8; IMAP columns).

use homing_login::{
    AUTHENTICATION_FAILED, Refusal, RefusalKind, TEMPORARILY_UNAVAILABLE, conversation::Denial,
    referral_server,
};

use super::ImapFrontend;

impl ImapFrontend {
    pub(super) fn say_refusal(&mut self, refusal: &Refusal) {
        self.talk.send(self.tagged(&refusal_text(refusal)));
    }

    pub(super) fn say_denial(&mut self, denial: Denial) {
        self.answer(match denial {
            Denial::TlsRequired => {
                "NO [PRIVACYREQUIRED] Authentication not allowed until SSL/TLS is enabled."
            }
            Denial::UnsupportedMechanism => "NO [ALERT] Unsupported authentication mechanism.",
            Denial::PlaintextDisabled => "NO [PRIVACYREQUIRED] Plaintext authentication disabled.",
            Denial::InitialResponse => "BAD Invalid base64 data in initial response",
            Denial::Aborted => "BAD Authentication aborted by client.",
            Denial::Response => "BAD Invalid base64 data in continued response",
        });
    }
}

/// The reply without tag and CR LF.
fn refusal_text(refusal: &Refusal) -> Vec<u8> {
    let reason = refusal.reason.as_deref();
    let with_code = |code: &str, default: &'static str| format!("NO [{code}] {}", reason.unwrap_or(default));
    let text = match &refusal.kind {
        RefusalKind::AuthFailed | RefusalKind::UserDisabled => auth_failed(reason),
        RefusalKind::TempFail { stamp } => {
            format!("NO [UNAVAILABLE] Temporary authentication failure. [{stamp}]")
        }
        RefusalKind::AuthzFailed => with_code("AUTHORIZATIONFAILED", "Authorization failed"),
        RefusalKind::PassExpired => with_code("EXPIRED", AUTHENTICATION_FAILED),
        RefusalKind::InvalidBase64 => format!("BAD {}", reason.unwrap_or(AUTHENTICATION_FAILED)),
        RefusalKind::MechInvalid => with_code("ALERT", AUTHENTICATION_FAILED),
        RefusalKind::MechSslRequired => with_code("PRIVACYREQUIRED", AUTHENTICATION_FAILED),
        RefusalKind::AnonymousDenied => with_code("CONTACTADMIN", AUTHENTICATION_FAILED),
        RefusalKind::LoginDisabled => with_code("CONTACTADMIN", "Login disabled for this user"),
        RefusalKind::Referral { user, mechanism, host, port } => {
            // RFC 2221 section 4.
            let server = referral_server(user, mechanism, host, *port);
            with_code(&format!("REFERRAL imap://{server}/"), "Try this server instead.")
        }
        RefusalKind::Unavailable => format!("NO [UNAVAILABLE] {TEMPORARILY_UNAVAILABLE}"),
        RefusalKind::ServerBug => format!("NO [SERVERBUG] {TEMPORARILY_UNAVAILABLE}"),
        RefusalKind::BackendAuthFailed => auth_failed(None),
        RefusalKind::Backend(line) => return line.clone(),
    };
    text.into_bytes()
}

/// A reason may bring its own response code.
fn auth_failed(reason: Option<&str>) -> String {
    match reason {
        None => format!("NO [AUTHENTICATIONFAILED] {AUTHENTICATION_FAILED}"),
        Some(reason) if reason.starts_with('[') => format!("NO {reason}"),
        Some(reason) => format!("NO [ALERT] {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn im_49_every_refusal_has_its_words() {
        let stamp = || RefusalKind::TempFail { stamp: "proxyhost:2026-11-23 13:00:34".to_owned() };
        let referral = |user: &[u8], host: &str, port| RefusalKind::Referral {
            user: user.to_vec(),
            mechanism: "PLAIN".to_owned(),
            host: host.to_owned(),
            port,
        };
        let temp = "NO [UNAVAILABLE] Temporary authentication failure. [proxyhost:2026-11-23 13:00:34]";
        let failed = "NO [AUTHENTICATIONFAILED] Authentication failed.";
        for (kind, reason, expected) in [
            (RefusalKind::AuthFailed, None, failed),
            (RefusalKind::AuthFailed, Some("Free text"), "NO [ALERT] Free text"),
            (RefusalKind::AuthFailed, Some("[INUSE] With a code"), "NO [INUSE] With a code"),
            (stamp(), None, temp),
            (stamp(), Some("Custom temp text"), temp),
            (RefusalKind::AuthzFailed, None, "NO [AUTHORIZATIONFAILED] Authorization failed"),
            (RefusalKind::AuthzFailed, Some("Not yours"), "NO [AUTHORIZATIONFAILED] Not yours"),
            (RefusalKind::UserDisabled, None, failed),
            (RefusalKind::UserDisabled, Some("Off"), "NO [ALERT] Off"),
            (RefusalKind::PassExpired, None, "NO [EXPIRED] Authentication failed."),
            (RefusalKind::PassExpired, Some("[EXPIRED] Old"), "NO [EXPIRED] [EXPIRED] Old"),
            (RefusalKind::InvalidBase64, Some("Bad"), "BAD Bad"),
            (RefusalKind::InvalidBase64, None, "BAD Authentication failed."),
            (RefusalKind::MechInvalid, None, "NO [ALERT] Authentication failed."),
            (RefusalKind::MechSslRequired, None, "NO [PRIVACYREQUIRED] Authentication failed."),
            (RefusalKind::AnonymousDenied, Some("No"), "NO [CONTACTADMIN] No"),
            (RefusalKind::LoginDisabled, None, "NO [CONTACTADMIN] Login disabled for this user"),
            (
                RefusalKind::LoginDisabled,
                Some("[UNAVAILABLE] Later"),
                "NO [CONTACTADMIN] [UNAVAILABLE] Later",
            ),
            (
                referral(b"alice", "backend.example.com", None),
                None,
                "NO [REFERRAL imap://alice;AUTH=PLAIN@backend.example.com/] Try this server instead.",
            ),
            (
                referral(b"al ice", "::1", Some(1430)),
                Some("Elsewhere"),
                "NO [REFERRAL imap://al%20ice;AUTH=PLAIN@[::1]:1430/] Elsewhere",
            ),
            (RefusalKind::Unavailable, None, "NO [UNAVAILABLE] Account is temporarily unavailable."),
            (RefusalKind::ServerBug, None, "NO [SERVERBUG] Account is temporarily unavailable."),
            (RefusalKind::BackendAuthFailed, Some("x"), failed),
            (RefusalKind::Backend(b"NO [LIMIT] Too many".to_vec()), None, "NO [LIMIT] Too many"),
        ] {
            let refusal = Refusal { reason: reason.map(str::to_owned), ..Refusal::new(kind.clone()) };
            assert_eq!(String::from_utf8(refusal_text(&refusal)).unwrap(), expected, "{kind:?}");
        }
    }
}
