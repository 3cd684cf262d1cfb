//! Finds the table, the queue and the journal. A run that is found is continued with what it selected when it began.

use std::path::{Path, PathBuf};

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};

use super::journal::{self, Done, Header, Identity};
use super::survey::{Survey, survey};
use crate::args::{QueueName, ResubmitOptions};
use crate::backfill::scope::fingerprint;
use crate::context::Context;
use crate::journal_file::JournalFile;
use crate::text::counted;
use crate::tracking::{Order, Records, Selection, State, Tracking, timestamp};

/// A resubmission that is found or new. Nothing is changed yet.
pub(super) struct Prepared {
    tracking: Tracking,
    /// `None` if it is not known, which only a dry run allows.
    pub(super) queue: Option<QueueName>,
    selection: Selection,
    /// Of this run, or of the earlier one that it continues.
    pub(super) header: Header,
    pub(super) path: PathBuf,
    pub(super) found: Option<JournalFile>,
    /// Whether this run continues the one that was found. Otherwise its journal is discarded.
    pub(super) continues: bool,
    /// The run that was found, unless it is discarded.
    pub(super) earlier: Option<Header>,
    pub(super) done: Done,
    /// What a new run would select.
    fresh: Header,
}

impl Prepared {
    pub(super) async fn new(options: &ResubmitOptions, context: &Context) -> Result<Self> {
        let tracking = Tracking::find(&options.tracking, context).await?;
        let queue = match &options.queue {
            Some(queue) => Some(queue.clone()),
            None => match tracking.retry_queue().await {
                Ok(queue) => Some(queue),
                Err(_) if options.dry_run => None,
                Err(error) => return Err(error),
            },
        };
        let now = context.now();
        let states: Vec<_> = options.states.iter().map(|state| State::from(*state)).collect();
        let selection = Selection::new(&options.documents, states, tracking.bucket(), now);
        let identity = Identity {
            table: tracking.table()?.to_owned(),
            queue: queue.as_ref().map(ToString::to_string).unwrap_or_default(),
            states: selection.states.iter().map(|state| state.word().to_owned()).collect(),
            documents: options.documents.clone(),
        };
        let path = options.journal.clone().unwrap_or_else(|| default_path(&identity));
        let fresh = Header { identity, since: selection.since.clone(), until: timestamp(now), begun: now };
        let (mut found, mut earlier, mut done) = (None, None, Done::default());
        // Without a queue, no run can have been begun.
        if let Some((file, header, replayed)) = queue.as_ref().map(|_| journal::find(&path)).transpose()?.flatten() {
            fresh.identity.check(&header.identity, &path)?;
            found = Some(file);
            if !options.restart {
                (earlier, done) = (Some(header), replayed);
            }
        }
        let continues = earlier.is_some();
        let header = earlier.clone().unwrap_or_else(|| fresh.clone());
        let mut prepared = Self { tracking, queue, selection, header, path, found, continues, earlier, done, fresh };
        prepared.select();
        Ok(prepared)
    }

    fn select(&mut self) {
        self.selection.since.clone_from(&self.header.since);
        self.selection.until = Some(self.header.until.clone());
    }

    /// Begins a new run after the one that was found, of which nothing is left. What that run sent is not selected again: its records
    /// change only once the function has submitted the documents.
    pub(super) fn begin_after_earlier(&mut self) {
        self.header = Header { since: Some(self.since_later()), ..self.fresh.clone() };
        self.continues = false;
        self.done = Done::default();
        self.select();
    }

    /// Reads the selected records, oldest first: those that waited longest are sent first.
    pub(super) async fn records(&self, context: &Context) -> Result<Records> {
        self.tracking.records(self.selection.clone(), Order::OldestFirst, context).await
    }

    /// Counts what is selected and not done yet.
    pub(super) async fn survey(&self, context: &Context) -> Result<Survey> {
        survey(&mut self.records(context).await?, &self.done).await
    }

    /// Counts the documents that a new run would select and this one does not, because they changed after the run that it continues began.
    pub(super) async fn later(&self, context: &Context) -> Result<u64> {
        if !self.continues {
            return Ok(0);
        }
        let selection = self.selection.between(Some(self.since_later()), Some(self.fresh.until.clone()));
        let mut records = self.tracking.records(selection, Order::OldestFirst, context).await?;
        Ok(survey(&mut records, &Done::default()).await?.documents)
    }

    /// Returns when what a new run selects begins, without what the run that was found selects.
    fn since_later(&self) -> String {
        let after = self.earlier.as_ref().map(|earlier| just_after(&earlier.until));
        after.into_iter().chain(self.fresh.since.clone()).max().unwrap_or_default()
    }

    /// Says which run was found, and what is selected because of it.
    pub(super) fn words(&self, later: u64) -> Option<String> {
        let earlier = self.earlier.as_ref()?;
        let (begun, journal) = (timestamp(earlier.begun), self.path.display());
        let since = self.header.since.as_deref().map(|since| format!("from {since} ")).unwrap_or_default();
        let window = format!("records changed {since}until {}", self.header.until);
        if !self.continues {
            return Some(format!(
                "the run begun at {begun} is complete (journal {journal}); a new run follows: {window}"
            ));
        }
        let done = counted(self.done.tally.total(), "document");
        let later = match later {
            0 => String::new(),
            later => format!("; {} changed later, not included", counted(later, "document")),
        };
        Some(format!("resumes: {done} done already by the run begun at {begun} (journal {journal})\n  {window}{later}"))
    }
}

/// Returns the time after this one, in the table's precision.
pub(super) fn just_after(time: &str) -> String {
    let after = time.parse::<Timestamp>().ok().and_then(|time| time.checked_add(SignedDuration::from_millis(1)).ok());
    after.map_or_else(|| time.to_owned(), timestamp)
}

fn default_path(identity: &Identity) -> PathBuf {
    let text = serde_json::to_string(identity).unwrap_or_default();
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let table: String = identity.table.chars().filter(is_plain).collect();
    Path::new(&format!("flexorch-resubmit-{table}-{}.jsonl", fingerprint(&text))).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time_is_a_millisecond_later() {
        assert_eq!(just_after("2026-11-24T07:00:00.999Z"), "2026-11-24T07:00:01.000Z");
    }
}
