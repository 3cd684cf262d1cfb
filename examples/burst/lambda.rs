//! Lambda: processes that are started, kept warm and paid for.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use flexorch_s3_ingester::config::Config;
use flexorch_s3_ingester::model::outcome::Ledger;
use serde::Serialize;

use crate::process::Process;
use crate::scenario::{Scenario, Secrets};

/// "Every 10 seconds, Lambda can allocate at most 1,000 additional execution environment instances to each of your functions",
/// and refills that continuously (Lambda Developer Guide, "Lambda scaling behavior").
const NEW_AT_ONCE: f64 = 1000.0;
/// See [`NEW_AT_ONCE`].
const NEW_PER_SECOND: f64 = 100.0;

/// A process takes 10 events a second at most (the same page, "request rate"): so long is it taken by one, however short.
pub const LEAST_TURN: Duration = Duration::from_millis(100);

/// From the order to start a process to its first event: an assumption.
pub const COLD_START: Duration = Duration::from_millis(150);

/// A full processor's share of an invocation: reading, routing and writing lines, without any waiting.
const WORK: Duration = Duration::from_micros(200);
/// The same for each object of it.
const WORK_PER_OBJECT: Duration = Duration::from_micros(6);
/// "At 1,769 MB, a function has the equivalent of one vCPU" (Lambda Developer Guide, "Configure Lambda function memory").
const FULL_PROCESSOR_MB: u32 = 1769;

/// A process and what it works on.
pub struct Environment {
    /// The program.
    pub process: Process,
    /// What the present invocation is for.
    pub work: Work,
    /// The present invocation's objects.
    pub objects: Vec<u32>,
    /// Of these, how many are with FlexOrch.
    pub taken: usize,
    /// When Lambda began to count its time.
    pub billed_from: SystemTime,
    /// When the current invocation must have responded.
    pub answer_end: SystemTime,
    /// Its objects' outcomes.
    pub ledger: Ledger,
}

/// What an invocation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// One notification.
    Notice,
    /// A batch of the retry queue, for this slot of the poller, received at this time.
    Batch(usize, SystemTime),
}

/// All processes of the function.
pub struct Lambda {
    config: Config,
    secrets: Rc<Secrets>,
    memory_mb: u32,
    limit: usize,
    /// Processes that may be started now.
    allowance: f64,
    refilled: SystemTime,
    environments: Vec<Environment>,
    /// Idle ones; the last that worked is the first that works again.
    idle: Vec<usize>,
    busy: usize,
    pub counts: LambdaCounts,
}

/// What Lambda has done.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LambdaCounts {
    /// Invocations, for notifications and batches.
    pub invocations: u64,
    /// Those for batches.
    pub batches: u64,
    /// The most processes that worked concurrently.
    pub most_at_once: usize,
    /// Time that is paid for.
    pub billed: Duration,
    /// Orders to start that Lambda had no room for.
    pub throttled: u64,
}

impl Lambda {
    /// No process is there yet.
    pub fn new(scenario: &Scenario, config: &Config, secrets: Rc<Secrets>, now: SystemTime) -> Self {
        Self {
            config: config.clone(),
            secrets,
            memory_mb: scenario.memory_mb,
            limit: scenario.concurrency,
            allowance: NEW_AT_ONCE,
            refilled: now,
            environments: Vec::new(),
            idle: Vec::new(),
            busy: 0,
            counts: LambdaCounts::default(),
        }
    }

