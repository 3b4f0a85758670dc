//! What a drain looks like: a bar with the time left on a terminal, else lines, or an object on each line.

use std::io::IsTerminal;

use homing_doveadm::own::{DrainRow, DrainState};
use homing_wire::printable;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::cli::{
    complain,
    show::{Form, Shown, count, span},
};

/// Where progress is shown.
pub(super) struct Screen {
    form: Form,
    /// On a terminal; on standard error, so that standard output has nothing but results.
    bar: Option<ProgressBar>,
    /// What was printed last.
    last: Option<DrainRow>,
}

impl Screen {
    pub(super) fn new(form: Form, first: &DrainRow) -> Self {
        let draws = form == Form::Text && std::io::stderr().is_terminal();
        Self { form, bar: draws.then(|| bar(first)), last: None }
    }

    /// Shows the state, unless nothing has changed.
    pub(super) fn show(&mut self, row: &DrainRow) {
        let changes = self.last.as_ref().is_none_or(|last| without_times(last) != without_times(row));
        match &self.bar {
            Some(bar) => {
                bar.set_length(row.users.max(row.moved.saturating_add(row.left)));
                bar.set_position(row.moved);
                bar.set_message(details(row));
            }
            None if changes => print(self.form, row),
            None => {}
        }
        self.last = Some(row.clone());
    }

    /// Says something beside the progress.
    pub(super) fn remark(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(format!("homing: {text}")),
            None => complain(text),
        }
    }

    /// The last word, which a bar would hide.
    pub(super) fn end(&mut self, row: &DrainRow) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
            print(self.form, row);
        }
    }
}

/// The bar stays where it is if the program is interrupted.
fn bar(first: &DrainRow) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(first.users.max(1)), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len} users {msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.with_prefix(first.host.to_string())
}

/// What only counts down makes no new line.
fn without_times(row: &DrainRow) -> DrainRow {
    let note = row.note.chars().filter(|sign| !sign.is_ascii_digit()).collect();
    DrainRow { eta_msecs: None, note, ..row.clone() }
}

/// Prints one state.
pub(super) fn print(form: Form, row: &DrainRow) {
    form.print(row);
}

fn details(row: &DrainRow) -> String {
    let mut words = Vec::new();
    if row.left > 0 || row.sessions > 0 {
        words.push(format!("{} left with {}", row.left, count(row.sessions, "session")));
    }
    if row.moving > 0 {
        words.push(format!("{} moving", row.moving));
    }
    if row.stuck > 0 {
        words.push(format!("{} stuck", row.stuck));
    }
    // Only while users move: busy sessions take what time they like, of which the note tells.
    if let Some(eta) = row.eta_msecs.filter(|_| row.left > 0 && row.state == DrainState::Moving) {
        words.push(format!("about {} to go", span(eta.div_ceil(1000))));
    }
    if !row.note.is_empty() {
        words.push(printable(row.note.as_bytes()));
    }
    words.join(", ")
}

impl Shown for DrainRow {
    fn text(&self) -> String {
        let state = match (self.state, self.safe) {
            (DrainState::Ended, false) => "the drain has ended",
            (_, true) => "safe to power off",
            (DrainState::Moving, _) => "users move away",
            (DrainState::Waiting, _) => "busy sessions are waited for",
            (DrainState::Blocked, _) => "no other backend is usable",
            (DrainState::Safe, false) => "nearly empty",
        };
        let details = details(self);
        let details = if details.is_empty() { details } else { format!("; {details}") };
        format!("{}: {state}; {} moved{details}\n", self.host, count(self.moved, "user"))
    }

    fn json(&self) -> Value {
        json!({
            "host": self.host.to_string(), "state": self.state.word(), "safe": self.safe, "users": self.users,
            "moved": self.moved, "left": self.left, "sessions": self.sessions, "moving": self.moving,
            "stuck": self.stuck, "since": self.since, "eta_msecs": self.eta_msecs,
            "vhosts_before": self.vhosts_before, "parallel": self.pace.parallel, "per_sec": self.pace.per_sec,
            "grace_msecs": self.pace.grace_msecs, "note": self.note,
        })
    }
}

#[cfg(test)]
mod tests {
    use homing_doveadm::own::DrainPace;

    use super::*;

    fn row(state: DrainState, safe: bool, left: u64) -> DrainRow {
        DrainRow {
            host: "10.0.0.1".parse().unwrap(),
            state,
            safe,
            users: 10,
            moved: 10 - left,
            left,
            sessions: left,
            moving: left / 2,
            stuck: 0,
            since: 5,
            eta_msecs: Some(61_000),
            vhosts_before: Some(100),
            pace: DrainPace::default(),
            note: String::new(),
        }
    }

    #[test]
    fn w41_what_people_and_programs_read() {
        assert_eq!(
            row(DrainState::Moving, false, 4).text(),
            "10.0.0.1: users move away; 6 users moved; 4 left with 4 sessions, 2 moving, about 1m 1s to go\n"
        );
        assert_eq!(row(DrainState::Safe, true, 0).text(), "10.0.0.1: safe to power off; 10 users moved\n");
        assert!(
            row(DrainState::Ended, false, 1)
                .text()
                .starts_with("10.0.0.1: the drain has ended; 9 users moved; 1 left")
        );
        let waiting =
            DrainRow { note: "busy sessions have 9 s".to_owned(), ..row(DrainState::Waiting, false, 1) };
        assert_eq!(
            waiting.text(),
            "10.0.0.1: busy sessions are waited for; 9 users moved; 1 left with 1 session, busy sessions have 9 s\n"
        );
        let later = DrainRow { note: "busy sessions have 8 s".to_owned(), ..waiting.clone() };
        assert_eq!(without_times(&later), without_times(&waiting));
        assert_ne!(without_times(&row(DrainState::Waiting, false, 1)), without_times(&waiting));
        let json = row(DrainState::Waiting, false, 1).json();
        assert_eq!(
            (&json["state"], &json["safe"], &json["parallel"]),
            (&json!("waiting"), &json!(false), &Value::Null)
        );
    }
}
