//! From client bytes to words and strings, one byte at a time, so that no way of cutting the input into
//! segments can matter. All limits on what a client can make grow are here; what the words mean is not.

use homing_login::limits::{
    COMMAND_ARGUMENT_BYTES_MAX, INPUT_BYTES_MAX, LINE_BYTES_MAX, SASL_RESPONSE_BYTES_MAX,
};
use homing_wire::{InputBuffer, Secret};

/// What the client wrote next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// The first word of a command line; empty for an empty line or a leading space.
    Word(Vec<u8>),
    /// An argument.
    Arg(Arg),
    /// The line has ended, whether its rest was read or skipped.
    End,
    /// A syntax error, in words for the client. The rest of the line is skipped.
    Failed(&'static str),
    /// More than may be held. The connection cannot go on.
    TooLong(Excess),
}

/// One argument.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arg {
    /// A bare word.
    Atom(Vec<u8>),
    /// A quoted string or literal, unescaped.
    Text(Secret),
}

/// Which limit was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    /// A word or string over [`INPUT_BYTES_MAX`].
    Input,
    /// A literal over [`COMMAND_ARGUMENT_BYTES_MAX`].
    Literal,
    /// A SASL response over [`SASL_RESPONSE_BYTES_MAX`].
    Sasl,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Word,
    Between,
    Atom,
    Quoted { escape: bool },
    LiteralSize { size: usize, plus: bool },
    LiteralLine { size: usize, cr: bool },
    Literal { left: usize },
    LineCr,
    Skip,
}

/// Reads command lines and SASL response lines.
#[derive(Debug)]
pub(crate) struct Scanner {
    state: State,
    /// The word or string being read; wiped, for it may be a password.
    held: InputBuffer,
    /// Bytes of the current line, SASL strings and skipped parts apart.
    line_bytes: usize,
    /// All bytes of the current line.
    whole_line_bytes: usize,
    /// Raw bytes of the current word or quoted string.
    raw_bytes: usize,
    /// Strings are SASL responses: other limit, other texts.
    sasl: bool,
}

