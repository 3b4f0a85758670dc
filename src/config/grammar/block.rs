//! Settings and blocks as a tree, and how statements become one: blocks of the same name are merged, a later
//! setting replaces an earlier one. What the names mean is not known here.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{
    limits::BLOCK_DEPTH_MAX,
    position::Position,
    statement::Raw,
    value::{ExpandError, Value, expand},
};

/// A block, or the whole configuration.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// `service`, `protocol`, `passdb`..; empty for the whole.
    pub(crate) kind: String,
    /// `imap-login`, ..; often empty.
    pub(crate) name: String,
    /// Where it was opened first.
    pub(crate) position: Position,
    pub(crate) settings: BTreeMap<String, Setting>,
    /// In the order of the file.
    pub(crate) blocks: Vec<Block>,
}

/// One setting.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) value: Value,
    pub(crate) position: Position,
}

impl Block {
    pub(crate) fn new(kind: &str, name: &str, position: Position) -> Self {
        let (kind, name) = (kind.to_owned(), name.to_owned());
        Self { kind, name, position, settings: BTreeMap::new(), blocks: Vec::new() }
    }

    /// Blocks of one kind within this one.
    pub(crate) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Block> {
        self.blocks.iter().filter(move |block| block.kind == kind)
    }

    /// The place of an earlier block that a block of this kind and name continues. Nameless ones are
    /// each their own, except those of which there is only one.
    fn continued_by(&self, kind: &str, name: &str) -> Option<usize> {
        let single = matches!(kind, "plugin" | "dict");
        if name.is_empty() && !single {
            return None;
        }
        self.blocks.iter().position(|block| block.kind == kind && block.name == name)
    }
}

/// Why a statement does not fit where it stands.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum PlaceError {
    #[error("'}}' without a block that it could end")]
    NothingOpen,
    #[error("more than {BLOCK_DEPTH_MAX} blocks within each other")]
    TooDeep,
    #[error("{kind} {name} exists already (at {earlier})")]
    Twice { kind: String, name: String, earlier: Position },
    #[error(transparent)]
    Value(#[from] ExpandError),
}

/// Values of names that are not set, for `$name`.
pub(crate) type Defaults = fn(&str) -> Option<&'static str>;

/// Makes a tree from statements.
pub(crate) struct Builder {
    root: Block,
    /// Blocks not yet ended, outermost first, with their places in the one around.
    open: Vec<(Block, Option<usize>)>,
    defaults: Defaults,
}

impl Builder {
    pub(crate) fn new(root: Position, defaults: Defaults) -> Self {
        Self { root: Block::new("", "", root), open: Vec::new(), defaults }
    }

    /// How many blocks are open.
    pub(crate) fn depth(&self) -> usize {
        self.open.len()
    }

    /// Where the innermost open block began.
    pub(crate) fn innermost(&self) -> Option<&Position> {
        self.open.last().map(|(block, _)| &block.position)
    }

    /// `key = value` in the innermost block. `file` tells how `<path` becomes absolute.
    pub(crate) fn set(
        &mut self,
        key: String,
        value: Raw,
        position: Position,
        file: impl Fn(&str) -> std::path::PathBuf,
    ) -> Result<(), PlaceError> {
        let value = match value {
            Raw::Literal(text) => Value::Text(text),
            Raw::Template(template) => expand(&template, &|name| self.value_of(name))?,
            Raw::File(path) => Value::File(file(&path)),
        };
        self.current().settings.insert(key, Setting { value, position });
        Ok(())
    }

    /// The value that a name has now: in the innermost block that sets it, else its default.
    fn value_of(&self, name: &str) -> Option<Value> {
        let blocks = self.open.iter().rev().map(|(block, _)| block).chain([&self.root]);
        let set =
            blocks.filter_map(|block| block.settings.get(name)).map(|setting| setting.value.clone()).next();
        set.or_else(|| (self.defaults)(name).map(|text| Value::Text(text.to_owned())))
    }

    fn current(&mut self) -> &mut Block {
        self.open.last_mut().map_or(&mut self.root, |(block, _)| block)
    }

    /// `kind name {`. On an error the block is open nevertheless, unless blocks are too deep.
    pub(crate) fn open(&mut self, kind: &str, name: &str, position: Position) -> Result<(), PlaceError> {
        if self.depth() == BLOCK_DEPTH_MAX {
            return Err(PlaceError::TooDeep);
        }
        let around = self.current();
        let place = around.continued_by(kind, name);
        let listed = matches!(kind, "passdb" | "userdb");
        let (block, place, twice) = match place {
            Some(place) if listed => {
                let earlier = around.blocks.get(place).map(|block| block.position.clone());
                (Block::new(kind, name, position), None, earlier)
            }
            Some(place) => (around.blocks.remove(place), Some(place), None),
            None => (Block::new(kind, name, position), None, None),
        };
        self.open.push((block, place));
        match twice {
            Some(earlier) => Err(PlaceError::Twice { kind: kind.into(), name: name.into(), earlier }),
            None => Ok(()),
        }
    }

    /// `}`.
    pub(crate) fn close(&mut self) -> Result<(), PlaceError> {
        let (block, place) = self.open.pop().ok_or(PlaceError::NothingOpen)?;
        let blocks = &mut self.current().blocks;
        blocks.insert(place.unwrap_or(blocks.len()).min(blocks.len()), block);
        Ok(())
    }

    /// The whole tree; blocks still open end here.
    pub(crate) fn finish(mut self) -> Block {
        while self.close().is_ok() {}
        self.root
    }
}
