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
//! | `prepared` | finds the table, the queue and the journal: a new run, or one that is continued |
//! | `survey`, `plan` | counts what is selected; what it costs, as text and as JSON |
//! | `version` | whether a record is about the object's current version |
//! | `run` | sends batch by batch |
//! | `journal`, `tally` | the file from which a run resumes; PURE: what happened to the records |

mod journal;
mod plan;
mod prepared;
mod run;
mod survey;
mod tally;
mod version;

use anyhow::Result;
use serde_json::json;

use crate::args::{QueueName, ResubmitOptions};
use crate::commands::quoted;
use crate::context::Context;
use crate::exit::Exit;
use crate::journal_file::JournalFile;
use crate::output::{DIM, SUCCESS, WARNING, styled};
use crate::progress::Progress;
use crate::stop::Stop;
use crate::text::{counted, escaped};
use crate::tracking::State;
use flexorch_s3_ingester::aws::sqs::Queues;
use journal::KIND;
use plan::Plan;
use prepared::{Prepared, just_after};
use run::{Ending, Run};
use tally::Tally;
use version::Versions;

pub(crate) async fn run(options: ResubmitOptions, context: &Context) -> Result<Exit> {
    let stop = context.stop();
    let command = resubmit(&options, context, stop);
    tokio::select! {
        exit = command => exit,
        () = stop.insisted() => Ok(Exit::Interrupted),
    }
}

async fn resubmit(options: &ResubmitOptions, context: &Context, stop: &Stop) -> Result<Exit> {
    let output = context.output;
    let prepare = async {
        let mut prepared = Prepared::new(options, context).await?;
        let mut survey = prepared.survey(context).await?;
        if prepared.earlier.is_some() && survey.documents == 0 {
            prepared.begin_after_earlier();
            survey = prepared.survey(context).await?;
        }
        let later = prepared.later(context).await?;
        let plan = Plan::new(&prepared.header.identity.table, prepared.queue.as_ref(), survey, context).await;
        anyhow::Ok((prepared, plan, later))
    };
    let Some((prepared, plan, later)) = stop.unless_requested(prepare).await.transpose()? else {
        return Ok(Exit::Interrupted);
    };
    if let Some(words) = prepared.words(later) {
        output.line(words)?;
    }
    plan.print(output)?;
    let report = Report { plan: &plan, options, later, context };
    let queue = match &prepared.queue {
        Some(queue) if plan.documents() > 0 && !options.dry_run => queue.clone(),
        _ => {
            output.line(if options.dry_run { "dry run, nothing was sent" } else { "nothing to do" })?;
            let state = if options.dry_run { "dry-run" } else { "complete" };
            report.document(&prepared, state, Tally::default(), None)?;
            if let Some(journal) = prepared.found.filter(|_| !options.dry_run) {
                journal.remove()?;
            }
            return Ok(Exit::Success);
        }
    };
    let (documents, through) = (counted(plan.documents(), "document"), escaped(&queue.to_string()));
    let question = format!("Submit {documents} again through {through}?");
    if !stop.confirm(options.yes, question, "nothing was sent", output).await? {
        return Ok(Exit::Interrupted);
    }
    work(prepared, &queue, &report, stop).await
}

async fn work(mut prepared: Prepared, queue: &QueueName, report: &Report<'_>, stop: &Stop) -> Result<Exit> {
    let context = report.context;
    let output = context.output;
    let mut journal = match prepared.found.take() {
        Some(mut journal) if !prepared.continues => {
            journal.restart(&prepared.header)?;
            journal
        }
        Some(journal) => journal,
        None => JournalFile::create(&prepared.path, &KIND, &prepared.header)?,
    };
    let mut records = prepared.records(context).await?;
    let sdk = context.aws().await?;
    let (queues, versions) = (Queues::new(sdk.clone(), context.clock), Versions::new(sdk.clone()));
    let run = Run { queues: &queues, queue, versions: &versions, stop, clock: context.clock };
    let progress = Progress::begin(output, "documents done", report.plan.documents());
    let mut done = std::mem::take(&mut prepared.done);
    let (tally, ending) = run.work(&mut records, &mut done, &mut journal, &progress).await;
    progress.end();
    report.summary(tally, queue, &versions)?;
    let journal_words = format!("(journal {})", prepared.path.display());
    match ending {
        Ending::Complete => {
            report.document(&prepared, "complete", tally, None)?;
            journal.remove()?;
            report.next(&prepared, tally)?;
            Ok(Exit::Success)
        }
        Ending::Interrupted => {
            report.document(&prepared, "interrupted", tally, None)?;
            output.progress(format!("interrupted; run the same command again to continue {journal_words}"));
            Ok(Exit::Interrupted)
        }
        Ending::Stopped(error) => {
            report.document(&prepared, "stopped", tally, Some(&format!("{error:#}")))?;
            Err(error.context(format!("stopped; run the same command again to continue {journal_words}")))
        }
        Ending::NoQueue(error) => {
            report.document(&prepared, "stopped", tally, Some(&format!("{error:#}")))?;
            if done.tally.total() == 0 {
                // It belongs to a queue that does not exist.
                journal.remove()?;
                return Err(error.context("nothing was sent"));
            }
            Err(error.context(format!("stopped; once the queue exists, the same command continues {journal_words}")))
        }
    }
}

