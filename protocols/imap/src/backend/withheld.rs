//! Keeps credentials that a backend repeats out of the log. Knows only bytes.

use homing_wire::{Secret, printable};

/// Stands for a text that repeats a credential.
pub(super) const NOT_SHOWN: &str = "(not shown, it may repeat the password)";

/// Shorter secrets are not looked for, since any text has them by chance.
const SECRET_BYTES_MIN: usize = 4;

/// What no log line may have.
#[derive(Debug)]
pub(super) struct Withheld(Vec<Secret>);

impl Withheld {
    pub(super) fn new(password: &Secret) -> Self {
        let mut withheld = Self(Vec::new());
        withheld.add(password);
        let escaped = Secret::new(escaped(password.expose()));
        if escaped != *password {
            withheld.add(&escaped);
        }
        withheld
    }

    /// Another form of a credential, as it was sent.
    pub(super) fn add(&mut self, secret: &Secret) {
        if secret.len() >= SECRET_BYTES_MIN {
            self.0.push(secret.clone());
        }
    }

    /// A backend's words for the log, escaped.
    pub(super) fn shown(&self, text: &[u8]) -> String {
        if self.0.iter().any(|secret| contains(text, secret.expose())) {
            return NOT_SHOWN.to_owned();
        }
        printable(text)
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len().max(1)).any(|window| window == part)
}

/// As in a quoted string.
fn escaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 * text.len());
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_repeat_a_secret_are_not_shown() {
        let mut withheld = Withheld::new(&Secret::from("pa\"ss"));
        withheld.add(&Secret::from("cGFzcw=="));
        for text in ["pa\"ss", "bad: \"pa\\\"ss\" here", "AUTHENTICATE PLAIN cGFzcw=="] {
            assert_eq!(withheld.shown(text.as_bytes()), NOT_SHOWN, "{text}");
        }
        assert_eq!(withheld.shown(b"pass <1>"), "pass \\x3c1\\x3e");
    }

    #[test]
    fn short_secrets_do_not_hide_everything() {
        assert_eq!(Withheld::new(&Secret::from("")).shown(b"x"), "x");
        assert_eq!(Withheld::new(&Secret::from("abc")).shown(b"abc"), "abc");
        assert_eq!(Withheld::new(&Secret::from("abcd")).shown(b"abcd"), NOT_SHOWN);
        assert_eq!(Withheld::new(&Secret::from("abcd")).shown(b""), "");
    }
}
