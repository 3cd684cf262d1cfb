//! Groups objects into requests, and halves requests that FlexOrch refuses as a whole. Pure.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;

/// The objects of one request, as positions in the invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The positions of the objects.
    pub objects: Vec<usize>,
    /// The request that this is a half of.
    half_of: Option<usize>,
    /// Whether that request failed after all its attempts, rather than being refused.
    after_failure: bool,
}

impl Batch {
    fn whole(objects: &[usize]) -> Self {
        Self { objects: objects.to_vec(), half_of: None, after_failure: false }
    }

    /// Whether this is a half of a request that failed after all its attempts.
    #[must_use]
    pub(crate) fn is_half_of_failed(&self) -> bool {
        self.after_failure
    }
}

/// The queue of one connector's requests.
///
/// A refused request is queued again as two halves: at the end, so that it is known early whether FlexOrch accepts anything, or next
/// if that is known or the refusal is about a file.
#[derive(Debug)]
pub struct BatchQueue {
    waiting: VecDeque<Batch>,
    refused: HashMap<usize, Refused>,
    next_refused: usize,
    max_keys: NonZeroUsize,
    max_refusals: u32,
    refused_in_a_row: u32,
    /// Whether a request has failed after all its attempts and none has been accepted since.
    failing: bool,
}

#[derive(Debug)]
struct Refused {
    keys: usize,
    halves_accepted: u8,
}

/// What happens to a request that was refused or failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AfterRefusal {
    /// Its halves are queued.
    Halved,
    /// It held only this object: the object is the cause, or FlexOrch refuses everything.
    Alone(usize),
}

impl BatchQueue {
    /// Splits objects into requests of at most `max_keys`, as few as possible, in their order.
    #[must_use]
    pub fn new(objects: &[usize], max_keys: NonZeroUsize) -> Self {
        let waiting: VecDeque<_> = objects.chunks(max_keys.get()).map(Batch::whole).collect();
        // Requests of one key each cannot be halved: then as many as it would take to find one key among all.
        let keys = waiting.front().map_or(0, |batch| batch.objects.len());
        let max_refusals = max_refusals(if keys > 1 { keys } else { objects.len() });
        Self {
            waiting,
            refused: HashMap::new(),
            next_refused: 0,
            max_keys,
            max_refusals,
            refused_in_a_row: 0,
            failing: false,
        }
    }

    /// Removes and returns the next request to send.
    pub fn pop(&mut self) -> Option<Batch> {
        let batch = self.waiting.pop_front()?;
        if batch.objects.len() <= self.max_keys.get() {
            return Some(batch);
        }
        // The size limit has become smaller since this request was formed.
        let mut parts = batch
            .objects
            .chunks(self.max_keys.get())
            .map(|part| Batch { after_failure: batch.after_failure, ..Batch::whole(part) });
        let first = parts.next();
        let rest: Vec<_> = parts.collect();
        rest.into_iter().rev().for_each(|part| self.waiting.push_front(part));
        first
    }

    /// Whether another request may be sent while `under_way` others are in flight: while every response is a refusal, no more
    /// than are needed to know that the objects are not the cause.
    #[must_use]
    pub(crate) fn allows_another(&self, under_way: usize) -> bool {
        let under_way = u32::try_from(under_way).unwrap_or(u32::MAX);
        self.refused_in_a_row == 0 || self.refused_in_a_row.saturating_add(under_way) < self.max_refusals
    }

    /// Whether a request has failed after all its attempts, and none has been accepted since: then the others get one attempt
    /// each, so that an outage costs few requests.
    #[must_use]
    pub(crate) fn is_failing(&self) -> bool {
        self.failing
    }

    /// Whether so many requests were refused in a row that the request itself must be wrong: stop sending.
    #[must_use]
    pub(crate) fn is_hopeless(&self) -> bool {
        self.refused_in_a_row >= self.max_refusals
    }

    /// Whether no request is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Queues objects, each as a separate request.
    pub(crate) fn push_alone(&mut self, objects: impl IntoIterator<Item = usize>) {
        self.waiting.extend(objects.into_iter().map(|object| Batch::whole(&[object])));
    }

