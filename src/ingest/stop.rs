//! Stops a submission early: the command line does at Ctrl-C. An invocation of the function ends by its deadline instead.

use std::time::SystemTime;

use tokio::sync::watch;

use crate::clock::Clock;

/// Whether to stop sending.
#[derive(Debug, Default)]
pub(super) struct Stop {
    asked: watch::Sender<bool>,
}

impl Stop {
    /// Requests the stop and ends all waits.
    pub(super) fn ask(&self) {
        self.asked.send_replace(true);
    }

    /// Whether [`ask`](Self::ask) was called.
    pub(super) fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// Waits until `time`, or until [`ask`](Self::ask) is called if that is earlier.
    pub(super) async fn sleep_until(&self, clock: &Clock, time: SystemTime) {
        let mut asked = self.asked.subscribe();
        tokio::select! {
            _ = asked.wait_for(|asked| *asked) => {}
            () = clock.sleep_until(time) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_stop_ends_the_wait() {
        let (stop, clock) = (Stop::default(), Clock::system());
        let later = clock.now() + Duration::from_secs(3600);
        let ask = async { stop.ask() };
        let wait = tokio::time::timeout(Duration::from_secs(60), stop.sleep_until(&clock, later));
        assert!(tokio::join!(wait, ask).0.is_ok());
        assert!(stop.is_asked());
        stop.sleep_until(&clock, later).await;
    }
}
