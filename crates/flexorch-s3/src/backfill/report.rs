//! Prints the summary of a backfill, as text and as JSON.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use anyhow::Result;
use indicatif::DecimalBytes;
use serde_json::{Value, json};

use super::journal::{Header, Replay, Tally};
use super::plan::{credits_words, time_for};
use super::progress::Run;
use super::survey::Survey;
use crate::commands::quoted;
use crate::management::{CallError, Credits};
use crate::output::{DIM, FAILURE, Output, SUCCESS, WARNING, styled};
use crate::text::{escaped, friendly, line_of};
use flexorch_s3_ingester::model::codes;

/// The state of a backfill at the end of a run.
pub(crate) struct RunSummary<'a> {
    pub(crate) header: &'a Header,
    pub(crate) journal: &'a str,
    /// The state in one word, for programs.
    pub(crate) state: &'static str,
    /// Why it is not finished.
    pub(crate) reason: Option<&'a str>,
    /// What this run did; `None` if there was nothing to do.
    pub(crate) run: Option<&'a Run>,
}

pub(crate) fn summary(output: Output, ending: &RunSummary<'_>, replay: &Replay) -> Result<()> {
    let RunSummary { header, journal, state, reason, run } = ending;
    let (tally, identity) = (&replay.tally, &header.identity);
    let verb = if identity.queue.is_some() { "queued" } else { "forwarded" };
    let place = escaped(&format!("s3://{}/{}", identity.bucket, identity.scope.prefix));
    let head = match *state {
        "finished" if !replay.without_receipt.is_empty() => styled(WARNING, "finished without all receipts"),
        "finished" if tally.rejected == 0 => styled(SUCCESS, "✓ finished"),
        "finished" => styled(WARNING, "finished with rejected objects"),
        other => styled(FAILURE, other),
    };
    output.line(format!("{head}: {place}"))?;
    output.line(format!("  listed     {}{}", tally.listed, skipped_words(&tally.skipped)))?;
    output.line(format!("  in scope   {}", tally.in_scope))?;
    let known = if tally.duplicates > 0 { format!(" ({} known content)", tally.duplicates) } else { String::new() };
    output.line(format!("  {verb:<10} {}{known}", tally.forwarded))?;
    output.line(format!("  rejected   {}{}", tally.rejected, by_number(&tally.rejected_by_code)))?;
    if !replay.without_receipt.is_empty() {
        output.line(format!("  untracked  {} (no receipt)", replay.without_receipt.len()))?;
    }
    if replay.open_keys() > 0 {
        output.line(format!("  open       {} of the objects so far", replay.open_keys()))?;
    }
    output.line(format!("  {:<10} {}", format!("{}s", unit_of(header)), requests_words(tally)))?;
    if let Some(run) = run {
        output.line(format!("  this run   {}", run.words(replay)))?;
    }
    rejected(output, tally, journal)?;
    output.line(styled(DIM, format_args!("  journal    {}", escaped(journal))))?;
    output.document(&json!({
        "state": state,
        "reason": reason,
        "bucket": identity.bucket,
        "prefix": identity.scope.prefix,
        "connector_id": identity.connector_id,
        "queue": identity.queue,
        "journal": journal,
        "summary": tally,
        "open": replay.open_keys(),
        "without_receipt": replay.without_receipt.len(),
        "seconds": run.map(|run| run.took().as_secs_f64()),
    }))
}

fn rejected(output: Output, tally: &Tally, journal: &str) -> Result<()> {
    for rejected in &tally.rejected_first {
        let why = format!("{} {}", rejected.code, rejected.message);
        output.line(line_of("    ", &escaped(&rejected.key), &escaped(why.trim())))?;
    }
    let rest = tally.rejected - tally.rejected_first.len() as u64;
    if rest > 0 {
        output.line(format!("    … and {rest} more: jq -c '.rejected[]?' {}", escaped(&quoted(journal))))?;
    }
    Ok(())
}

/// Returns what a backfill sends: requests to FlexOrch, or messages to a queue.
pub(crate) fn unit_of(header: &Header) -> &'static str {
    if header.identity.queue.is_some() { "message" } else { "request" }
}

fn requests_words(tally: &Tally) -> String {
    let refused = [(codes::RATE_LIMIT_EXCEEDED, tally.rate_limited), (codes::QUOTA_EXCEEDED, tally.quota_exceeded)];
    let refused = refused.iter().filter(|(_, number)| *number > 0);
    let words: String = refused.map(|(code, number)| format!(", {number} answered 429 {code}")).collect();
    format!("{}{words}", tally.requests)
}

/// What a dry run has found.
pub(crate) struct DryRun<'a> {
    pub(crate) header: &'a Header,
    pub(crate) survey: &'a Survey,
    pub(crate) pace: Option<NonZeroU32>,
    pub(crate) credits: &'a Result<Credits, CallError>,
    /// Says that the connector is paused.
    pub(crate) pause: Option<&'a str>,
    pub(crate) show_keys: bool,
}

pub(crate) fn dry_run(output: Output, found: &DryRun<'_>) -> Result<()> {
    let DryRun { header, survey, pace, credits, pause, show_keys } = *found;
    let identity = &header.identity;
    let (sent, time) = match identity.queue {
        Some(_) => (survey.messages, None),
        None => (survey.requests, time_for(survey.requests, pace)),
    };
    output.line(format!(
        "dry run, nothing was sent: {}",
        escaped(&format!("s3://{}/{}", identity.bucket, identity.scope.prefix))
    ))?;
    output.line(format!("  listed     {}{}", survey.listed, skipped_words(&survey.skipped)))?;
    output.line(format!("  in scope   {} ({})", survey.in_scope, DecimalBytes(survey.bytes)))?;
    let at_pace = match (time, pace) {
        (Some(time), Some(pace)) => format!(", about {} at {pace} per minute", friendly(time)),
        _ => String::new(),
    };
    output.line(format!("  {:<10} {sent}{at_pace}", format!("{}s", unit_of(header))))?;
    output.line(format!("  credits    {}", escaped(&credits_words(credits, Some(survey.in_scope)))))?;
    if let Some(pause) = pause {
        output.line(format!("  {}     {}", styled(WARNING, "paused"), escaped(pause)))?;
    }
    if show_keys {
        for key in &survey.first_keys {
            output.line(line_of("    ", &escaped(key), "").trim_end())?;
        }
    }
    let mut document: Value = json!({
        "state": "dry-run",
        "bucket": identity.bucket,
        "prefix": identity.scope.prefix,
        "connector_id": identity.connector_id,
        "queue": identity.queue,
        "summary": survey,
        "requests_per_minute": pace,
        "credits": credits.as_ref().ok(),
        "paused": pause.is_some(),
        "estimated_seconds": time.map(|time| time.as_secs()),
    });
    if !show_keys && let Some(summary) = document["summary"].as_object_mut() {
        summary.remove("first_keys");
    }
    output.document(&document)
}

fn skipped_words(skipped: &BTreeMap<String, u64>) -> String {
    let total: u64 = skipped.values().sum();
    if total == 0 { String::new() } else { format!(", {total} out of scope{}", by_number(skipped)) }
}

fn by_number(numbers: &BTreeMap<String, u64>) -> String {
    if numbers.is_empty() {
        return String::new();
    }
    let words: Vec<_> = numbers.iter().map(|(name, number)| format!("{number} {}", escaped(name))).collect();
    format!(" ({})", words.join(", "))
}