    /// Removes and returns the objects of all queued requests.
    pub fn drain(&mut self) -> Vec<usize> {
        self.waiting.drain(..).flat_map(|batch| batch.objects).collect()
    }

    /// Records that FlexOrch accepted the request. Returns the smaller size to remember if both halves of a refused request were
    /// accepted: that request was too large, and its keys were not the cause.
    pub fn accepted(&mut self, batch: &Batch) -> Option<NonZeroUsize> {
        self.refused_in_a_row = 0;
        self.failing = false;
        let refused = self.refused.get_mut(&batch.half_of?)?;
        refused.halves_accepted += 1;
        if batch.after_failure || refused.halves_accepted < 2 {
            return None;
        }
        let smaller = NonZeroUsize::new(refused.keys.div_ceil(2))?.min(self.max_keys);
        self.max_keys = smaller;
        Some(smaller)
    }

    /// Halves a request that FlexOrch refused as a whole. `counts` is whether the refusal may be about the request rather than
    /// its objects; too many of those in a row end the halving.
    pub(crate) fn refused(&mut self, batch: Batch, counts: bool) -> AfterRefusal {
        self.refused_in_a_row += u32::from(counts);
        // If the objects are the cause, the halves are next: an invocation may end before every batch is halved, and the next one begins
        // with whole batches again, so only what is found by then counts. Otherwise other requests first show whether anything is accepted.
        self.halve(batch, false, !counts)
    }

    /// Halves a request that failed after all its attempts, because one of its keys may be the cause. It always counts, so that
    /// an outage costs few requests.
    pub(crate) fn failed(&mut self, batch: Batch) -> AfterRefusal {
        self.refused_in_a_row += 1;
        self.failing = true;
        self.halve(batch, true, false)
    }

    fn halve(&mut self, batch: Batch, after_failure: bool, are_next: bool) -> AfterRefusal {
        let keys = batch.objects.len();
        if let [object] = batch.objects[..] {
            return AfterRefusal::Alone(object);
        }
        let id = self.next_refused;
        self.next_refused += 1;
        self.refused.insert(id, Refused { keys, halves_accepted: 0 });
        let (left, right) = batch.objects.split_at(keys.div_ceil(2));
        let [left, right] =
            [left, right].map(|half| Batch { objects: half.to_vec(), half_of: Some(id), after_failure });
        if are_next {
            self.waiting.push_front(right);
            self.waiting.push_front(left);
        } else {
            self.waiting.push_back(left);
            self.waiting.push_back(right);
        }
        AfterRefusal::Halved
    }
}

