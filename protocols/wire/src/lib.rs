//! What every text protocol here stands on: a bounded input buffer, tab-escaped fields, secrets that
//! do not leak, session ids, and what makes foreign text fit for logs and URLs.
//!
//! Nothing in this crate knows a mail protocol, a socket or a clock.

mod base64;
mod buffer;
mod escape;
mod fields;
mod secret;
mod session_id;
pub mod tab;
mod url;

pub use base64::{decode_base64, encode_base64, is_base64};
pub use buffer::{InputBuffer, Line, Overflow};
pub use escape::printable;
pub use fields::{Field, Fields};
pub use secret::Secret;
pub use session_id::SessionId;
pub use url::url_encode;
