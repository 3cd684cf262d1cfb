//! `flexorch-s3 submit`: sends object keys from the command line or a file, as the function does.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Error, Result, anyhow, bail};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::args::SubmitOptions;
use crate::context::Context;
use crate::exit::Exit;
use crate::forwarder::{Forwarder, Pace, pause_of};
use crate::outcome::{Columns, add_outcome, columns};
use crate::output::print_error;
use crate::receipts::ReceiptSender;
use crate::text::{counted, escaped, line_of};
use flexorch_s3_ingester::handler::receipts::REMEDY;
use flexorch_s3_ingester::model::object::{ObjectKey, S3Object};
use flexorch_s3_ingester::model::outcome::{Counts, DeferClass, Deferral, Ledger, Outcome, SkipReason};
use flexorch_s3_ingester::telemetry::metrics::Metrics;

/// The longest time to try the keys of a few requests.
const LONGEST_SEND: Duration = Duration::from_secs(300);

/// How many keys are read ahead.
const READ_AHEAD: usize = 256;

pub(crate) async fn run(options: SubmitOptions, context: &Context) -> Result<Exit> {
    let stop = context.stop();
    let interrupted = || {
        context.output.progress("interrupted; nothing was submitted");
        Ok(Exit::Interrupted)
    };
    let Some(connector) = stop.unless_requested(context.connector(&options.secret.secret)).await else {
        return interrupted();
    };
    let connector = connector?;
    let mut keys = Keys::open(&options, connector.bucket.clone())?;
    let mut report = Report::begin(context);
    if let Some(pause) = pause_of(&connector, &context.commands()) {
        report.end(0)?;
        print_error(&escaped(&pause));
        return Ok(Exit::Problem);
    }
    let prefix = connector.prefix.clone();
    let pace = Pace {
        keys_per_request: options.keys_per_request,
        concurrency: options.concurrency,
        requests_per_minute: options.requests_per_minute,
    };
    let forwarder = async {
        let receipts = ReceiptSender::find(&options.receipts, &connector, context).await?;
        Forwarder::new(context, connector, pace, receipts).await
    };
    let Some(forwarder) = stop.unless_requested(forwarder).await else { return interrupted() };
    let forwarder = forwarder?;
    let at_once = options.keys_per_request.get() * options.concurrency.get();
    let mut blocked: Option<Deferral> = None;
    while !stop.is_requested() {
        let Some(objects) = stop.unless_requested(keys.next(at_once)).await else { break };
        let objects = match objects {
            Ok(objects) => objects,
            Err(error) => {
                report.end(keys.repeated)?;
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
                    () = stop.requested() => {
                        forwarder.stop();
                        tokio::select! {
                            outcomes = &mut send => outcomes,
                            () = stop.insisted() => return Ok(Exit::Interrupted),
                        }
                    }
                }
            }
        };
        blocked = blocked.or_else(|| outcomes.iter().find_map(block_of));
        report.add(&objects, &outcomes)?;
    }
    let interrupted = stop.is_requested();
    report.end(keys.repeated)?;
    let lost = forwarder.lost_receipts();
    if let Some(lost) = &lost {
        print_error(&escaped(&format!("{lost} ({REMEDY}; -v names them)")));
    }
    if interrupted {
        let more = if keys.has_more() { ", and keys after the last one reported," } else { "" };
        context.output.progress(format!("interrupted; deferred keys{more} were not submitted: run the command again"));
        return Ok(Exit::Interrupted);
    }
    Ok(if lost.is_some() { Exit::Problem } else { report.code() })
}

/// Sends the objects whose keys start with `prefix`, and returns the outcome of every object.
async fn send(forwarder: &Forwarder, objects: &[S3Object], prefix: &str, context: &Context) -> Vec<Outcome> {
    let (ledger, metrics) = (Mutex::new(Ledger::new(objects.len())), Metrics::default());
    let (positions, outside): (Vec<_>, Vec<_>) =
        (0..objects.len()).partition(|position| objects[*position].key.as_str().starts_with(prefix));
    for position in outside {
        let skipped = Outcome::Skipped(SkipReason::OutOfPrefix);
        ledger.lock().unwrap_or_else(PoisonError::into_inner).settle(position, skipped);
    }
    if !positions.is_empty() {
        let end = context.clock.now() + LONGEST_SEND;
        forwarder.send(objects, positions, &ledger, &metrics, end).await;
    }
    ledger.into_inner().unwrap_or_else(PoisonError::into_inner).close()
}

/// Returns what to do about keys that were not forwarded. Unlike in the function, nothing tries them again.
fn remedy(class: DeferClass) -> &'static str {
    match class {
        DeferClass::RateLimited | DeferClass::Paced => {
            "not submitted: run the command again; to stay below the plan's rate, limit it with --requests-per-minute"
        }
        DeferClass::Unavailable => {
            "not known to be submitted: run the command again (FlexOrch recognizes what it has); if it lasts, check FLEXORCH_BASE_URL and \
             FlexOrch's status"
        }
        DeferClass::Deadline | DeferClass::ConnectorChanged => "not submitted: run the command again",
        DeferClass::Unaccounted => "FlexOrch's response does not account for the key: run the command again",
        DeferClass::SecretUnavailable => {
            "not submitted: check the secret that is named, and your permission to read it"
        }
        DeferClass::Paused => "not submitted: end the pause with `flexorch-s3 resume`, then run the command again",
        other => other.remedy(),
    }
}

