//! What `imap-codec` accepts as LOGIN, AUTHENTICATE or ID must mean the same to us. Our grammar is wider, so that the
//! reverse does not hold.

use homing_login::limits::{ID_KEY_BYTES_MAX, ID_PAIRS_MAX};
use homing_wire::encode_base64;
use imap_codec::{
    CommandCodec,
    decode::Decoder,
    imap_types::{
        command::CommandBody,
        core::{IString, NString},
    },
};

use super::*;

/// What strings are made of.
const WORDS: &[&str] = &[
    "alice",
    "al ice",
    "",
    "a\"b\\c",
    "user%domain",
    "NIL",
    "nil",
    "]",
    "{5}",
    "(x)",
    "x*y",
    "a@b.example",
    "~",
    "ID",
    "a\r\nb LOGOUT",
    "x-proxy-ttl",
    "=",
    "+",
];

/// A command line from a few choices: mostly good, sometimes odd.
fn line_of(command: &str, choices: &[u8]) -> Vec<u8> {
    let mut line = format!("a {command}").into_bytes();
    for choice in choices {
        line.push(b' ');
        line.extend(string_of(*choice));
    }
    line
}

/// One string in one of four forms, of which it may not be capable.
fn string_of(choice: u8) -> Vec<u8> {
    let word = WORDS[usize::from(choice >> 2) % WORDS.len()];
    match choice % 4 {
        0 => word.as_bytes().to_vec(),
        1 => format!("{{{}+}}\r\n{word}", word.len()).into_bytes(),
        _ => format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")).into_bytes(),
    }
}

/// What the oracle makes of the line, if it accepts all of it.
fn meaning(line: &[u8]) -> Option<String> {
    let (rest, command) = CommandCodec::default().decode(line).ok()?;
    match command.body {
        _ if !rest.is_empty() => None,
        CommandBody::Login { username, password } => {
            let message = [b"\0", username.as_ref(), b"\0", password.declassify().as_ref()].concat();
            Some(format!("<auth PLAIN {}>", encode_base64(&message)))
        }
        CommandBody::Authenticate { mechanism, initial_response } => {
            let response = initial_response.map_or("-".to_owned(), |r| encode_base64(r.declassify()));
            Some(format!("<auth {mechanism} {response}>"))
        }
        CommandBody::Id { parameters } => id_meaning(&parameters.unwrap_or_default()),
        _ => None,
    }
}

fn id_meaning(parameters: &[(IString<'_>, NString<'_>)]) -> Option<String> {
    if parameters.iter().any(|(key, _)| key.as_ref().len() > ID_KEY_BYTES_MAX) {
        return None;
    }
    let pair = |(key, value): &(IString<'_>, NString<'_>)| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let value = value.0.as_ref().map_or("NIL".to_owned(), |v| text(v.as_ref()));
        format!("{}={value}", text(key.as_ref()))
    };
    let pairs: Vec<String> = parameters.iter().take(ID_PAIRS_MAX).map(pair).collect();
    let note = if pairs.is_empty() { String::new() } else { format!("<id {}> | ", pairs.join(", ")) };
    Some(format!("{note}* ID (\"name\" \"Dovecot\") | a OK ID completed."))
}

/// Compares; false if the oracle does not accept the line.
fn agree(line: &[u8]) -> bool {
    let line = [line, b"\r\n"].concat();
    let Some(expected) = meaning(&line) else { return false };
    let mut session = accept(Setup { id_log: "*", ..PLAIN }, usize::MAX);
    session.drain();
    let outputs = session.bytes(&line);
    assert_eq!(session.render(&outputs), expected, "{}", String::from_utf8_lossy(&line));
    true
}

#[test]
fn both_parsers_read_the_same_credentials() {
    for line in [
        &b"a LOGIN alice pw"[..],
        b"a login alice NIL",
        b"a LOGIN \"al\\\"i\\\\ce\" \"\"",
        b"a LOGIN {5+}\r\nal ce {3+}\r\na\r\n",
        b"a LOGIN a]b~ \"p w\"",
        b"a AUTHENTICATE PLAIN",
        b"a AUTHENTICATE PLAIN AGFsaWNlAHB3",
        b"a AUTHENTICATE SCRAM-SHA-256 =",
        b"a authenticate login YQ==",
        b"a ID NIL",
        b"a ID (\"name\" \"x\" \"version\" NIL)",
        b"a ID ({4+}\r\nname {0+}\r\n)",
    ] {
        assert!(agree(line), "not accepted: {}", String::from_utf8_lossy(line));
    }
}

#[test]
fn both_parsers_agree_on_login() {
    bolero::check!().with_type::<(u8, u8)>().for_each(|(user, password)| {
        let accepted = agree(&line_of("LOGIN", &[*user, *password]));
        // Quoted strings without line ends are always good.
        let quoted = |c: &u8| c % 4 > 1 && !WORDS[usize::from(c >> 2) % WORDS.len()].contains('\r');
        assert!(accepted || !(quoted(user) && quoted(password)));
    });
}

#[test]
fn both_parsers_agree_on_id() {
    bolero::check!().with_type::<Vec<(u8, u8)>>().for_each(|pairs| {
        let item = |(key, value): &(u8, u8)| {
            let value = if value % 5 == 0 { b"NIL".to_vec() } else { string_of(*value) };
            [string_of(*key), b" ".to_vec(), value].concat()
        };
        let items: Vec<Vec<u8>> = pairs.iter().map(item).collect();
        agree(&[b"a ID (".as_slice(), &items.join(&b' '), b")"].concat());
    });
}

#[test]
fn both_parsers_agree_on_authenticate() {
    let mechanisms = ["PLAIN", "LOGIN", "scram-sha-256", "ANONYMOUS"];
    bolero::check!().with_type::<(u8, Option<Vec<u8>>)>().for_each(|(choice, response)| {
        let mechanism = mechanisms[usize::from(*choice) % mechanisms.len()];
        let response = match response {
            None => String::new(),
            Some(bytes) if bytes.is_empty() => " =".to_owned(),
            Some(bytes) => format!(" {}", encode_base64(bytes)),
        };
        assert!(agree(format!("a AUTHENTICATE {mechanism}{response}").as_bytes()));
    });
}

#[test]
fn both_parsers_agree_on_anything() {
    bolero::check!().with_type::<(bool, Vec<u8>)>().for_each(|(login, tail)| {
        let head = if *login { b"a LOGIN ".as_slice() } else { b"a ID (" };
        agree(&[head, tail].concat());
    });
}
