//! SASL as a login proxy needs it: what to send to a backend on a user's behalf, and how to read the two
//! mechanisms an embedded password check understands. Between client and auth service everything else is relayed.

mod client;
mod server;

pub use client::{CLIENT_MECHANISMS, ClientMechanism, SaslError};
pub use server::{PlainMessage, parse_plain, plain_message};
