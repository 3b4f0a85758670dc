//! Keeps `CONFORMANCE.md` and `CONFORMANCE-DIRECTOR.md` true: every row of their checklists is there once, and what is
//! said to prove a row exists.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

use std::{collections::BTreeMap, fs, path::Path};

/// A row of `CONFORMANCE.md`.
struct Row {
    status: String,
    proof: String,
}

/// Pages and their checklists.
const PAGES: [(&str, &str); 2] = [
    ("tests/CONFORMANCE.md", "tests/vectors/login_checklist.tsv"),
    ("tests/CONFORMANCE-DIRECTOR.md", "tests/vectors/director_checklist.tsv"),
];

const STATUSES: [&str; 5] = ["passes", "differs on purpose", "not yet", "not ours", "not on one node"];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn checklist(path: &str) -> Vec<String> {
    read(path).lines().skip(1).map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

fn document(page: &str) -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::new();
    for line in read(page).lines() {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let is_row = cells.len() == 4 && cells[0].len() == 5 && cells[0].as_bytes()[2] == b'-';
        if is_row {
            let row = Row { status: cells[2].to_owned(), proof: cells[3].to_owned() };
            assert!(rows.insert(cells[0].to_owned(), row).is_none(), "{} is listed twice", cells[0]);
        }
    }
    rows
}

/// All test sources in one string.
fn test_sources() -> String {
    fn collect(folder: &Path, out: &mut String) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() && path.file_name().is_some_and(|n| n != "target") {
                collect(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut out = String::new();
    for folder in ["src", "protocols", "tests"] {
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut out);
    }
    out
}

#[test]
fn every_row_of_the_checklists_has_a_status() {
    for (page, checklist_path) in PAGES {
        let rows = document(page);
        let ids = checklist(checklist_path);
        let missing: Vec<_> = ids.iter().filter(|id| !rows.contains_key(*id)).collect();
        assert!(missing.is_empty(), "not in {page}: {missing:?}");
        assert_eq!(rows.len(), ids.len(), "rows that the checklist does not have");
        for (id, row) in &rows {
            let known = STATUSES.contains(&row.status.as_str());
            assert!(known && !row.proof.is_empty(), "{id}: {:?} {:?}", row.status, row.proof);
        }
        for status in STATUSES {
            let count = rows.values().filter(|row| row.status == status).count();
            let told = read(page).contains(&format!("| {status} | {count} |\n"));
            assert!(told || count == 0, "{page}: {count} rows are: {status}");
        }
    }
}

#[test]
fn every_proof_exists() {
    let sources = test_sources();
    let plan = read("tests/transcripts/login/PLAN.tsv");
    let replayed = |name: &str| plan.lines().any(|line| line.starts_with(&format!("{name}\treplay")));
    let mut problems = Vec::new();
    for (id, row) in PAGES.iter().flat_map(|(page, _)| document(page)) {
        let proofs = match row.status.as_str() {
            "passes" => row.proof.as_str(),
            // The reason, then the tests of what is done instead.
            "differs on purpose" => row.proof.rsplit_once(": ").map_or("", |(_, tests)| tests),
            _ => continue,
        };
        for proof in proofs.split(", ") {
            let exists = match proof.strip_prefix("replay ") {
                Some(name) => replayed(name.trim_matches('`')),
                None => !proof.is_empty() && sources.contains(proof.trim_matches('`')),
            };
            if !exists {
                problems.push(format!("{id}: {proof}"));
            }
        }
    }
    assert!(problems.is_empty(), "proofs that do not exist:\n{}", problems.join("\n"));
}
