//! From the text of a file to lines with one statement each: comments go, lines that end in a backslash are
//! joined. It knows quotes only as far as a `#` within them is no comment.

use std::{iter::Enumerate, str::Lines};

/// A line with one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogicalLine {
    /// Number of its first physical line, from 1.
    pub(crate) number: usize,
    /// Never empty, except with `Oddity::Dangling`; no white space around.
    pub(crate) text: String,
    pub(crate) oddity: Option<Oddity>,
}

/// What an administrator may not have meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// A `#` without white space before it.
    GluedComment,
    /// A backslash at the end, and then an empty line, a comment or the end. The reference drops such a
    /// statement silently.
    Dangling,
}

/// The logical lines of a text.
pub(crate) struct LogicalLines<'a> {
    physical: Enumerate<Lines<'a>>,
}

impl<'a> LogicalLines<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { physical: text.lines().enumerate() }
    }
}

impl Iterator for LogicalLines<'_> {
    type Item = LogicalLine;

    fn next(&mut self) -> Option<LogicalLine> {
        let mut joined: Option<LogicalLine> = None;
        for (index, physical) in self.physical.by_ref() {
            let (text, glued) = without_comment(physical);
            let text = text.trim_matches(is_white);
            if text.is_empty() {
                match joined {
                    Some(begun) => return Some(dangling(begun.number)),
                    None => continue,
                }
            }
            let line = joined.get_or_insert_with(|| begin(index + 1));
            if glued {
                line.oddity = Some(Oddity::GluedComment);
            }
            match text.strip_suffix('\\') {
                Some(text) => {
                    line.text.push_str(text.trim_end_matches(is_white));
                    if !line.text.is_empty() {
                        line.text.push(' ');
                    }
                }
                None => {
                    line.text.push_str(text);
                    return joined;
                }
            }
        }
        joined.map(|begun| dangling(begun.number))
    }
}

fn begin(number: usize) -> LogicalLine {
    LogicalLine { number, text: String::new(), oddity: None }
}

fn dangling(number: usize) -> LogicalLine {
    LogicalLine { number, text: String::new(), oddity: Some(Oddity::Dangling) }
}

/// A carriage return is white space at the end of a line only, and nowhere else does it occur.
pub(crate) fn is_white(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r')
}

/// The part before a comment, and whether its `#` followed a word directly. Within quotes `#` is text; a
/// backslash there protects the next character. An apostrophe counts as a quote, as in the reference.
fn without_comment(line: &str) -> (&str, bool) {
    let mut quote = None;
    let mut escaped = false;
    let mut previous = ' ';
    for (at, c) in line.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if c == '#' => return (line.get(..at).unwrap_or_default(), !is_white(previous)),
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None => {}
        }
        previous = c;
    }
    (line, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(usize, String, Option<Oddity>)> {
        LogicalLines::new(text).map(|l| (l.number, l.text, l.oddity)).collect()
    }

    fn plain(number: usize, text: &str) -> (usize, String, Option<Oddity>) {
        (number, text.to_owned(), None)
    }

    #[test]
    fn comments_and_white_space_go() {
        let text = "\u{feff}a = b # c\r\n\n  # only\n\tx=y\t\n#z";
        assert_eq!(lines(text), [plain(1, "a = b"), plain(4, "x=y")]);
    }

    #[test]
    fn a_hash_within_quotes_is_text() {
        for text in
            ["a = \"x # y\"", "a = 'x # y'", "a = \"x \\\" # y\"", "a = x\"b # c\"", "a = it's # text"]
        {
            assert_eq!(lines(text), [plain(1, text)]);
        }
        assert_eq!(lines("a = \"x\" # y"), [plain(1, "a = \"x\"")]);
    }

    #[test]
    fn a_hash_glued_to_a_word_is_a_comment_and_is_told() {
        assert_eq!(lines("listen = 1.2.3.4#x"), [(1, "listen = 1.2.3.4".into(), Some(Oddity::GluedComment))]);
    }

    #[test]
    fn a_backslash_joins_lines() {
        assert_eq!(
            lines("a = b \\\n   c\\ \nd \\ # e\nf\ng = h"),
            [plain(1, "a = b c d f"), plain(5, "g = h")]
        );
    }

    #[test]
    fn a_backslash_before_nothing_drops_the_statement() {
        let dangling = |n| (n, String::new(), Some(Oddity::Dangling));
        assert_eq!(lines("a = b \\\n\nc = d"), [dangling(1), plain(3, "c = d")]);
        assert_eq!(lines("a = b \\\n# c\nc = d"), [dangling(1), plain(3, "c = d")]);
        assert_eq!(lines("x=y\na = b \\"), [plain(1, "x=y"), dangling(2)]);
    }
}
