//! Files that match a shell pattern, as `!include` wants them: sorted, `*` and `?` and `[a-z]` in any part of
//! the path, names that begin with a dot only if the pattern says so.

use std::path::{Component, Path, PathBuf};

/// The existing paths that match, in byte order.
pub(crate) fn matches(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        found = found.iter().flat_map(|path| step(path, component)).collect();
    }
    found.retain(|path| path.exists());
    found.sort();
    found
}

fn step(path: &Path, component: Component<'_>) -> Vec<PathBuf> {
    let Component::Normal(part) = component else { return vec![path.join(component)] };
    let Some(part) = part.to_str().filter(|part| part.contains(['*', '?', '['])) else {
        return vec![path.join(part)];
    };
    let folder = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let pattern: Vec<_> = part.chars().collect();
    names.filter(|name| is_match(&pattern, name)).map(|name| path.join(name)).collect()
}

fn is_match(pattern: &[char], name: &str) -> bool {
    let name: Vec<_> = name.chars().collect();
    let hidden = name.first() == Some(&'.') && pattern.first() != Some(&'.');
    !hidden && rest_matches(pattern, &name)
}

/// Goes back to the latest `*` only, so the work is at most the product of both lengths.
fn rest_matches(pattern: &[char], name: &[char]) -> bool {
    let (mut at, mut seen) = (pattern, name);
    let mut star: Option<(&[char], &[char])> = None;
    loop {
        if let ['*', behind @ ..] = at {
            star = Some((behind, seen));
            at = behind;
            continue;
        }
        match (one(at, seen), star) {
            (Some((next, rest)), _) => (at, seen) = (next, rest),
            (None, _) if at.is_empty() && seen.is_empty() => return true,
            (None, Some((behind, [_, rest @ ..]))) => {
                star = Some((behind, rest));
                (at, seen) = (behind, rest);
            }
            (None, _) => return false,
        }
    }
}

/// Consumes one character of the name, if the pattern's next item fits.
fn one<'p, 'n>(pattern: &'p [char], name: &'n [char]) -> Option<(&'p [char], &'n [char])> {
    let (c, rest) = name.split_first()?;
    match pattern {
        ['?', behind @ ..] => Some((behind, rest)),
        ['[', behind @ ..] => {
            let end = behind.iter().skip(1).position(|c| *c == ']')? + 1;
            let (set, behind) = behind.split_at_checked(end)?;
            in_set(set, *c).then(|| (behind.get(1..).unwrap_or_default(), rest))
        }
        [p, behind @ ..] if p == c => Some((behind, rest)),
        _ => None,
    }
}

fn in_set(set: &[char], c: char) -> bool {
    let (inverted, set) = match set {
        ['!' | '^', set @ ..] => (true, set),
        _ => (false, set),
    };
    let mut rest = set;
    let mut found = false;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match behind {
            ['-', last, behind @ ..] => {
                found |= (*first..=*last).contains(&c);
                rest = behind;
            }
            _ => found |= *first == c,
        }
    }
    found != inverted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_as_in_a_shell() {
        for (pattern, name, fits) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf~", false),
            ("*.conf", ".conf", false),
            (".*", ".a", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xaaxbb", true),
            ("*a*b*c", "xaaxbb", false),
            ("[0-9][!x]*", "10-auth", true),
            ("[0-9][!x]*", "1x", false),
            ("[]a]", "]", true),
            ("[a", "[a", false),
            ("", "", true),
        ] {
            let pattern_chars: Vec<_> = pattern.chars().collect();
            assert_eq!(is_match(&pattern_chars, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn matches_are_sorted_and_in_any_folder() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b/x.conf", "a/y.conf", "a/z.txt", "a/.h.conf"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let paths = matches(&folder.path().join("*/*.conf"));
        assert_eq!(paths, [folder.path().join("a/y.conf"), folder.path().join("b/x.conf")]);
        assert!(matches(&folder.path().join("none")).is_empty());
    }

    #[test]
    fn any_pattern_terminates() {
        bolero::check!().with_type::<(String, String)>().for_each(|(pattern, name)| {
            let pattern: Vec<_> = pattern.chars().collect();
            is_match(&pattern, name);
        });
    }
}