impl Scanner {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Word,
            held: InputBuffer::new(INPUT_BYTES_MAX),
            line_bytes: 0,
            whole_line_bytes: 0,
            raw_bytes: 0,
            sasl: false,
        }
    }

    /// Strings of this line are SASL responses from here on.
    pub(crate) fn expect_sasl(&mut self) {
        self.sasl = true;
        self.held.set_limit(SASL_RESPONSE_BYTES_MAX);
    }

    /// The next line is a SASL response line: no command word, one string.
    pub(crate) fn expect_response(&mut self) {
        self.state = State::Between;
        self.expect_sasl();
    }

    /// The rest of the current line does not matter; [`Token::End`] tells when it is over.
    pub(crate) fn skip_line(&mut self) {
        self.held.consume(self.held.len());
        self.state = State::Skip;
    }

    /// Forgets a SASL response line. True if part of it was read, so that its rest must be skipped.
    pub(crate) fn abandon_response(&mut self) -> bool {
        let begun = self.state != State::Between || self.line_bytes > 0;
        if begun {
            self.skip_line();
        } else {
            self.next_line();
        }
        begun
    }

    /// Reads until there is a token or the input ends; says how many bytes were used.
    pub(crate) fn scan(&mut self, input: &[u8]) -> (usize, Option<Token>) {
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

    /// One byte: whether it is used up, and what it completes.
    fn step(&mut self, byte: u8) -> (bool, Option<Token>) {
        let (taken, token) = match self.state {
            State::Word => self.word(byte),
            State::Between => self.between(byte),
            State::Atom => self.atom(byte),
            State::Quoted { escape } => self.quoted(byte, escape),
            State::LiteralSize { size, plus } => self.literal_size(byte, size, plus),
            State::LiteralLine { size, cr } => self.literal_line(byte, size, cr),
            State::Literal { left } => self.literal(byte, left),
            State::LineCr => self.line_cr(byte),
            State::Skip => self.skip(byte),
        };
        let counts = !self.sasl && self.state != State::Skip && token != Some(Token::End);
        if taken && counts {
            self.line_bytes += 1;
        }
        let too_long = self.count_line(taken && token != Some(Token::End));
        (taken, token.or(too_long))
    }

    /// What holds for any line, however little of it is kept.
    fn count_line(&mut self, counts: bool) -> Option<Token> {
        self.whole_line_bytes += usize::from(counts);
        (self.whole_line_bytes > LINE_BYTES_MAX).then_some(Token::TooLong(Excess::Input))
    }

    fn word(&mut self, byte: u8) -> (bool, Option<Token>) {
        if !matches!(byte, b' ' | b'\r' | b'\n') {
            return (true, self.keep(byte));
        }
        self.state = State::Between;
        (byte == b' ', Some(Token::Word(self.take_word())))
    }

    fn between(&mut self, byte: u8) -> (bool, Option<Token>) {
        if self.line_bytes > COMMAND_ARGUMENT_BYTES_MAX {
            return self.fail("MANAGESIEVE command line too large");
        }
        // Enough to tell a response line that has begun from one that has not.
        self.line_bytes += usize::from(self.sasl);
        self.raw_bytes = 0;
        match byte {
            b' ' => {}
            b'\r' => self.state = State::LineCr,
            b'\n' => return self.end_line(),
            b'"' => {
                self.raw_bytes = 1;
                self.state = State::Quoted { escape: false };
            }
            b'{' => self.state = State::LiteralSize { size: 0, plus: false },
            _ => {
                self.state = State::Atom;
                return (false, None);
            }
        }
        (true, None)
    }

    fn atom(&mut self, byte: u8) -> (bool, Option<Token>) {
        match byte {
            b' ' | b'\r' | b'\n' => {
                self.state = State::Between;
                (false, Some(Token::Arg(Arg::Atom(self.take_word()))))
            }
            0x80.. => self.fail("8bit data in atom"),
            b'(' | b')' | b'{' | b'"' | b'\\' => self.fail("Invalid characters in atom"),
            byte if byte.is_ascii_control() => self.fail("Invalid characters in atom"),
            byte => (true, self.keep(byte)),
        }
    }

    fn quoted(&mut self, byte: u8, escape: bool) -> (bool, Option<Token>) {
        let escaping = !escape && byte == b'\\';
        match byte {
            0 if !self.sasl => return self.fail("NULs not allowed in strings"),
            0 | b'\r' | b'\n' => return self.fail(self.bad_character()),
            b'"' | b'\\' => {}
            _ if escape => return self.fail(self.bad_escape()),
            _ => {}
        }
        if byte == b'"' && !escape {
            return (true, Some(self.take_text("Invalid UTF-8 character in quoted-string.")));
        }
        self.state = State::Quoted { escape: escaping };
        if escaping { (true, self.count()) } else { (true, self.keep(byte)) }
    }

    fn literal_size(&mut self, byte: u8, size: usize, plus: bool) -> (bool, Option<Token>) {
        match byte {
            b'}' => {
                self.state = State::LiteralLine { size, cr: false };
                return (true, self.literal_excess(size));
            }
            _ if plus => return self.fail("Expecting '}' after '+'"),
            b'+' => self.state = State::LiteralSize { size, plus: true },
            b'0'..=b'9' => {
                let size = size.saturating_mul(10).saturating_add(usize::from(byte - b'0'));
                self.state = State::LiteralSize { size, plus };
            }
            _ => return self.fail("Invalid literal size"),
        }
        (true, None)
    }

    fn literal_line(&mut self, byte: u8, size: usize, cr: bool) -> (bool, Option<Token>) {
        match byte {
            b'\r' if !cr => self.state = State::LiteralLine { size, cr: true },
            b'\n' if size == 0 => return (true, Some(self.take_text(""))),
            b'\n' => self.state = State::Literal { left: size },
            _ => return self.fail("Missing LF after literal size"),
        }
        (true, None)
    }

    fn literal(&mut self, byte: u8, left: usize) -> (bool, Option<Token>) {
        if byte == 0 && !self.sasl {
            return self.fail("NULs not allowed in strings");
        }
        if self.held.extend(&[byte]).is_err() {
            return (true, Some(self.too_long()));
        }
        self.state = State::Literal { left: left.saturating_sub(1) };
        if left > 1 {
            return (true, None);
        }
        (true, Some(self.take_text("Invalid UTF-8 character in literal string.")))
    }

    fn line_cr(&mut self, byte: u8) -> (bool, Option<Token>) {
        if byte == b'\n' { self.end_line() } else { self.fail("CR sent without LF") }
    }

    fn skip(&mut self, byte: u8) -> (bool, Option<Token>) {
        if byte == b'\n' { self.end_line() } else { (true, None) }
    }

    /// The limit that a literal's announced size passes by itself. One that passes only the smaller
    /// input limit is refused when its data arrives, as in the reference.
    fn literal_excess(&self, size: usize) -> Option<Token> {
        if self.sasl {
            (size > SASL_RESPONSE_BYTES_MAX).then_some(Token::TooLong(Excess::Sasl))
        } else {
            let room = COMMAND_ARGUMENT_BYTES_MAX.saturating_sub(self.line_bytes);
            (size > room).then_some(Token::TooLong(Excess::Literal))
        }
    }

    /// Adds a byte to the word or quoted string. Both must fit the input limit together with what delimits
    /// them.
    fn keep(&mut self, byte: u8) -> Option<Token> {
        if self.held.extend(&[byte]).is_err() {
            return Some(self.too_long());
        }
        self.count()
    }

    fn count(&mut self) -> Option<Token> {
        self.raw_bytes += 1;
        (!self.sasl && self.raw_bytes >= INPUT_BYTES_MAX).then(|| self.too_long())
    }

    fn too_long(&self) -> Token {
        Token::TooLong(if self.sasl { Excess::Sasl } else { Excess::Input })
    }

    fn take_word(&mut self) -> Vec<u8> {
        self.raw_bytes = 0;
        let word = self.held.as_slice().to_vec();
        self.held.consume(word.len());
        word
    }

    /// Hands out the string; commands get text only, SASL has its own alphabet.
    fn take_text(&mut self, not_utf8: &'static str) -> Token {
        if !self.sasl && std::str::from_utf8(self.held.as_slice()).is_err() {
            self.skip_line();
            return Token::Failed(not_utf8);
        }
        let text = Secret::from(self.held.as_slice());
        self.held.consume(text.len());
        self.state = State::Between;
        Token::Arg(Arg::Text(text))
    }

    /// The byte at fault is not used up: it may be the line end.
    fn fail(&mut self, text: &'static str) -> (bool, Option<Token>) {
        self.skip_line();
        (false, Some(Token::Failed(text)))
    }

    fn end_line(&mut self) -> (bool, Option<Token>) {
        self.next_line();
        (true, Some(Token::End))
    }

    fn next_line(&mut self) {
        *self = Self { state: State::Word, ..Self::new() };
    }

    fn bad_character(&self) -> &'static str {
        if self.sasl {
            "Error in AUTHENTICATE response string: Quoted string contains an invalid character"
        } else {
            "String contains invalid character."
        }
    }

    fn bad_escape(&self) -> &'static str {
        if self.sasl {
            "Error in AUTHENTICATE response string: Escaped quoted-string character is not a QUOTED-SPECIAL"
        } else {
            "Escaped quoted-string character is not a QUOTED-SPECIAL."
        }
    }
}

#[cfg(test)]
mod tests;
