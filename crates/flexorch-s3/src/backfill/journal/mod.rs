//! The journal: a file to which a line is added for everything that is settled, so that a backfill that ends anywhere goes on
//! there.
//!
//! Each line is one write, so another process that dies leaves whole lines and at most the beginning of one, which is cut off by the
//! next run. The lock is the operating system's: it ends with the process that has it, however that ends.

mod line;
mod replay;

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

pub(super) use line::{Header, Identity, Line, RejectedKey, Settled};
pub(super) use replay::{Replay, Tally};

/// Lines are on the disk itself, and not only with the operating system, after this much time.
const SYNC_EVERY: Duration = Duration::from_secs(5);

/// An open journal, which no other process has open.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    /// Where the next line goes.
    end: u64,
    synced: Instant,
    /// Nothing but a header is in it, and this run has written that.
    is_new: bool,
}

/// A journal that was there.
#[derive(Debug)]
pub(super) struct Found {
    pub journal: Journal,
    pub header: Header,
    pub replay: Replay,
}

impl Journal {
    /// Opens a journal where there is one, and changes nothing.
    ///
    /// # Errors
    /// Where it cannot be read, is no journal, is damaged, or another process has it.
    pub(super) fn find(path: &Path) -> Result<Option<Found>> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("the journal {} cannot be opened", path.display()));
            }
        };
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            bail!("{} is not a file: name one with --journal", path.display());
        }
        lock(&file, path)?;
        let read = || format!("the journal {} cannot be read", path.display());
        let mut reader = BufReader::new(&file);
        let mut text = String::new();
        let mut end = read_line(&mut reader, &mut text).with_context(read)?;
        if end == 0 {
            // The beginning of a first line at most: nothing was sent after it.
            if !MARK.starts_with(&text) && !text.starts_with(MARK) {
                bail!("{} is not a journal of a backfill: name another file with --journal", path.display());
            }
            drop(reader);
            std::fs::remove_file(path).with_context(|| format!("{} cannot be taken away", path.display()))?;
            return Ok(None);
        }
        let header = read_header(&text, path)?;
        let mut replay = Replay::default();
        loop {
            text.clear();
            let length = read_line(&mut reader, &mut text).with_context(read)?;
            match serde_json::from_str(&text) {
                Ok(line) if length > 0 => replay.apply(line),
                // A line that was being written when the process or the machine ended.
                _ if reader.fill_buf().with_context(read)?.is_empty() => break,
                _ => bail!(
                    "the journal {} is damaged in line {}: keep it aside, and start over with another --journal, which sends again what \
                     this one says is done",
                    path.display(),
                    replay.lines + 2
                ),
            }
            end += length;
        }
        let journal = Self { file, path: path.to_owned(), end, synced: Instant::now(), is_new: false };
        Ok(Some(Found { journal, header, replay }))
    }

    /// Makes a new journal.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub(super) fn create(path: &Path, header: &Header) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path);
        let file = file.with_context(|| {
            format!("the journal {} cannot be made: name a place for it with --journal", path.display())
        })?;
        lock(&file, path)?;
        let mut journal = Self { file, path: path.to_owned(), end: 0, synced: Instant::now(), is_new: true };
        journal.write(header)?;
        journal.sync()?;
        // The name of a new file is its folder's.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
        Ok(journal)
    }

    /// Forgets everything, for the backfill to start over.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(super) fn restart(&mut self, header: &Header) -> Result<()> {
        self.end = 0;
        self.file.set_len(0).with_context(|| self.failed())?;
        self.write(header)?;
        self.sync()
    }

    /// Adds a line.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(super) fn add(&mut self, line: &Line) -> Result<()> {
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
            // A part of a line may be there; where it cannot be taken away, the next run does it.
            let _ = self.file.set_len(self.end);
        }
        written.with_context(|| self.failed())?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Puts everything on the disk, and takes the rest of a torn line away.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.synced = Instant::now();
        self.file.set_len(self.end).and_then(|()| self.file.sync_data()).with_context(|| self.failed())
    }

    /// Takes the file away again where this run has made it and nothing was settled.
    pub(super) fn discard_if_new(self) {
        if self.is_new {
            let _ = std::fs::remove_file(&self.path);
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self) -> String {
        format!("the journal {} cannot be written", self.path.display())
    }
}

use line::{MARK, VERSION};

fn lock(file: &File, path: &Path) -> Result<()> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => {
            bail!("another backfill is running with the journal {}: wait for it, or stop it first", path.display())
        }
        Err(error) => Err(error).with_context(|| format!("the journal {} cannot be locked", path.display())),
    }
}

/// Reads a whole line without its end into `text`, and answers its length with it: 0 where the end is missing.
fn read_line(reader: &mut impl BufRead, text: &mut String) -> std::io::Result<u64> {
    let mut bytes = Vec::new();
    let length = reader.read_until(b'\n', &mut bytes)? as u64;
    let whole = bytes.pop_if(|byte| *byte == b'\n').is_some();
    *text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(if whole { length } else { 0 })
}

fn read_header(text: &str, path: &Path) -> Result<Header> {
    if !text.starts_with(MARK) {
        bail!("{} is not a journal of a backfill: name another file with --journal", path.display());
    }
    let version = serde_json::from_str::<serde_json::Value>(text).ok().and_then(|value| value["version"].as_u64());
    match (version, serde_json::from_str(text)) {
        (Some(version), _) if version != u64::from(VERSION) => {
            bail!("the journal {} has format {version}, and this program knows {VERSION} alone", path.display())
        }
        (_, Ok(header)) => Ok(header),
        (_, Err(error)) => Err(error).with_context(|| format!("the journal {} is damaged in line 1", path.display())),
    }
}

#[cfg(test)]
mod tests;
