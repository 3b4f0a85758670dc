//! The records of the file: one line each, fields separated by tabs. They are words and numbers that a person can read.
//! Which record may stand where is not known here.

use std::{borrow::Cow, fmt::Display, io::Write, net::IpAddr, str::FromStr, sync::Arc, time::Duration};

use homing_wire::tab;

use crate::director::core::{
    Cause, Change, Draining, ForeignUse, Host, Moment, Naming, Origin, SavedBackend, SavedDrain,
    SavedForeign, SavedMove, SavedUser, UserHash, UsernameFormat,
};

/// The first field of the first line.
const NAME: &str = "homing-director-state";

/// Version of the format. Raised whenever an older program would misunderstand a file.
pub(super) const VERSION: u32 = 1;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    /// Begins a file; the version.
    Header(u32),
    /// A new table of backends begins. Rules for names, and the time to expiry.
    Table(Naming, Duration),
    /// A backend as it was configured.
    Configured(Arc<Host>),
    /// A backend.
    Backend(SavedBackend),
    /// A drain of one.
    Drain(SavedDrain),
    /// A mapping, or the end of one.
    User(Change),
    /// Everything so far belongs together.
    Commit,
}

impl Record {
    /// The line without checksum and end.
    pub(super) fn to_body(&self) -> Vec<u8> {
        let mut out = Fields::default();
        match self {
            Self::Header(version) => out.word(NAME).word(version),
            Self::Table(naming, expire) => {
                let separator = naming.master_user_separator.map(String::from).unwrap_or_default();
                out.word("table").word(expire.as_millis()).bytes(naming.format.to_string().as_bytes());
                out.bytes(separator.as_bytes())
            }
            Self::Configured(host) => out.word("configured").host(host),
            Self::Backend(row) => {
                let place = if row.is_gone { "gone" } else { "here" };
                out.word("backend").word(row.number).word(place).host(&row.host);
                if let Some((when, origin)) = row.changed {
                    out.word(when.millis()).word(word_of(origin));
                }
                &mut out
            }
            Self::Drain(drain) => out.drain(drain),
            Self::User(Change::Is(user)) => out.user(user),
            Self::User(Change::Gone { tag, hash }) => out.word("forget").word(hash).bytes(tag),
            Self::Commit => out.word("commit"),
        };
        out.0
    }

    /// True for [`Record::Commit`], without reading the line any further.
    pub(super) fn is_commit(body: &[u8]) -> bool {
        body == b"commit"
    }

    /// `None` if the line is something else.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let mut fields = Reader(Some(body));
        let record = match fields.text()? {
            NAME => Self::Header(fields.number()?),
            "table" => {
                let expire = Duration::from_millis(fields.number()?);
                let format = UsernameFormat::parse(&fields.string()?).ok()?;
                let separator = fields.string()?;
                let mut separator = separator.chars();
                let naming = Naming { format, master_user_separator: separator.next() };
                separator.next().is_none().then_some(())?;
                Self::Table(naming, expire)
            }
            "configured" => Self::Configured(Arc::new(fields.host()?)),
            "backend" => Self::Backend(fields.backend()?),
            "drain" => Self::Drain(fields.drain()?),
            "user" => Self::User(Change::Is(fields.user()?)),
            "forget" => {
                let hash = UserHash::from_number(fields.number()?);
                Self::User(Change::Gone { hash, tag: fields.bytes()?.into_owned() })
            }
            "commit" => Self::Commit,
            _ => return None,
        };
        // A newer version may have more fields; a file that says it is of this one may not.
        (matches!(record, Self::Header(_)) || fields.0.is_none()).then_some(record)
    }
}

fn word_of(origin: Origin) -> &'static str {
    match origin {
        Origin::Configuration => "configuration",
        Origin::Operator => "operator",
        Origin::Health => "health",
        Origin::Restored => "restored",
    }
}

