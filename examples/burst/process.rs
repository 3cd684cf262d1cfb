//! One process of the function: the loop of `ingest::submit`, for one connector, in virtual time.
//!
//! What is decided is decided by the function's own code (`RateLimiter`, `BatchQueue`, `Budget`, `RetryPolicy`, the reading of answers);
//! the order in which it is asked follows `Submitter::run_lane`, `attempt` and `turn`.

use std::time::{Duration, SystemTime};

use flexorch_s3_ingester::config::Config;
use flexorch_s3_ingester::ingest::batch::{Batch, BatchQueue};
use flexorch_s3_ingester::ingest::rate::{Closed, RateLimiter};
use flexorch_s3_ingester::ingest::retry::{Budget, NextStep, RetryPolicy, backoff};

use crate::flexorch::{Verdict, told_time};

/// A process, which remembers between invocations what FlexOrch answered.
pub struct Process {
    config: Config,
    limiter: RateLimiter,
    /// How long an answered request usually takes.
    usual: Duration,
    run: Run,
}

/// One invocation's requests.
struct Run {
    line: BatchQueue,
    senders: Vec<Sender>,
    end: SystemTime,
    any_sent: bool,
    /// Requests that wait for a turn after this invocation.
    waiting: u32,
    fates: Vec<Fate>,
}

/// A request that waits for its turn or its answer.
struct Sender {
    id: u32,
    batch: Batch,
    attempts: u32,
    started: SystemTime,
}

/// What became of an object in this invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// FlexOrch took it.
    Forwarded,
    /// It is to be delivered again, at this time where it is known.
    Deferred(Option<SystemTime>),
}

/// What the world has to do for the process.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Wake this sender at that time.
    Wake(u32, SystemTime),
    /// Carry this sender's request to FlexOrch; it waits so long for the answer.
    Send(u32, Duration),
    /// These objects, by their positions in the invocation, are with FlexOrch.
    Took(Vec<usize>),
}

/// How a request ended.
#[derive(Debug, Clone, Copy)]
pub enum Ended {
    /// FlexOrch answered.
    Answered(Verdict),
    /// No answer came in time.
    CutOff,
}

impl Process {
    /// A process that has just started.
    pub fn new(config: &Config) -> Self {
        let burst = u32::try_from(config.max_concurrent_requests.get()).unwrap_or(u32::MAX);
        Self {
            config: config.clone(),
            limiter: RateLimiter::new(config.requests_per_minute, burst),
            usual: Duration::ZERO,
            run: Run {
                line: BatchQueue::new(&[], config.max_keys_per_request),
                senders: Vec::new(),
                end: SystemTime::UNIX_EPOCH,
                any_sent: false,
                waiting: 0,
                fates: Vec::new(),
            },
        }
    }

    /// An invocation with so many objects begins; its requests must have ended by `end`.
    pub fn begin(&mut self, objects: usize, end: SystemTime, now: SystemTime) -> Vec<Step> {
        let positions: Vec<usize> = (0..objects).collect();
        self.run = Run {
            line: BatchQueue::new(&positions, self.config.max_keys_per_request),
            senders: Vec::new(),
            end,
            any_sent: false,
            waiting: 0,
            // What nothing settles is deferred, as the ledger does.
            fates: vec![Fate::Deferred(None); objects],
        };
        let mut steps = Vec::new();
        self.fill(0, now, &mut steps);
        steps
    }

    /// Whether every request has ended.
    pub fn is_done(&self) -> bool {
        self.run.senders.is_empty()
    }

    /// What became of the objects, by their positions.
    pub fn fates(&self) -> &[Fate] {
        &self.run.fates
    }

    /// The positions of the objects in a sender's request; none where it has ended.
    pub fn objects_of(&self, sender: u32) -> &[usize] {
        let sender = self.run.senders.iter().find(|known| known.id == sender);
        sender.map_or(&[], |sender| &sender.batch.objects)
    }

    /// A sender has waited for long enough.
    pub fn wake(&mut self, sender: u32, now: SystemTime) -> Vec<Step> {
        let mut steps = Vec::new();
        if let Some(place) = self.run.senders.iter().position(|known| known.id == sender) {
            let sender = self.run.senders.swap_remove(place);
            let next_id = sender.id;
            self.turn(sender, now, &mut steps);
            self.fill(next_id, now, &mut steps);
        }
        steps
    }

