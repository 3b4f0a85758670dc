//! Makes lines comparable: what differs from run to run (session ids, ports, times) is replaced by `*`.

/// A line with its changing parts replaced.
pub fn normal(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line).into_owned();
    let text = without_challenge(&stamps(&text)).to_owned();
    if text.contains('\t') { auth_line(&text) } else { words(&text) }
}

/// `[proxyhost:2026-11-23 13:00:34]`.
fn stamps(text: &str) -> String {
    match text.split_once("Temporary authentication failure. [") {
        Some((head, tail)) => {
            let rest = tail.split_once(']').map_or("", |(_, rest)| rest);
            format!("{head}Temporary authentication failure. [*]{rest}")
        }
        None => text.to_owned(),
    }
}

/// Without the APOP challenge ` <b5d.1.6b043841.eSFe7cdmlsLfOPUzNXC4RA==@proxyhost>`: Homing does not offer APOP
/// (checklist row P3-12).
fn without_challenge(text: &str) -> &str {
    match text.strip_suffix("@proxyhost>").and_then(|text| text.rsplit_once(" <")) {
        Some((head, challenge)) if challenge.split('.').count() == 4 => head,
        _ => text,
    }
}

/// Request ids, session ids and the client's port in `AUTH`, `CONT` and `CANCEL` lines.
fn auth_line(text: &str) -> String {
    let changing = ["session=", "rport=", "real_rport="];
    let field = |(number, field): (usize, &str)| match changing.iter().find(|key| field.starts_with(**key)) {
        Some(key) => format!("{key}*"),
        None if number == 1 => "*".to_owned(),
        None => field.to_owned(),
    };
    text.split('\t').enumerate().map(field).collect::<Vec<_>>().join("\t")
}

/// Session ids and the client's port in ID and XCLIENT.
fn words(text: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let after = out.last().map(|w| w.trim_start_matches('(').to_owned()).unwrap_or_default();
        let key = ["SESSION=", "PORT="].iter().find(|key| word.starts_with(**key));
        out.push(match key {
            _ if after == "\"x-session-id\"" || after == "\"x-originating-port\"" => "*".to_owned(),
            Some(key) => format!("{key}*"),
            None => word.to_owned(),
        });
    }
    out.join(" ")
}

#[test]
fn changing_parts_are_replaced() {
    assert_eq!(
        normal(b"AUTH\t7\tPLAIN\tsession=abc\tlip=1\trport=5"),
        "AUTH\t*\tPLAIN\tsession=*\tlip=1\trport=*"
    );
    assert_eq!(normal(b"I ID (\"x-session-id\" \"a\" \"b\" \"c\")"), "I ID (\"x-session-id\" * \"b\" \"c\")");
    assert_eq!(normal(b"XCLIENT ADDR=1 PORT=2 SESSION=3 TTL=4"), "XCLIENT ADDR=1 PORT=* SESSION=* TTL=4");
}
