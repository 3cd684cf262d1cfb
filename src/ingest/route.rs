//! Which connector an object goes to, or why it goes nowhere. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::claim::{Claim, ClaimScope, ReadScope, Specificity};
use crate::model::connector::Connector;
use crate::model::object::{Change, S3Object, Sequencer};
use crate::model::outcome::SkipReason;
use crate::model::scope::Scope;

/// Where an object goes. The numbers are positions among the connectors or claims that the [`Router`] was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Route {
    /// To this connector.
    To(usize),
    /// Nowhere.
    Skip(SkipReason),
    /// This connector reads it, and is paused: it waits.
    Paused(usize),
    /// The secret of this claim cannot be read, and its connector may read it: it waits.
    Claimed(usize),
    /// These two connectors both read it, and nothing decides between them: it waits.
    Contested(usize, usize),
    /// No known connector reads it, and at least one secret cannot be read: it waits.
    Undecided,
}

impl Route {
    /// Whether the object is in scope, even if it has to wait.
    #[must_use]
    pub fn is_in_scope(self) -> bool {
        !matches!(self, Self::Skip(_))
    }
}

/// Two connectors that claim the same objects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the secrets {first:?} and {second:?} both describe a connector for {scope}; give one of them another bucket or prefix, or remove it from CONNECTOR_SECRET_IDS"
)]
pub struct ConnectorConflict {
    /// One secret.
    pub first: Arc<str>,
    /// The other.
    pub second: Arc<str>,
    /// The scope of both.
    pub scope: ReadScope,
}

impl ConnectorConflict {
    /// The conflict of two connectors that have the same scope.
    #[must_use]
    pub fn between(first: &Connector, second: &Connector) -> Self {
        Self { first: Arc::clone(&first.secret_id), second: Arc::clone(&second.secret_id), scope: second.read_scope() }
    }
}

/// Checks that no two connectors have the same bucket and prefix, so that something always decides between them.
///
/// # Errors
/// [`ConnectorConflict`] for the first such pair.
pub fn check_distinct(connectors: &[Arc<Connector>]) -> Result<(), ConnectorConflict> {
    let mut seen: HashMap<(Option<&str>, &str), &Connector> = HashMap::new();
    for connector in connectors {
        if let Some(first) = seen.insert((connector.bucket.as_deref(), &connector.prefix), connector) {
            return Err(ConnectorConflict::between(first, connector));
        }
    }
    Ok(())
}

/// Chooses for objects among the connectors that are known and the claims of those that are not.
#[derive(Debug, Clone, Copy)]
pub struct Router<'a> {
    connectors: &'a [Arc<Connector>],
    claims: &'a [Claim],
    scope: &'a Scope,
    /// The first claim to every object.
    claims_everything: Option<usize>,
}

impl<'a> Router<'a> {
    /// A router among these connectors and claims; `scope` are the operator's filters.
    #[must_use]
    pub fn new(connectors: &'a [Arc<Connector>], claims: &'a [Claim], scope: &'a Scope) -> Self {
        let claims_everything = claims.iter().position(|claim| claim.scope == ClaimScope::Everything);
        Self { connectors, claims, scope, claims_everything }
    }

    /// Chooses for one object: among the connectors and claims of its bucket the longest prefix that its key starts with, and of
    /// equal ones that which names the bucket; then the operator's filters apply.
    ///
    /// A claim keeps what it wins from every connector: to hand an object to the wrong one would disclose it there and lose it
    /// where it belongs, while one that waits is only late.
    #[must_use]
    pub fn route(&self, object: &S3Object) -> Route {
        if object.change != Change::Created {
            return Route::Skip(SkipReason::NotCreated);
        }
        if object.is_folder_marker() {
            return Route::Skip(SkipReason::FolderMarker);
        }
        match (self.reader(object), self.scope.excludes(object)) {
            // The filters exclude it, whoever reads it.
            (Some(_), Some(reason)) => Route::Skip(reason),
            (None, Some(reason)) if !self.claims.is_empty() => Route::Skip(reason),
            (Some(route), None) => route,
            (None, None) if !self.claims.is_empty() => Route::Undecided,
            (None, _) if self.connectors.iter().any(|connector| connector.reads_bucket(&object.bucket)) => {
                Route::Skip(SkipReason::OutOfPrefix)
            }
            (None, _) => Route::Skip(SkipReason::NoConnector),
        }
    }

