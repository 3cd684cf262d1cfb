//! An AWS endpoint on loopback: start, recorded calls, latency, faults and shutdown, whatever the service.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use tokio_util::sync::CancellationToken;

use super::fault::{AwsFault, Calls, Damage, Verdict};
use crate::body::TruncatedBody;
use crate::clock::{Clock, Moment};
use crate::server::{SandboxError, Server, reset};

/// The state of an AWS service, and its responses.
pub trait Service: Default + fmt::Debug + Send + Sized + 'static {
    /// What is recorded of a call.
    type Call: Clone + fmt::Debug + Send;

    /// A valid document without any value.
    const EMPTY_DOCUMENT: &'static str = "{}";

    /// Returns the endpoint's routes.
    fn router(shared: Shared<Self>) -> Router;
}

/// A running endpoint of an AWS service on loopback. It stops in the background when it is dropped.
///
/// One endpoint serves all regions. Signatures are not checked, but every call must have one: it names the region.
#[derive(Debug)]
pub struct AwsEndpoint<S: Service> {
    server: Server,
    shared: Shared<S>,
}

/// What the handlers of all calls share. Clones are handles on the same state.
#[derive(Debug)]
pub struct Shared<S: Service> {
    service: Arc<Mutex<S>>,
    calls: Arc<Mutex<Calls<S::Call>>>,
    pub(crate) clock: Clock,
    /// Milliseconds that were skipped.
    skipped: Arc<AtomicU64>,
    /// Cancelled when the server stops.
    pub(crate) stop: CancellationToken,
}

impl<S: Service> AwsEndpoint<S> {
    /// Starts the endpoint on 127.0.0.1, empty. Port 0 takes any free one.
    ///
    /// # Errors
    ///
    /// If the port cannot be bound.
    pub async fn start(port: u16) -> Result<Self, SandboxError> {
        let stop = CancellationToken::new();
        let shared = Shared {
            service: Arc::default(),
            calls: Arc::default(),
            clock: Clock::start(),
            skipped: Arc::default(),
            stop,
        };
        let server = Server::start(port, shared.stop.clone(), S::router(shared.clone())).await?;
        Ok(Self { server, shared })
    }

    /// Returns the value for the service's `AWS_ENDPOINT_URL_…`.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Returns the calls so far, oldest first, whatever the response.
    pub fn calls(&self) -> Vec<S::Call> {
        self.shared.calls().so_far().to_vec()
    }

    /// Sets the fault of the next `count` calls, in place of an earlier `fail_next`.
    pub fn fail_next(&self, count: u64, fault: AwsFault) {
        self.shared.calls().fail_next(count, fault);
    }

    /// Sets the fault of all calls, or removes it.
    pub fn set_fault(&self, fault: Option<AwsFault>) {
        self.shared.calls().set_fault(fault);
    }

    /// Sets the fault of all calls of one operation, such as `PutSecretValue`, or removes it. It comes before other faults.
    pub fn set_operation_fault(&self, operation: &str, fault: Option<AwsFault>) {
        self.shared.calls().set_operation_fault(operation, fault);
    }

    /// Sets the latency that is added to every response.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.calls().set_latency(latency);
    }

    /// Stops accepting, waits at most a second for calls in flight, and returns when nothing runs any more.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }

    pub(crate) fn shared(&self) -> &Shared<S> {
        &self.shared
    }

    /// Returns host and port.
    pub(crate) fn address(&self) -> String {
        self.server.address().to_string()
    }
}

impl<S: Service> Shared<S> {
    /// Returns the time, including what was skipped.
    pub(crate) fn now(&self) -> Moment {
        self.clock.now() + Duration::from_millis(self.skipped.load(Ordering::Relaxed))
    }

    /// Lets this much time pass immediately.
    pub(crate) fn skip(&self, time: Duration) {
        // One more, so that nothing that was to happen by then is still ahead.
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        self.skipped.fetch_add(milliseconds, Ordering::Relaxed);
    }

    /// Locks the service's state.
    pub(crate) fn service(&self) -> MutexGuard<'_, S> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the fault of all calls about one resource, or removes it.
    pub(crate) fn set_resource_fault(&self, resource: &str, fault: Option<AwsFault>) {
        self.calls().set_resource_fault(resource, fault);
    }

    fn calls(&self) -> MutexGuard<'_, Calls<S::Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a call, waits its latency, and returns what happens to it.
    pub(crate) async fn receive(&self, operation: &str, resource: &str, call: S::Call) -> Verdict {
        tracing::debug!(operation, ?call, "AWS call");
        let (verdict, latency) = self.calls().record(operation, resource, call);
        // A sleep of no length would still wait for the timer's next millisecond.
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        verdict
    }

    /// Damages a response.
    pub(crate) async fn damage(&self, response: Response, damage: Damage) -> Response {
        let (parts, body) = response.into_parts();
        match damage {
            // The body is in memory, so that it cannot fail to arrive.
            Damage::Truncated => {
                let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
                Response::from_parts(parts, body.slice(..body.len() / 2).into())
            }
            Damage::BrokenOff => TruncatedBody::response(StatusCode::OK),
            Damage::WithoutValue => Response::from_parts(parts, S::EMPTY_DOCUMENT.into()),
            Damage::Page => Html("<html>maintenance</html>").into_response(),
            Damage::Hang => self.hang().await,
        }
    }

    /// Waits until the server stops, and returns a response that resets the connection. If the client disconnects before, this
    /// future is dropped with its connection.
    pub(crate) async fn hang(&self) -> Response {
        self.stop.cancelled().await;
        reset()
    }
}

impl<S: Service> Clone for Shared<S> {
    fn clone(&self) -> Self {
        let Self { service, calls, clock, skipped, stop } = self;
        Self {
            service: service.clone(),
            calls: calls.clone(),
            clock: *clock,
            skipped: skipped.clone(),
            stop: stop.clone(),
        }
    }
}
