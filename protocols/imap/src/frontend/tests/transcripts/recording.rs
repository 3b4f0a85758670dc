//! Reading a recording: one `Line` per protocol line or remark, prefixed with who sent it.
//!
//! `C` client and `S` proxy to each other, `P` proxy and `B` backend, `L` proxy and `A` auth service, `G` log, `#` remark; a
//! number behind the letter tells connections apart.

/// One line of a recording.
pub(super) struct Line {
    pub(super) who: char,
    /// Number behind the letter; empty for the first.
    pub(super) number: String,
    pub(super) text: String,
    pub(super) end: &'static str,
}

/// Loads a recording. `\t`, `\\` and `\xNN` are escapes.
#[expect(clippy::disallowed_methods, reason = "recordings are files; no production code reads them")]
pub(super) fn load(name: &str) -> Vec<Line> {
    let path = format!("{}/../../tests/transcripts/login/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let content = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    content.lines().skip(1).map(parse).collect()
}

fn parse(line: &str) -> Line {
    if let Some(remark) = line.strip_prefix("# ") {
        return Line { who: '#', number: String::new(), text: remark.to_owned(), end: "" };
    }
    let (head, text) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
    let markers = [("  [LF only]", "\n"), ("  [no EOL]", "")];
    let marked = markers.iter().find_map(|(marker, end)| Some((text.strip_suffix(marker)?, *end)));
    let (text, end) = marked.unwrap_or((text, "\r\n"));
    // A long list was cut by the recorder.
    let text = text.split_once(" <... ").map_or(text.to_owned(), |(head, _)| format!("{head}\")"));
    let who = head.chars().next().unwrap();
    Line { who, number: head[1..].to_owned(), text: repeat(&unescape(&text)), end }
}

/// Characters up to U+00FF stand for bytes.
fn unescape(text: &str) -> String {
    let (mut out, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (c, false) => out.push(c),
            _ => match chars.next().unwrap() {
                't' => out.push('\t'),
                'r' => out.push('\r'),
                'x' => {
                    let hex: String = chars.by_ref().take(2).collect();
                    out.push(char::from(u8::from_str_radix(&hex, 16).unwrap()));
                }
                other => out.push(other),
            },
        }
    }
    out
}

/// `x<1000 times>` and, for a pair of characters that ends in a space, `x <1000 times>`.
fn repeat(text: &str) -> String {
    let Some((head, tail)) = text.split_once(" times>") else { return text.to_owned() };
    let Some((head, count)) = head.rsplit_once('<') else { return text.to_owned() };
    let unit = head.len() - if head.ends_with(' ') { 2 } else { 1 };
    let repeated = head[unit..].repeat(count.parse().unwrap());
    format!("{}{repeated}{}", &head[..unit], repeat(tail))
}

/// The bytes that the characters of a recording stand for.
pub(super) fn bytes_of(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

pub(super) fn text_of(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
