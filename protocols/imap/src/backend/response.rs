//! What a backend's lines say (spec/login-proxy.md 8.1.2, 8.1.6, 8.1.8). Lines are told apart by their first word, as
//! loosely as the reference does: backends in use send things that a grammar would refuse.

/// What the capabilities in a banner mean for the login.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offered {
    /// A capability list was there.
    pub listed: bool,
    pub id: bool,
    pub starttls: bool,
    pub sasl_ir: bool,
    pub login_disabled: bool,
}

/// The banner's capability list (`None`: it has none) and what it means. `Err`: no banner.
pub(super) fn banner(line: &[u8]) -> Result<(Option<String>, Offered), ()> {
    let text = line.strip_prefix(b"* OK ").ok_or(())?;
    let Some(list) = text.strip_prefix(b"[CAPABILITY ") else { return Ok((None, Offered::default())) };
    let list = list.split(|b| *b == b']').next().unwrap_or_default();
    let list = String::from_utf8_lossy(list).into_owned();
    let has = |name: &str| list.split(' ').any(|word| word.eq_ignore_ascii_case(name));
    let offered = Offered {
        listed: true,
        id: has("ID"),
        starttls: has("STARTTLS"),
        sasl_ir: has("SASL-IR"),
        login_disabled: has("LOGINDISABLED"),
    };
    Ok((Some(list), offered))
}

