//! The ID command (RFC 2971, spec/login-proxy.md 4.7), taken argument by argument, since the whole of it may be longer than
//! what is held. `trusted` is what trusted proxies say with it, `reply` our own answer.

mod reply;
mod trusted;

use homing_login::{
    Note,
    limits::{ID_KEY_BYTES_MAX, ID_PAIRS_MAX, RETAINED_ID_BYTES_MAX},
};
use homing_wire::Secret;

use super::{ImapFrontend, Line, scanner::Arg, text};

/// A value in the log, in bytes; longer ones are cut with `...`, as in the reference.
const LOG_VALUE_BYTES_MAX: usize = 80;

/// An ID command that is being read.
pub(super) struct IdCommand {
    /// Open lists.
    depth: usize,
    /// Waits for its value.
    key: Option<Vec<u8>>,
    /// Pairs logged or retained, at most [`ID_PAIRS_MAX`]; more are read but not kept.
    pairs: usize,
    /// `key=value, key2=NIL`.
    log: String,
}

/// What an argument does to the command.
enum Progress {
    More,
    Pair(Vec<u8>, Option<Secret>),
    Done,
    Invalid,
}

impl IdCommand {
    /// `NIL` or a list of strings in pairs. An odd number of them is tolerated, a nested list is found out when it
    /// ends, as in the reference.
    fn take(&mut self, arg: Arg) -> Progress {
        match (self.depth, arg) {
            (0, Arg::Atom(word)) if is_nil(&word) => Progress::Done,
            (1, Arg::Close) => Progress::Done,
            (_, Arg::Open) => {
                self.depth += 1;
                Progress::More
            }
            (2, Arg::Close) | (0, _) => Progress::Invalid,
            (1, string) => self.take_string(string),
            (_, Arg::Close) => {
                self.depth -= 1;
                Progress::More
            }
            _ => Progress::More,
        }
    }

    fn take_string(&mut self, arg: Arg) -> Progress {
        match (self.key.take(), arg) {
            (None, Arg::Text(key)) if key.len() <= ID_KEY_BYTES_MAX => {
                self.key = Some(key.expose().to_vec());
                Progress::More
            }
            (Some(key), Arg::Text(value)) => Progress::Pair(key, Some(value)),
            (Some(key), Arg::Atom(word)) if is_nil(&word) => Progress::Pair(key, None),
            _ => Progress::Invalid,
        }
    }

    fn append_log(&mut self, key: &[u8], value: Option<&[u8]>) {
        if !self.log.is_empty() {
            self.log.push_str(", ");
        }
        self.log.push_str(&String::from_utf8_lossy(key));
        self.log.push('=');
        match value {
            None => self.log.push_str("NIL"),
            Some(value) => self.log.push_str(&shortened(value)),
        }
    }
}

impl ImapFrontend {
    /// What earlier ID commands had retained is forgotten.
    pub(super) fn begin_id(&mut self) -> IdCommand {
        self.talk.client.retained_id.clear();
        IdCommand { depth: 0, key: None, pairs: 0, log: String::new() }
    }

    pub(super) fn take_id_argument(&mut self, arg: Arg) {
        let Line::Id(id) = &mut self.line else { return };
        match id.take(arg) {
            Progress::More => {}
            Progress::Pair(key, value) => self.take_id_pair(&key, value.as_ref().map(Secret::expose)),
            Progress::Invalid => self.answer_line(|this| this.answer("BAD Invalid ID parameters")),
            Progress::Done => {
                if let Line::Id(id) = std::mem::replace(&mut self.line, Line::Answered) {
                    self.answer_line(|this| this.finish_id(id));
                }
            }
        }
    }

    /// Pairs have their effect at once, even if the command turns out to be invalid, as in the reference.
    fn take_id_pair(&mut self, key: &[u8], value: Option<&[u8]>) {
        let first = !self.identified;
        if let Some(value) = value.filter(|_| first && self.talk.client.trusted) {
            trusted::take(&mut self.talk.client, key, value);
        }
        let Line::Id(id) = &mut self.line else { return };
        let logged = first && is_logged(&self.config.id_log, key);
        let retained = self.config.id_retain && !trusted::is_reserved(key);
        if !(logged || retained) || id.pairs == ID_PAIRS_MAX {
            return;
        }
        id.pairs += 1;
        if logged {
            id.append_log(key, value);
        }
        if retained {
            retain(&mut self.talk.client.retained_id, key, value);
        }
    }

    pub(super) fn finish_id(&mut self, id: IdCommand) {
        if !std::mem::replace(&mut self.identified, true) && !id.log.is_empty() {
            self.talk.note(Note::ClientId(id.log));
        }
        let line = format!("* ID {}", reply::id_reply(&self.config.id_send));
        self.say(&line);
        self.answer("OK ID completed.");
    }
}

/// Adds a pair if it fits.
fn retain(retained: &mut String, key: &[u8], value: Option<&[u8]>) {
    let pair = format!("{} {}", text::quoted(key), text::nstring(value));
    let gap = if retained.is_empty() { "" } else { " " };
    if retained.len() + gap.len() + pair.len() <= RETAINED_ID_BYTES_MAX {
        retained.push_str(gap);
        retained.push_str(&pair);
    }
}

/// `imap_id_log`: `*`, or keys separated by spaces, compared without case.
fn is_logged(setting: &str, key: &[u8]) -> bool {
    setting.trim() == "*" || setting.split_whitespace().any(|k| k.as_bytes().eq_ignore_ascii_case(key))
}

fn is_nil(word: &Secret) -> bool {
    word.expose().eq_ignore_ascii_case(b"NIL")
}

fn shortened(value: &[u8]) -> String {
    match value.get(..LOG_VALUE_BYTES_MAX - 3) {
        Some(head) if value.len() > LOG_VALUE_BYTES_MAX => format!("{}...", String::from_utf8_lossy(head)),
        _ => String::from_utf8_lossy(value).into_owned(),
    }
}
