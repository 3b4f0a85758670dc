//! One statement: `name = value`, `kind name {`, `}`, `!include file`. It knows no names of settings.

use thiserror::Error;

use super::line::is_white;

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Statement {
    /// `key = value`.
    Set { key: String, value: Raw },
    /// `kind name {`; the name may be missing.
    Open { kind: String, name: String },
    /// `}`.
    Close,
    /// `!include pattern`, or with `optional` `!include_try pattern`.
    Include { pattern: String, optional: bool },
}

/// A value before variables are expanded. It may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Raw {
    /// As it stands; quotes and escapes are gone.
    Literal(String),
    /// With `$name` to be expanded.
    Template(String),
    /// `<path`.
    File(String),
}

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("..")
    }
}

/// Why a line is no statement.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum SyntaxError {
    #[error("there is no setting's name before '='")]
    NoKey,
    #[error("expecting '=' or '{{' after '{0}'")]
    NeitherSetNorOpen(String),
    #[error("'{{' without the kind of a block before it")]
    NoKind,
    #[error("put a space before '{{'")]
    GluedBrace,
    // What stands there may be a password, so it is not shown.
    #[error("text behind '{{': a block's settings start on the next line")]
    BehindOpen,
    #[error("text behind '}}': the end of a block stands on a line of its own")]
    BehindClose,
    #[error("the block's name has no closing quote")]
    UnfinishedName,
    #[error("there is no file name after !include")]
    NoPattern,
    #[error("unknown directive {0} (there are !include and !include_try)")]
    UnknownDirective(String),
}

impl Statement {
    /// Reads a line that has neither comment nor white space around it.
    pub(crate) fn parse(line: &str) -> Result<Self, SyntaxError> {
        let end = line.find(|c| is_white(c) || c == '=').unwrap_or(line.len());
        let (key, rest) = line.split_at_checked(end).unwrap_or((line, ""));
        let rest = rest.trim_start_matches(is_white);
        if key.starts_with('!') {
            return include(key, rest);
        }
        if let Some(value) = rest.strip_prefix('=') {
            if key.is_empty() {
                return Err(SyntaxError::NoKey);
            }
            let value = value.trim_start_matches(is_white);
            return Ok(Self::Set { key: key.to_owned(), value: raw(value) });
        }
        match key.strip_prefix('}') {
            Some("") if rest.is_empty() => Ok(Self::Close),
            Some(_) => Err(SyntaxError::BehindClose),
            None => open(key, rest),
        }
    }
}

fn include(directive: &str, rest: &str) -> Result<Statement, SyntaxError> {
    let optional = match directive {
        "!include" => false,
        "!include_try" => true,
        _ => return Err(SyntaxError::UnknownDirective(directive.to_owned())),
    };
    if rest.is_empty() {
        return Err(SyntaxError::NoPattern);
    }
    Ok(Statement::Include { pattern: rest.to_owned(), optional })
}

fn open(kind: &str, rest: &str) -> Result<Statement, SyntaxError> {
    let (name, rest) = match rest.strip_prefix('"') {
        Some(quoted) => quoted_name(quoted)?,
        None if rest.starts_with('{') => (String::new(), rest),
        None => {
            let end = rest.find(is_white).unwrap_or(rest.len());
            let (name, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
            (name.to_owned(), rest)
        }
    };
    match rest.trim_start_matches(is_white).strip_prefix('{') {
        Some("") => Ok(Statement::Open { kind: kind.to_owned(), name }),
        Some(_) => Err(SyntaxError::BehindOpen),
        None if kind == "{" => Err(SyntaxError::NoKind),
        None if name.ends_with('{') || kind.ends_with('{') => Err(SyntaxError::GluedBrace),
        None => Err(SyntaxError::NeitherSetNorOpen(kind.to_owned())),
    }
}

/// A name up to its closing quote, and what follows.
fn quoted_name(text: &str) -> Result<(String, &str), SyntaxError> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => {
                let (name, rest) = text.split_at_checked(at).unwrap_or((text, ""));
                return Ok((unescape(name), rest.strip_prefix('"').unwrap_or_default()));
            }
            _ => {}
        }
    }
    Err(SyntaxError::UnfinishedName)
}

