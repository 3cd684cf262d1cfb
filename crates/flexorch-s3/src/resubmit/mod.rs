//! `flexorch-s3 resubmit`: submits documents again, through the function's retry queue.
//!
//! The function submits them as it submits an upload: at its own rate, with its own filters, and with receipts, from which the records follow.
//!
//! ```text
//!   records ──▶ survey ──▶ plan ──▶ run (version, then message) ──▶ retry queue
//!                 ▲                  │
//!                 └──── journal ◀────┘
//! ```
//!
//! | file | what it holds |
//! | --- | --- |
//! | `survey`, `plan` | counts what is selected; what it costs, as text and as JSON |
//! | `version` | whether a record is about the object's current version |
//! | `run` | sends batch by batch |
//! | `journal`, `tally` | the file from which a run resumes; PURE: what happened to the records |

mod journal;
mod plan;
mod run;
mod survey;
mod tally;
mod version;

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;

use crate::args::{QueueName, ResubmitOptions};
use crate::backfill::scope::fingerprint;
use crate::commands::quoted;
use crate::context::Context;
use crate::exit::Exit;
use crate::journal_file::JournalFile;
use crate::output::{DIM, SUCCESS, WARNING, styled};
use crate::progress::Progress;
use crate::stop::Stop;
use crate::text::{counted, escaped};
use crate::tracking::{Order, Records, Selection, State, Tracking, timestamp};
use flexorch_s3_ingester::aws::sqs::Queues;
use journal::{Done, Header, Identity, KIND};
use plan::Plan;
use run::{Ending, Run};
use tally::Tally;
use version::Versions;

pub(crate) async fn run(options: ResubmitOptions, context: &Context) -> Result<Exit> {
    let stop = Stop::listen()?;
    let command = resubmit(&options, context, &stop);
    tokio::select! {
        exit = command => exit,
        () = stop.insisted() => Ok(Exit::Interrupted),
    }
}

/// A resubmission that is found or new. Nothing is changed yet.
struct Prepared {
    tracking: Tracking,
    queue: QueueName,
    selection: Selection,
    header: Header,
    path: PathBuf,
    found: Option<JournalFile>,
    done: Done,
}

impl Prepared {
    async fn new(options: &ResubmitOptions, context: &Context) -> Result<Self> {
        let tracking = Tracking::find(&options.tracking, context).await?;
        let queue = match &options.queue {
            Some(queue) => queue.clone(),
            None => tracking.retry_queue().await?,
        };
        let now = context.now();
        let states: Vec<_> = options.states.iter().map(|state| State::from(*state)).collect();
        let mut selection = Selection::new(&options.documents, states, tracking.bucket(), now);
        let identity = Identity {
            table: tracking.table()?.to_owned(),
            queue: queue.to_string(),
            states: selection.states.iter().map(|state| state.word().to_owned()).collect(),
            documents: options.documents.clone(),
        };
        let path = options.journal.clone().unwrap_or_else(|| default_path(&identity));
        let found = if options.dry_run { None } else { journal::find(&path)? };
        let mut header = Header { identity, since: selection.since.clone(), until: timestamp(now), begun: now };
        let (mut journal, mut done) = (None, Done::default());
        if let Some((file, earlier, replayed)) = found {
            header.identity.check(&earlier.identity, &path)?;
            journal = Some(file);
            if !options.restart {
                (header, done) = (earlier, replayed);
            }
        }
        selection.since.clone_from(&header.since);
        selection.until = Some(header.until.clone());
        Ok(Self { tracking, queue, selection, header, path, found: journal, done })
    }

    /// Reads the selected records, oldest first: those that waited longest are sent first.
    async fn records(&self, context: &Context) -> Result<Records> {
        self.tracking.records(self.selection.clone(), Order::OldestFirst, context).await
    }
}

async fn resubmit(options: &ResubmitOptions, context: &Context, stop: &Stop) -> Result<Exit> {
    let output = context.output;
    let prepare = async {
        let prepared = Prepared::new(options, context).await?;
        let survey = survey::survey(&mut prepared.records(context).await?, &prepared.done).await?;
        let plan = Plan::new(&prepared.header.identity.table, &prepared.queue, survey, context).await;
        anyhow::Ok((prepared, plan))
    };
    let Some((prepared, plan)) = stop.unless_requested(prepare).await.transpose()? else {
        return Ok(Exit::Interrupted);
    };
    if prepared.done.tally.total() > 0 {
        let done = counted(prepared.done.tally.total(), "document");
        output.progress(format!("resumes: {done} done already (journal {})", prepared.path.display()));
    }
    plan.print(output)?;
    if options.dry_run || plan.documents() == 0 {
        output.line(if options.dry_run { "dry run, nothing was sent" } else { "nothing to do" })?;
        let state = if options.dry_run { "dry-run" } else { "complete" };
        document(&plan, &prepared, state, Tally::default(), None, context)?;
        if let Some(journal) = prepared.found {
            journal.remove()?;
        }
        return Ok(Exit::Success);
    }
    let (documents, queue) = (counted(plan.documents(), "document"), escaped(&prepared.queue.to_string()));
    let question = format!("Submit {documents} again through {queue}?");
    if !stop.confirm(options.yes, question, "nothing was sent", output).await? {
        return Ok(Exit::Interrupted);
    }
    work(prepared, &plan, options, context, stop).await
}

