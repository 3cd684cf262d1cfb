//! Shows progress: a line that is updated in place on a terminal, a line from time to time elsewhere.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Output;

/// The interval of lines that are not on a terminal.
const INTERVAL: Duration = Duration::from_secs(30);

/// How often a spinner moves.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// Creates a bar or a spinner on standard error; `None` if that is no terminal, or the output is JSON.
pub(crate) fn bar(output: Output, total: Option<u64>, template: &str) -> Option<ProgressBar> {
    if output.is_json() || !std::io::stderr().is_terminal() {
        return None;
    }
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    Some(bar)
}

/// Shows how many things are done.
#[derive(Debug)]
pub(crate) struct Progress {
    output: Output,
    what: &'static str,
    total: u64,
    bar: Option<ProgressBar>,
    last: Cell<Instant>,
}

impl Progress {
    /// Starts to show. `what` follows the number, such as `letters read`.
    pub(crate) fn begin(output: Output, what: &'static str, total: u64) -> Self {
        let bar = bar(output, Some(total), "{spinner} {pos} of {len} {msg}");
        if let Some(bar) = &bar {
            bar.set_message(what);
            bar.enable_steady_tick(TICK);
        }
        Self { output, what, total, bar, last: Cell::new(Instant::now()) }
    }

    pub(crate) fn show(&self, done: usize) {
        let position = u64::try_from(done).unwrap_or(u64::MAX);
        match &self.bar {
            Some(bar) => {
                // The count was approximate.
                bar.set_length(self.total.max(position));
                bar.set_position(position);
            }
            None if self.last.get().elapsed() >= INTERVAL => {
                self.last.set(Instant::now());
                self.output.progress(format!("{done} of {} {}", self.total.max(position), self.what));
            }
            None => {}
        }
    }

    /// Removes it.
    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
