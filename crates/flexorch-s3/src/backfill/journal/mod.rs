//! The journal: a file to which a line is appended for every result, so that a backfill resumes where it ended.

mod line;
mod replay;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::journal_file::JournalFile;
pub(crate) use line::{Header, Identity, KIND, Line, RejectedKey, Settled, WithoutReceipt};
pub(crate) use replay::{Replay, Tally};

/// How often lines are flushed to the disk.
const SYNC_EVERY: Duration = Duration::from_secs(5);

/// An open journal, locked by this process.
#[derive(Debug)]
pub(crate) struct Journal {
    file: JournalFile,
    synced: Instant,
    /// It contains only a header, which this run has written.
    is_new: bool,
}

/// A journal of an earlier run.
#[derive(Debug)]
pub(crate) struct ExistingJournal {
    pub(crate) journal: Journal,
    pub(crate) header: Header,
    pub(crate) replay: Replay,
}

impl Journal {
    /// Opens a journal, if there is one, without changing it.
    ///
    /// # Errors
    /// If it cannot be read, is not a journal, is damaged, or is locked by another process.
    pub(crate) fn find(path: &Path) -> Result<Option<ExistingJournal>> {
        let mut replay = Replay::default();
        let found = JournalFile::find(path, &KIND, |line| replay.apply(line))?;
        Ok(found.map(|(file, header)| {
            let journal = Self { file, synced: Instant::now(), is_new: false };
            ExistingJournal { journal, header, replay }
        }))
    }

    /// Creates a journal.
    pub(crate) fn create(path: &Path, header: &Header) -> Result<Self> {
        let file = JournalFile::create(path, &KIND, header)?;
        Ok(Self { file, synced: Instant::now(), is_new: true })
    }

    /// Discards all lines, to start over.
    pub(crate) fn restart(&mut self, header: &Header) -> Result<()> {
        self.synced = Instant::now();
        self.file.restart(header)
    }

    pub(crate) fn add(&mut self, line: &Line) -> Result<()> {
        self.file.add(line)?;
        self.is_new = false;
        if self.synced.elapsed() >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    /// Flushes everything to the disk, and cuts off a partly written line.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.synced = Instant::now();
        self.file.sync()
    }

    /// Removes the file if this run created it and has no results.
    pub(crate) fn discard_if_new(self) {
        if self.is_new {
            let _ = self.file.remove();
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }
}

#[cfg(test)]
mod tests;