/// Returns why no other key can be forwarded now, if so.
fn block_of(outcome: &Outcome) -> Option<Deferral> {
    match outcome {
        Outcome::Deferred(deferral)
            if deferral.class == DeferClass::Paused
                || deferral.class.needs_operator() && deferral.class != DeferClass::RequestRefused =>
        {
            Some(deferral.clone())
        }
        _ => None,
    }
}

/// The keys to send.
struct Keys {
    source: Source,
    /// The connector's bucket, if its secret names one.
    bucket: Option<String>,
    /// The error after the last key that could be read.
    failed: Option<Error>,
    /// The keys so far: all that were typed, or those of a file that are sent together, so that memory does not grow with the file.
    seen: HashSet<ObjectKey>,
    /// How often a key was named again. Such a key is sent once.
    repeated: u64,
}

/// Where keys come from.
enum Source {
    Typed(std::vec::IntoIter<S3Object>),
    /// Read by a separate thread: a terminal or pipe may block it, and Ctrl-C must still work.
    Read(mpsc::Receiver<Result<String>>),
}

impl Keys {
    /// Opens the source.
    ///
    /// # Errors
    /// If it cannot be opened, or a typed key cannot be sent: nothing is sent then.
    fn open(options: &SubmitOptions, bucket: Option<String>) -> Result<Self> {
        let keys = |source| Self { source, bucket: bucket.clone(), failed: None, seen: HashSet::new(), repeated: 0 };
        let Some(path) = &options.keys_from else {
            let objects: Result<Vec<_>> = options.keys.iter().map(|key| object_of(key, bucket.as_deref())).collect();
            return Ok(keys(Source::Typed(objects.context("nothing was sent")?.into_iter())));
        };
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
        Ok(keys(Source::Read(receiver)))
    }

    /// Returns the next keys, as objects, each once; none at the end. If a key cannot be read, returns those before it first.
    async fn next(&mut self, most: usize) -> Result<Vec<S3Object>> {
        let mut objects = Vec::new();
        if matches!(self.source, Source::Read(_)) {
            self.seen.clear();
        }
        while objects.len() < most && self.failed.is_none() {
            match self.one().await.transpose() {
                None => break,
                Some(Ok(object)) if self.seen.insert(object.key.clone()) => objects.push(object),
                Some(Ok(_)) => self.repeated += 1,
                Some(Err(error)) => self.failed = Some(error),
            }
        }
        match self.failed.take_if(|_| objects.is_empty()) {
            Some(error) => Err(error),
            None => Ok(objects),
        }
    }

    async fn one(&mut self) -> Result<Option<S3Object>> {
        match &mut self.source {
            Source::Typed(objects) => Ok(objects.next()),
            Source::Read(keys) => {
                let key = keys.recv().await.transpose()?;
                key.map(|key| object_of(&key, self.bucket.as_deref())).transpose()
            }
        }
    }

    fn has_more(&mut self) -> bool {
        match &mut self.source {
            Source::Typed(objects) => objects.len() > 0,
            Source::Read(keys) => keys.try_recv().is_ok(),
        }
    }
}

/// Returns the object that a key names. `s3://bucket/key` is accepted too, if the connector reads that bucket: FlexOrch is only ever sent
/// keys.
fn object_of(typed: &str, bucket: Option<&str>) -> Result<S3Object> {
    let key = match typed.strip_prefix("s3://") {
        None => typed,
        Some(address) => match address.split_once('/') {
            None | Some((_, "")) => bail!("{typed:?} names no object: expected s3://BUCKET/KEY"),
            Some((named, key)) => match bucket {
                Some(bucket) if bucket == named => key,
                Some(bucket) => bail!("{typed:?} is in bucket {named:?}, but the secret's connector reads {bucket:?}"),
                None => bail!("the secret names no bucket to compare {typed:?} with: pass the key alone"),
            },
        },
    };
    Ok(S3Object::new(bucket.unwrap_or_default(), ObjectKey::verbatim(key)?))
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
            } else {
                let Columns { outcome: word, detail, .. } = columns(outcome);
                let (before, key) = (format!("{word:<9}  "), escaped(object.key.as_str()));
                self.context.output.line(line_of(&before, &key, &escaped(&detail)))?;
            }
            self.counts.add(outcome);
        }
        Ok(())
    }

    fn end(&self, repeated: u64) -> Result<()> {
        let Counts { received, forwarded, skipped, rejected, deferred, duplicates, .. } = &self.counts;
        if self.context.output.is_json() {
            let before = if *received == 0 { "{\"objects\": [" } else { "\n" };
            let mut summary: Value = json!(self.counts);
            summary["repeated"] = repeated.into();
            return write(&format!("{before}], \"summary\": {summary}}}\n"));
        }
        let known = if *duplicates > 0 { format!(" ({duplicates} known content)") } else { String::new() };
        self.context.output.line(format!(
            "received {received} = forwarded {forwarded}{known} + skipped {skipped} + rejected {rejected} + deferred {deferred}"
        ))?;
        if repeated > 0 {
            let times = counted(repeated, "repeated key");
            self.context.output.line(format!("  {times} not counted: each key is sent once"))?;
        }
        let classes = self.counts.deferred_by_class.keys();
        for class in classes {
            self.context.output.line(format!("  {}: {}", class.as_str(), remedy(*class)))?;
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
