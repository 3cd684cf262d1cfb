//! All figures: as tables for people and for the page, as JSON for programs.

use std::fmt;
use std::io;
use std::path::Path;

use serde::Serialize;

use crate::measure::{bulk::Bulk, cold::Cold, requests::Requests, starved::Starved, throughput::Throughput};

/// What was measured.
#[derive(Default, Serialize)]
pub struct Report {
    pub cold: Option<Cold>,
    pub bulk: Option<Bulk>,
    pub requests: Option<Requests>,
    pub throughput: Option<Throughput>,
    pub starved: Option<Starved>,
}

/// A Markdown table that reads as well in a terminal.
pub struct Table {
    rows: Vec<Vec<String>>,
    note: Option<String>,
}

impl Table {
    /// A table with these headings.
    pub fn new<const N: usize>(headings: [&str; N]) -> Self {
        Self { rows: vec![headings.map(str::to_owned).to_vec()], note: None }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    /// The same with a line below.
    pub fn note(self, note: String) -> Self {
        Self { note: Some(note), ..self }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows[0].len();
        let widths: Vec<_> = (0..columns)
            .map(|column| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default().max(3))
            .collect();
        for (number, row) in self.rows.iter().enumerate().filter(|_| columns > 0) {
            for (cell, width) in row.iter().zip(&widths) {
                write!(f, "| {cell:<width$} ")?;
            }
            writeln!(f, "|")?;
            if number == 0 {
                widths.iter().try_for_each(|width| write!(f, "| {:-<width$} ", ""))?;
                writeln!(f, "|")?;
            }
        }
        match &self.note {
            Some(note) if columns > 0 => writeln!(f, "\n{note}"),
            Some(note) => writeln!(f, "{note}"),
            None => Ok(()),
        }
    }
}

impl Report {
    /// The tables by their marks in the page.
    fn tables(&self) -> Vec<(&'static str, Table)> {
        let mut tables = Vec::new();
        if let Some(cold) = &self.cold {
            tables.push(("cold", cold.table()));
            tables.push(("goals", cold.goals_table()));
        }
        tables.extend(self.bulk.as_ref().map(|bulk| ("bulk", bulk.table())));
        tables.extend(self.requests.as_ref().map(|requests| ("requests", requests.table())));
        tables.extend(self.throughput.as_ref().map(|throughput| ("throughput", throughput.table())));
        tables.extend(self.starved.as_ref().map(|starved| ("starved", starved.table())));
        tables
    }

    /// Replaces the text between `<!-- NAME -->` and `<!-- /NAME -->` by the table of that name.
    ///
    /// # Errors
    /// A page that cannot be read or written, or that lacks a mark.
    pub fn update(&self, page: &Path) -> io::Result<()> {
        let mut text = std::fs::read_to_string(page)?;
        for (name, table) in self.tables() {
            let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
            let missing = || io::Error::other(format!("{} has no marks for the table {name}", page.display()));
            let from = text.find(&begin).ok_or_else(missing)? + begin.len();
            let to = from + text[from..].find(&end).ok_or_else(missing)?;
            text.replace_range(from..to, &table.to_string());
        }
        std::fs::write(page, text)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, table) in self.tables() {
            writeln!(f, "\n## {name}\n\n{table}")?;
        }
        Ok(())
    }
}
