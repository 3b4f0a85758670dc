//! The words of `proxy(USER,IP:PORT): ...` lines (spec/login-proxy.md 9.3, 14.3).

use std::{
    fmt::{self, Write as _},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use homing_login::UserName;
use homing_wire::printable;

/// Where a login goes.
#[derive(Debug, Clone)]
pub struct ProxyDestination {
    /// Name for logs.
    pub user: UserName,
    /// Address connected to.
    pub address: SocketAddr,
    /// As given, if it is a name.
    pub host: Option<String>,
    /// Source address, if one was chosen.
    pub source: Option<IpAddr>,
    /// Name at the backend, if it differs.
    pub destuser: Option<UserName>,
    /// Master user at the backend.
    pub master: Option<UserName>,
}

/// Why the last attempt at a backend failed. Texts are escaped here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyFailure<'a> {
    /// No connection.
    Connect {
        /// The system's words.
        error: &'a str,
        /// Since the first attempt.
        after: Duration,
        /// Attempts after the first.
        reconnects: u32,
        /// Local address of the attempt.
        local: Option<SocketAddr>,
    },
    /// `proxy_timeout`.
    TimedOut {
        /// `BackendDialogue::state`.
        state: &'a str,
        /// Since the first attempt.
        after: Duration,
        /// Attempts after the first.
        reconnects: u32,
        /// Local address of the attempt.
        local: Option<SocketAddr>,
    },
    /// It has just failed for others.
    HostDown,
    /// The backend, or TLS to it, ended the connection.
    Disconnected {
        /// `Connection closed`, with the cause.
        error: &'a str,
        /// `BackendDialogue::state`.
        state: &'a str,
        /// Of this attempt.
        duration: Duration,
    },
    /// Class protocol.
    InvalidInput(&'a str),
    /// Classes remote and remote config.
    Remote(&'a str),
    /// Class internal.
    Internal(&'a str),
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyEnd<'a> {
    /// One side closed.
    Peer {
        /// Which.
        side: Side,
        /// Unless it was a plain end.
        error: Option<&'a str>,
        /// What went through.
        traffic: Traffic,
        /// The client is let go later, to spread reconnects (9.4).
        client_in: Option<Duration>,
    },
    /// We closed.
    Proxy(ProxyReason),
}

/// A side of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The mail client.
    Client,
    /// The backend.
    Server,
}

/// Why we end a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyReason {
    /// `doveadm proxy kick`.
    KickedByAdmin,
    /// The director moves or kicks the user.
    KickedViaDirector,
    /// The program stops.
    ShuttingDown,
}

/// Counters of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Since the last byte either way.
    pub idle: Duration,
    /// Bytes written to the backend.
    pub in_bytes: u64,
    /// Bytes written to the client.
    pub out_bytes: u64,
    /// Bytes for the client that could not be written.
    pub unsent_bytes: u64,
    /// The client did not read.
    pub client_blocked: bool,
    /// The backend did not read.
    pub server_blocked: bool,
}

impl ProxyDestination {
    pub(super) fn prefix(&self) -> String {
        let user = in_prefix(&self.user);
        format!("proxy({user},{}:{}): ", self.address.ip().to_canonical(), self.address.port())
    }

    pub(super) fn started(&self, took: Duration, reconnects: u32) -> String {
        let ip = self.address.ip().to_canonical().to_string();
        let mut text = format!("Started proxying to <{ip}>");
        if let Some(host) = self.host.as_ref().filter(|host| **host != ip) {
            push(&mut text, format_args!(" (<{}>)", printable(host.as_bytes())));
        }
        text.push_str(&self.how());
        push(&mut text, format_args!(" ({}.{:03} secs", took.as_secs(), took.subsec_millis()));
        push_reconnects(&mut text, reconnects);
        text.push(')');
        text
    }

    pub(super) fn login_failed(&self, backend_text: &str) -> String {
        format!("Login failed{}: {}", self.how(), printable(backend_text.as_bytes()))
    }

