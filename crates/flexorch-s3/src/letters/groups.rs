//! Groups dead letters by code and connector. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::letter::DeadLetter;

/// Letters with the same code and connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Group {
    /// `None`: SQS moved them.
    pub(crate) code: Option<String>,
    pub(crate) connector: Option<String>,
    pub(crate) connector_id: Option<String>,
    pub(crate) letters: usize,
    /// The time of the oldest.
    pub(crate) oldest: Option<Timestamp>,
}

/// Groups letters, the largest group first.
pub(crate) fn group<'a>(letters: impl IntoIterator<Item = &'a DeadLetter>) -> Vec<Group> {
    let mut groups: BTreeMap<_, Group> = BTreeMap::new();
    for letter in letters {
        let DeadLetter { code, connector, connector_id, .. } = letter;
        let group = groups.entry((code, connector, connector_id)).or_insert_with(|| Group {
            code: code.clone(),
            connector: connector.clone(),
            connector_id: connector_id.clone(),
            letters: 0,
            oldest: None,
        });
        group.letters += 1;
        group.oldest = match (group.oldest, letter.time()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.letters));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_counted_by_code_and_connector_with_the_oldest() {
        let letter = |code: Option<&str>, second: i64| DeadLetter {
            code: code.map(str::to_owned),
            sent_at: Timestamp::from_second(second).ok(),
            ..DeadLetter::default()
        };
        let groups = group(&[letter(None, 5), letter(Some("X"), 3), letter(None, 4)]);
        let found: Vec<_> = groups
            .iter()
            .map(|group| (group.code.as_deref(), group.letters, group.oldest.map(Timestamp::as_second)))
            .collect();
        assert_eq!(found, [(None, 2, Some(4)), (Some("X"), 1, Some(3))]);
    }
}
