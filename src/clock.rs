//! The time, as an argument that can be replaced.
//!
//! Wall-clock time throughout: Lambda's deadline, `Retry-After` dates and event times are wall-clock times, and what is
//! remembered between invocations must stay right while the sandbox is frozen, which a monotonic clock does not promise.

use std::time::{Duration, SystemTime};

/// The source of the time: the system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock;

impl Clock {
    /// Returns the system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self
    }

    /// Returns the time now.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Returns how long it is until `time`; zero if it is past.
    #[must_use]
    pub fn until(&self, time: SystemTime) -> Duration {
        time.duration_since(self.now()).unwrap_or_default()
    }

    /// Waits until `time`.
    pub async fn sleep_until(&self, time: SystemTime) {
        let wait = self.until(time);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}
