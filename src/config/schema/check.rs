//! Walks the tree and reports unknown names, values that cannot be read, and settings that do nothing here.
//! Every occurrence is checked, also those that a later line replaces for some protocol.

use super::{
    kind::{Kind, Verdict},
    known::{self, Known},
    nearest::nearest,
    purpose::{Purpose, purpose},
    unused,
};
use crate::config::{
    grammar::{Block, Position, Setting, Value, content},
    report::Report,
};

/// Blocks that limit their settings to some connections, in the only order in which they may be nested.
const FILTERS: &[&str] = &["local", "local_name", "remote", "protocol"];
const TOP_BLOCKS: &[&str] = &[
    "local",
    "remote",
    "local_name",
    "protocol",
    "service",
    "passdb",
    "userdb",
    "namespace",
    "plugin",
    "dict",
    "metric",
    "event_exporter",
];
const LISTENERS: &[&str] = &["inet_listener", "unix_listener", "fifo_listener"];

/// Checks the whole configuration.
pub(crate) fn check(root: &Block, report: &mut Report) {
    let mut walk = Walk { report };
    for (name, setting) in &root.settings {
        walk.setting(name, setting, "top", known::TOP);
    }
    for block in &root.blocks {
        walk.block(block, root);
    }
}

struct Walk<'r> {
    report: &'r mut Report,
}

impl Walk<'_> {
    fn block(&mut self, block: &Block, around: &Block) {
        if !self.is_allowed(block, around) {
            return;
        }
        match block.kind.as_str() {
            "protocol" => self.protocol(block),
            "local_name" => self.local_name(block),
            "local" | "remote" => {
                let text = "settings by address are not supported: this block is not applied";
                self.report.warning(&block.position, format!("{}: {text}", title(block)));
                self.names_only(block);
            }
            "service" if known::LOGIN_SERVICES.contains(&block.name.as_str()) => self.login_service(block),
            "service" if known::ADMIN_SERVICES.contains(&block.name.as_str()) => self.admin_service(block),
            "passdb" => {
                for (name, setting) in &block.settings {
                    self.setting(name, setting, "passdb", known::PASSDB);
                }
                self.inner_names(block);
            }
            _ => {
                self.not_needed(block);
                self.names_only(block);
            }
        }
    }

    /// A service may have any name; one that is nearly a login service's was meant to be it.
    fn not_needed(&mut self, block: &Block) {
        let services = known::LOGIN_SERVICES.iter().copied();
        match nearest(&block.name, services).filter(|_| block.kind == "service") {
            Some(name) => {
                let text = format!("{}: not used, did you mean {name}?", title(block));
                self.report.warning(&block.position, text);
            }
            None => self.report.ignored(&block.position, format!("{}: not needed", title(block))),
        }
    }

    fn protocol(&mut self, block: &Block) {
        if block.name.trim_start_matches('!') == "managesieve" {
            self.report.warning(&block.position, format!("{}: the protocol's name is sieve", title(block)));
        }
        if !known::is_served(&block.name) {
            self.report.ignored(&block.position, format!("{}: not served", title(block)));
            self.names_only(block);
            return;
        }
        for (name, setting) in &block.settings {
            self.setting(name, setting, "top", known::TOP);
            if known::find(known::TOP, name).is_some_and(|known| !known.by_protocol) {
                let text =
                    format!("{name} has one value for all protocols: the one in this block is not used");
                self.report.warning(&setting.position, text);
            }
        }
        for inner in &block.blocks {
            match inner.kind.as_str() {
                // The one who chooses the authentication speaks about these.
                "passdb" => self.names_only(inner),
                "service" => {
                    let text = format!("{}: a service has the same settings for all protocols", title(inner));
                    self.report.warning(&inner.position, text);
                    self.names_only(inner);
                }
                _ => self.block(inner, block),
            }
        }
    }

    /// Only the certificate can differ by name: the name is known after the greeting's settings are chosen.
    fn local_name(&mut self, block: &Block) {
        for (name, setting) in &block.settings {
            self.setting(name, setting, "top", known::TOP);
            if known::find(known::TOP, name).is_some() && !matches!(name.as_str(), "ssl_cert" | "ssl_key") {
                let text =
                    format!("only ssl_cert and ssl_key can differ by local_name: this {name} is not used");
                self.report.warning(&setting.position, text);
            }
        }
        for inner in &block.blocks {
            if self.is_allowed(inner, block) {
                let text = format!("{}: not applied within local_name", title(inner));
                self.report.warning(&inner.position, text);
                self.names_only(inner);
            }
        }
    }

    fn login_service(&mut self, block: &Block) {
        for (name, setting) in &block.settings {
            self.setting(name, setting, "service", known::LOGIN_SERVICE);
        }
        for inner in &block.blocks {
            if inner.kind == "inet_listener" {
                for (name, setting) in &inner.settings {
                    self.setting(name, setting, "inet_listener", known::INET_LISTENER);
                }
                self.inner_names(inner);
            } else if self.is_allowed(inner, block) {
                self.report.ignored(&inner.position, format!("{}: not needed", title(inner)));
                self.names_only(inner);
            }
        }
    }

    /// Of the director's services only some listeners count.
    fn admin_service(&mut self, block: &Block) {
        self.names_only(block);
        self.values(block, known::LOGIN_SERVICE);
        for inner in &block.blocks {
            let table = match inner.kind.as_str() {
                "unix_listener" | "fifo_listener" => known::SOCKET_LISTENER,
                "inet_listener" => known::INET_LISTENER,
                _ => &[],
            };
            match purpose(&block.name, inner) {
                Purpose::Admin | Purpose::Ipc | Purpose::Question | Purpose::LoginProcess => {
                    self.values(inner, table);
                }
                Purpose::Ring => {
                    let text = format!("{}: nothing listens there, this version has no ring", title(inner));
                    self.report.warning(&inner.position, text);
                }
                Purpose::Other => {
                    self.report.ignored(&inner.position, format!("{}: not served", title(inner)));
                }
            }
        }
    }

    /// The values of a block whose names have been looked at.
    fn values(&mut self, block: &Block, table: &'static [Known]) {
        for (name, setting) in &block.settings {
            if let Some(known) = known::find(table, name) {
                self.value(known, setting);
            }
        }
    }

    fn setting(&mut self, name: &str, setting: &Setting, place: &'static str, table: &'static [Known]) {
        if let Some(known) = known::find(table, name) {
            self.value(known, setting);
        } else if let Some(unused) = unused::find(place, name) {
            let note = if unused.note.is_empty() { "not needed" } else { unused.note };
            let text = format!("{name}: {note}");
            match unused.warns {
                true => self.report.warning(&setting.position, text),
                false => self.report.ignored(&setting.position, text),
            }
        } else {
            self.unknown(name, &setting.position, place, table);
        }
    }

    fn value(&mut self, known: &Known, setting: &Setting) {
        let verdict = match &setting.value {
            Value::Text(text) => known.kind.check(text),
            // Whoever uses the certificate opens it.
            Value::File(_) if known.kind == Kind::Pem => Verdict::Fine,
            Value::File(path) => match content::read(path) {
                Ok(text) => known.kind.check(text.trim_end_matches(['\r', '\n'])),
                Err(error) => Verdict::Wrong(error),
            },
        };
        match verdict {
            Verdict::Fine => {}
            Verdict::Doubtful(text) => {
                self.report.warning(&setting.position, format!("{}: {text}", known.name))
            }
            Verdict::Wrong(text) => self.report.error(&setting.position, format!("{}: {text}", known.name)),
        }
    }

    /// In a block that does nothing here only unknown names are told.
    fn names_only(&mut self, block: &Block) {
        let place = place_of(&block.kind);
        let table = table_of(place);
        if matches!(place, "plugin" | "dict") {
            // Plugins have whatever names they like.
            return;
        }
        for (name, setting) in &block.settings {
            if known::find(table, name).is_none() && unused::find(place, name).is_none() {
                self.unknown(name, &setting.position, place, table);
            }
        }
        self.inner_names(block);
    }

    fn inner_names(&mut self, block: &Block) {
        for inner in &block.blocks {
            if self.is_allowed(inner, block) {
                self.names_only(inner);
            }
        }
    }

    fn unknown(&mut self, name: &str, position: &Position, place: &'static str, table: &'static [Known]) {
        let place_name = if place == "top" { String::new() } else { format!(" in {place}") };
        let names = table.iter().map(|known| known.name).chain(unused::names(place));
        let guess = nearest(name, names).map(|name| format!(", did you mean {name}?")).unwrap_or_default();
        self.report.error(position, format!("unknown setting {name}{place_name}{guess}"));
    }

    /// Reports a block that has no place here, or none within the one around it.
    fn is_allowed(&mut self, block: &Block, around: &Block) -> bool {
        let kind = block.kind.as_str();
        let (inner, outer) = (rank(kind), rank(&around.kind));
        if let (Some(inner), Some(outer)) = (inner, outer)
            && (inner < outer || kind == "protocol" && around.kind == "protocol")
        {
            let around = &around.kind;
            let text = if inner < outer {
                format!("{around} {{ {kind} {{ }} }} is not allowed, use {kind} {{ {around} {{ }} }} instead")
            } else {
                "a protocol block cannot be within another".to_owned()
            };
            self.report.error(&block.position, text);
            return false;
        }
        let kinds = blocks_in(place_of(&around.kind));
        if kinds.contains(&kind) {
            return true;
        }
        let place_name = if around.kind.is_empty() { String::new() } else { format!(" in {}", around.kind) };
        let guess =
            nearest(kind, kinds.iter().copied()).map(|k| format!(", did you mean {k}?")).unwrap_or_default();
        self.report.error(&block.position, format!("unknown block {kind}{place_name}{guess}"));
        false
    }
}

