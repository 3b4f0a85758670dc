//! What one proxy tells the next in its ID command about the client (spec/login-proxy.md 4.7). Whether it is to be believed
//! is decided elsewhere.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use homing_login::{
    ClientIdentity, ForwardField,
    limits::{FORWARD_BYTES_MAX, FORWARD_FIELDS_MAX},
};
use homing_wire::SessionId;

/// Start of the keys whose rest is the key of a forward field.
const FORWARD: &[u8] = b"x-forward-";

/// Keys with a meaning, beside those with [`FORWARD`].
const KEYS: [&[u8]; 7] = [
    b"x-originating-ip",
    b"x-originating-port",
    b"x-connected-ip",
    b"x-connected-port",
    b"x-proxy-ttl",
    b"x-session-id",
    b"x-session-ext-id",
];

/// True for keys that are never passed on as the client's own. Case does not matter.
pub(super) fn is_reserved(key: &[u8]) -> bool {
    forward_key(key).is_some() || KEYS.iter().any(|k| k.eq_ignore_ascii_case(key))
}

/// Takes one pair. Unknown keys and values that do not parse are ignored.
pub(super) fn take(client: &mut ClientIdentity, key: &[u8], value: &[u8]) {
    if let Some(key) = forward_key(key) {
        return take_forward(client, key, value);
    }
    match key.to_ascii_lowercase().as_slice() {
        b"x-originating-ip" => set_ip(&mut client.remote, value),
        b"x-originating-port" => set_port(&mut client.remote, value),
        b"x-connected-ip" => set_ip(&mut client.local, value),
        b"x-connected-port" => set_port(&mut client.local, value),
        b"x-proxy-ttl" => client.ttl = number(value).unwrap_or(client.ttl),
        b"x-session-id" | b"x-session-ext-id" => {
            if let Some(session) = SessionId::received(value) {
                client.session = session;
            }
        }
        _ => {}
    }
}

/// Case is kept.
fn forward_key(key: &[u8]) -> Option<&[u8]> {
    let (head, rest) = key.split_at_checked(FORWARD.len())?;
    head.eq_ignore_ascii_case(FORWARD).then_some(rest)
}

/// NUL and LF are refused (spec/auth-protocol.md 10.7); fields beyond the limits are ignored.
fn take_forward(client: &mut ClientIdentity, key: &[u8], value: &[u8]) {
    let hostile = |bytes: &[u8]| bytes.iter().any(|b| matches!(b, 0 | b'\n'));
    if key.is_empty() || hostile(key) || hostile(value) || client.forward.len() >= FORWARD_FIELDS_MAX {
        return;
    }
    let size = |field: &ForwardField| field.key.len() + field.value.as_ref().map_or(0, Vec::len);
    let held: usize = client.forward.iter().map(size).sum();
    if held + key.len() + value.len() <= FORWARD_BYTES_MAX {
        client.forward.push(ForwardField { key: key.to_vec(), value: Some(value.to_vec()) });
    }
}

fn set_ip(address: &mut SocketAddr, value: &[u8]) {
    if let Some(ip) = parse::<IpAddr>(value) {
        address.set_ip(ip);
    }
}

fn set_port(address: &mut SocketAddr, value: &[u8]) {
    if let Some(port) = number::<u16>(value).filter(|port| *port != 0) {
        address.set_port(port);
    }
}

/// Digits only: no sign.
fn number<T: FromStr>(value: &[u8]) -> Option<T> {
    value.iter().all(u8::is_ascii_digit).then(|| parse(value)).flatten()
}

fn parse<T: FromStr>(value: &[u8]) -> Option<T> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use homing_login::Service;

    use super::*;

    fn client() -> ClientIdentity {
        let session = SessionId::received(b"S0").unwrap();
        let (remote, local) = ("127.0.77.200:33363".parse().unwrap(), "127.0.77.1:143".parse().unwrap());
        ClientIdentity::new(Service::Imap, remote, local, session)
    }

    fn taken(pairs: &[(&str, &str)]) -> ClientIdentity {
        let mut c = client();
        pairs.iter().for_each(|(key, value)| take(&mut c, key.as_bytes(), value.as_bytes()));
        c
    }

    #[test]
    fn im_30_values_are_taken() {
        let c = taken(&[
            ("x-originating-ip", "192.0.2.1"),
            ("X-Originating-Port", "1234"),
            ("x-connected-ip", "2001:db8::1"),
            ("x-connected-port", "993"),
            ("x-proxy-ttl", "3"),
            ("x-session-id", "SESS1"),
            ("x-session-ext-id", "EXT1"),
            ("X-Forward-Bar", "1\"2"),
            ("x-forward-e", ""),
            ("name", "x"),
        ]);
        assert_eq!(
            (c.remote, c.local),
            ("192.0.2.1:1234".parse().unwrap(), "[2001:db8::1]:993".parse().unwrap())
        );
        assert_eq!((c.ttl, c.session.as_str()), (3, "EXT1"));
        assert_eq!(c.forward.iter().map(|f| f.key.as_slice()).collect::<Vec<_>>(), [b"Bar".as_slice(), b"e"]);
        assert_eq!(c.forward[0].value.as_deref(), Some(&b"1\"2"[..]));
        assert_eq!((c.real_remote.port(), c.real_local.port()), (33363, 143));
    }

    #[test]
    fn im_30_values_that_do_not_parse_change_nothing() {
        let long = "s".repeat(65);
        let c = taken(&[
            ("x-originating-ip", "garbage"),
            ("x-originating-ip", "192.0.2.1 "),
            ("x-originating-port", "99999"),
            ("x-originating-port", "0"),
            ("x-connected-ip", "[::1]"),
            ("x-connected-port", "+5"),
            ("x-proxy-ttl", "-1"),
            ("x-proxy-ttl", ""),
            ("x-session-id", &long),
            ("x-session-id", "a b"),
            ("x-session-ext-id", ""),
            ("x-forward-", "z"),
            ("x-forward-lf", "a\nb"),
        ]);
        let before = client();
        assert_eq!((c.remote, c.local, c.ttl), (before.remote, before.local, before.ttl));
        assert_eq!((c.session, c.forward.len()), (before.session, 0));
    }

    #[test]
    fn keys_are_reserved_whatever_their_case() {
        for key in ["x-originating-ip", "X-SESSION-EXT-ID", "x-forward-", "X-Forward-A"] {
            assert!(is_reserved(key.as_bytes()), "{key}");
        }
        for key in ["", "name", "x-forward", "x-originating-ip2"] {
            assert!(!is_reserved(key.as_bytes()), "{key}");
        }
    }

    #[test]
    fn forward_fields_are_bounded() {
        let mut c = client();
        (0..100).for_each(|_| take(&mut c, b"x-forward-k", b"v"));
        assert_eq!(c.forward.len(), FORWARD_FIELDS_MAX);
        let mut c = client();
        (0..100).for_each(|_| take(&mut c, b"x-forward-k", &[b'v'; 1000]));
        assert_eq!(c.forward.len(), 4);
    }

    #[test]
    fn any_pairs_leave_a_bounded_client() {
        bolero::check!().with_type::<Vec<(u8, Vec<u8>)>>().for_each(|pairs| {
            let mut c = client();
            for (choice, value) in pairs {
                let key = KEYS.get(usize::from(*choice)).copied().unwrap_or(b"x-forward-x");
                take(&mut c, key, value);
            }
            assert!(c.forward.len() <= FORWARD_FIELDS_MAX);
            assert!(!c.forward.iter().any(|f| f.value.as_ref().unwrap().contains(&b'\n')));
        });
    }
}
