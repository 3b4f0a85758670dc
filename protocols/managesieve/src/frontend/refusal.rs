//! The words for refused logins (spec/auth-protocol.md 6, spec/login-proxy.md 7.8; ManageSieve columns).

use homing_login::{
    AUTHENTICATION_FAILED, Refusal, RefusalKind, TEMPORARILY_UNAVAILABLE, conversation::Denial,
    referral_server,
};

use super::SieveFrontend;
use crate::text;

impl SieveFrontend {
    pub(super) fn say_refusal(&mut self, refusal: &Refusal) {
        self.talk.send(refusal_line(refusal));
    }

    pub(super) fn say_denial(&mut self, denial: Denial) {
        self.say(match denial {
            Denial::TlsRequired => {
                "NO (ENCRYPT-NEEDED) \"Authentication not allowed until SSL/TLS is enabled.\""
            }
            Denial::UnsupportedMechanism => "NO \"Unsupported authentication mechanism.\"",
            Denial::PlaintextDisabled => "NO \"Plaintext authentication disabled.\"",
            Denial::InitialResponse => "NO \"Invalid base64 data in initial response\"",
            Denial::Aborted => "NO \"Authentication aborted by client.\"",
            Denial::Response => "NO \"Invalid base64 data in continued response\"",
        });
    }
}

/// The reply with CR LF.
fn refusal_line(refusal: &Refusal) -> Vec<u8> {
    let reason_or = |default: &'static str| refusal.reason.as_deref().unwrap_or(default).as_bytes();
    match &refusal.kind {
        RefusalKind::AuthFailed
        | RefusalKind::UserDisabled
        | RefusalKind::PassExpired
        | RefusalKind::InvalidBase64
        | RefusalKind::MechInvalid
        | RefusalKind::MechSslRequired
        | RefusalKind::AnonymousDenied => text::reply("NO", reason_or(AUTHENTICATION_FAILED)),
        RefusalKind::TempFail { stamp } => {
            text::reply("NO (TRYLATER)", format!("Temporary authentication failure. [{stamp}]").as_bytes())
        }
        RefusalKind::AuthzFailed => text::reply("NO", reason_or("Authorization failed")),
        RefusalKind::LoginDisabled => text::reply("NO", reason_or("Login disabled for this user")),
        RefusalKind::Referral { user, mechanism, host, port } => {
            // The URL stands in the open, not in a string, as the reference writes it.
            let server = referral_server(user, mechanism, host, *port);
            text::reply(&format!("NO (REFERRAL sieve://{server})"), reason_or("Try this server instead."))
        }
        RefusalKind::Unavailable => text::reply("NO (TRYLATER)", TEMPORARILY_UNAVAILABLE.as_bytes()),
        RefusalKind::ServerBug => text::reply("NO", TEMPORARILY_UNAVAILABLE.as_bytes()),
        RefusalKind::BackendAuthFailed => text::reply("NO", AUTHENTICATION_FAILED.as_bytes()),
        RefusalKind::Backend(line) => [line.as_slice(), b"\r\n"].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ms_14_every_refusal_has_its_words() {
        let stamp = || RefusalKind::TempFail { stamp: "proxyhost:2026-11-23 13:00:35".to_owned() };
        let referral = |user: &[u8], host: &str, port| RefusalKind::Referral {
            user: user.to_vec(),
            mechanism: "PLAIN".to_owned(),
            host: host.to_owned(),
            port,
        };
        let temp = "NO (TRYLATER) \"Temporary authentication failure. [proxyhost:2026-11-23 13:00:35]\"";
        for (kind, reason, expected) in [
            (RefusalKind::AuthFailed, None, "NO \"Authentication failed.\""),
            (RefusalKind::AuthFailed, Some("[X] \"y\""), "NO \"[X] \\\"y\\\"\""),
            (stamp(), None, temp),
            (stamp(), Some("Custom temp text"), temp),
            (RefusalKind::AuthzFailed, None, "NO \"Authorization failed\""),
            (RefusalKind::AuthzFailed, Some("Not yours"), "NO \"Not yours\""),
            (RefusalKind::UserDisabled, None, "NO \"Authentication failed.\""),
            (RefusalKind::UserDisabled, Some("Off"), "NO \"Off\""),
            (RefusalKind::PassExpired, None, "NO \"Authentication failed.\""),
            (RefusalKind::PassExpired, Some("Old"), "NO \"Old\""),
            (RefusalKind::InvalidBase64, Some("Bad"), "NO \"Bad\""),
            (RefusalKind::MechInvalid, None, "NO \"Authentication failed.\""),
            (RefusalKind::MechSslRequired, Some("TLS"), "NO \"TLS\""),
            (RefusalKind::AnonymousDenied, Some("Anonymous login denied"), "NO \"Anonymous login denied\""),
            (RefusalKind::LoginDisabled, None, "NO \"Login disabled for this user\""),
            (RefusalKind::LoginDisabled, Some("Maintenance"), "NO \"Maintenance\""),
            (
                referral(b"alice", "backend.example.com", None),
                None,
                "NO (REFERRAL sieve://alice;AUTH=PLAIN@backend.example.com) \"Try this server instead.\"",
            ),
            (
                referral(b"al ice)", "::1", Some(1430)),
                Some("Elsewhere"),
                "NO (REFERRAL sieve://al%20ice%29;AUTH=PLAIN@[::1]:1430) \"Elsewhere\"",
            ),
            (RefusalKind::Unavailable, None, "NO (TRYLATER) \"Account is temporarily unavailable.\""),
            (RefusalKind::ServerBug, None, "NO \"Account is temporarily unavailable.\""),
            (RefusalKind::BackendAuthFailed, None, "NO \"Authentication failed.\""),
            (RefusalKind::Backend(b"NO (TRYLATER) \"x\"".to_vec()), None, "NO (TRYLATER) \"x\""),
        ] {
            let refusal = Refusal { reason: reason.map(str::to_owned), ..Refusal::new(kind.clone()) };
            let line = String::from_utf8(refusal_line(&refusal)).unwrap();
            assert_eq!(line, format!("{expected}\r\n"), "{kind:?}");
        }
    }

    #[test]
    fn no_reason_ends_a_line() {
        let refusal =
            Refusal { reason: Some("a\r\nOK \"b\"".to_owned()), ..Refusal::new(RefusalKind::AuthFailed) };
        assert_eq!(refusal_line(&refusal), b"NO {9}\r\na\r\nOK \"b\"\r\n");
    }
}
