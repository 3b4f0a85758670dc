//! XCLIENT, which POP3 and ManageSieve share: how one proxy tells the next who the client is
//! (spec/login-proxy.md 5.5, 6.6, 8.2.3, 8.3.3). Knows the items of the command, not its place in a dialogue.

use std::net::{IpAddr, SocketAddr};

use homing_wire::{SessionId, decode_base64, encode_base64, tab};

use crate::{
    ClientIdentity, ForwardField,
    limits::{FORWARD_BYTES_MAX, FORWARD_FIELDS_MAX},
};

/// A value that does not parse; the values before it have been taken.
#[derive(Debug, PartialEq, Eq)]
pub struct BadValue;

/// Takes one `KEY=value` from a trusted proxy. Unknown keys are ignored; so are session ids that cannot be
/// used (spec/login-proxy.md 3.5).
pub fn take(client: &mut ClientIdentity, item: &[u8]) -> Result<(), BadValue> {
    let Some(at) = item.iter().position(|b| *b == b'=') else { return Ok(()) };
    let (key, value) = (item.get(..at).unwrap_or_default(), item.get(at + 1..).unwrap_or_default());
    match key.to_ascii_uppercase().as_slice() {
        b"ADDR" => client.remote = SocketAddr::new(number::<IpAddr>(value)?, client.remote.port()),
        b"PORT" => match number::<u16>(value)? {
            0 => return Err(BadValue),
            port => client.remote.set_port(port),
        },
        b"SESSION" => {
            if let Some(session) = SessionId::received(value) {
                client.session = session;
            }
        }
        b"TTL" => client.ttl = number(value)?,
        b"FORWARD" => client.forward = forward_fields(value).ok_or(BadValue)?,
        _ => {}
    }
    Ok(())
}

/// The command towards a backend, with CR LF. `forward` are the fields of the auth reply; the hop counts.
pub fn command(client: &ClientIdentity, forward: &[ForwardField]) -> String {
    let mut line = format!(
        "XCLIENT ADDR={} PORT={} SESSION={} TTL={}",
        client.remote.ip(),
        client.remote.port(),
        client.session,
        client.ttl.saturating_sub(1)
    );
    if !forward.is_empty() {
        let items: Vec<Vec<u8>> = forward.iter().map(forward_item).collect();
        line.push_str(" FORWARD=");
        line.push_str(&encode_base64(&items.join(&b'\t')));
    }
    line.push_str("\r\n");
    line
}

fn number<T: std::str::FromStr>(value: &[u8]) -> Result<T, BadValue> {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(BadValue)
}

/// Decodes FORWARD. NUL and LF are refused and words without `=` are dropped, since they would become
/// flags of the auth request (spec/auth-protocol.md 10.7).
fn forward_fields(value: &[u8]) -> Option<Vec<ForwardField>> {
    let decoded = decode_base64(value)?;
    if decoded.len() > FORWARD_BYTES_MAX {
        return None;
    }
    let mut fields = Vec::new();
    for item in decoded.split(|b| *b == b'\t') {
        let Some(at) = item.iter().position(|b| *b == b'=') else { continue };
        let key = tab::unescape(item.get(..at)?).into_owned();
        let value = tab::unescape(item.get(at + 1..)?).into_owned();
        let hostile = |bytes: &[u8]| bytes.iter().any(|b| matches!(b, 0 | b'\n'));
        if hostile(&key) || hostile(&value) || fields.len() == FORWARD_FIELDS_MAX {
            return None;
        }
        if !key.is_empty() {
            fields.push(ForwardField { key, value: Some(value) });
        }
    }
    Some(fields)
}

fn forward_item(field: &ForwardField) -> Vec<u8> {
    let mut item = tab::escape(&field.key).into_owned();
    if let Some(value) = &field.value {
        item.push(b'=');
        item.extend_from_slice(&tab::escape(value));
    }
    item
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Service;

    fn client() -> ClientIdentity {
        let session = SessionId::received(b"S0").unwrap();
        let (remote, local) = ("127.0.77.100:38471".parse().unwrap(), "127.0.77.1:4190".parse().unwrap());
        ClientIdentity::new(Service::Sieve, remote, local, session)
    }

    #[test]
    fn values_are_taken_one_by_one() {
        let mut c = client();
        for item in
            ["addr=192.0.2.1", "Port=1234", "SESSION=S1", "TTL=3", "FORWARD=Zm9vPWJhcg==", "FOO=x", "y"]
        {
            assert_eq!(take(&mut c, item.as_bytes()), Ok(()), "{item}");
        }
        assert_eq!(c.remote, "192.0.2.1:1234".parse().unwrap());
        assert_eq!((c.session.as_str(), c.ttl), ("S1", 3));
        assert_eq!(c.forward, [ForwardField { key: b"foo".to_vec(), value: Some(b"bar".to_vec()) }]);
        assert_eq!(c.real_remote.port(), 38471);
    }

    #[test]
    fn bad_values_change_nothing() {
        let mut c = client();
        for item in [
            "ADDR=x",
            "ADDR=",
            "PORT=0",
            "PORT=65536",
            "TTL=-1",
            "FORWARD=!!",
            "FORWARD=YQBiPWM=",
            "FORWARD=YQpiPWM=",
        ] {
            assert_eq!(take(&mut c, item.as_bytes()), Err(BadValue), "{item}");
        }
        assert_eq!(take(&mut c, b"SESSION=a b"), Ok(()));
        assert_eq!(take(&mut c, &[b"SESSION=".as_slice(), &[b'a'; 65]].concat()), Ok(()));
        assert_eq!((c.session.as_str(), c.ttl, c.remote.port()), ("S0", 5, 38471));
    }

    #[test]
    fn forward_is_bounded_and_has_no_bare_words() {
        let forward = |list: &[u8]| forward_fields(encode_base64(list).as_bytes());
        assert_eq!(forward(b"nopassword\tfoo=bar").unwrap().len(), 1);
        assert_eq!(forward(b"=x").unwrap().len(), 0);
        assert_eq!(forward(&b"a=b\t".repeat(FORWARD_FIELDS_MAX)).unwrap().len(), FORWARD_FIELDS_MAX);
        assert!(forward(&b"a=b\t".repeat(FORWARD_FIELDS_MAX + 1)).is_none());
        assert!(forward(&[b'a'; FORWARD_BYTES_MAX + 1]).is_none());
        assert!(forward(b"a=b\x01n").is_none());
    }

    #[test]
    fn what_is_sent_can_be_read() {
        let forward = vec![
            ForwardField { key: b"foo".to_vec(), value: Some(b"a\tb".to_vec()) },
            ForwardField { key: b"x".to_vec(), value: Some(Vec::new()) },
        ];
        let line = command(&client(), &forward);
        assert!(line.starts_with("XCLIENT ADDR=127.0.77.100 PORT=38471 SESSION=S0 TTL=4 FORWARD="), "{line}");
        let mut copy = client();
        for item in line.trim_end().split(' ').skip(1) {
            take(&mut copy, item.as_bytes()).unwrap();
        }
        assert_eq!(copy.forward, forward);
        assert_eq!(command(&client(), &[]), "XCLIENT ADDR=127.0.77.100 PORT=38471 SESSION=S0 TTL=4\r\n");
    }

    #[test]
    fn any_item_is_bounded() {
        bolero::check!().for_each(|item: &[u8]| {
            let mut c = client();
            let _ = take(&mut c, item);
            assert!(c.forward.len() <= FORWARD_FIELDS_MAX);
        });
    }
}
