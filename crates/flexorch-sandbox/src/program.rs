//! A function as a local process, and what it prints.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// A running function. It is killed when this is dropped.
#[derive(Debug)]
pub struct Program {
    executable: OsString,
    environment: BTreeMap<String, String>,
    process: Child,
    output: Output,
}

/// What the processes of a program printed, standard error included.
#[derive(Clone, Debug)]
struct Output {
    lines: Arc<Mutex<Vec<String>>>,
    /// How many streams are open.
    open: watch::Sender<usize>,
}

impl Program {
    /// Starts an executable with this environment alone, without an input.
    ///
    /// # Errors
    /// If the process cannot be started.
    pub fn start(executable: impl AsRef<OsStr>, environment: BTreeMap<String, String>) -> io::Result<Self> {
        let output = Output { lines: Arc::default(), open: watch::Sender::new(0) };
        let process = output.start(executable.as_ref(), &environment)?;
        Ok(Self { executable: executable.as_ref().to_owned(), environment, process, output })
    }

    /// Kills the process and starts another one.
    ///
    /// # Errors
    /// If the process cannot be killed, or the other one not be started.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.process.kill().await?;
        self.process = self.output.start(&self.executable, &self.environment)?;
        Ok(())
    }

    /// Returns the process's id; `None` once it has ended and was waited for.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Waits for the process's end.
    ///
    /// # Errors
    /// If the operating system refuses it.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.process.wait().await
    }

    /// Returns the lines so far; the last ones of a running process may be missing.
    pub fn lines(&self) -> Vec<String> {
        self.output.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Kills the process and returns all lines.
    pub async fn output(mut self) -> Vec<String> {
        // It may have ended before.
        let _ = self.process.kill().await;
        let _ = self.output.open.subscribe().wait_for(|open| *open == 0).await;
        self.lines()
    }
}

impl Output {
    fn start(&self, executable: &OsStr, environment: &BTreeMap<String, String>) -> io::Result<Child> {
        let mut process = Command::new(executable)
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        process.stdout.take().into_iter().for_each(|stream| self.follow(stream));
        process.stderr.take().into_iter().for_each(|stream| self.follow(stream));
        Ok(process)
    }

    fn follow(&self, stream: impl AsyncRead + Send + Unpin + 'static) {
        let Self { lines, open } = self.clone();
        open.send_modify(|open| *open += 1);
        tokio::spawn(async move {
            let mut stream = BufReader::new(stream).lines();
            while let Ok(Some(line)) = stream.next_line().await {
                lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
            open.send_modify(|open| *open -= 1);
        });
    }
}

/// Returns the sum of each metric in lines of CloudWatch's embedded metric format; a metric with several values counts with all of
/// them. Other lines are ignored.
pub fn metric_sums(lines: &[String]) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for line in lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let declared = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array();
        for name in declared.into_iter().flatten().filter_map(|metric| metric["Name"].as_str()) {
            let sum: f64 = match &line[name] {
                Value::Array(values) => values.iter().filter_map(Value::as_f64).sum(),
                value => value.as_f64().unwrap_or_default(),
            };
            *sums.entry(name.to_owned()).or_default() += sum;
        }
    }
    sums
}
