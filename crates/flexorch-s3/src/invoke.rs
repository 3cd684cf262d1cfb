//! `flexorch-s3 invoke` and `demo`: run the handler on events as Lambda would, and show what happened to every object.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::args::{DemoOptions, InvokeOptions};
use crate::context::Context as Options;
use crate::exit::Exit;
use crate::local::{DEAD_LETTER_QUEUE, Local};
use crate::outcome::{add_outcome, columns};
use crate::samples::SAMPLES;
use crate::text::{escaped, table, text_of};
use flexorch_s3_ingester::config::Config;
use flexorch_s3_ingester::handler::{Handled, Ingester, InvocationContext, Reported};
use flexorch_sandbox::SandboxOptions;

/// The bucket of the samples.
const SAMPLE_BUCKET: &str = "my-documents";
/// The prefix of the samples.
const SAMPLE_PREFIX: &str = "invoices/";
/// The timeout for each sample: the template's.
const SAMPLE_TIMEOUT: Duration = Duration::from_secs(30);

/// One event to run.
struct Event {
    name: String,
    payload: String,
}

/// Runs every event and prints what happened.
pub(crate) async fn run(options: InvokeOptions, context: &Options) -> Result<Exit> {
    let events = read_events(&options.events)?;
    let run = Run { timeout: options.timeout, expects_errors: options.no_fail, is_json: context.output.is_json() };
    if options.sandbox {
        let sandbox = SandboxOptions { faults: options.faults.clone(), ..SandboxOptions::default() };
        let local = Local::start(sandbox, &options.bucket, &options.prefix).await?;
        return run.in_sandbox(&events, local).await;
    }
    let config = Config { flexorch_base_url: context.flexorch_url()?, ..Config::from_env()? };
    let sdk = context.aws().await?.clone();
    let ingester = Ingester::with_clients(config, context.clock, context.http.clone(), sdk);
    ingester.warm_up().await?;
    run.events(&events, ingester).await
}

/// Runs the samples in the sandbox.
pub(crate) async fn demo(options: DemoOptions, context: &Options) -> Result<Exit> {
    let sample = |(name, payload): &(&str, &str)| Event { name: (*name).to_owned(), payload: (*payload).to_owned() };
    let events: Vec<_> = SAMPLES.iter().map(sample).collect();
    let sandbox = SandboxOptions { faults: options.faults, ..SandboxOptions::default() };
    let local = Local::start(sandbox, SAMPLE_BUCKET, SAMPLE_PREFIX).await?;
    // One sample shows what happens to an unknown event.
    let run = Run { timeout: SAMPLE_TIMEOUT, expects_errors: true, is_json: context.output.is_json() };
    run.in_sandbox(&events, local).await
}

/// Runs events.
struct Run {
    timeout: Duration,
    /// An error from the handler does not change the exit status.
    expects_errors: bool,
    is_json: bool,
}

impl Run {
    async fn in_sandbox(&self, events: &[Event], local: Local) -> Result<Exit> {
        let code = self.events(events, local.ingester().await?).await?;
        if !self.is_json {
            let taken = local.services.flexorch.taken_keys().len();
            let dead_letters = local.services.queues.messages(DEAD_LETTER_QUEUE).len();
            print(&format!(
                "FlexOrch (sandbox) accepted {taken} documents; the dead-letter queue has {dead_letters} messages.\n"
            ))?;
        }
        local.shutdown().await;
        Ok(code)
    }

    async fn events(&self, events: &[Event], ingester: Ingester) -> Result<Exit> {
        let ingester = ingester.without_metrics();
        let mut results = Vec::new();
        let mut well = true;
        for (number, event) in events.iter().enumerate() {
            let invocation = InvocationContext {
                request_id: format!("invoke-{}", number + 1),
                deadline: SystemTime::now() + self.timeout,
            };
            let handled = ingester.handle(&event.payload, &invocation).await;
            well &= handled.answer.is_ok();
            if self.is_json {
                results.push(as_json(&event.name, &handled));
            } else {
                print(&as_text(&event.name, &handled))?;
            }
        }
        if self.is_json {
            print(&format!("{:#}\n", Value::Array(results)))?;
        }
        Ok(if well || self.expects_errors { Exit::Success } else { Exit::Problem })
    }
}

fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to standard output")
}

fn read_events(paths: &[PathBuf]) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut payload = String::new();
            std::io::stdin().read_to_string(&mut payload).context("cannot read an event from standard input")?;
            events.push(Event { name: "standard input".into(), payload });
        } else if path.is_dir() {
            let files = json_files(path)?;
            if files.is_empty() {
                bail!("the directory {} contains no .json file: name the event files", path.display());
            }
            for file in files {
                events.push(read_event(&file)?);
            }
        } else {
            events.push(read_event(path)?);
        }
    }
    Ok(events)
}

fn read_event(path: &Path) -> Result<Event> {
    let payload = std::fs::read_to_string(path).with_context(|| format!("cannot read the event {}", path.display()))?;
    Ok(Event { name: path.display().to_string(), payload })
}

fn json_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot read the directory {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read the directory {}", folder.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn as_text(name: &str, handled: &Handled) -> String {
    let counts = handled.report.counts();
    let mut text = format!("{}\n", escaped(name));
    if !handled.report.objects.is_empty() {
        let mut rows = table(["  OUTCOME", "OBJECT", "REASON OR JOB", "CONNECTOR"]);
        for reported in &handled.report.objects {
            let (outcome, detail, connector) = columns(&reported.outcome);
            rows.add_row([
                format!("  {outcome}"),
                escaped(&object_name(reported)),
                escaped(&detail),
                escaped(&connector),
            ]);
        }
        text.push_str(&text_of(&rows));
    }
    text.push_str(&format!(
        "  received {} = forwarded {} + skipped {} + rejected {} + deferred {}\n",
        counts.received, counts.forwarded, counts.skipped, counts.rejected, counts.deferred
    ));
    match &handled.answer {
        Ok(answer) => text.push_str(&format!("  response: {answer}\n\n")),
        Err(error) => text.push_str(&format!("  error: {}\n\n", escaped(&error.to_string()))),
    }
    text
}

fn object_name(reported: &Reported) -> String {
    match &reported.object {
        Some(object) => format!("{}/{}", object.bucket, object.key),
        None => "(unreadable record)".to_owned(),
    }
}

fn as_json(name: &str, handled: &Handled) -> Value {
    let objects: Vec<_> = handled.report.objects.iter().map(object_json).collect();
    let mut result = json!({
        "event": name,
        "summary": handled.report.counts(),
        "unreadable_messages": handled.report.unreadable_messages,
        "objects": objects,
    });
    match &handled.answer {
        Ok(answer) => result["answer"] = answer.clone(),
        Err(error) => result["error"] = json!({"errorType": error.kind, "errorMessage": error.message}),
    }
    result
}

fn object_json(reported: &Reported) -> Value {
    let mut object = json!({
        "bucket": reported.object.as_ref().map(|object| &object.bucket),
        "key": reported.object.as_ref().map(|object| object.key.as_str()),
    });
    add_outcome(&mut object, &reported.outcome);
    object
}
