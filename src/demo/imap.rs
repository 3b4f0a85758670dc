//! An IMAP server with one message per user, just enough for curl and for typing by hand.

use std::net::Ipv4Addr;

use super::backend::{Flow, LineDialogue, message};

const CAPABILITIES: &str = "IMAP4rev1 SASL-IR LITERAL+ ID IDLE NAMESPACE";

/// One connection.
pub(super) struct ImapDialogue {
    ip: Ipv4Addr,
    user: String,
    idle_tag: Option<String>,
}

impl ImapDialogue {
    pub(super) fn new(ip: Ipv4Addr) -> Self {
        Self { ip, user: String::new(), idle_tag: None }
    }

    fn command(&mut self, tag: &str, name: &str, rest: &str) -> String {
        match name {
            "CAPABILITY" => format!("* CAPABILITY {CAPABILITIES}\r\n{tag} OK done\r\n"),
            "ID" => format!("* ID (\"name\" \"Homing demo backend\")\r\n{tag} OK done\r\n"),
            "LOGIN" => {
                self.user = rest.split_whitespace().next().unwrap_or_default().trim_matches('"').to_owned();
                format!("{tag} OK [CAPABILITY {CAPABILITIES}] Logged in on {}\r\n", self.ip)
            }
            "LIST" | "LSUB" => format!("* {name} () \"/\" INBOX\r\n{tag} OK done\r\n"),
            "NAMESPACE" => format!("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n{tag} OK done\r\n"),
            "SELECT" | "EXAMINE" => format!(
                "* FLAGS (\\Seen)\r\n* 1 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 1] -\r\n* OK [UIDNEXT 2] -\r\n\
                 {tag} OK [READ-WRITE] {} is on backend {}\r\n",
                self.user, self.ip
            ),
            "STATUS" => format!("* STATUS INBOX (MESSAGES 1 UIDNEXT 2 UNSEEN 0)\r\n{tag} OK done\r\n"),
            "FETCH" => self.fetch(tag),
            "UID" if rest.to_ascii_uppercase().starts_with("FETCH") => self.fetch(tag),
            "UID" | "SEARCH" => format!("* SEARCH 1\r\n{tag} OK done\r\n"),
            "NOOP" | "CHECK" | "CLOSE" | "STORE" => format!("{tag} OK done\r\n"),
            _ => format!("{tag} BAD the demo backend does not know {name}\r\n"),
        }
    }

    fn fetch(&self, tag: &str) -> String {
        let text = message(self.ip, &self.user);
        format!("* 1 FETCH (UID 1 FLAGS (\\Seen) BODY[] {{{}}}\r\n{text})\r\n{tag} OK done\r\n", text.len())
    }
}

impl LineDialogue for ImapDialogue {
    fn greeting(&self) -> String {
        format!("* OK [CAPABILITY {CAPABILITIES}] backend {}\r\n", self.ip)
    }

    fn answer(&mut self, line: &str) -> (String, Flow) {
        if let Some(tag) = self.idle_tag.take() {
            return (format!("{tag} OK idle ended\r\n"), Flow::GoOn);
        }
        let mut words = line.splitn(3, ' ');
        let tag = words.next().unwrap_or("*").to_owned();
        let name = words.next().unwrap_or_default().to_ascii_uppercase();
        let rest = words.next().unwrap_or_default().to_owned();
        match name.as_str() {
            "IDLE" => {
                self.idle_tag = Some(tag);
                ("+ idling\r\n".to_owned(), Flow::GoOn)
            }
            "LOGOUT" => (format!("* BYE from backend {}\r\n{tag} OK done\r\n", self.ip), Flow::End),
            _ => (self.command(&tag, &name, &rest), Flow::GoOn),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_reads_the_message() {
        let mut server = ImapDialogue::new(Ipv4Addr::LOCALHOST);
        assert!(server.answer("a login \"alice\" \"x\"").0.starts_with("a OK "));
        assert!(server.answer("b select inbox").0.contains("alice is on backend 127.0.0.1"));
        let (fetched, _) = server.answer("c uid fetch 1 body[]");
        let size: usize = fetched.split(['{', '}']).nth(1).unwrap().parse().unwrap();
        assert!(fetched.split_once("}\r\n").unwrap().1[size..].starts_with(")\r\nc OK"));
        assert_eq!(server.answer("d idle").0, "+ idling\r\n");
        assert!(server.answer("done").0.starts_with("d OK"));
        assert_eq!(server.answer("e logout").1, Flow::End);
        assert!(server.answer("").0.contains("BAD"));
    }
}
