//! Reads a transcript into steps. The format is described in the transcripts' README: who sent a line, and
//! remarks about connections.

/// The beginning of a PROXY header version 2.
const PROXY_HEADER_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// One step, in file order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// `# client 2 connects to port 143`.
    ClientConnects { client: usize, port: u16 },
    /// `# client: TLS handshake done (TLSv1.3, SNI=name, ...)`: of the client that spoke or connected last.
    ClientTls(ClientTls),
    /// Bytes from the client; consecutive lines are one segment.
    Client { client: usize, bytes: Vec<u8> },
    /// A line that the client must see, without line end.
    Proxy { client: usize, line: Vec<u8> },
    /// A line that the auth server must see.
    ToAuth { line: Vec<u8> },
    /// A line from the auth server.
    FromAuth { line: Vec<u8> },
    /// `# proxy connects to backend port 143 from 127.0.0.1 ...`.
    BackendAccepts { backend: usize, port: u16, from: String },
    /// `# backend connection: TLS handshake done (...)`: of the connection that was accepted last.
    BackendTls { client_certificate: bool, server_name: String },
    /// A line that the backend must see.
    ToBackend { backend: usize, line: Vec<u8> },
    /// Bytes from the backend.
    Backend { backend: usize, bytes: Vec<u8> },
    /// `# client closes`.
    ClientCloses { client: usize },
    /// `# client resets the connection`.
    ClientResets { client: usize },
    /// `# client: TLS handshake failed` right after the connect: its version was too old.
    ClientOldTls,
    /// `# client half-closes`.
    ClientHalfCloses,
    /// `# client then read 4000000 bytes until EOF`.
    ClientReads { bytes: usize },
    /// `# connect to 993: ... Connection refused`.
    ConnectRefused { port: u16 },
    /// `# client: send failed`: what the client that spoke last said was not sent.
    SendFailed,
    /// `# proxy closes the client connection`.
    ProxyClosesClient { client: usize },
    /// `# proxy closes the backend connection`.
    ProxyClosesBackend { backend: usize },
    /// `# backend closes the connection`.
    BackendCloses { backend: usize },
    /// `# backend half-closes`.
    BackendHalfCloses { backend: usize },
    /// `# backend resets the connection`.
    BackendResets { backend: usize },
    /// `# backend sends 4 MB`, and then it closes.
    BackendFloods { bytes: usize },
    /// `# login process opens the auth socket`, after it was closed.
    AuthOpens,
    /// `# auth server closes the socket`.
    AuthCloses,
    /// A line of the proxy's log, which is not compared.
    Log { line: Vec<u8> },
    /// `# ... 1.5s`: nothing happened, so what follows is a segment of its own.
    Pause,
}

/// A handshake of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTls {
    pub server_name: Option<String>,
    /// Of the certificate that the proxy showed.
    pub subject: String,
    /// `client` (valid) or `self` (signed by itself).
    pub certificate: Option<String>,
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
}

/// Parses a transcript. `network` replaces `127.0.77` so that transcripts can run side by side.
pub fn parse(text: &str, network: &str) -> Vec<Step> {
    let text = with_director_inside(text).replace("127.0.77.", &format!("{network}."));
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
            (Some(Step::Client { .. }), Some(Step::SendFailed)) => drop(steps.pop()),
            (_, Some(step @ Step::BackendTls { .. })) => insert_backend_tls(&mut steps, step),
            (Some(Step::ClientConnects { .. } | Step::AuthOpens), Some(step)) => steps.push(step),
            (_, Some(Step::SendFailed | Step::ClientOldTls) | None) => {}
            (_, Some(step)) => steps.push(step),
        }
    }
    let mut in_time = Vec::new();
    for step in steps {
        insert_client(&mut in_time, step);
    }
    in_time
}

/// Where a director sat between the proxy and the auth service, only what it said to the latter is left: Homing has
/// the director inside.
fn with_director_inside(text: &str) -> String {
    if !text.contains("\nD: ") {
        return text.to_owned();
    }
    let line = |line: &str| match line.split_once(": ") {
        Some(("D", said)) => Some(format!("L: {said}\n")),
        Some(("U", said)) => Some(format!("A: {said}\n")),
        Some((who, _)) if who.starts_with(['L', 'A']) => None,
        _ => Some(format!("{line}\n")),
    };
    text.lines().filter_map(line).collect()
}

