//! Receives every letter of a queue once, and makes all of them visible again.

use anyhow::Result;
use aws_sdk_sqs::types::Message;

use super::drain::Drain;
use super::queue::{HIDDEN_FOR, MESSAGES_PER_CALL, Queue};
use crate::output::{Output, WARNING, styled};
use crate::progress::Progress;
use crate::stop::Stop;
use crate::text::{counted, friendly};

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
    let expected = queue.counts().0;
    let mut survey = Survey {
        queue,
        stop,
        drain: Drain::new(expected),
        progress: Progress::begin(output, "letters read", expected),
    };
    let result = survey.receive_all(&mut visit).await;
    survey.progress.end();
    release_all(queue, &mut survey.drain, output).await;
    result
}

struct Survey<'a> {
    queue: &'a Queue,
    stop: &'a Stop,
    drain: Drain,
    progress: Progress,
}

impl Survey<'_> {
    async fn receive_all(&mut self, visit: &mut impl FnMut(&Message) -> Result<()>) -> Result<bool> {
        let most_calls = if self.queue.is_fifo() { 1 } else { CONCURRENT_CALLS };
        while !self.drain.is_done() {
            // A receive in flight is never abandoned: its letters would stay hidden.
            if self.stop.is_requested() {
                return Ok(false);
            }
            let calls = self.drain.calls(most_calls, MESSAGES_PER_CALL);
            let messages = self.queue.receive(calls, MESSAGES_PER_CALL, self.drain.wait()).await?;
            // Every message of the response is held first, so that a failure leaves none hidden.
            let new: Vec<_> = messages.iter().filter(|message| self.drain.hold(message)).collect();
            self.drain.called(new.is_empty());
            for message in new {
                visit(message)?;
            }
            self.progress.show(self.drain.seen());
        }
        Ok(true)
    }
}

/// Makes all held letters visible again, and says so if that failed.
pub(crate) async fn release_all(queue: &Queue, drain: &mut Drain, output: Output) {
    if let Some((letters, error)) = queue.release(drain.take_all()).await {
        let within = friendly(HIDDEN_FOR);
        let mark = styled(WARNING, "!");
        output.progress(format!(
            "{mark} {} hidden for up to {within}, and visible again after that: {error}",
            counted(letters, "dead letter")
        ));
    }
}
