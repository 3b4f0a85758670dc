//! `login_log_format_elements` and `login_log_format`, parsed once.

use super::{LoginContext, variable::Variable};

/// Turns a message and a context into a line.
#[derive(Debug, Clone)]
pub(super) struct Template {
    elements: Vec<Vec<Piece>>,
    line: Vec<LinePiece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(Case, Variable),
}

/// Modifiers `%Lu` and `%Uu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Keep,
    Lower,
    Upper,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum LinePiece {
    Text(String),
    Message,
    Elements,
}

impl Template {
    /// `line` is `login_log_format`: `%$` is the message and `%s` the elements.
    pub(super) fn new(elements: &[String], line: &str) -> Self {
        Self { elements: elements.iter().map(|e| parse(e)).collect(), line: parse_line(line) }
    }

    pub(super) fn render(&self, message: &str, context: &LoginContext) -> String {
        let mut out = String::new();
        for piece in &self.line {
            match piece {
                LinePiece::Text(text) => out.push_str(text),
                LinePiece::Message => out.push_str(message),
                LinePiece::Elements => out.push_str(&self.elements(context)),
            }
        }
        out
    }

    fn elements(&self, context: &LoginContext) -> String {
        let expanded: Vec<_> = self.elements.iter().filter_map(|element| expand(element, context)).collect();
        expanded.join(", ")
    }
}

/// `None` if the element is left out: all its variables are empty, and none is the user's name.
fn expand(element: &[Piece], context: &LoginContext) -> Option<String> {
    let mut out = String::new();
    let mut keep = false;
    for piece in element {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Variable(case, variable) => {
                let value = variable.value(context);
                keep |= variable.keeps_element() || !value.is_empty();
                out.push_str(&case.apply(value));
            }
        }
    }
    keep.then_some(out)
}

impl Case {
    fn apply(self, value: String) -> String {
        match self {
            Self::Keep => value,
            Self::Lower => value.to_lowercase(),
            Self::Upper => value.to_uppercase(),
        }
    }
}

fn parse(element: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = element;
    while let Some((text, behind)) = rest.split_once('%') {
        push_text(&mut pieces, text);
        rest = parse_variable(behind, &mut pieces);
    }
    push_text(&mut pieces, rest);
    pieces
}

/// `behind` starts after the `%`; returns what follows the variable.
fn parse_variable<'a>(behind: &'a str, pieces: &mut Vec<Piece>) -> &'a str {
    let (case, behind) = match behind.strip_prefix('L') {
        Some(rest) => (Case::Lower, rest),
        None => behind.strip_prefix('U').map_or((Case::Keep, behind), |rest| (Case::Upper, rest)),
    };
    if let Some((name, rest)) = behind.strip_prefix('{').and_then(|b| b.split_once('}')) {
        pieces.push(Piece::Variable(case, Variable::long(name)));
        return rest;
    }
    let mut chars = behind.chars();
    match chars.next() {
        None | Some('%') => push_text(pieces, "%"),
        Some(letter) => pieces.push(Piece::Variable(case, Variable::short(letter))),
    }
    chars.as_str()
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

fn parse_line(format: &str) -> Vec<LinePiece> {
    let mut pieces = Vec::new();
    let mut rest = format;
    while let Some((text, behind)) = rest.split_once('%') {
        pieces.push(LinePiece::Text(text.to_owned()));
        let mut chars = behind.chars();
        pieces.push(match chars.next() {
            Some('$') => LinePiece::Message,
            Some('s') => LinePiece::Elements,
            None | Some('%') => LinePiece::Text("%".to_owned()),
            Some(other) => LinePiece::Text(format!("UNSUPPORTED_VARIABLE_{other}")),
        });
        rest = chars.as_str();
    }
    pieces.push(LinePiece::Text(rest.to_owned()));
    pieces
}