    /// Starts an invocation in a warm process or a new one; returns which, and when the program begins to send.
    ///
    /// # Errors
    /// Returns the objects if the invocation is throttled.
    pub fn invoke(&mut self, work: Work, objects: Vec<u32>, now: SystemTime) -> Result<(usize, SystemTime), Vec<u32>> {
        let refill = now.duration_since(self.refilled).unwrap_or_default().as_secs_f64() * NEW_PER_SECOND;
        self.allowance = (self.allowance + refill).min(NEW_AT_ONCE);
        self.refilled = now;
        let (id, starting) = match self.idle.pop() {
            Some(id) => (id, Duration::ZERO),
            None if self.busy < self.limit && self.allowance >= 1.0 => {
                self.allowance -= 1.0;
                self.environments.push(Environment {
                    process: Process::new(&self.config, Rc::clone(&self.secrets), now),
                    work,
                    objects: Vec::new(),
                    taken: 0,
                    billed_from: now,
                    answer_end: now,
                    ledger: Ledger::new(0),
                });
                (self.environments.len() - 1, COLD_START)
            }
            None => {
                self.counts.throttled += 1;
                return Err(objects);
            }
        };
        self.busy += 1;
        self.counts.most_at_once = self.counts.most_at_once.max(self.busy);
        self.counts.invocations += 1;
        self.counts.batches += u64::from(matches!(work, Work::Batch(..)));
        let cpu = WORK + WORK_PER_OBJECT.saturating_mul(u32::try_from(objects.len()).unwrap_or(u32::MAX));
        let cpu = cpu.mul_f64(f64::from(FULL_PROCESSOR_MB.max(self.memory_mb)) / f64::from(self.memory_mb));
        let environment = &mut self.environments[id];
        environment.work = work;
        environment.objects = objects;
        environment.taken = 0;
        // The initialisation is paid for as well.
        environment.billed_from = now;
        Ok((id, now + starting + cpu))
    }

    /// A process.
    pub fn environment(&mut self, id: usize) -> &mut Environment {
        &mut self.environments[id]
    }

    /// An invocation has ended: what is paid for is rounded up to a millisecond. Returns when the process is free.
    pub fn answered(&mut self, id: usize, now: SystemTime) -> SystemTime {
        let from = self.environments[id].billed_from;
        let took = now.duration_since(from).unwrap_or_default();
        self.counts.billed += Duration::from_millis(u64::try_from(took.as_micros().div_ceil(1000)).unwrap_or(u64::MAX));
        now.max(from + LEAST_TURN)
    }

    /// The process waits for another invocation.
    pub fn free(&mut self, id: usize) {
        self.busy -= 1;
        self.idle.push(id);
    }

    /// Processes that were ever started.
    pub fn started(&self) -> usize {
        self.environments.len()
    }

    /// Returns how often FlexOrch refused an API key although the secret holds no other.
    pub fn auth_failures(&self) -> u64 {
        self.environments.iter().map(|environment| environment.process.auth_failures).sum()
    }

    /// Objects of invocations that have not ended, without those that are with FlexOrch.
    pub fn unsettled(&self) -> usize {
        self.environments.iter().map(|environment| environment.objects.len() - environment.taken).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agenda::start;
    use crate::scenario::Shape;
    use crate::scenario::tests::scenario;

    fn lambda(change: impl FnOnce(&mut Scenario)) -> Lambda {
        let mut scenario = scenario(Shape::Direct, 1, 60);
        change(&mut scenario);
        Lambda::new(&scenario, &scenario.function().unwrap(), Rc::new(scenario.secrets().unwrap()), start())
    }

    fn starts(lambda: &mut Lambda, wanted: u32, now: SystemTime) -> usize {
        (0..wanted).filter(|object| lambda.invoke(Work::Notice, vec![*object], now).is_ok()).count()
    }

    #[test]
    fn a_thousand_processes_start_at_once_and_then_a_hundred_a_second() {
        let mut lambda = lambda(|scenario| scenario.concurrency = 5000);
        assert_eq!(starts(&mut lambda, 3000, start()), 1000);
        assert_eq!(starts(&mut lambda, 3000, start() + Duration::from_secs(2)), 200);
    }

    #[test]
    fn no_more_processes_work_at_once_than_the_quota_and_warm_ones_come_first() {
        let mut lambda = lambda(|scenario| scenario.concurrency = 2);
        assert_eq!(starts(&mut lambda, 3, start()), 2);
        lambda.free(1);
        assert_eq!(starts(&mut lambda, 1, start()), 1);
        assert_eq!((lambda.started(), lambda.counts.throttled, lambda.counts.most_at_once), (2, 1, 2));
    }

    #[test]
    fn a_small_function_takes_longer_and_what_is_paid_for_is_whole_milliseconds() {
        let mut small = lambda(|scenario| scenario.memory_mb = 128);
        let mut large = lambda(|scenario| scenario.memory_mb = 1769);
        let ready = |lambda: &mut Lambda| lambda.invoke(Work::Notice, vec![0], start()).unwrap().1;
        assert!(ready(&mut small) > ready(&mut large));
        small.answered(0, start() + Duration::from_micros(150_300));
        assert_eq!(small.counts.billed, Duration::from_millis(151));
    }
}
