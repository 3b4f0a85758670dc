//! Homing: a mail login proxy for IMAP, POP3 and ManageSieve with an embedded director.
//!
//! The rooms, in the order a connection meets them:
//!
//! - [`config`]: `dovecot.conf` read, checked and typed; every problem is reported at once.
//! - [`listener`]: binds, accepts, reads PROXY headers, and hands out accepted connections.
//! - [`tls`]: certificates by name with reload, handshakes with clients and with backends.
//! - [`session`]: drives one connection from greeting to end; the registry of live sessions.
//! - [`auth`]: asks Dovecot's auth socket or the embedded password files.
//! - [`director`]: which backend a user belongs to; the placement guard.
//! - [`relay`]: the sockets through which login processes of Dovecot ask the director.
//! - [`backend`]: connects and logs in at the backend.
//! - [`health`]: checks backends, and takes down and brings up the director's.
//! - [`forwarding`]: moves bytes until one side ends.
//! - [`transport`]: a byte stream, plain or TLS; shared by the rooms above.
//! - [`admin`]: the sockets of `doveadm director` and `doveadm proxy`.
//! - [`metrics`]: metrics for Prometheus over HTTP.
//! - [`sockets`]: makes socket files and removes them.
//! - [`observe`]: log lines that fail2ban reads, and what all rooms count.
//! - [`lifecycle`]: signals, reload, shutdown, privileges.
//! - [`app`]: wires the rooms together.
//! - [`cli`], [`demo`], [`mod@bench`]: what a person starts.

pub mod admin;
pub mod app;
pub mod auth;
pub mod backend;
pub mod bench;
pub mod cli;
pub mod config;
pub mod demo;
pub mod director;
pub mod forwarding;
pub mod health;
pub mod lifecycle;
pub mod listener;
pub mod metrics;
pub mod observe;
pub mod relay;
pub mod session;
pub mod sockets;
pub mod tls;
pub mod transport;
