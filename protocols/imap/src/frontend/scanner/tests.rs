//! Rows IM-11 to IM-27 of the grammar, and that cutting the input does not matter. Rows without a transcript were
//! measured with 2.3.19.1.

use super::*;

/// A readable form: `g:` tag, `c:` command, `m:` mechanism, `a:` atom, `t:` text, `(` and `)`, `r:` response,
/// `+` go on, `.` line end, `!` error, `#` limit.
fn render(token: &Token) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match token {
        Token::Tag(tag) => format!("g:{}", text(tag)),
        Token::BadTag => "!tag".to_owned(),
        Token::Command(word) => format!("c:{}", text(word)),
        Token::BadCommand => "!command".to_owned(),
        Token::Mechanism(word) => format!("m:{}", text(word)),
        Token::Arg(Arg::Atom(atom)) => format!("a:{}", text(atom.expose())),
        Token::Arg(Arg::Text(string)) => format!("t:{}", text(string.expose())),
        Token::Arg(Arg::Open) => "(".to_owned(),
        Token::Arg(Arg::Close) => ")".to_owned(),
        Token::Response(response) => format!("r:{}", text(response.expose())),
        Token::GoOn => "+".to_owned(),
        Token::End => ".".to_owned(),
        Token::Failed(text) => format!("!{text}"),
        Token::TooLong(excess) => format!("#{excess:?}"),
    }
}

/// Scans `input` in segments of `step` bytes; stops behind a limit. Lines of the commands P and AUTHENTICATE are
/// read as those of ID and AUTHENTICATE.
fn scan_in(mut scanner: Scanner, input: &[u8], step: usize) -> Vec<String> {
    let mut out = Vec::new();
    for mut segment in input.chunks(step) {
        while !segment.is_empty() {
            let (used, token) = scanner.scan(segment);
            segment = &segment[used..];
            match &token {
                Some(Token::Command(word)) if word == b"AUTHENTICATE" => scanner.expect_mechanism(),
                Some(Token::Command(word)) if word == b"P" => scanner.expect_pieces(),
                _ => {}
            }
            out.extend(token.as_ref().map(render));
            if matches!(token, Some(Token::TooLong(_))) {
                return out;
            }
        }
    }
    out
}

fn scan(input: &[u8]) -> Vec<String> {
    let whole = scan_in(Scanner::new(false), input, usize::MAX);
    assert_eq!(whole, scan_in(Scanner::new(false), input, 1));
    whole
}

fn response() -> Scanner {
    let mut scanner = Scanner::new(false);
    scanner.expect_response();
    scanner
}

#[test]
fn words_strings_and_line_ends() {
    for (input, expected) in [
        ("a NOOP\r\n", "g:a c:NOOP ."),
        ("a NOOP\nb X\n", "g:a c:NOOP . g:b c:X ."),
        ("a NOOP  x   \r\n", "g:a c:NOOP a:x ."),
        ("a L \"x\"\"y\"\r\n", "g:a c:L t:x t:y ."),
        ("a L \"x\"y\r\n", "g:a c:L t:x a:y ."),
        ("a L \"a\\\"b\\\\\\c\"\r\n", "g:a c:L t:a\"b\\c ."),
        ("a L x%y *]\\ ~ ~x N}\r\n", "g:a c:L a:x%y a:*]\\ a:~ a:~x a:N} ."),
        ("a L \"j\u{fc}\" \"\"\r\n", "g:a c:L t:j\u{fc} t: ."),
        ("a L {3}\r\nabc {2+}\nde\n", "g:a c:L + t:abc t:de ."),
        ("a L {0}\r\n {}\r\n {+}\r\n\r\n", "g:a c:L + t: + t: t: ."),
        ("a L (a (\"b\")) ()\r\n", "g:a c:L ( a:a ( t:b ) ) ( ) ."),
        ("a L (a)b\r\n", "g:a c:L ( a:a ) a:b ."),
        ("a X+Y-1./:\u{7f}\r\n", "g:a c:X+Y-1./:\u{7f} ."),
        ("a AUTHENTICATE PLAIN AA==\r\nb X\r\n", "g:a c:AUTHENTICATE m:PLAIN r:AA== g:b c:X ."),
        ("a AUTHENTICATE PLAIN\n", "g:a c:AUTHENTICATE m:PLAIN r:"),
        ("a AUTHENTICATE PLAIN \r\n", "g:a c:AUTHENTICATE m:PLAIN r:"),
        ("a AUTHENTICATE PLAIN A B \r\r\n", "g:a c:AUTHENTICATE m:PLAIN r:A B \r"),
        ("a AUTHENTICATE  PLAIN\r\n", "g:a c:AUTHENTICATE m: r:PLAIN"),
        ("a AUTHENTICATE\r\n", "g:a c:AUTHENTICATE m: r:"),
    ] {
        assert_eq!(scan(input.as_bytes()).join(" "), expected, "{input:?}");
    }
}