    /// Finds who reads an object, the filters aside; `None` if no known connector and no claim takes it.
    fn reader(&self, object: &S3Object) -> Option<Route> {
        if let Some(claim) = self.claims_everything {
            return Some(Route::Claimed(claim));
        }
        let mut best: Option<(Specificity, Route)> = None;
        for (position, connector) in self.connectors.iter().enumerate() {
            let Some(specificity) = Specificity::of(connector.bucket.as_deref(), &connector.prefix, object) else {
                continue;
            };
            match best {
                Some((standing, _)) if standing > specificity => {}
                Some((standing, Route::To(first) | Route::Paused(first))) if standing == specificity => {
                    best = Some((specificity, Route::Contested(first, position)));
                }
                // A third one changes nothing.
                Some((standing, _)) if standing == specificity => {}
                _ if connector.paused.is_some() => best = Some((specificity, Route::Paused(position))),
                _ => best = Some((specificity, Route::To(position))),
            }
        }
        for (position, claim) in self.claims.iter().enumerate() {
            let ClaimScope::Part(scope) = &claim.scope else { continue };
            let taken = Specificity::of(scope.bucket.as_deref(), &scope.prefix, object);
            if let Some(specificity) = taken
                && best.is_none_or(|(standing, _)| specificity >= standing)
            {
                best = Some((specificity, Route::Claimed(position)));
            }
        }
        best.map(|(_, route)| route)
    }
}

/// Marks the objects that another event for the same key supersedes. Of the events of a key, at most one that is in scope is left,
/// and at least one of any kind. `in_scope` tells whether the object at a position would be ingested by itself.
///
/// S3 delivers at least once and not in order (S3 User Guide, "Event ordering and duplicate events"). An event supersedes another
/// if it is known to be newer: by its sequencer or, if either has none, by its time. If that leaves several, their order is a guess:
/// then one that is in scope stands, the last of them, and those that are out of scope are left to be skipped for their own
/// reasons.
#[must_use]
pub fn superseded(objects: &[S3Object], in_scope: impl Fn(usize) -> bool) -> Vec<bool> {
    let mut superseded = vec![false; objects.len()];
    let mut keys: Vec<EventsOfKey<'_>> = Vec::with_capacity(objects.len());
    let mut key_of: Vec<Option<usize>> = Vec::with_capacity(objects.len());
    let mut known: HashMap<(&str, &str), usize> = HashMap::with_capacity(objects.len());
    for object in objects {
        // What was not created says nothing about what is there now, and a folder marker is no document.
        if object.change != Change::Created || object.is_folder_marker() {
            key_of.push(None);
            continue;
        }
        let key = *known.entry((&object.bucket, object.key.as_str())).or_insert_with(|| {
            keys.push(EventsOfKey::default());
            keys.len() - 1
        });
        keys[key].note(object);
        key_of.push(Some(key));
    }
    if keys.len() == key_of.iter().flatten().count() {
        return superseded;
    }
    for (position, object) in objects.iter().enumerate() {
        let Some(key) = key_of[position] else { continue };
        superseded[position] = keys[key].has_newer_than(object);
        keys[key].standing += usize::from(!superseded[position]);
    }
    for (position, object) in objects.iter().enumerate() {
        let Some(key) = key_of[position] else { continue };
        let events = &mut keys[key];
        if events.standing == 0 {
            // Sequencers and times contradict each other in a circle, so their order is a guess after all.
            superseded[position] = false;
        }
        if superseded[position] || !in_scope(position) {
            continue;
        }
        match events.chosen {
            Some(chosen) if is_same_event(&objects[chosen], object) => superseded[position] = true,
            Some(chosen) => {
                superseded[chosen] = true;
                events.chosen = Some(position);
            }
            None => events.chosen = Some(position),
        }
    }
    superseded
}

/// What is known of all events of one key.
#[derive(Debug, Default)]
struct EventsOfKey<'a> {
    greatest_sequencer: Option<&'a Sequencer>,
    latest: Option<Timestamp>,
    /// The latest of the events that have no sequencer.
    latest_without_sequencer: Option<Timestamp>,
    /// How many of them no other is known to be newer than.
    standing: usize,
    /// The position of the one among those that is in scope and stands so far.
    chosen: Option<usize>,
}

