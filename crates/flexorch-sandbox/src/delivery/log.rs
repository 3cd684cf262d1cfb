//! The deliveries so far, for tests and for the admin path.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::super::api::webhook::Notice;
use super::super::clock::Moment;

/// The most deliveries that are kept; the oldest are dropped first.
const KEPT: usize = 10_000;

/// The report of a job's end to one webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WebhookDelivery {
    /// The delivery's number, from 1.
    pub id: u64,
    /// When the delivery began, RFC 3339 in UTC.
    pub at: String,
    /// The webhook's id.
    pub webhook: u64,
    /// The webhook's URL.
    pub url: String,
    /// The event: `job.completed` or `job.failed`.
    pub event: String,
    /// The job's id.
    pub job_id: String,
    /// The body, which is JSON.
    pub body: String,
    /// The value of `X-Flexorch-Signature`.
    pub signature: String,
    /// The attempts so far, at most two.
    pub attempts: Vec<DeliveryAttempt>,
    /// Whether there will be no further attempt.
    pub finished: bool,
    /// Whether the receiver responded to an attempt with a 2xx.
    pub delivered: bool,
}

/// One attempt of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeliveryAttempt {
    /// The response's status, if there was a response.
    pub status: Option<u16>,
    /// Why there was no response.
    pub error: Option<String>,
}

impl DeliveryAttempt {
    /// Returns whether the receiver accepted the delivery.
    pub(super) fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// The log of deliveries. Clones are handles on the same log.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeliveryLog(Arc<Mutex<Records>>);

#[derive(Debug, Default)]
struct Records {
    kept: VecDeque<WebhookDelivery>,
    issued: u64,
}

impl DeliveryLog {
    /// Adds a delivery without attempts, and returns its number.
    pub(super) fn add(&self, notice: Notice, now: Moment) -> u64 {
        let mut records = self.records();
        records.issued += 1;
        let id = records.issued;
        if records.kept.len() == KEPT {
            records.kept.pop_front();
        }
        let Notice { webhook, url, event, job_id, body, signature } = notice;
        let (attempts, at) = (Vec::new(), now.rfc3339());
        let (finished, delivered) = (false, false);
        records.kept.push_back(WebhookDelivery {
            id,
            at,
            webhook,
            url,
            event,
            job_id,
            body,
            signature,
            attempts,
            finished,
            delivered,
        });
        id
    }

    /// Adds an attempt to a delivery.
    pub(super) fn attempted(&self, id: u64, attempt: DeliveryAttempt, finished: bool) {
        let mut records = self.records();
        if let Some(delivery) = records.kept.iter_mut().find(|delivery| delivery.id == id) {
            delivery.delivered |= attempt.succeeded();
            delivery.finished |= finished;
            delivery.attempts.push(attempt);
        }
    }

    /// Returns a delivery.
    pub(super) fn get(&self, id: u64) -> Option<WebhookDelivery> {
        self.records().kept.iter().find(|delivery| delivery.id == id).cloned()
    }

    /// Returns the deliveries, oldest first.
    pub(crate) fn list(&self) -> Vec<WebhookDelivery> {
        self.records().kept.iter().cloned().collect()
    }

    /// Removes all deliveries; numbering continues.
    pub(crate) fn clear(&self) {
        self.records().kept.clear();
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
