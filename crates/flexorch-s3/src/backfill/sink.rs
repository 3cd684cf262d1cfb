//! Where a backfill's objects go: to FlexOrch, or into the function's queue.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::super::forwarder::Forwarder;
use super::chunk::Chunk;
use super::queue::QueueSender;
use super::settle::{Judged, judge};
use flexorch_s3_ingester::model::object::S3Object;
use flexorch_s3_ingester::model::outcome::{Ledger, Outcome};
use flexorch_s3_ingester::telemetry::metrics::Metrics;

/// Where objects go.
#[derive(Debug)]
pub(super) enum Sink {
    FlexOrch(Box<Forwarder>),
    Queue(QueueSender),
}

/// Objects of a chunk that are sent together.
#[derive(Debug)]
pub(super) struct Parcel {
    /// The chunk's name.
    pub through: Option<String>,
    /// What the journal has to be told of the chunk; `None`: it knows.
    pub news: Option<News>,
    pub objects: Vec<S3Object>,
    /// Each key is sent alone: the request was refused as a whole before.
    pub singly: bool,
}

/// What a journal does not know of a chunk yet.
#[derive(Debug)]
pub(super) struct News {
    pub after: Option<String>,
    pub listed: u64,
    pub skipped: BTreeMap<String, u64>,
}

impl From<Chunk> for Parcel {
    fn from(chunk: Chunk) -> Self {
        let Chunk { after, through, listed, skipped, objects } = chunk;
        Self { through, news: Some(News { after, listed, skipped }), objects, singly: false }
    }
}

impl Sink {
    /// Sends a parcel until `end` at the latest; it comes back without its objects.
    pub(super) async fn send(&self, mut parcel: Parcel, end: SystemTime) -> (Parcel, Judged) {
        let objects = std::mem::take(&mut parcel.objects);
        let judged = match self {
            Self::FlexOrch(forwarder) => to_flexorch(forwarder, objects, parcel.singly, end).await,
            Self::Queue(queue) => queue.send(objects).await,
        };
        (parcel, judged)
    }

    /// Lets what is under way end, and sends nothing more. A call to SQS is short and ends by itself.
    pub(super) fn stop(&self) {
        if let Self::FlexOrch(forwarder) = self {
            forwarder.stop();
        }
    }

    /// Changes the pace of what goes to FlexOrch.
    pub(super) fn set_pace(&self, requests_per_minute: Option<NonZeroU32>) {
        if let Self::FlexOrch(forwarder) = self {
            forwarder.set_pace(requests_per_minute);
        }
    }
}

async fn to_flexorch(forwarder: &Forwarder, objects: Vec<S3Object>, singly: bool, end: SystemTime) -> Judged {
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
    let mut judged = judge(objects, outcomes);
    judged.settled.requests = metrics.requests();
    judged.settled.rate_limited = metrics.rate_limited();
    judged
}