impl<'a> EventsOfKey<'a> {
    fn note(&mut self, object: &'a S3Object) {
        self.latest = self.latest.max(object.event_time);
        match &object.sequencer {
            Some(sequencer) => self.greatest_sequencer = self.greatest_sequencer.max(Some(sequencer)),
            None => self.latest_without_sequencer = self.latest_without_sequencer.max(object.event_time),
        }
    }

    /// Whether any of the events is known to be newer than one of them.
    fn has_newer_than(&self, event: &S3Object) -> bool {
        let by_time = |latest: Option<Timestamp>| event.event_time.is_some_and(|time| latest > Some(time));
        match &event.sequencer {
            Some(own) => self.greatest_sequencer > Some(own) || by_time(self.latest_without_sequencer),
            None => by_time(self.latest),
        }
    }
}

/// Whether two events of one key are the same one, delivered twice.
fn is_same_event(one: &S3Object, other: &S3Object) -> bool {
    one.sequencer.is_some() && one.sequencer == other.sequencer
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
        Router::new(connectors, &[], &Scope::default()).route(object)
    }

    fn claim(secret: &str, scope: ClaimScope) -> Claim {
        Claim { secret_id: secret.into(), scope, why: "why".into() }
    }

    fn part(bucket: Option<&str>, prefix: &str) -> ClaimScope {
        ClaimScope::Part(ReadScope { bucket: bucket.map(str::to_owned), prefix: prefix.to_owned() })
    }

    fn all_in_scope(objects: &[S3Object]) -> Vec<bool> {
        superseded(objects, |_| true)
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
    fn a_claim_keeps_its_part_from_the_connectors_and_the_rest_goes_its_way() {
        let connectors = [connector("all", Some("docs"), ""), connector("deep", Some("docs"), "hr/open/")];
        let claims = [claim("hr", part(Some("docs"), "hr/"))];
        let scope = Scope { key_suffixes: vec![".pdf".into()], ..Scope::default() };
        let router = Router::new(&connectors, &claims, &scope);
        for (bucket, key, expected) in [
            ("docs", "hr/salaries.pdf", Route::Claimed(0)),
            ("docs", "hr/open/jobs.pdf", Route::To(1)),
            ("docs", "letters/a.pdf", Route::To(0)),
            ("stranger", "hr/salaries.pdf", Route::Undecided),
            ("docs", "hr/salaries.exe", Route::Skip(SkipReason::OutOfSuffix)),
            ("stranger", "x.exe", Route::Skip(SkipReason::OutOfSuffix)),
        ] {
            assert_eq!(router.route(&object(bucket, key)), expected, "{bucket}/{key}");
        }
    }

    #[test]
    fn a_claim_to_everything_keeps_every_object_that_the_filters_do_not_exclude() {
        let connectors = [connector("a", Some("b"), "in/")];
        let claims = [claim("part", part(Some("b"), "in/")), claim("hidden", ClaimScope::Everything)];
        let scope = Scope { key_suffixes: vec![".pdf".into()], ..Scope::default() };
        let router = Router::new(&connectors, &claims, &scope);
        for (bucket, key) in [("b", "in/x.pdf"), ("b", "out/x.pdf"), ("stranger", "x.pdf")] {
            assert_eq!(router.route(&object(bucket, key)), Route::Claimed(1), "{bucket}/{key}");
        }
        assert_eq!(router.route(&object("b", "in/x.exe")), Route::Skip(SkipReason::OutOfSuffix));
        let removed = S3Object { change: Change::Other, ..object("b", "in/x.pdf") };
        assert_eq!(router.route(&removed), Route::Skip(SkipReason::NotCreated));
    }

    #[test]
    fn a_claim_to_nothing_keeps_only_what_no_connector_reads() {
        let connectors = [connector("a", Some("b"), "in/")];
        let claims = [claim("gone", ClaimScope::Nothing)];
        let scope = Scope::default();
        let router = Router::new(&connectors, &claims, &scope);
        assert_eq!(router.route(&object("b", "in/x")), Route::To(0));
        assert_eq!(router.route(&object("b", "out/x")), Route::Undecided);
        assert_eq!(router.route(&object("stranger", "x")), Route::Undecided);
    }

    #[test]
    fn of_a_claim_and_a_connector_with_equal_prefixes_the_one_that_names_the_bucket_wins_and_the_claim_if_both_do() {
        let scope = Scope::default();
        let route = |own: Option<&str>, claimed: Option<&str>| {
            let (connectors, claims) = ([connector("a", own, "p/")], [claim("c", part(claimed, "p/"))]);
            Router::new(&connectors, &claims, &scope).route(&object("b", "p/x"))
        };
        assert_eq!(route(Some("b"), None), Route::To(0));
        assert_eq!(route(None, Some("b")), Route::Claimed(0));
        assert_eq!(route(Some("b"), Some("b")), Route::Claimed(0));
        assert_eq!(route(None, None), Route::Claimed(0));
    }

    #[test]
    fn two_connectors_of_one_scope_contest_its_objects_and_nothing_else() {
        let connectors = [
            connector("one", Some("b"), "p/"),
            connector("all", Some("b"), ""),
            connector("two", Some("b"), "p/"),
            connector("three", Some("b"), "p/"),
            connector("deep", Some("b"), "p/q/"),
        ];
        assert_eq!(go(&object("b", "p/x"), &connectors), Route::Contested(0, 2));
        assert_eq!(go(&object("b", "x"), &connectors), Route::To(1));
        assert_eq!(go(&object("b", "p/q/x"), &connectors), Route::To(4));
    }

    #[test]
    fn a_paused_connectors_objects_wait_and_go_to_no_other() {
        let paused = r#"{"api_key":"dfx_a","connector_id":1,"bucket":"b","prefix":"p/","paused":true}"#;
        let connectors = [connector("all", Some("b"), ""), Arc::new(Connector::from_secret("paused", paused).unwrap())];
        assert_eq!(go(&object("b", "p/x"), &connectors), Route::Paused(1));
        assert_eq!(go(&object("b", "x"), &connectors), Route::To(0));
        let scope = Scope { max_object_bytes: Some(1), ..Scope::default() };
        let filtered = Router::new(&connectors, &[], &scope).route(&object("b", "p/x"));
        assert_eq!(filtered, Route::Skip(SkipReason::TooLarge));
        let twice = [Arc::clone(&connectors[1]), connector("other", Some("b"), "p/")];
        assert_eq!(go(&object("b", "p/x"), &twice), Route::Contested(0, 1));
    }

    #[test]
    fn the_operators_filters_apply_after_the_choice() {
        let connectors = [connector("a", Some("b"), "")];
        let scope = Scope {
            key_prefixes: vec!["in/".into(), "scan/".into()],
            key_suffixes: vec![".pdf".into()],
            max_object_bytes: Some(100),
            ..Scope::default()
        };
        let go = |object: &S3Object| Router::new(&connectors, &[], &scope).route(object);
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
        assert_eq!(all_in_scope(&objects), [true, false, true, false, true]);
    }

    #[test]
    fn without_sequencers_the_later_event_stands() {
        let timed = |time: &str| S3Object { event_time: Some(time.parse().unwrap()), ..object("b", "x") };
        assert_eq!(all_in_scope(&[timed("2026-01-01T00:00:02Z"), timed("2026-01-01T00:00:01Z")]), [false, true]);
        assert_eq!(all_in_scope(&[object("b", "x"), object("b", "x")]), [true, false]);
    }

    #[test]
    fn an_event_that_is_skipped_anyway_supersedes_nothing() {
        let removed = S3Object { change: Change::Other, sequencer: Sequencer::new("FF"), ..object("b", "x") };
        assert_eq!(all_in_scope(&[object("b", "x"), removed]), [false, false]);
    }

    /// An event of the key `x` with a sequencer and a time in seconds; 0 stands for none.
    fn event(sequencer: u8, seconds: i64) -> S3Object {
        S3Object {
            sequencer: (sequencer > 0).then(|| Sequencer::new(format!("{sequencer:x}")).unwrap()),
            event_time: (seconds > 0).then(|| Timestamp::from_second(seconds).unwrap()),
            ..object("b", "x")
        }
    }

    #[test]
    fn an_event_that_is_out_of_scope_supersedes_one_that_is_in_scope_only_if_it_is_known_to_be_newer() {
        for (in_scope, out_of_scope, expected) in [
            (event(0, 0), event(0, 0), [false, false]),
            (event(5, 1), event(0, 0), [false, false]),
            (event(0, 1), event(9, 0), [false, false]),
            (event(0, 1), event(0, 1), [false, false]),
            (event(5, 1), event(5, 1), [false, false]),
            (event(5, 0), event(9, 0), [true, false]),
            (event(0, 1), event(0, 2), [true, false]),
            (event(5, 1), event(0, 2), [true, false]),
            // The sequencers decide, not the times.
            (event(9, 1), event(5, 2), [false, true]),
            (event(0, 2), event(0, 1), [false, true]),
        ] {
            let both = [in_scope, out_of_scope];
            assert_eq!(superseded(&both, |position| position == 0), expected, "{both:?}");
            let swapped = [both[1].clone(), both[0].clone()];
            assert_eq!(superseded(&swapped, |position| position == 1), [expected[1], expected[0]], "{swapped:?}");
        }
    }

    #[test]
    fn an_event_without_sequencer_and_time_does_not_hide_the_order_of_the_others() {
        let events = [event(9, 0), event(0, 0), event(5, 0)];
        assert_eq!(superseded(&events, |position| position != 0), [false, false, true]);
        assert_eq!(superseded(&events, |position| position != 1), [false, false, true]);
    }

    #[test]
    fn of_events_whose_sequencers_and_times_contradict_each_other_one_stands() {
        // Newer by time, by sequencer, by time: in a circle.
        let events = [event(5, 10), event(9, 1), event(0, 5)];
        assert_eq!(all_in_scope(&events), [true, true, false]);
        assert_eq!(superseded(&events, |position| position == 1), [false, false, false]);
    }

    #[test]
    fn ten_thousand_events_of_one_key_leave_one() {
        let events: Vec<_> = (0..10_000).map(|number| event(0, 1 + number % 7)).collect();
        assert_eq!(all_in_scope(&events).iter().filter(|superseded| !**superseded).count(), 1);
    }

    /// Whether the contract knows `newer` to be newer than `older`.
    fn known_newer(newer: &S3Object, older: &S3Object) -> bool {
        match (&newer.sequencer, &older.sequencer) {
            (Some(newer), Some(older)) => newer > older,
            _ => matches!((newer.event_time, older.event_time), (Some(newer), Some(older)) if newer > older),
        }
    }

    proptest! {
        #[test]
        fn of_each_key_one_event_stands_and_none_is_superseded_against_the_rules(
            events in proptest::collection::vec((0u8..4, 0u8..5, 0i64..5, any::<bool>()), 0..40),
        ) {
            let objects: Vec<_> = events
                .iter()
                .map(|(key, sequencer, time, _)| S3Object {
                    key: ObjectKey::verbatim(key.to_string()).unwrap(),
                    ..event(*sequencer, *time)
                })
                .collect();
            let marks = superseded(&objects, |position| events[position].3);
            for key in 0u8..4 {
                let named: Vec<_> = (0..objects.len()).filter(|at| events[*at].0 == key).collect();
                let standing: Vec<_> = named.iter().copied().filter(|at| !marks[*at]).collect();
                prop_assert_eq!(standing.is_empty(), named.is_empty());
                prop_assert!(standing.iter().filter(|at| events[**at].3).count() <= 1);
                for at in named.iter().copied().filter(|at| marks[*at]) {
                    let by_a_newer_one = named.iter().any(|other| known_newer(&objects[*other], &objects[at]));
                    let by_another_in_scope = events[at].3 && standing.iter().any(|at| events[*at].3);
                    prop_assert!(by_a_newer_one || by_another_in_scope);
                }
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
                Route::Contested(first, second) => {
                    prop_assert_eq!(connectors[first].read_scope(), connectors[second].read_scope());
                }
                Route::Undecided | Route::Claimed(_) => prop_assert!(false, "all connectors are known"),
                Route::Paused(_) => prop_assert!(false, "none is paused"),
            }
        }
    }
}
