//! Objects → requests, and the halving of requests that FlexOrch refuses as a whole. Pure.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;

/// One request's objects, by their positions in the invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The objects.
    pub objects: Vec<usize>,
    /// The refused request that this is a half of.
    half_of: Option<usize>,
}

/// The requests of one connector that wait for their turn.
///
/// A refused request comes back as two halves at the end of the line, so that whole requests, and the good halves of others, are
/// sent first: whether FlexOrch takes anything at all is known early.
#[derive(Debug)]
pub struct BatchQueue {
    waiting: VecDeque<Batch>,
    refused: HashMap<usize, Refused>,
    next_refused: usize,
    most_keys: NonZeroUsize,
    most_refusals: u32,
    refused_in_a_row: u32,
    taken: bool,
}

#[derive(Debug)]
struct Refused {
    keys: usize,
    halves_taken: u8,
}

/// What a refusal leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AfterRefusal {
    /// The halves wait for their turn.
    Halved,
    /// The request held one key: it is the culprit, or FlexOrch refuses everything.
    Alone(usize),
}

impl BatchQueue {
    /// Objects as requests of at most `most_keys`, as few as possible, in their order.
    #[must_use]
    pub fn new(objects: &[usize], most_keys: NonZeroUsize) -> Self {
        let waiting: VecDeque<_> =
            objects.chunks(most_keys.get()).map(|chunk| Batch { objects: chunk.to_vec(), half_of: None }).collect();
        // Of requests with one key each, as many as it would take to find one among them all.
        let keys = waiting.front().map_or(0, |batch| batch.objects.len());
        let most_refusals = most_refusals(if keys > 1 { keys } else { objects.len() });
        Self {
            waiting,
            refused: HashMap::new(),
            next_refused: 0,
            most_keys,
            most_refusals,
            refused_in_a_row: 0,
            taken: false,
        }
    }

    /// The next request to send.
    pub fn pop(&mut self) -> Option<Batch> {
        let batch = self.waiting.pop_front()?;
        if batch.objects.len() <= self.most_keys.get() {
            return Some(batch);
        }
        // A smaller size was learned since this one was made.
        let mut parts =
            batch.objects.chunks(self.most_keys.get()).map(|chunk| Batch { objects: chunk.to_vec(), half_of: None });
        let first = parts.next();
        let rest: Vec<_> = parts.collect();
        rest.into_iter().rev().for_each(|part| self.waiting.push_front(part));
        first
    }

    /// Whether another request may be sent beside `under_way` others: while FlexOrch has refused everything, no more than it
    /// takes to know that it is not the objects.
    #[must_use]
    pub fn allows_another(&self, under_way: usize) -> bool {
        let under_way = u32::try_from(under_way).unwrap_or(u32::MAX);
        self.taken || self.refused_in_a_row == 0 || self.refused_in_a_row.saturating_add(under_way) < self.most_refusals
    }

    /// Nothing but refusals, so many that it is not the objects: what waits is not to be sent.
    #[must_use]
    pub fn is_hopeless(&self) -> bool {
        !self.taken && self.refused_in_a_row >= self.most_refusals
    }

    /// Puts single objects in line, each as a request of its own.
    pub fn push_alone(&mut self, objects: impl IntoIterator<Item = usize>) {
        self.waiting.extend(objects.into_iter().map(|object| Batch { objects: vec![object], half_of: None }));
    }

    /// Everything that still waits.
    pub fn drain(&mut self) -> Vec<usize> {
        self.waiting.drain(..).flat_map(|batch| batch.objects).collect()
    }

    /// FlexOrch took the request. Answers the smaller size to remember where it took both halves of a refused one: that was
    /// too large, and nothing was wrong with its keys.
    pub fn taken(&mut self, batch: &Batch) -> Option<NonZeroUsize> {
        self.taken = true;
        self.refused_in_a_row = 0;
        let refused = self.refused.get_mut(&batch.half_of?)?;
        refused.halves_taken += 1;
        if refused.halves_taken < 2 {
            return None;
        }
        let smaller = NonZeroUsize::new(refused.keys.div_ceil(2))?.min(self.most_keys);
        self.most_keys = smaller;
        Some(smaller)
    }

