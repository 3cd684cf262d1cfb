//! The journal: a file to which a line is appended for every result, so that a backfill resumes where it ended.
//!
//! Each line is one write, so a process that dies leaves whole lines and at most the beginning of one, which the next run cuts off.
//! The lock is the operating system's: it is released when its process ends.

mod line;
mod replay;

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

pub(crate) use line::{Header, Identity, Line, RejectedKey, Settled};
pub(crate) use replay::{Replay, Tally};

/// How often lines are flushed to the disk.
const SYNC_EVERY: Duration = Duration::from_secs(5);

/// An open journal, locked by this process.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    /// The position of the next line.
    end: u64,
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
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot open the journal {}", path.display()));
            }
        };
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            bail!("{} is not a regular file: select another with --journal", path.display());
        }
        lock(&file, path)?;
        let read = || format!("cannot read the journal {}", path.display());
        let mut reader = BufReader::new(&file);
        let mut text = String::new();
        let mut end = read_line(&mut reader, &mut text).with_context(read)?;
        if end == 0 {
            // At most the beginning of the first line was written, so nothing was sent.
            if !MARK.starts_with(&text) && !text.starts_with(MARK) {
                bail!("{} is not a backfill journal: select another file with --journal", path.display());
            }
            drop(reader);
            std::fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
            return Ok(None);
        }
        let header = read_header(&text, path)?;
        let mut replay = Replay::default();
        loop {
            text.clear();
            let length = read_line(&mut reader, &mut text).with_context(read)?;
            match serde_json::from_str(&text) {
                Ok(line) if length > 0 => replay.apply(line),
                // A partly written line.
                _ if reader.fill_buf().with_context(read)?.is_empty() => break,
                _ => bail!(
                    "the journal {} is damaged in line {}: to start over, use another file (--journal); objects that are done are then sent \
                     again",
                    path.display(),
                    replay.lines + 2
                ),
            }
            end += length;
        }
        let journal = Self { file, path: path.to_owned(), end, synced: Instant::now(), is_new: false };
        Ok(Some(ExistingJournal { journal, header, replay }))
    }

    /// Creates a journal.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub(crate) fn create(path: &Path, header: &Header) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path);
        let file = file.with_context(|| {
            format!("cannot create the journal {}: select another file with --journal", path.display())
        })?;
        lock(&file, path)?;
        let mut journal = Self { file, path: path.to_owned(), end: 0, synced: Instant::now(), is_new: true };
        journal.write(header)?;
        journal.sync()?;
        // Flush the directory entry of the new file.
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let _ = File::open(directory).and_then(|directory| directory.sync_all());
        Ok(journal)
    }

    /// Discards all lines, to start over.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn restart(&mut self, header: &Header) -> Result<()> {
        self.end = 0;
        self.file.set_len(0).with_context(|| self.failed())?;
        self.write(header)?;
        self.sync()
    }

    /// Appends a line.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn add(&mut self, line: &Line) -> Result<()> {
        self.write(line)?;
        self.is_new = false;
        if self.synced.elapsed() >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    fn write(&mut self, line: &impl serde::Serialize) -> Result<()> {
        let mut bytes = serde_json::to_vec(line).with_context(|| self.failed())?;
        bytes.push(b'\n');
        let written = self.file.seek(SeekFrom::Start(self.end)).and_then(|_| self.file.write_all(&bytes));
        if written.is_err() {
            // Remove a partly written line; if that fails, the next run does it.
            let _ = self.file.set_len(self.end);
        }
        written.with_context(|| self.failed())?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Flushes everything to the disk, and cuts off a partly written line.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.synced = Instant::now();
        self.file.set_len(self.end).and_then(|()| self.file.sync_data()).with_context(|| self.failed())
    }

    /// Removes the file if this run created it and has no results.
    pub(crate) fn discard_if_new(self) {
        if self.is_new {
            let _ = std::fs::remove_file(&self.path);
        }
    }

    /// Returns its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self) -> String {
        format!("cannot write the journal {}", self.path.display())
    }
}

use line::{MARK, VERSION};

fn lock(file: &File, path: &Path) -> Result<()> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => {
            bail!("another backfill is running with the journal {}: wait for it or stop it", path.display())
        }
        Err(error) => Err(error).with_context(|| format!("cannot lock the journal {}", path.display())),
    }
}

/// Reads a line without its newline into `text`, and returns its length including the newline, or 0 if the newline is missing.
fn read_line(reader: &mut impl BufRead, text: &mut String) -> std::io::Result<u64> {
    let mut bytes = Vec::new();
    let length = reader.read_until(b'\n', &mut bytes)? as u64;
    let whole = bytes.pop_if(|byte| *byte == b'\n').is_some();
    *text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(if whole { length } else { 0 })
}

fn read_header(text: &str, path: &Path) -> Result<Header> {
    if !text.starts_with(MARK) {
        bail!("{} is not a backfill journal: select another file with --journal", path.display());
    }
    let version = serde_json::from_str::<serde_json::Value>(text).ok().and_then(|value| value["version"].as_u64());
    match (version, serde_json::from_str(text)) {
        (Some(version), _) if version != u64::from(VERSION) => {
            bail!(
                "the journal {} has format version {version}; this program supports version {VERSION}",
                path.display()
            )
        }
        (_, Ok(header)) => Ok(header),
        (_, Err(error)) => Err(error).with_context(|| format!("the journal {} is damaged in line 1", path.display())),
    }
}

#[cfg(test)]
mod tests;
