//! `flexorch-s3 submit`: sends object keys from the command line or a file, as the function does.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Error, Result, anyhow};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::args::SubmitOptions;
use crate::context::Context;
use crate::exit::Exit;
use crate::forwarder::{Forwarder, Pace};
use crate::interruption::Interruption;
use crate::outcome::{add_outcome, columns};
use crate::text::escaped;
use flexorch_s3_ingester::ingest::route::superseded;
use flexorch_s3_ingester::model::object::{ObjectKey, S3Object};
use flexorch_s3_ingester::model::outcome::{Counts, DeferClass, Deferral, Ledger, Outcome, SkipReason};
use flexorch_s3_ingester::telemetry::metrics::Metrics;

/// The longest time to try the keys of a few requests.
const LONGEST_SEND: Duration = Duration::from_secs(300);

/// How many keys are read ahead.
const READ_AHEAD: usize = 256;

/// Runs the command.
pub(crate) async fn run(options: SubmitOptions, context: &Context) -> Result<Exit> {
    let mut interruption = Interruption::listen()?;
    let mut keys = Keys::open(&options)?;
    let connector = context.connector(&options.secret.secret).await?;
    let (bucket, prefix) = (connector.bucket.clone().unwrap_or_default(), connector.prefix.clone());
    let pace = Pace {
        keys_per_request: options.keys_per_request,
        concurrency: options.concurrency,
        requests_per_minute: options.requests_per_minute,
    };
    let forwarder = Forwarder::new(context, connector, pace).await?;
    let at_once = options.keys_per_request.get() * options.concurrency.get();
    let mut report = Report::begin(context);
    let mut blocked: Option<Deferral> = None;
    let mut interrupted = false;
    while !interrupted {
        let objects = tokio::select! {
            objects = keys.next(at_once, &bucket) => objects,
            () = interruption.next() => {
                interrupted = true;
                break;
            }
        };
        let objects = match objects {
            Ok(objects) => objects,
            Err(error) => {
                report.end()?;
                return Err(error.context("keys could not be read to the end; those before are reported above"));
            }
        };
        if objects.is_empty() {
            break;
        }
        let outcomes = match &blocked {
            // Another request would be refused too; the keys are reported, so that they can be sent later.
            Some(deferral) => vec![Outcome::Deferred(deferral.clone()); objects.len()],
            None => {
                let wanted = if options.any_prefix { "" } else { prefix.as_str() };
                let send = send(&forwarder, &objects, wanted, context);
                tokio::pin!(send);
                tokio::select! {
                    outcomes = &mut send => outcomes,
                    () = interruption.next() => {
                        interrupted = true;
                        forwarder.stop();
                        tokio::select! {
                            outcomes = &mut send => outcomes,
                            () = interruption.next() => return Ok(Exit::Interrupted),
                        }
                    }
                }
            }
        };
        blocked = blocked.or_else(|| outcomes.iter().find_map(block_of));
        report.add(&objects, &outcomes)?;
    }
    report.end()?;
    if interrupted {
        if keys.has_more() {
            context.output.progress("interrupted; keys after the last one reported were not sent");
        }
        return Ok(Exit::Interrupted);
    }
    Ok(report.code())
}

/// Sends the objects whose keys start with `prefix`, each key once, and returns the outcome of every object.
async fn send(forwarder: &Forwarder, objects: &[S3Object], prefix: &str, context: &Context) -> Vec<Outcome> {
    let (ledger, metrics) = (Mutex::new(Ledger::new(objects.len())), Metrics::default());
    let repeated = superseded(objects, |_| true);
    let mut positions = Vec::new();
    for (position, object) in objects.iter().enumerate() {
        let skip = if !object.key.as_str().starts_with(prefix) {
            SkipReason::OutOfPrefix
        } else if repeated[position] {
            SkipReason::Superseded
        } else {
            positions.push(position);
            continue;
        };
        ledger.lock().unwrap_or_else(PoisonError::into_inner).settle(position, Outcome::Skipped(skip));
    }
    if !positions.is_empty() {
        let end = context.clock.now() + LONGEST_SEND;
        forwarder.send(objects, positions, &ledger, &metrics, end).await;
    }
    ledger.into_inner().unwrap_or_else(PoisonError::into_inner).close()
}

/// Returns why no other key can be forwarded now, if so.
fn block_of(outcome: &Outcome) -> Option<Deferral> {
    match outcome {
        Outcome::Deferred(deferral)
            if deferral.class.needs_operator() && deferral.class != DeferClass::RequestRefused =>
        {
            Some(deferral.clone())
        }
        _ => None,
    }
}

/// A source of keys.
enum Keys {
    Typed(std::vec::IntoIter<String>),
    /// Read by a separate thread: a terminal or pipe may block it, and Ctrl-C must still work.
    Read {
        keys: mpsc::Receiver<Result<String>>,
        /// The error after the last key that could be read.
        failed: Option<Error>,
    },
}

