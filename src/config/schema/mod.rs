//! The names of settings: which Homing uses, which it only knows, and what their values must look like. What
//! the values mean for a room is not known here.

mod check;
pub(crate) mod kind;
pub(crate) mod known;
mod nearest;
pub(crate) mod purpose;
mod unused;
mod variables;

pub(crate) use check::check;

/// The value of a setting outside all blocks that is not set, for `$name`.
pub(crate) fn default_of(name: &str) -> Option<&'static str> {
    let used = known::find(known::TOP, name).map(|known| known.default);
    used.or_else(|| unused::find("top", name).map(|unused| unused.default))
}
