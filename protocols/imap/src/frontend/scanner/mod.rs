//! From client bytes to tags, commands and arguments, one byte at a time, so that no way of cutting the input into
//! segments can matter. All limits on what a client can make grow are here; what the words mean is not.
//!
//! Grammar and leniency are those of the reference (spec/login-proxy.md 4.3, 4.9), which differ from RFC 3501
//! section 9: 8-bit characters in quoted strings, any escaped character, `%`, `*` and `\` in atoms, any number
//! of spaces between arguments or none behind a string, LF as line end.

mod argument;

use homing_login::limits::{INPUT_BYTES_MAX, LINE_BYTES_MAX, SASL_RESPONSE_BYTES_MAX, TAG_BYTES_MAX};
use homing_wire::{InputBuffer, Secret};

/// What the client wrote next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// The tag that begins a command line.
    Tag(Vec<u8>),
    /// The line has no usable tag; its rest is skipped.
    BadTag,
    /// The command name behind the tag, as written.
    Command(Vec<u8>),
    /// No usable command name stands behind the tag; the rest of the line is skipped.
    BadCommand,
    /// The word behind AUTHENTICATE; may be empty.
    Mechanism(Vec<u8>),
    /// An argument or part of a list.
    Arg(Arg),
    /// A SASL response: the line up to its end, which has been read.
    Response(Secret),
    /// A literal was announced whose sender waits to be told to go on (RFC 3501 section 4.3).
    GoOn,
    /// The line has ended, whether its rest was read or skipped.
    End,
    /// A syntax error, in words for the client. The rest of the line is skipped.
    Failed(&'static str),
    /// More than may be held. The connection cannot go on.
    TooLong(Excess),
}

/// One argument. All are secrets, since LOGIN's are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arg {
    /// A bare word; `NIL` is not told apart.
    Atom(Secret),
    /// A quoted string or literal, unescaped.
    Text(Secret),
    /// A list begins.
    Open,
    /// A list ends.
    Close,
}

/// Which limit was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Excess {
    /// A word or string over [`INPUT_BYTES_MAX`].
    Input,
    /// A literal that [`homing_login::limits::COMMAND_ARGUMENT_BYTES_MAX`] leaves no room for.
    Literal,
    /// A `{n+}` literal over [`LITERAL_MINUS_BYTES_MAX`], where that is the rule.
    NonSynchronizing,
    /// A SASL response over [`SASL_RESPONSE_BYTES_MAX`].
    Sasl,
}

/// Largest literal a client may send without waiting where LITERAL- is offered (RFC 7888 section 5).
const LITERAL_MINUS_BYTES_MAX: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Tag,
    Command,
    Mechanism,
    Response,
    Between,
    Tilde,
    Atom,
    Quoted { escape: bool },
    LiteralSize { size: usize, plus: bool },
    LiteralLine { size: usize, cr: bool },
    Literal { left: usize },
    LineCr,
    Skip,
}

/// What a state does with one byte: whether it is used up, and what it completes.
type Step = (bool, Option<Token>);

/// Reads command lines and SASL response lines.
#[derive(Debug)]
pub(super) struct Scanner {
    state: State,
    literal_minus: bool,
    /// The word, string or response being read; wiped, for it may be a password.
    held: InputBuffer,
    /// Bytes of the current line, skipped parts and SASL responses apart.
    line_bytes: usize,
    /// All bytes of the current line.
    whole_line_bytes: usize,
    /// Raw bytes of the current word or quoted string.
    raw_bytes: usize,
    /// Open lists.
    depth: usize,
    /// Arguments are used up one by one, so that only each of them is limited.
    piecewise: bool,
}

impl Scanner {
    /// With `literal_minus` the limit of RFC 7888 section 5 holds for `{n+}`.
    pub(super) fn new(literal_minus: bool) -> Self {
        Self {
            state: State::Tag,
            literal_minus,
            held: InputBuffer::new(INPUT_BYTES_MAX),
            line_bytes: 0,
            whole_line_bytes: 0,
            raw_bytes: 0,
            depth: 0,
            piecewise: false,
        }
    }

    /// Behind AUTHENTICATE: a mechanism and the initial response come next.
    pub(super) fn expect_mechanism(&mut self) {
        self.state = State::Mechanism;
    }

    /// Behind ID: the line may be of any length, since its arguments are not kept.
    pub(super) fn expect_pieces(&mut self) {
        self.piecewise = true;
    }

    /// The next line is a SASL response.
    pub(super) fn expect_response(&mut self) {
        self.held.set_limit(SASL_RESPONSE_BYTES_MAX);
        self.state = State::Response;
    }

    /// The rest of the current line does not matter; [`Token::End`] tells when it is over.
    pub(super) fn skip_line(&mut self) {
        self.held.consume(self.held.len());
        self.state = State::Skip;
    }

    /// Forgets a SASL response line. True if part of it was read, so that its rest must be skipped.
    pub(super) fn abandon_response(&mut self) -> bool {
        let begun = !self.held.is_empty();
        if begun {
            self.skip_line();
        } else {
            self.next_line();
        }
        begun
    }

