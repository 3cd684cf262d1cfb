//! Does what was planned: receives the letters again, sends each and then deletes it, and makes the others visible again at the end.

use std::time::Duration;

use anyhow::{Error, anyhow};
use aws_sdk_sqs::types::Message;

use super::drain::Drain;
use super::letter::{group, redriven_attributes};
use super::pace::Pace;
use super::queue::{MESSAGES_PER_CALL, Queue};
use super::survey::{CONCURRENT_CALLS, release_all};
use super::work::{Step, Tally, Work};
use crate::output::Output;
use crate::progress::Progress;
use crate::stop::Stop;
use flexorch_s3_ingester::aws::failure::{CallError, FailureKind};
use flexorch_s3_ingester::aws::sqs::OutgoingMessage;
use flexorch_s3_ingester::clock::Clock;

/// What is done with the letters.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Action<'a> {
    /// They are sent to this queue and deleted.
    Redrive { target: &'a Queue, pace: Pace },
    /// They are deleted.
    Drop,
}

/// Why a run ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// No letter was left, or none came any more.
    Complete,
    /// The same, after failures; the last of them.
    Troubled(String),
    /// A signal.
    Interrupted,
    /// A failure that would meet every other letter too.
    Stopped(Error),
}

pub(crate) struct Run<'a> {
    pub(crate) queue: &'a Queue,
    pub(crate) action: Action<'a>,
    pub(crate) stop: &'a Stop,
    pub(crate) clock: Clock,
    pub(crate) output: Output,
}

/// The changing part of a run.
struct State {
    drain: Drain,
    work: Work,
    pace: Pace,
    /// The last failure of a letter.
    trouble: Option<String>,
    /// Whether a letter was deleted.
    has_succeeded: bool,
    /// Rounds in a row in which letters failed and none was deleted.
    failed_rounds: u32,
}

/// After this many rounds in which every letter failed, the run stops: the next ones would fail too.
const MOST_FAILED_ROUNDS: u32 = 3;
/// The wait after a failed round, times the number of failed rounds in a row.
const WAIT_AFTER_FAILURE: Duration = Duration::from_millis(500);

