//! Publishes what is recorded and not published: an invocation ended, or the bus failed, in between.

use std::time::SystemTime;

use flexorch_s3_ingester::aws::failure::CallError;
use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};

use crate::apply::{CONCURRENT_RECORDS, Recorder, Run};
use crate::item::Stored;
use crate::record::Record;
use crate::schema::State;
use crate::table::{Filter, PublishedUntil, StateQuery, TableError};

/// If fewer records are read to find those that are not published, reading them again costs less than remembering how far that got.
const WORTH_REMEMBERING: u64 = 1_000;

/// A state of a job's end is written well within this time of its beginning: an invocation takes 15 minutes at most.
const WRITTEN_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// A rejection's state begins with its receipt, which its queue and, after a redrive, its dead-letter queue and its queue again keep
/// for 14 days at most each (SQS Developer Guide, "Amazon SQS message quotas").
const RECEIVED_WITHIN: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What one sweep knows and learns about how far everything is published.
struct Progress {
    known: PublishedUntil,
    until: PublishedUntil,
    /// What began later may not be written yet.
    latest: Timestamp,
    read: u64,
}

/// Publishes all states that are not, until `run.end` at the latest. If the time is over before all records were read, the next sweep
/// goes on there.
///
/// # Errors
/// [`TableError`] if the table could not be read to the end.
pub(super) async fn publish_pending(recorder: &Recorder, run: Run<'_>) -> Result<(), TableError> {
    let latest = recorder.now() - WRITTEN_WITHIN;
    // Some of the time is left to remember how far it got.
    let read_end = recorder.clock.now() + recorder.clock.until(run.end) / 8 * 7;
    let known = recorder.table.published_until(read_end).await?;
    let mut progress = Progress { until: known.clone(), known, latest, read: 0 };
    let mut result = Ok(());
    for state in State::PUBLISHED {
        result = result.and(publish_state(recorder, state, &mut progress, Run { end: read_end, ..run }).await);
    }
    if progress.read >= WORTH_REMEMBERING && progress.until != progress.known {
        recorder.table.set_published_until(&progress.until, run.end).await?;
    }
    result
}

/// Publishes what is not, of the records in one state.
async fn publish_state(
    recorder: &Recorder,
    state: State,
    progress: &mut Progress,
    run: Run<'_>,
) -> Result<(), TableError> {
    let from = progress.known.get(&state).and_then(|until| earliest(state, *until));
    let (mut start, mut all_published) = (None, true);
    loop {
        let query = StateQuery { state, from, filter: Filter::Unpublished };
        let mut page = recorder.table.in_state(query, start, run.end).await?;
        progress.read += page.read;
        all_published &= publish(recorder, std::mem::take(&mut page.records), run).await?;
        if all_published {
            progress.advance(state, page.reached());
        }
        start = page.next;
        if start.is_none() {
            return Ok(());
        }
    }
}

impl Progress {
    /// Everything that began in this state before `reached` (`None`: ever) is published.
    fn advance(&mut self, state: State, reached: Option<Timestamp>) {
        let until = reached.map_or(self.latest, |reached| reached.min(self.latest));
        let known = self.until.entry(state).or_insert(until);
        *known = until.max(*known);
    }
}

/// Returns the earliest beginning of a state that may not be published, if all before `until` that had been written are.
fn earliest(state: State, until: Timestamp) -> Option<Timestamp> {
    if state == State::Rejected { until.checked_sub(RECEIVED_WITHIN).ok() } else { Some(until) }
}

/// Publishes those of these records that still need it; returns whether that succeeded for all.
async fn publish(recorder: &Recorder, found: Vec<Stored>, run: Run<'_>) -> Result<bool, TableError> {
    // The index may be behind the table.
    let current = stream::iter(found)
        .map(|stored| async move { recorder.table.get(&stored.record.key, run.end).await })
        .buffer_unordered(CONCURRENT_RECORDS)
        .collect::<Vec<_>>()
        .await;
    let mut pending = Vec::new();
    for stored in current {
        pending.extend(stored?.filter(|stored| stored.record.unpublished));
    }
    // Half of the time that is left: an entry that keeps failing leaves the rest to the marks of the others, and to later pages.
    let bus_end = recorder.clock.now() + recorder.clock.until(run.end) / 2;
    let results = recorder.bus.publish(&pending.iter().map(|stored| &stored.record).collect::<Vec<_>>(), bus_end).await;
    let failed = results.iter().filter(|result| result.is_err()).count();
    run.metrics.count_unpublished(u64::try_from(failed).unwrap_or(u64::MAX));
    if let Some(error) = results.iter().find_map(|result| result.as_ref().err()) {
        log_failure(failed, &pending, &results, error);
    }
    let published = pending.into_iter().zip(results).filter(|(_, result)| result.is_ok());
    stream::iter(published)
        .for_each_concurrent(CONCURRENT_RECORDS, |(stored, _)| async {
            recorder.mark_published(stored, run).await;
        })
        .await;
    Ok(failed == 0)
}

fn log_failure(failed: usize, pending: &[Stored], results: &[Result<(), CallError>], error: &CallError) {
    let example = pending.iter().zip(results).find(|(_, result)| result.is_err());
    let example: Option<&Record> = example.map(|(stored, _)| &stored.record);
    tracing::error!(
        failed,
        document = example.map(|record| record.key.document.as_str()),
        error = error.to_string().as_str(),
        "events cannot be published now; the next sweep tries again"
    );
}

/// Returns when publishing must have ended: it may take a quarter of the time, so that a bus that hangs leaves time to ask.
pub(super) fn publish_end(now: SystemTime, end: SystemTime) -> SystemTime {
    now + end.duration_since(now).unwrap_or_default() / 4
}
