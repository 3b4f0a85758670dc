//! CAPA and the list of mechanisms (spec/login-proxy.md 5.2).

use super::Pop3Frontend;

impl Pop3Frontend {
    /// `USER` follows `disable_plaintext_auth` alone, as in the reference; with `ssl=required` it is listed but
    /// refused.
    pub(super) fn send_capabilities(&mut self) {
        let mut lines = vec!["+OK", "CAPA", "TOP", "UIDL", "RESP-CODES", "PIPELINING", "AUTH-RESP-CODE"];
        if self.talk.offers_tls() {
            lines.push("STLS");
        }
        if self.talk.client.secured.is_secured() || !self.config.policy.disable_plaintext {
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

    /// Mechanisms that the client may use, anonymous ones included.
    fn usable(&self) -> Vec<&str> {
        self.talk.usable_mechanisms().map(|m| m.name.as_str()).collect()
    }
}
