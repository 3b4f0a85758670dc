//! Reads a configuration file and those it includes, and makes one tree of them. Problems of form are
//! reported here; reading goes on behind each, so that one run shows them all.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    block::{Block, Builder, Defaults, PlaceError},
    content, glob,
    limits::{FILES_MAX, INCLUDE_DEPTH_MAX, STATEMENTS_MAX},
    line::{LogicalLine, LogicalLines, Oddity},
    position::Position,
    statement::Statement,
};
use crate::config::report::Report;

/// Reads `path` and everything it includes.
pub(crate) fn read(path: &Path, defaults: Defaults, report: &mut Report) -> Block {
    let start = Position::new(0, path.to_string_lossy().into(), 1);
    let builder = Builder::new(start.clone(), defaults);
    let mut reader = Reader { builder, report, files: 0, statements: 0, chain: Vec::new(), too_many: false };
    match content::read(path) {
        Ok(text) => reader.file(path, &text),
        Err(error) => reader.report.error(&start, error),
    }
    reader.builder.finish()
}

struct Reader<'r> {
    builder: Builder,
    report: &'r mut Report,
    /// How many files have been read.
    files: usize,
    statements: usize,
    /// The files that include each other, down to the current one.
    chain: Vec<PathBuf>,
    /// A limit was passed and reported; nothing more is read.
    too_many: bool,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, text: &str) {
        let start = Position::new(self.files, path.to_string_lossy().into(), 1);
        self.files += 1;
        self.chain.push(canonical(path));
        let depth = self.builder.depth();
        let folder: Arc<Path> = path.parent().unwrap_or(Path::new("")).into();
        for line in LogicalLines::new(text) {
            let position = start.at(line.number);
            if self.is_full(&position) {
                break;
            }
            self.line(line, &position, &folder, depth);
        }
        self.end_blocks(depth);
        self.chain.pop();
    }

    /// Every block ends in the file where it began.
    fn end_blocks(&mut self, depth: usize) {
        while self.builder.depth() > depth {
            if let Some(begun) = self.builder.innermost().cloned().filter(|_| !self.too_many) {
                self.report.error(&begun, "this block has no '}'");
            }
            if self.builder.close().is_err() {
                break;
            }
        }
    }

    fn is_full(&mut self, position: &Position) -> bool {
        self.statements += 1;
        if self.statements > STATEMENTS_MAX && !self.too_many {
            self.too_many = true;
            self.report
                .error(position, format!("more than {STATEMENTS_MAX} statements; the rest is not read"));
        }
        self.too_many
    }

    fn line(&mut self, line: LogicalLine, position: &Position, folder: &Arc<Path>, depth: usize) {
        match line.oddity {
            Some(Oddity::GluedComment) => self.report.warning(
                position,
                "'#' directly behind a word starts a comment; put a space before it, or quotes around the value",
            ),
            Some(Oddity::Dangling) => {
                self.report.warning(
                    position,
                    "the line ends in a backslash but nothing follows; the setting is dropped, as Dovecot does",
                );
                return;
            }
            None => {}
        }
        if line.text.contains('\u{fffd}') {
            self.report.warning(position, "bytes that are not UTF-8 were replaced");
        }
        match Statement::parse(&line.text) {
            Ok(statement) => self.statement(statement, position, folder, depth),
            Err(error) => self.report.error(position, error),
        }
    }

    fn statement(&mut self, statement: Statement, position: &Position, folder: &Arc<Path>, depth: usize) {
        let placed = match statement {
            Statement::Set { key, value } => {
                let absolute = |path: &str| {
                    let path = folder.join(path);
                    std::path::absolute(&path).unwrap_or(path)
                };
                self.builder.set(key, value, position.clone(), absolute)
            }
            Statement::Open { kind, name } => self.builder.open(&kind, &name, position.clone()),
            Statement::Close if self.builder.depth() > depth => self.builder.close(),
            Statement::Close => Err(PlaceError::NothingOpen),
            Statement::Include { pattern, optional } => {
                self.include(&folder.join(pattern), optional, position);
                Ok(())
            }
        };
        if let Err(error) = placed {
            self.report.error(position, error);
        }
    }

    fn include(&mut self, pattern: &Path, optional: bool, position: &Position) {
        let paths = glob::matches(pattern);
        if paths.is_empty() && !optional {
            self.report.error(position, format!("no file matches {}", pattern.display()));
        }
        for path in paths {
            if let Err(problem) = self.may_include(&path) {
                self.report.error(position, problem);
                return;
            }
            match content::read(&path) {
                Ok(text) => self.file(&path, &text),
                Err(error) if optional => self.report.warning(position, format!("{error}; skipped")),
                Err(error) => self.report.error(position, error),
            }
        }
    }

    fn may_include(&mut self, path: &Path) -> Result<(), String> {
        if self.chain.contains(&canonical(path)) {
            return Err(format!("{} includes itself", path.display()));
        }
        if self.chain.len() > INCLUDE_DEPTH_MAX {
            return Err(format!("more than {INCLUDE_DEPTH_MAX} files include each other"));
        }
        if self.files >= FILES_MAX {
            self.too_many = true;
            return Err(format!("more than {FILES_MAX} files; the rest is not read"));
        }
        Ok(())
    }
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
