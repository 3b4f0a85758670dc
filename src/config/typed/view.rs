//! Settings as one reader sees them: the general ones, perhaps with those of `protocol` blocks on top. Values
//! that cannot be read have been reported before; here they count as their defaults.

use std::{path::PathBuf, time::Duration};

use crate::config::{
    grammar::{Block, Position, Setting, Value, content},
    schema::{
        kind,
        known::{self, Known},
    },
};

/// Blocks to look into, the one that decides first, and the table that has the defaults.
#[derive(Clone)]
pub(crate) struct View<'a> {
    layers: Vec<&'a Block>,
    table: &'static [Known],
    /// For problems about what is not set.
    start: &'a Position,
}

impl<'a> View<'a> {
    /// The general settings.
    pub(crate) fn top(root: &'a Block) -> Self {
        Self { layers: vec![root], table: known::TOP, start: &root.position }
    }

    /// The general settings with those of `protocol NAME` and `protocol !OTHER` blocks; the last one decides.
    pub(crate) fn of_protocol(root: &'a Block, protocol: &str) -> Self {
        let applies = |block: &&Block| match block.name.strip_prefix('!') {
            Some(other) => other != protocol,
            None => block.name == protocol,
        };
        let mut view = Self::top(root);
        for block in root.of_kind("protocol").filter(applies) {
            view.layers.insert(0, block);
        }
        view
    }

    /// The settings of one block.
    pub(crate) fn of_block(block: &'a Block, table: &'static [Known]) -> Self {
        Self { layers: vec![block], table, start: &block.position }
    }

    /// The same, and what it does not set from the general settings.
    pub(crate) fn over(mut self, root: &'a Block) -> Self {
        self.layers.push(root);
        self
    }

    fn setting(&self, name: &str) -> Option<&'a Setting> {
        self.layers.iter().find_map(|block| block.settings.get(name))
    }

    /// True if it is set, to whatever.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.setting(name).is_some()
    }

    /// Where it is set, else where the configuration begins.
    pub(crate) fn position(&self, name: &str) -> &'a Position {
        self.setting(name).map_or(self.start, |setting| &setting.position)
    }

    fn default(&self, name: &str) -> &'static str {
        let known = known::find(self.table, name).map(|known| known.default);
        debug_assert!(known.is_some(), "{name} is not in the table");
        known.unwrap_or_default()
    }

    /// The text, of a file its content without the last line break.
    pub(crate) fn text(&self, name: &str) -> String {
        let text = match self.setting(name).map(|setting| &setting.value) {
            Some(Value::Text(text)) => Some(text.clone()),
            Some(Value::File(path)) => content::read(path).ok(),
            None => None,
        };
        let text = text.unwrap_or_else(|| self.default(name).to_owned());
        text.trim_end_matches(['\r', '\n']).to_owned()
    }

    /// The file behind `<`.
    pub(crate) fn file(&self, name: &str) -> Option<&'a PathBuf> {
        match &self.setting(name)?.value {
            Value::File(path) => Some(path),
            Value::Text(_) => None,
        }
    }

    /// What `read` makes of the text, else of the default.
    fn parsed<T>(&self, name: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        read(&self.text(name)).or_else(|| read(self.default(name)))
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.parsed(name, kind::flag).unwrap_or_default()
    }

    pub(crate) fn count(&self, name: &str) -> u32 {
        self.parsed(name, kind::count).unwrap_or_default()
    }

    pub(crate) fn time(&self, name: &str) -> Duration {
        self.parsed(name, kind::duration).unwrap_or_default()
    }

    pub(crate) fn networks(&self, name: &str) -> Vec<ipnet::IpNet> {
        kind::networks(&self.text(name)).unwrap_or_default()
    }
}
