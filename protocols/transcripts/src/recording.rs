//! Reading a recording: one `Line` per protocol line or remark, prefixed with who sent it.
//!
//! `C` client and `S` proxy to each other, `P` proxy and `B` backend, `L` proxy and `A` auth service, `G` log, `#` remark; a
//! number behind the letter tells connections apart.

use homing_login::Mechanism;

use crate::mechanism;

/// One line of a recording.
#[derive(Debug, Clone)]
pub struct Line {
    /// `C`, `S`, `P`, `B`, `L`, `A`, `G` or `#`.
    pub who: char,
    /// Number behind the letter; empty for the first.
    pub number: String,
    /// Content, unescaped; characters up to U+00FF stand for bytes.
    pub text: String,
    /// CR LF, unless the recorder marks another end.
    pub end: &'static str,
}

impl Line {
    /// The line as it went over the wire.
    pub fn bytes(&self) -> Vec<u8> {
        bytes_of(&format!("{}{}", self.text, self.end))
    }
}

/// A line of the reference and what is sent instead, on purpose.
#[derive(Debug, Clone, Copy)]
pub struct Difference {
    /// Name of the recording.
    pub file: &'static str,
    /// Number of the client; `None`: all of them.
    pub client: Option<&'static str>,
    /// Empty: the lines of `ours` are sent additionally.
    pub theirs: &'static str,
    /// Instead of `theirs`.
    pub ours: &'static str,
}

impl Difference {
    /// For all clients of a recording.
    pub const fn new(file: &'static str, theirs: &'static str, ours: &'static str) -> Self {
        Self { file, client: None, theirs, ours }
    }

    /// For one client only.
    pub const fn of_client(self, number: &'static str) -> Self {
        Self { client: Some(number), ..self }
    }

    /// True if this line, told to this client, is the one.
    pub fn concerns(&self, file: &str, line: &Line) -> bool {
        self.file == file && self.theirs == line.text && self.client.is_none_or(|c| c == line.number)
    }
}

/// Loads `tests/transcripts/login/NAME.txt`.
pub fn load(name: &str) -> Vec<Line> {
    let path = format!("{}/../../tests/transcripts/login/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let content = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    content.lines().skip(1).map(parse).collect()
}

/// What the MECH lines of a recording offer, each once.
pub fn mechanisms_told(lines: &[Line]) -> Vec<Mechanism> {
    let mut told: Vec<&str> = Vec::new();
    for line in lines.iter().filter_map(|l| l.text.strip_prefix("MECH\t")) {
        if !told.contains(&line) {
            told.push(line);
        }
    }
    told.into_iter().map(mechanism).collect()
}

/// Host and time in a temporary failure are the recorder's; here they are `stamp`.
pub fn without_stamp(text: &str) -> String {
    match text.split_once("[proxyhost:") {
        Some((head, tail)) => format!("{head}[stamp]{}", tail.split_once(']').unwrap().1),
        None => text.to_owned(),
    }
}

/// The bytes that the characters of a recording stand for.
pub fn bytes_of(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

/// The reverse of [`bytes_of`].
pub fn text_of(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
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

/// `\t`, `\r`, `\\` and `\xNN`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_the_recorder_wrote_them() {
        let line = parse("C2: a\\x00\\tb x<3 times>(y <2 times>  [LF only]");
        assert_eq!((line.who, line.number.as_str(), line.end), ('C', "2", "\n"));
        assert_eq!(line.bytes(), b"a\0\tb xxx(y y \n");
        let empty = parse("S:");
        assert_eq!((empty.who, empty.bytes()), ('S', b"\r\n".to_vec()));
        assert_eq!(parse("# client connects to port 143").text, "client connects to port 143");
        assert_eq!(without_stamp("x [proxyhost:2026-11-23 13:00:34] y"), "x [stamp] y");
    }
}
