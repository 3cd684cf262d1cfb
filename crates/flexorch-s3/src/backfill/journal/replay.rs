//! Accumulates a journal line by line: what is done, what is open, and the totals. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use super::line::{Line, RejectedKey, Settled};
use crate::backfill::ranges::Done;

/// How many rejected keys a summary shows; the journal contains all.
const SHOWN: usize = 20;

/// The state of a backfill according to its journal.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    pub(crate) done: Done,
    /// Keys that are not settled, by the last key of their chunk.
    pub(crate) open: BTreeMap<Option<String>, Vec<String>>,
    /// Settled keys whose receipts could not be sent, with their ETags.
    pub(crate) without_receipt: BTreeMap<String, Option<String>>,
    pub(crate) tally: Tally,
    pub(crate) is_finished: bool,
    /// Lines after the first.
    pub(crate) lines: u64,
}

#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Tally {
    pub(crate) listed: u64,
    pub(crate) in_scope: u64,
    pub(crate) skipped: BTreeMap<String, u64>,
    pub(crate) forwarded: u64,
    pub(crate) duplicates: u64,
    pub(crate) rejected: u64,
    pub(crate) rejected_by_code: BTreeMap<String, u64>,
    pub(crate) rejected_first: Vec<RejectedKey>,
    pub(crate) requests: u64,
    pub(crate) rate_limited: u64,
    pub(crate) quota_exceeded: u64,
}

impl Replay {
    pub(crate) fn apply(&mut self, line: Line) {
        self.lines += 1;
        match line {
            Line::Chunk { after, through, listed, skipped, settled } => {
                self.tally.listed += listed;
                self.tally.in_scope += listed - skipped.values().sum::<u64>().min(listed);
                for (reason, number) in skipped {
                    *self.tally.skipped.entry(reason).or_default() += number;
                }
                self.done.add(after, through.clone());
                self.settle(through, settled);
            }
            Line::Again { through, settled } => self.settle(through, settled),
            Line::Receipts { keys } => keys.iter().for_each(|key| _ = self.without_receipt.remove(key)),
            Line::Finished { .. } => self.is_finished = true,
        }
    }

    fn settle(&mut self, through: Option<String>, settled: Settled) {
        self.tally.add(&settled);
        self.without_receipt.extend(settled.without_receipt.into_iter().map(|one| (one.key, one.etag)));
        match settled.open.is_empty() {
            true => self.open.remove(&through),
            false => self.open.insert(through, settled.open),
        };
    }

    /// Returns how many listed keys are not settled.
    pub(crate) fn open_keys(&self) -> u64 {
        self.open.values().map(|keys| keys.len() as u64).sum()
    }
}

impl Tally {
    fn add(&mut self, settled: &Settled) {
        self.forwarded += settled.forwarded;
        self.duplicates += settled.duplicates;
        self.requests += settled.requests;
        self.rate_limited += settled.rate_limited;
        self.quota_exceeded += settled.quota_exceeded;
        self.rejected += settled.rejected.len() as u64;
        for rejected in &settled.rejected {
            *self.rejected_by_code.entry(rejected.code.clone()).or_default() += 1;
            if self.rejected_first.len() < SHOWN {
                self.rejected_first.push(rejected.clone());
            }
        }
    }

    /// Returns how many objects are settled.
    pub(crate) fn settled(&self) -> u64 {
        self.forwarded + self.rejected
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::WithoutReceipt;
    use super::*;

    fn chunk(after: Option<&str>, through: Option<&str>, settled: Settled) -> Line {
        let listed = settled.forwarded + settled.rejected.len() as u64 + settled.open.len() as u64;
        let own = |key: Option<&str>| key.map(str::to_owned);
        Line::Chunk { after: own(after), through: own(through), listed, skipped: BTreeMap::new(), settled }
    }

    #[test]
    fn results_of_a_retry_replace_the_open_keys_and_add_to_the_totals() {
        let mut replay = Replay::default();
        let open = Settled { forwarded: 1, open: vec!["b".into(), "c".into()], ..Settled::default() };
        replay.apply(chunk(None, Some("c"), open));
        assert_eq!(replay.open_keys(), 2);
        let rejected = RejectedKey { key: "b".into(), code: "X".into(), message: String::new() };
        let again = Settled { forwarded: 1, rejected: vec![rejected], ..Settled::default() };
        replay.apply(Line::Again { through: Some("c".into()), settled: again });
        assert_eq!((replay.open_keys(), replay.tally.settled(), replay.tally.in_scope), (0, 3, 3));
        assert_eq!(replay.done.gaps().len(), 1);
    }

    #[test]
    fn a_key_without_a_receipt_is_one_until_its_receipt_is_sent() {
        let mut replay = Replay::default();
        let without = |key: &str| WithoutReceipt { key: key.into(), etag: Some("e".into()) };
        let settled = Settled { forwarded: 2, without_receipt: vec![without("a"), without("b")], ..Settled::default() };
        replay.apply(chunk(None, None, settled));
        replay.apply(Line::Receipts { keys: vec!["a".into()] });
        assert_eq!(replay.without_receipt, BTreeMap::from([("b".to_owned(), Some("e".to_owned()))]));
        assert_eq!(replay.tally.forwarded, 2);
    }

    #[test]
    fn a_summary_shows_the_first_twenty_rejected_keys_and_counts_all() {
        let rejected =
            |number: usize| RejectedKey { key: number.to_string(), code: "X".into(), message: String::new() };
        let settled = Settled { rejected: (0..50).map(rejected).collect(), ..Settled::default() };
        let mut replay = Replay::default();
        replay.apply(chunk(None, None, settled));
        assert_eq!((replay.tally.rejected, replay.tally.rejected_first.len()), (50, 20));
        assert_eq!(replay.tally.rejected_by_code["X"], 50);
    }
}
