//! Which dead letters a command selects. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::letter::DeadLetter;
use crate::args::Selection;
use flexorch_s3_ingester::model::arn::secret_name;
use flexorch_s3_ingester::model::codes::UNREADABLE;
use flexorch_s3_ingester::model::object::S3Object;

/// The code that stands for letters without one.
pub(crate) const NO_CODE: &str = "none";

/// A selection at a point in time.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    selection: Selection,
    now: Timestamp,
    purpose: Purpose,
}

/// What the selected letters are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// They stay in the queue.
    Read,
    /// They are sent again. What cannot be read would only come back, so it has to be named.
    Redrive,
    /// They are deleted. A letter that names objects beside the selected ones must stay.
    Drop,
}

impl Filter {
    /// Creates a filter at this time.
    pub(crate) fn new(selection: Selection, purpose: Purpose, now: Timestamp) -> Self {
        Self { selection, now, purpose }
    }

    pub(crate) fn selects(&self, letter: &DeadLetter, objects: &[S3Object]) -> bool {
        let Selection { codes, connector, older_than, newer_than, prefix } = &self.selection;
        let code = letter.code.as_deref().unwrap_or(NO_CODE);
        let has_code = if codes.is_empty() {
            self.purpose != Purpose::Redrive || code != UNREADABLE
        } else {
            codes.iter().any(|named| named.eq_ignore_ascii_case(code))
        };
        let of_connector = connector.as_deref().is_none_or(|named| is_of(letter, named));
        let age = letter.time().map(|time| self.now.duration_since(time));
        let limit = |limit: &Duration| SignedDuration::try_from(*limit).unwrap_or(SignedDuration::MAX);
        let is_old = older_than.as_ref().is_none_or(|least| age.is_some_and(|age| age > limit(least)));
        let is_new = newer_than.as_ref().is_none_or(|most| age.is_some_and(|age| age <= limit(most)));
        let has_prefix = prefix.as_deref().is_none_or(|prefix| {
            let mut keys = objects.iter().map(|object| object.key.as_str().starts_with(prefix));
            match self.purpose {
                Purpose::Drop => !objects.is_empty() && keys.all(|starts| starts),
                Purpose::Read | Purpose::Redrive => keys.any(|starts| starts),
            }
        });
        has_code && of_connector && is_old && is_new && has_prefix
    }
}

/// Returns whether a letter belongs to the connector of this id or secret.
fn is_of(letter: &DeadLetter, named: &str) -> bool {
    letter.connector_id.as_deref() == Some(named)
        || letter.connector.as_deref().is_some_and(|secret| secret_name(secret) == secret_name(named))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::letters::letter::tests::{message, notification};

    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:flexorch/docs-AbCdEf";

    fn everything() -> Selection {
        Selection { codes: Vec::new(), connector: None, older_than: None, newer_than: None, prefix: None }
    }

    fn selects(selection: Selection, purpose: Purpose, keys: &[&str], attributes: &[(&str, &str)]) -> bool {
        let (letter, objects) = DeadLetter::read(&message(&notification(keys), attributes));
        // The event is 14 hours old, and the letter was sent an instant ago.
        Filter::new(selection, purpose, "2026-01-01T00:00:00Z".parse().unwrap()).selects(&letter, &objects)
    }

    #[test]
    fn codes_are_named_in_any_case_and_none_is_a_message_that_sqs_moved() {
        let with = |codes: &[&str], attributes: &[(&str, &str)]| {
            let codes = codes.iter().map(|code| (*code).to_owned()).collect();
            selects(Selection { codes, ..everything() }, Purpose::Read, &["a"], attributes)
        };
        assert!(with(&["file_too_large", "none"], &[("code", "FILE_TOO_LARGE")]));
        assert!(with(&["none"], &[]));
        assert!(!with(&["FILE_TOO_LARGE"], &[]) && !with(&["none"], &[("code", "X")]));
    }

    #[test]
    fn what_cannot_be_read_is_redriven_only_by_name() {
        let unreadable = [("code", "UNREADABLE")];
        assert!(!selects(everything(), Purpose::Redrive, &[], &unreadable));
        let named = Selection { codes: vec!["UNREADABLE".into()], ..everything() };
        assert!(selects(named, Purpose::Redrive, &[], &unreadable));
        assert!(selects(everything(), Purpose::Read, &[], &unreadable));
        assert!(selects(everything(), Purpose::Drop, &[], &unreadable));
    }

    #[test]
    fn a_connector_is_its_secret_in_any_form_or_its_id() {
        let of = |named: &str, secret: &str, id: &str| {
            let selection = Selection { connector: Some(named.into()), ..everything() };
            selects(selection, Purpose::Read, &["a"], &[("code", "X"), ("connector", secret), ("connector_id", id)])
        };
        assert!(of("flexorch/docs", "flexorch/docs", "-") && of("42", "flexorch/docs", "42"));
        assert!(of("flexorch/docs", ARN, "-") && of(ARN, "flexorch/docs", "-"));
        assert!(of(&ARN[..ARN.len() - 7], ARN, "-") && of(&ARN[..ARN.len() - 7], "flexorch/docs", "-"));
        assert!(!of("flexorch/doc", ARN, "-") && !of("4", "flexorch/docs", "42") && !of("flexorch", ARN, "-"));
        let selection = Selection { connector: Some("docs".into()), ..everything() };
        assert!(!selects(selection, Purpose::Read, &["a"], &[]), "a message that SQS moved names no connector");
    }

    #[test]
    fn the_age_is_the_events() {
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
        let old = |older_than| selects(Selection { older_than, ..everything() }, Purpose::Read, &["a"], &[]);
        let new = |newer_than| selects(Selection { newer_than, ..everything() }, Purpose::Read, &["a"], &[]);
        assert!(old(hours(13)) && !old(hours(14)) && !old(hours(15)));
        assert!(!new(hours(13)) && new(hours(14)) && new(hours(15)));
    }

    #[test]
    fn a_letter_is_dropped_only_if_every_one_of_its_keys_is_selected() {
        let with = |purpose, keys: &[&str]| {
            selects(Selection { prefix: Some("in/".into()), ..everything() }, purpose, keys, &[])
        };
        assert!(with(Purpose::Read, &["in/a", "b"]) && with(Purpose::Redrive, &["in/a", "b"]));
        assert!(!with(Purpose::Drop, &["in/a", "b"]) && with(Purpose::Drop, &["in/a", "in/b"]));
        assert!(!with(Purpose::Drop, &[]) && !with(Purpose::Read, &["b"]));
    }
}