impl Keys {
    fn open(options: &SubmitOptions) -> Result<Self> {
        let Some(path) = &options.keys_from else { return Ok(Self::Typed(options.keys.clone().into_iter())) };
        let (mut reader, name): (Box<dyn BufRead + Send>, _) = match path == Path::new("-") {
            true => (Box::new(BufReader::new(std::io::stdin())), "standard input".to_owned()),
            false => {
                let name = path.display().to_string();
                let file = File::open(path).with_context(|| format!("--keys-from: cannot read {name}"))?;
                (Box::new(BufReader::new(file)), name)
            }
        };
        let (sender, receiver) = mpsc::channel(READ_AHEAD);
        std::thread::spawn(move || {
            while let Some(key) = next_key(&mut reader, &name).transpose() {
                let failed = key.is_err();
                if sender.blocking_send(key).is_err() || failed {
                    break;
                }
            }
        });
        Ok(Self::Read { keys: receiver, failed: None })
    }

    /// Returns the next keys, as objects; none at the end. If a key cannot be read, returns those before it first.
    async fn next(&mut self, most: usize, bucket: &str) -> Result<Vec<S3Object>> {
        let mut objects = Vec::new();
        while objects.len() < most {
            let key = match self {
                Self::Typed(keys) => keys.next(),
                Self::Read { failed: Some(_), .. } if !objects.is_empty() => None,
                Self::Read { keys, failed } => match failed.take() {
                    Some(error) => return Err(error),
                    None => match keys.recv().await.transpose() {
                        Ok(key) => key,
                        Err(error) => {
                            *failed = Some(error);
                            continue;
                        }
                    },
                },
            };
            let Some(key) = key else { break };
            objects.push(S3Object::new(bucket, ObjectKey::verbatim(key)?));
        }
        Ok(objects)
    }

    /// Returns whether there are more keys.
    fn has_more(&mut self) -> bool {
        match self {
            Self::Typed(keys) => keys.len() > 0,
            Self::Read { keys, .. } => keys.try_recv().is_ok(),
        }
    }
}

/// Reads the next line that is not empty.
fn next_key(reader: &mut impl BufRead, name: &str) -> Result<Option<String>> {
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line).with_context(|| format!("cannot read {name}"))? == 0 {
            return Ok(None);
        }
        if line.pop_if(|byte| *byte == b'\n').is_some() {
            line.pop_if(|byte| *byte == b'\r');
        }
        if !line.is_empty() {
            let key = String::from_utf8(line).map_err(|error| {
                let seen = String::from_utf8_lossy(error.as_bytes()).into_owned();
                anyhow!("{name} contains {seen:?}, which is not UTF-8 as object keys are")
            })?;
            return Ok(Some(key));
        }
    }
}

/// Reports outcomes as they arrive, so that memory does not grow with the number of keys.
struct Report<'a> {
    context: &'a Context,
    counts: Counts,
}

impl<'a> Report<'a> {
    fn begin(context: &'a Context) -> Self {
        Self { context, counts: Counts::default() }
    }

    fn add(&mut self, objects: &[S3Object], outcomes: &[Outcome]) -> Result<()> {
        for (object, outcome) in objects.iter().zip(outcomes) {
            if self.context.output.is_json() {
                let mut document = json!({"key": object.key.as_str()});
                add_outcome(&mut document, outcome);
                let before = if self.counts.received == 0 { "{\"objects\": [\n  " } else { ",\n  " };
                write(&format!("{before}{document}"))?;
            } else if !matches!(outcome, Outcome::Forwarded(_)) {
                let (name, detail, _) = columns(outcome);
                self.context.output.line(format!(
                    "{name:<9}  {}  {}",
                    escaped(object.key.as_str()),
                    escaped(&detail)
                ))?;
            }
            self.counts.add(outcome);
        }
        Ok(())
    }

    fn end(&self) -> Result<()> {
        let Counts { received, forwarded, skipped, rejected, deferred, duplicates, .. } = &self.counts;
        if self.context.output.is_json() {
            let before = if *received == 0 { "{\"objects\": [" } else { "\n" };
            let summary: Value = json!(self.counts);
            return write(&format!("{before}], \"summary\": {summary}}}\n"));
        }
        let known = if *duplicates > 0 { format!(" ({duplicates} known content)") } else { String::new() };
        self.context.output.line(format!(
            "received {received} = forwarded {forwarded}{known} + skipped {skipped} + rejected {rejected} + deferred {deferred}"
        ))?;
        let classes = self.counts.deferred_by_class.keys();
        for class in classes {
            self.context.output.line(format!("  {}: {}", class.as_str(), class.remedy()))?;
        }
        Ok(())
    }

    /// Returns the exit status. A repeated key is not a problem; one outside the prefix is.
    fn code(&self) -> Exit {
        let out_of_prefix = self.counts.skipped_by_reason.contains_key(&SkipReason::OutOfPrefix);
        let well = self.counts.rejected == 0 && self.counts.deferred == 0 && !out_of_prefix;
        if well { Exit::Success } else { Exit::Problem }
    }
}

fn write(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to standard output")
}
