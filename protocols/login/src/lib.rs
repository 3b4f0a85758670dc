//! The vocabulary that every login dialogue shares.
//!
//! A [`Frontend`] is the server side of one dialect before login; a [`BackendDialogue`] is the client side
//! towards the user's backend. Both are pure state machines with the same shape: input goes in through
//! `handle`, decisions come out of `poll_output` until it returns `None`, and the driver performs them.
//! A [`conversation::Conversation`] is what the frontends of all dialects do alike. The crate also has what
//! travels between the machines: auth requests and replies, the decision that a reply means, and the reasons
//! for refusals and ends. It knows no dialect; of commands it has only XCLIENT, which two dialects share.

mod auth;
mod backend;
mod client;
pub mod conversation;
mod decision;
mod duration;
mod frontend;
pub mod limits;
mod refusal;
mod user;
pub mod xclient;

pub use auth::{AuthReply, AuthRequest, FailReply, Mechanism, OkReply};
pub use backend::{
    BackendDialogue, BackendFailure, BackendInput, BackendLogin, BackendOutput, BackendSuccess, FailureClass,
};
pub use client::{ClientIdentity, ForwardField, Secured, Service, TlsFacts};
pub use decision::{Decision, ProxyTarget, TargetError, TlsUse, decide, refusal_of};
pub use duration::parse_duration;
pub use frontend::{AuthStart, CloseReason, Frontend, Goodbye, Input, Note, Output, SecurityPolicy};
pub use refusal::{AUTHENTICATION_FAILED, Refusal, RefusalKind, TEMPORARILY_UNAVAILABLE, referral_server};
pub use user::UserName;
