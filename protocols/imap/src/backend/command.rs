//! The commands that a backend gets (spec/login-proxy.md 8.1.4, 8.1.5): ID, LOGIN, AUTHENTICATE, and how strings
//! are written in them. Knows nothing about replies.

use homing_login::{ClientIdentity, ForwardField};
use homing_wire::{Secret, encode_base64};
use imap_codec::{CommandCodec, encode::Encoder};
use imap_types::{
    command::{Command, CommandBody},
    core::{IString, Literal, NString, Quoted, Tag},
};

/// Characters to be escaped that a quoted string may have; with more of them it becomes a literal.
const QUOTED_ESCAPES_MAX: usize = 4;

/// What every ID command begins with.
const ID_START: &[u8] = b"I ID (";

/// ID (RFC 2971 section 3.1): who the client is, for a backend that trusts this proxy. The hop counts. Forward
/// fields that no IMAP string can carry are left out.
pub(super) fn id(client: &ClientIdentity, forward: &[ForwardField]) -> Vec<u8> {
    let facts = [
        ("x-session-id", client.session.to_string()),
        ("x-originating-ip", client.remote.ip().to_string()),
        ("x-originating-port", client.remote.port().to_string()),
        ("x-connected-ip", client.local.ip().to_string()),
        ("x-connected-port", client.local.port().to_string()),
        ("x-proxy-ttl", client.ttl.saturating_sub(1).to_string()),
    ];
    let facts = facts.into_iter().map(|(key, value)| (key.as_bytes().to_vec(), Some(value.into_bytes())));
    let forward = forward.iter().map(|f| ([b"x-forward-", &f.key[..]].concat(), f.value.clone()));
    let pairs = facts.chain(forward).filter_map(|(key, value)| pair(key, value)).collect();
    let command = Command { tag: Tag::unvalidated("I"), body: CommandBody::Id { parameters: Some(pairs) } };
    let line = CommandCodec::default().encode(&command).dump();
    match line.strip_prefix(ID_START) {
        // What the client itself has sent comes first; it is kept as it stands in the command.
        Some(rest) if !client.retained_id.is_empty() => {
            [ID_START, client.retained_id.as_bytes(), b" ", rest].concat()
        }
        _ => line,
    }
}

fn pair(key: Vec<u8>, value: Option<Vec<u8>>) -> Option<(IString<'static>, NString<'static>)> {
    let value = match value {
        Some(value) => Some(string(value)?),
        None => None,
    };
    Some((string(key)?, NString(value)))
}

/// A quoted string or a literal, as [`needs_literal`] says. `None`: no IMAP string may have a NUL (RFC 3501
/// section 9, `CHAR8`).
fn string(text: Vec<u8>) -> Option<IString<'static>> {
    if needs_literal(&text) {
        Literal::try_from(text).ok().map(IString::from)
    } else {
        Quoted::try_from(text).ok().map(IString::from)
    }
}

/// LOGIN (RFC 3501 section 6.2.3). Neither `user` nor `password` has a NUL. Written here, since the buffers of a
/// general encoder are not wiped.
pub(super) fn login(user: &[u8], password: &Secret) -> Secret {
    let password = password.expose();
    // Large enough, so that no copy of the password is left behind by growing.
    let mut line = Vec::with_capacity(2 * (user.len() + password.len()) + 64);
    line.extend_from_slice(b"L LOGIN ");
    push_string(&mut line, user);
    line.push(b' ');
    push_string(&mut line, password);
    line.extend_from_slice(b"\r\n");
    Secret::new(line)
}

/// AUTHENTICATE (RFC 3501 section 6.2.2), with an initial response (RFC 4959) if there is one.
pub(super) fn authenticate(mechanism: &str, initial: Option<&Secret>) -> Secret {
    let head = format!("L AUTHENTICATE {mechanism}");
    let response = initial.map(|response| Secret::new(encode_base64(response.expose()).into_bytes()));
    let argument: &[u8] = match &response {
        None => b"",
        Some(response) if response.is_empty() => b"=",
        Some(response) => response.expose(),
    };
    let space: &[u8] = if argument.is_empty() { b"" } else { b" " };
    Secret::new([head.as_bytes(), space, argument, b"\r\n"].concat())
}

/// A continued response.
pub(super) fn response(response: &Secret) -> Secret {
    let base64 = Secret::new(encode_base64(response.expose()).into_bytes());
    Secret::new([base64.expose(), b"\r\n"].concat())
}

/// The base64 of a line made by [`authenticate`] or [`response`].
pub(super) fn base64_part(line: &Secret) -> Secret {
    let line = line.expose().strip_suffix(b"\r\n").unwrap_or_default();
    Secret::from(line.rsplit(|b| *b == b' ').next().unwrap_or_default())
}

/// True if `text` is written as a literal, which a backend could mistake for a command.
pub(super) fn needs_literal(text: &[u8]) -> bool {
    let escapes = text.iter().filter(|b| is_special(**b)).count();
    escapes > QUOTED_ESCAPES_MAX || text.iter().any(|b| !b.is_ascii() || matches!(b, b'\r' | b'\n'))
}

