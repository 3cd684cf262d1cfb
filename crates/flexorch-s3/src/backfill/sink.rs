//! Sends objects to FlexOrch, or to the function's queue.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::chunk::Chunk;
use super::queue::QueueSender;
use super::settle::{SendResult, evaluate};
use crate::forwarder::Forwarder;
use flexorch_s3_ingester::model::object::S3Object;
use flexorch_s3_ingester::model::outcome::{Ledger, Outcome};
use flexorch_s3_ingester::telemetry::metrics::Metrics;

/// Where objects are sent.
#[derive(Debug)]
pub(crate) enum Sink {
    FlexOrch(Box<Forwarder>),
    Queue(Box<QueueSender>),
}

/// A chunk, or what is open of it, that is to be sent.
#[derive(Debug)]
pub(crate) struct PendingChunk {
    /// The last key of the chunk, which identifies it in the journal.
    pub(crate) through: Option<String>,
    /// The chunk's header, unless it is in the journal already.
    pub(crate) header: Option<ChunkHeader>,
    pub(crate) objects: Vec<S3Object>,
    /// Whether each key is sent alone, because the request was refused as a whole before.
    pub(crate) singly: bool,
}

/// What the journal records of a chunk apart from its results.
#[derive(Debug)]
pub(crate) struct ChunkHeader {
    pub(crate) after: Option<String>,
    pub(crate) listed: u64,
    pub(crate) skipped: BTreeMap<String, u64>,
}

impl From<Chunk> for PendingChunk {
    fn from(chunk: Chunk) -> Self {
        let Chunk { after, through, listed, skipped, objects } = chunk;
        Self { through, header: Some(ChunkHeader { after, listed, skipped }), objects, singly: false }
    }
}

impl Sink {
    /// Sends a chunk until `end` at the latest. Returns it without its objects.
    pub(crate) async fn send(&self, mut chunk: PendingChunk, end: SystemTime) -> (PendingChunk, SendResult) {
        let objects = std::mem::take(&mut chunk.objects);
        let result = match self {
            Self::FlexOrch(forwarder) => to_flexorch(forwarder, objects, chunk.singly, end).await,
            Self::Queue(queue) => queue.send(objects, end).await,
        };
        (chunk, result)
    }

    /// Stops after the requests in flight. Calls to SQS are short and not interrupted.
    pub(crate) fn stop(&self) {
        if let Self::FlexOrch(forwarder) = self {
            forwarder.stop();
        }
    }

    /// Says which receipts could not be sent; `None` if all are sent or none is wanted.
    pub(crate) fn lost_receipts(&self) -> Option<String> {
        match self {
            Self::FlexOrch(forwarder) => forwarder.lost_receipts(),
            Self::Queue(_) => None,
        }
    }

    /// Changes the rate limit of requests to FlexOrch.
    pub(crate) fn set_pace(&self, requests_per_minute: Option<NonZeroU32>) {
        if let Self::FlexOrch(forwarder) = self {
            forwarder.set_pace(requests_per_minute);
        }
    }
}

async fn to_flexorch(forwarder: &Forwarder, objects: Vec<S3Object>, singly: bool, end: SystemTime) -> SendResult {
    let (ledger, metrics) = (Mutex::new(Ledger::new(objects.len())), Metrics::default());
    if singly {
        for position in 0..objects.len() {
            forwarder.send(&objects, vec![position], &ledger, &metrics, end).await;
            let deferred = |outcome: &Outcome| matches!(outcome, Outcome::Deferred(_));
            let ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            if ledger.settled().any(|(_, outcome)| deferred(outcome)) {
                break;
            }
        }
    } else {
        forwarder.send(&objects, (0..objects.len()).collect(), &ledger, &metrics, end).await;
    }
    let outcomes = ledger.into_inner().unwrap_or_else(PoisonError::into_inner).close();
    let mut result = evaluate(objects, outcomes);
    result.settled.requests = metrics.requests();
    result.settled.rate_limited = metrics.rate_limited();
    result.settled.quota_exceeded = metrics.quota_exceeded();
    result
}
