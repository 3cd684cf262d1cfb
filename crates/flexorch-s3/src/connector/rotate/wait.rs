//! Waits, counted down on a terminal.

use std::io::IsTerminal;
use std::time::{Duration, SystemTime};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;

use crate::context::Context;
use crate::interruption::Interruption;
use crate::text::friendly;

/// The interval of updates.
const TICK: Duration = Duration::from_secs(1);
/// A shorter wait is not announced where it is not counted down.
const SHORT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Wait {
    pub(super) until: Timestamp,
    pub(super) what: &'static str,
}

/// Waits, and returns whether it was interrupted.
pub(super) async fn wait(wait: &Wait, context: &Context, interruption: &mut Interruption) -> bool {
    let until = SystemTime::from(wait.until);
    let left = || context.clock.until(until);
    let is_terminal = std::io::stderr().is_terminal() && !context.output.is_json();
    let bar = is_terminal.then(|| {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        bar
    });
    if bar.is_none() && left() >= SHORT {
        context.output.progress(format!("waiting {} {}", friendly(left()), wait.what));
    }
    let mut interrupted = false;
    while !left().is_zero() && !interrupted {
        if let Some(bar) = &bar {
            let whole = Duration::from_secs(left().as_secs_f64().ceil() as u64);
            bar.set_message(format!("waiting {} ({} left)", wait.what, friendly(whole)));
            bar.tick();
        }
        tokio::select! {
            () = tokio::time::sleep(left().min(TICK)) => {}
            () = interruption.next() => interrupted = true,
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    interrupted
}
