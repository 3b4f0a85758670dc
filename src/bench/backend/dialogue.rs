//! What a backend says, line by line, in all three protocols. Pure: it knows no socket.

use crate::bench::protocol::{DOWN, ECHO, Protocol, UP};

const IMAP_CAPABILITIES: &str = "IMAP4rev1 SASL-IR LITERAL+ ID IDLE";
const SIEVE_CAPABILITIES: &str = "\"IMPLEMENTATION\" \"homing bench\"\r\n\"SIEVE\" \"fileinto\"\r\n\"SASL\" \"PLAIN\"\r\n\
                                  \"XCLIENT\"\r\n\"VERSION\" \"1.0\"\r\n";

/// One connection.
pub(super) struct Dialogue {
    protocol: Protocol,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    /// Not logged in.
    Start,
    /// The command with this tag goes on in the next line; it is a login, or an IDLE of a user.
    Unfinished { tag: String },
    /// Logged in.
    In,
}

/// What the connection has to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Write this.
    Say(String),
    /// Write the line just read.
    Repeat,
    /// Nothing; the command goes on.
    Wait,
    /// Write so many bytes, then this.
    Send(u64, String),
    /// Read so many bytes, then write this.
    Take(u64, String),
    /// Write this and close.
    End(String),
}

impl Dialogue {
    pub(super) fn new(protocol: Protocol) -> Self {
        Self { protocol, state: State::Start }
    }

    /// What is said first.
    pub(super) fn greeting(&self) -> String {
        match self.protocol {
            Protocol::Imap => format!("* OK [CAPABILITY {IMAP_CAPABILITIES}] ready\r\n"),
            Protocol::Pop3 => "+OK [XCLIENT] ready\r\n".to_owned(),
            Protocol::Sieve => format!("{SIEVE_CAPABILITIES}OK \"ready\"\r\n"),
        }
    }

    /// Answers a line.
    pub(super) fn handle_line(&mut self, line: &[u8]) -> Step {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end();
        if let State::Unfinished { tag } = &self.state {
            let tag = tag.clone();
            return self.login(tag, line);
        }
        let (tag, rest) = match self.protocol {
            Protocol::Imap => line.split_once(' ').unwrap_or((line, "")),
            Protocol::Pop3 | Protocol::Sieve => ("", line),
        };
        let (name, arguments) = rest.split_once(' ').unwrap_or((rest, ""));
        let name = name.to_ascii_uppercase();
        if self.state == State::In {
            return self.work(tag, &name, arguments);
        }
        match (self.protocol, name.as_str()) {
            (Protocol::Imap, "LOGIN") | (Protocol::Pop3, "PASS") => self.login(tag.to_owned(), arguments),
            (Protocol::Imap, "AUTHENTICATE") | (Protocol::Pop3, "AUTH") if !arguments.contains(' ') => {
                self.state = State::Unfinished { tag: tag.to_owned() };
                Step::Say("+ \r\n".to_owned())
            }
            (_, "AUTHENTICATE" | "AUTH") => self.login(tag.to_owned(), arguments),
            (Protocol::Pop3, "USER") => Step::Say(self.protocol.done(tag)),
            _ => self.common(tag, &name),
        }
    }

    /// A login whose last line may end in the announcement of a literal. No literal of a login holds a line break,
    /// so literals are read as lines.
    fn login(&mut self, tag: String, line: &str) -> Step {
        if line.ends_with('}') && line.contains('{') {
            self.state = State::Unfinished { tag };
            return if line.ends_with("+}") { Step::Wait } else { Step::Say("+ \r\n".to_owned()) };
        }
        self.state = State::In;
        Step::Say(self.protocol.done(&tag))
    }

    /// Commands of a user.
    fn work(&mut self, tag: &str, name: &str, arguments: &str) -> Step {
        let count = || arguments.parse::<u64>();
        match name {
            DOWN => count().map_or_else(
                |_| Step::Say(self.protocol.refused(tag)),
                |count| Step::Send(count, self.protocol.done(tag)),
            ),
            UP => count().map_or_else(
                |_| Step::Say(self.protocol.refused(tag)),
                |count| Step::Take(count, self.protocol.done(tag)),
            ),
            ECHO => Step::Repeat,
            "IDLE" => {
                self.state = State::Unfinished { tag: tag.to_owned() };
                Step::Say("+ idling\r\n".to_owned())
            }
            _ => self.common(tag, name),
        }
    }

