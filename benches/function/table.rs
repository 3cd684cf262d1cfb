//! Tables in Markdown.

use std::fmt;

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
