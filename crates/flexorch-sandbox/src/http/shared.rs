//! The state that the handlers of all requests share.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::super::{
    api::{
        FlexOrch,
        connector::{Connector, Unreadable},
        job::Verdict,
    },
    clock::Clock,
    delivery::Dispatcher,
    fault::Faults,
    iam::AccessKeys,
    record::Log,
};

/// A text that does not describe the state of a job.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("A job's state is like {{\"status\": \"failed\", \"failure_reason\": \"encrypted\"}}: {0}.")]
pub(crate) struct JobStateError(String);

/// What the handlers of all requests share. Clones are handles on the same sandbox.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) flexorch: Arc<Mutex<FlexOrch>>,
    pub(crate) faults: Faults,
    pub(crate) log: Log,
    pub(crate) clock: Clock,
    /// The latency that is added to every response.
    pub(crate) latency: Duration,
    /// Delivers webhooks.
    pub(crate) webhooks: Dispatcher,
    /// The access keys that AWS accepts; if it is not set, all of them.
    pub(crate) access_keys: Arc<OnceLock<AccessKeys>>,
    /// Cancelled when the server stops, which ends requests that hang.
    pub(crate) stop: CancellationToken,
}

impl Shared {
    /// Locks the state, for as long as one response needs.
    pub(crate) fn flexorch(&self) -> MutexGuard<'_, FlexOrch> {
        self.flexorch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the state of one job, or of all that have not ended, from JSON. Returns their number.
    pub(crate) fn set_job(&self, id: Option<&str>, state: &str) -> Result<usize, JobStateError> {
        let verdict: Verdict = serde_json::from_str(state).map_err(|error| JobStateError(error.to_string()))?;
        let now = self.clock.now();
        let changed = match id {
            Some(id) => usize::from(self.flexorch().set_job(id, &verdict, now)),
            None => self.flexorch().set_open_jobs(&verdict, now),
        };
        self.dispatch_ended();
        self.webhooks.jobs_changed();
        Ok(changed)
    }

    /// Starts the deliveries of what happened to the jobs that have ended, and returns how long it is until the next job ends that is to
    /// be reported.
    pub(crate) fn dispatch_ended(&self) -> Option<Duration> {
        let mut flexorch = self.flexorch();
        let now = self.clock.now();
        let (notices, next) = flexorch.take_notices(now);
        // With the lock, so that no caller sees a job as reported before its delivery has begun.
        self.webhooks.send_all(notices, now);
        next.map(|next| next.since(now))
    }

    /// Returns whether FlexOrch can read a connector's bucket.
    pub(crate) fn can_read(&self, connector: &Connector) -> Result<(), Unreadable> {
        connector.readable(|id, secret| self.access_keys.get().is_none_or(|keys| keys.work(id, secret)))
    }
}
