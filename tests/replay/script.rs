//! Reads a transcript into steps. The format is described in the transcripts' README: who sent a line, and
//! remarks about connections.

/// One step, in file order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// `# client 2 connects to port 143`.
    ClientConnects { client: usize, port: u16 },
    /// `# client: TLS handshake done (..., SNI=name, ...)`: of the client that spoke or connected last.
    ClientTls { server_name: Option<String> },
    /// Bytes from the client; consecutive lines are one segment.
    Client { client: usize, bytes: Vec<u8> },
    /// A line that the client must see, without line end.
    Proxy { client: usize, line: Vec<u8> },
    /// A line that the auth server must see.
    ToAuth { line: Vec<u8> },
    /// A line from the auth server.
    FromAuth { line: Vec<u8> },
    /// `# proxy connects to backend port 143 ...`.
    BackendAccepts { backend: usize, port: u16 },
    /// `# backend connection: TLS handshake done`.
    BackendTls,
    /// A line that the backend must see.
    ToBackend { backend: usize, line: Vec<u8> },
    /// Bytes from the backend.
    Backend { backend: usize, bytes: Vec<u8> },
    /// `# client closes`.
    ClientCloses { client: usize },
    /// `# client half-closes`.
    ClientHalfCloses,
    /// `# proxy closes the client connection`.
    ProxyClosesClient { client: usize },
    /// `# backend closes the connection`.
    BackendCloses { backend: usize },
    /// `# auth server closes the socket`.
    AuthCloses,
}

/// Parses a transcript. `network` replaces `127.0.77` so that transcripts can run side by side.
pub fn parse(text: &str, network: &str) -> Vec<Step> {
    let text = text.replace("127.0.77.", &format!("{network}."));
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines() {
        let step =
            if let Some(remark) = line.strip_prefix("# ") { remark_step(remark) } else { line_step(line) };
        match (steps.last_mut(), step) {
            (Some(Step::Client { client, bytes }), Some(Step::Client { client: same, bytes: more }))
                if *client == same =>
            {
                bytes.extend_from_slice(&more);
            }
            (_, Some(step)) => steps.push(step),
            (_, None) => {}
        }
    }
    steps
}

fn remark_step(remark: &str) -> Option<Step> {
    let numbers: Vec<u64> =
        remark.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    let first = numbers.first().copied().unwrap_or(1) as usize;
    let starts = |text: &str| remark.starts_with(text);
    if starts("client") && remark.contains("connects to port") {
        let port = *numbers.last()? as u16;
        return Some(Step::ClientConnects { client: if numbers.len() > 1 { first } else { 1 }, port });
    }
    if starts("client: TLS handshake done") {
        let name = remark.split("SNI=").nth(1)?.split([',', ')']).next()?;
        return Some(Step::ClientTls { server_name: (name != "None").then(|| name.to_owned()) });
    }
    if starts("proxy connects to backend port") {
        let backend =
            remark.split("backend connection ").nth(1).and_then(|n| n.trim_end_matches(')').parse().ok());
        return Some(Step::BackendAccepts { backend: backend.unwrap_or(1), port: first as u16 });
    }
    if starts("backend connection: TLS handshake done") {
        return Some(Step::BackendTls);
    }
    if starts("client half-closes") {
        return Some(Step::ClientHalfCloses);
    }
    if starts("client") && remark.ends_with("closes") {
        return Some(Step::ClientCloses { client: first });
    }
    if starts("proxy closes the client connection") {
        return Some(Step::ProxyClosesClient { client: first });
    }
    if starts("backend closes the connection") {
        return Some(Step::BackendCloses { backend: first });
    }
    if starts("auth server closes the") {
        return Some(Step::AuthCloses);
    }
    None
}

fn line_step(line: &str) -> Option<Step> {
    let (who, content) = line.split_once(": ").or_else(|| line.strip_suffix(':').map(|who| (who, "")))?;
    let (letter, number) = who.split_at_checked(1)?;
    let number: usize = if number.is_empty() { 1 } else { number.parse().ok()? };
    let (content, end) = line_end(content);
    let line = unescape(content);
    let bytes = [&line[..], end].concat();
    match letter {
        "C" => Some(Step::Client { client: number, bytes }),
        "S" => Some(Step::Proxy { client: number, line }),
        "L" => Some(Step::ToAuth { line }),
        "A" => Some(Step::FromAuth { line }),
        "P" => Some(Step::ToBackend { backend: number, line }),
        "B" => Some(Step::Backend { backend: number, bytes }),
        _ => None,
    }
}

fn line_end(content: &str) -> (&str, &[u8]) {
    if let Some(content) = content.strip_suffix("  [LF only]").or(content.strip_suffix(" [LF only]")) {
        (content, b"\n")
    } else if let Some(content) = content.strip_suffix("  [no EOL]").or(content.strip_suffix(" [no EOL]")) {
        (content, b"")
    } else {
        (content, b"\r\n")
    }
}

/// `\t`, `\xNN`, `\\`, and `x<1000 times>`.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = match (first, tail) {
            (b'\\', [b't', tail @ ..]) => {
                out.push(b'\t');
                tail
            }
            (b'\\', [b'x', high, low, tail @ ..]) => {
                let hex = [*high, *low];
                out.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
                tail
            }
            (b'\\', [b'\\', tail @ ..]) => {
                out.push(b'\\');
                tail
            }
            (b'<', _) => match repetition(rest) {
                Some((times, length)) => {
                    let last = *out.last().unwrap();
                    out.extend(std::iter::repeat_n(last, times - 1));
                    &rest[length..]
                }
                None => {
                    out.push(b'<');
                    tail
                }
            },
            _ => {
                out.push(*first);
                tail
            }
        };
    }
    out
}

fn repetition(text: &[u8]) -> Option<(usize, usize)> {
    let end = text.iter().position(|b| *b == b'>')?;
    let inner = std::str::from_utf8(&text[1..end]).ok()?;
    Some((inner.strip_suffix(" times")?.parse().ok()?, end + 1))
}

#[test]
fn transcripts_are_understood() {
    let steps = parse(
        "# client 2 connects to port 143\nC2: a\\tb\nC2: x<3 times>  [LF only]\n# client2 closes\n",
        "x",
    );
    assert_eq!(
        steps,
        [
            Step::ClientConnects { client: 2, port: 143 },
            Step::Client { client: 2, bytes: b"a\tb\r\nxxx\n".to_vec() },
            Step::ClientCloses { client: 2 },
        ]
    );
}
