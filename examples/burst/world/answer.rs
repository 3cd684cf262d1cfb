//! How an invocation ends: `handler::acknowledge` decides about a batch's messages, and SQS does it.

use std::time::{Duration, SystemTime};

use flexorch_s3_ingester::event::sqs::{Batch, Message};
use flexorch_s3_ingester::handler::Reported;
use flexorch_s3_ingester::handler::acknowledge::{Addition, Delivery, MessageResult, decide};
use flexorch_s3_ingester::model::object::Origin;
use flexorch_s3_ingester::model::outcome::{Ledger, Outcome};

use super::{Event, NOTICE_DELAY, World};
use crate::lambda::Work;
use crate::queue::MESSAGES_PER_CALL;

/// One call to SQS, and how many of them the function makes concurrently (`aws::sqs`).
const SQS_CALL: Duration = Duration::from_millis(20);
/// See [`SQS_CALL`].
const SQS_CALLS_AT_ONCE: usize = 8;

/// Any queue to which copies can be sent.
const QUEUE_ARN: &str = "arn:aws:sqs:us-east-1:123456789012:retry";

impl World<'_> {
    /// Ends an invocation: first dead letters are sent, then copies are sent and messages hidden concurrently. An upload that is
    /// deferred goes to the retry queue.
    pub(super) fn settle(&mut self, id: usize) {
        let now = self.agenda.now();
        let environment = self.lambda.environment(id);
        environment.taken = 0;
        let objects = std::mem::take(&mut environment.objects);
        let outcomes = std::mem::replace(&mut environment.ledger, Ledger::new(0)).close();
        let (work, end) = (environment.work, environment.answer_end.max(now));
        let rejected = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Rejected(_))).count();
        self.tally.counts.rejected += rejected;
        self.queue.count_calls(rejected);
        let deferred = objects.iter().zip(&outcomes).filter(|(_, outcome)| matches!(outcome, Outcome::Deferred(_)));
        let mut answer = now + rounds(rejected);
        match work {
            Work::Notice => {
                for (object, _) in deferred {
                    self.tally.counts.failed_notices += 1;
                    self.tally.on_the_way += 1;
                    self.agenda.at(answer + NOTICE_DELAY, Event::Failed(*object));
                }
            }
            Work::Batch(..) => {
                self.tally.counts.deferred += deferred.count() as u64;
                let results = self.decide(&objects, &outcomes);
                answer += self.acknowledge(&objects, results, answer, end);
            }
        }
        let free = self.lambda.answered(id, answer.min(end));
        self.agenda.at(free, Event::Free(id));
    }

    fn decide(&mut self, objects: &[u32], outcomes: &[Outcome]) -> Vec<MessageResult> {
        let messages = objects.iter().map(|object| {
            let message = self.queue.message(*object);
            Message { receive_count: message.receives.into(), sent: Some(message.sent), ..Message::default() }
        });
        let batch = Batch { queue_arn: Some(QUEUE_ARN.to_owned()), messages: messages.collect() };
        let reported = |(origin, outcome): (Origin, &Outcome)| Reported {
            origin,
            object: Some(self.document.clone()),
            outcome: outcome.clone(),
        };
        let named: Vec<_> = (0..).map(Origin).zip(outcomes).map(reported).collect();
        let renew_after_receives = self.config.renew_after_receives;
        let delivery = Delivery::new(&batch, &named, renew_after_receives, self.config.dead_letter_queue_url.is_some());
        decide(&delivery, self.agenda.now(), || self.chance.f64())
    }

    /// Carries out what was decided, and returns how long that takes. A message for which there is no time for a call before `end`
    /// returns after the queue's own timeout.
    fn acknowledge(
        &mut self,
        objects: &[u32],
        results: Vec<MessageResult>,
        from: SystemTime,
        end: SystemTime,
    ) -> Duration {
        let (mut hidden, mut sent, mut deleted) = (0, 0, 0);
        let mut shows = Vec::new();
        for (object, result) in objects.iter().copied().zip(results) {
            let (calls, wait, delay) = match result {
                MessageResult::Done => {
                    self.queue.delete();
                    deleted += 1;
                    continue;
                }
                MessageResult::Returns(wait) => (&mut hidden, wait, None),
                MessageResult::DoneOnceSent(additions, wait) => (&mut sent, wait, additions.iter().find_map(delay_of)),
            };
            *calls += 1;
            let called = Some(from + rounds(*calls)).filter(|called| *called <= end);
            let copied = called.zip(delay).and_then(|(called, delay)| self.queue.copy(object, delay, called));
            deleted += usize::from(copied.is_some());
            let until = called.zip(wait).map(|(called, wait)| called + wait);
            shows.push(copied.unwrap_or_else(|| self.queue.hide(object, until, self.scenario.visibility())));
        }
        [hidden, sent, deleted].into_iter().for_each(|messages| self.queue.count_calls(messages));
        shows.sort_unstable();
        shows.dedup();
        shows.into_iter().for_each(|time| self.agenda.at(time, Event::Show));
        rounds(hidden).max(rounds(sent))
    }
}

fn delay_of(addition: &Addition) -> Option<Duration> {
    match addition {
        Addition::Copy(delay) | Addition::Replacement(delay) => Some(*delay),
        Addition::DeadLetter | Addition::Rest { .. } | Addition::SetAside { .. } => None,
    }
}

/// Returns how long the calls to SQS for so many messages take.
fn rounds(messages: usize) -> Duration {
    let rounds = messages.div_ceil(MESSAGES_PER_CALL).div_ceil(SQS_CALLS_AT_ONCE);
    SQS_CALL.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX))
}
