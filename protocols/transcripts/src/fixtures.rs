//! Values that tests of every dialect start from.

use std::sync::Arc;

use homing_login::{ClientIdentity, Mechanism, Secured, Service};
use homing_wire::SessionId;

/// A client at `127.0.77.100:38471` with the session id `S0`; trusted ones count as secured.
pub fn identity(service: Service, trusted: bool) -> ClientIdentity {
    let session = SessionId::received(b"S0").unwrap();
    let local = (std::net::Ipv4Addr::new(127, 0, 77, 1), service.default_port(false)).into();
    let remote = "127.0.77.100:38471".parse().unwrap();
    let secured = if trusted { Secured::Yes } else { Secured::No };
    ClientIdentity { trusted, secured, ..ClientIdentity::new(service, remote, local, session) }
}

/// PLAIN, LOGIN, SCRAM-SHA-256, ANONYMOUS, and two private ones.
pub fn mechanisms() -> Arc<[Mechanism]> {
    let told = [
        "PLAIN\tplaintext",
        "LOGIN\tplaintext",
        "SCRAM-SHA-256",
        "ANONYMOUS\tanonymous",
        "APOP\tprivate",
        "FOO\tprivate",
    ];
    told.map(mechanism).into()
}

/// From `NAME[\tflag...]`, as in MECH lines of the auth protocol.
pub fn mechanism(told: &str) -> Mechanism {
    let mut words = told.split('\t');
    let name = words.next().unwrap().to_owned();
    let flags: Vec<&str> = words.collect();
    Mechanism {
        private: flags.contains(&"private"),
        anonymous: flags.contains(&"anonymous"),
        plaintext: flags.contains(&"plaintext"),
        name,
    }
}

/// Hostile input: mostly pieces, with plain bytes between them.
pub fn pieces(pieces: &[&str], choices: &[u8]) -> Vec<u8> {
    let piece = |c: &u8| match c {
        0..200 => pieces[usize::from(*c) % pieces.len()].as_bytes().to_vec(),
        byte => vec![*byte],
    };
    choices.iter().flat_map(piece).collect()
}