    /// FlexOrch refused the request as a whole.
    pub fn refused(&mut self, batch: Batch) -> AfterRefusal {
        self.refused_in_a_row += 1;
        let keys = batch.objects.len();
        if let [object] = batch.objects[..] {
            return AfterRefusal::Alone(object);
        }
        let id = self.next_refused;
        self.next_refused += 1;
        self.refused.insert(id, Refused { keys, halves_taken: 0 });
        let (left, right) = batch.objects.split_at(keys.div_ceil(2));
        for half in [left, right] {
            self.waiting.push_back(Batch { objects: half.to_vec(), half_of: Some(id) });
        }
        AfterRefusal::Halved
    }
}

/// So many refusals in a row, and nothing taken, say that it is not the objects: 2·⌈log2 n⌉ + 2 finds one culprit among n keys
/// and has seen the others taken by then.
#[must_use]
pub fn most_refusals(keys: usize) -> u32 {
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

    /// Plays FlexOrch: refuses a request that holds a culprit. Answers (taken, alone, unsent, requests).
    fn play(
        n: usize,
        most: usize,
        culprit: impl Fn(usize) -> bool,
    ) -> (BTreeSet<usize>, BTreeSet<usize>, BTreeSet<usize>, usize) {
        let objects: Vec<_> = (0..n).collect();
        let mut queue = BatchQueue::new(&objects, size(most));
        let (mut taken, mut alone, mut requests) = (BTreeSet::new(), BTreeSet::new(), 0);
        while let Some(batch) = queue.pop() {
            requests += 1;
            if batch.objects.iter().any(|object| culprit(*object)) {
                match queue.refused(batch) {
                    AfterRefusal::Halved => {}
                    AfterRefusal::Alone(object) => assert!(alone.insert(object), "sent twice after it was found"),
                }
                if queue.is_hopeless() {
                    break;
                }
            } else {
                queue.taken(&batch);
                for object in batch.objects {
                    assert!(taken.insert(object), "an accepted key was sent twice");
                }
            }
        }
        (taken, alone, queue.drain().into_iter().collect(), requests)
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
            let (taken, alone, _, requests) = play(100, 100, |object| object == culprit);
            assert_eq!((taken.len(), alone.len()), (99, 1));
            assert!(requests <= 15, "{requests}");
        }
    }

    #[test]
    fn many_culprits_side_by_side_are_all_found() {
        let (taken, alone, unsent, _) = play(100, 100, |object| object < 40);
        assert_eq!((taken.len(), alone.len(), unsent.len()), (60, 40, 0));
    }

    #[test]
    fn halving_stops_where_nothing_is_ever_taken() {
        let (taken, alone, unsent, requests) = play(100, 100, |_| true);
        assert_eq!((taken.len(), alone.len()), (0, 0));
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
                assert_eq!(queue.refused(batch), AfterRefusal::Halved);
            } else {
                queue.taken(&batch);
            }
        }
        assert_eq!(sizes, [100, 100, 50, 50, 50, 50, 50]);
    }

    proptest! {
        #[test]
        fn whatever_the_culprits_every_good_key_is_taken_once_and_every_culprit_stands_alone(
            n in 1usize..200,
            most in 1usize..120,
            culprits in proptest::collection::btree_set(0usize..200, 0..8),
        ) {
            let culprits: BTreeSet<_> = culprits.into_iter().filter(|object| *object < n).collect();
            let (taken, alone, unsent, requests) = play(n, most, |object| culprits.contains(&object));
            prop_assert_eq!(taken.len() + alone.len() + unsent.len(), n);
            prop_assert!(alone.is_subset(&culprits));
            if unsent.is_empty() {
                prop_assert_eq!(&alone, &culprits);
            }
            let depth = most.min(n).next_power_of_two().ilog2() as usize;
            prop_assert!(requests <= n.div_ceil(most) + 2 * culprits.len() * depth);
        }
    }
}
