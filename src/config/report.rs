//! Problems of a configuration, in words for an administrator, each with its file and line.

use std::fmt;

use super::grammar::Position;

/// Most problems kept; more of them help nobody.
const PROBLEMS_MAX: usize = 500;

/// Everything there is to say about a configuration.
#[derive(Debug, Clone, Default)]
pub struct Report {
    problems: Vec<Problem>,
    left_out: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Problem {
    level: Level,
    position: Position,
    text: String,
}

/// In the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    /// The configuration cannot be used.
    Error,
    /// It can, but perhaps not as meant.
    Warning,
    /// A setting of Dovecot that does nothing here.
    Ignored,
}

impl Report {
    /// True if the configuration cannot be used.
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.level == Level::Error)
    }

    /// `FILE:LINE: text`, one line each.
    pub fn errors(&self) -> impl Iterator<Item = String> {
        self.of_level(Level::Error)
    }

    /// The warnings for a log, which has its own word for them: `FILE:LINE: text`, one line each.
    pub fn warnings_to_log(&self) -> impl Iterator<Item = String> {
        let warnings = self.problems.iter().filter(|problem| problem.level == Level::Warning);
        warnings.map(|problem| format!("{}: {}", problem.position, problem.text))
    }

    /// `FILE:LINE: warning: text`, one line each.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.of_level(Level::Warning)
    }

    /// `FILE:LINE: ignored: text`, one line each. A packaged configuration has dozens of them, so they are only worth
    /// telling whoever asks.
    pub fn ignored_settings(&self) -> impl Iterator<Item = String> {
        self.of_level(Level::Ignored)
    }

    fn of_level(&self, level: Level) -> impl Iterator<Item = String> {
        self.problems.iter().filter(move |problem| problem.level == level).map(ToString::to_string)
    }

    /// What everything amounts to, in one line: `ok, 1 warning, 20 ignored`.
    pub fn summary(&self) -> String {
        let count = |level| self.problems.iter().filter(|problem| problem.level == level).count();
        let (errors, warnings) = (count(Level::Error), count(Level::Warning));
        let plural = |n: usize, word| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        let mut parts = vec![if errors == 0 { "ok".to_owned() } else { plural(errors, "error") }];
        if warnings > 0 {
            parts.push(plural(warnings, "warning"));
        }
        match count(Level::Ignored) {
            0 => {}
            ignored => parts.push(format!("{ignored} ignored")),
        }
        parts.join(", ")
    }

    pub(super) fn error(&mut self, position: &Position, text: impl fmt::Display) {
        self.add(Level::Error, position, &text);
    }

    pub(super) fn warning(&mut self, position: &Position, text: impl fmt::Display) {
        self.add(Level::Warning, position, &text);
    }

    pub(super) fn ignored(&mut self, position: &Position, text: impl fmt::Display) {
        self.add(Level::Ignored, position, &text);
    }

    fn add(&mut self, level: Level, position: &Position, text: &dyn fmt::Display) {
        let problem = Problem { level, position: position.clone(), text: one_line(&text.to_string()) };
        match self.problems.binary_search(&problem) {
            Ok(_) => {}
            // An error always finds room: without it the configuration would pass.
            Err(place) if self.problems.len() < PROBLEMS_MAX || level == Level::Error => {
                self.problems.insert(place, problem);
                self.left_out += self.problems.len().saturating_sub(PROBLEMS_MAX);
                self.problems.truncate(PROBLEMS_MAX);
            }
            Err(_) => self.left_out += 1,
        }
    }
}

/// Values may hold anything; a problem stays on its line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Error => "",
            Level::Warning => "warning: ",
            Level::Ignored => "ignored: ",
        };
        write!(f, "{}: {level}{}", self.position, self.text)
    }
}

/// Errors first, then warnings, then what is ignored; each line ends in a newline.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{problem}")?;
        }
        match self.left_out {
            0 => Ok(()),
            more => writeln!(f, "and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(order: usize, file: &str, line: usize) -> Position {
        Position::new(order, file.into(), line)
    }

    #[test]
    fn errors_come_first_then_the_order_of_reading() {
        let mut report = Report::default();
        assert_eq!(report.to_string(), "");
        report.ignored(&at(0, "b", 1), "i");
        report.warning(&at(1, "a", 1), "w2");
        report.warning(&at(0, "b", 9), "w1");
        assert!(!report.has_errors());
        report.error(&at(1, "a", 7), "e\n");
        report.error(&at(1, "a", 7), "e\n");
        assert!(report.has_errors());
        assert_eq!(report.to_string(), "a:7: e \nb:9: warning: w1\na:1: warning: w2\nb:1: ignored: i\n");
        assert_eq!(report.warnings().collect::<Vec<_>>(), ["b:9: warning: w1", "a:1: warning: w2"]);
        assert_eq!(report.warnings_to_log().collect::<Vec<_>>(), ["b:9: w1", "a:1: w2"]);
        assert_eq!(report.errors().collect::<Vec<_>>(), ["a:7: e "]);
        assert_eq!(report.ignored_settings().collect::<Vec<_>>(), ["b:1: ignored: i"]);
    }

    #[test]
    fn the_summary_counts() {
        let mut report = Report::default();
        assert_eq!(report.summary(), "ok");
        report.ignored(&at(0, "a", 1), "i");
        report.warning(&at(0, "a", 1), "w");
        assert_eq!(report.summary(), "ok, 1 warning, 1 ignored");
        report.error(&at(0, "a", 1), "e");
        report.error(&at(0, "a", 2), "e");
        assert_eq!(report.summary(), "2 errors, 1 warning, 1 ignored");
    }

    #[test]
    fn the_number_of_problems_is_bounded_but_an_error_is_never_lost() {
        let mut report = Report::default();
        for line in 0..PROBLEMS_MAX + 3 {
            report.warning(&at(0, "f", line), "w");
        }
        report.error(&at(0, "f", 99_999), "e");
        assert!(report.has_errors());
        assert_eq!(report.problems.len(), PROBLEMS_MAX);
        assert!(report.to_string().ends_with("\nand 4 more\n"));
    }
}