fn origin_of(word: &str) -> Option<Origin> {
    [Origin::Configuration, Origin::Operator, Origin::Health, Origin::Restored]
        .into_iter()
        .find(|origin| word_of(*origin) == word)
}

fn word_of_use(purpose: ForeignUse) -> &'static str {
    match purpose {
        ForeignUse::Session => "session",
        ForeignUse::Unreachable => "unreachable",
        ForeignUse::Lookup => "lookup",
    }
}

/// A use with its time; what has no `@` is something else.
fn foreign_of(word: &str) -> Option<SavedForeign> {
    let (word, placed) = word.split_once('@')?;
    let mut uses = [ForeignUse::Session, ForeignUse::Unreachable, ForeignUse::Lookup].into_iter();
    let purpose = uses.find(|purpose| word_of_use(*purpose) == word)?;
    Some(SavedForeign { purpose, placed: Moment::from_millis(number(placed)?) })
}

fn cause_of(word: &str) -> Option<Cause> {
    let Some((kind, origin)) = word.split_once('-') else {
        return (word == "hashed").then_some(Cause::Hashed);
    };
    let origin = origin_of(origin)?;
    match kind {
        "moved" => Some(Cause::Moved(origin)),
        "flushed" => Some(Cause::Flushed(origin)),
        "drained" => Some(Cause::Drained(origin)),
        "mapped" => Some(Cause::Mapped(origin)),
        _ => None,
    }
}

#[derive(Default)]
struct Fields(Vec<u8>);

impl Fields {
    fn bytes(&mut self, field: &[u8]) -> &mut Self {
        if !self.0.is_empty() {
            self.0.push(b'\t');
        }
        self.0.extend_from_slice(&tab::escape(field));
        self
    }

    /// Nothing in a word or a number has to be escaped.
    fn word(&mut self, word: impl Display) -> &mut Self {
        if !self.0.is_empty() {
            self.0.push(b'\t');
        }
        // Memory takes everything.
        let _ = write!(self.0, "{word}");
        self
    }

    fn optional(&mut self, value: Option<impl Display>) -> &mut Self {
        match value {
            Some(value) => self.word(value),
            None => self.word("-"),
        }
    }

    fn host(&mut self, host: &Host) -> &mut Self {
        self.word(host.ip).word(host.vhosts).word(if host.up { "up" } else { "down" }).bytes(&host.tag);
        self.bytes(host.hostname.as_deref().unwrap_or_default().as_bytes())
    }

    fn drain(&mut self, drain: &SavedDrain) -> &mut Self {
        let Draining { parallel, per_sec, grace } = drain.limits;
        self.word("drain").word(drain.ip).word(word_of(drain.origin)).word(drain.started.millis());
        self.optional(parallel).optional(per_sec).optional(grace.map(|grace| grace.as_millis()));
        self.optional(drain.vhosts_before).word(drain.users_at_start).word(drain.moved)
    }

    fn cause(&mut self, cause: Cause) -> &mut Self {
        match cause {
            Cause::Hashed => self.word("hashed"),
            Cause::Moved(origin) => self.word(format_args!("moved-{}", word_of(origin))),
            Cause::Flushed(origin) => self.word(format_args!("flushed-{}", word_of(origin))),
            Cause::Drained(origin) => self.word(format_args!("drained-{}", word_of(origin))),
            Cause::Mapped(origin) => self.word(format_args!("mapped-{}", word_of(origin))),
        }
    }

    fn user(&mut self, user: &SavedUser) -> &mut Self {
        self.word("user").word(user.hash).bytes(&user.tag).word(user.backend);
        self.optional(user.seen.map(Moment::millis)).word(user.mapped_secs).cause(user.cause);
        if let Some(moving) = user.moving {
            self.word(moving.from).optional(moving.to).cause(moving.cause);
            self.optional(moving.until.map(Moment::millis));
        }
        for SavedForeign { purpose, placed } in &user.foreign {
            self.word(format_args!("{}@{}", word_of_use(*purpose), placed.millis()));
        }
        self
    }
}

