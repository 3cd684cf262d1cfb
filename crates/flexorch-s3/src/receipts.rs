//! Sends receipts as the function does, so that what a command submits is tracked like everything else.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::args::{QueueName, ReceiptsOption};
use crate::context::Context;
use crate::deployed::Deployed;
use crate::output::{WARNING, styled};
use crate::text::{counted, escaped};
use crate::uploads;
use flexorch_s3_ingester::aws::failure::{CallError, FailureKind};
use flexorch_s3_ingester::aws::sqs::{OutgoingMessage, Queues};
use flexorch_s3_ingester::clock::Clock;
use flexorch_s3_ingester::handler::receipts::{jobs_of, send};
use flexorch_s3_ingester::ingest::receipt::{AnsweredRequest, receipts};
use flexorch_s3_ingester::model::connector::Connector;
use flexorch_s3_ingester::model::object::S3Object;
use flexorch_s3_ingester::model::outcome::Ledger;
use flexorch_s3_ingester::model::settings::RECEIPTS_QUEUE_URL;

/// The longest time to send the receipts of a few requests.
const LONGEST_SEND: Duration = Duration::from_secs(30);

/// Sends receipts to one queue.
#[derive(Debug)]
pub(crate) struct ReceiptSender {
    queues: Queues,
    queue: QueueName,
    clock: Clock,
    lost: Mutex<Lost>,
}

/// The receipts that could not be sent.
#[derive(Debug, Default)]
struct Lost {
    receipts: u64,
    documents: u64,
    /// Why the first of them could not be sent.
    why: String,
    /// No receipt can be sent until someone acts.
    is_for_good: bool,
}

impl ReceiptSender {
    /// Finds the queue; `None` if no receipts are wanted, or the function sends none itself.
    ///
    /// # Errors
    /// If the function's settings cannot be read, or the connector's secret names no bucket: a receipt could not name its documents.
    pub(crate) async fn find(
        option: &ReceiptsOption,
        connector: &Connector,
        context: &Context,
    ) -> Result<Option<Self>> {
        let queue = match (&option.function, &option.receipts_queue) {
            (Some(function), _) => {
                let found = Deployed::read(context.aws().await?, function).await?;
                let found = found.visible(": name the queue with --receipts-queue")?;
                let Some(url) = found.setting(RECEIPTS_QUEUE_URL) else {
                    let note =
                        format!("function {} has no {RECEIPTS_QUEUE_URL}: no receipts are sent", escaped(function));
                    context.output.progress(styled(WARNING, note));
                    return Ok(None);
                };
                url.parse()
                    .with_context(|| format!("{RECEIPTS_QUEUE_URL} of function {} is {url:?}", escaped(function)))?
            }
            (None, Some(queue)) => queue.clone(),
            (None, None) => return Ok(None),
        };
        if connector.bucket.is_none() {
            bail!(
                "secret {:?} names no bucket, so receipts cannot name their documents: write `bucket` into it; nothing was sent",
                connector.secret_id
            );
        }
        let queues = Queues::new(context.aws().await?.clone(), context.clock);
        Ok(Some(Self { queues, queue, clock: context.clock, lost: Mutex::default() }))
    }

    /// Sends a receipt for every request that FlexOrch took, and for every key that it rejected alone. Returns the positions of the objects
    /// whose receipts could not be sent.
    pub(crate) async fn send(
        &self,
        answered: &[AnsweredRequest],
        objects: &[S3Object],
        ledger: &Mutex<Ledger>,
    ) -> Vec<usize> {
        let receipts = {
            let ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            receipts(answered, |position| Some((objects.get(position)?, ledger.outcome(position)?)))
        };
        let end = self.clock.now() + LONGEST_SEND;
        let deliver = async |messages: &[OutgoingMessage]| -> Vec<Result<(), CallError>> {
            uploads::send(&self.queues, &self.queue, messages, end).await
        };
        let mut positions = Vec::new();
        for (receipt, error) in send(&receipts, self.clock, end, deliver).await {
            let ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            let jobs = jobs_of(receipt, |position| Some((objects.get(position)?, ledger.outcome(position)?)));
            tracing::error!(jobs = jobs.as_str(), error = error.to_string().as_str(), "a receipt is lost");
            let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
            if lost.receipts == 0 {
                lost.why = error.to_string();
            }
            lost.receipts += 1;
            lost.documents += receipt.objects.len() as u64;
            lost.is_for_good |= matches!(
                error.kind(),
                FailureKind::Permission | FailureKind::NotFound | FailureKind::Credentials | FailureKind::OtherRegion
            );
            positions.extend_from_slice(&receipt.objects);
        }
        positions
    }

    /// Says how many receipts could not be sent; `None` if all are sent.
    pub(crate) fn lost(&self) -> Option<String> {
        let Lost { receipts, documents, why, .. } = &*self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        let receipts = Some(*receipts).filter(|receipts| *receipts > 0)?;
        Some(format!(
            "{} with {} could not be sent to {}: {why}; the documents are submitted but not tracked",
            counted(receipts, "receipt"),
            counted(*documents, "document"),
            self.queue
        ))
    }

    /// Says why no receipt can be sent until someone acts; `None` if one can.
    pub(crate) fn refused(&self) -> Option<String> {
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.is_for_good.then(|| format!("receipts cannot be sent to {}: {}", self.queue, lost.why))
    }
}
