//! Shows progress: a line that is updated in place on a terminal, a line from time to time elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::journal::Replay;
use super::plan::time_left;
use crate::output::Output;
use crate::text::friendly;

/// The interval of updates on a terminal.
const ON_TERMINAL: Duration = Duration::from_millis(250);
/// The interval of lines elsewhere.
const ELSEWHERE: Duration = Duration::from_secs(30);

/// Shows the progress of a backfill.
#[derive(Debug)]
pub(crate) struct Progress {
    output: Output,
    bar: Option<ProgressBar>,
    /// How many objects are in scope, if they were counted.
    total: Option<u64>,
    begun: Instant,
    settled_before: u64,
    requests_before: u64,
}

impl Progress {
    /// Starts to measure. Results of earlier runs do not count towards the rate.
    pub(crate) fn begin(output: Output, total: Option<u64>, replay: &Replay) -> Self {
        let is_terminal = std::io::stderr().is_terminal() && !output.is_json();
        let bar = is_terminal.then(|| {
            let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
            let look = if total.is_some() { "{bar:24} {percent:>3}%  {wide_msg}" } else { "{spinner} {wide_msg}" };
            if let Ok(style) = ProgressStyle::with_template(look) {
                bar.set_style(style);
            }
            bar
        });
        let (settled_before, requests_before) = (replay.tally.settled(), replay.tally.requests);
        Self { output, bar, total, begun: Instant::now(), settled_before, requests_before }
    }

    /// Returns how often to show progress.
    pub(crate) fn interval(&self) -> Duration {
        if self.bar.is_some() { ON_TERMINAL } else { ELSEWHERE }
    }

    /// Shows the current progress.
    pub(crate) fn show(&self, replay: &Replay, in_flight: usize) {
        let words = self.words(replay, in_flight);
        match &self.bar {
            Some(bar) => {
                bar.set_message(words);
                bar.set_position(replay.tally.settled());
            }
            None if self.begun.elapsed() >= ELSEWHERE => self.output.progress(words),
            None => {}
        }
    }

    /// Prints a line above the progress.
    pub(crate) fn note(&self, words: &str) {
        match &self.bar {
            Some(bar) => bar.println(words),
            None => self.output.progress(words),
        }
    }

    /// Clears the progress line.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn words(&self, replay: &Replay, in_flight: usize) -> String {
        let (tally, took) = (&replay.tally, self.begun.elapsed());
        let settled = tally.settled() - self.settled_before;
        let per_minute = (tally.requests - self.requests_before) as f64 * 60.0 / took.as_secs_f64().max(0.001);
        let mut words = format!(
            "{} listed, {} in scope, {} forwarded, {} rejected; {} requests, {per_minute:.0}/min, {in_flight} in flight",
            tally.listed, tally.in_scope, tally.forwarded, tally.rejected, tally.requests
        );
        let rest = self.total.map(|total| total.saturating_sub(tally.settled()));
        if let Some(left) = rest.and_then(|rest| time_left(settled, rest, took)) {
            words.push_str(&format!("; about {} left", friendly(left.max(Duration::from_secs(1)))));
        }
        words
    }
}
