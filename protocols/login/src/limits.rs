//! Bounds on everything a peer can make grow before login. Each has a name, a reason and a test in the crate
//! that enforces it. Sources: spec/login-proxy.md 3.6, 3.7, 4.3, 4.9, 8, auth-protocol.md 1.4, 3.4.

use std::time::Duration;

/// Unread client input before login, in bytes. A line or argument that cannot be consumed in pieces must fit.
pub const INPUT_BYTES_MAX: usize = 1026;

/// One line of a client before login, in bytes, SASL responses apart: the rest of a line that was answered already is
/// skipped, and the arguments of ID are used up one by one. The reference does both without end, at any speed.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// One SASL response, initial or continued, in bytes including a CR.
pub const SASL_RESPONSE_BYTES_MAX: usize = 8192;

/// All arguments of one IMAP command, or of one ManageSieve command, in bytes.
pub const COMMAND_ARGUMENT_BYTES_MAX: usize = 8192;

/// Depth of nested parentheses in IMAP arguments.
pub const NESTING_MAX: usize = 16;

/// Bad commands before the connection is closed.
pub const BAD_COMMANDS_MAX: u32 = 3;

/// Length of an IMAP tag in characters.
pub const TAG_BYTES_MAX: usize = 126;

/// Length of an IMAP ID key in characters (RFC 2971 section 3.3).
pub const ID_KEY_BYTES_MAX: usize = 30;

/// Pairs of one IMAP ID command (RFC 2971 section 3.3).
pub const ID_PAIRS_MAX: usize = 30;

/// Retained IMAP ID text in bytes (`imap_id_retain`).
pub const RETAINED_ID_BYTES_MAX: usize = 256;

/// Forward fields accepted from a trusted proxy, number and total bytes.
pub const FORWARD_FIELDS_MAX: usize = 32;
/// Total size of the forward fields, keys and values, in bytes.
pub const FORWARD_BYTES_MAX: usize = 4096;

/// One line from a backend before the login succeeded, in bytes.
pub const BACKEND_LINE_BYTES_MAX: usize = 4096;

/// Lines from a backend before the login succeeded. Ends a backend that talks without end.
pub const BACKEND_LINES_MAX: usize = 256;

/// One line of the auth protocol, in bytes.
pub const AUTH_LINE_BYTES_MAX: usize = 16384;

/// From accept to a finished login; not extended by anything the client does.
pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(180);

/// A client without a greeting is told to wait after this time without auth connection (IMAP only).
pub const AUTH_CONNECT_NOTICE: Duration = Duration::from_secs(10);

/// A client is told to wait after this time without an answer to its auth request (IMAP only).
pub const AUTH_REPLY_NOTICE: Duration = Duration::from_secs(30);

/// Hops a login may take through proxies (spec/login-proxy.md 7.2).
pub const PROXY_TTL: u32 = 5;
