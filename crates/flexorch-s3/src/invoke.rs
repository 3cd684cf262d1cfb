//! `flexorch-s3 invoke`: runs the handler on events as Lambda would, and shows what happened to every object.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::args::InvokeOptions;
use crate::context::Context as Options;
use crate::exit::Exit;
use crate::input;
use crate::local::Local;
use crate::outcome::{Columns, add_outcome, columns};
use crate::output::{DIM, Output, WARNING, styled};
use crate::text::{counted, escaped, table, text_within};
use flexorch_s3_ingester::config::Config;
use flexorch_s3_ingester::handler::{Handled, Ingester, InvocationContext, Reported};
use flexorch_s3_ingester::model::outcome::Counts;
use flexorch_sandbox::SandboxOptions;

struct Event {
    name: String,
    payload: String,
}

/// Runs every event and prints what happened. The exit status is 3 if an event ended in an error, or an object or message was rejected or
/// deferred.
pub(crate) async fn run(options: InvokeOptions, context: &Options) -> Result<Exit> {
    let events = read_events(&options.events)?;
    let output = context.output;
    let is_well = if options.sandbox {
        let sandbox = SandboxOptions { faults: options.faults.clone(), ..SandboxOptions::default() };
        let local = Local::start(sandbox, &options.bucket, &options.prefix).await?;
        let is_well = handle_all(&events, Invoker::new(local.ingester().await?, options.timeout), output).await?;
        output.line(format!(
            "FlexOrch (sandbox) accepted {}; the dead-letter queue has {}.",
            counted(local.taken(), "document"),
            counted(local.dead_letters(), "message")
        ))?;
        local.shutdown().await;
        is_well
    } else {
        let config = Config { flexorch_base_url: context.flexorch_url()?, ..Config::from_env()? };
        let sdk = context.aws().await?.clone();
        let ingester = Ingester::with_clients(config, context.clock, context.http.clone(), sdk);
        ingester.warm_up().await?;
        handle_all(&events, Invoker::new(ingester, options.timeout), output).await?
    };
    Ok(if is_well || options.no_fail { Exit::Success } else { Exit::Problem })
}

/// Runs events, and returns whether all of them ended well.
async fn handle_all(events: &[Event], mut invoker: Invoker, output: Output) -> Result<bool> {
    let (mut is_well, mut documents) = (true, Vec::new());
    for event in events {
        let handled = invoker.handle(&event.payload).await;
        let counts = handled.report.counts();
        is_well &= handled.answer.is_ok() && handled.report.unreadable_messages == 0;
        is_well &= (counts.rejected, counts.deferred) == (0, 0);
        print(&event.name, &handled, output)?;
        documents.push(as_json(&event.name, &handled));
    }
    output.document(&documents)?;
    Ok(is_well)
}

/// Invokes the handler as Lambda does.
pub(crate) struct Invoker {
    ingester: Ingester,
    timeout: Duration,
    invocations: u64,
}

impl Invoker {
    /// Creates an invoker. Each invocation may take as long as `timeout`.
    pub(crate) fn new(ingester: Ingester, timeout: Duration) -> Self {
        Self { ingester: ingester.without_metrics(), timeout, invocations: 0 }
    }

    /// Runs an event.
    pub(crate) async fn handle(&mut self, payload: &str) -> Handled {
        self.invocations += 1;
        let request_id = format!("invoke-{}", self.invocations);
        let invocation = InvocationContext { request_id, deadline: SystemTime::now() + self.timeout };
        self.ingester.handle(payload, &invocation).await
    }
}

fn read_events(paths: &[PathBuf]) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut payload = String::new();
            std::io::stdin().read_to_string(&mut payload).context("cannot read an event from standard input")?;
            events.push(event("standard input".into(), &payload)?);
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
    event(path.display().to_string(), &payload)
}

/// Lambda hands over nothing but JSON.
fn event(name: String, payload: &str) -> Result<Event> {
    let payload: Box<RawValue> = input::parse(payload, &name, "JSON")?;
    Ok(Event { name, payload: payload.get().to_owned() })
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

fn print(name: &str, handled: &Handled, output: Output) -> Result<()> {
    output.line(escaped(name))?;
    for line in rows(handled, crate::output::columns()) {
        output.line(line)?;
    }
    output.line(format!("  {}", equation(&handled.report.counts())))?;
    output.line(match &handled.answer {
        Ok(answer) => format!("  response: {}\n", escaped(&answer.to_string())),
        Err(error) => format!("  error: {}\n", escaped(&error.to_string())),
    })
}

/// Returns the table of what happened to the objects, line by line, within so many columns. It names the connectors if there are several.
pub(crate) fn rows(handled: &Handled, most_columns: Option<usize>) -> Vec<String> {
    let objects: Vec<_> =
        handled.report.objects.iter().map(|reported| (reported, columns(&reported.outcome))).collect();
    let connectors: BTreeSet<_> = objects.iter().filter_map(|(_, columns)| columns.connector.as_deref()).collect();
    let shown = if connectors.len() > 1 { 4 } else { 3 };
    let mut rows = table([" OUTCOME", "OBJECT", "REASON OR JOB", "CONNECTOR"].into_iter().take(shown));
    for (reported, Columns { outcome, detail, connector, .. }) in &objects {
        let connector = connector.as_deref().unwrap_or("-");
        let cells = [format!(" {outcome}"), escaped(&object_name(reported)), escaped(detail), escaped(connector)];
        rows.add_row(cells.into_iter().take(shown));
    }
    let text = text_within(&rows, most_columns, Some(1));
    let mut lines = text.lines();
    let header = lines.next().filter(|_| !objects.is_empty()).map(|header| styled(DIM, header));
    let colored = objects
        .iter()
        .zip(lines)
        .map(|((_, Columns { outcome, style, .. }), line)| line.replacen(outcome, &styled(*style, outcome), 1));
    let unreadable = handled.report.unreadable_messages;
    let unreadable =
        (unreadable > 0).then(|| format!("  {}", styled(WARNING, counted(unreadable, "unreadable message"))));
    header.into_iter().chain(colored).chain(unreadable).collect()
}

/// Returns the counts as the equation that holds for every invocation.
pub(crate) fn equation(counts: &Counts) -> String {
    let Counts { received, forwarded, skipped, rejected, deferred, .. } = counts;
    format!(
        "received {received} = forwarded {forwarded} + skipped {skipped} + rejected {rejected} + deferred {deferred}"
    )
}

fn object_name(reported: &Reported) -> String {
    match &reported.object {
        Some(object) => format!("{}/{}", object.bucket, object.key),
        None => "(unreadable record)".to_owned(),
    }
}

/// Returns what happened, for programs.
pub(crate) fn as_json(name: &str, handled: &Handled) -> Value {
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
