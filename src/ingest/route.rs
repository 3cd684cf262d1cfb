//! Which connector an object goes to, or why it goes nowhere. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::connector::Connector;
use crate::model::object::{Change, S3Object};
use crate::model::outcome::SkipReason;
use crate::model::scope::Scope;

/// Where an object goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// To the connector at this position.
    To(usize),
    /// Nowhere.
    Skip(SkipReason),
    /// Unknown: no connector that could be read takes it, and there is one that could not be read.
    Undecided,
}

/// Two connectors that claim the same objects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the secrets {first:?} and {second:?} both describe a connector for {bucket} and prefix {prefix:?}; give one of them another bucket or prefix, or take it out of CONNECTOR_SECRET_IDS"
)]
pub struct ConnectorConflict {
    /// One secret.
    pub first: Arc<str>,
    /// The other.
    pub second: Arc<str>,
    /// The bucket of both.
    pub bucket: String,
    /// The prefix of both.
    pub prefix: String,
}

/// Finds two connectors between which nothing could choose.
///
/// # Errors
/// The first such pair.
pub fn check_distinct(connectors: &[Arc<Connector>]) -> Result<(), ConnectorConflict> {
    let mut seen: HashMap<(Option<&str>, &str), &Arc<str>> = HashMap::new();
    for connector in connectors {
        if let Some(first) = seen.insert((connector.bucket.as_deref(), &connector.prefix), &connector.secret_id) {
            return Err(ConnectorConflict {
                first: Arc::clone(first),
                second: Arc::clone(&connector.secret_id),
                bucket: connector
                    .bucket
                    .as_ref()
                    .map_or_else(|| "any bucket".into(), |bucket| format!("bucket {bucket:?}")),
                prefix: connector.prefix.clone(),
            });
        }
    }
    Ok(())
}

/// Chooses for one object: among the connectors of its bucket the longest prefix that its key starts with, and of equal ones
/// that which names the bucket; then the operator's filters apply.
#[must_use]
pub fn route(object: &S3Object, connectors: &[Arc<Connector>], all_known: bool, scope: &Scope) -> Route {
    if object.change != Change::Created {
        return Route::Skip(SkipReason::NotCreated);
    }
    if object.is_folder_marker() {
        return Route::Skip(SkipReason::FolderMarker);
    }
    let of_bucket = || connectors.iter().enumerate().filter(|(_, connector)| connector.reads_bucket(&object.bucket));
    let chosen = of_bucket()
        .filter(|(_, connector)| object.key.as_str().starts_with(&connector.prefix))
        .max_by_key(|(_, connector)| (connector.prefix.len(), connector.bucket.is_some()));
    match (chosen, scope.excludes(object)) {
        (Some(_), Some(reason)) => Route::Skip(reason),
        (Some((position, _)), None) => Route::To(position),
        // A connector that cannot be read now may be the one. Filters that exclude the object would exclude it there too.
        (None, None) if !all_known => Route::Undecided,
        (None, Some(reason)) if !all_known => Route::Skip(reason),
        (None, _) if of_bucket().next().is_some() => Route::Skip(SkipReason::OutOfPrefix),
        (None, _) => Route::Skip(SkipReason::NoConnector),
    }
}

/// Marks the objects that a newer event for the same key stands for: one of each key is left.
///
/// S3 delivers at least once and not in order (S3 User Guide, "Event ordering and duplicate events"), so the highest sequencer
/// stands; where one is missing the later event time does, and where that is missing too the later position.
#[must_use]
pub fn superseded(objects: &[S3Object]) -> Vec<bool> {
    let mut superseded = vec![false; objects.len()];
    let mut standing: HashMap<(&str, &str), usize> = HashMap::with_capacity(objects.len());
    for (position, object) in objects.iter().enumerate() {
        if object.change != Change::Created || object.is_folder_marker() {
            continue;
        }
        standing
            .entry((&object.bucket, object.key.as_str()))
            .and_modify(|current| {
                let (loser, winner) =
                    if is_newer(object, &objects[*current]) { (*current, position) } else { (position, *current) };
                superseded[loser] = true;
                *current = winner;
            })
            .or_insert(position);
    }
    superseded
}