#[test]
fn im_11_im_12_tags() {
    let tag = |n: usize| format!("{} NOOP\r\n", "t".repeat(n)).into_bytes();
    assert_eq!(scan(&tag(126)).len(), 3);
    assert_eq!(scan(&tag(127)), ["!tag", "."]);
    for bad in ["+", "a+b", "(a", "a\"b", "*", "%", "a)", "a{", "a\\", "a]b", "a\tb", "a\0", "\u{e4}", ""] {
        assert_eq!(scan(format!("{bad} NOOP {{5}}\r\n").as_bytes()), ["!tag", "."], "{bad:?}");
    }
    assert_eq!(scan(b"\r\n\n"), ["!tag", ".", "!tag", "."]);
    for good in ["a/b", "a}b", "a~b", "a\x7fb", "A1.:-_"] {
        assert_eq!(scan(format!("{good} NOOP\r\n").as_bytes())[0], format!("g:{good}"));
    }
}

#[test]
fn im_13_command_names() {
    for bad in
        ["a\r\n", "a \r\n", "a  NOOP {5}\r\n", "a X(Y {5}\r\n", "a X]\r\n", "a NO\u{80}OP\r\n", "a\rb NOOP\n"]
    {
        assert_eq!(scan(bad.as_bytes()), ["g:a", "!command", "."], "{bad:?}");
    }
}

#[test]
fn im_17_im_19_im_22_syntax_errors_skip_the_rest_of_the_line() {
    for (input, text) in [
        (&b"\"abc"[..], "Missing '\"'"),
        (b"\"ab\\", "Missing '\"'"),
        (b"\"a\0b\"", "NULs not allowed in strings"),
        (b"\"a\\\0b\"", "NULs not allowed in strings"),
        (b"{3+}\na\0b", "NULs not allowed in strings"),
        (b"a\xe4b", "8bit data in atom"),
        (b"\x01b", "Invalid characters in atom"),
        (b"a\x7f", "Invalid characters in atom"),
        (b"a(b", "Invalid characters in atom"),
        (b"a{3}", "Invalid characters in atom"),
        (b"a\"b", "Invalid characters in atom"),
        (b"a)", "Unexpected ')'"),
        (b"{1+}\r\na)", "Unexpected ')'"),
        (b"(a", "Missing ')'"),
        (b"(", "Missing ')'"),
        (b"{abc}", "Invalid literal size"),
        (b"{-1}", "Invalid literal size"),
        (b"{3+x}", "Expecting '}' after '+'"),
        (b"{3+}x", "Missing LF after literal size"),
        (b"~{5}", "literal8 not allowed here"),
        (b"(~{5})", "literal8 not allowed here"),
        (b"\rx", "CR sent without LF"),
        (b"x\r\rx", "CR sent without LF"),
        (b"(\rx)", "CR sent without LF"),
    ] {
        let line = [b"a L ", input, b"\r\nb X\r\n"].concat();
        let tokens = scan(&line);
        let error = format!("!{text}");
        assert_eq!(tokens[tokens.len() - 5..], [error.as_str(), ".", "g:b", "c:X", "."], "{input:?}");
    }
}

#[test]
fn im_21_im_23_im_26_literals_have_limits() {
    let literal = |n: usize| format!("a LOGIN {{{n}+}}\r\n{}\r\n", "x".repeat(n)).into_bytes();
    let minus = |input: &[u8]| scan_in(Scanner::new(true), input, usize::MAX).pop();
    assert_eq!(scan(&literal(1026)).len(), 4);
    assert_eq!(scan(&literal(1027)), ["g:a", "c:LOGIN", "#Input"]);
    assert_eq!(scan(b"a LOGIN {8178}\r\n"), ["g:a", "c:LOGIN", "+"]);
    assert_eq!(scan(b"a LOGIN {8177+}\r\n"), ["g:a", "c:LOGIN"]);
    for size in ["8179", "8178+", "8192", "99999", "99999999999999999999999"] {
        let line = format!("a LOGIN {{{size}}}\r\n");
        assert_eq!(scan(line.as_bytes()), ["g:a", "c:LOGIN", "#Literal"], "{size}");
    }
    assert_eq!(minus(b"a LOGIN {4097+}\r\n").unwrap(), "#NonSynchronizing");
    assert_eq!(minus(b"a LOGIN {4096+}\r\n").unwrap(), "c:LOGIN");
    assert_eq!(minus(b"a LOGIN {4097}\r\n").unwrap(), "+");
}

