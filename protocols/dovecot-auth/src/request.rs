//! The lines a client sends (spec/auth-protocol.md 2.2, 3). Parameters are written in the reference's order.

use std::{fmt, num::NonZeroU32};

use homing_login::{AuthRequest, ClientIdentity, ForwardField, Secured};
use homing_wire::{Secret, tab};
use zeroize::Zeroizing;

/// `CPID`: tells the connections of one auth service apart; the reference sends its process id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionId(NonZeroU32);

impl ConnectionId {
    /// `None` for 0, which servers refuse.
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }
}

/// Tells the open requests of one connection apart; never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(NonZeroU32);

impl RequestId {
    /// The first id of a program.
    pub(crate) const FIRST: Self = Self(NonZeroU32::MIN);

    /// Used on the wire.
    pub(crate) fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// One more; 0 is skipped.
    pub(crate) fn next(self) -> Self {
        self.0.checked_add(1).map_or(Self::FIRST, Self)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is sent at once after connecting.
pub(crate) fn opening(id: ConnectionId) -> Secret {
    Secret::from(format!("VERSION\t1\t2\nCPID\t{}\n", id.0).as_str())
}

/// `AUTH`.
pub(crate) fn auth(id: RequestId, request: &AuthRequest) -> Secret {
    let mut line = Line::new(&format!("AUTH\t{id}\t"));
    line.raw(&tab::escape(request.mechanism.as_bytes()));
    let (client, tls) = (&request.client, request.tls.as_ref());
    line.field("service", client.service.auth_name().as_bytes());
    match client.secured {
        Secured::No => {}
        Secured::Yes => line.flag("secured"),
        Secured::Tls => line.field("secured", b"tls"),
    }
    let certified = tls.filter(|tls| tls.valid_client_cert);
    if certified.is_some() {
        line.flag("valid-client-cert");
    }
    line.field("session", client.session.as_str().as_bytes());
    if let Some(name) = certified.and_then(|tls| tls.cert_username.as_deref()) {
        line.field("cert_username", name.as_bytes());
    }
    addresses(&mut line, client);
    let server_name = tls.and_then(|tls| tls.server_name.as_deref()).or(client.local_name.as_deref());
    line.field_unless_empty("local_name", server_name.unwrap_or_default().as_bytes());
    line.field_unless_empty("client_id", client.retained_id.as_bytes());
    line.field_unless_empty("forward_fields", &forward_fields(&client.forward));
    if let Some(response) = &request.initial_response {
        line.field("resp", response.expose());
    }
    line.end()
}

/// `CONT`. The response is written as it is: the caller checks that it is base64.
pub(crate) fn cont(id: RequestId, response: &Secret) -> Secret {
    let mut line = Line::new(&format!("CONT\t{id}\t"));
    line.raw(response.expose());
    line.end()
}

/// `CANCEL`.
pub(crate) fn cancel(id: RequestId) -> Secret {
    Secret::from(format!("CANCEL\t{id}\n").as_str())
}

/// The real addresses are told only where a trusted proxy or a PROXY header changed them.
fn addresses(line: &mut Line, client: &ClientIdentity) {
    let (local, remote) = (client.local, client.remote);
    let (real_local, real_remote) = (client.real_local, client.real_remote);
    line.text("lip", local.ip());
    line.text("rip", remote.ip());
    line.text("lport", local.port());
    line.text("rport", remote.port());
    if real_local.ip() != local.ip() {
        line.text("real_lip", real_local.ip());
    }
    if real_remote.ip() != remote.ip() {
        line.text("real_rip", real_remote.ip());
    }
    if real_local.port() != local.port() {
        line.text("real_lport", real_local.port());
    }
    if real_remote.port() != remote.port() {
        line.text("real_rport", real_remote.port());
    }
}

/// Escaped here, and once more as a field (spec/auth-protocol.md 3.2). Bare words are left out: a service may take
/// them for its own (10.7).
fn forward_fields(fields: &[ForwardField]) -> Vec<u8> {
    let mut list = Vec::new();
    for field in fields {
        let Some(value) = &field.value else { continue };
        if !list.is_empty() {
            list.push(b'\t');
        }
        list.extend_from_slice(&tab::escape(&field.key));
        list.push(b'=');
        list.extend_from_slice(&tab::escape(value));
    }
    list
}

/// A line under construction; wiped when it grows or is dropped, since a password may be in it.
struct Line(Zeroizing<Vec<u8>>);

impl Line {
    fn new(start: &str) -> Self {
        let mut line = Self(Zeroizing::new(Vec::new()));
        line.raw(start.as_bytes());
        line
    }

    fn raw(&mut self, bytes: &[u8]) {
        let wanted = self.0.len() + bytes.len() + 1;
        if self.0.capacity() < wanted {
            let mut larger = Zeroizing::new(Vec::with_capacity(wanted.next_power_of_two()));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }

    fn flag(&mut self, key: &str) {
        self.raw(b"\t");
        self.raw(key.as_bytes());
    }

    fn field(&mut self, key: &str, value: &[u8]) {
        self.flag(key);
        self.raw(b"=");
        self.raw(&tab::escape(value));
    }

    fn field_unless_empty(&mut self, key: &str, value: &[u8]) {
        if !value.is_empty() {
            self.field(key, value);
        }
    }

    fn text(&mut self, key: &str, value: impl fmt::Display) {
        self.field(key, value.to_string().as_bytes());
    }

    fn end(mut self) -> Secret {
        self.raw(b"\n");
        Secret::new(std::mem::take(&mut *self.0))
    }
}