/// Returns how many refusals in a row, without an accepted request, show that the objects are not the cause: 2·⌈log2 n⌉ + 2
/// requests find one bad key among n, and by then some of the others have been accepted.
#[must_use]
pub(crate) fn max_refusals(keys: usize) -> u32 {
    2 * keys.max(1).next_power_of_two().ilog2() + 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn size(n: usize) -> NonZeroUsize {
        NonZeroUsize::new(n).unwrap()
    }

    /// Simulates a FlexOrch that refuses a request with a culprit in it. Returns (accepted, alone, unsent, requests).
    fn play(
        n: usize,
        most: usize,
        culprit: impl Fn(usize) -> bool,
    ) -> (BTreeSet<usize>, BTreeSet<usize>, BTreeSet<usize>, usize) {
        let objects: Vec<_> = (0..n).collect();
        let mut queue = BatchQueue::new(&objects, size(most));
        let (mut accepted, mut alone, mut requests) = (BTreeSet::new(), BTreeSet::new(), 0);
        while let Some(batch) = queue.pop() {
            requests += 1;
            if batch.objects.iter().any(|object| culprit(*object)) {
                match queue.refused(batch, accepted.is_empty()) {
                    AfterRefusal::Halved => {}
                    AfterRefusal::Alone(object) => assert!(alone.insert(object), "sent twice after it was found"),
                }
                if queue.is_hopeless() {
                    break;
                }
            } else {
                queue.accepted(&batch);
                for object in batch.objects {
                    assert!(accepted.insert(object), "an accepted key was sent twice");
                }
            }
        }
        (accepted, alone, queue.drain().into_iter().collect(), requests)
    }

    #[test]
    fn n_objects_are_as_few_requests_as_possible() {
        for (n, most, requests) in [(0, 100, 0), (1, 100, 1), (100, 100, 1), (101, 100, 2), (3000, 100, 30), (7, 3, 3)]
        {
            assert_eq!(play(n, most, |_| false).3, requests, "{n} by {most}");
        }
    }

    #[test]
    fn one_culprit_of_a_hundred_is_found_in_about_twice_log2_requests() {
        for culprit in 0..100 {
            let (accepted, alone, _, requests) = play(100, 100, |object| object == culprit);
            assert_eq!((accepted.len(), alone.len()), (99, 1));
            assert!(requests <= 15, "{requests}");
        }
    }

    #[test]
    fn once_the_objects_are_the_cause_a_batch_is_halved_to_its_end_before_the_next_is_sent() {
        let objects: Vec<_> = (0..1_000).collect();
        let mut queue = BatchQueue::new(&objects, size(100));
        let (mut accepted, mut alone) = (0, Vec::new());
        // An invocation's share of a small plan: one culprit in each batch.
        for _ in 0..15 {
            let batch = queue.pop().unwrap();
            if batch.objects.iter().all(|object| object % 100 != 57) {
                queue.accepted(&batch);
                accepted += batch.objects.len();
            } else if let AfterRefusal::Alone(object) = queue.refused(batch, false) {
                alone.push(object);
            }
        }
        assert_eq!((accepted, alone), (99, vec![57]));
    }

    #[test]
    fn many_adjacent_culprits_are_all_found() {
        let (accepted, alone, unsent, _) = play(100, 100, |object| object < 40);
        assert_eq!((accepted.len(), alone.len(), unsent.len()), (60, 40, 0));
    }

    #[test]
    fn halving_stops_if_nothing_is_ever_accepted() {
        let (accepted, alone, unsent, requests) = play(100, 100, |_| true);
        assert_eq!((accepted.len(), alone.len()), (0, 0));
        assert_eq!((unsent.len(), requests), (100, 16));
        assert_eq!(play(10_000, 100, |_| true).3, 16);
        let (_, alone, unsent, requests) = play(1000, 1, |_| true);
        assert_eq!((alone.len(), unsent.len(), requests), (22, 978, 22));
    }

    #[test]
    fn a_request_that_was_only_too_large_teaches_its_half() {
        let objects: Vec<_> = (0..250).collect();
        let mut queue = BatchQueue::new(&objects, size(100));
        let mut sizes = Vec::new();
        while let Some(batch) = queue.pop() {
            sizes.push(batch.objects.len());
            if batch.objects.len() > 60 {
                assert_eq!(queue.refused(batch, true), AfterRefusal::Halved);
            } else {
                queue.accepted(&batch);
            }
        }
        assert_eq!(sizes, [100, 100, 50, 50, 50, 50, 50]);
    }

    proptest! {
        #[test]
        fn whatever_the_culprits_every_good_key_is_accepted_once_and_every_culprit_is_found_alone(
            n in 1usize..200,
            most in 1usize..120,
            culprits in proptest::collection::btree_set(0usize..200, 0..8),
        ) {
            let culprits: BTreeSet<_> = culprits.into_iter().filter(|object| *object < n).collect();
            let (accepted, alone, unsent, requests) = play(n, most, |object| culprits.contains(&object));
            prop_assert_eq!(accepted.len() + alone.len() + unsent.len(), n);
            prop_assert!(alone.is_subset(&culprits));
            if unsent.is_empty() {
                prop_assert_eq!(&alone, &culprits);
            }
            let depth = most.min(n).next_power_of_two().ilog2() as usize;
            prop_assert!(requests <= n.div_ceil(most) + 2 * culprits.len() * depth);
        }
    }
}
