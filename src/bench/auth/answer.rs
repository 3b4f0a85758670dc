//! The server side of Dovecot's auth protocol as far as PLAIN for everybody needs it (spec/auth-protocol.md 2 to 4).
//! Pure: it knows no socket.

use std::collections::HashMap;

use homing_wire::{Fields, decode_base64};

/// Requests that wait for a response, per connection: as many as logins can be under way.
const UNFINISHED_MAX: usize = 65_536;

/// What is said first.
pub(super) fn opening(connection: u64) -> String {
    format!(
        "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t{}\nCUID\t{connection}\n\
         COOKIE\t{connection:032x}\nDONE\n",
        std::process::id()
    )
}

/// One connection.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    /// Service by request id, of requests that came without a response.
    unfinished: HashMap<Vec<u8>, Vec<u8>>,
}

impl Conversation {
    /// Answers a line; `None` closes the connection.
    pub(super) fn handle_line(&mut self, line: &[u8], port: impl Fn(&[u8]) -> u16) -> Option<Vec<u8>> {
        let mut words = line.splitn(3, |b| *b == b'\t');
        let (word, id) = (words.next()?, words.next().unwrap_or_default());
        let rest = words.next().unwrap_or_default();
        match word {
            b"VERSION" | b"CPID" => Some(Vec::new()),
            b"CANCEL" => {
                self.unfinished.remove(id);
                Some(Vec::new())
            }
            b"AUTH" => self.begin(id, rest, port),
            b"CONT" => {
                let service = self.unfinished.remove(id)?;
                Some(verdict(id, rest, port(&service)))
            }
            _ => None,
        }
    }

    fn begin(&mut self, id: &[u8], rest: &[u8], port: impl Fn(&[u8]) -> u16) -> Option<Vec<u8>> {
        let fields = Fields::parse(rest);
        let service = fields.value("service")?;
        if let Some(response) = fields.value("resp").filter(|r| !r.is_empty()) {
            return Some(verdict(id, response, port(service)));
        }
        if self.unfinished.len() >= UNFINISHED_MAX {
            return None;
        }
        self.unfinished.insert(id.to_owned(), service.to_owned());
        Some([b"CONT\t", id, b"\t\n"].concat())
    }
}

/// Yes to everybody who says a name and a password.
fn verdict(id: &[u8], response: &[u8], port: u16) -> Vec<u8> {
    let plain = decode_base64(response).unwrap_or_default();
    let mut parts = plain.splitn(3, |b| *b == 0);
    let (_, Some(user), Some(password)) = (parts.next(), parts.next(), parts.next()) else {
        return [b"FAIL\t", id, b"\n"].concat();
    };
    let fields = Fields::new().with("user", user).with_flag("proxy").with("port", port.to_string());
    let mut line = [b"OK\t", id].concat();
    fields.with("pass", password).write_to(&mut line);
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(lines: &[&str]) -> Vec<Option<String>> {
        let mut conversation = Conversation::default();
        let answer = |line: &&str| conversation.handle_line(line.as_bytes(), |s| s.len() as u16);
        lines.iter().map(answer).map(|a| a.map(|a| String::from_utf8(a).unwrap())).collect()
    }

    #[test]
    fn everybody_gets_in() {
        let said = play(&[
            "VERSION\t1\t2",
            "CPID\t7",
            "AUTH\t1\tPLAIN\tservice=imap\tresp=AHUAcA==",
            "AUTH\t2\tPLAIN\tservice=sieve",
            "CONT\t2\tAHUAcA==",
        ]);
        let said: Vec<_> = said.into_iter().map(Option::unwrap).collect();
        assert_eq!(said[2], "OK\t1\tuser=u\tproxy\tport=4\tpass=p\n");
        assert_eq!(said[3..], ["CONT\t2\t\n", "OK\t2\tuser=u\tproxy\tport=5\tpass=p\n"]);
    }

    #[test]
    fn nonsense_ends_the_connection_and_a_bad_response_fails() {
        assert_eq!(play(&["HELLO", "CONT\t9\tAHUAcA==", "AUTH\t1\tPLAIN"]), [None, None, None]);
        assert_eq!(play(&["AUTH\t1\tPLAIN\tservice=imap\tresp=!"]), [Some("FAIL\t1\n".to_owned())]);
    }
}
