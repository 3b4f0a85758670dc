//! A POP3 server with one message per user.

use std::net::Ipv4Addr;

use super::backend::{Flow, LineDialogue, message};

/// One connection.
pub(super) struct Pop3Dialogue {
    ip: Ipv4Addr,
    user: String,
}

impl Pop3Dialogue {
    pub(super) fn new(ip: Ipv4Addr) -> Self {
        Self { ip, user: String::new() }
    }
}

impl LineDialogue for Pop3Dialogue {
    fn greeting(&self) -> String {
        format!("+OK [XCLIENT] backend {}\r\n", self.ip)
    }

    fn answer(&mut self, line: &str) -> (String, Flow) {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        let text = message(self.ip, &self.user);
        let answer = match name.to_ascii_uppercase().as_str() {
            "USER" => {
                rest.clone_into(&mut self.user);
                "+OK\r\n".to_owned()
            }
            "PASS" => format!("+OK {} is on backend {}\r\n", self.user, self.ip),
            "CAPA" => "+OK\r\nUSER\r\nUIDL\r\nTOP\r\n.\r\n".to_owned(),
            "STAT" => format!("+OK 1 {}\r\n", text.len()),
            "LIST" if rest.is_empty() => format!("+OK\r\n1 {}\r\n.\r\n", text.len()),
            "LIST" => format!("+OK 1 {}\r\n", text.len()),
            "UIDL" if rest.is_empty() => "+OK\r\n1 one\r\n.\r\n".to_owned(),
            "UIDL" => "+OK 1 one\r\n".to_owned(),
            "RETR" | "TOP" => format!("+OK\r\n{text}.\r\n"),
            "XCLIENT" | "NOOP" | "DELE" | "RSET" => "+OK\r\n".to_owned(),
            "QUIT" => return (format!("+OK goodbye from backend {}\r\n", self.ip), Flow::End),
            _ => "-ERR the demo backend does not know this\r\n".to_owned(),
        };
        (answer, Flow::GoOn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_reads_the_message() {
        let mut server = Pop3Dialogue::new(Ipv4Addr::LOCALHOST);
        server.answer("USER alice");
        assert!(server.answer("PASS x").0.contains("alice is on backend 127.0.0.1"));
        assert!(server.answer("RETR 1").0.ends_with("\r\n.\r\n"));
        assert_eq!(server.answer("QUIT").1, Flow::End);
    }
}