/// Says what is done.
struct Report<'a> {
    plan: &'a Plan,
    options: &'a ResubmitOptions,
    /// How many documents changed after the run that is continued began.
    later: u64,
    context: &'a Context,
}

impl Report<'_> {
    /// Says what this run did.
    fn summary(&self, tally: Tally, queue: &QueueName, versions: &Versions) -> Result<()> {
        let output = self.context.output;
        let mark = if tally.sent > 0 { styled(SUCCESS, "✓") } else { styled(WARNING, "!") };
        output.line(format!("{mark} {} sent to {}", counted(tally.sent, "document"), escaped(&queue.to_string())))?;
        if let Some(skipped) = tally.skipped() {
            output.line(format!("  skipped: {skipped}"))?;
        }
        if tally.unchecked > 0 {
            let why = versions.first_refusal().unwrap_or_else(|| "their records name none".to_owned());
            let mark = styled(WARNING, "!");
            output.line(format!(
                "{mark} {} sent without a check of the version: {}",
                tally.unchecked,
                escaped(&why)
            ))?;
        }
        Ok(())
    }

    /// Says what follows, and how to submit what this run did not include.
    fn next(&self, prepared: &Prepared, tally: Tally) -> Result<()> {
        let (output, commands) = (self.context.output, self.context.commands());
        if tally.sent > 0 {
            let history = commands.own(format_args!("history {} --since 1h", table_options(self.options)));
            output.line(styled(
                DIM,
                format_args!("  the records are updated once the function has submitted the documents: {history}"),
            ))?;
        }
        if self.later > 0 {
            let since = format!("--since {}", quoted(&just_after(&prepared.header.until)));
            let again = commands.own(format_args!("resubmit {} {since}", selection_options(self.options)));
            output.line(format!(
                "{} {} changed later and {} not included; for these: {again}",
                styled(WARNING, "!"),
                counted(self.later, "document"),
                if self.later == 1 { "was" } else { "were" }
            ))?;
        }
        Ok(())
    }

    fn document(&self, prepared: &Prepared, state: &str, tally: Tally, error: Option<&str>) -> Result<()> {
        let resumed = prepared.continues.then(|| {
            json!({
                "begun": prepared.header.begun,
                "since": prepared.header.since,
                "until": prepared.header.until,
                "later": self.later,
            })
        });
        self.context.output.document(&json!({
            "state": state,
            "error": error,
            "table": prepared.header.identity.table,
            "queue": prepared.queue.as_ref().map(ToString::to_string),
            "journal": prepared.path.display().to_string(),
            "resumed": resumed,
            "plan": self.plan.json(),
            "done": tally,
        }))
    }
}

/// Returns options with their values, as they were given.
fn given(options: &[(&str, Option<&str>)]) -> String {
    let given = options.iter().filter_map(|(option, value)| Some(format!("{option} {}", quoted((*value)?))));
    given.collect::<Vec<_>>().join(" ")
}

/// Returns the options that name the table, for a suggested command.
fn table_options(options: &ResubmitOptions) -> String {
    let tracking = &options.tracking;
    given(&[
        ("--stack", tracking.stack.as_deref()),
        ("--function", tracking.function.as_deref()),
        ("--table", tracking.table.as_deref()),
    ])
}

/// Returns the options that name the table, the queue and the documents, except for `--since`.
fn selection_options(options: &ResubmitOptions) -> String {
    let (documents, queue) = (&options.documents, options.queue.as_ref().map(ToString::to_string));
    let states: Vec<_> = options.states.iter().map(|state| State::from(*state).word()).collect();
    let states = states.join(",");
    let selected = given(&[
        ("--state", Some(&states)),
        ("--key", documents.key.as_deref()),
        ("--prefix", documents.prefix.as_deref()),
        ("--bucket", documents.bucket.as_deref()),
        ("--connector", documents.connector.as_deref()),
        ("--queue", queue.as_deref()),
    ]);
    format!("{} {selected}", table_options(options))
}
