//! The time, as an argument that can be replaced.
//!
//! Wall-clock time throughout: Lambda's deadline, `Retry-After` dates and event times are wall-clock times, and what is
//! remembered between invocations must stay right while the sandbox is frozen, which a monotonic clock does not promise.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// Where the time comes from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    /// `None`: the system's clock. Otherwise the time stood still at the first value when tokio's clock showed the second.
    anchor: Option<(SystemTime, Instant)>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self { anchor: None }
    }

    /// A clock that starts at `start` and moves with tokio's, which tests can pause and advance.
    #[must_use]
    pub fn following_tokio(start: SystemTime) -> Self {
        Self { anchor: Some((start, Instant::now())) }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        match self.anchor {
            None => SystemTime::now(),
            Some((start, instant)) => start + instant.elapsed(),
        }
    }

    /// How long it is until `time`; zero where it is past.
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
