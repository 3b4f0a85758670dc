//! The grammar of `dovecot.conf` (Dovecot 2.3): lines, quotes, blocks, includes, variables. It makes a tree of
//! settings and must not know what any of them means.

mod block;
pub(super) mod content;
mod glob;
mod limits;
mod line;
mod position;
mod reader;
mod statement;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use block::{Block, Setting};
pub(crate) use position::Position;
pub(crate) use reader::read;
pub(crate) use value::Value;
