//! The state that the handlers of all requests share.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::super::{
    api::{
        FlexOrch,
        connector::{Connector, Unreadable},
    },
    clock::Clock,
    fault::Faults,
    iam::AccessKeys,
    record::Log,
};

/// What the handlers of all requests share. Clones are handles on the same sandbox.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) flexorch: Arc<Mutex<FlexOrch>>,
    pub(crate) faults: Faults,
    pub(crate) log: Log,
    pub(crate) clock: Clock,
    /// How long every response takes, on top of its own time.
    pub(crate) latency: Duration,
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

    /// Returns whether FlexOrch can read a connector's bucket.
    pub(crate) fn can_read(&self, connector: &Connector) -> Result<(), Unreadable> {
        connector.readable(|id, secret| self.access_keys.get().is_none_or(|keys| keys.work(id, secret)))
    }
}