fn is_newer(candidate: &S3Object, current: &S3Object) -> bool {
    if let (Some(candidate), Some(current)) = (&candidate.sequencer, &current.sequencer) {
        return candidate > current;
    }
    if let (Some(candidate), Some(current)) = (candidate.event_time, current.event_time) {
        return candidate >= current;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::object::{ObjectKey, Sequencer};
    use proptest::prelude::*;

    fn connector(secret: &str, bucket: Option<&str>, prefix: &str) -> Arc<Connector> {
        let bucket = serde_json::json!(bucket);
        let json = format!(r#"{{"api_key":"dfx_a","connector_id":1,"bucket":{bucket},"prefix":"{prefix}"}}"#);
        Arc::new(Connector::from_secret(secret, &json).unwrap())
    }

    fn object(bucket: &str, key: &str) -> S3Object {
        S3Object { size: Some(10), ..S3Object::new(bucket, ObjectKey::verbatim(key).unwrap()) }
    }

    fn go(object: &S3Object, connectors: &[Arc<Connector>]) -> Route {
        route(object, connectors, true, &Scope::default())
    }

    #[test]
    fn the_longest_prefix_among_the_buckets_connectors_wins() {
        let connectors = [
            connector("a", Some("b"), ""),
            connector("b", Some("b"), "in/"),
            connector("c", Some("other"), "in/deep/"),
        ];
        assert_eq!(go(&object("b", "in/deep/x.pdf"), &connectors), Route::To(1));
        assert_eq!(go(&object("b", "out/x.pdf"), &connectors), Route::To(0));
        assert_eq!(go(&object("other", "in/deep/x.pdf"), &connectors), Route::To(2));
    }

    #[test]
    fn a_connector_without_a_bucket_reads_any_and_yields_to_one_that_names_it() {
        let connectors = [connector("any", None, "in/"), connector("own", Some("b"), "in/")];
        assert_eq!(go(&object("b", "in/x"), &connectors), Route::To(1));
        assert_eq!(go(&object("else", "in/x"), &connectors), Route::To(0));
    }

    #[test]
    fn an_object_of_a_bucket_that_no_connector_reads_is_sent_to_no_other() {
        let connectors = [connector("a", Some("b"), "")];
        assert_eq!(go(&object("stranger", "x"), &connectors), Route::Skip(SkipReason::NoConnector));
    }

    #[test]
    fn an_object_under_no_connectors_prefix_is_out_of_prefix() {
        let connectors = [connector("a", Some("b"), "in/")];
        assert_eq!(go(&object("b", "out/x"), &connectors), Route::Skip(SkipReason::OutOfPrefix));
    }

    #[test]
    fn while_a_connector_cannot_be_read_what_may_be_its_is_undecided_and_the_rest_goes_on() {
        let connectors = [connector("a", Some("b"), "in/")];
        let scope = Scope { key_suffixes: vec![".pdf".into()], ..Scope::default() };
        let go = |object: &S3Object| route(object, &connectors, false, &scope);
        assert_eq!(go(&object("b", "in/x.pdf")), Route::To(0));
        assert_eq!(go(&object("b", "out/x.pdf")), Route::Undecided);
        assert_eq!(go(&object("stranger", "x.pdf")), Route::Undecided);
        assert_eq!(go(&object("stranger", "x.exe")), Route::Skip(SkipReason::OutOfSuffix));
    }

    #[test]
    fn the_operators_filters_apply_after_the_choice() {
        let connectors = [connector("a", Some("b"), "")];
        let scope = Scope {
            key_prefixes: vec!["in/".into(), "scan/".into()],
            key_suffixes: vec![".pdf".into()],
            max_object_bytes: Some(100),
        };
        let go = |object: &S3Object| route(object, &connectors, true, &scope);
        assert_eq!(go(&object("b", "scan/X.PDF")), Route::To(0));
        assert_eq!(go(&object("b", "else/x.pdf")), Route::Skip(SkipReason::OutOfPrefix));
        assert_eq!(go(&object("b", "in/x.exe")), Route::Skip(SkipReason::OutOfSuffix));
        let sized = |size| S3Object { size, ..object("b", "in/x.pdf") };
        assert_eq!(go(&sized(Some(101))), Route::Skip(SkipReason::TooLarge));
        assert_eq!(go(&sized(Some(100))), Route::To(0));
        assert_eq!(go(&sized(None)), Route::To(0));
    }

    #[test]
    fn what_was_not_created_and_folder_markers_are_skipped() {
        let connectors = [connector("a", None, "")];
        let removed = S3Object { change: Change::Other, ..object("b", "x") };
        assert_eq!(go(&removed, &connectors), Route::Skip(SkipReason::NotCreated));
        let marker = S3Object { size: Some(0), ..object("b", "in/") };
        assert_eq!(go(&marker, &connectors), Route::Skip(SkipReason::FolderMarker));
        let file = S3Object { size: Some(5), ..object("b", "in/") };
        assert_eq!(go(&file, &connectors), Route::To(0));
    }

    #[test]
    fn two_connectors_of_one_bucket_and_prefix_are_a_conflict() {
        let one = [connector("a", Some("b"), "p/"), connector("c", Some("b"), "p/")];
        let error = check_distinct(&one).unwrap_err().to_string();
        assert!(error.contains("\"a\"") && error.contains("\"c\"") && error.contains("p/"), "{error}");
        assert!(check_distinct(&[connector("a", None, ""), connector("c", Some("b"), "")]).is_ok());
    }

    #[test]
    fn the_highest_sequencer_of_a_key_stands_wherever_it_is() {
        let numbered = |sequencer: &str| S3Object { sequencer: Sequencer::new(sequencer), ..object("b", "x") };
        let objects = [numbered("2"), numbered("10"), numbered("0F"), object("b", "y"), numbered("10")];
        assert_eq!(superseded(&objects), [true, false, true, false, true]);
    }

    #[test]
    fn without_sequencers_the_later_event_stands() {
        let timed = |time: &str| S3Object { event_time: Some(time.parse().unwrap()), ..object("b", "x") };
        assert_eq!(superseded(&[timed("2026-01-01T00:00:02Z"), timed("2026-01-01T00:00:01Z")]), [false, true]);
        assert_eq!(superseded(&[object("b", "x"), object("b", "x")]), [true, false]);
    }

    #[test]
    fn an_event_that_is_skipped_anyway_supersedes_nothing() {
        let removed = S3Object { change: Change::Other, sequencer: Sequencer::new("FF"), ..object("b", "x") };
        assert_eq!(superseded(&[object("b", "x"), removed]), [false, false]);
    }

    proptest! {
        #[test]
        fn exactly_one_event_of_each_key_stands(events in proptest::collection::vec((0u8..6, proptest::option::of(0u8..9)), 0..60)) {
            let objects: Vec<_> = events
                .iter()
                .map(|(key, sequencer)| S3Object {
                    sequencer: sequencer.and_then(|number| Sequencer::new(format!("{number:x}"))),
                    ..object("b", &key.to_string())
                })
                .collect();
            let marks = superseded(&objects);
            for key in 0u8..6 {
                let standing = (0..objects.len()).filter(|at| events[*at].0 == key && !marks[*at]).count();
                let named = events.iter().filter(|event| event.0 == key).count();
                prop_assert_eq!(standing, named.min(1));
            }
        }

        #[test]
        fn a_route_always_leads_to_a_connector_of_the_bucket_whose_prefix_fits(
            prefixes in proptest::collection::vec(("[ab]{0,3}", proptest::option::of("[xy]")), 1..6),
            key in "[ab]{1,5}",
            bucket in "[xyz]",
        ) {
            let connectors: Vec<_> =
                prefixes.iter().map(|(prefix, bucket)| connector("s", bucket.as_deref(), prefix)).collect();
            let object = object(&bucket, &key);
            match go(&object, &connectors) {
                Route::To(at) => {
                    let chosen = &connectors[at];
                    prop_assert!(chosen.reads_bucket(&bucket) && key.starts_with(&chosen.prefix));
                    for other in &connectors {
                        if other.reads_bucket(&bucket) && key.starts_with(&other.prefix) {
                            prop_assert!(other.prefix.len() <= chosen.prefix.len());
                        }
                    }
                }
                Route::Skip(_) => {
                    let takes = |connector: &Arc<Connector>| connector.reads_bucket(&bucket) && key.starts_with(&connector.prefix);
                    prop_assert!(!connectors.iter().any(takes));
                }
                Route::Undecided => prop_assert!(false, "all connectors are known"),
            }
        }
    }
}