/// A line behind the banner.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// `+`, and what stands behind it.
    Continue(&'a [u8]),
    /// `S OK `.
    StartTls,
    /// Another reply to STARTTLS, without the tag.
    StartTlsRefused(&'a [u8]),
    /// `L OK `, and the text.
    LoggedIn(&'a [u8]),
    /// Another reply to the login, without the tag.
    Refused(&'a [u8]),
    /// Reply to CAPABILITY; true for `OK`.
    Capability(bool),
    /// Reply to ID, whatever it says.
    Id,
    /// `* CAPABILITY `, and the list.
    Capabilities(&'a [u8]),
    /// `* ID` or `* BYE`: not for the client, which stays connected.
    Swallowed,
    /// Another untagged line, for the client.
    Untagged,
    /// No line that the dialogue has asked for.
    Unexpected,
}

impl<'a> Line<'a> {
    pub(super) fn read(line: &'a [u8]) -> Self {
        match line {
            [b'+', rest @ ..] => Self::Continue(rest),
            [b'S', b' ', b'O', b'K', b' ', ..] => Self::StartTls,
            [b'S', b' ', reply @ ..] => Self::StartTlsRefused(reply),
            [b'L', b' ', b'O', b'K', b' ', text @ ..] => Self::LoggedIn(text),
            [b'L', b' ', reply @ ..] => Self::Refused(reply),
            [b'C', b' ', reply @ ..] => Self::Capability(reply.starts_with(b"OK ")),
            [b'I' | b'i', b' ', ..] => Self::Id,
            [b'*', b' ', text @ ..] => Self::untagged(text),
            _ => Self::Unexpected,
        }
    }

    fn untagged(text: &'a [u8]) -> Self {
        if let Some(list) = behind_word(text, b"CAPABILITY ") {
            return Self::Capabilities(list);
        }
        if behind_word(text, b"ID ").is_some() || text.starts_with(b"BYE ") {
            return Self::Swallowed;
        }
        Self::Untagged
    }
}

/// What follows `word` in any case.
fn behind_word<'a>(text: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(word.len())?;
    head.eq_ignore_ascii_case(word).then_some(rest)
}

/// What a refused login means (spec/login-proxy.md 8.1.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Own words for the client: the backend's could tell whether a user exists.
    Hidden,
    /// The client sees the backend's words.
    Shown,
    /// The same, and another attempt may help.
    TryLater,
}

/// Reads a refusal without its tag.
pub(super) fn refusal(reply: &[u8]) -> Refused {
    let Some(code) = reply.strip_prefix(b"NO [") else { return Refused::Hidden };
    if code.starts_with(b"AUTHENTICATIONFAILED]") {
        Refused::Hidden
    } else if code.starts_with(b"UNAVAILABLE]") {
        Refused::TryLater
    } else {
        Refused::Shown
    }
}

/// A refusal's words for the log: without `NO`, which says nothing.
pub(super) fn words(reply: &[u8]) -> &[u8] {
    behind_word(reply, b"NO ").unwrap_or(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banners() {
        let list = |line: &[u8]| banner(line).map(|(list, _)| list);
        assert_eq!(list(b"* OK Mock ready."), Ok(None));
        assert_eq!(list(b"* OK [capability X] ready"), Ok(None));
        assert_eq!(list(b"* OK [CAPABILITY A B] ready"), Ok(Some("A B".to_owned())));
        assert_eq!(list(b"* OK [CAPABILITY A B"), Ok(Some("A B".to_owned())));
        for bad in ["* OK", "* ok x", "* PREAUTH hi", "* BYE go away", "+OK", "", "* NO x", " * OK x"] {
            assert_eq!(banner(bad.as_bytes()), Err(()), "{bad:?}");
        }
        let (_, offered) = banner(b"* OK [CAPABILITY id sasl-ir StartTLS LOGINDISABLED] x").unwrap();
        let all = Offered { listed: true, id: true, starttls: true, sasl_ir: true, login_disabled: true };
        assert_eq!(offered, all);
        let (_, offered) = banner(b"* OK [CAPABILITY IDLE] ID STARTTLS").unwrap();
        assert_eq!(offered, Offered { listed: true, ..Offered::default() });
    }

    #[test]
    fn lines() {
        for (line, expected) in [
            ("+", Line::Continue(b"")),
            ("+ eA==", Line::Continue(b" eA==")),
            ("S OK go", Line::StartTls),
            ("S OK", Line::StartTlsRefused(b"OK")),
            ("S NO no", Line::StartTlsRefused(b"NO no")),
            ("L OK in", Line::LoggedIn(b"in")),
            ("L OK ", Line::LoggedIn(b"")),
            ("L OK", Line::Refused(b"OK")),
            ("L ok in", Line::Refused(b"ok in")),
            ("L NO x", Line::Refused(b"NO x")),
            ("C OK x", Line::Capability(true)),
            ("C NO x", Line::Capability(false)),
            ("i BAD", Line::Id),
            ("* CaPaBiLiTy A B", Line::Capabilities(b"A B")),
            ("* id NIL", Line::Swallowed),
            ("* BYE x", Line::Swallowed),
            ("* bye x", Line::Untagged),
            ("* IDLE x", Line::Untagged),
            ("* CAPABILITY", Line::Untagged),
            ("* ", Line::Untagged),
            ("*", Line::Unexpected),
            ("", Line::Unexpected),
            ("l OK x", Line::Unexpected),
            ("LL OK x", Line::Unexpected),
        ] {
            assert_eq!(Line::read(line.as_bytes()), expected, "{line:?}");
        }
    }

    #[test]
    fn section_8_1_8_refusals() {
        for (reply, expected, text) in [
            ("NO [AUTHENTICATIONFAILED] x", Refused::Hidden, "[AUTHENTICATIONFAILED] x"),
            ("NO [AUTHENTICATIONFAILED]", Refused::Hidden, "[AUTHENTICATIONFAILED]"),
            ("NO [UNAVAILABLE] x", Refused::TryLater, "[UNAVAILABLE] x"),
            ("NO [LIMIT] x", Refused::Shown, "[LIMIT] x"),
            ("NO [", Refused::Shown, "["),
            ("NO x", Refused::Hidden, "x"),
            ("no [LIMIT] x", Refused::Hidden, "[LIMIT] x"),
            ("BAD [LIMIT] x", Refused::Hidden, "BAD [LIMIT] x"),
            ("NO", Refused::Hidden, "NO"),
        ] {
            assert_eq!(refusal(reply.as_bytes()), expected, "{reply:?}");
            assert_eq!(words(reply.as_bytes()), text.as_bytes());
        }
    }

    #[test]
    fn no_line_breaks_the_reader() {
        bolero::check!().for_each(|line: &[u8]| {
            let _ = (banner(line), Line::read(line), refusal(line), words(line));
        });
    }
}