fn raw(value: &str) -> Raw {
    if let Some(path) = value.strip_prefix('<') {
        return Raw::File(path.trim_start_matches(is_white).to_owned());
    }
    if matches!(value, "\"" | "'") {
        return Raw::Literal(String::new());
    }
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|v| v.strip_suffix(quote)) {
            return Raw::Literal(unescape(inner));
        }
    }
    let begins_quoted = value.starts_with(['"', '\'']);
    let value = value.to_owned();
    if value.contains('$') && !begins_quoted { Raw::Template(value) } else { Raw::Literal(value) }
}

/// Each backslash protects the character behind it; one at the end goes.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        plain.extend(if c == '\\' { characters.next() } else { Some(c) });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(line: &str) -> Raw {
        match Statement::parse(line) {
            Ok(Statement::Set { value, .. }) => value,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn values_as_the_reference_reads_them() {
        let literal = |text: &str| Raw::Literal(text.to_owned());
        for (line, value) in [
            ("a=b", literal("b")),
            ("a  =  b  c", literal("b  c")),
            ("a\t=\tb", literal("b")),
            ("a =", literal("")),
            ("a = \"b # c\"", literal("b # c")),
            ("a = 'b \\' c'", literal("b ' c")),
            ("a = \"b \\\" c \\\\ d\"", literal("b \" c \\ d")),
            ("a = \"b\\\"", literal("b")),
            ("a = \"b\" c", literal("\"b\" c")),
            ("a = b \"c\"", literal("b \"c\"")),
            ("a = \"b", literal("\"b")),
            ("a = \"", literal("")),
            ("a = \"x $b\"", literal("x $b")),
            ("a = \"b\" $c", literal("\"b\" $c")),
            ("a = x $b", Raw::Template("x $b".into())),
            ("a = <b", Raw::File("b".into())),
            ("a = <  b c", Raw::File("b c".into())),
            ("a = \"<b\"", literal("<b")),
            ("a = b = c", literal("b = c")),
        ] {
            assert!(set(line) == value, "{line}");
        }
    }

    #[test]
    fn blocks() {
        let open = |kind: &str, name: &str| Statement::Open { kind: kind.into(), name: name.into() };
        for (line, statement) in [
            ("passdb {", open("passdb", "")),
            ("service imap-login {", open("service", "imap-login")),
            ("service  imap-login  {", open("service", "imap-login")),
            ("local_name \"a.org b.org\" {", open("local_name", "a.org b.org")),
            ("x \"a\\\"b\" {", open("x", "a\"b")),
            ("}", Statement::Close),
        ] {
            assert_eq!(Statement::parse(line).as_ref(), Ok(&statement), "{line}");
        }
    }

    #[test]
    fn includes() {
        let include = |pattern: &str, optional| Ok(Statement::Include { pattern: pattern.into(), optional });
        assert_eq!(Statement::parse("!include conf.d/*.conf"), include("conf.d/*.conf", false));
        assert_eq!(Statement::parse("!include_try a b.conf"), include("a b.conf", true));
    }

    #[test]
    fn every_syntax_error_has_its_text() {
        for (line, text) in [
            (" = x", "there is no setting's name before '='"),
            ("listen", "expecting '=' or '{' after 'listen'"),
            ("listen 1.2.3.4", "expecting '=' or '{' after 'listen'"),
            ("service imap-login{", "put a space before '{'"),
            ("{", "'{' without the kind of a block before it"),
            ("passdb{", "put a space before '{'"),
            ("service a { user = b }", "text behind '{': a block's settings start on the next line"),
            ("} x", "text behind '}': the end of a block stands on a line of its own"),
            ("}}", "text behind '}': the end of a block stands on a line of its own"),
            ("local_name \"a {", "the block's name has no closing quote"),
            ("!include", "there is no file name after !include"),
            ("!require x", "unknown directive !require (there are !include and !include_try)"),
        ] {
            let error = Statement::parse(line.trim()).unwrap_err();
            assert_eq!(error.to_string(), text, "{line}");
        }
    }
}
