//! Sends the records, batch by batch: checks versions, sends messages, writes the journal.

use std::time::Duration;

use anyhow::{Error, Result, anyhow};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::journal::{Done, Line};
use super::tally::Tally;
use super::version::{Checked, Versions};
use crate::args::QueueName;
use crate::journal_file::JournalFile;
use crate::progress::Progress;
use crate::stop::Stop;
use crate::tracking::{Record, Records};
use crate::uploads::{self, RECORDS_PER_MESSAGE, message};
use flexorch_s3_ingester::aws::failure::FailureKind;
use flexorch_s3_ingester::aws::sqs::Queues;
use flexorch_s3_ingester::clock::Clock;
use flexorch_s3_ingester::model::object::S3Object;

/// Records of a batch: ten messages, which one call sends.
const BATCH: usize = 10 * RECORDS_PER_MESSAGE;
/// Versions that are checked concurrently.
const CHECKS: usize = 16;
/// The time limit of a call to SQS, with its attempts.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a batch is sent if SQS cannot be reached.
const ATTEMPTS: u32 = 5;
/// The time between the first two of them, which doubles.
const FIRST_WAIT: Duration = Duration::from_millis(250);

pub(crate) enum Ending {
    /// All records are done.
    Complete,
    /// Ctrl-C.
    Interrupted,
    /// It cannot go on.
    Stopped(Error),
    /// The queue does not exist.
    NoQueue(Error),
}

pub(crate) struct Run<'a> {
    pub(crate) queues: &'a Queues,
    pub(crate) queue: &'a QueueName,
    pub(crate) versions: &'a Versions,
    pub(crate) stop: &'a Stop,
    pub(crate) clock: Clock,
}

impl Run<'_> {
    /// Sends what is not done yet. Returns what this run did.
    pub(crate) async fn work(
        &self,
        records: &mut Records,
        done: &mut Done,
        journal: &mut JournalFile,
        progress: &Progress,
    ) -> (Tally, Ending) {
        let mut tally = Tally::default();
        loop {
            if self.stop.is_requested() {
                return (tally, Ending::Interrupted);
            }
            // Nothing of a batch is sent before all of it is checked, so the checks may be abandoned.
            let batch = async {
                let batch = batch(records, done).await?;
                if batch.is_empty() { Ok(None) } else { self.check(batch).await.map(Some) }
            };
            let checked = match self.stop.unless_requested(batch).await {
                None => return (tally, Ending::Interrupted),
                Some(Ok(None)) => return (tally, Ending::Complete),
                Some(Ok(Some(checked))) => checked,
                Some(Err(error)) => return (tally, Ending::Stopped(error)),
            };
            let (line, ending) = self.send(checked).await;
            if !line.done.is_empty() {
                // In memory first: it is true whether or not it can be written.
                done.apply(&line);
                tally.add(line.tally);
                progress.show(usize::try_from(tally.total()).unwrap_or(usize::MAX));
                // Flushed, because what was sent must not be sent again.
                if let Err(error) = journal.add(&line).and_then(|()| journal.sync()) {
                    let error =
                        error.context("what was sent last is not in the journal, and the next run sends it again");
                    return (tally, Ending::Stopped(error));
                }
            }
            if let Some(ending) = ending {
                return (tally, ending);
            }
        }
    }

    async fn check(&self, batch: Vec<Record>) -> Result<Vec<(Record, Checked)>> {
        let checks = stream::iter(batch).map(|record| async move {
            let checked = self.versions.check(&record).await?;
            anyhow::Ok((record, checked))
        });
        let checked: Vec<_> = checks.buffered(CHECKS).try_collect().await?;
        Ok(checked.into_iter().filter_map(|(record, checked)| Some((record, checked?))).collect())
    }

    /// Sends a batch. Returns what is done of it, and why the rest is not.
    async fn send(&self, checked: Vec<(Record, Checked)>) -> (Line, Option<Ending>) {
        let mut line = Line::default();
        let mut unsent: Vec<(Record, S3Object, bool)> = Vec::new();
        for (record, checked) in checked {
            match checked {
                Checked::Current(object) => unsent.push((record, object, true)),
                Checked::Unchecked(object) => unsent.push((record, object, false)),
                Checked::Overwritten => {
                    line.tally.overwritten += 1;
                    line.done.push(named(record));
                }
                Checked::Deleted => {
                    line.tally.deleted += 1;
                    line.done.push(named(record));
                }
            }
        }
        let (mut attempt, mut wait) = (1, FIRST_WAIT);
        while !unsent.is_empty() {
            let chunks = unsent.chunks(RECORDS_PER_MESSAGE);
            let messages: Vec<_> = chunks.map(|chunk| message(chunk.iter().map(|(_, object, _)| object))).collect();
            let results = uploads::send(self.queues, self.queue, &messages, self.clock.now() + SEND_TIMEOUT).await;
            let mut left = Vec::new();
            let mut failure = None;
            let mut rest = unsent.into_iter();
            for result in results {
                let of_message = rest.by_ref().take(RECORDS_PER_MESSAGE);
                match result {
                    Ok(()) => {
                        for (record, _, is_checked) in of_message {
                            line.tally.sent += 1;
                            line.tally.unchecked += u64::from(!is_checked);
                            line.done.push(named(record));
                        }
                    }
                    Err(error) => {
                        left.extend(of_message);
                        failure = Some(error);
                    }
                }
            }
            unsent = left;
            let Some(error) = failure else { break };
            if !error.is_transient() || attempt == ATTEMPTS {
                let why = anyhow!("sqs:SendMessage to {} failed: {error}", self.queue);
                let is_missing = error.kind() == FailureKind::NotFound;
                return (line, Some(if is_missing { Ending::NoQueue(why) } else { Ending::Stopped(why) }));
            }
            if self.stop.unless_requested(tokio::time::sleep(wait)).await.is_none() {
                break;
            }
            (attempt, wait) = (attempt + 1, wait * 2);
        }
        (line, None)
    }
}

/// Reads the next records that are not done.
async fn batch(records: &mut Records, done: &Done) -> Result<Vec<Record>> {
    let mut batch = Vec::with_capacity(BATCH);
    while batch.len() < BATCH {
        let Some(record) = records.next().await? else { break };
        if record.object().is_some() && !done.contains(&record) {
            batch.push(record);
        }
    }
    Ok(batch)
}

fn named(record: Record) -> (String, String, String) {
    (record.document, record.version, record.changed_at)
}
