//! How far a backfill is, meanwhile: a line that is kept up to date on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::super::output::Output;
use super::journal::Replay;
use super::plan::{in_words, time_left};

/// Between the pictures on a terminal,
const ON_TERMINAL: Duration = Duration::from_millis(250);
/// and between lines elsewhere.
const ELSEWHERE: Duration = Duration::from_secs(30);

/// Shows how far a backfill is.
#[derive(Debug)]
pub(super) struct Progress {
    output: Output,
    bar: Option<ProgressBar>,
    /// How many objects are in scope, where they were counted.
    total: Option<u64>,
    begun: Instant,
    settled_before: u64,
    requests_before: u64,
}

impl Progress {
    /// Begins; what the journal knows already does not count towards the rate.
    pub(super) fn begin(output: Output, total: Option<u64>, replay: &Replay) -> Self {
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

    /// How often to show it.
    pub(super) fn interval(&self) -> Duration {
        if self.bar.is_some() { ON_TERMINAL } else { ELSEWHERE }
    }

    /// Shows it.
    pub(super) fn show(&self, replay: &Replay, under_way: usize) {
        let words = self.words(replay, under_way);
        match &self.bar {
            Some(bar) => {
                bar.set_message(words);
                bar.set_position(replay.tally.settled());
            }
            None if self.begun.elapsed() >= ELSEWHERE => self.output.progress(words),
            None => {}
        }
    }

    /// Says something in between.
    pub(super) fn note(&self, words: &str) {
        match &self.bar {
            Some(bar) => bar.println(words),
            None => self.output.progress(words),
        }
    }

    /// Takes the line away again.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn words(&self, replay: &Replay, under_way: usize) -> String {
        let (tally, took) = (&replay.tally, self.begun.elapsed());
        let settled = tally.settled() - self.settled_before;
        let per_minute = (tally.requests - self.requests_before) as f64 * 60.0 / took.as_secs_f64().max(0.001);
        let mut words = format!(
            "{} listed, {} in scope, {} forwarded, {} rejected; {} requests, {per_minute:.0}/min, {under_way} under way",
            tally.listed, tally.in_scope, tally.forwarded, tally.rejected, tally.requests
        );
        let rest = self.total.map(|total| total.saturating_sub(tally.settled()));
        if let Some(left) = rest.and_then(|rest| time_left(settled, rest, took)) {
            words.push_str(&format!("; about {} left", in_words(left.max(Duration::from_secs(1)))));
        }
        words
    }
}
