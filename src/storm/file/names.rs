//! The name that was meant, most likely.

/// The nearest of those known, if it is near enough to have been meant.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = |other: &&str| distance(name, other);
    let nearest = known.into_iter().min_by_key(near)?;
    (near(&nearest) <= nearest.chars().count().max(3) / 3).then_some(nearest)
}

/// How many letters are to be put in, left out or changed (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<_> = other.chars().collect();
    let mut row: Vec<_> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (to, wanted) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *wanted);
            diagonal = row[to + 1];
            row[to + 1] = changed.min(row[to] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

/// Names as they are listed in a message.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let distances =
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("worker", "workers", 1)];
        for (one, other, letters) in distances {
            assert_eq!(distance(one, other), letters, "{one} {other}");
        }
    }

    #[test]
    fn only_what_is_near_was_meant() {
        let known = ["workers", "queue", "at"];
        assert_eq!(nearest("worker", known), Some("workers"));
        assert_eq!(nearest("qeue", known), Some("queue"));
        assert_eq!(nearest("ta", known), None);
        assert_eq!(nearest("threads", known), None);
        assert_eq!(nearest("x", []), None);
    }
}
