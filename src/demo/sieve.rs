//! A ManageSieve server with one script per user, named after the backend.

use std::net::Ipv4Addr;

use super::backend::{Flow, LineDialogue};

/// One connection.
pub(super) struct SieveDialogue {
    ip: Ipv4Addr,
}

impl SieveDialogue {
    pub(super) fn new(ip: Ipv4Addr) -> Self {
        Self { ip }
    }

    fn capabilities(&self) -> String {
        format!(
            "\"IMPLEMENTATION\" \"Homing demo backend {}\"\r\n\"SIEVE\" \"fileinto\"\r\n\"SASL\" \"PLAIN\"\r\n\
             \"XCLIENT\"\r\n\"VERSION\" \"1.0\"\r\nOK\r\n",
            self.ip
        )
    }
}

impl LineDialogue for SieveDialogue {
    fn greeting(&self) -> String {
        self.capabilities()
    }

    fn answer(&mut self, line: &str) -> (String, Flow) {
        let name = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        let answer = match name.as_str() {
            "CAPABILITY" => self.capabilities(),
            "AUTHENTICATE" => format!("OK \"Logged in on backend {}\"\r\n", self.ip),
            "XCLIENT" | "NOOP" => "OK\r\n".to_owned(),
            "LISTSCRIPTS" => format!("\"on-backend-{}\" ACTIVE\r\nOK\r\n", self.ip),
            "LOGOUT" => return (format!("OK \"Goodbye from backend {}\"\r\n", self.ip), Flow::End),
            _ => "NO \"the demo backend does not know this\"\r\n".to_owned(),
        };
        (answer, Flow::GoOn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_names_the_backend() {
        let mut server = SieveDialogue::new(Ipv4Addr::LOCALHOST);
        assert!(server.greeting().ends_with("OK\r\n"));
        assert!(server.answer("LISTSCRIPTS").0.contains("on-backend-127.0.0.1"));
        assert_eq!(server.answer("LOGOUT").1, Flow::End);
    }
}
