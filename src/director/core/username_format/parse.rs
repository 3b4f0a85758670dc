//! The syntax: `%[-][0][offset.][width][modifiers]variable`, `%{name}`, `%{md5:name}`, `%{if;..}`, `%%`.

use thiserror::Error;

use super::{Algorithm, Condition, Digest, Modifier, Name, Part, Shape, Test, Variable};

/// Most modifiers of one variable, as in the reference.
const MODIFIERS_MAX: usize = 10;
/// Deepest nesting of conditions.
const DEPTH_MAX: usize = 4;

/// What is wrong with a format.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FormatError {
    /// A variable that does not exist here.
    #[error("unknown variable %{0} (known: %u %n %d and their long names user, username, domain)")]
    UnknownVariable(String),
    /// `%` or `%{` without end.
    #[error("unfinished variable at the end")]
    Unfinished,
    /// A modifier too many.
    #[error("more than {MODIFIERS_MAX} modifiers")]
    TooManyModifiers,
    /// `%{if;..}` of the wrong shape, or nested too deeply.
    #[error("%{{if}} needs the form %{{if;A;eq;B;THEN;ELSE}} with eq or ne")]
    Condition,
    /// `%{md5;option=value:..}` with an unknown option.
    #[error("unknown option in %{{{0}}}")]
    DigestOption(String),
}

pub(super) fn parts(text: &str) -> Result<Vec<Part>, FormatError> {
    nested(text, 0)
}

fn nested(text: &str, depth: usize) -> Result<Vec<Part>, FormatError> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let (literal, tail) = rest.split_at(at);
        push_literal(&mut parts, literal);
        let tail = tail.strip_prefix('%').unwrap_or_default();
        let (part, after) = variable(tail, depth)?;
        parts.push(part);
        rest = after;
    }
    push_literal(&mut parts, rest);
    Ok(parts)
}

fn push_literal(parts: &mut Vec<Part>, literal: &str) {
    if !literal.is_empty() {
        parts.push(Part::Literal(literal.as_bytes().to_vec()));
    }
}

/// One variable behind its `%`; returns what follows it.
fn variable(text: &str, depth: usize) -> Result<(Part, &str), FormatError> {
    let (shape, text) = shape(text);
    let mut modifiers = Vec::new();
    let mut rest = text;
    while let Some(modifier) = rest.chars().next().and_then(modifier_of) {
        if modifiers.len() == MODIFIERS_MAX {
            return Err(FormatError::TooManyModifiers);
        }
        modifiers.push(modifier);
        rest = rest.get(1..).unwrap_or_default();
    }
    let Some(first) = rest.chars().next() else { return Err(FormatError::Unfinished) };
    let after = rest.get(first.len_utf8()..).unwrap_or_default();
    match first {
        '%' => Ok((Part::Literal(b"%".to_vec()), after)),
        '{' => {
            let (inner, after) = braces(after)?;
            Ok((long(inner, modifiers, shape, depth)?, after))
        }
        _ => {
            let name = short_name(first).ok_or_else(|| FormatError::UnknownVariable(first.to_string()))?;
            Ok((Part::Variable(Variable { name, modifiers, shape }), after))
        }
    }
}

fn shape(text: &str) -> (Shape, &str) {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let zero_padded = text.starts_with('0');
    let (first, rest) = number(text);
    if let Some(behind) = rest.strip_prefix('.') {
        let (minus, behind) = match behind.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, behind),
        };
        let (width, rest) = number(behind);
        return (Shape { offset: sign * first, width: minus * width, zero_padded }, rest);
    }
    (Shape { offset: 0, width: sign * first, zero_padded }, rest)
}

fn number(text: &str) -> (i32, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    (digits.parse().unwrap_or(0), rest)
}

/// The content up to the matching `}`.
fn braces(text: &str) -> Result<(&str, &str), FormatError> {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Ok((text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default()));
        }
    }
    Err(FormatError::Unfinished)
}

