//! Which records a command is about. Pure.

use clap::ValueEnum;
use jiff::Timestamp;

use super::record::{Record, timestamp};
use crate::args::{DocumentSelection, Past, State};
use flexorch_s3_ingester::model::arn::secret_name;

/// Which documents are meant, by their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Documents {
    All,
    /// Those of a bucket whose keys start with a prefix, which may be empty.
    Prefix {
        /// The bucket; `None`: any.
        bucket: Option<String>,
        prefix: String,
    },
    /// Those with this key.
    Key {
        /// The bucket; `None`: any.
        bucket: Option<String>,
        key: String,
    },
}

/// Which records are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Never empty, each state once.
    pub(crate) states: Vec<State>,
    pub(crate) documents: Documents,
    /// Their state changed at this time or later, as the table has times.
    pub(crate) since: Option<String>,
    /// Their state changed at this time or earlier.
    pub(crate) until: Option<String>,
    connector: Option<String>,
}

impl Selection {
    /// Returns the same selection, of another time.
    pub(crate) fn between(&self, since: Option<String>, until: Option<String>) -> Self {
        Self { since, until, ..self.clone() }
    }

    /// Resolves what was typed. No state means every state. `bucket` is the stack's, for a key or prefix without a bucket.
    pub(crate) fn new(typed: &DocumentSelection, states: Vec<State>, bucket: Option<&str>, now: Timestamp) -> Self {
        let DocumentSelection { key, prefix, bucket: typed_bucket, since, connector } = typed.clone();
        let named = typed_bucket.or_else(|| bucket.map(str::to_owned));
        let documents = match (key, prefix) {
            (Some(key), _) => Documents::Key { bucket: named, key },
            (None, Some(prefix)) => Documents::Prefix { bucket: named, prefix },
            (None, None) if typed.bucket.is_some() => Documents::Prefix { bucket: named, prefix: String::new() },
            (None, None) => Documents::All,
        };
        let mut all = if states.is_empty() { State::value_variants().to_vec() } else { states };
        all.sort_unstable();
        all.dedup();
        let since = since.as_ref().and_then(|since: &Past| since.resolve(now)).map(timestamp);
        Self { states: all, documents, since, until: None, connector }
    }

    /// Returns whether a record is meant. Queries filter too, but not as exactly.
    pub(crate) fn selects(&self, record: &Record) -> bool {
        let is_document = match (&self.documents, record.object()) {
            (Documents::All, _) => true,
            (_, None) => false,
            (Documents::Prefix { bucket, prefix }, Some((in_bucket, key))) => {
                bucket.as_deref().is_none_or(|bucket| bucket == in_bucket) && key.starts_with(prefix)
            }
            (Documents::Key { bucket, key }, Some((in_bucket, its))) => {
                bucket.as_deref().is_none_or(|bucket| bucket == in_bucket) && key == its
            }
        };
        is_document
            && self.states.contains(&record.state)
            && self.since.as_ref().is_none_or(|since| record.changed_at >= *since)
            && self.until.as_ref().is_none_or(|until| record.changed_at <= *until)
            && self.connector.as_ref().is_none_or(|connector| is_of(record, connector))
    }
}

/// Returns whether a record is of the connector with this secret or id.
fn is_of(record: &Record, connector: &str) -> bool {
    let is_secret = record.connector.as_ref().is_some_and(|secret| secret_name(secret) == secret_name(connector));
    is_secret || record.connector_id.as_ref().is_some_and(|id| id.to_string() == connector)
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{item, s};
    use super::*;

    fn record(document: &str, state: &str, changed_at: &str) -> Record {
        let attributes = [
            ("document", s(document)),
            ("state", s(state)),
            ("changed_at", s(changed_at)),
            ("connector", s("arn:aws:secretsmanager:eu-west-1:123456789012:secret:flexorch/in-AbCdEf")),
            ("connector_id", s("42")),
        ];
        Record::read(&item(&attributes)).unwrap()
    }

    fn selection(change: impl FnOnce(&mut DocumentSelection)) -> Selection {
        let mut typed = DocumentSelection::default();
        change(&mut typed);
        Selection::new(&typed, Vec::new(), None, "2026-11-24T07:00:00Z".parse().unwrap())
    }

    #[test]
    fn a_prefix_counts_from_the_beginning_of_the_key_and_a_key_is_compared_as_a_whole() {
        let time = "2026-11-24T07:00:00.000Z";
        let prefix = selection(|typed| typed.prefix = Some("in/".into()));
        assert!(prefix.selects(&record("docs/in/a", "failed", time)));
        assert!(!prefix.selects(&record("docs/x/in/a", "failed", time)));
        let key = selection(|typed| typed.key = Some("in/a".into()));
        assert!(key.selects(&record("docs/in/a", "failed", time)) && key.selects(&record("b/in/a", "failed", time)));
        assert!(!key.selects(&record("docs/in/a.pdf", "failed", time)));
        let bucket = selection(|typed| typed.bucket = Some("docs".into()));
        assert!(
            bucket.selects(&record("docs/a", "failed", time)) && !bucket.selects(&record("docs2/a", "failed", time))
        );
    }

    #[test]
    fn since_includes_its_moment() {
        let since = selection(|typed| typed.since = Some("1h".parse().unwrap()));
        assert!(since.selects(&record("d/a", "failed", "2026-11-24T06:00:00.000Z")));
        assert!(!since.selects(&record("d/a", "failed", "2026-11-24T05:59:59.999Z")));
    }

    #[test]
    fn a_connector_is_named_by_its_secrets_name_or_arn_or_its_id() {
        let record = record("d/a", "failed", "");
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:flexorch/in-AbCdEf";
        let partial = arn.strip_suffix("-AbCdEf").unwrap();
        for connector in ["flexorch/in", arn, partial, "42"] {
            assert!(selection(|typed| typed.connector = Some(connector.into())).selects(&record), "{connector}");
        }
        for connector in ["flexorch/i", "4", "flexorch/in-AbCdEf"] {
            assert!(!selection(|typed| typed.connector = Some(connector.into())).selects(&record), "{connector}");
        }
    }
}