    fn how(&self) -> String {
        let mut text = String::new();
        if let Some(source) = self.source {
            push(&mut text, format_args!(" from {source}"));
        }
        if let Some(destuser) = self.destuser.as_ref().filter(|name| **name != self.user) {
            push(&mut text, format_args!(" as user {destuser}"));
        }
        if let Some(master) = &self.master {
            push(&mut text, format_args!(" (master {master})"));
        }
        text
    }
}

impl ProxyFailure<'_> {
    pub(super) fn text(&self, destination: &ProxyDestination) -> String {
        let clean = |text: &str| printable(text.as_bytes());
        match self {
            Self::Connect { error, after, reconnects, local } => {
                let (ip, port) = (destination.address.ip().to_canonical(), destination.address.port());
                let when = when(*after, *reconnects, *local);
                format!("connect({ip}, {port}) failed: {}{when}", clean(error))
            }
            Self::TimedOut { state, after, reconnects, local } => {
                format!("Login timed out in state={}{}", clean(state), when(*after, *reconnects, *local))
            }
            Self::HostDown => "Host is down".to_owned(),
            Self::Disconnected { error, state, duration } => format!(
                "Disconnected by server: {} (state={}, duration={}s)",
                clean(error),
                clean(state),
                duration.as_secs()
            ),
            Self::InvalidInput(text) => format!("Remote server sent invalid input: {}", clean(text)),
            Self::Remote(text) => format!("Aborting due to remote server: {}", clean(text)),
            Self::Internal(text) => format!("Aborting due to internal error: {}", clean(text)),
        }
    }
}

impl ProxyEnd<'_> {
    /// Who ended it, for programs.
    pub(super) fn reason_word(&self) -> &'static str {
        match self {
            Self::Peer { side: Side::Client, .. } => "client",
            Self::Peer { side: Side::Server, .. } => "server",
            Self::Proxy(reason) => reason.words(),
        }
    }
}

impl fmt::Display for ProxyEnd<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proxy(reason) => write!(f, "Disconnected by proxy: {}", reason.words()),
            Self::Peer { side, error, traffic, client_in } => {
                let side = match side {
                    Side::Client => "client",
                    Side::Server => "server",
                };
                write!(f, "Disconnected by {side}")?;
                if let Some(error) = error {
                    write!(f, ": {}", printable(error.as_bytes()))?;
                }
                write!(f, " ({traffic})")?;
                match client_in {
                    Some(delay) => write!(f, " - disconnecting client in {}ms", delay.as_millis()),
                    None => Ok(()),
                }
            }
        }
    }
}

impl ProxyReason {
    fn words(self) -> &'static str {
        match self {
            Self::KickedByAdmin => "Kicked by admin",
            Self::KickedViaDirector => "Kicked via director",
            Self::ShuttingDown => "Process shutting down",
        }
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s idle, in={}, out={}", self.idle.as_secs(), self.in_bytes, self.out_bytes)?;
        if self.unsent_bytes > 0 {
            write!(f, "+{}", self.unsent_bytes)?;
        }
        if self.client_blocked {
            f.write_str(", client output blocked")?;
        }
        if self.server_blocked {
            f.write_str(", server output blocked")?;
        }
        Ok(())
    }
}

fn when(after: Duration, reconnects: u32, local: Option<SocketAddr>) -> String {
    let mut text = format!(" (after {} secs", after.as_secs());
    push_reconnects(&mut text, reconnects);
    if let Some(local) = local {
        push(&mut text, format_args!(", local={}:{}", local.ip().to_canonical(), local.port()));
    }
    text.push(')');
    text
}

fn push_reconnects(text: &mut String, reconnects: u32) {
    if reconnects > 0 {
        push(text, format_args!(", {reconnects} reconnects"));
    }
}

/// Parentheses and commas in a name could make the prefix look like an address in a filter's eyes.
pub(super) fn in_prefix(user: &UserName) -> String {
    user.to_string().replace('(', "\\x28").replace(')', "\\x29").replace(',', "\\x2c")
}

fn push(text: &mut String, args: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(args);
}
