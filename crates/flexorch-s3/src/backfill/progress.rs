//! Shows progress: a line that is updated in place on a terminal, a line from time to time elsewhere.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::journal::Replay;
use super::plan::{per_minute, time_left};
use crate::output::Output;
use crate::progress::bar;
use crate::text::{counted, friendly};

/// The interval of updates on a terminal.
const ON_TERMINAL: Duration = Duration::from_millis(250);
/// The interval of lines elsewhere.
const ELSEWHERE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Progress {
    output: Output,
    bar: Option<ProgressBar>,
    /// How many objects are in scope, if they were counted.
    total: Option<u64>,
    run: Run,
}

/// What this run has done. Results of earlier runs do not count towards its rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// What is sent: a request or a message.
    unit: &'static str,
    /// The rate that it was given.
    pace: Option<NonZeroU32>,
    begun: Instant,
    settled_before: u64,
    requests_before: u64,
}

impl Progress {
    /// Starts to show the progress of a run.
    pub(crate) fn begin(output: Output, total: Option<u64>, run: Run) -> Self {
        let look = if total.is_some() { "{bar:12} {percent:>3}%  {wide_msg}" } else { "{spinner} {wide_msg}" };
        Self { output, bar: bar(output, total, look), total, run }
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
            None if self.run.begun.elapsed() >= ELSEWHERE => self.output.progress(words),
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
        let tally = &replay.tally;
        let (unit, rate) = (self.run.unit, self.run.per_minute(replay));
        // The most important first: the line is cut where the terminal ends.
        let Some(total) = self.total else {
            return format!(
                "{rate:.0} {unit}s/min; {} listed, {} in scope, {} settled, {} rejected, {in_flight} in flight",
                tally.listed,
                tally.in_scope,
                tally.settled(),
                tally.rejected
            );
        };
        let left = self.run.time_left(total, replay).map(|left| format!(", {} left", friendly(left)));
        format!(
            "{rate:.0} {unit}s/min{}; {} of {total} settled, {} rejected",
            left.unwrap_or_default(),
            tally.settled(),
            tally.rejected
        )
    }
}

impl Run {
    /// Starts to measure.
    pub(crate) fn begin(unit: &'static str, pace: Option<NonZeroU32>, replay: &Replay) -> Self {
        let (settled_before, requests_before) = (replay.tally.settled(), replay.tally.requests);
        Self { unit, pace, begun: Instant::now(), settled_before, requests_before }
    }

    fn requests(&self, replay: &Replay) -> u64 {
        replay.tally.requests - self.requests_before
    }

    fn per_minute(&self, replay: &Replay) -> f64 {
        per_minute(self.requests(replay), self.begun.elapsed(), self.pace)
    }

    fn time_left(&self, total: u64, replay: &Replay) -> Option<Duration> {
        let settled = replay.tally.settled();
        let (rest, in_this_run) = (total.saturating_sub(settled), settled - self.settled_before);
        let left = time_left(rest, in_this_run, self.requests(replay), self.per_minute(replay))?;
        Some(left.max(Duration::from_secs(1)))
    }

    /// Says what it has sent, in which time, and at which pace.
    pub(crate) fn words(&self, replay: &Replay) -> String {
        let (requests, took) = (self.requests(replay), friendly(self.begun.elapsed()));
        format!("{} in {took}, {:.0} per minute", counted(requests, self.unit), self.per_minute(replay))
    }

    /// Returns how long it has taken.
    pub(crate) fn took(&self) -> Duration {
        self.begun.elapsed()
    }
}
