//! The ipc protocol (spec/director.md 5.6): how `doveadm proxy list` and `proxy kick` reach the sessions of login
//! processes. [`Server`] answers doveadm, [`Client`] asks like doveadm, and [`LoginProcess`] is what the hub between
//! them sees of one login process of Dovecot.

mod answer;
mod client;
mod command;
mod login_process;
mod server;
mod sessions;

#[cfg(test)]
mod tests;

pub use answer::{Answer, Refusal};
pub use client::{Client, ClientError, ClientEvent, CommandRefused};
pub use command::Command;
pub use login_process::{COMMANDS_OPEN_MAX, CommandTag, LoginProcess, ProcessError, ProcessEvent};
pub use server::{Server, ServerError, ServerEvent, Target};
pub use sessions::SessionRow;

/// The group of login processes.
pub(crate) const GROUP: &str = "proxy";