/// The recorder saw the end of a handshake later than what followed from it at the other side of the proxy.
fn insert_backend_tls(steps: &mut Vec<Step>, step: Step) {
    let is_backends = |s: &Step| matches!(s, Step::BackendAccepts { .. } | Step::Backend { .. });
    let place = steps.iter().rposition(is_backends).map_or(steps.len(), |at| at + 1);
    steps.insert(place, step);
}

/// What a client said is in some recordings behind the end of its connection. It was sent at the beginning.
fn insert_client(steps: &mut Vec<Step>, step: Step) {
    let Step::Client { client: speaker, bytes } = &step else { return steps.push(step) };
    let said = steps.iter_mut().rev().find_map(|s| match s {
        Step::Client { client, bytes } if client == speaker => Some(bytes),
        _ => None,
    });
    // The rest of the line that a PROXY header begins was recorded as another one.
    if let Some(said) = said
        && said.ends_with(PROXY_HEADER_2)
    {
        return said.extend_from_slice(bytes);
    }
    let connects = |s: &Step| matches!(s, Step::ClientConnects { client, .. } if client == speaker);
    let ended = |s: &Step| matches!(s, Step::ProxyClosesClient { client } if client == speaker);
    let (start, end) = (steps.iter().rposition(connects), steps.iter().rposition(ended));
    match (start, end) {
        (Some(start), Some(end)) if end > start => steps.insert(start + 1, step),
        _ => steps.push(step),
    }
}

fn remark_step(remark: &str) -> Option<Step> {
    let numbers: Vec<u64> =
        remark.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    let first = numbers.first().copied().unwrap_or(1) as usize;
    let starts = |text: &str| remark.starts_with(text);
    if starts("... ") {
        return Some(Step::Pause);
    }
    if starts("client") {
        return client_remark(remark, &numbers);
    }
    if starts("backend") {
        return backend_remark(remark, first);
    }
    if starts("proxy connects to backend port") {
        let backend =
            remark.split("backend connection ").nth(1).and_then(|n| n.trim_end_matches(')').parse().ok());
        let from = remark.split(" from ").nth(1)?.split(' ').next()?.to_owned();
        return Some(Step::BackendAccepts { backend: backend.unwrap_or(1), port: first as u16, from });
    }
    if starts("proxy closes the client connection") {
        return Some(Step::ProxyClosesClient { client: first });
    }
    if starts("proxy closes the backend connection") || starts("proxy closes its side of the backend") {
        return Some(Step::ProxyClosesBackend { backend: first });
    }
    if starts("connect to ") && remark.ends_with("Connection refused") {
        return Some(Step::ConnectRefused { port: first as u16 });
    }
    if starts("login process opens the auth socket") {
        return Some(Step::AuthOpens);
    }
    starts("auth server closes the").then_some(Step::AuthCloses)
}

fn client_remark(remark: &str, numbers: &[u64]) -> Option<Step> {
    let first = numbers.first().copied().unwrap_or(1) as usize;
    let has = |text: &str| remark.contains(text);
    if has("connects to port") {
        let port = *numbers.last()? as u16;
        return Some(Step::ClientConnects { client: if numbers.len() > 1 { first } else { 1 }, port });
    }
    if has("TLS handshake done") {
        let after = |key: &str| remark.split(key).nth(1)?.split([',', ')']).next();
        let name = after("SNI=")?;
        return Some(Step::ClientTls(ClientTls {
            server_name: (name != "None").then(|| name.to_owned()),
            subject: after("CN = ")?.to_owned(),
            certificate: after("client cert ").map(str::to_owned),
            version: after("done (")?.to_owned(),
        }));
    }
    if has("TLS handshake failed") {
        return Some(Step::ClientOldTls);
    }
    if has("read error") {
        let client = remark.split(':').next()?.trim_start_matches("client").trim().parse().unwrap_or(1);
        return Some(Step::ProxyClosesClient { client });
    }
    if has("send failed") {
        return Some(Step::SendFailed);
    }
    if has("bytes until EOF") {
        return Some(Step::ClientReads { bytes: first });
    }
    if has("half-closes") {
        return Some(Step::ClientHalfCloses);
    }
    if has("resets the connection") {
        return Some(Step::ClientResets { client: first });
    }
    remark.ends_with("closes").then_some(Step::ClientCloses { client: first })
}

