//! The columns of the table, and how wide they are. Pure.

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use crate::output::{BOLD, DIM, FAILURE, SUCCESS, WARNING, styled};
use crate::text::{escaped, narrowed, shortened};
use crate::tracking::{Record, State};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Changed,
    State,
    Grade,
    Document,
    Job,
    Connector,
    Why,
}

/// The blanks between two columns.
const GAP: &str = "  ";

/// Terminals narrower than this show the most important columns only.
const NARROW: usize = 60;
/// Terminals at least as wide as this show all columns.
const WIDE: usize = 120;

impl Column {
    fn heading(self) -> &'static str {
        match self {
            Self::Changed => "CHANGED (UTC)",
            Self::State => "STATE",
            Self::Grade => "GRADE",
            Self::Document => "DOCUMENT",
            Self::Job => "JOB",
            Self::Connector => "CONNECTOR",
            Self::Why => "WHY",
        }
    }

    fn cell(self, record: &Record) -> String {
        let known = |value: &Option<String>| escaped(value.as_deref().unwrap_or("-"));
        match self {
            // To the second: 2026-11-24T07:00:00.123Z.
            Self::Changed => escaped(&record.changed_at.replacen('T', " ", 1).chars().take(19).collect::<String>()),
            Self::State => record.state.word().to_owned(),
            Self::Grade => known(&record.quality_grade),
            Self::Document => escaped(&record.document),
            Self::Job => known(&record.job_id),
            Self::Connector => known(&record.connector),
            Self::Why => record.why().map_or_else(|| "-".to_owned(), |why| escaped(&why)),
        }
    }
}

/// The columns of a terminal, with the widths that the first records gave them. Later records keep to them.
#[derive(Debug)]
pub(crate) struct Columns {
    columns: &'static [Column],
    widths: Vec<usize>,
    /// Whether cells are shortened to the widths.
    fits: bool,
}

impl Columns {
    /// Chooses the columns for a terminal of this width (`None`: not a terminal), and their widths for these records.
    pub(crate) fn new(first: &[Record], terminal: Option<usize>) -> Self {
        use Column::{Changed, Connector, Document, Grade, Job, State, Why};
        let columns: &'static [Column] = match terminal {
            Some(width) if width < NARROW => &[State, Document],
            Some(width) if width < WIDE => &[Changed, State, Document, Why],
            _ => &[Changed, State, Grade, Document, Job, Connector, Why],
        };
        let width = |column: &Column| {
            let cells = first.iter().map(|record| column.cell(record).width());
            cells.chain([column.heading().width()]).max().unwrap_or_default()
        };
        let widths: Vec<_> = columns.iter().map(width).collect();
        let document = columns.iter().position(|column| *column == Document);
        let widths = match terminal {
            Some(terminal) => narrowed(&widths, terminal.saturating_sub(GAP.len() * (columns.len() - 1)), document),
            None => widths,
        };
        Self { columns, widths, fits: terminal.is_some() }
    }

    /// Returns the line of the headings.
    pub(crate) fn heading(&self) -> String {
        self.line(self.columns.iter().map(|column| (column.heading().to_owned(), BOLD)))
    }

    /// Returns the line of a record.
    pub(crate) fn row(&self, record: &Record) -> String {
        let cells = self.columns.iter().map(|column| {
            let style = match (column, record.state) {
                (Column::State, state) => style_of(state),
                (Column::Changed | Column::Job | Column::Connector, _) => DIM,
                _ => Style::new(),
            };
            (column.cell(record), style)
        });
        self.line(cells)
    }

    fn line(&self, cells: impl Iterator<Item = (String, Style)>) -> String {
        let last = self.columns.len() - 1;
        let cells = cells.zip(&self.widths).enumerate().map(|(position, ((cell, style), width))| {
            let cell = if self.fits { shortened(&cell, *width) } else { cell };
            let blanks = if position == last { 0 } else { width.saturating_sub(cell.width()) };
            format!("{}{}", styled(style, cell), " ".repeat(blanks))
        });
        cells.collect::<Vec<_>>().join(GAP)
    }
}

pub(crate) fn style_of(state: State) -> Style {
    match state {
        State::Submitted => WARNING,
        State::Processed => SUCCESS,
        State::Failed | State::Rejected => FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(document: &str, why: &str) -> Record {
        Record {
            document: document.into(),
            version: "-".into(),
            state: State::Failed,
            job_id: Some("j-1".into()),
            changed_at: "2026-11-24T07:00:00.123Z".into(),
            connector: Some("flexorch/invoices".into()),
            connector_id: None,
            event_time: None,
            submitted_at: None,
            quality_grade: None,
            pii_findings_count: None,
            failure_reason: Some(why.into()),
            code: None,
            expires_at: None,
            unpublished: false,
        }
    }

    fn plain(line: &str) -> String {
        anstream::adapter::strip_str(line).to_string()
    }

    #[test]
    fn every_line_fits_the_terminal_however_long_keys_and_reasons_are() {
        let long = record(&format!("docs/{}請求書/end.pdf", "long/".repeat(50)), &"cannot be read ".repeat(30));
        for width in [40, 59, 60, 80, 119, 120, 200] {
            let columns = Columns::new(std::slice::from_ref(&long), Some(width));
            for line in [columns.heading(), columns.row(&long), columns.row(&record("docs/a", "b"))] {
                assert!(plain(&line).width() <= width, "{width}: {line}");
            }
            assert!(plain(&columns.row(&long)).contains("end.pdf"), "{width}");
        }
    }

    #[test]
    fn a_pipe_gets_every_column_whole() {
        let long = record(&format!("docs/{}end.pdf", "long/".repeat(50)), "cannot be read");
        let row = Columns::new(&[], None).row(&long);
        for words in
            [long.document.as_str(), "2026-11-24 07:00:00", "failed", "j-1", "flexorch/invoices", "cannot be read"]
        {
            assert!(row.contains(words), "{words} is not in {row}");
        }
    }

    #[test]
    fn a_key_cannot_control_the_terminal() {
        let odd = record("docs/\u{1b}[2J\nx.pdf", "\u{7}");
        let row = plain(&Columns::new(std::slice::from_ref(&odd), Some(200)).row(&odd));
        assert!(row.contains("\\u{1b}[2J\\nx.pdf") && row.contains("\\u{7}"), "{row}");
    }
}
