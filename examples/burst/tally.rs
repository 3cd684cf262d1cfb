//! Where every object is, so that none is lost; and what is waiting, over time.

use std::time::{Duration, SystemTime};

use crate::agenda::start;
use crate::scenario::Scenario;

/// The interval at which waiting objects are counted.
const SAMPLE: Duration = Duration::from_secs(1);

/// The books.
pub struct Tally {
    scenario: Scenario,
    /// Objects in the bucket.
    pub uploaded: usize,
    /// Of these, those whose notification or failure record is under way.
    pub on_the_way: usize,
    /// Objects that FlexOrch took, as the function knows.
    pub forwarded: usize,
    /// Objects in the dead-letter queue.
    pub dead: usize,
    /// Messages that were handed back, each time.
    pub deferred: u64,
    /// Notifications whose invocation failed.
    pub failed_notices: u64,
    is_forwarded: Vec<bool>,
    /// From upload to FlexOrch, in milliseconds.
    pub lags: Vec<u32>,
    /// When the last object was settled.
    pub drained: SystemTime,
    /// Seconds from the start, and objects that wait.
    pub waiting: Vec<(f64, usize)>,
    next_sample: SystemTime,
    settled: usize,
}

/// The objects do not add up.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Imbalance {
    /// Forwarded, dead and waiting objects are not all that were uploaded.
    #[error("{uploaded} objects were uploaded, but {forwarded} are forwarded, {dead} dead and {waiting} waiting")]
    Lost {
        /// Objects in the bucket.
        uploaded: usize,
        /// With FlexOrch.
        forwarded: usize,
        /// In the dead-letter queue.
        dead: usize,
        /// Anywhere between.
        waiting: usize,
    },
    /// An object was forwarded again.
    #[error("object {0} was forwarded twice")]
    Twice(u32),
    /// The function counts what FlexOrch does not have.
    #[error("{forwarded} objects are counted as forwarded, but FlexOrch has {taken}")]
    NotTaken {
        /// The function's count.
        forwarded: usize,
        /// FlexOrch's.
        taken: u32,
    },
}

impl Tally {
    /// Nothing has happened yet.
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            scenario: scenario.clone(),
            uploaded: 0,
            on_the_way: 0,
            forwarded: 0,
            dead: 0,
            deferred: 0,
            failed_notices: 0,
            is_forwarded: vec![false; scenario.objects as usize],
            lags: Vec::with_capacity(scenario.objects as usize),
            drained: start(),
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
        self.forwarded += 1;
        let lag = now.duration_since(start() + self.scenario.uploaded_after(object)).unwrap_or_default();
        self.lags.push(u32::try_from(lag.as_millis()).unwrap_or(u32::MAX));
        Ok(())
    }

    /// Remembers when the last object was settled.
    pub fn settled(&mut self, now: SystemTime) {
        if self.settled != self.forwarded + self.dead {
            self.settled = self.forwarded + self.dead;
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
        let (uploaded, forwarded, dead) = (self.uploaded, self.forwarded, self.dead);
        if uploaded != forwarded + dead + waiting {
            return Err(Imbalance::Lost { uploaded, forwarded, dead, waiting });
        }
        if forwarded > taken as usize {
            return Err(Imbalance::NotTaken { forwarded, taken });
        }
        self.waiting.push((now.duration_since(start()).unwrap_or_default().as_secs_f64(), waiting));
        self.next_sample = now + SAMPLE;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Shape;
    use std::num::NonZeroU32;

    #[test]
    fn an_object_that_is_nowhere_is_noticed_and_so_is_one_that_arrives_twice() {
        let mut tally = Tally::new(&Scenario::new(Shape::Queue, 2, NonZeroU32::MIN));
        tally.uploaded = 2;
        tally.forward(0, start()).unwrap();
        assert_eq!(tally.forward(0, start()), Err(Imbalance::Twice(0)));
        let lost = Imbalance::Lost { uploaded: 2, forwarded: 1, dead: 0, waiting: 0 };
        assert_eq!(tally.check(0, 1, start()), Err(lost));
        assert_eq!(tally.check(1, 0, start()), Err(Imbalance::NotTaken { forwarded: 1, taken: 0 }));
        assert_eq!(tally.check(1, 1, start()), Ok(()));
    }
}
