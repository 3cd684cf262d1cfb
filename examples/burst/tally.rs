//! Where every object is, so that none is lost; and what is waiting, over time.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::agenda::start;
use crate::scenario::Scenario;

/// The shortest interval at which waiting objects are counted, and its part of the time so far: a run may take months.
const SAMPLE: Duration = Duration::from_secs(1);
/// See [`SAMPLE`].
const SAMPLE_PART: u32 = 10_000;

/// Where the objects are.
pub struct Tally {
    scenario: Scenario,
    /// Objects whose notification or failure record is on its way.
    pub on_the_way: usize,
    pub counts: ObjectCounts,
    is_forwarded: Vec<bool>,
    /// From upload to FlexOrch, in milliseconds.
    pub lags: Vec<u64>,
    /// When the last object was settled.
    pub drained: SystemTime,
    /// When the last object of each connector was forwarded.
    pub drained_by_connector: Vec<SystemTime>,
    /// Seconds from the start, and objects that wait.
    pub waiting: Vec<(f64, usize)>,
    next_sample: SystemTime,
    settled: usize,
}

/// What happened to the objects.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct ObjectCounts {
    /// Objects in the bucket.
    pub uploaded: usize,
    /// Accepted by FlexOrch, as the function knows.
    pub forwarded: usize,
    /// Rejected by FlexOrch: the function has sent a dead letter for each.
    pub rejected: usize,
    /// Messages that were handed back, each time.
    pub deferred: u64,
    /// Notifications whose invocation failed.
    pub failed_notices: u64,
}

/// The objects do not add up.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Imbalance {
    #[error(
        "{uploaded} objects were uploaded, but {ended} are forwarded, rejected, dead or expired, and {waiting} waiting"
    )]
    Lost { uploaded: usize, ended: usize, waiting: usize },
    #[error("object {0} was forwarded twice")]
    Twice(u32),
    #[error("{forwarded} objects are counted as forwarded, but FlexOrch has {taken}")]
    NotTaken { forwarded: usize, taken: u32 },
}

impl Tally {
    /// Nothing has happened yet.
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            scenario: scenario.clone(),
            on_the_way: 0,
            counts: ObjectCounts::default(),
            is_forwarded: vec![false; scenario.objects as usize],
            lags: Vec::with_capacity(scenario.objects as usize),
            drained: start(),
            drained_by_connector: vec![start(); scenario.connectors],
            waiting: Vec::new(),
            next_sample: start(),
            settled: 0,
        }
    }

    /// An object is with FlexOrch.
    ///
    /// # Errors
    /// [`Imbalance::Twice`] if it was before.
    pub fn forward(&mut self, object: u32, now: SystemTime) -> Result<(), Imbalance> {
        if std::mem::replace(&mut self.is_forwarded[object as usize], true) {
            return Err(Imbalance::Twice(object));
        }
        self.counts.forwarded += 1;
        let lag = now.duration_since(start() + self.scenario.uploaded_after(object)).unwrap_or_default();
        self.lags.push(u64::try_from(lag.as_millis()).unwrap_or(u64::MAX));
        self.drained_by_connector[self.scenario.connector_of(object)] = now;
        Ok(())
    }

    /// Returns how many objects ended, if `given_up` of them are dead or expired.
    fn ended(&self, given_up: usize) -> usize {
        self.counts.forwarded + self.counts.rejected + given_up
    }

    /// Records when the last object was settled.
    pub fn settled(&mut self, given_up: usize, now: SystemTime) {
        if self.settled != self.ended(given_up) {
            self.settled = self.ended(given_up);
            self.drained = now;
        }
    }

    /// Whether it is time to count waiting objects.
    pub fn is_due(&self, now: SystemTime) -> bool {
        now >= self.next_sample
    }

    /// Compares what is counted here with what is found where objects can wait, and with what FlexOrch has.
    ///
    /// # Errors
    /// [`Imbalance`] if they differ.
    pub fn check(&mut self, waiting: usize, taken: u32, now: SystemTime) -> Result<(), Imbalance> {
        let (ObjectCounts { uploaded, forwarded, .. }, ended) = (self.counts, self.settled);
        if uploaded != ended + waiting {
            return Err(Imbalance::Lost { uploaded, ended, waiting });
        }
        if forwarded > taken as usize {
            return Err(Imbalance::NotTaken { forwarded, taken });
        }
        let since = now.duration_since(start()).unwrap_or_default();
        self.waiting.push((since.as_secs_f64(), waiting));
        self.next_sample = now + SAMPLE.max(since / SAMPLE_PART);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Shape;
    use crate::scenario::tests::scenario;

    #[test]
    fn an_object_that_is_nowhere_is_noticed_and_so_is_one_that_arrives_twice() {
        let mut tally = Tally::new(&scenario(Shape::Queue, 2, 60));
        tally.counts.uploaded = 2;
        tally.forward(0, start()).unwrap();
        tally.settled(0, start());
        assert_eq!(tally.forward(0, start()), Err(Imbalance::Twice(0)));
        let lost = Imbalance::Lost { uploaded: 2, ended: 1, waiting: 0 };
        assert_eq!(tally.check(0, 1, start()), Err(lost));
        assert_eq!(tally.check(1, 0, start()), Err(Imbalance::NotTaken { forwarded: 1, taken: 0 }));
        assert_eq!(tally.check(1, 1, start()), Ok(()));
    }
}
