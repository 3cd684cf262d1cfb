//! Publishes what is recorded and not published: an invocation ended, or the bus failed, in between.

use std::time::SystemTime;

use flexorch_s3_ingester::aws::failure::CallError;
use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};

use crate::apply::{CONCURRENT_RECORDS, Recorder, Run};
use crate::item::Stored;
use crate::record::{Record, State};
use crate::table::{StateQuery, TableError};

/// If fewer records are read to find those that are not published, reading them again costs less than remembering how far that got.
const WORTH_REMEMBERING: u64 = 1_000;

/// A state of a job's end is written well within this time of its beginning: an invocation takes 15 minutes at most.
const WRITTEN_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// A rejection's state begins with its receipt, which its queue keeps for 14 days at most (SQS Developer Guide, "Amazon SQS message
/// quotas").
const RECEIVED_WITHIN: SignedDuration = SignedDuration::from_hours(15 * 24);

/// Publishes all states that are not, until `run.end` at the latest.
///
/// # Errors
/// [`TableError`] if the table could not be read.
pub(super) async fn publish_pending(recorder: &Recorder, run: Run<'_>) -> Result<(), TableError> {
    let began = recorder.now();
    let known = recorder.table.published_until(run.end).await?;
    let (mut read, mut all_published) = (0, true);
    for state in State::PUBLISHED {
        let from = known.and_then(|until| earliest(state, until));
        let mut start = None;
        loop {
            let query = StateQuery { state, from, unpublished: true };
            let page = recorder.table.in_state(query, start, run.end).await?;
            read += page.read;
            all_published &= publish(recorder, page.records, run).await?;
            start = page.next;
            if start.is_none() {
                break;
            }
        }
    }
    let until = began - WRITTEN_WITHIN;
    if all_published && read >= WORTH_REMEMBERING && known.is_none_or(|known| known < until) {
        recorder.table.set_published_until(until, run.end).await?;
    }
    Ok(())
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
    if let Some(error) = results.iter().find_map(|result| result.as_ref().err()) {
        log_failure(&pending, &results, error);
    }
    let all_published = results.iter().all(Result::is_ok);
    let published = pending.into_iter().zip(results).filter(|(_, result)| result.is_ok());
    stream::iter(published)
        .for_each_concurrent(CONCURRENT_RECORDS, |(stored, _)| async {
            recorder.mark_published(stored, run).await;
        })
        .await;
    Ok(all_published)
}

fn log_failure(pending: &[Stored], results: &[Result<(), CallError>], error: &CallError) {
    let failed = results.iter().filter(|result| result.is_err()).count();
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