fn backend_remark(remark: &str, backend: usize) -> Option<Step> {
    let has = |text: &str| remark.contains(text);
    if has("TLS handshake done") {
        let server_name = remark.split("SNI from proxy=").nth(1)?.split([',', ')']).next()?.to_owned();
        return Some(Step::BackendTls {
            client_certificate: has("client certificate CN=alice"),
            server_name,
        });
    }
    if has("sends 4 MB") {
        return Some(Step::BackendFloods { bytes: 4_000_000 });
    }
    // A relay in front of the backend passed on that it had closed, and kept its own end open.
    if has("half-closes") || has("closes its side") {
        return Some(Step::BackendHalfCloses { backend });
    }
    if has("resets") {
        return Some(Step::BackendResets { backend });
    }
    has("backend closes").then_some(Step::BackendCloses { backend })
}

fn line_step(line: &str) -> Option<Step> {
    let (who, content) = line.split_once(": ").or_else(|| line.strip_suffix(':').map(|who| (who, "")))?;
    let (letter, number) = who.split_at_checked(1)?;
    let number: usize = if number.is_empty() { 1 } else { number.parse().ok()? };
    let (content, end) = line_end(content);
    let line = unescape(&uncut(content));
    let bytes = [&line[..], end].concat();
    match letter {
        "C" => Some(Step::Client { client: number, bytes }),
        "S" => Some(Step::Proxy { client: number, line }),
        "L" => Some(Step::ToAuth { line }),
        "A" => Some(Step::FromAuth { line }),
        "P" => Some(Step::ToBackend { backend: number, line }),
        "G" => Some(Step::Log { line }),
        "B" => Some(Step::Backend { backend: number, bytes }),
        _ => None,
    }
}

/// A line that was cut, `... "k1 <... 15501 more characters>`: the only ones are lists of pairs that go on as they
/// begin.
fn uncut(content: &str) -> String {
    let cut = content.strip_suffix(" more characters>").and_then(|rest| rest.rsplit_once(" <... "));
    let Some((start, more)) = cut else { return content.to_owned() };
    let length = start.len() + more.parse::<usize>().unwrap();
    let mut whole = start.split(" \"k0\"").next().unwrap().to_owned();
    for number in 0.. {
        if whole.len() >= length - 1 {
            break;
        }
        whole.push_str(&format!(" \"k{number}\" \"v\""));
    }
    whole.push(')');
    assert!(whole.starts_with(start) && whole.len() == length, "{content:?} goes on in another way");
    whole
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

/// `\t`, `\r`, `\n`, `\xNN`, `\\`, and `x<1000 times>`.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = match (first, tail) {
            (b'\\', [b't', tail @ ..]) => {
                out.push(b'\t');
                tail
            }
            (b'\\', [b'r', tail @ ..]) => {
                out.push(b'\r');
                tail
            }
            (b'\\', [b'n', tail @ ..]) => {
                out.push(b'\n');
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
                    let unit = repeated(&out);
                    out.extend(unit.repeat(times - 1));
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

/// What a repetition repeats: the last byte, or the last byte that is not a space and the space behind it.
fn repeated(so_far: &[u8]) -> Vec<u8> {
    match so_far {
        [.., byte, b' '] => vec![*byte, b' '],
        [.., byte] => vec![*byte],
        [] => Vec::new(),
    }
}

fn repetition(text: &[u8]) -> Option<(usize, usize)> {
    let end = text.iter().position(|b| *b == b'>')?;
    let inner = std::str::from_utf8(&text[1..end]).ok()?;
    Some((inner.strip_suffix(" times")?.parse().ok()?, end + 1))
}

#[test]
fn transcripts_are_understood() {
    let steps = parse(
        "# client 2 connects to port 143\nC2: a\\tb\nC2: x<3 times>  [LF only]\n# ... 0.5s\nC2: x <2 times>\n# client2 closes\n",
        "x",
    );
    assert_eq!(
        steps,
        [
            Step::ClientConnects { client: 2, port: 143 },
            Step::Client { client: 2, bytes: b"a\tb\r\nxxx\n".to_vec() },
            Step::Pause,
            Step::Client { client: 2, bytes: b"x x \r\n".to_vec() },
            Step::ClientCloses { client: 2 },
        ]
    );
}

#[test]
fn what_was_recorded_late_is_played_in_time() {
    let steps = parse(
        "# client connects to port 143\nS: * BYE\n# client: read error: reset\nC: x\n# ... 1s\nC: y\n# client: send failed\n",
        "x",
    );
    assert_eq!(
        steps,
        [
            Step::ClientConnects { client: 1, port: 143 },
            Step::Client { client: 1, bytes: b"x\r\n".to_vec() },
            Step::Proxy { client: 1, line: b"* BYE".to_vec() },
            Step::ProxyClosesClient { client: 1 },
            Step::Pause,
        ]
    );
}