fn long(inner: &str, modifiers: Vec<Modifier>, shape: Shape, depth: usize) -> Result<Part, FormatError> {
    if let Some(condition) = inner.strip_prefix("if;") {
        return condition_of(condition, depth).map(|c| Part::If(Box::new(c)));
    }
    if let Some((head, name)) = inner.split_once(':')
        && let Some(algorithm) = algorithm_of(head)
    {
        return digest(algorithm, head, name).map(Part::Digest);
    }
    let name = long_name(inner).ok_or_else(|| FormatError::UnknownVariable(format!("{{{inner}}}")))?;
    Ok(Part::Variable(Variable { name, modifiers, shape }))
}

fn condition_of(text: &str, depth: usize) -> Result<Condition, FormatError> {
    let fields: Vec<_> = text.split(';').collect();
    let &[left, test, right, then, otherwise] = fields.as_slice() else { return Err(FormatError::Condition) };
    if depth >= DEPTH_MAX {
        return Err(FormatError::Condition);
    }
    let test = match test {
        "eq" => Test::Equal,
        "ne" => Test::NotEqual,
        _ => return Err(FormatError::Condition),
    };
    let parse = |text| nested(text, depth + 1);
    Ok(Condition {
        left: parse(left)?,
        test,
        right: parse(right)?,
        then: parse(then)?,
        otherwise: parse(otherwise)?,
    })
}

fn digest(algorithm: Algorithm, head: &str, name: &str) -> Result<Digest, FormatError> {
    let name = long_name(name).ok_or_else(|| FormatError::UnknownVariable(format!("{{{head}:{name}}}")))?;
    let mut digest = Digest { algorithm, rounds: 1, truncate_bits: None, salt: Vec::new(), name };
    for option in head.split([';', ',']).skip(1) {
        let unknown = || FormatError::DigestOption(option.to_owned());
        match option.split_once('=').ok_or_else(unknown)? {
            ("rounds", n) => {
                digest.rounds = n.parse().ok().filter(|n| (1..=10_000).contains(n)).ok_or_else(unknown)?
            }
            ("truncate", n) => {
                digest.truncate_bits = Some(n.parse().ok().filter(|n| *n > 0).ok_or_else(unknown)?)
            }
            ("salt", salt) => digest.salt = salt.as_bytes().to_vec(),
            _ => return Err(unknown()),
        }
    }
    Ok(digest)
}

fn algorithm_of(head: &str) -> Option<Algorithm> {
    match head.split([';', ',']).next()? {
        "md5" => Some(Algorithm::Md5),
        "sha1" => Some(Algorithm::Sha1),
        _ => None,
    }
}

fn short_name(letter: char) -> Option<Name> {
    match letter {
        'u' => Some(Name::User),
        'n' => Some(Name::Username),
        'd' => Some(Name::Domain),
        _ => None,
    }
}

fn long_name(name: &str) -> Option<Name> {
    match name {
        "user" => Some(Name::User),
        "username" => Some(Name::Username),
        "domain" => Some(Name::Domain),
        _ => None,
    }
}

fn modifier_of(letter: char) -> Option<Modifier> {
    Some(match letter {
        'L' => Modifier::Lower,
        'U' => Modifier::Upper,
        'E' => Modifier::Escape,
        'X' => Modifier::Hex,
        'R' => Modifier::Reverse,
        'H' => Modifier::LegacyHash,
        'N' => Modifier::Md5Hash,
        'M' => Modifier::Md5Hex,
        'D' => Modifier::DomainComponents,
        'T' => Modifier::TrimRight,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_found() {
        for (text, expected) in [
            ("%x", FormatError::UnknownVariable("x".to_owned())),
            ("%{nope}", FormatError::UnknownVariable("{nope}".to_owned())),
            ("a%", FormatError::Unfinished),
            ("%{user", FormatError::Unfinished),
            ("%LLLLLLLLLLLu", FormatError::TooManyModifiers),
            ("%{if;a;b}", FormatError::Condition),
            ("%{md5;pepper=1:user}", FormatError::DigestOption("pepper=1".to_owned())),
        ] {
            assert_eq!(parts(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused() {
        bolero::check!().for_each(|input: &[u8]| {
            let _ = parts(&String::from_utf8_lossy(input));
        });
    }
}
