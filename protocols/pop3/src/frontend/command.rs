//! Commands before login (spec/login-proxy.md 5.2, 5.3, 5.5). A command is one line; only the initial response
//! of AUTH may be longer than the input buffer.

use homing_login::{
    CloseReason, Note,
    limits::{BAD_COMMANDS_MAX, INPUT_BYTES_MAX},
    xclient,
};
use homing_sasl::plain_message;
use homing_wire::Secret;

use super::{Line, Pop3Frontend};

/// Commands known before login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Apop,
    Auth,
    Capa,
    Pass,
    Quit,
    Stls,
    User,
    Xclient,
    Xoip,
}

impl Command {
    fn named(word: &[u8]) -> Option<Self> {
        match word.to_ascii_uppercase().as_slice() {
            b"APOP" => Some(Self::Apop),
            b"AUTH" => Some(Self::Auth),
            b"CAPA" => Some(Self::Capa),
            b"PASS" => Some(Self::Pass),
            b"QUIT" => Some(Self::Quit),
            b"STLS" => Some(Self::Stls),
            b"USER" => Some(Self::User),
            b"XCLIENT" => Some(Self::Xclient),
            b"XOIP" => Some(Self::Xoip),
            _ => None,
        }
    }
}

impl Pop3Frontend {
    /// Runs the next command; false if its line is not complete.
    pub(super) fn read_command(&mut self) -> bool {
        if let Some((mechanism, len)) = auth_with_response(self.talk.input.as_slice()) {
            self.line = Line::InitialResponse(mechanism.to_vec());
            self.talk.input.consume(len);
            return true;
        }
        let Some(line) = self.talk.input.line() else {
            if self.talk.input.len() >= INPUT_BYTES_MAX {
                self.say("-ERR Input buffer full, aborting");
                self.talk.close(CloseReason::InputBufferFull);
            }
            return false;
        };
        // It may hold a password.
        let (content, len) = (Secret::from(line.content), line.len);
        self.talk.input.consume(len);
        let (word, argument) = split_at_space(content.expose());
        match Command::named(word) {
            Some(command) => {
                self.bad_commands = 0;
                self.run(command, argument);
            }
            None => self.unknown_command(),
        }
        true
    }

    /// Unknown commands in a row; known ones, also refused ones, start the count anew.
    fn unknown_command(&mut self) {
        self.say("-ERR Unknown command.");
        self.bad_commands += 1;
        if self.bad_commands >= BAD_COMMANDS_MAX {
            self.say("-ERR Too many invalid bad commands.");
            self.talk.close(CloseReason::TooManyBadCommands);
        }
    }

    fn run(&mut self, command: Command, argument: &[u8]) {
        match command {
            // The greeting has no challenge, so there is nothing to digest.
            Command::Apop => self.say("-ERR APOP not enabled."),
            Command::Auth => match split_at_space(argument).0 {
                b"" => self.list_mechanisms(),
                mechanism => self.authenticate(mechanism, None),
            },
            Command::Capa => self.send_capabilities(),
            Command::Pass => self.pass(argument),
            Command::Quit => {
                self.say("+OK Logging out");
                self.talk.close(CloseReason::Logout);
            }
            Command::Stls => self.start_tls(),
            Command::User => self.user(argument),
            Command::Xclient => self.xclient(argument),
            Command::Xoip => self.xclient(&[b"ADDR=", argument].concat()),
        }
    }

    fn user(&mut self, name: &[u8]) {
        if !self.talk.allows_plaintext() {
            return self.refuse_plaintext();
        }
        if name.contains(&0) {
            return self.say("-ERR Invalid parameters.");
        }
        self.user = Some(name.to_vec());
        self.say("+OK");
    }

    /// A name is good for one PASS. NUL separates the parts of the message, so neither part may have one.
    fn pass(&mut self, password: &[u8]) {
        let user = self.user.take();
        if !self.talk.allows_plaintext() {
            return self.refuse_plaintext();
        }
        match user {
            None => self.say("-ERR No username given."),
            Some(_) if password.contains(&0) => self.say("-ERR Invalid parameters."),
            Some(user) => self.authenticate(b"PLAIN", Some(plain_message(&user, password))),
        }
    }

    fn refuse_plaintext(&mut self) {
        self.talk.note(Note::PlaintextRefused);
        self.say("-ERR [AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.");
    }

    fn start_tls(&mut self) {
        if self.tls().is_some() {
            return self.say("-ERR TLS is already active.");
        }
        if !self.talk.offers_tls() {
            return self.say("-ERR TLS support isn't enabled.");
        }
        self.say("+OK Begin TLS negotiation now.");
        self.talk.start_tls();
    }

    /// Good values are taken whatever stands beside them.
    fn xclient(&mut self, items: &[u8]) {
        if !self.talk.client.trusted {
            return self.say("+OK You are not from trusted IP - ignoring");
        }
        let mut good = true;
        for item in items.split(|b| *b == b' ') {
            good &= xclient::take(&mut self.talk.client, item).is_ok();
        }
        self.say(if good { "+OK Updated" } else { "-ERR Invalid parameters" });
    }
}

/// Word and argument; without a space the argument is empty.
fn split_at_space(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|b| *b == b' ') {
        Some(at) => (line.get(..at).unwrap_or_default(), line.get(at + 1..).unwrap_or_default()),
        None => (line, &[]),
    }
}

/// The mechanism and the length of `AUTH mechanism ` with its second space; `None` if `held` does not (yet) begin so.
fn auth_with_response(held: &[u8]) -> Option<(&[u8], usize)> {
    const AUTH: &[u8] = b"AUTH ";
    let (head, rest) = held.split_at_checked(AUTH.len())?;
    let end = rest.iter().position(|b| matches!(b, b' ' | b'\r' | b'\n'))?;
    let begins = head.eq_ignore_ascii_case(AUTH) && end > 0 && rest.get(end) == Some(&b' ');
    Some((rest.get(..end)?, AUTH.len() + end + 1)).filter(|_| begins)
}
