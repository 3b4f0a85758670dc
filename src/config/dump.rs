//! Settings in the syntax of `doveconf`, secrets hidden: for administrators, and for comparing with the original.

use std::{fmt::Write, time::Duration};

use super::{
    Parsed,
    grammar::{Block, Value},
    schema::{
        kind::{self, Kind},
        known::{self, Known},
    },
    typed::View,
};

/// What stands in place of a secret.
const HIDDEN: &str = "(hidden)";

/// The settings that Homing uses: those that differ from their defaults, or `all`. Blocks are shown if they are
/// configured and used.
pub fn dump(parsed: &Parsed, all: bool) -> String {
    let root = &parsed.root;
    let mut text = String::new();
    block_settings(&mut text, root, known::TOP, all, 0);
    for block in &root.blocks {
        block_text(&mut text, block, 0);
    }
    text
}

fn block_text(text: &mut String, block: &Block, depth: usize) {
    let table = match block.kind.as_str() {
        "protocol" if !known::is_served(&block.name) => return,
        "service" if known::ADMIN_SERVICES.contains(&block.name.as_str()) => &[],
        "service" if !known::LOGIN_SERVICES.contains(&block.name.as_str()) => return,
        "protocol" | "local" | "remote" | "local_name" => known::TOP,
        "service" => known::LOGIN_SERVICE,
        "inet_listener" => known::INET_LISTENER,
        "unix_listener" | "fifo_listener" => known::SOCKET_LISTENER,
        "passdb" => known::PASSDB,
        _ => return,
    };
    let mut inner = String::new();
    block_settings(&mut inner, block, table, false, depth + 1);
    for block in &block.blocks {
        block_text(&mut inner, block, depth + 1);
    }
    if inner.is_empty() {
        return;
    }
    let margin = "  ".repeat(depth);
    let name = match block.name.as_str() {
        "" => String::new(),
        name if name.contains(' ') => format!("\"{name}\" "),
        name => format!("{name} "),
    };
    let _ = write!(text, "{margin}{} {name}{{\n{inner}{margin}}}\n", block.kind);
}

/// Within blocks what is set is shown, even if it is the default: the general value may be another.
fn block_settings(text: &mut String, block: &Block, table: &'static [Known], all: bool, depth: usize) {
    let view = View::of_block(block, table);
    for known in table {
        let shown = value(&view, block, known);
        let differs = view.is_set(known.name) && (depth > 0 || shown != normal(known, known.default));
        if all || differs {
            let _ = writeln!(text, "{}{} = {shown}", "  ".repeat(depth), known.name);
        }
    }
}

fn value(view: &View<'_>, block: &Block, known: &Known) -> String {
    if matches!(known.kind, Kind::Pem | Kind::Secret) {
        return match block.settings.get(known.name).map(|setting| &setting.value) {
            Some(Value::File(path)) => format!("<{}", path.display()),
            Some(Value::Text(text)) if !text.is_empty() => HIDDEN.to_owned(),
            _ => String::new(),
        };
    }
    let text = view.text(known.name).replace(|c: char| c.is_control() && c != '\t', " ");
    match known.name {
        "args" | "default_fields" | "override_fields" => quoted(&without_passwords(&text)),
        _ => normal(known, &text),
    }
}

/// The value in the form that the reference prefers.
fn normal(known: &Known, text: &str) -> String {
    match known.kind {
        Kind::Flag => kind::flag(text).map(|flag| if flag { "yes" } else { "no" }.to_owned()),
        Kind::Count(_) => kind::count(text).map(|count| count.to_string()),
        Kind::Mode => {
            kind::mode(text).map(|mode| if mode == 0 { "0".to_owned() } else { format!("0{mode:o}") })
        }
        Kind::Port => kind::port(text).map(|port| port.to_string()),
        Kind::Time(_) => kind::duration(text).map(time),
        _ => None,
    }
    .unwrap_or_else(|| quoted(text))
}

/// In the largest unit that divides it.
fn time(time: Duration) -> String {
    const UNITS: &[(u128, &str)] = &[
        (604_800_000, "weeks"),
        (86_400_000, "days"),
        (3_600_000, "hours"),
        (60_000, "mins"),
        (1000, "secs"),
        (1, "ms"),
    ];
    let millis = time.as_millis();
    let unit = UNITS.iter().find(|(length, _)| millis > 0 && millis.is_multiple_of(*length));
    unit.map_or_else(|| "0".to_owned(), |(length, name)| format!("{} {name}", millis / length))
}

/// Quotes if the value would be read otherwise without them.
fn quoted(text: &str) -> String {
    let edges = [text.chars().next(), text.chars().last()];
    let spaces = edges.into_iter().flatten().any(char::is_whitespace);
    if !spaces && !text.contains('#') {
        return text.to_owned();
    }
    let escaped: String =
        text.chars().flat_map(|c| "\"'\\".contains(c).then_some('\\').into_iter().chain([c])).collect();
    format!("\"{escaped}\"")
}

/// `password=`, `pass=` and their like keep their names only. Words stay apart by single spaces.
fn without_passwords(text: &str) -> String {
    let word = |word: &str| match word.split_once('=') {
        Some((key, _)) if key.to_ascii_lowercase().contains("pass") && key != "nopassword" => {
            format!("{key}={HIDDEN}")
        }
        _ => word.to_owned(),
    };
    text.split_ascii_whitespace().map(word).collect::<Vec<_>>().join(" ")
}
