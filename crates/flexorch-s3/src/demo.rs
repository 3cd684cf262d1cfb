//! `flexorch-s3 demo`: runs the samples in the sandbox, and explains what happens.

use std::time::Duration;

use anyhow::Result;

use crate::args::DemoOptions;
use crate::context::Context;
use crate::exit::Exit;
use crate::invoke::{self, Invoker};
use crate::local::Local;
use crate::output::{BOLD, DIM, FAILURE, Output, SUCCESS, columns, styled};
use crate::samples::{Expected, SAMPLES, Sample};
use crate::text::{counted, escaped, shortened, wrapped};
use flexorch_s3_ingester::handler::Handled;
use flexorch_s3_ingester::model::outcome::Counts;
use flexorch_sandbox::SandboxOptions;

/// The bucket of the samples.
const BUCKET: &str = "my-documents";
/// The prefix of the samples.
const PREFIX: &str = "invoices/";
/// The timeout for each sample: the template's.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The output is no wider than this, however wide the terminal is.
const MOST_COLUMNS: usize = 100;

/// What is said before anything runs.
const OPENING: &str = "The function's own code handles a sample of every event that it accepts. FlexOrch, Secrets Manager, SQS and S3 are \
                       part of this program: nothing leaves this machine.";
/// What is said before the total.
const NEXT: &str = "Next: run your own events with `flexorch-s3 invoke --sandbox EVENT.json`, make FlexOrch fail with `--fault \
                    status=503,times=2`, or deploy as docs/deploying.md says.";

/// Runs the command. The exit status is 3 unless every sample ends as expected.
pub(crate) async fn run(options: DemoOptions, context: &Context) -> Result<Exit> {
    let output = context.output;
    let columns = columns().map_or(MOST_COLUMNS, |columns| columns.min(MOST_COLUMNS));
    output.line(wrapped(OPENING, columns))?;
    let sandbox = SandboxOptions { faults: options.faults, ..SandboxOptions::default() };
    let local = Local::start(sandbox, BUCKET, PREFIX).await?;
    let mut invoker = Invoker::new(local.ingester().await?, TIMEOUT);
    let (mut counts, mut unexpected, mut documents) = (Counts::default(), 0_u64, Vec::new());
    for sample in SAMPLES {
        let handled = invoker.handle(sample.payload).await;
        handled.report.objects.iter().for_each(|object| counts.add(&object.outcome));
        let is_expected = is_expected(sample, &handled);
        unexpected += u64::from(!is_expected);
        print(sample, &handled, is_expected, columns, output)?;
        documents.push(invoke::as_json(sample.path, &handled));
    }
    output.document(&documents)?;
    let (accepted, dead_letters) = (local.taken(), local.dead_letters());
    local.shutdown().await;
    output.line(format!(
        "\nFlexOrch accepted {}; the dead-letter queue has {}.",
        counted(accepted, "document"),
        counted(dead_letters, "message")
    ))?;
    output.line(wrapped(NEXT, columns))?;
    let (total, samples) = (total_words(&counts), counted(SAMPLES.len() as u64, "sample"));
    output.line(match unexpected {
        0 => format!("{} {samples} as expected: {total}", styled(SUCCESS, "✓")),
        unexpected => format!("{} {unexpected} of {samples} not as expected: {total}", styled(FAILURE, "✗")),
    })?;
    Ok(if unexpected == 0 { Exit::Success } else { Exit::Problem })
}

fn total_words(counts: &Counts) -> String {
    let parts = [
        ("forwarded", counts.forwarded),
        ("skipped", counts.skipped),
        ("rejected", counts.rejected),
        ("deferred", counts.deferred),
    ];
    let parts: Vec<_> =
        parts.iter().filter(|(_, number)| *number > 0).map(|(name, number)| format!("{number} {name}")).collect();
    format!("{}, {}", counted(counts.received, "object"), parts.join(", "))
}

fn is_expected(sample: &Sample, handled: &Handled) -> bool {
    match (&sample.expected, &handled.answer) {
        (Expected::Error(expected), Err(error)) => error.kind == *expected,
        (Expected::Objects { forwarded, skipped, rejected }, Ok(_)) => {
            let seen = handled.report.counts();
            (seen.forwarded, seen.skipped, seen.rejected, seen.deferred) == (*forwarded, *skipped, *rejected, 0)
        }
        _ => false,
    }
}

fn print(sample: &Sample, handled: &Handled, is_expected: bool, columns: usize, output: Output) -> Result<()> {
    output.line(format!("\n{} {}", styled(BOLD, sample.title), styled(DIM, format_args!("({})", sample.path))))?;
    for line in invoke::rows(handled, Some(columns)) {
        output.line(line)?;
    }
    let result = match &handled.answer {
        Ok(_) => invoke::equation(&handled.report.counts()),
        Err(error) => format!("error {}", error.kind),
    };
    let mark = if is_expected { styled(SUCCESS, "✓") } else { styled(FAILURE, "✗ not as expected:") };
    output.line(format!("  {mark} {result}"))?;
    match &handled.answer {
        Ok(answer) => output.line(styled(DIM, shortened(&format!("  response: {answer}"), columns)))?,
        Err(error) => output.line(styled(DIM, wrapped(&format!("  {}", escaped(&error.message)), columns)))?,
    }
    match sample.note {
        Some(note) => output.line(wrapped(&format!("  {note}"), columns)),
        None => Ok(()),
    }
}
