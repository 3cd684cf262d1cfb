//! Finds the events that a newer event for the same key supersedes. Pure.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::model::object::{Change, S3Object, Sequencer};

/// Marks the objects that another event for the same key supersedes. Of the events of a key, at most one that is in scope is
/// left, and at least one of any kind. `in_scope` returns whether the object at a position would be ingested without the other
/// events.
///
/// S3 delivers at least once and not in order (S3 User Guide, "Event ordering and duplicate events"). An event supersedes another
/// if it is known to be newer: by its sequencer or, if either has none, by its time. If that leaves several, their order is a
/// guess: then the last one that is in scope is kept, and those that are out of scope are skipped for their own reasons.
#[must_use]
pub fn superseded(objects: &[S3Object], in_scope: impl Fn(usize) -> bool) -> Vec<bool> {
    let mut superseded = vec![false; objects.len()];
    let mut keys: Vec<EventsOfKey<'_>> = Vec::with_capacity(objects.len());
    let mut key_of: Vec<Option<usize>> = Vec::with_capacity(objects.len());
    let mut known: HashMap<(&str, &str), usize> = HashMap::with_capacity(objects.len());
    for object in objects {
        // Other events do not show what the bucket holds now, and a folder marker is no document.
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
        keys[key].current += usize::from(!superseded[position]);
    }
    for (position, object) in objects.iter().enumerate() {
        let Some(key) = key_of[position] else { continue };
        let events = &mut keys[key];
        if events.current == 0 {
            // Sequencers and times contradict each other in a circle, so their order is a guess, too.
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

/// The events of one key, summarised.
#[derive(Debug, Default)]
struct EventsOfKey<'a> {
    greatest_sequencer: Option<&'a Sequencer>,
    latest: Option<Timestamp>,
    /// The latest of the events that have no sequencer.
    latest_without_sequencer: Option<Timestamp>,
    /// How many of them are not superseded by one that is known to be newer.
    current: usize,
    /// The position of the one among those that is in scope and kept so far.
    chosen: Option<usize>,
}

impl<'a> EventsOfKey<'a> {
    fn note(&mut self, object: &'a S3Object) {
        self.latest = self.latest.max(object.happened_at());
        match &object.sequencer {
            Some(sequencer) => self.greatest_sequencer = self.greatest_sequencer.max(Some(sequencer)),
            None => self.latest_without_sequencer = self.latest_without_sequencer.max(object.happened_at()),
        }
    }

    /// Whether one of the events is known to be newer than `event`, which is one of them.
    fn has_newer_than(&self, event: &S3Object) -> bool {
        let by_time = |latest: Option<Timestamp>| event.happened_at().is_some_and(|time| latest > Some(time));
        match &event.sequencer {
            Some(own) => self.greatest_sequencer > Some(own) || by_time(self.latest_without_sequencer),
            None => by_time(self.latest),
        }
    }
}

/// Whether two events of one key are one event that was delivered twice.
fn is_same_event(one: &S3Object, other: &S3Object) -> bool {
    one.sequencer.is_some() && one.sequencer == other.sequencer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::object::ObjectKey;
    use proptest::prelude::*;

    fn object(bucket: &str, key: &str) -> S3Object {
        S3Object { size: Some(10), ..S3Object::new(bucket, ObjectKey::verbatim(key).unwrap()) }
    }

    fn all_in_scope(objects: &[S3Object]) -> Vec<bool> {
        superseded(objects, |_| true)
    }

    #[test]
    fn the_highest_sequencer_of_a_key_is_kept_at_any_position() {
        let numbered = |sequencer: &str| S3Object { sequencer: Sequencer::new(sequencer), ..object("b", "x") };
        let objects = [numbered("2"), numbered("10"), numbered("0F"), object("b", "y"), numbered("10")];
        assert_eq!(all_in_scope(&objects), [true, false, true, false, true]);
    }

    #[test]
    fn without_sequencers_the_later_event_is_kept() {
        let timed = |time: &str| S3Object { event_time: Some(time.parse().unwrap()), ..object("b", "x") };
        assert_eq!(all_in_scope(&[timed("2026-01-01T00:00:02Z"), timed("2026-01-01T00:00:01Z")]), [false, true]);
        assert_eq!(all_in_scope(&[object("b", "x"), object("b", "x")]), [true, false]);
    }

    #[test]
    fn an_event_that_is_skipped_anyway_supersedes_nothing() {
        let removed = S3Object { change: Change::Other, sequencer: Sequencer::new("FF"), ..object("b", "x") };
        assert_eq!(all_in_scope(&[object("b", "x"), removed]), [false, false]);
    }

    /// An event of the key `x` with a sequencer and a time in seconds; 0 means none.
    fn event(sequencer: u8, seconds: i64) -> S3Object {
        S3Object {
            sequencer: (sequencer > 0).then(|| Sequencer::new(format!("{sequencer:x}")).unwrap()),
            event_time: (seconds > 0).then(|| Timestamp::from_second(seconds).unwrap().to_string().parse().unwrap()),
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
    fn of_events_whose_sequencers_and_times_contradict_each_other_one_is_kept() {
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
            _ => matches!((newer.happened_at(), older.happened_at()), (Some(newer), Some(older)) if newer > older),
        }
    }

    proptest! {
        #[test]
        fn of_each_key_one_event_is_kept_and_none_is_superseded_against_the_rules(
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
                let kept: Vec<_> = named.iter().copied().filter(|at| !marks[*at]).collect();
                prop_assert_eq!(kept.is_empty(), named.is_empty());
                prop_assert!(kept.iter().filter(|at| events[**at].3).count() <= 1);
                for at in named.iter().copied().filter(|at| marks[*at]) {
                    let by_a_newer_one = named.iter().any(|other| known_newer(&objects[*other], &objects[at]));
                    let by_another_in_scope = events[at].3 && kept.iter().any(|at| events[*at].3);
                    prop_assert!(by_a_newer_one || by_another_in_scope);
                }
            }
        }
    }
}
