//! The known name that an unknown one was probably meant to be.

/// The nearest of the names, if it is near enough to be a typing error.
pub(crate) fn nearest(word: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let allowed = word.len() / 3;
    // At least the lengths differ by so much; a word of a megabyte is not compared with anything.
    let candidates = names.filter(|name| name.len().abs_diff(word.len()) <= allowed);
    let (distance, name) = candidates.map(|name| (distance(word, name), name)).min()?;
    (distance <= allowed).then_some(name)
}

/// Edit distance in bytes (Levenshtein), by rows.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, above) in b.bytes().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(x != y)).min(left + 1).min(above + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, value) in [("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("a", "a", 0)] {
            assert_eq!(distance(a, b), value, "{a} {b}");
        }
    }

    #[test]
    fn only_near_names_are_suggested() {
        let names = ["login_greeting", "listen", "ssl"];
        assert_eq!(nearest("login_greetings", names.into_iter()), Some("login_greeting"));
        assert_eq!(nearest("lisen", names.into_iter()), Some("listen"));
        assert_eq!(nearest("foo", names.into_iter()), None);
    }
}
