//! The client side of Dovecot's auth protocol, version 1.2 (spec/auth-protocol.md 1 to 5): what a login proxy says
//! to an auth service and how it understands the answers.
//!
//! [`AuthClient`] is a pure state machine: it multiplexes requests over one connection and outlives reconnects.
//! [`HostQuestion`] is what a director does to the answers of others' conversations (9). Neither knows a socket, a
//! clock or a mail protocol.

mod client;
mod error;
mod opening;
mod reply;
mod request;
mod rewrite;

pub use client::{AuthClient, Event, MECHANISMS_MAX, QUEUED_BYTES_MAX, REQUESTS_OPEN_MAX};
pub use error::{BeginError, ProtocolError};
pub use request::{ConnectionId, RequestId};
pub use rewrite::{AnswersOf, HostQuestion, Place};