    /// Reads until there is a token or the input ends; says how many bytes were used.
    pub(super) fn scan(&mut self, input: &[u8]) -> (usize, Option<Token>) {
        let mut used = 0;
        while let Some(byte) = input.get(used) {
            let (taken, token) = self.step(*byte);
            used += usize::from(taken);
            if token.is_some() {
                return (used, token);
            }
        }
        (used, None)
    }

    fn step(&mut self, byte: u8) -> Step {
        let (taken, token) = match self.state {
            State::Tag => self.tag(byte),
            State::Command => self.command(byte),
            State::Mechanism => self.mechanism(byte),
            State::Response => self.response(byte),
            State::Between => self.between(byte),
            State::Tilde => self.tilde(byte),
            State::Atom => self.atom(byte),
            State::Quoted { escape } => self.quoted(byte, escape),
            State::LiteralSize { size, plus } => self.literal_size(byte, size, plus),
            State::LiteralLine { size, cr } => self.literal_line(byte, size, cr),
            State::Literal { left } => self.literal(byte, left),
            State::LineCr => self.line_cr(byte),
            State::Skip => self.skip(byte),
        };
        let counts = !matches!(self.state, State::Skip | State::Response) && token != Some(Token::End);
        if taken && counts {
            self.line_bytes += 1;
        }
        let too_long = self.count_line(taken && token != Some(Token::End));
        (taken, token.or(too_long))
    }

    /// What holds for any line, however little of it is kept.
    fn count_line(&mut self, counts: bool) -> Option<Token> {
        if self.state != State::Response {
            self.whole_line_bytes += usize::from(counts);
        }
        (self.whole_line_bytes > LINE_BYTES_MAX).then_some(Token::TooLong(Excess::Input))
    }

    /// `+` would make a continuation of the reply (RFC 3501 section 9: tag).
    fn tag(&mut self, byte: u8) -> Step {
        match byte {
            b' ' | b'\r' | b'\n' => {
                let usable = (1..=TAG_BYTES_MAX).contains(&self.held.len());
                if !usable {
                    return self.malformed(Token::BadTag);
                }
                self.state = State::Command;
                (byte == b' ', Some(Token::Tag(self.take_word())))
            }
            b'+' => self.malformed(Token::BadTag),
            byte if is_word_char(byte) => (true, self.keep(byte)),
            _ => self.malformed(Token::BadTag),
        }
    }

    fn command(&mut self, byte: u8) -> Step {
        match byte {
            b' ' | b'\r' | b'\n' if !self.held.is_empty() => {
                self.state = State::Between;
                (byte == b' ', Some(Token::Command(self.take_word())))
            }
            byte if is_word_char(byte) => (true, self.keep(byte)),
            _ => self.malformed(Token::BadCommand),
        }
    }

    fn mechanism(&mut self, byte: u8) -> Step {
        if !matches!(byte, b' ' | b'\r' | b'\n') {
            return (true, self.keep(byte));
        }
        let word = self.take_word();
        self.expect_response();
        (byte == b' ', Some(Token::Mechanism(word)))
    }

    /// The CR of a line end counts for the limit, as in the reference.
    fn response(&mut self, byte: u8) -> Step {
        if byte != b'\n' {
            let full = self.held.extend(&[byte]).is_err();
            return (true, full.then_some(Token::TooLong(Excess::Sasl)));
        }
        let line = self.held.as_slice();
        let response = Secret::from(line.strip_suffix(b"\r").unwrap_or(line));
        self.next_line();
        (true, Some(Token::Response(response)))
    }

    fn skip(&mut self, byte: u8) -> Step {
        if byte == b'\n' { self.end_line() } else { (true, None) }
    }

    /// Adds a byte to the word or quoted string. Both must fit the input limit together with what delimits
    /// them.
    fn keep(&mut self, byte: u8) -> Option<Token> {
        if self.held.extend(&[byte]).is_err() {
            return Some(Token::TooLong(Excess::Input));
        }
        self.count()
    }

    fn count(&mut self) -> Option<Token> {
        self.raw_bytes += 1;
        (self.raw_bytes >= INPUT_BYTES_MAX).then_some(Token::TooLong(Excess::Input))
    }

    fn take_word(&mut self) -> Vec<u8> {
        self.raw_bytes = 0;
        let word = self.held.as_slice().to_vec();
        self.held.consume(word.len());
        word
    }

    fn take_secret(&mut self) -> Secret {
        self.raw_bytes = 0;
        let secret = Secret::from(self.held.as_slice());
        self.held.consume(secret.len());
        secret
    }

    /// The byte at fault is not used up: it may be the line end.
    fn malformed(&mut self, token: Token) -> Step {
        self.skip_line();
        (false, Some(token))
    }

    fn fail(&mut self, text: &'static str) -> Step {
        self.malformed(Token::Failed(text))
    }

    fn end_line(&mut self) -> Step {
        self.next_line();
        (true, Some(Token::End))
    }

    fn next_line(&mut self) {
        *self = Self::new(self.literal_minus);
    }
}

/// What tags and command names are made of. Measured with the reference: an atom without `]`, but DEL may
/// occur (2.3.19.1).
fn is_word_char(byte: u8) -> bool {
    let special = matches!(byte, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']');
    byte > b' ' && byte.is_ascii() && !special
}

#[cfg(test)]
mod tests;