fn rank(kind: &str) -> Option<usize> {
    FILTERS.iter().position(|filter| *filter == kind)
}

/// The column of the table of unused settings that is about a kind of block.
fn place_of(kind: &str) -> &'static str {
    const PLACES: &[&str] = &[
        "service",
        "inet_listener",
        "unix_listener",
        "fifo_listener",
        "passdb",
        "userdb",
        "namespace",
        "mailbox",
        "plugin",
        "dict",
        "metric",
        "event_exporter",
    ];
    PLACES.iter().copied().find(|place| *place == kind).unwrap_or("top")
}

fn table_of(place: &str) -> &'static [Known] {
    match place {
        "top" => known::TOP,
        "service" => known::LOGIN_SERVICE,
        "inet_listener" => known::INET_LISTENER,
        "unix_listener" | "fifo_listener" => known::SOCKET_LISTENER,
        "passdb" => known::PASSDB,
        _ => &[],
    }
}

fn blocks_in(place: &str) -> &'static [&'static str] {
    match place {
        "top" => TOP_BLOCKS,
        "service" => LISTENERS,
        "namespace" => &["mailbox"],
        _ => &[],
    }
}

/// `service imap-login`, `passdb`.
fn title(block: &Block) -> String {
    if block.name.is_empty() { block.kind.clone() } else { format!("{} {}", block.kind, block.name) }
}
