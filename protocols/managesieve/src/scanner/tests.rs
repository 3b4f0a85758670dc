//! Rows MS-08 and the syntax errors of spec/login-proxy.md 6.3, and that cutting the input does not matter.

use super::*;

/// A readable form: `w:` word, `a:` atom, `t:` text, `.` line end, `!` error, `#` limit.
fn render(token: &Token) -> String {
    match token {
        Token::Word(word) => format!("w:{}", String::from_utf8_lossy(word)),
        Token::Arg(Arg::Atom(atom)) => format!("a:{}", String::from_utf8_lossy(atom)),
        Token::Arg(Arg::Text(text)) => format!("t:{}", String::from_utf8_lossy(text.expose())),
        Token::End => ".".to_owned(),
        Token::Failed(text) => format!("!{text}"),
        Token::TooLong(excess) => format!("#{excess:?}"),
    }
}

/// Scans `input` in segments of `step` bytes; stops behind a limit.
fn scan_in(mut scanner: Scanner, input: &[u8], step: usize) -> Vec<String> {
    let mut out = Vec::new();
    for mut segment in input.chunks(step) {
        while !segment.is_empty() {
            let (used, token) = scanner.scan(segment);
            segment = &segment[used..];
            out.extend(token.as_ref().map(render));
            if matches!(token, Some(Token::TooLong(_))) {
                return out;
            }
        }
    }
    out
}

fn scan(input: &[u8]) -> Vec<String> {
    scan_in(Scanner::new(), input, usize::MAX)
}

fn response() -> Scanner {
    let mut scanner = Scanner::new();
    scanner.expect_response();
    scanner
}

#[test]
fn words_strings_and_line_ends() {
    for (input, expected) in [
        ("NOOP\r\n", "w:NOOP ."),
        ("NOOP\nX\n", "w:NOOP . w:X ."),
        ("\r\n", "w: ."),
        (" NOOP\r\n", "w: a:NOOP ."),
        ("NOOP  \"x\" \r\n", "w:NOOP t:x ."),
        ("NOOP \"x\"\"y\"\r\n", "w:NOOP t:x t:y ."),
        ("NOOP\"x\"\r\n", "w:NOOP\"x\" ."),
        ("NOOP \"a\\\"b\\\\\"\r\n", "w:NOOP t:a\"b\\ ."),
        ("NOOP {3}\r\nabc\r\n", "w:NOOP t:abc ."),
        ("NOOP {3+}\nabc\n", "w:NOOP t:abc ."),
        ("NOOP {0+}\r\n\r\n", "w:NOOP t: ."),
        ("XCLIENT ADDR=::1 FORWARD=YQ==\r\n", "w:XCLIENT a:ADDR=::1 a:FORWARD=YQ== ."),
        ("N a%*]};b\r\n", "w:N a:a%*]};b ."),
    ] {
        assert_eq!(scan(input.as_bytes()).join(" "), expected, "{input:?}");
    }
}

#[test]
fn syntax_errors_skip_the_rest_of_the_line() {
    for (input, text) in [
        (&b"N a(b"[..], "Invalid characters in atom"),
        (b"N (", "Invalid characters in atom"),
        (b"N a\\b", "Invalid characters in atom"),
        (b"N a\x01b", "Invalid characters in atom"),
        (b"N a\x7fb", "Invalid characters in atom"),
        (b"N a{3}", "Invalid characters in atom"),
        (b"N a\xc3\xa4", "8bit data in atom"),
        (b"N \"a\\bc\"", "Escaped quoted-string character is not a QUOTED-SPECIAL."),
        (b"N \"\xff\"", "Invalid UTF-8 character in quoted-string."),
        (b"N \"a\0b\"", "NULs not allowed in strings"),
        (b"N \"abc", "String contains invalid character."),
        (b"N \"a\rb\"", "String contains invalid character."),
        (b"N {3+x}", "Expecting '}' after '+'"),
        (b"N {abc}", "Invalid literal size"),
        (b"N {3}x", "Missing LF after literal size"),
        (b"N {3+}\r\na\0b", "NULs not allowed in strings"),
        (b"N {3+}\r\n\xff\xff\xff", "Invalid UTF-8 character in literal string."),
        (b"N\rx", "CR sent without LF"),
    ] {
        let line = [input, b"\r\nNOOP\r\n"].concat();
        assert_eq!(scan(&line), ["w:N", &format!("!{text}"), ".", "w:NOOP", "."], "{input:?}");
    }
}

