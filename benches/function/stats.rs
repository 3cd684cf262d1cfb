//! Medians and percentiles.

use std::time::Duration;

/// The value that this part of all values does not exceed; zero if there are none.
pub fn percentile(values: impl IntoIterator<Item = Duration>, part: f64) -> Duration {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_unstable();
    let rank = (part * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// The middle value.
pub fn median(values: impl IntoIterator<Item = Duration>) -> Duration {
    percentile(values, 0.5)
}

/// Milliseconds, as tables and JSON hold them.
pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
