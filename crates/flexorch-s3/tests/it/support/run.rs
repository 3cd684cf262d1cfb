//! The built command line: one that ran to its end, and one that still runs.

use std::fmt;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncReadExt;

use super::surroundings::HIDDEN;

/// The built command line.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_flexorch-s3");

/// How a program ended, and what it printed. No secret is in that: each is looked for.
pub struct Run {
    /// `None` where a signal ended it.
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

/// A program that runs.
pub struct Running {
    child: tokio::process::Child,
    pid: String,
    words: Vec<u8>,
}

impl Run {
    /// Runs a command to its end, with nothing on standard input.
    pub async fn of(command: Command) -> Self {
        Self::fed(command, "").await
    }

    /// Runs a command to its end, with this on standard input. The services around it go on meanwhile.
    pub async fn fed(command: Command, input: &str) -> Self {
        let mut command = assert_cmd::Command::from_std(command);
        command.write_stdin(input);
        tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap().into()
    }

    /// The one JSON document that it printed.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}:\n{self}"))
    }

    /// Everything that it printed.
    pub fn shown(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    /// It ended with this status and its two outputs together say all of these.
    #[track_caller]
    pub fn says(&self, status: i32, words: &[&str]) -> &Self {
        assert_eq!(self.status, Some(status), "{self}");
        for words in words {
            assert!(self.out.contains(words) || self.err.contains(words), "{words:?} is not in:\n{self}");
        }
        self
    }

    /// What it printed; it went well.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert_eq!(self.status, Some(0), "{self}");
        &self.out
    }

    /// The words of a failure.
    #[track_caller]
    pub fn failed(&self) -> &str {
        assert_eq!(self.status, Some(1), "{self}");
        &self.err
    }
}

impl From<Output> for Run {
    #[track_caller]
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let run = Self { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
        for hidden in HIDDEN {
            assert!(!run.out.contains(hidden) && !run.err.contains(hidden), "a secret is printed:\n{run}");
        }
        run
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => writeln!(f, "exit status {status}")?,
            None => writeln!(f, "ended by a signal")?,
        }
        write!(f, "{}{}", self.out, self.err)
    }
}

impl Running {
    /// Starts a command and lets it run.
    pub fn start(command: Command) -> Self {
        let mut command = tokio::process::Command::from(command);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        Self { pid: child.id().unwrap().to_string(), child, words: Vec::new() }
    }

    /// Sends a signal, such as `-INT`.
    pub fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.pid]).status().unwrap().success());
    }

    /// The most memory that it has had so far, in KiB; `None` once it has ended.
    pub fn peak_memory(&self) -> Option<u64> {
        peak_memory(self.child.id()?)
    }

    /// Waits until it has said this on standard error.
    pub async fn until_printed(&mut self, words: &str) {
        let stderr = self.child.stderr.as_mut().unwrap();
        let told = async {
            while !String::from_utf8_lossy(&self.words).contains(words) {
                assert!(stderr.read_buf(&mut self.words).await.unwrap() > 0, "it ended without saying {words:?}");
            }
        };
        tokio::time::timeout(Duration::from_secs(60), told).await.expect("it does not say it");
    }

    /// Waits for its end.
    pub async fn finish(self) -> Run {
        let mut output = self.child.wait_with_output().await.unwrap();
        output.stderr.splice(..0, self.words);
        output.into()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

/// The most memory that a process has had so far, in KiB; `None` once it has ended.
fn peak_memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
