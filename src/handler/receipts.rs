//! Sends receipts, and logs those that cannot be sent.

use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use super::run::MOST_LATE_LINES;
use super::{Ingester, Run};
use crate::aws::failure::CallError;
use crate::aws::sqs::OutgoingMessage;
use crate::clock::Clock;
use crate::ingest::receipt::{Receipt, receipts};
use crate::ingest::retry::backoff;
use crate::model::object::S3Object;
use crate::model::outcome::Outcome;

/// What an operator does about a lost receipt.
pub const REMEDY: &str = "check RECEIPTS_QUEUE_URL and the permission sqs:SendMessage on that queue; then submit these keys again with \
                          `flexorch-s3 submit --function NAME`: FlexOrch knows them, and a receipt names their jobs";

impl Ingester {
    /// Sends a receipt for every request that FlexOrch accepted, and for every key that it rejected alone. Returns how many could not be
    /// sent: they are logged with their jobs, and nothing else depends on them.
    pub(super) async fn send_receipts(&self, run: &Run) -> u64 {
        let Some(queue) = &self.config.receipts_queue_url else { return 0 };
        let settled = |position: usize| {
            let reported = run.report.objects.get(position)?;
            Some((reported.object.as_ref()?, &reported.outcome))
        };
        let receipts = receipts(&run.answered, settled);
        let end = run.times.answer_end;
        let deliver = async |messages: &[OutgoingMessage]| self.queues.send_to_url(queue, messages, end).await;
        let lost = send(&receipts, self.clock, end, deliver).await;
        let mut unwritten = 0_u64;
        for (number, (receipt, error)) in lost.iter().enumerate() {
            if number >= MOST_LATE_LINES && self.clock.now() >= end {
                unwritten += 1;
                continue;
            }
            tracing::error!(
                queue = queue.as_str(),
                connector = &*receipt.connector,
                documents = receipt.objects.len(),
                jobs = jobs_of(receipt, settled).as_str(),
                error = error.to_string().as_str(),
                action = REMEDY,
                "a receipt is lost: these documents are submitted but not tracked"
            );
        }
        if unwritten > 0 {
            tracing::error!(receipts = unwritten, "no time was left for a line about each of these lost receipts");
        }
        lost.len() as u64
    }
}

/// Sends receipts with `deliver`, which sends messages until `end` at the latest and returns the result of each. What fails for a
/// transient reason is sent again until then. Returns the receipts that could not be sent.
pub async fn send<'r>(
    receipts: &'r [Receipt],
    clock: Clock,
    end: SystemTime,
    deliver: impl AsyncFn(&[OutgoingMessage]) -> Vec<Result<(), CallError>>,
) -> Vec<(&'r Receipt, CallError)> {
    let mut unsent: Vec<&Receipt> = receipts.iter().collect();
    let (mut lost, mut attempts) = (Vec::new(), 0);
    while !unsent.is_empty() {
        let message = |receipt: &&Receipt| OutgoingMessage {
            body: receipt.body.clone(),
            attributes: Vec::new(),
            delay: Duration::ZERO,
            group: None,
        };
        let messages: Vec<_> = unsent.iter().map(message).collect();
        let sent = deliver(&messages).await;
        attempts += 1;
        let failed = unsent.into_iter().zip(sent).filter_map(|(receipt, sent)| Some((receipt, sent.err()?)));
        let (transient, permanent): (Vec<_>, Vec<_>) = failed.partition(|(_, error)| error.is_transient());
        lost.extend(permanent);
        let again = clock.now() + backoff(attempts, fastrand::f64());
        if again >= end {
            lost.extend(transient);
            break;
        }
        unsent = transient.into_iter().map(|(receipt, _)| receipt).collect();
        if !unsent.is_empty() {
            clock.sleep_until(again).await;
        }
    }
    lost
}

/// Returns the keys that a receipt names, with their jobs: a JSON object. A rejected document has no job.
#[must_use]
pub fn jobs_of<'a>(receipt: &Receipt, settled: impl Fn(usize) -> Option<(&'a S3Object, &'a Outcome)>) -> String {
    struct Jobs<'a>(Vec<(&'a S3Object, &'a Outcome)>);
    impl Serialize for Jobs<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().map(|(object, outcome)| {
                let job = match outcome {
                    Outcome::Forwarded(forwarded) => forwarded.job_id.as_ref(),
                    _ => None,
                };
                (object.key.as_str(), job)
            }))
        }
    }
    let documents = receipt.objects.iter().filter_map(|position| settled(*position));
    serde_json::to_string(&Jobs(documents.collect())).unwrap_or_default()
}
