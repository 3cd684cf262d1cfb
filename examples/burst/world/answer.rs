//! How an invocation ends: what was forwarded is done, what was deferred comes back.

use std::time::Duration;

use flexorch_s3_ingester::ingest::retry::visibility_timeout;
use flexorch_s3_ingester::model::outcome::{DeferClass, Deferral, Outcome};

use super::{Event, NOTICE_DELAY, World};
use crate::lambda::Work;
use crate::queue::MESSAGES_PER_CALL;

/// One call to SQS, and how many of them the function makes concurrently (`aws::sqs`).
const SQS_CALL: Duration = Duration::from_millis(20);
/// See [`SQS_CALL`].
const SQS_CALLS_AT_ONCE: usize = 8;

/// The default of the setting of the same name.
const RENEW_AFTER_RECEIVES: u32 = 100;

impl World<'_> {
    /// Decides when deferred messages return, as `handler::answer` does; an event that arrived directly fails instead.
    pub(super) fn settle(&mut self, id: usize) {
        let now = self.agenda.now();
        let environment = self.lambda.environment(id);
        let deferred = environment.process.outcomes().iter().filter(|outcome| !is_forwarded(outcome)).count();
        let took = match environment.work {
            Work::Notice => Duration::ZERO,
            Work::Batch(..) => SQS_CALL * rounds(deferred),
        };
        environment.settling_from = now;
        let answer = (now + took).min(environment.answer_end.max(now));
        self.agenda.at(answer, Event::Answered(id));
    }

    pub(super) fn answered(&mut self, id: usize) {
        let now = self.agenda.now();
        let visibility = self.visibility();
        let environment = self.lambda.environment(id);
        let objects = std::mem::take(&mut environment.objects);
        environment.taken = 0;
        let (settling_from, answer_end) = (environment.settling_from, environment.answer_end);
        let outcomes = environment.process.outcomes().to_vec();
        let work = environment.work;
        let mut deferred = 0;
        let mut shows = Vec::new();
        for (object, outcome) in objects.iter().copied().zip(outcomes) {
            match (work, outcome) {
                (Work::Notice, Some(Outcome::Forwarded(_))) => {}
                (Work::Notice, _) => {
                    self.tally.failed_notices += 1;
                    self.tally.on_the_way += 1;
                    self.agenda.after(NOTICE_DELAY, Event::Failed(object));
                }
                (Work::Batch(..), Some(Outcome::Forwarded(_))) => self.queue.delete(),
                (Work::Batch(_, received), outcome) => {
                    deferred += 1;
                    let deferral = deferral_of(outcome);
                    let receives = self.queue.receive_count(object);
                    if receives >= RENEW_AFTER_RECEIVES {
                        self.queue.renew(object);
                    }
                    let wait = visibility_timeout(&deferral, receives, now, self.chance.f64());
                    // What there was no time to say comes back after the queue's own timeout.
                    let said = settling_from + SQS_CALL * rounds(deferred) <= answer_end;
                    let until = if said { now + wait } else { received + visibility };
                    self.queue.hide(object, until);
                    shows.push(until);
                }
            }
        }
        self.tally.deferred += deferred as u64;
        if matches!(work, Work::Batch(..)) {
            self.queue.count_calls(objects.len() - deferred);
            self.queue.count_calls(deferred);
        }
        shows.sort_unstable();
        shows.dedup();
        shows.into_iter().for_each(|time| self.agenda.at(time, Event::Show));
        let free = self.lambda.answered(id, now);
        self.agenda.at(free, Event::Free(id));
    }
}

fn is_forwarded(outcome: &Option<Outcome>) -> bool {
    matches!(outcome, Some(Outcome::Forwarded(_)))
}

/// The deferral of an object that was not forwarded: a simulated FlexOrch rejects nothing.
fn deferral_of(outcome: Option<Outcome>) -> Deferral {
    match outcome {
        Some(Outcome::Deferred(deferral)) => deferral,
        _ => Deferral {
            class: DeferClass::Deadline,
            detail: "simulated".into(),
            code: None,
            connector: None,
            not_before: None,
            attempts_exhausted: false,
        },
    }
}

/// How many rounds of calls to SQS so many messages take.
fn rounds(messages: usize) -> u32 {
    u32::try_from(messages.div_ceil(MESSAGES_PER_CALL).div_ceil(SQS_CALLS_AT_ONCE)).unwrap_or(u32::MAX)
}
