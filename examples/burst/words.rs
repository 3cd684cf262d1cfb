//! Figures as people read them, in Markdown tables.

use std::io::{self, Write};

use crate::report::Report;

/// A number with thousands set apart.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut words = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            words.push(',');
        }
        words.push(digit);
    }
    words
}

/// A time in the unit that suits it.
pub fn duration(seconds: f64) -> String {
    let units = [(31_557_600.0, "years"), (86_400.0, "days"), (3_600.0, "h"), (60.0, "min")];
    match units.iter().find(|(size, _)| seconds >= 2.0 * size) {
        Some((size, unit)) if seconds / size < 10.0 => format!("{:.1} {unit}", seconds / size),
        Some((size, unit)) => format!("{} {unit}", number((seconds / size).round() as u64)),
        None if seconds < 10.0 => format!("{seconds:.1} s"),
        None => format!("{seconds:.0} s"),
    }
}

/// Formats dollars, with fractions if the amount is below one dollar.
pub fn dollars(dollars: f64) -> String {
    if dollars >= 100.0 {
        number(dollars.round() as u64)
    } else if dollars >= 0.1 {
        format!("{dollars:.2}")
    } else {
        format!("{dollars:.4}")
    }
}

/// Bytes in the unit that suits them.
pub fn bytes(bytes: f64) -> String {
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "KB")];
    match units.iter().find(|(size, _)| bytes >= *size) {
        Some((size, unit)) if bytes / size < 10.0 => format!("{:.1} {unit}", bytes / size),
        Some((size, unit)) => format!("{:.0} {unit}", bytes / size),
        None => format!("{bytes:.0} B"),
    }
}

type Row = (&'static str, fn(&Report) -> String);

const ROWS: &[Row] = &[
    ("drained, from the first upload", |run| duration(run.drained_seconds)),
    ("upload to FlexOrch, median", |run| duration(run.median_lag_seconds)),
    ("upload to FlexOrch, nine of ten", |run| duration(run.p90_lag_seconds)),
    ("requests accepted", |run| number(run.requests.taken)),
    ("responses of 429", |run| number(run.requests.rate_limited)),
    ("requests refused otherwise", |run| number(run.requests.refused)),
    ("most requests in any minute", |run| number(run.busiest_minute as u64)),
    ("invocations", |run| number(run.lambda.invocations)),
    ("… for batches of the retry queue", |run| number(run.lambda.batches)),
    ("… for an upload, failed", |run| number(run.objects.failed_notices)),
    ("starts that Lambda had no room for", |run| number(run.lambda.throttled)),
    ("concurrent processes, at most", |run| number(run.lambda.most_at_once as u64)),
    ("processes started", |run| number(run.processes_started as u64)),
    ("messages received", |run| number(run.queue.received)),
    ("receives of one message, at most", |run| number(u64::from(run.queue.most_receives))),
    ("copies of messages", |run| number(run.queue.copies)),
    ("requests to SQS", |run| number(run.queue.calls)),
    ("Lambda time, GB-s", |run| number(run.gb_seconds.round() as u64)),
    ("dollars: Lambda", |run| dollars(run.dollars.lambda)),
    ("dollars: SQS", |run| dollars(run.dollars.sqs)),
    ("dollars: EventBridge", |run| dollars(run.dollars.eventbridge)),
    ("dollars: logs", |run| dollars(run.dollars.logs)),
    ("**dollars together**", |run| format!("**{}**", dollars(run.dollars.together))),
    ("forwarded", |run| number(run.objects.forwarded as u64)),
    ("rejected, with a dead letter", |run| number(run.objects.rejected as u64)),
    ("waiting", |run| number(run.waiting as u64)),
    ("dead: received too often", |run| number(run.queue.dead as u64)),
    ("lost: too old", |run| number(run.queue.expired as u64)),
];

const COLUMNS: &[Row] = &[
    ("objects", |run| number(run.scenario.objects.into())),
    ("plan, requests a minute", |run| number(run.scenario.rpm.get().into())),
    ("shape", |run| run.scenario.shape.name().to_owned()),
    ("drained in", |run| duration(run.drained_seconds)),
    ("requests", |run| number(run.requests.taken)),
    ("429s", |run| number(run.requests.rate_limited)),
    ("invocations", |run| number(run.lambda.invocations)),
    ("receives a message", |run| format!("{:.2}", run.queue.received as f64 / f64::from(run.scenario.objects))),
    ("GB-s", |run| number(run.gb_seconds.round() as u64)),
    ("dollars", |run| dollars(run.dollars.together)),
];

/// Writes a row of a table.
pub fn row(out: &mut impl Write, cells: impl Iterator<Item = String>) -> io::Result<()> {
    writeln!(out, "| {} |", cells.collect::<Vec<_>>().join(" | "))
}

/// Writes one upload in several shapes, a column each.
pub fn side_by_side(out: &mut impl Write, runs: &[Report]) -> io::Result<()> {
    writeln!(out, "| |{}", runs.iter().map(|run| format!(" {} |", run.scenario.shape.name())).collect::<String>())?;
    writeln!(out, "| --- |{}", " ---: |".repeat(runs.len()))?;
    ROWS.iter()
        .try_for_each(|(name, figure)| row(out, std::iter::once((*name).to_owned()).chain(runs.iter().map(figure))))
}

/// Writes several uploads, plans and shapes, a row each.
pub fn one_a_row(out: &mut impl Write, runs: &[Report]) -> io::Result<()> {
    row(out, COLUMNS.iter().map(|(name, _)| (*name).to_owned()))?;
    row(out, COLUMNS.iter().map(|(name, _)| if *name == "shape" { "---" } else { "---:" }.to_owned()))?;
    runs.iter().try_for_each(|run| row(out, COLUMNS.iter().map(|(_, figure)| figure(run))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_in_units_that_people_use() {
        assert_eq!([number(7), number(1_234), number(1_000_000)], ["7", "1,234", "1,000,000"]);
        assert_eq!([duration(3.25), duration(90.0), duration(600.0)], ["3.2 s", "90 s", "10 min"]);
        assert_eq!([duration(9_000.0), duration(864_000.0), duration(1e9)], ["2.5 h", "10 days", "32 years"]);
        assert_eq!([dollars(0.0123), dollars(1.5), dollars(12_345.0)], ["0.0123", "1.50", "12,345"]);
        assert_eq!([bytes(250.0), bytes(2_500.0), bytes(2.5e10)], ["250 B", "2.5 KB", "25 GB"]);
    }
}
