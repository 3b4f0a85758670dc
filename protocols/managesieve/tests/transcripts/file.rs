//! Reading a recording: one `Line` per protocol line or remark, prefixed with who sent it.
//!
//! `C` client and `S` proxy to each other, `P` proxy and `B` backend, `L` proxy and `A` auth service, `G` log, `#` remark; a
//! number behind the letter tells connections apart. `\t`, `\\` and `\xNN` are escapes.

/// One line of a recording.
#[derive(Debug, Clone)]
pub struct Line {
    /// `C`, `S`, `P`, `B`, `L`, `A`, ... or `#`.
    pub who: char,
    /// Number behind the letter; empty for the first.
    pub number: String,
    /// Content, unescaped.
    pub text: String,
}

/// Loads `tests/transcripts/login/NAME.txt`.
pub fn load(name: &str) -> Vec<Line> {
    let path = format!("{}/../../tests/transcripts/login/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let content = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    content.lines().skip(1).map(parse).collect()
}

fn parse(line: &str) -> Line {
    if let Some(remark) = line.strip_prefix("# ") {
        return Line { who: '#', number: String::new(), text: remark.to_owned() };
    }
    let (head, text) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
    let who = head.chars().next().unwrap();
    Line { who, number: head[1..].to_owned(), text: repeat(&unescape(text)) }
}

/// `\t`, `\\` and `\xNN`.
fn unescape(text: &str) -> String {
    let (mut out, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (c, false) => out.push(c),
            _ => match chars.next().unwrap() {
                't' => out.push('\t'),
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

/// `x<1000 times>`.
fn repeat(text: &str) -> String {
    let Some((head, tail)) = text.split_once('<') else { return text.to_owned() };
    let Some((count, tail)) = tail.split_once(" times>") else { return text.to_owned() };
    let Ok(count) = count.parse::<usize>() else { return text.to_owned() };
    let repeated = head.chars().last().unwrap().to_string().repeat(count - 1);
    format!("{head}{repeated}{tail}")
}
