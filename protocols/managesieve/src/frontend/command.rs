//! Commands before login (spec/login-proxy.md 6.2, 6.3, 6.6). A command runs when its line has ended.

use homing_login::{CloseReason, limits::BAD_COMMANDS_MAX, xclient};
use homing_wire::Secret;

use super::SieveFrontend;
use crate::{
    scanner::{Arg, Token},
    text,
};

/// Commands known before login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Authenticate,
    Capability,
    Logout,
    Noop,
    StartTls,
    Xclient,
}

impl Command {
    fn named(word: &[u8]) -> Option<Self> {
        match word.to_ascii_uppercase().as_slice() {
            b"AUTHENTICATE" => Some(Self::Authenticate),
            b"CAPABILITY" => Some(Self::Capability),
            b"LOGOUT" => Some(Self::Logout),
            b"NOOP" => Some(Self::Noop),
            b"STARTTLS" => Some(Self::StartTls),
            b"XCLIENT" => Some(Self::Xclient),
            _ => None,
        }
    }
}

/// How far the line being read has come.
pub(super) enum Line {
    /// Nothing is known of it.
    Fresh,
    /// A command with the arguments so far.
    Command(Command, Vec<Arg>),
    /// A SASL response line with its string, once that was read.
    Response(Option<Secret>),
    /// Answered already; its rest is skipped.
    Answered,
}

impl SieveFrontend {
    pub(super) fn take_command(&mut self, token: Token) {
        match token {
            Token::Word(word) => match Command::named(&word) {
                Some(command) => self.line = Line::Command(command, Vec::new()),
                None => self.answer_line(Self::bad_command),
            },
            Token::Arg(arg) => self.take_argument(arg),
            Token::Failed(text) => self.answer_line(|this| this.say_text("NO", text)),
            Token::End => match std::mem::replace(&mut self.line, Line::Fresh) {
                Line::Command(command, args) => self.run(command, &args),
                Line::Fresh | Line::Response(_) | Line::Answered => {}
            },
            Token::TooLong(excess) => self.too_long(excess),
        }
    }

    fn take_argument(&mut self, arg: Arg) {
        let Line::Command(command, args) = &mut self.line else { return };
        args.push(arg);
        if *command != Command::Authenticate {
            return;
        }
        match args.as_slice() {
            [Arg::Text(mechanism)] if !mechanism.is_empty() => self.scanner.expect_sasl(),
            [_] => self.answer_line(Self::bad_command),
            [_, Arg::Text(_)] => self.scanner.skip_line(),
            _ => self.answer_line(|this| this.say("NO \"Invalid AUTHENTICATE initial response.\"")),
        }
    }

    fn run(&mut self, command: Command, args: &[Arg]) {
        match (command, args) {
            (Command::Authenticate, [Arg::Text(mechanism)]) => self.authenticate(mechanism, None),
            (Command::Authenticate, [Arg::Text(mechanism), Arg::Text(response)]) => {
                self.authenticate(mechanism, Some(response));
            }
            (Command::Capability, []) => self.send_capabilities("Capability completed."),
            (Command::Logout, []) => {
                self.say("OK \"Logout completed.\"");
                self.talk.close(CloseReason::Logout);
            }
            (Command::Noop, []) => self.say("OK \"NOOP Completed\""),
            (Command::Noop, [Arg::Text(tag)]) => self.echo(tag),
            (Command::Noop, [Arg::Atom(_)]) => self.say("NO \"Invalid echo tag.\""),
            (Command::StartTls, []) => self.start_tls(),
            (Command::Xclient, items) => self.xclient(items),
            _ => self.bad_command(),
        }
    }

    fn echo(&mut self, tag: &Secret) {
        let mut out = b"OK (TAG ".to_vec();
        text::push_string(&mut out, tag.expose());
        out.extend_from_slice(b") \"Done\"\r\n");
        self.talk.send(out);
    }

    fn start_tls(&mut self) {
        if self.tls().is_some() {
            return self.say("NO \"TLS is already active.\"");
        }
        if !self.talk.offers_tls() {
            return self.say("NO \"TLS support isn't enabled.\"");
        }
        self.say("OK \"Begin TLS negotiation now.\"");
        self.talk.start_tls();
    }

    fn xclient(&mut self, items: &[Arg]) {
        if !self.talk.client.trusted {
            return self.say("NO \"You are not from trusted IP\"");
        }
        let mut good = true;
        for item in items {
            good = match item {
                Arg::Atom(item) => good && xclient::take(&mut self.talk.client, item).is_ok(),
                Arg::Text(_) => false,
            };
        }
        if good { self.say("OK \"Updated\"") } else { self.bad_command() }
    }

    /// Counted; the count is never reset.
    fn bad_command(&mut self) {
        self.bad_commands += 1;
        if self.bad_commands >= BAD_COMMANDS_MAX {
            self.say("BYE \"Too many invalid MANAGESIEVE commands.\"");
            return self.talk.close(CloseReason::TooManyBadCommands);
        }
        self.say("NO \"Error in MANAGESIEVE command received by server.\"");
    }

    /// Answers before the line has ended; the rest of it is skipped.
    pub(super) fn answer_line(&mut self, answer: impl FnOnce(&mut Self)) {
        answer(self);
        self.line = Line::Answered;
        self.scanner.skip_line();
    }
}
