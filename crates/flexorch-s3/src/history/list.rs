//! Prints records as they are read. Only the first ones are held, to choose the widths of the columns.

use std::io::Write;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::columns::Columns;
use super::{csv, none_in};
use crate::args::HistoryOptions;
use crate::aws_failure::AwsFailure;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{DIM, columns, styled};
use crate::text::{counted, escaped};
use crate::tracking::{Record, Records};
use flexorch_s3_ingester::redaction::redacted;

/// The widths of the columns follow from this many records.
const FIRST: usize = 200;

pub(crate) async fn run(
    records: &mut Records,
    options: &HistoryOptions,
    table: &str,
    context: &Context,
) -> Result<Exit> {
    let limit = options.limit.unwrap_or(u64::MAX);
    let mut printer = match (options.csv, context.output.is_json()) {
        (true, _) => Printer::Csv { is_terminal: columns().is_some() },
        (false, true) => Printer::Json,
        (false, false) => Printer::Table { columns: None, first: Vec::new() },
    };
    let mut out = Out::open(matches!(printer, Printer::Table { .. }));
    let (mut number, mut has_begun) = (0, false);
    let ending = loop {
        // Another page is read only if the limit may have left something out.
        let record = match context.stop().unless_requested(records.next()).await {
            None => break Ending::Interrupted,
            Some(Err(error)) => break Ending::Failed(error),
            Some(Ok(record)) => record,
        };
        // Nothing is printed before the first page is read, and what is printed is completed after a failure.
        if !has_begun {
            printer.begin(table, &mut out)?;
            has_begun = true;
        }
        match record {
            None => break Ending::Whole,
            Some(_) if number == limit => break Ending::Limited,
            Some(record) => printer.print(record, number, &mut out)?,
        }
        number += 1;
    };
    if has_begun {
        printer.end(number, matches!(ending, Ending::Whole), &mut out)?;
    }
    let what = if number == 0 { none_in(table, options) } else { format!("{} in {table}", counted(number, "record")) };
    let more = match ending {
        Ending::Failed(error) => return Err(error.into()),
        Ending::Interrupted => "; interrupted before the end",
        Ending::Limited => "; --limit left out the older ones",
        Ending::Whole => "",
    };
    if matches!(printer, Printer::Table { .. }) {
        context.output.progress(styled(DIM, format_args!("{what}{more}")));
    }
    Ok(if matches!(ending, Ending::Interrupted) { Exit::Interrupted } else { Exit::Success })
}

/// Why no more records are printed.
enum Ending {
    /// There are no more.
    Whole,
    /// There are as many as were wanted.
    Limited,
    Interrupted,
    Failed(AwsFailure),
}

/// How records are printed.
enum Printer {
    /// The columns are chosen once the first records are known.
    Table {
        columns: Option<Columns>,
        first: Vec<Record>,
    },
    Json,
    /// To a file or another program, fields are unchanged.
    Csv {
        is_terminal: bool,
    },
}

impl Printer {
    fn begin(&self, table: &str, out: &mut Out) -> Result<()> {
        match self {
            Self::Table { .. } => Ok(()),
            Self::Csv { .. } => out.line(csv::HEADING),
            Self::Json => out.line(&format!("{{\n  \"table\": {},\n  \"records\": [", json!(table))),
        }
    }

    fn print(&mut self, record: Record, number: u64, out: &mut Out) -> Result<()> {
        match self {
            Self::Csv { is_terminal: true } => out.line(&escaped(&csv::line(&record))),
            Self::Csv { is_terminal: false } => out.line(&csv::line(&record)),
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
            Self::Csv { .. } => Ok(()),
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
struct Out {
    stdout: Box<dyn Write>,
    writes: usize,
}

/// Lines are flushed after so many writes, so that a long list appears as it is read.
const FLUSH_EVERY: usize = 100;

impl Out {
    /// Opens standard output for text, whose styles are removed unless it is a terminal, or for data, which is unchanged.
    fn open(is_text: bool) -> Self {
        let stdout = std::io::BufWriter::new(std::io::stdout());
        let stdout: Box<dyn Write> = if is_text { Box::new(anstream::stdout()) } else { Box::new(stdout) };
        Self { stdout, writes: 0 }
    }

    fn line(&mut self, text: &str) -> Result<()> {
        self.write(&format!("{text}\n"))
    }

    fn write(&mut self, text: &str) -> Result<()> {
        self.stdout.write_all(redacted(text).as_bytes()).context("cannot write to standard output")?;
        self.writes += 1;
        if self.writes.is_multiple_of(FLUSH_EVERY) { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.stdout.flush().context("cannot write to standard output")
    }
}
