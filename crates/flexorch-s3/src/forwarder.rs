//! Sends object keys to FlexOrch as the function does: the same retries, waits, halving and secret renewal.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Result;

use crate::commands::{Commands, quoted};
use crate::context::Context;
use crate::receipts::ReceiptSender;
use flexorch_s3_ingester::aws::secrets::SecretCache;
use flexorch_s3_ingester::clock::Clock;
use flexorch_s3_ingester::flexorch::client::{FlexOrchClient, SubmitOptions};
use flexorch_s3_ingester::ingest::session::{Settings, Work, paused_deferral};
use flexorch_s3_ingester::ingest::submit::{Submission, Submitter};
use flexorch_s3_ingester::model::connector::Connector;
use flexorch_s3_ingester::model::object::S3Object;
use flexorch_s3_ingester::model::outcome::{Ledger, Outcome};
use flexorch_s3_ingester::telemetry::metrics::Metrics;

/// The timeout of one attempt: the default of the function's `REQUEST_TIMEOUT_MS`.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The default of the function's `MAX_ATTEMPTS`.
const MAX_ATTEMPTS: NonZeroU32 = NonZeroU32::MIN.saturating_add(3);
/// A secret is read again after this time, so that a rotated API key is used before the old one is refused.
const SECRET_TTL: Duration = Duration::from_secs(300);

/// Says that a connector is paused, so that nothing was sent, and how to resume it. `None` if it is not paused.
pub(crate) fn pause_of(connector: &Connector, commands: &Commands) -> Option<String> {
    let reason = connector.paused.as_deref()?;
    let resume = commands.own(format_args!("resume --secret {}", quoted(&connector.secret_id)));
    let secret = &connector.secret_id;
    Some(format!("secret {secret:?} pauses its connector ({reason}): nothing is sent until you run `{resume}`"))
}

/// Says the same for objects that go to the function's queue, where they wait.
pub(crate) fn pause_of_queue(connector: &Connector, commands: &Commands) -> Option<String> {
    let reason = connector.paused.as_deref()?;
    let resume = commands.own(format_args!("resume --secret {}", quoted(&connector.secret_id)));
    let secret = &connector.secret_id;
    Some(format!(
        "secret {secret:?} pauses its connector ({reason}): objects wait in the queue until you run `{resume}`"
    ))
}

/// Limits of the requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) keys_per_request: NonZeroUsize,
    pub(crate) concurrency: NonZeroUsize,
    /// `None`: no rate limit.
    pub(crate) requests_per_minute: Option<NonZeroU32>,
}

/// Sends the keys of one connector.
#[derive(Debug)]
pub(crate) struct Forwarder {
    submitter: Submitter,
    secrets: Arc<SecretCache>,
    connector: Arc<Connector>,
    receipts: Option<ReceiptSender>,
    clock: Clock,
}

impl Forwarder {
    /// Creates the clients. Sends no request yet.
    ///
    /// # Errors
    /// If there are no AWS credentials or the base URL is invalid.
    pub(crate) async fn new(
        context: &Context,
        connector: Connector,
        pace: Pace,
        receipts: Option<ReceiptSender>,
    ) -> Result<Self> {
        let ids = [connector.secret_id.to_string()];
        let secrets = Arc::new(SecretCache::new(context.aws().await?.clone(), &ids, SECRET_TTL, context.clock));
        let url = context.flexorch_url()?;
        let client = FlexOrchClient::new(context.http.clone(), &url, SubmitOptions::default(), context.clock);
        let settings = Settings {
            max_keys_per_request: pace.keys_per_request,
            max_concurrent_requests: pace.concurrency,
            requests_per_minute: pace.requests_per_minute,
            max_attempts: MAX_ATTEMPTS,
            request_timeout: REQUEST_TIMEOUT,
        };
        let submitter = Submitter::new(client, Arc::clone(&secrets), settings, context.clock);
        Ok(Self { submitter, secrets, connector: Arc::new(connector), receipts, clock: context.clock })
    }

    /// Sends the objects at these positions until `end` at the latest, and records each outcome in the ledger. Then sends the receipts.
    /// Returns the positions of the objects whose receipts could not be sent.
    pub(crate) async fn send(
        &self,
        objects: &[S3Object],
        positions: Vec<usize>,
        ledger: &Mutex<Ledger>,
        metrics: &Metrics,
        end: SystemTime,
    ) -> Vec<usize> {
        let connector = self.current(end).await;
        if connector.paused.is_some() {
            let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            positions.into_iter().for_each(|at| ledger.settle(at, Outcome::Deferred(paused_deferral(&connector))));
            return Vec::new();
        }
        let work = Work { connector, objects: positions, redelivered: Vec::new() };
        let collected = Mutex::default();
        let answered = self.receipts.as_ref().map(|_| &collected);
        self.submitter.submit(vec![work], Submission { objects, ledger, metrics, answered, end }).await;
        let Some(receipts) = &self.receipts else { return Vec::new() };
        let answered = collected.into_inner().unwrap_or_else(PoisonError::into_inner);
        receipts.send(&answered, objects, ledger).await
    }

    /// Returns the connector with the API key that its secret contains now. If the secret cannot be read, or describes another
    /// connector, returns the one that was read first.
    async fn current(&self, end: SystemTime) -> Arc<Connector> {
        let limit = end.min(self.clock.now() + REQUEST_TIMEOUT);
        let read = self.secrets.connectors(limit).await.known.pop();
        read.filter(|read| read.is_same_connector(&self.connector)).unwrap_or_else(|| Arc::clone(&self.connector))
    }

    /// Says which receipts could not be sent; `None` if all are sent or none is wanted.
    pub(crate) fn lost_receipts(&self) -> Option<String> {
        self.receipts.as_ref()?.lost()
    }

    /// Whether it sends receipts.
    pub(crate) fn sends_receipts(&self) -> bool {
        self.receipts.is_some()
    }

    /// Says why no receipt can be sent until someone acts; `None` if one can, or none is wanted.
    pub(crate) fn refused_receipts(&self) -> Option<String> {
        self.receipts.as_ref()?.refused()
    }

    /// Stops after the requests in flight.
    pub(crate) fn stop(&self) {
        self.submitter.stop();
    }

    /// Changes the rate limit.
    pub(crate) fn set_pace(&self, requests_per_minute: Option<NonZeroU32>) {
        self.submitter.set_pace(&self.connector.api_key, requests_per_minute);
    }
}