#[test]
fn im_24_im_25_words_and_lines_have_limits() {
    let quoted = |n: usize| format!("a N \"{}\"\r\n", "x".repeat(n)).into_bytes();
    let atom = |n: usize| format!("a N {}\r\n", "x".repeat(n)).into_bytes();
    assert_eq!(scan(&quoted(1024)).len(), 4);
    assert_eq!(scan(&quoted(1025)), ["g:a", "c:N", "#Input"]);
    assert_eq!(scan(&atom(1025)).len(), 4);
    assert_eq!(scan(&atom(1026)), ["g:a", "c:N", "#Input"]);
    assert_eq!(scan(&b"x".repeat(1026)), ["#Input"]);
    assert_eq!(scan(&[b"a ".as_slice(), &b"x".repeat(1026)].concat()), ["g:a", "#Input"]);
    let mechanism = [b"a AUTHENTICATE ".as_slice(), &b"x".repeat(1026)].concat();
    assert_eq!(scan(&mechanism), ["g:a", "c:AUTHENTICATE", "#Input"]);
    let many = [b"a N ".as_slice(), &b"x ".repeat(4200), b"\r\nb X\r\n"].concat();
    let tokens = scan(&many);
    assert_eq!(tokens[tokens.len() - 5..], ["!IMAP command line too large", ".", "g:b", "c:X", "."]);
    let pieces = [b"a P ".as_slice(), &b"x ".repeat(4200), b"{8000+}\r\n"].concat();
    assert_eq!(scan(&pieces).len(), 4202);
}

#[test]
fn im_27_lists_are_not_nested_deeply() {
    let nested = |n: usize| ["a N ", &"(".repeat(n), &")".repeat(n), "\r\n"].concat().into_bytes();
    assert_eq!(scan(&nested(16)).len(), 35);
    assert_eq!(scan(&nested(17))[18..], ["!Too many '('", "."]);
    assert_eq!(scan(&nested(500))[18..], ["!Too many '('", "."]);
}

#[test]
fn sasl_responses_may_have_8192_bytes_with_cr() {
    let line = |n: usize, end: &str| format!("{}{end}", "A".repeat(n)).into_bytes();
    assert_eq!(scan_in(response(), &line(8191, "\r\n"), 1000).len(), 1);
    assert_eq!(scan_in(response(), &line(8192, "\n"), 1000).len(), 1);
    assert_eq!(scan_in(response(), &line(8192, "\r\n"), 1000), ["#Sasl"]);
    assert_eq!(scan_in(response(), &line(9000, ""), 1000), ["#Sasl"]);
    assert_eq!(scan_in(response(), b"*\r\na X\n", 1), ["r:*", "g:a", "c:X", "."]);
}

#[test]
fn a_forgotten_response_leaves_no_rest() {
    let mut scanner = response();
    assert!(!scanner.abandon_response());
    assert_eq!(scan_in(scanner, b"a X\r\n", 1), ["g:a", "c:X", "."]);
    let mut scanner = response();
    scanner.scan(b"AAA");
    assert!(scanner.abandon_response());
    assert_eq!(scan_in(scanner, b"BBB\r\na X\r\n", 1), [".", "g:a", "c:X", "."]);
}

#[test]
fn cutting_the_input_changes_nothing_and_nothing_grows() {
    bolero::check!().with_type::<(Vec<u8>, u8, bool)>().for_each(|(input, step, sasl)| {
        let start = || if *sasl { response() } else { Scanner::new(false) };
        let lines = [b"a X ".as_slice(), input].concat();
        let whole = scan_in(start(), &lines, usize::MAX);
        assert_eq!(whole, scan_in(start(), &lines, usize::from(*step).max(1)));
        let mut scanner = start();
        let mut rest = input.as_slice();
        while !rest.is_empty() {
            let (used, token) = scanner.scan(rest);
            assert!(used > 0 || token.is_some());
            assert!(scanner.held.len() <= if *sasl { SASL_RESPONSE_BYTES_MAX } else { INPUT_BYTES_MAX });
            rest = &rest[used..];
        }
    });
}

#[test]
fn a_line_has_an_end_even_if_nothing_of_it_is_kept() {
    for start in ["a b(", "a P \"x\" "] {
        let line = |length: usize| {
            let filler = "x ".repeat(length).into_bytes();
            [start.as_bytes(), &filler[..length - start.len()], b"\nc d\n"].concat()
        };
        let fits = scan(&line(LINE_BYTES_MAX + 1));
        assert_eq!(fits.last().unwrap(), "#Input", "{start}");
        let fits = scan(&line(LINE_BYTES_MAX));
        assert_eq!(fits[fits.len() - 3..], ["g:c", "c:d", "."], "{start}");
    }
}