impl Run<'_> {
    /// Works on these letters. Whatever happens, the letters that it does not delete are visible again afterwards.
    /// `in_queue` is how many letters there are, the others included.
    pub(crate) async fn work(&self, ids: &[String], in_queue: usize) -> (Tally, Ending) {
        let drops = matches!(self.action, Action::Drop);
        let pace = match self.action {
            Action::Redrive { pace, .. } => pace,
            Action::Drop => Pace::new(None, self.clock.now()),
        };
        let mut state = State {
            drain: Drain::new(u64::try_from(in_queue).unwrap_or(u64::MAX)),
            work: Work::new(ids.iter().cloned(), !drops),
            pace,
            trouble: None,
            has_succeeded: false,
            failed_rounds: 0,
        };
        let what = if drops { "letters deleted" } else { "letters redriven" };
        let progress = Progress::begin(self.output, what, u64::try_from(ids.len()).unwrap_or(u64::MAX));
        let ending = self.rounds(&mut state, &progress).await;
        progress.end();
        release_all(self.queue, &mut state.drain, self.output).await;
        (state.work.tally(drops), ending)
    }

    async fn rounds(&self, state: &mut State, progress: &Progress) -> Ending {
        while !state.work.is_complete() && !state.drain.is_done() {
            let wait = self.clock.until(state.pace.next()).max(WAIT_AFTER_FAILURE * state.failed_rounds);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stop.requested() => {}
            }
            if self.stop.is_requested() {
                return Ending::Interrupted;
            }
            // The first letter goes alone, and so does the next after a failure: if a permission is missing, or letters cannot be
            // deleted, few are sent for nothing.
            let alone = !state.has_succeeded || state.failed_rounds > 0;
            let one_call = alone || state.pace.is_limited() || self.queue.is_fifo();
            let calls = if one_call { 1 } else { state.drain.calls(CONCURRENT_CALLS, MESSAGES_PER_CALL) };
            let most = if alone { 1 } else { state.pace.portion(MESSAGES_PER_CALL) };
            if let Err(error) = self.round(state, calls, most).await {
                return Ending::Stopped(error);
            }
            if state.failed_rounds >= MOST_FAILED_ROUNDS {
                let why = state.trouble.take().unwrap_or_default();
                return Ending::Stopped(anyhow!("{MOST_FAILED_ROUNDS} times in a row every letter failed: {why}"));
            }
            progress.show(state.work.tally(matches!(self.action, Action::Drop)).done);
        }
        state.trouble.take().map_or(Ending::Complete, Ending::Troubled)
    }

    /// Receives some letters and does what is to be done with each.
    async fn round(&self, state: &mut State, calls: usize, most: u32) -> Result<(), Error> {
        let messages = self.queue.receive(calls, most, state.drain.wait()).await?;
        let (mut to_send, mut to_delete, mut any_new) = (Vec::new(), Vec::new(), false);
        for message in messages {
            let id = message.message_id().unwrap_or_default().to_owned();
            any_new |= state.drain.hold(&message);
            match state.work.step(&id) {
                Step::Send => to_send.push((id, message)),
                Step::Delete => to_delete.push(id),
                Step::Leave => {}
            }
        }
        let has_work = !to_send.is_empty() || !to_delete.is_empty();
        state.drain.called(!any_new && !has_work);
        if has_work {
            // A success below sets it back.
            state.failed_rounds += 1;
        }
        let stopped = self.send(state, to_send, &mut to_delete).await;
        // What was sent is deleted even if the run stops.
        self.delete(state, to_delete).await.and(stopped)
    }

    /// Sends letters, and adds those that were sent to the ones to delete.
    async fn send(
        &self,
        state: &mut State,
        letters: Vec<(String, Message)>,
        to_delete: &mut Vec<String>,
    ) -> Result<(), Error> {
        let Action::Redrive { target, .. } = self.action else { return Ok(()) };
        let (ids, messages): (Vec<_>, Vec<_>) =
            letters.into_iter().map(|(id, message)| (id, outgoing(&message, target.is_fifo()))).unzip();
        let results = if target.is_fifo() { in_order(target, &messages).await } else { target.send(&messages).await };
        state.pace.sent(results.iter().filter(|result| result.is_ok()).count(), self.clock.now());
        let mut stopped = Ok(());
        let mut to_release = Vec::new();
        for (id, result) in ids.into_iter().zip(results) {
            state.work.sent(&id, result.is_ok());
            match result {
                Ok(()) => to_delete.push(id),
                Err(error) => {
                    stopped = stopped.and(meets_all(&error));
                    to_release.push(id);
                    state.trouble = Some(error.to_string());
                }
            }
        }
        self.release(state, &to_release).await;
        stopped
    }

    async fn delete(&self, state: &mut State, ids: Vec<String>) -> Result<(), Error> {
        let handles: Vec<_> = ids.iter().map(|id| state.drain.take(id).unwrap_or_default()).collect();
        let results = self.queue.delete(&handles).await;
        let mut stopped = Ok(());
        let mut to_release = Vec::new();
        for ((id, handle), result) in ids.into_iter().zip(handles).zip(results) {
            state.work.deleted(&id, result.is_ok());
            if result.is_ok() {
                state.has_succeeded = true;
                state.failed_rounds = 0;
            }
            if let Err(error) = result {
                stopped = stopped.and(meets_all(&error));
                state.drain.received(&id, &handle);
                to_release.push(id);
                state.trouble = Some(error.to_string());
            }
        }
        self.release(state, &to_release).await;
        stopped
    }

    /// Makes letters that failed visible, so that they come again soon; one that was given up is held until the end.
    async fn release(&self, state: &mut State, ids: &[String]) {
        let open = ids.iter().filter(|id| state.work.step(id) != Step::Leave);
        let handles: Vec<_> = open.filter_map(|id| state.drain.take(id)).collect();
        if !handles.is_empty() {
            // If this fails, they come again later, or in the next run.
            let _ = self.queue.release(handles).await;
        }
    }
}

/// Sends messages one after the other, and none after one that failed: it must not overtake that one.
async fn in_order(target: &Queue, messages: &[OutgoingMessage]) -> Vec<Result<(), CallError>> {
    let mut results: Vec<Result<(), CallError>> = Vec::new();
    for message in messages {
        match results.last() {
            Some(Err(error)) => results.push(Err(error.clone())),
            _ => results.extend(target.send(std::slice::from_ref(message)).await),
        }
    }
    results
}

/// Returns an error if the failure of one letter would meet every other.
fn meets_all(error: &CallError) -> Result<(), Error> {
    match error.kind() {
        FailureKind::Permission | FailureKind::Credentials | FailureKind::NotFound | FailureKind::OtherRegion => {
            Err(Error::new(error.clone()))
        }
        FailureKind::Throttled | FailureKind::Unavailable | FailureKind::Other => Ok(()),
    }
}

fn outgoing(message: &Message, to_fifo: bool) -> OutgoingMessage {
    OutgoingMessage {
        body: message.body().unwrap_or_default().to_owned(),
        attributes: redriven_attributes(message),
        delay: Duration::ZERO,
        group: group(message, to_fifo),
    }
}