    /// Commands that are the same before and after the login.
    fn common(&self, tag: &str, name: &str) -> Step {
        let done = self.protocol.done(tag);
        match (self.protocol, name) {
            (_, "LOGOUT" | "QUIT") => Step::End(done),
            (Protocol::Imap, "CAPABILITY") => {
                Step::Say(format!("* CAPABILITY {IMAP_CAPABILITIES}\r\n{done}"))
            }
            (Protocol::Imap, "ID") => Step::Say(format!("* ID NIL\r\n{done}")),
            (Protocol::Pop3, "CAPA") => Step::Say(format!("{done}USER\r\nSASL PLAIN\r\n.\r\n")),
            (Protocol::Sieve, "CAPABILITY") => Step::Say(format!("{SIEVE_CAPABILITIES}{done}")),
            (_, "NOOP" | "XCLIENT") => Step::Say(done),
            _ => Step::Say(self.protocol.refused(tag)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines in; what is said, with `/` for line ends.
    fn play(protocol: Protocol, lines: &[&str]) -> Vec<String> {
        let mut dialogue = Dialogue::new(protocol);
        let step = |line: &&str| match dialogue.handle_line(format!("{line}\r\n").as_bytes()) {
            Step::Say(text) => text.replace("\r\n", "/"),
            other => format!("{other:?}"),
        };
        lines.iter().map(step).collect()
    }

    #[test]
    fn every_way_to_log_in_leads_in() {
        let ways: &[(Protocol, &[&str])] = &[
            (Protocol::Imap, &["I ID NIL", "L LOGIN \"u\" \"p\""]),
            (Protocol::Imap, &["L LOGIN {1}", "u {1}", "p"]),
            (Protocol::Imap, &["L LOGIN {1+}", "u {1+}", "p"]),
            (Protocol::Imap, &["L AUTHENTICATE PLAIN AHUAcA=="]),
            (Protocol::Imap, &["L AUTHENTICATE PLAIN", "AHUAcA=="]),
            (Protocol::Pop3, &["XCLIENT ADDR=127.0.0.1", "USER u", "PASS p"]),
            (Protocol::Pop3, &["AUTH PLAIN AHUAcA=="]),
            (Protocol::Pop3, &["AUTH PLAIN", "AHUAcA=="]),
            (Protocol::Sieve, &["AUTHENTICATE \"PLAIN\" \"AHUAcA==\""]),
            (Protocol::Sieve, &["AUTHENTICATE \"PLAIN\" {8+}", "AHUAcA=="]),
        ];
        for (protocol, lines) in ways {
            let echo = if *protocol == Protocol::Imap { "b XECHO x" } else { "XECHO x" };
            let before = play(*protocol, &[echo]);
            assert_eq!(before, [protocol.refused("b").replace("\r\n", "/")], "not before the login");
            let all = [*lines, &[echo]].concat();
            assert_eq!(play(*protocol, &all).last().unwrap(), "Repeat", "{lines:?}");
        }
    }

    #[test]
    fn bytes_are_sent_and_taken_on_request() {
        let said =
            play(Protocol::Imap, &["a LOGIN u p", "b XDOWN 70000", "c XUP 5", "d XDOWN x", "e IDLE", "DONE"]);
        let wanted = ["a OK done/", "Send(70000, \"b OK done\\r\\n\")", "Take(5, \"c OK done\\r\\n\")"];
        assert_eq!(said[..3], wanted);
        assert_eq!(said[3..], ["d BAD not here/", "+ idling/", "e OK done/"]);
        assert_eq!(play(Protocol::Pop3, &["QUIT"]), ["End(\"+OK done\\r\\n\")"]);
    }

    #[test]
    fn any_line_gets_an_answer() {
        bolero::check!().with_type::<(u8, Vec<Vec<u8>>)>().for_each(|(protocol, lines)| {
            let protocol = Protocol::ALL[usize::from(*protocol) % 3];
            let mut dialogue = Dialogue::new(protocol);
            for line in lines {
                dialogue.handle_line(line);
            }
        });
    }
}
