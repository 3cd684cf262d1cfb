//! `flexorch-s3 history --summary`: counts by state, connector and day.

use anyhow::Result;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::columns::style_of;
use super::counts::{Counts, Tally};
use super::{none_in, plot};
use crate::args::HistoryOptions;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{BOLD, DIM, Output, columns, styled};
use crate::text::{connector_name, counted, escaped, line_of, table, text_of};
use crate::tracking::{Records, State};

/// The last days are shown as text.
const DAYS: usize = 31;
/// The most frequent reasons are shown as text.
const REASONS: usize = 8;

pub(crate) async fn run(
    records: &mut Records,
    options: &HistoryOptions,
    table: &str,
    context: &Context,
) -> Result<Exit> {
    let mut tally = Tally::default();
    while let Some(record) = records.next().await? {
        tally.add(&record);
    }
    match tally.all.total() {
        0 => context.output.line(none_in(table, options))?,
        _ => text(&tally, context.output)?,
    }
    context.output.document(&document(&tally, table))?;
    Ok(Exit::Success)
}

fn text(tally: &Tally, output: Output) -> Result<()> {
    let all = &tally.all;
    let colored = |state: State, number: u64| {
        let words = format!("{} {number}", state.word());
        if number == 0 { words } else { styled(style_of(state), words) }
    };
    output.line(format!(
        "{} = {} + {} + {}; {}",
        styled(BOLD, format_args!("submitted {}", all.submitted())),
        colored(State::Processed, all.processed),
        colored(State::Failed, all.failed),
        colored(State::Submitted, all.open),
        colored(State::Rejected, all.rejected)
    ))?;
    output.line(format!("\n{}", text_of(&connectors(tally)).trim_end()))?;
    days(tally, output)?;
    let reasons = tally.by_frequency();
    if !reasons.is_empty() {
        output.line("\nWHY")?;
        for (reason, number) in reasons.iter().take(REASONS) {
            output.line(line_of("  ", &escaped(reason), &number.to_string()))?;
        }
        if let Some(rest) = reasons.len().checked_sub(REASONS).filter(|rest| *rest > 0) {
            output.line(styled(DIM, format_args!("  and {rest} more: --json shows all of them")))?;
        }
    }
    Ok(())
}

fn connectors(tally: &Tally) -> comfy_table::Table {
    let mut rows = table(["CONNECTOR", "SUBMITTED", "PROCESSED", "FAILED", "OPEN", "REJECTED"]);
    for ((secret, id), counts) in &tally.connectors {
        let name = connector_name(secret.as_deref(), id.as_deref());
        let Counts { open, processed, failed, rejected } = counts;
        let numbers = [counts.submitted(), *processed, *failed, *open, *rejected].map(|number| number.to_string());
        rows.add_row(std::iter::once(name).chain(numbers));
    }
    rows
}

/// Prints a bar for each of the last days.
fn days(tally: &Tally, output: Output) -> Result<()> {
    let first = tally.days.len().saturating_sub(DAYS);
    let shown: Vec<_> = tally.days.iter().skip(first).collect();
    let most = shown.iter().map(|(_, counts)| counts.total()).max().unwrap_or_default();
    let digits = most.to_string().len();
    let before = "2026-01-31".width() + digits + 4;
    let room = plot::room(columns(), before);
    output.line(format!("\nDAY (UTC)  {}", plot::legend()))?;
    if first > 0 {
        output.line(styled(DIM, format_args!("{} before these: --json shows them", counted(first as u64, "day"))))?;
    }
    for (day, counts) in shown {
        let number = counts.total();
        output.line(format!("{}  {number:>digits$}  {}", escaped(day), plot::bar(counts, most, room)))?;
    }
    Ok(())
}

fn document(tally: &Tally, table: &str) -> Value {
    let counts = |counts: &Counts| {
        json!({
            "submitted": counts.submitted(),
            "processed": counts.processed,
            "failed": counts.failed,
            "open": counts.open,
            "rejected": counts.rejected,
        })
    };
    let with = |name: &str, value: Value, of: &Counts| {
        let mut document = counts(of);
        document[name] = value;
        document
    };
    let connectors = tally.connectors.iter().map(|((secret, id), of)| {
        let mut document = with("connector", json!(secret), of);
        document["connector_id"] = json!(id);
        document
    });
    json!({
        "table": table,
        "summary": counts(&tally.all),
        "connectors": connectors.collect::<Vec<_>>(),
        "days": tally.days.iter().map(|(day, of)| with("day", json!(day), of)).collect::<Vec<_>>(),
        "reasons": tally.by_frequency().iter().map(|(reason, number)| json!({"reason": reason, "count": number})).collect::<Vec<_>>(),
    })
}