/// Fields of a line, one after the other; a million of them are read at a start.
struct Reader<'a>(Option<&'a [u8]>);

impl<'a> Reader<'a> {
    fn field(&mut self) -> Option<&'a [u8]> {
        let rest = self.0?;
        let end = rest.iter().position(|byte| *byte == b'\t');
        self.0 = end.and_then(|end| rest.get(end + 1..));
        rest.get(..end.unwrap_or(rest.len()))
    }

    fn bytes(&mut self) -> Option<Cow<'a, [u8]>> {
        self.field().map(tab::unescape)
    }

    fn string(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.into_owned()).ok()
    }

    /// A word or a number, in which nothing has to be escaped.
    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.field()?).ok()
    }

    fn number<T: FromStr>(&mut self) -> Option<T> {
        number(self.text()?)
    }

    fn optional_number<T: FromStr>(&mut self) -> Option<Option<T>> {
        optional(self.text()?, number)
    }

    fn moment(&mut self) -> Option<Option<Moment>> {
        Some(self.optional_number()?.map(Moment::from_millis))
    }

    fn ip(&mut self) -> Option<IpAddr> {
        self.text()?.parse().ok()
    }

    fn host(&mut self) -> Option<Host> {
        let (ip, vhosts) = (self.ip()?, self.number()?);
        let up = match self.text()? {
            "up" => true,
            "down" => false,
            _ => return None,
        };
        let tag = self.bytes()?.into_owned();
        let hostname = Some(self.string()?).filter(|name| !name.is_empty());
        Some(Host { vhosts, up, ..Host::new(ip, hostname, tag) })
    }

    fn backend(&mut self) -> Option<SavedBackend> {
        let name = self.number()?;
        let is_gone = match self.text()? {
            "gone" => true,
            "here" => false,
            _ => return None,
        };
        let host = Arc::new(self.host()?);
        let changed = match self.text() {
            Some(when) => Some((Moment::from_millis(number(when)?), origin_of(self.text()?)?)),
            None => None,
        };
        Some(SavedBackend { number: name, host, changed, is_gone })
    }

    fn drain(&mut self) -> Option<SavedDrain> {
        Some(SavedDrain {
            ip: self.ip()?,
            origin: origin_of(self.text()?)?,
            started: Moment::from_millis(self.number()?),
            limits: Draining {
                parallel: self.optional_number()?,
                per_sec: self.optional_number()?,
                grace: self.optional_number()?.map(Duration::from_millis),
            },
            vhosts_before: self.optional_number()?,
            users_at_start: self.number()?,
            moved: self.number()?,
        })
    }

    fn user(&mut self) -> Option<SavedUser> {
        let mut user = SavedUser {
            hash: UserHash::from_number(self.number()?),
            tag: self.bytes()?.into_owned(),
            backend: self.number()?,
            seen: self.moment()?,
            mapped_secs: self.number()?,
            cause: cause_of(self.text()?)?,
            moving: None,
            foreign: Vec::new(),
        };
        let mut rest = self.text();
        if let Some(from) = rest.filter(|word| !word.contains('@')) {
            user.moving = Some(self.moving(from)?);
            rest = self.text();
        }
        while let Some(word) = rest {
            let foreign = foreign_of(word)?;
            // Each use once, in their order.
            user.foreign.last().is_none_or(|last| last.purpose < foreign.purpose).then_some(())?;
            user.foreign.push(foreign);
            rest = self.text();
        }
        Some(user)
    }

    fn moving(&mut self, from: &str) -> Option<SavedMove> {
        Some(SavedMove {
            from: from.parse().ok()?,
            to: optional(self.text()?, |text| text.parse().ok())?,
            cause: cause_of(self.text()?)?,
            until: self.moment()?,
        })
    }
}

/// A decimal number without sign.
fn number<T: FromStr>(text: &str) -> Option<T> {
    Some(text).filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
}

fn optional<T>(text: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    if text == "-" { Some(None) } else { read(text).map(Some) }
}
