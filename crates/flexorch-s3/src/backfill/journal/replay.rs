//! What a journal comes to, line by line: what is done, what is open, and the sums. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::ranges::Done;
use super::line::{Line, RejectedKey, Settled};

/// Rejected keys that a summary shows; the journal has them all.
const SHOWN: usize = 20;

/// What a journal comes to. It is the same whether it is read or followed while it is written.
#[derive(Debug, Default)]
pub(in super::super) struct Replay {
    pub done: Done,
    /// Keys that are not settled, by the name of their chunk.
    pub open: BTreeMap<Option<String>, Vec<String>>,
    pub tally: Tally,
    pub is_finished: bool,
    /// Lines after the first.
    pub lines: u64,
}

/// The sums.
#[derive(Debug, Default, Clone, Serialize)]
pub(in super::super) struct Tally {
    pub listed: u64,
    pub in_scope: u64,
    pub skipped: BTreeMap<String, u64>,
    pub forwarded: u64,
    pub duplicates: u64,
    pub rejected: u64,
    pub rejected_by_code: BTreeMap<String, u64>,
    /// The first of them.
    pub rejected_first: Vec<RejectedKey>,
    pub requests: u64,
    pub rate_limited: u64,
}

impl Replay {
    /// Adds a line.
    pub(in super::super) fn apply(&mut self, line: Line) {
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
            Line::Finished { .. } => self.is_finished = true,
        }
    }

    fn settle(&mut self, through: Option<String>, settled: Settled) {
        self.tally.add(&settled);
        match settled.open.is_empty() {
            true => self.open.remove(&through),
            false => self.open.insert(through, settled.open),
        };
    }

    /// How many keys are known and not settled.
    pub(in super::super) fn open_keys(&self) -> u64 {
        self.open.values().map(|keys| keys.len() as u64).sum()
    }
}

impl Tally {
    fn add(&mut self, settled: &Settled) {
        self.forwarded += settled.forwarded;
        self.duplicates += settled.duplicates;
        self.requests += settled.requests;
        self.rate_limited += settled.rate_limited;
        self.rejected += settled.rejected.len() as u64;
        for rejected in &settled.rejected {
            *self.rejected_by_code.entry(rejected.code.clone()).or_default() += 1;
            if self.rejected_first.len() < SHOWN {
                self.rejected_first.push(rejected.clone());
            }
        }
    }

    /// Objects that are settled for good.
    pub(in super::super) fn settled(&self) -> u64 {
        self.forwarded + self.rejected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(after: Option<&str>, through: Option<&str>, settled: Settled) -> Line {
        let listed = settled.forwarded + settled.rejected.len() as u64 + settled.open.len() as u64;
        let own = |key: Option<&str>| key.map(str::to_owned);
        Line::Chunk { after: own(after), through: own(through), listed, skipped: BTreeMap::new(), settled }
    }

    #[test]
    fn what_is_sent_again_takes_the_place_of_what_was_open_and_counts_on() {
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
