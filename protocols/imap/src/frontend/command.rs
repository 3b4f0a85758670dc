//! Commands before login (spec/login-proxy.md 4.3 to 4.6). A command runs when its line has ended, ID and
//! AUTHENTICATE apart, whose lines may be longer than what is held.

use homing_login::{CloseReason, Note, limits::BAD_COMMANDS_MAX};
use homing_sasl::plain_message;
use homing_wire::Secret;

use super::{
    ImapFrontend,
    id::IdCommand,
    scanner::{Arg, Token},
};

/// Commands whose line is read to its end before they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Capability,
    Enable,
    Login,
    Logout,
    Noop,
    StartTls,
    Unknown,
}

/// What is kept of a command's arguments.
#[derive(Default)]
pub(super) struct Arguments {
    /// Atoms and strings of LOGIN, at most [`LOGIN_ARGUMENTS`].
    strings: Vec<Secret>,
    /// There was something else.
    surplus: bool,
}

/// User and password.
const LOGIN_ARGUMENTS: usize = 2;

/// How far the line being read has come.
pub(super) enum Line {
    /// Nothing but perhaps the tag is known of it.
    Fresh,
    /// A command with the arguments so far.
    Command(Command, Arguments),
    /// ID with the pairs so far.
    Id(IdCommand),
    /// AUTHENTICATE with the mechanism.
    Authenticate(Vec<u8>),
    /// Answered already; its rest is skipped.
    Answered,
}

impl Command {
    fn named(word: &[u8]) -> Self {
        match word.to_ascii_uppercase().as_slice() {
            b"CAPABILITY" => Self::Capability,
            b"ENABLE" => Self::Enable,
            b"LOGIN" => Self::Login,
            b"LOGOUT" => Self::Logout,
            b"NOOP" => Self::Noop,
            b"STARTTLS" => Self::StartTls,
            _ => Self::Unknown,
        }
    }
}

impl Arguments {
    fn push(&mut self, arg: Arg) {
        match arg {
            Arg::Atom(string) | Arg::Text(string) if self.strings.len() < LOGIN_ARGUMENTS => {
                self.strings.push(string);
            }
            _ => self.surplus = true,
        }
    }
}

impl ImapFrontend {
    pub(super) fn take_command(&mut self, token: Token) {
        match token {
            Token::Tag(tag) => self.tag = tag,
            Token::BadTag => {
                self.tag.clear();
                self.answer_line(Self::bad_command);
            }
            Token::BadCommand => self.answer_line(Self::bad_command),
            Token::Command(word) => self.begin(&word),
            Token::Mechanism(word) if word.is_empty() => self.answer_line(Self::bad_command),
            Token::Mechanism(word) => self.line = Line::Authenticate(word),
            Token::Response(response) => {
                if let Line::Authenticate(mechanism) = std::mem::replace(&mut self.line, Line::Fresh) {
                    self.authenticate(&mechanism, response);
                }
            }
            Token::GoOn => self.say("+ OK"),
            Token::Arg(arg) => self.take_argument(arg),
            Token::Failed(text) => self.answer_line(|this| this.answer(&format!("BAD {text}"))),
            Token::End => match std::mem::replace(&mut self.line, Line::Fresh) {
                Line::Command(command, arguments) => self.run(command, &arguments),
                Line::Id(id) => self.finish_id(id),
                Line::Fresh | Line::Authenticate(_) | Line::Answered => {}
            },
            Token::TooLong(excess) => self.too_long(excess),
        }
    }

    fn begin(&mut self, word: &[u8]) {
        if word.eq_ignore_ascii_case(b"AUTHENTICATE") {
            self.scanner.expect_mechanism();
        } else if word.eq_ignore_ascii_case(b"ID") {
            self.scanner.expect_pieces();
            self.line = Line::Id(self.begin_id());
        } else {
            self.line = Line::Command(Command::named(word), Arguments::default());
        }
    }

    fn take_argument(&mut self, arg: Arg) {
        match &mut self.line {
            Line::Command(Command::Login, arguments) => arguments.push(arg),
            Line::Id(_) => self.take_id_argument(arg),
            _ => {}
        }
    }

    /// Surplus arguments matter to LOGIN only.
    fn run(&mut self, command: Command, arguments: &Arguments) {
        match command {
            Command::Capability => self.list_capabilities(),
            Command::Enable => {
                self.say("* ENABLED");
                self.answer("OK ENABLE ignored in non-authenticated state.");
            }
            Command::Login => match arguments.strings.as_slice() {
                [user, password] if !arguments.surplus => self.login(user, password),
                _ => self.bad_command(),
            },
            Command::Logout => {
                self.say("* BYE Logging out");
                self.answer("OK Logout completed.");
                self.talk.close(CloseReason::Logout);
            }
            Command::Noop => self.answer("OK NOOP completed."),
            Command::StartTls => self.start_tls(),
            Command::Unknown if self.tag.eq_ignore_ascii_case(b"LOGIN") => self.answer(
                "BAD First parameter in line is IMAP's command tag, not the command name. \
                 Add that before the command, like: a login user pass",
            ),
            Command::Unknown => self.bad_command(),
        }
    }

    /// Clients must ask again after STARTTLS, so that only asking before it tells that they do not read the
    /// greeting's list (spec/login-proxy.md 4.4).
    fn list_capabilities(&mut self) {
        self.ignores_greeting_capabilities |= !self.started_tls;
        let line = format!("* CAPABILITY {}", self.capabilities());
        self.say(&line);
        self.answer("OK Pre-login capabilities listed, post-login capabilities have more.");
    }

    fn login(&mut self, user: &Secret, password: &Secret) {
        if !self.talk.allows_plaintext() {
            self.talk.note(Note::PlaintextRefused);
            self.say(
                "* BAD [ALERT] Plaintext authentication not allowed without SSL/TLS, but your client did it \
                 anyway. If anyone was listening, the password was exposed.",
            );
            return self.answer(
                "NO [PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.",
            );
        }
        self.ask(b"PLAIN", Some(plain_message(user.expose(), password.expose())));
    }

    fn start_tls(&mut self) {
        if self.tls().is_some() {
            return self.answer("BAD TLS is already active.");
        }
        if !self.talk.offers_tls() {
            return self.answer("BAD TLS support isn't enabled.");
        }
        self.answer("OK Begin TLS negotiation now.");
        self.started_tls = true;
        self.talk.start_tls();
    }

    /// Counted; the count is never reset.
    pub(super) fn bad_command(&mut self) {
        self.bad_commands += 1;
        if self.bad_commands >= BAD_COMMANDS_MAX {
            self.say("* BYE Too many invalid IMAP commands.");
            return self.talk.close(CloseReason::TooManyBadCommands);
        }
        self.answer("BAD Error in IMAP command received by server.");
    }

    /// Answers before the line has ended; the rest of it is skipped.
    pub(super) fn answer_line(&mut self, answer: impl FnOnce(&mut Self)) {
        answer(self);
        self.line = Line::Answered;
        self.scanner.skip_line();
    }
}
