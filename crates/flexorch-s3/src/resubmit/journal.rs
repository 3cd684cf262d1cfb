//! The journal of a resubmission: which records were sent or skipped.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use anyhow::{Result, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::tally::Tally;
use crate::args::DocumentSelection;
use crate::journal_file::{JournalFile, Kind};
use crate::tracking::Record;

/// The journal of a resubmission.
pub(crate) static KIND: Kind = Kind {
    name: "resubmission",
    version: 1,
    if_damaged: "to start over, use another file (--journal); documents that were sent are then sent again",
};

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    #[serde(flatten)]
    pub(crate) identity: Identity,
    /// The moment that `--since` stood for at the beginning, as the table has times.
    pub(crate) since: Option<String>,
    /// When it began, as the table has times: only what changed before is sent, not what failed again.
    pub(crate) until: String,
    pub(crate) begun: Timestamp,
}

/// Two runs with the same identity are the same resubmission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) table: String,
    /// The queue's URL or ARN.
    pub(crate) queue: String,
    pub(crate) states: Vec<String>,
    pub(crate) documents: DocumentSelection,
}

/// A line after the first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Document, version and time of the change of each record that is done.
    pub(crate) done: Vec<(String, String, String)>,
    #[serde(flatten)]
    pub(crate) tally: Tally,
}

/// Which records are done. It takes eight bytes for each.
#[derive(Debug, Default)]
pub(crate) struct Done {
    hashes: HashSet<u64>,
    pub(crate) tally: Tally,
}

impl Done {
    /// Returns whether a record, in this state, is done.
    pub(crate) fn contains(&self, record: &Record) -> bool {
        self.hashes.contains(&hash(&record.document, &record.version, &record.changed_at))
    }

    /// Adds what a line says.
    pub(crate) fn apply(&mut self, line: &Line) {
        self.hashes.extend(line.done.iter().map(|(document, version, changed_at)| hash(document, version, changed_at)));
        self.tally.add(line.tally);
    }
}

fn hash(document: &str, version: &str, changed_at: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (document, version, changed_at).hash(&mut hasher);
    hasher.finish()
}

/// Opens the journal of an earlier run, if there is one, without changing it.
pub(crate) fn find(path: &Path) -> Result<Option<(JournalFile, Header, Done)>> {
    let mut done = Done::default();
    let found = JournalFile::find(path, &KIND, |line: Line| done.apply(&line))?;
    Ok(found.map(|(file, header)| (file, header, done)))
}

impl Identity {
    /// Refuses the journal of another resubmission.
    pub(crate) fn check(&self, found: &Self, path: &Path) -> Result<()> {
        if self == found {
            return Ok(());
        }
        bail!(
            "the journal {} belongs to another resubmission (table {:?}, queue {}): select another file with --journal; nothing was sent",
            path.display(),
            found.table,
            found.queue
        )
    }
}
