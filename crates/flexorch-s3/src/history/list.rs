//! Prints records as they are read. Only the first ones are held, to choose the widths of the columns.

use std::io::Write;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::columns::Columns;
use super::csv;
use crate::args::HistoryOptions;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{DIM, columns, styled};
use crate::text::counted;
use crate::tracking::{Record, Records};
use flexorch_s3_ingester::redaction::redacted;

/// The widths of the columns follow from this many records.
const FIRST: usize = 200;

/// Prints the records.
pub(crate) async fn run(
    records: &mut Records,
    options: &HistoryOptions,
    table: &str,
    context: &Context,
) -> Result<Exit> {
    let limit = options.limit.unwrap_or(u64::MAX);
    let mut printer = match (options.csv, context.output.is_json()) {
        (true, _) => Printer::Csv,
        (false, true) => Printer::Json,
        (false, false) => Printer::Table { columns: None, first: Vec::new() },
    };
    let mut out = Out::default();
    printer.begin(table, &mut out)?;
    let mut number = 0;
    while number < limit {
        let Some(record) = records.next().await? else { break };
        printer.print(record, number, &mut out)?;
        number += 1;
    }
    // Another page is read only if the limit may have left something out.
    let is_whole = number < limit || records.next().await?.is_none();
    printer.end(number, is_whole, &mut out)?;
    if matches!(printer, Printer::Table { .. }) {
        let what = match number {
            0 => "no records".to_owned(),
            number => counted(number, "record"),
        };
        let more = if is_whole { "" } else { "; --limit left out the older ones" };
        context.output.progress(styled(DIM, format_args!("{what} in {table}{more}")));
    }
    Ok(Exit::Success)
}

/// How records are printed.
enum Printer {
    /// The columns are chosen once the first records are known.
    Table {
        columns: Option<Columns>,
        first: Vec<Record>,
    },
    Json,
    Csv,
}

impl Printer {
    fn begin(&self, table: &str, out: &mut Out) -> Result<()> {
        match self {
            Self::Table { .. } => Ok(()),
            Self::Csv => out.line(csv::HEADING),
            Self::Json => out.line(&format!("{{\n  \"table\": {},\n  \"records\": [", json!(table))),
        }
    }

    fn print(&mut self, record: Record, number: u64, out: &mut Out) -> Result<()> {
        match self {
            Self::Csv => out.line(&csv::line(&record)),
            Self::Json => {
                let text = serde_json::to_string(&record).context("cannot serialize a record as JSON")?;
                let comma = if number == 0 { "" } else { ",\n" };
                out.write(&format!("{comma}    {text}"))
            }
            Self::Table { columns: Some(columns), .. } => out.line(&columns.row(&record)),
            Self::Table { columns: None, first } => {
                first.push(record);
                if first.len() >= FIRST { self.show_first(out) } else { Ok(()) }
            }
        }
    }

    fn end(&mut self, number: u64, is_whole: bool, out: &mut Out) -> Result<()> {
        match self {
            Self::Csv => Ok(()),
            Self::Json => {
                let newline = if number == 0 { "" } else { "\n" };
                out.line(&format!("{newline}  ],\n  \"count\": {number},\n  \"complete\": {is_whole}\n}}"))
            }
            Self::Table { columns: None, first } if !first.is_empty() => self.show_first(out),
            Self::Table { .. } => Ok(()),
        }?;
        out.flush()
    }

    fn show_first(&mut self, out: &mut Out) -> Result<()> {
        let Self::Table { columns: chosen, first } = self else { return Ok(()) };
        let columns = Columns::new(first, columns());
        out.line(&columns.heading())?;
        for record in first.drain(..) {
            out.line(&columns.row(&record))?;
        }
        out.flush()?;
        *chosen = Some(columns);
        Ok(())
    }
}

/// Standard output, without secrets.
struct Out(anstream::AutoStream<std::io::Stdout>, usize);

/// Lines are flushed after so many writes, so that a long list appears as it is read.
const FLUSH_EVERY: usize = 100;

impl Default for Out {
    fn default() -> Self {
        Self(anstream::stdout(), 0)
    }
}

impl Out {
    fn line(&mut self, text: &str) -> Result<()> {
        self.write(&format!("{text}\n"))
    }

    fn write(&mut self, text: &str) -> Result<()> {
        self.0.write_all(redacted(text).as_bytes()).context("cannot write to standard output")?;
        self.1 += 1;
        if self.1.is_multiple_of(FLUSH_EVERY) { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.0.flush().context("cannot write to standard output")
    }
}
