//! Values of settings, and `$name` in them. Where the value of a name comes from is the caller's business.

use std::{fmt, path::PathBuf};

use thiserror::Error;

use super::{content, limits::VALUE_BYTES_MAX, line::is_white};

/// A value. It may be a secret, so it shows nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// As written, variables expanded.
    Text(String),
    /// `<path`, made absolute; read by whoever needs the content.
    File(PathBuf),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

/// Why variables cannot be expanded.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum ExpandError {
    #[error("unknown variable ${0} (a variable is the name of a setting and ends at a space)")]
    Unknown(String),
    #[error("the value is longer than {VALUE_BYTES_MAX} bytes")]
    TooLong,
    #[error("{0}")]
    Unreadable(String),
}

/// Expands each `$name` that stands at the start or behind a space and ends at a space; `$ENV:NAME` is a
/// variable of the environment. Other dollars are text. As in the reference the words of such a value come out
/// with one space between them.
pub(crate) fn expand(template: &str, lookup: &dyn Fn(&str) -> Option<Value>) -> Result<Value, ExpandError> {
    if let Some(name) = template.strip_prefix('$').filter(|name| !name.contains(' ')) {
        return variable(name, lookup);
    }
    let mut text = String::new();
    let words =
        template.split(' ').map(|word| word.trim_start_matches(is_white)).filter(|word| !word.is_empty());
    for (index, word) in words.enumerate() {
        if index > 0 {
            text.push(' ');
        }
        match word.strip_prefix('$') {
            None => text.push_str(word),
            Some(name) => match variable(name, lookup)? {
                Value::Text(value) => text.push_str(&value),
                Value::File(path) => text.push_str(&content::read(&path).map_err(ExpandError::Unreadable)?),
            },
        }
        if text.len() > VALUE_BYTES_MAX {
            return Err(ExpandError::TooLong);
        }
    }
    Ok(Value::Text(text))
}

fn variable(name: &str, lookup: &dyn Fn(&str) -> Option<Value>) -> Result<Value, ExpandError> {
    if let Some(name) = name.strip_prefix("ENV:") {
        return Ok(Value::Text(std::env::var(name).unwrap_or_default()));
    }
    lookup(name).ok_or_else(|| ExpandError::Unknown(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(template: &str) -> Result<String, ExpandError> {
        let known = |name: &str| (name == "a").then(|| Value::Text("x y".into()));
        expand(template, &known).map(|value| match value {
            Value::Text(text) => text,
            Value::File(path) => path.display().to_string(),
        })
    }

    #[test]
    fn names_are_expanded_at_word_starts_only() {
        for (template, value) in [
            ("$a", "x y"),
            ("$a b $a", "x y b x y"),
            ("1  $a ", "1 x y"),
            ("1 \t  $a \tb   \t  c", "1 x y b c"),
            ("a$a,$a \"$a\"", "a$a,$a \"$a\""),
            ("$ENV:NO_SUCH_VARIABLE_HERE", ""),
        ] {
            assert_eq!(expanded(template).as_deref(), Ok(value), "{template}");
        }
    }

    #[test]
    fn unknown_names_are_errors() {
        for (template, name) in
            [("$b", "b"), ("x $a,3", "a,3"), ("$", ""), ("x $\t$a", "\t$a"), ("$a\tb", "a\tb")]
        {
            assert_eq!(expanded(template), Err(ExpandError::Unknown(name.into())), "{template}");
        }
    }

    #[test]
    fn a_value_cannot_grow_without_end() {
        let long = |_: &str| Some(Value::Text("x".repeat(VALUE_BYTES_MAX)));
        assert_eq!(expand("$a $a", &long), Err(ExpandError::TooLong));
        assert!(expand("$a", &long).is_ok());
    }
}