async fn work(
    mut prepared: Prepared,
    plan: &Plan,
    options: &ResubmitOptions,
    context: &Context,
    stop: &Stop,
) -> Result<Exit> {
    let output = context.output;
    let mut journal = match prepared.found.take() {
        Some(mut journal) if options.restart => {
            journal.restart(&prepared.header)?;
            journal
        }
        Some(journal) => journal,
        None => JournalFile::create(&prepared.path, &KIND, &prepared.header)?,
    };
    let mut records = prepared.records(context).await?;
    let sdk = context.aws().await?;
    let (queues, versions) = (Queues::new(sdk.clone(), context.clock), Versions::new(sdk.clone()));
    let run = Run { queues: &queues, queue: &prepared.queue, versions: &versions, stop, clock: context.clock };
    let progress = Progress::begin(output, "documents done", plan.documents());
    let mut done = std::mem::take(&mut prepared.done);
    let (tally, ending) = run.work(&mut records, &mut done, &mut journal, &progress).await;
    progress.end();
    summary(tally, &prepared.queue, context)?;
    let again = format!("run the same command again to continue (journal {})", prepared.path.display());
    match ending {
        Ending::Complete => {
            document(plan, &prepared, "complete", tally, None, context)?;
            journal.remove()?;
            let history = context.commands().own(format_args!("history {} --since 1h", named(options)));
            output.line(styled(
                DIM,
                format_args!("  the records follow once the function has submitted them: {history}"),
            ))?;
            Ok(Exit::Success)
        }
        Ending::Interrupted => {
            document(plan, &prepared, "interrupted", tally, None, context)?;
            output.progress(format!("interrupted; {again}"));
            Ok(Exit::Interrupted)
        }
        Ending::Stopped(error) => {
            document(plan, &prepared, "stopped", tally, Some(&format!("{error:#}")), context)?;
            Err(error.context(format!("stopped; {again}")))
        }
    }
}

/// Says what this run did.
fn summary(tally: Tally, queue: &QueueName, context: &Context) -> Result<()> {
    let output = context.output;
    let mark = if tally.sent > 0 { styled(SUCCESS, "✓") } else { styled(WARNING, "!") };
    output.line(format!("{mark} {} sent to {}", counted(tally.sent, "document"), escaped(&queue.to_string())))?;
    if let Some(skipped) = tally.skipped() {
        output.line(format!("  skipped: {skipped}"))?;
    }
    if tally.unchecked > 0 {
        output.line(format!(
            "{} {} sent without a check of the version: the record has none, or s3:GetObject is missing (-v says which)",
            styled(WARNING, "!"),
            tally.unchecked
        ))?;
    }
    Ok(())
}

fn document(
    plan: &Plan,
    prepared: &Prepared,
    state: &str,
    tally: Tally,
    error: Option<&str>,
    context: &Context,
) -> Result<()> {
    context.output.document(&json!({
        "state": state,
        "error": error,
        "table": prepared.header.identity.table,
        "queue": prepared.queue.to_string(),
        "journal": prepared.path.display().to_string(),
        "plan": plan.json(),
        "done": tally,
    }))
}

/// Returns the options that name the table, for a suggested command.
fn named(options: &ResubmitOptions) -> String {
    let tracking = &options.tracking;
    let all = [("--stack", &tracking.stack), ("--function", &tracking.function), ("--table", &tracking.table)];
    let named = all.iter().filter_map(|(option, value)| Some(format!("{option} {}", quoted(value.as_deref()?))));
    named.collect::<Vec<_>>().join(" ")
}

fn default_path(identity: &Identity) -> PathBuf {
    let text = serde_json::to_string(identity).unwrap_or_default();
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let table: String = identity.table.chars().filter(is_plain).collect();
    Path::new(&format!("flexorch-resubmit-{table}-{}.jsonl", fingerprint(&text))).to_owned()
}
