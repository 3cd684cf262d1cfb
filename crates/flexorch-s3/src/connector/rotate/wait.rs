//! Waits, counted down on a terminal.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::context::Context;
use crate::progress::bar;
use crate::stop::Stop;
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
pub(super) async fn wait(wait: &Wait, context: &Context, stop: &Stop) -> bool {
    let until = SystemTime::from(wait.until);
    let left = || context.clock.until(until);
    let bar = bar(context.output, None, "{spinner} {wide_msg}");
    if bar.is_none() && left() >= SHORT {
        context.output.progress(format!("waiting {} {}", friendly(left()), wait.what));
    }
    while !left().is_zero() && !stop.is_requested() {
        if let Some(bar) = &bar {
            let whole = Duration::from_secs(left().as_secs_f64().ceil() as u64);
            bar.set_message(format!("waiting {} ({} left)", wait.what, friendly(whole)));
            bar.tick();
        }
        tokio::select! {
            () = tokio::time::sleep(left().min(TICK)) => {}
            () = stop.requested() => {}
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    stop.is_requested()
}
