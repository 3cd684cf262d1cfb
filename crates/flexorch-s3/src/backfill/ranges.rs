//! Records which parts of a listing are done, and which are not. Pure.
//!
//! A part is everything after one key through another, in S3's order of keys: the order of their UTF-8 bytes, as of Rust's strings
//! (S3 API Reference, `ListObjectsV2`). Adjacent parts are merged, so that a journal of any length results in a few.

use std::collections::BTreeMap;

/// A part of a listing that is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    /// It starts after this key; `None`: at the beginning.
    pub(crate) after: Option<String>,
    /// It ends with this key; `None`: at the end.
    pub(crate) through: Option<String>,
}

/// The parts of a listing that are done.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// After which key a part starts, and with which it ends; `None` is the beginning and the end.
    parts: BTreeMap<Option<String>, Option<String>>,
}

impl Done {
    /// Adds a part.
    pub(crate) fn add(&mut self, after: Option<String>, through: Option<String>) {
        let before = self.parts.range(..after.clone()).next_back();
        let begin = match before {
            Some((begin, end)) if *end == after && after.is_some() => begin.clone(),
            _ => after,
        };
        let next = through.is_some().then(|| self.parts.remove(&through)).flatten();
        let end = next.unwrap_or(through);
        self.parts.insert(begin, end);
    }

    /// Returns the parts that are not done, in order.
    pub(crate) fn gaps(&self) -> Vec<Gap> {
        let (mut gaps, mut reached) = (Vec::new(), None);
        for (after, through) in &self.parts {
            if *after > reached {
                gaps.push(Gap { after: reached.clone(), through: after.clone() });
            }
            if through.is_none() {
                return gaps;
            }
            reached = reached.max(through.clone());
        }
        gaps.push(Gap { after: reached, through: None });
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(number: usize) -> Option<String> {
        Some(format!("{number:04}"))
    }

    #[test]
    fn nothing_done_is_one_gap_and_everything_done_is_none() {
        let mut done = Done::default();
        assert_eq!(done.gaps(), [Gap { after: None, through: None }]);
        done.add(None, key(1));
        done.add(key(1), None);
        assert!(done.gaps().is_empty());
        assert_eq!(done.parts.len(), 1);
    }

    #[test]
    fn parts_done_out_of_order_leave_the_gap_between_them() {
        let mut done = Done::default();
        done.add(key(2), key(3));
        done.add(None, key(1));
        assert_eq!(done.gaps(), [Gap { after: key(1), through: key(2) }, Gap { after: key(3), through: None }]);
        done.add(key(1), key(2));
        assert_eq!(done.gaps(), [Gap { after: key(3), through: None }]);
    }

    proptest! {
        #[test]
        fn the_gaps_are_exactly_what_is_not_done(
            cuts in proptest::collection::btree_set(1usize..200, 0..30),
            order in proptest::collection::vec(any::<(u16, bool)>(), 31),
        ) {
            let mut bounds: Vec<Option<String>> = vec![None];
            bounds.extend(cuts.iter().map(|cut| key(*cut)));
            bounds.push(None);
            let mut parts: Vec<_> = bounds.windows(2).zip(&order).map(|(pair, order)| (pair[0].clone(), pair[1].clone(), *order)).collect();
            parts.sort_by_key(|(_, _, (place, _))| *place);
            let mut done = Done::default();
            for (after, through, _) in parts.iter().filter(|(_, _, (_, is_done))| *is_done) {
                done.add(after.clone(), through.clone());
            }
            let gaps = done.gaps();
            for number in 0..201 {
                let key = key(number);
                let within = |after: &Option<String>, through: &Option<String>| {
                    key > *after && (through.is_none() || key <= *through)
                };
                let is_done = parts.iter().any(|(after, through, (_, is_done))| *is_done && within(after, through));
                let in_gap = gaps.iter().filter(|gap| within(&gap.after, &gap.through)).count();
                prop_assert_eq!(in_gap, usize::from(!is_done), "{}", number);
            }
            // Adjacent parts are merged: between any two there is a gap.
            prop_assert!(done.parts.len() <= gaps.len() + 1);
        }
    }
}