#[test]
fn sasl_strings_have_their_own_texts() {
    for (input, text) in [
        (&b"(\r\n"[..], "Invalid characters in atom"),
        (b"{abc}\r\n", "Invalid literal size"),
        (b"\"abc\r\n", "Error in AUTHENTICATE response string: Quoted string contains an invalid character"),
        (
            b"\"a\\bc\"\r\n",
            "Error in AUTHENTICATE response string: Escaped quoted-string character is not a QUOTED-SPECIAL",
        ),
    ] {
        assert_eq!(scan_in(response(), input, usize::MAX), [format!("!{text}"), ".".to_owned()]);
    }
    assert_eq!(scan_in(response(), b"\"*\"\r\n", 1), ["t:*", "."]);
    assert_eq!(scan_in(response(), b"\r\nNOOP\r\n", 1), [".", "w:NOOP", "."]);
}

#[test]
fn ms_08_limits_of_words_and_strings() {
    let quoted = |n: usize| format!("N \"{}\"\r\n", "x".repeat(n)).into_bytes();
    let literal = |n: usize| format!("N {{{n}+}}\r\n{}\r\n", "x".repeat(n)).into_bytes();
    assert_eq!(scan(&quoted(1024)).len(), 3);
    assert_eq!(scan(&quoted(1025)), ["w:N", "#Input"]);
    assert_eq!(scan(&quoted(1025)), scan_in(Scanner::new(), &quoted(1025), 1));
    assert_eq!(scan(&literal(1026)).len(), 3);
    assert_eq!(scan(&literal(1027)), ["w:N", "#Input"]);
    assert_eq!(scan(b"N {8184+}\r\n"), ["w:N"]);
    assert_eq!(scan(b"N {9000+}\r\n"), ["w:N", "#Literal"]);
    assert_eq!(scan(b"N {99999999999999999999999}\r\n"), ["w:N", "#Literal"]);
    assert_eq!(scan(&b"x".repeat(1026)), ["#Input"]);
    assert_eq!(scan(&[b"N ".as_slice(), &b"x".repeat(1026)].concat()), ["w:N", "#Input"]);
    let many = [b"N ".as_slice(), &b"x ".repeat(4200), b"\r\nNOOP\r\n"].concat();
    let tokens = scan(&many);
    assert_eq!(tokens[tokens.len() - 4..], ["!MANAGESIEVE command line too large", ".", "w:NOOP", "."]);
}

#[test]
fn sasl_responses_may_have_8192_bytes() {
    let literal = |n: usize| format!("{{{n}+}}\r\n{}\r\n", "A".repeat(n)).into_bytes();
    let quoted = |n: usize| format!("\"{}\"\r\n", "A".repeat(n)).into_bytes();
    for make in [literal, quoted] {
        assert_eq!(scan_in(response(), &make(8192), 1000).len(), 2);
        assert_eq!(scan_in(response(), &make(8193), 1000), ["#Sasl"]);
    }
}

#[test]
fn a_forgotten_response_line_leaves_no_rest() {
    let mut scanner = response();
    assert!(!scanner.abandon_response());
    assert_eq!(scan_in(scanner, b"NOOP\r\n", 1), ["w:NOOP", "."]);
    let mut scanner = response();
    scanner.scan(b"\"abc");
    assert!(scanner.abandon_response());
    assert_eq!(scan_in(scanner, b"def\"\r\nNOOP\r\n", 1), [".", "w:NOOP", "."]);
}

#[test]
fn cutting_the_input_changes_nothing() {
    bolero::check!().with_type::<(Vec<u8>, u8, bool)>().for_each(|(input, step, sasl)| {
        let start = || if *sasl { response() } else { Scanner::new() };
        let whole = scan_in(start(), input, usize::MAX);
        assert_eq!(whole, scan_in(start(), input, usize::from(*step).max(1)));
    });
}

#[test]
fn a_line_has_an_end_even_if_nothing_of_it_is_kept() {
    let line = |length: usize| [&b"NOOP {x}"[..], &vec![b'x'; length - 8], b"\nNOOP\n"].concat();
    assert_eq!(scan(&line(LINE_BYTES_MAX + 1)).last().unwrap(), "#Input");
    let fits = scan(&line(LINE_BYTES_MAX));
    assert_eq!(fits[fits.len() - 2..], ["w:NOOP", "."]);
}
