//! The plan's rate limit: requests in a minute.

use std::time::Duration;

use super::super::clock::Moment;

/// The length of a window.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);

/// Counts one tenant's requests in windows of a minute. A window starts with its first request, as the `reset_in_seconds` of `GET
/// /usage/rate-limits` implies.
#[derive(Clone, Debug, Default)]
pub(crate) struct RateWindow {
    started: Option<Moment>,
    used: u32,
}

impl RateWindow {
    /// Adds a request to the window. A refused request does not count.
    ///
    /// # Errors
    ///
    /// The whole seconds until the window has room again.
    pub(crate) fn admit(&mut self, limit: u32, now: Moment) -> Result<(), u64> {
        if self.used(now) >= limit && self.started.is_some_and(|start| now.since(start) < WINDOW) {
            return Err(self.reset_in_seconds(now).max(1));
        }
        if limit == 0 {
            return Err(WINDOW.as_secs());
        }
        if self.used(now) == 0 {
            self.started = Some(now);
            self.used = 0;
        }
        self.used += 1;
        Ok(())
    }

    /// Returns the requests of the present window.
    pub(crate) fn used(&self, now: Moment) -> u32 {
        match self.started {
            Some(start) if now.since(start) < WINDOW => self.used,
            _ => 0,
        }
    }

    /// Returns the seconds until the present window ends, rounded up, so that a client that waits as long is admitted; 0 if none has
    /// started.
    pub(crate) fn reset_in_seconds(&self, now: Moment) -> u64 {
        let left = self.started.map_or(Duration::ZERO, |start| WINDOW.saturating_sub(now.since(start)));
        left.as_secs() + u64::from(left.subsec_nanos() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Moment {
        Moment::from_epoch(Duration::from_millis(milliseconds))
    }

    #[test]
    fn the_window_starts_with_its_first_request_and_ends_a_minute_later() {
        let mut window = RateWindow::default();
        assert_eq!(window.reset_in_seconds(at(0)), 0);
        assert_eq!(window.admit(2, at(10_000)), Ok(()));
        assert_eq!(window.admit(2, at(20_000)), Ok(()));
        assert_eq!(window.admit(2, at(20_500)), Err(50));
        assert_eq!(window.admit(2, at(69_999)), Err(1));
        assert_eq!(window.used(at(69_999)), 2);
        assert_eq!(window.admit(2, at(70_000)), Ok(()));
        assert_eq!(window.used(at(70_000)), 1);
    }

    #[test]
    fn a_client_that_waits_the_named_time_is_admitted() {
        let mut window = RateWindow::default();
        window.admit(1, at(333)).unwrap();
        let wait = window.admit(1, at(1_000)).unwrap_err();
        assert_eq!(window.admit(1, at(1_000 + wait * 1_000)), Ok(()));
    }

    #[test]
    fn a_limit_of_zero_refuses_everything() {
        assert_eq!(RateWindow::default().admit(0, at(0)), Err(60));
    }
}
