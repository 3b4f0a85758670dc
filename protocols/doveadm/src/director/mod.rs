//! The director admin protocol (spec/director.md 6): [`Server`] is what a director runs behind its `director-admin`
//! socket, [`Client`] what asks it. Requests, replies and rows are types here; lists flow row by row.

mod argument;
mod client;
mod reply;
mod request;
mod ring_row;
mod row;
mod server;

#[cfg(test)]
mod tests;

pub use argument::{DirectorAddress, HostArgument, OwnRequest, Scope, UserArgument, Waiting};
pub use client::{Client, ClientError, ClientEvent, REQUESTS_OPEN_MAX, RequestRefused};
pub use reply::{Refusal, Reply, UserPlace};
pub use request::{Request, RequestError, VHOSTS_MAX};
pub use ring_row::{DirectorRow, DirectorStatus, Link, RingMember, Traffic};
pub use row::{HostRow, Row, UserRow};
pub use server::{Server, ServerError, ServerEvent};

/// Name of the protocol in both VERSION lines.
pub(crate) const PROTOCOL: &str = "director-doveadm";

/// What the answer to a request looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerShape {
    /// One line: OK or a refusal.
    Line,
    /// One line with the places of a user.
    Place,
    /// Rows of one kind, then an empty line.
    Table(RowKind),
}

/// What the rows of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    /// Backends.
    Host,
    /// Addresses of backends that are configured but removed.
    RemovedHost,
    /// Mappings of users.
    User,
    /// Directors of the ring and their connections.
    Director,
    /// Whatever an own request is answered with.
    Own,
}