/// A quoted string or a literal. The literal does not wait for `+`: that is what backends of this proxy
/// have always been sent (spec/login-proxy.md 8.1.5).
fn push_string(line: &mut Vec<u8>, text: &[u8]) {
    if needs_literal(text) {
        line.extend_from_slice(format!("{{{}}}\r\n", text.len()).as_bytes());
        line.extend_from_slice(text);
        return;
    }
    line.push(b'"');
    for byte in text {
        if is_special(*byte) {
            line.push(b'\\');
        }
        line.push(*byte);
    }
    line.push(b'"');
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\')
}

#[cfg(test)]
mod tests {
    use homing_login::Service;
    use homing_wire::SessionId;
    use imap_codec::decode::Decoder;

    use super::*;

    fn client() -> ClientIdentity {
        let session = SessionId::received(b"S0").unwrap();
        let (remote, local) = ("[2001:db8::7]:36213".parse().unwrap(), "127.0.77.1:143".parse().unwrap());
        ClientIdentity::new(Service::Imap, remote, local, session)
    }

    fn field(key: &[u8], value: Option<&[u8]>) -> ForwardField {
        ForwardField { key: key.to_vec(), value: value.map(<[u8]>::to_vec) }
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    const FACTS: &str = "\"x-session-id\" \"S0\" \"x-originating-ip\" \"2001:db8::7\" \"x-originating-port\" \"36213\" \
        \"x-connected-ip\" \"127.0.77.1\" \"x-connected-port\" \"143\" \"x-proxy-ttl\" \"4\"";

    #[test]
    fn section_8_1_4_id_arguments() {
        assert_eq!(text(&id(&client(), &[])), format!("I ID ({FACTS})\r\n"));
        let retained = ClientIdentity { retained_id: "\"name\" \"two\"".to_owned(), ..client() };
        assert_eq!(text(&id(&retained, &[])), format!("I ID (\"name\" \"two\" {FACTS})\r\n"));
        let forward = [
            field(b"Foo", Some(b"a\"b")),
            field(b"empty", Some(b"")),
            field(b"bare", None),
            field(b"utf8", Some("\u{e4}".as_bytes())),
            field(b"nul", Some(b"a\0")),
            field(b"n\0l", None),
        ];
        let expected = format!(
            "I ID ({FACTS} \"x-forward-Foo\" \"a\\\"b\" \"x-forward-empty\" \"\" \"x-forward-bare\" NIL \
             \"x-forward-utf8\" {{2}}\r\n\u{e4})\r\n"
        );
        assert_eq!(text(&id(&client(), &forward)), expected);
    }

    #[test]
    fn a_forward_value_cannot_become_a_command() {
        let sent = id(&client(), &[field(b"x", Some(b"\")\r\nA LOGOUT\r\n"))]);
        assert!(text(&sent).contains("{14}\r\n\")\r\nA LOGOUT\r\n)\r\n"), "{}", text(&sent));
    }

    #[test]
    fn strings() {
        for (content, expected) in [
            (&b""[..], "\"\""),
            (b"a b", "\"a b\""),
            (b"we\"i\\rd", "\"we\\\"i\\\\rd\""),
            (b"\"\"\\\\", "\"\\\"\\\"\\\\\\\\\""),
            (b"\"\"\\\\\"", "{5}\r\n\"\"\\\\\""),
            (b"a\nb", "{3}\r\na\nb"),
            ("p\u{e4}ss".as_bytes(), "{5}\r\np\u{e4}ss"),
        ] {
            let mut out = Vec::new();
            push_string(&mut out, content);
            assert_eq!(text(&out), expected);
            let in_id = id(&client(), &[field(b"x", Some(content))]);
            assert!(text(&in_id).ends_with(&format!(" \"x-forward-x\" {expected})\r\n")), "{}", text(&in_id));
        }
    }

    #[test]
    fn any_login_is_read_as_it_was_meant() {
        bolero::check!().with_type::<(Vec<u8>, Vec<u8>)>().for_each(|(user, password)| {
            if user.contains(&0) || password.contains(&0) {
                return;
            }
            let line = login(user, &Secret::from(&password[..]));
            let read = whole(line.expose());
            let CommandBody::Login { username, password: read_password } = read else { panic!("{read:?}") };
            assert_eq!((username.as_ref(), read_password.declassify().as_ref()), (&user[..], &password[..]));
        });
    }

    #[test]
    fn any_forward_field_stays_inside_its_command() {
        bolero::check!().with_type::<Vec<(Vec<u8>, Option<Vec<u8>>)>>().for_each(|fields| {
            let forward: Vec<_> = fields.iter().map(|(k, v)| field(k, v.as_deref())).collect();
            let sent = fields
                .iter()
                .filter(|(k, v)| !k.contains(&0) && !v.iter().flatten().any(|b| *b == 0))
                .count();
            let line = id(&client(), &forward);
            let CommandBody::Id { parameters: Some(read) } = whole(&line) else { panic!("{}", text(&line)) };
            assert_eq!(read.len(), 6 + sent);
        });
    }

    /// As another implementation reads it; nothing may be left over.
    fn whole(line: &[u8]) -> CommandBody<'_> {
        let (rest, command) = CommandCodec::default().decode(line).unwrap();
        assert!(rest.is_empty());
        command.body
    }
}
