//! The embedded FlexOrch: start, control, shutdown.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    api::{FlexOrch, Rules},
    api_key::ApiKey,
    clock::Clock,
    delivery::{Dispatcher, WebhookDelivery},
    fault::Faults,
    http::{self, Shared},
    iam::AccessKeys,
    options::SandboxOptions,
    record::{Log, RecordedRequest},
    server::{SandboxError, Server},
};

/// A running FlexOrch. It stops in the background when it is dropped; [`Sandbox::shutdown`] waits for the end.
#[derive(Debug)]
pub struct Sandbox {
    server: Server,
    shared: Shared,
}

impl Sandbox {
    /// Starts FlexOrch on 127.0.0.1, in the background of the current Tokio runtime.
    ///
    /// # Errors
    ///
    /// If the port cannot be bound.
    pub async fn start(options: SandboxOptions) -> Result<Self, SandboxError> {
        let stop = CancellationToken::new();
        let shared = Shared {
            flexorch: Arc::new(Mutex::new(FlexOrch::new(Rules::from(&options)))),
            faults: Faults::new(options.seed, options.faults),
            log: Log::default(),
            clock: Clock::start(),
            latency: options.latency,
            webhooks: Dispatcher::new(&options.webhooks, stop.clone()),
            access_keys: Arc::default(),
            stop,
        };
        let server = Server::start(options.port, shared.stop.clone(), http::router(shared.clone())).await?;
        let watched = shared.clone();
        shared.webhooks.watch(move || watched.dispatch_ended());
        Ok(Self { server, shared })
    }

    /// Returns the base URL for clients, `http://127.0.0.1:8642/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.server.address())
    }

    /// Returns the URL of the admin path, `http://127.0.0.1:8642/_sandbox`.
    pub fn admin_url(&self) -> String {
        format!("http://{}/_sandbox", self.server.address())
    }

    /// Returns the submissions so far, oldest first, whatever the response: the last 50,000, or 64 MB of bodies.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.log.list()
    }

    /// Removes the submissions so far. The tenants' documents stay known.
    pub fn clear_requests(&self) {
        self.shared.log.clear();
    }

    /// Returns the keys of all submissions so far in their order, as often as they were sent, accepted or not.
    pub fn submitted_keys(&self) -> Vec<String> {
        let requests = self.shared.log.list();
        requests.into_iter().flat_map(|request| request.keys).collect()
    }

    /// Returns the accepted keys, sorted: once for each document, over all tenants and connectors.
    pub fn taken_keys(&self) -> Vec<String> {
        self.shared.flexorch().accepted_keys()
    }

    /// Returns the faults, to add and remove.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Revokes an API key: its requests fail with 401 from now on.
    pub fn revoke_key(&self, key: &str) {
        self.shared.flexorch().revoke(ApiKey::new(key));
    }

    /// Restores a revoked API key; returns `false` if it was not revoked.
    pub fn restore_key(&self, key: &str) -> bool {
        self.shared.flexorch().restore(&ApiKey::new(key))
    }

    /// Lets a connector's test fail if AWS does not accept its access key. Without it, FlexOrch reads every bucket.
    pub fn check_access_keys(&self, keys: AccessKeys) {
        let _ = self.shared.access_keys.set(keys);
    }

    /// Returns whether a tenant has a connector that works now: it is not deleted, and its test would succeed.
    pub fn has_working_connector(&self, key: &str, id: &str) -> bool {
        let mut flexorch = self.shared.flexorch();
        flexorch.tenant(&ApiKey::new(key)).connector(id).is_ok_and(|connector| self.shared.can_read(connector).is_ok())
    }

    /// Changes the rate limit of all tenants, in requests a minute; `None` is unlimited.
    pub fn set_requests_per_minute(&self, limit: Option<u32>) {
        self.shared.flexorch().rules.requests_per_minute = limit;
    }

    /// Sets how long new jobs take; see [`SandboxOptions::job_time`].
    pub fn set_job_time(&self, time: Option<Duration>) {
        self.shared.flexorch().rules.job_time = time;
    }

    /// Sets whether a known document gets its existing job; see [`SandboxOptions::recognize_documents`].
    pub fn set_recognize_documents(&self, recognize: bool) {
        self.shared.flexorch().rules.recognize_documents = recognize;
    }

    /// Sets a job's state now: `{"status": "failed", "failure_reason": "encrypted"}` or `{"status": "completed", "quality_grade": "B",
    /// "pii_findings_count": 2}`, or holds it as `queued` or `running`. An end is reported to the webhooks, also a second one. Returns
    /// whether there is such a job and the state is one.
    pub fn set_job(&self, id: &str, state: Value) -> bool {
        self.shared.set_job(Some(id), &state.to_string()) == Ok(1)
    }

    /// Sets the state of all jobs that have not ended, and returns their number; 0 if the state is not one.
    pub fn set_open_jobs(&self, state: Value) -> usize {
        self.shared.set_job(None, &state.to_string()).unwrap_or(0)
    }

    /// Forgets a job, as if it had never existed; returns `false` if there is none.
    pub fn forget_job(&self, id: &str) -> bool {
        self.shared.flexorch().forget_job(id)
    }

    /// Returns all jobs in the API's form, and the `key` and `connector_id` of each.
    pub fn jobs(&self) -> Vec<Value> {
        self.shared.flexorch().show_jobs(self.shared.clock.now())
    }

    /// Returns the deliveries of webhooks so far, oldest first: the last 10,000.
    pub fn deliveries(&self) -> Vec<WebhookDelivery> {
        self.shared.webhooks.log.list()
    }

    /// Waits until every delivery so far is delivered or lost. The deliveries for [`Sandbox::set_job`] have begun when it returns.
    pub async fn deliveries_finished(&self) {
        self.shared.webhooks.idle().await;
    }

    /// Sets whether deliveries of webhooks are lost.
    pub fn lose_webhooks(&self, lose: bool) {
        self.shared.webhooks.set_lose(lose);
    }

    /// Repeats a delivery as a new one; returns `false` if there is no such delivery.
    pub fn deliver_again(&self, delivery: u64) -> bool {
        self.shared.webhooks.send_again(delivery, self.shared.clock.now())
    }

    /// Stops accepting, waits at most a second for requests in flight, and returns when nothing runs any more.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
        self.shared.webhooks.stopped().await;
    }

    /// Returns how many connections are open.
    #[cfg(test)]
    pub(crate) fn connections(&self) -> usize {
        self.server.connections()
    }
}
