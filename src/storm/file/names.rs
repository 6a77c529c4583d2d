//! The name that was meant, most likely.

/// The nearest of those known, if it is near enough to have been meant.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = |other: &&str| strsim::levenshtein(name, other);
    let nearest = known.into_iter().min_by_key(near)?;
    (near(&nearest) <= nearest.chars().count().max(3) / 3).then_some(nearest)
}

/// Names as they are listed in a message.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

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
