//! Stopping before the time is over. Only the command line does: a function's invocations end by their deadline, so without the
//! feature `cli` nothing of this is left.

use std::time::SystemTime;

use crate::clock::Clock;

/// Whether nothing more is to be sent.
#[derive(Debug, Default)]
pub(super) struct Stop {
    #[cfg(feature = "cli")]
    asked: tokio_util::sync::CancellationToken,
}

#[cfg(feature = "cli")]
impl Stop {
    /// From now on nothing more is sent.
    pub(super) fn ask(&self) {
        self.asked.cancel();
    }

    /// Whether it was asked for.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.is_cancelled()
    }

    /// Waits until `time`, or until it is asked for.
    pub(super) async fn sleep_until(&self, clock: &Clock, time: SystemTime) {
        tokio::select! {
            () = self.asked.cancelled() => {}
            () = clock.sleep_until(time) => {}
        }
    }
}

#[cfg(not(feature = "cli"))]
impl Stop {
    /// Nothing to do.
    pub(super) fn ask(&self) {}

    /// Never.
    #[expect(clippy::unused_self, reason = "with the feature `cli` it depends")]
    pub(super) fn is_asked(&self) -> bool {
        false
    }

    /// Waits until `time`.
    pub(super) async fn sleep_until(&self, clock: &Clock, time: SystemTime) {
        clock.sleep_until(time).await;
    }
}
