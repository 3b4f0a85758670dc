//! The capability lines (spec/login-proxy.md 6.1).

use super::SieveFrontend;
use crate::text;

impl SieveFrontend {
    /// All capability lines and `OK "text"`, in one piece.
    pub(super) fn send_capabilities(&mut self, text: &str) {
        let mut out = Vec::new();
        push_line(&mut out, "IMPLEMENTATION", Some(&self.config.implementation));
        push_line(&mut out, "SIEVE", Some(&self.config.sieve_capability));
        if let Some(notify) = &self.config.notify_capability {
            push_line(&mut out, "NOTIFY", Some(notify));
        }
        push_line(&mut out, "SASL", Some(&self.advertised()));
        if self.talk.offers_tls() {
            push_line(&mut out, "STARTTLS", None);
        }
        push_line(&mut out, "VERSION", Some("1.0"));
        if self.talk.client.trusted {
            push_line(&mut out, "XCLIENT", None);
        }
        out.extend_from_slice(&text::reply("OK", text.as_bytes()));
        self.talk.send(out);
    }

    /// Mechanisms that a client may use on this connection as it is now.
    fn advertised(&self) -> String {
        let usable = self.talk.usable_mechanisms().filter(|m| !m.anonymous);
        usable.map(|m| m.name.as_str()).collect::<Vec<_>>().join(" ")
    }
}

fn push_line(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    text::push_string(out, name.as_bytes());
    if let Some(value) = value {
        out.push(b' ');
        text::push_string(out, value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}
