//! The source of the time for the code that does I/O; everything else gets the time as an argument.
//!
//! Wall-clock time throughout: Lambda's deadline, `Retry-After` dates and event times are wall-clock times, and what is
//! remembered between invocations must stay correct while Lambda freezes the process, which a monotonic clock does not promise.

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

    /// Returns the time left until `time`; zero if it has passed.
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
