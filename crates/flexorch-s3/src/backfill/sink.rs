//! Sends objects to FlexOrch, or to the function's queue.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::chunk::Chunk;
use super::journal::WithoutReceipt;
use super::queue::QueueSender;
use super::settle::{NextStep, SendResult, evaluate, more_urgent};
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
    /// Whether its keys are settled, and are submitted again only for receipts that could not be sent.
    pub(crate) for_receipts: bool,
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
        Self {
            through,
            header: Some(ChunkHeader { after, listed, skipped }),
            objects,
            singly: false,
            for_receipts: false,
        }
    }
}

impl Sink {
    /// Sends a chunk until `end` at the latest. Returns it without its objects.
    pub(crate) async fn send(&self, mut chunk: PendingChunk, end: SystemTime) -> (PendingChunk, SendResult) {
        let objects = std::mem::take(&mut chunk.objects);
        let result = match self {
            Self::FlexOrch(forwarder) => to_flexorch(forwarder, objects, &chunk, end).await,
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

    /// Says why no receipt can be sent until someone acts; `None` if one can.
    pub(crate) fn refused_receipts(&self) -> Option<String> {
        match self {
            Self::FlexOrch(forwarder) => forwarder.refused_receipts(),
            Self::Queue(_) => None,
        }
    }

    /// Whether receipts are sent.
    pub(crate) fn sends_receipts(&self) -> bool {
        matches!(self, Self::FlexOrch(forwarder) if forwarder.sends_receipts())
    }

    /// Changes the rate limit of requests to FlexOrch.
    pub(crate) fn set_pace(&self, requests_per_minute: Option<NonZeroU32>) {
        if let Self::FlexOrch(forwarder) = self {
            forwarder.set_pace(requests_per_minute);
        }
    }
}

async fn to_flexorch(
    forwarder: &Forwarder,
    objects: Vec<S3Object>,
    chunk: &PendingChunk,
    end: SystemTime,
) -> SendResult {
    let (ledger, metrics) = (Mutex::new(Ledger::new(objects.len())), Metrics::default());
    let mut lost = Vec::new();
    if chunk.singly {
        for position in 0..objects.len() {
            lost.extend(forwarder.send(&objects, vec![position], &ledger, &metrics, end).await);
            let deferred = |outcome: &Outcome| matches!(outcome, Outcome::Deferred(_));
            let ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            if ledger.settled().any(|(_, outcome)| deferred(outcome)) {
                break;
            }
        }
    } else {
        lost = forwarder.send(&objects, (0..objects.len()).collect(), &ledger, &metrics, end).await;
    }
    let without_receipt: Vec<_> = lost.iter().filter_map(|position| objects.get(*position)).map(without).collect();
    let keys: Vec<_> = match chunk.for_receipts {
        true => objects.iter().map(|object| object.key.as_str().to_owned()).collect(),
        false => Vec::new(),
    };
    let outcomes = ledger.into_inner().unwrap_or_else(PoisonError::into_inner).close();
    let mut result = evaluate(objects, outcomes);
    let is_left =
        |key: &String| result.settled.open.contains(key) || without_receipt.iter().any(|without| without.key == *key);
    result.receipted = keys.into_iter().filter(|key| !is_left(key)).collect();
    result.settled.without_receipt = without_receipt;
    if let Some(why) = forwarder.refused_receipts() {
        // What is submitted from now on would not be tracked.
        result.next = more_urgent(result.next, NextStep::Stop { why });
    }
    result.settled.requests = metrics.requests();
    result.settled.rate_limited = metrics.rate_limited();
    result.settled.quota_exceeded = metrics.quota_exceeded();
    result
}

fn without(object: &S3Object) -> WithoutReceipt {
    WithoutReceipt { key: object.key.as_str().to_owned(), etag: object.etag.as_deref().map(str::to_owned) }
}
