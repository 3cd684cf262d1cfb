//! All figures: as tables for people and for the page, as JSON for programs.

use std::fmt;
use std::io;
use std::path::Path;

use serde::Serialize;

use crate::measure::{bulk::Bulk, cold::Cold, requests::Requests, starved::Starved, throughput::Throughput};
use crate::table::Table;

/// What was measured.
#[derive(Default, Serialize)]
pub struct Report {
    pub cold: Option<Cold>,
    pub bulk: Option<Bulk>,
    pub requests: Option<Requests>,
    pub throughput: Option<Throughput>,
    pub starved: Option<Starved>,
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
