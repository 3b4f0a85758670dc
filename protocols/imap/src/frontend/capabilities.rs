//! The capability string (spec/login-proxy.md 4.2).

use homing_login::Mechanism;

use super::ImapFrontend;

/// What is offered if `imap_capability` does not say otherwise.
const CAPABILITIES: &str = "IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE";

impl ImapFrontend {
    /// For the connection as it is now.
    pub(super) fn capabilities(&self) -> String {
        let own = self.config.capability.trim();
        let mut words: Vec<String> = match own.strip_prefix('+') {
            Some(more) => vec![CAPABILITIES.to_owned(), more.trim().to_owned()],
            None if own.is_empty() => vec![CAPABILITIES.to_owned()],
            None => vec![own.to_owned()],
        };
        if own.is_empty() || own.starts_with('+') {
            words.push(if self.config.literal_minus { "LITERAL-" } else { "LITERAL+" }.to_owned());
        }
        if self.talk.offers_tls() {
            words.push("STARTTLS".to_owned());
        }
        if self.login_disabled() {
            words.push("LOGINDISABLED".to_owned());
        }
        words.extend(self.talk.usable_mechanisms().map(|m| format!("AUTH={}", m.name)));
        words.retain(|word| !word.is_empty());
        words.join(" ")
    }

    fn login_disabled(&self) -> bool {
        let no_plain = Mechanism::find(self.talk.mechanisms(), b"PLAIN").is_none();
        !self.talk.allows_plaintext() || (self.talk.client.secured.is_secured() && no_plain)
    }
}