    /// A sender's request has ended. `random` is in `0.0..1.0`.
    pub fn ended(&mut self, sender: u32, ended: Ended, now: SystemTime, random: f64) -> Vec<Step> {
        let mut steps = Vec::new();
        let Some(place) = self.run.senders.iter().position(|known| known.id == sender) else { return steps };
        let sender = self.run.senders.swap_remove(place);
        let id = sender.id;
        if matches!(ended, Ended::Answered(_)) {
            self.learn_usual(now.duration_since(sender.started).unwrap_or_default());
        }
        match ended {
            Ended::Answered(Ok(())) => {
                self.run.line.taken(&sender.batch);
                for object in &sender.batch.objects {
                    self.run.fates[*object] = Fate::Forwarded;
                }
                steps.push(Step::Took(sender.batch.objects));
            }
            Ended::Answered(Err(retry_after)) => {
                let told = told_time(retry_after, now);
                let step = self.after_failure(&sender, told, now, random);
                let untold = match step {
                    NextStep::RetryAt(time) => time,
                    NextStep::GiveUp { .. } => now + backoff(sender.attempts, 1.0),
                };
                self.limiter.close(told.unwrap_or(untold));
                self.follow(step, sender, now, &mut steps);
            }
            Ended::CutOff => {
                let step = self.after_failure(&sender, None, now, random);
                self.follow(step, sender, now, &mut steps);
            }
        }
        self.fill(id, now, &mut steps);
        steps
    }

    fn after_failure(&self, sender: &Sender, told: Option<SystemTime>, now: SystemTime, random: f64) -> NextStep {
        let policy = RetryPolicy { max_attempts: self.config.max_attempts };
        policy.after_failure(sender.attempts, told, now, self.budget().latest_start(), random)
    }

    fn follow(&mut self, step: NextStep, sender: Sender, now: SystemTime, steps: &mut Vec<Step>) {
        match step {
            NextStep::RetryAt(time) if time > now => {
                steps.push(Step::Wake(sender.id, time));
                self.run.senders.push(sender);
            }
            NextStep::RetryAt(_) => self.turn(sender, now, steps),
            NextStep::GiveUp { not_before } => self.defer(&sender.batch, not_before),
        }
    }

    /// Takes requests from the line while there may be another under way.
    fn fill(&mut self, after: u32, now: SystemTime, steps: &mut Vec<Step>) {
        let mut id = self.run.senders.iter().map(|sender| sender.id).max().unwrap_or(0).max(after);
        while self.run.senders.len() < self.config.max_concurrent_requests.get()
            && self.run.line.allows_another(self.run.senders.len())
        {
            let Some(batch) = self.run.line.pop() else { break };
            id += 1;
            self.turn(Sender { id, batch, attempts: 0, started: now }, now, steps);
        }
    }

    /// Sends, or waits until a request may start, or leaves it to a later invocation.
    fn turn(&mut self, mut sender: Sender, now: SystemTime, steps: &mut Vec<Step>) {
        let latest = self.budget().latest_start();
        if now > latest {
            return self.defer(&sender.batch, None);
        }
        let (opens, closed) = self.limiter.opens(now);
        if opens > latest {
            let not_before = match closed {
                Closed::RateLimited => opens,
                Closed::Paced => {
                    self.run.waiting += 1;
                    self.limiter.turn_of(self.run.waiting - 1, now)
                }
            };
            return self.defer(&sender.batch, Some(not_before));
        }
        if !self.limiter.pass(now) {
            steps.push(Step::Wake(sender.id, opens));
            self.run.senders.push(sender);
            return;
        }
        let Some(timeout) = self.budget().timeout_at(now) else { return self.defer(&sender.batch, None) };
        sender.attempts += 1;
        sender.started = now;
        self.run.any_sent = true;
        steps.push(Step::Send(sender.id, timeout));
        self.run.senders.push(sender);
    }

    fn defer(&mut self, batch: &Batch, not_before: Option<SystemTime>) {
        for object in &batch.objects {
            self.run.fates[*object] = Fate::Deferred(not_before);
        }
    }

    fn budget(&self) -> Budget {
        let usual = if self.run.any_sent { self.usual } else { Duration::ZERO };
        Budget { end: self.run.end, request_timeout: self.config.request_timeout, usual }
    }

    fn learn_usual(&mut self, took: Duration) {
        self.usual = if took >= self.usual { took } else { (self.usual * 3 + took) / 4 };
    }
}

#[cfg(test)]
mod tests;
