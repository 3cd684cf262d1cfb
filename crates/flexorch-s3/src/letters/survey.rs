//! Receives every letter of a queue once, and makes all of them visible again.

use anyhow::Result;
use aws_sdk_sqs::types::Message;

use super::drain::Drain;
use super::progress::Progress;
use super::queue::{HIDDEN_FOR, MESSAGES_PER_CALL, Queue};
use super::stop::Stop;
use crate::output::{Output, WARNING, styled};
use crate::text::friendly;

/// Receives in flight. Letters of a FIFO queue come in one call at a time.
pub(crate) const CONCURRENT_CALLS: usize = 4;

/// Receives every visible letter and gives each to `visit`, once. Returns whether it got to the end; it does not after a signal.
///
/// # Errors
/// If a request fails, or `visit` does. The letters are made visible again all the same.
pub(crate) async fn visit_all(
    queue: &Queue,
    stop: &Stop,
    output: Output,
    mut visit: impl FnMut(&Message) -> Result<()>,
) -> Result<bool> {
    let mut drain = Drain::new(queue.counts().0);
    let progress = Progress::begin(output, "letters read", queue.counts().0);
    let result = receive_all(queue, stop, &mut drain, &progress, &mut visit).await;
    progress.end();
    release_all(queue, &mut drain, output).await;
    result
}

async fn receive_all(
    queue: &Queue,
    stop: &Stop,
    drain: &mut Drain,
    progress: &Progress,
    visit: &mut impl FnMut(&Message) -> Result<()>,
) -> Result<bool> {
    let most_calls = if queue.is_fifo() { 1 } else { CONCURRENT_CALLS };
    while !drain.is_done() {
        // A receive in flight is never abandoned: its letters would stay hidden.
        if stop.is_requested() {
            return Ok(false);
        }
        let mut any_new = false;
        let mut failure = None;
        let calls = drain.calls(most_calls, MESSAGES_PER_CALL);
        for message in queue.receive(calls, MESSAGES_PER_CALL, drain.wait()).await? {
            let (id, handle) = (message.message_id().unwrap_or_default(), message.receipt_handle().unwrap_or_default());
            // Every message of the response is held first, so that a failure leaves none hidden.
            if drain.received(id, handle) && failure.is_none() {
                any_new = true;
                failure = visit(&message).err();
            }
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        drain.called(!any_new);
        progress.show(drain.seen());
    }
    Ok(true)
}

/// Makes all held letters visible again, and says so if that failed.
pub(crate) async fn release_all(queue: &Queue, drain: &mut Drain, output: Output) {
    if let Some((letters, error)) = queue.release(drain.take_all()).await {
        let within = friendly(HIDDEN_FOR);
        let mark = styled(WARNING, "!");
        output.progress(format!(
            "{mark} {letters} letters stay hidden for up to {within}, then they are visible again: {error}"
        ));
    }
}
