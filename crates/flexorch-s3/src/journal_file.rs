//! The file of a journal: JSON lines, of which the first identifies what the journal belongs to.
//!
//! Each line is one write, so a process that dies leaves whole lines and at most the beginning of one, which the next run cuts off.
//! The lock is the operating system's: it is released when its process ends.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

#[derive(Debug)]
pub(crate) struct Kind {
    /// What the journal records, such as `backfill`.
    pub(crate) name: &'static str,
    /// The version of the format.
    pub(crate) version: u64,
    /// What to do about a damaged journal.
    pub(crate) if_damaged: &'static str,
}

/// A journal's file, open and locked by this process.
#[derive(Debug)]
pub(crate) struct JournalFile {
    file: File,
    path: PathBuf,
    /// The position of the next line.
    end: u64,
    kind: &'static Kind,
}

#[derive(Serialize)]
struct FirstLine<'a, H> {
    /// The first field, by which a journal is recognized.
    journal: String,
    version: u64,
    #[serde(flatten)]
    header: &'a H,
}

impl Kind {
    fn label(&self) -> String {
        format!("flexorch-s3 {}", self.name)
    }

    /// Returns the beginning of the first line. No other file is ever overwritten.
    pub(crate) fn mark(&self) -> String {
        format!(r#"{{"journal":"{}","#, self.label())
    }
    /// Refuses a journal whose parts, each with the words for it, are not those of this run.
    pub(crate) fn check_same(&self, path: &Path, recorded: &[(&str, String)], own: &[(&str, String)]) -> Result<()> {
        let differing = recorded.iter().zip(own).filter(|((_, recorded), (_, own))| recorded != own);
        let differences: Vec<_> =
            differing.map(|((name, recorded), (_, own))| format!("{name} {recorded} and not {own}")).collect();
        if !differences.is_empty() {
            bail!(
                "the journal {} belongs to another {}: {}. Select another file with --journal; nothing was changed",
                path.display(),
                self.name,
                differences.join(", ")
            );
        }
        Ok(())
    }
}

impl JournalFile {
    /// Opens a journal, if there is one, without changing it. Returns its first line too, and calls `apply` with each of the others.
    ///
    /// # Errors
    /// If it cannot be read, is another file, is damaged, or is locked by another process.
    pub(crate) fn find<H: DeserializeOwned, L: DeserializeOwned>(
        path: &Path,
        kind: &'static Kind,
        mut apply: impl FnMut(L),
    ) -> Result<Option<(Self, H)>> {
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
        lock(&file, path, kind)?;
        let read = || format!("cannot read the journal {}", path.display());
        let mut reader = BufReader::new(&file);
        let mut text = String::new();
        let mut end = read_line(&mut reader, &mut text).with_context(read)?;
        let mark = kind.mark();
        if !text.starts_with(&mark) && (end > 0 || !mark.starts_with(&text)) {
            bail!("{} is not a {} journal: select another file with --journal", path.display(), kind.name);
        }
        if end == 0 {
            // At most the beginning of the first line was written, so nothing was done.
            drop(reader);
            std::fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
            return Ok(None);
        }
        let header = read_header(&text, path, kind)?;
        for number in 2_u64.. {
            text.clear();
            let length = read_line(&mut reader, &mut text).with_context(read)?;
            match serde_json::from_str(&text) {
                Ok(line) if length > 0 => apply(line),
                // A partly written line.
                _ if reader.fill_buf().with_context(read)?.is_empty() => break,
                _ => bail!("the journal {} is damaged in line {number}: {}", path.display(), kind.if_damaged),
            }
            end += length;
        }
        Ok(Some((Self { file, path: path.to_owned(), end, kind }, header)))
    }

    /// Creates a journal with its first line, which only its owner can read. The line says which kind of journal it is, and has the fields of
    /// `header`.
    pub(crate) fn create(path: &Path, kind: &'static Kind, header: &impl Serialize) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
        let file = file.with_context(|| {
            format!("cannot create the journal {}: select another file with --journal", path.display())
        })?;
        lock(&file, path, kind)?;
        let mut journal = Self { file, path: path.to_owned(), end: 0, kind };
        journal.begin(header)?;
        // Flush the directory entry of the new file.
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let _ = File::open(directory).and_then(|directory| directory.sync_all());
        Ok(journal)
    }

    pub(crate) fn add(&mut self, line: &impl Serialize) -> Result<()> {
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
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.file.set_len(self.end).and_then(|()| self.file.sync_data()).with_context(|| self.failed())
    }

    /// Discards all lines, to start over with this first one.
    pub(crate) fn restart(&mut self, header: &impl Serialize) -> Result<()> {
        self.end = 0;
        self.file.set_len(0).with_context(|| self.failed())?;
        self.begin(header)
    }

    fn begin(&mut self, header: &impl Serialize) -> Result<()> {
        self.add(&FirstLine { journal: self.kind.label(), version: self.kind.version, header })?;
        self.sync()
    }

    /// Removes the file.
    pub(crate) fn remove(self) -> Result<()> {
        std::fs::remove_file(&self.path)
            .with_context(|| format!("cannot remove the {} journal {}", self.kind.name, self.path.display()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self) -> String {
        format!("cannot write the journal {}", self.path.display())
    }
}

fn lock(file: &File, path: &Path, kind: &Kind) -> Result<()> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => {
            bail!("another {} is running with the journal {}: wait for it or stop it", kind.name, path.display())
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

fn read_header<H: DeserializeOwned>(text: &str, path: &Path, kind: &Kind) -> Result<H> {
    let version = serde_json::from_str::<serde_json::Value>(text).ok().and_then(|value| value["version"].as_u64());
    match (version, serde_json::from_str(text)) {
        (Some(version), _) if version != kind.version => {
            bail!(
                "the journal {} has format version {version}; this program supports version {}",
                path.display(),
                kind.version
            )
        }
        (_, Ok(header)) => Ok(header),
        (_, Err(error)) => Err(error).with_context(|| format!("the journal {} is damaged in line 1", path.display())),
    }
}
