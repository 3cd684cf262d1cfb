//! What a backfill came to, for people and for programs.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::super::output::{BAD, FAINT, GOOD, ODD, Output, styled};
use super::super::table::shown;
use super::journal::{Header, Replay, Tally};
use super::plan::{in_words, time_for};
use super::survey::Survey;

/// Where a run stands when it ends.
pub(super) struct Ending<'a> {
    pub header: &'a Header,
    pub journal: &'a str,
    /// In one word, for programs.
    pub state: &'static str,
    /// Why it did not come to its end.
    pub reason: Option<&'a str>,
    /// How long this run took; `None`: it did nothing.
    pub took: Option<Duration>,
}

/// Prints the summary.
pub(super) fn summary(output: Output, ending: &Ending<'_>, replay: &Replay) -> Result<()> {
    let Ending { header, journal, state, reason, took } = ending;
    let (tally, identity) = (&replay.tally, &header.identity);
    let verb = if identity.queue.is_some() { "queued" } else { "forwarded" };
    let place = shown(&format!("s3://{}/{}", identity.bucket, identity.scope.prefix));
    let head = match *state {
        "finished" if tally.rejected == 0 => styled(GOOD, "✓ finished"),
        "finished" => styled(ODD, "finished, with rejected objects"),
        other => styled(BAD, other),
    };
    output.line(format!("{head}: {place}"))?;
    output.line(format!("  listed     {}{}", tally.listed, skipped_words(&tally.skipped)))?;
    output.line(format!("  in scope   {}", tally.in_scope))?;
    let known = if tally.duplicates > 0 { format!(" ({} known content)", tally.duplicates) } else { String::new() };
    output.line(format!("  {verb:<10} {}{known}", tally.forwarded))?;
    output.line(format!("  rejected   {}{}", tally.rejected, by_number(&tally.rejected_by_code)))?;
    if replay.open_keys() > 0 {
        output.line(format!("  open       {} of the objects so far", replay.open_keys()))?;
    }
    let took = took.map(|took| format!(", {} in this run", in_words(took))).unwrap_or_default();
    output.line(format!("  requests   {}, {} of them answered 429{took}", tally.requests, tally.rate_limited))?;
    rejected(output, tally, journal)?;
    output.line(styled(FAINT, format_args!("  journal    {}", shown(journal))))?;
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
        "seconds": ending.took.map(|took| took.as_secs_f64()),
    }))
}

fn rejected(output: Output, tally: &Tally, journal: &str) -> Result<()> {
    for rejected in &tally.rejected_first {
        let why = format!("{} {}", rejected.code, rejected.message);
        output.line(format!("    {}  {}", shown(&rejected.key), shown(why.trim())))?;
    }
    let rest = tally.rejected - tally.rejected_first.len() as u64;
    if rest > 0 {
        output.line(format!("    … and {rest} more: jq -c '.rejected[]?' {}", shown(journal)))?;
    }
    Ok(())
}

/// Prints what a dry run found.
pub(super) fn dry_run(
    output: Output,
    header: &Header,
    survey: &Survey,
    pace: Option<NonZeroU32>,
    show_keys: bool,
) -> Result<()> {
    let identity = &header.identity;
    let time = if identity.queue.is_some() { None } else { time_for(survey.requests, pace) };
    output.line(format!(
        "dry run, nothing is sent: {}",
        shown(&format!("s3://{}/{}", identity.bucket, identity.scope.prefix))
    ))?;
    output.line(format!("  listed     {}{}", survey.listed, skipped_words(&survey.skipped)))?;
    output.line(format!("  in scope   {} ({})", survey.in_scope, bytes_words(survey.bytes)))?;
    let at_pace = match (time, pace) {
        (Some(time), Some(pace)) => format!(", about {} at {pace} a minute", in_words(time)),
        _ => String::new(),
    };
    let what = if identity.queue.is_some() { "calls" } else { "requests" };
    output.line(format!("  {what:<10} {}{at_pace}", survey.requests))?;
    if show_keys {
        for key in &survey.first_keys {
            output.line(format!("    {}", shown(key)))?;
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
    let words: Vec<_> = numbers.iter().map(|(name, number)| format!("{number} {}", shown(name))).collect();
    format!(" ({})", words.join(", "))
}

fn bytes_words(bytes: u64) -> String {
    let units = ["bytes", "KB", "MB", "GB", "TB", "PB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1000.0 && unit + 1 < units.len() {
        (value, unit) = (value / 1000.0, unit + 1);
    }
    if unit == 0 { format!("{bytes} bytes") } else { format!("{value:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_said_in_their_largest_unit() {
        assert_eq!([0, 999, 1_500, 24_576_000_000].map(bytes_words), ["0 bytes", "999 bytes", "1.5 KB", "24.6 GB"]);
    }
}
