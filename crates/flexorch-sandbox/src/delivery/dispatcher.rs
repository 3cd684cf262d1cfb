//! Watches for jobs that end, and delivers to the webhooks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::api::webhook::Notice;
use super::super::clock::Moment;
use super::super::options::WebhookOptions;
use super::log::{DeliveryAttempt, DeliveryLog};
use super::post::post;

/// The most deliveries in flight.
const CONCURRENT: usize = 16;

/// The attempts of a delivery: a non-2xx is retried once, and then lost (FlexOrch documentation, "Webhooks").
const ATTEMPTS: u32 = 2;

/// The pause between two checks of the jobs if none is known to end. Any change ends it.
const LONGEST_PAUSE: Duration = Duration::from_secs(86_400);

/// Delivers webhooks in the background. Clones are handles on the same deliveries.
#[derive(Clone, Debug)]
pub(crate) struct Dispatcher {
    pub(crate) log: DeliveryLog,
    lose: Arc<AtomicBool>,
    timeout: Duration,
    retry_after: Duration,
    changed: Arc<Notify>,
    in_flight: Arc<Semaphore>,
    /// How many deliveries are not finished.
    unfinished: Arc<watch::Sender<usize>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Dispatcher {
    /// Creates a dispatcher that stops with this token.
    pub(crate) fn new(options: &WebhookOptions, stop: CancellationToken) -> Self {
        Self {
            log: DeliveryLog::default(),
            lose: Arc::new(AtomicBool::new(options.lose)),
            timeout: options.timeout,
            retry_after: options.retry_after,
            changed: Arc::default(),
            in_flight: Arc::new(Semaphore::new(CONCURRENT)),
            unfinished: Arc::default(),
            tasks: TaskTracker::new(),
            stop,
        }
    }

    /// Sets whether deliveries are lost.
    pub(crate) fn set_lose(&self, lose: bool) {
        self.lose.store(lose, Ordering::Relaxed);
    }

    /// Wakes the watch because a job may have ended, or will end sooner than known.
    pub(crate) fn jobs_changed(&self) {
        self.changed.notify_one();
    }

    /// Watches the jobs until the sandbox stops. `dispatch` sends what is due, and returns how long it is until the next job ends.
    pub(crate) fn watch(&self, dispatch: impl Fn() -> Option<Duration> + Send + 'static) {
        let this = self.clone();
        self.tasks.spawn(async move {
            loop {
                let pause = dispatch().unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
                tokio::select! {
                    () = this.stop.cancelled() => return,
                    () = this.changed.notified() => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
        });
    }

    /// Delivers in the background.
    pub(crate) fn send_all(&self, notices: Vec<Notice>, now: Moment) {
        for notice in notices {
            let id = self.log.add(notice.clone(), now);
            self.spawn(id, notice);
        }
    }

    /// Repeats a delivery as a new one; returns `false` if there is no such delivery.
    pub(crate) fn send_again(&self, id: u64, now: Moment) -> bool {
        let Some(earlier) = self.log.get(id) else {
            return false;
        };
        let notice = Notice {
            webhook: earlier.webhook,
            url: earlier.url,
            event: earlier.event,
            job_id: earlier.job_id,
            body: earlier.body,
            signature: earlier.signature,
        };
        self.send_all(vec![notice], now);
        true
    }

    /// Waits until every delivery so far is delivered or lost.
    pub(crate) async fn idle(&self) {
        // The sender is in `self`, so that the wait cannot fail.
        let _ = self.unfinished.subscribe().wait_for(|unfinished| *unfinished == 0).await;
    }

    /// Waits until all tasks have ended; the token must be cancelled.
    pub(crate) async fn stopped(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn spawn(&self, id: u64, notice: Notice) {
        let this = self.clone();
        this.unfinished.send_modify(|unfinished| *unfinished += 1);
        self.tasks.spawn(async move {
            tokio::select! {
                () = this.stop.cancelled() => {}
                () = this.deliver(id, &notice) => {}
            }
            this.unfinished.send_modify(|unfinished| *unfinished -= 1);
        });
    }

    async fn deliver(&self, id: u64, notice: &Notice) {
        for attempt in 1..=ATTEMPTS {
            let result = self.attempt(notice).await;
            let finished = result.succeeded() || attempt == ATTEMPTS;
            tracing::info!(
                delivery = id,
                job = notice.job_id,
                attempt,
                status = result.status,
                error = result.error,
                "webhook"
            );
            self.log.attempted(id, result, finished);
            if finished {
                return;
            }
            tokio::time::sleep(self.retry_after).await;
        }
    }

    async fn attempt(&self, notice: &Notice) -> DeliveryAttempt {
        let no_response = |error: String| DeliveryAttempt { status: None, error: Some(error) };
        if self.lose.load(Ordering::Relaxed) {
            return no_response("lost on demand".to_owned());
        }
        // The semaphore is never closed.
        let _permit = self.in_flight.acquire().await;
        match tokio::time::timeout(self.timeout, post(&notice.url, notice.body.clone(), &notice.signature)).await {
            Ok(Ok(status)) => DeliveryAttempt { status: Some(status), error: None },
            Ok(Err(error)) => no_response(error.to_string()),
            Err(_) => no_response(format!("no response within {} ms", self.timeout.as_millis())),
        }
    }
}
