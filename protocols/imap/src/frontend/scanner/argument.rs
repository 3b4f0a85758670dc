//! The argument part of a command line: atoms, strings, literals and lists.

use homing_login::limits::{COMMAND_ARGUMENT_BYTES_MAX, NESTING_MAX};

use super::{Arg, Excess, LITERAL_MINUS_BYTES_MAX, Scanner, State, Step, Token};

impl Scanner {
    pub(super) fn between(&mut self, byte: u8) -> Step {
        if self.piecewise {
            self.line_bytes = 0;
        }
        if self.line_bytes > COMMAND_ARGUMENT_BYTES_MAX {
            return self.fail("IMAP command line too large");
        }
        match byte {
            b' ' => {}
            b'\r' => self.state = State::LineCr,
            b'\n' => return self.end_arguments(),
            b'(' => return self.open(),
            b')' => return self.close(),
            b'"' => {
                self.raw_bytes = 1;
                self.state = State::Quoted { escape: false };
            }
            b'{' => self.state = State::LiteralSize { size: 0, plus: false },
            b'~' => self.state = State::Tilde,
            _ => {
                self.state = State::Atom;
                return (false, None);
            }
        }
        (true, None)
    }

    pub(super) fn line_cr(&mut self, byte: u8) -> Step {
        if byte == b'\n' { self.end_arguments() } else { self.fail("CR sent without LF") }
    }

    fn end_arguments(&mut self) -> Step {
        if self.depth > 0 { self.fail("Missing ')'") } else { self.end_line() }
    }

    fn open(&mut self) -> Step {
        if self.depth == NESTING_MAX {
            return self.fail("Too many '('");
        }
        self.depth += 1;
        (true, Some(Token::Arg(Arg::Open)))
    }

    fn close(&mut self) -> Step {
        match self.depth.checked_sub(1) {
            Some(depth) => {
                self.depth = depth;
                (true, Some(Token::Arg(Arg::Close)))
            }
            None => self.fail("Unexpected ')'"),
        }
    }

    /// `~{` begins a literal8 (RFC 3516), which no command takes before login; else it is part of an atom.
    pub(super) fn tilde(&mut self, byte: u8) -> Step {
        if byte == b'{' {
            return self.fail("literal8 not allowed here");
        }
        self.state = State::Atom;
        (false, self.keep(b'~'))
    }

    pub(super) fn atom(&mut self, byte: u8) -> Step {
        match byte {
            b' ' | b'\r' | b'\n' => self.end_atom(),
            b')' if self.depth > 0 => self.end_atom(),
            b')' => self.fail("Unexpected ')'"),
            0x80.. => self.fail("8bit data in atom"),
            b'(' | b'{' | b'"' => self.fail("Invalid characters in atom"),
            byte if byte.is_ascii_control() => self.fail("Invalid characters in atom"),
            byte => (true, self.keep(byte)),
        }
    }

    fn end_atom(&mut self) -> Step {
        self.state = State::Between;
        (false, Some(Token::Arg(Arg::Atom(self.take_secret()))))
    }

    pub(super) fn quoted(&mut self, byte: u8, escape: bool) -> Step {
        let escaping = !escape && byte == b'\\';
        match byte {
            0 => return self.fail("NULs not allowed in strings"),
            b'\r' | b'\n' => return self.fail("Missing '\"'"),
            b'"' if !escape => return (true, Some(self.take_text())),
            _ => {}
        }
        self.state = State::Quoted { escape: escaping };
        if escaping { (true, self.count()) } else { (true, self.keep(byte)) }
    }

    pub(super) fn literal_size(&mut self, byte: u8, size: usize, plus: bool) -> Step {
        match byte {
            b'}' => {
                self.state = State::LiteralLine { size, cr: false };
                return (true, self.announced(size, plus));
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

    /// The limits that an announced size passes by itself, else leave to go on. A literal that passes only
    /// the smaller input limit is refused when its data arrives, as in the reference.
    fn announced(&self, size: usize, plus: bool) -> Option<Token> {
        // The reference counts everything up to the brace.
        let room = COMMAND_ARGUMENT_BYTES_MAX.saturating_sub(self.line_bytes + 1);
        if plus && self.literal_minus && size > LITERAL_MINUS_BYTES_MAX {
            Some(Token::TooLong(Excess::NonSynchronizing))
        } else if size > room {
            Some(Token::TooLong(Excess::Literal))
        } else {
            (!plus).then_some(Token::GoOn)
        }
    }

    pub(super) fn literal_line(&mut self, byte: u8, size: usize, cr: bool) -> Step {
        match byte {
            b'\r' if !cr => self.state = State::LiteralLine { size, cr: true },
            b'\n' if size == 0 => return (true, Some(self.take_text())),
            b'\n' => self.state = State::Literal { left: size },
            _ => return self.fail("Missing LF after literal size"),
        }
        (true, None)
    }

    /// A NUL would end the string in the auth request (RFC 4616 section 2).
    pub(super) fn literal(&mut self, byte: u8, left: usize) -> Step {
        if byte == 0 {
            return self.fail("NULs not allowed in strings");
        }
        if self.held.extend(&[byte]).is_err() {
            return (true, Some(Token::TooLong(Excess::Input)));
        }
        self.state = State::Literal { left: left.saturating_sub(1) };
        (true, (left <= 1).then(|| self.take_text()))
    }

    fn take_text(&mut self) -> Token {
        self.state = State::Between;
        Token::Arg(Arg::Text(self.take_secret()))
    }
}
