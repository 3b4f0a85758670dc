//! CAPA and the list of mechanisms (spec/login-proxy.md 5.2).

use homing_login::Mechanism;

use super::Pop3Frontend;

impl Pop3Frontend {
    /// `USER` follows `disable_plaintext_auth` alone, as in the reference; with `ssl=required` it is listed but
    /// refused.
    pub(super) fn send_capabilities(&mut self) {
        let policy = self.config.policy;
        let mut lines = vec!["+OK", "CAPA", "TOP", "UIDL", "RESP-CODES", "PIPELINING", "AUTH-RESP-CODE"];
        if policy.tls_available && self.tls.is_none() {
            lines.push("STLS");
        }
        if self.client.secured.is_secured() || !policy.disable_plaintext {
            lines.push("USER");
        }
        let sasl = [&["SASL"], self.usable().as_slice()].concat().join(" ");
        lines.extend([sasl.as_str(), "."]);
        let text = lines.join("\r\n");
        self.say(&text);
    }

    /// The answer to AUTH without a mechanism.
    pub(super) fn list_mechanisms(&mut self) {
        let text = [&["+OK"], self.usable().as_slice(), &["."]].concat().join("\r\n");
        self.say(&text);
    }

    /// Mechanisms that a client may use on this connection as it is now, anonymous ones included.
    fn usable(&self) -> Vec<&str> {
        let policy = self.config.policy;
        let secured = self.client.secured.is_secured();
        let usable = |m: &&Mechanism| {
            !m.private && (secured || !(policy.tls_required || policy.disable_plaintext && m.plaintext))
        };
        self.mechanisms.iter().filter(usable).map(|m| m.name.as_str()).collect()
    }
}
