//! Formats text for people: tables, durations, numbers, and text from outside that must not control the terminal.

use std::time::Duration;

use comfy_table::{Cell, ContentArrangement, Row, Table, presets};
use jiff::{SignedDuration, Unit};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use flexorch_s3_ingester::telemetry::is_unsafe;

/// The columns that comfy-table adds to each column of a table.
const PADDING: usize = 2;
/// A column of a table is not made narrower than this, even if the table does not fit then.
const NARROWEST: usize = 8;

/// A key is not shortened to less than this next to a long message.
const SHORTEST_KEY: usize = 24;

/// Creates a plain table with these headings.
pub(crate) fn table<H: Into<Cell>>(headings: impl IntoIterator<Item = H>) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(headings.into_iter().map(Into::into).collect::<Vec<_>>());
    table
}

/// Returns a table's text without the blanks that pad its last column. On a terminal, its widest cells are shortened in the middle so
/// that it fits.
pub(crate) fn text_of(table: &Table) -> String {
    text_within(table, crate::output::columns(), None)
}

/// Returns a table's text, within so many columns; `None`: as wide as its contents. The column of keys is shortened before others.
pub(crate) fn text_within(table: &Table, columns: Option<usize>, keys: Option<usize>) -> String {
    let widths: Vec<_> = table.column_max_content_widths().into_iter().map(usize::from).collect();
    // The blank after the last column is trimmed.
    let room = columns.map(|columns| columns.saturating_sub(widths.len() * PADDING - 1));
    match room.map(|room| narrowed(&widths, room, keys)) {
        Some(narrow) if narrow != widths => lines(&shortened_table(table, &narrow)),
        _ => lines(table),
    }
}

fn lines(table: &Table) -> String {
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Narrows the column of keys, then the widest columns, until all of them take no more than `room`, or none is wider than
/// [`NARROWEST`].
pub(crate) fn narrowed(widths: &[usize], room: usize, keys: Option<usize>) -> Vec<usize> {
    let mut widths = widths.to_vec();
    let total: usize = widths.iter().sum();
    if let Some(keys) = keys.and_then(|keys| widths.get_mut(keys)) {
        *keys = keys.saturating_sub(total.saturating_sub(room)).max(SHORTEST_KEY.min(*keys));
    }
    let mut most = widths.iter().copied().max().unwrap_or_default();
    let within = |most: usize| widths.iter().map(|width| *width.min(&most)).sum::<usize>();
    while within(most) > room && most > NARROWEST {
        most -= 1;
    }
    widths.iter().map(|width| *width.min(&most)).collect()
}

fn shortened_table(table: &Table, widths: &[usize]) -> Table {
    let cells = |row: &Row| -> Vec<String> {
        row.cell_iter().zip(widths).map(|(cell, width)| shortened(&cell.content(), *width)).collect()
    };
    let mut short = self::table([""; 0]);
    if let Some(header) = table.header() {
        short.set_header(cells(header));
    }
    short.add_rows(table.row_iter().map(cells));
    short
}

/// Joins a key and what is said of it to a line. On a terminal, the key is shortened in the middle so that the line fits; what is said of
/// it is not shortened.
pub(crate) fn line_of(before: &str, key: &str, detail: &str) -> String {
    line_within(before, key, detail, crate::output::columns())
}

fn line_within(before: &str, key: &str, detail: &str, columns: Option<usize>) -> String {
    let around = before.width() + PADDING + detail.width();
    let key = match columns {
        Some(columns) => shortened(key, columns.saturating_sub(around).max(SHORTEST_KEY)),
        None => key.to_owned(),
    };
    format!("{before}{key}  {detail}")
}

/// Shortens text in the middle to so many columns of the terminal.
pub(crate) fn shortened(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(1);
    // The end of a key says more than its beginning: the file's name and type.
    let tail_room = room - room / 2;
    let tail = taken(text.chars().rev(), tail_room);
    let head = taken(text.chars(), room - tail.width());
    format!("{head}…{}", tail.chars().rev().collect::<String>())
}

/// Returns the first characters that take no more than so many columns.
fn taken(characters: impl Iterator<Item = char>, columns: usize) -> String {
    let mut width = 0;
    characters
        .take_while(|c| {
            width += c.width().unwrap_or_default();
            width <= columns
        })
        .collect()
}

/// Wraps text at its blanks to so many columns. Each line is indented as the first one is.
pub(crate) fn wrapped(text: &str, columns: usize) -> String {
    let indent = text.len() - text.trim_start().len();
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if UnicodeWidthStr::width(line as &str) + 1 + word.width() <= columns => {
                line.push_str(&format!(" {word}"));
            }
            _ => lines.push(format!("{}{word}", " ".repeat(indent))),
        }
    }
    lines.join("\n")
}

/// Escapes control characters, and characters that cannot be seen or change the order of others, so that text from outside can neither
/// control the terminal nor look like something else.
pub(crate) fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| if is_unsafe(c) { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

/// Names a connector by its secret and its id at FlexOrch, as far as they are known.
pub(crate) fn connector_name(secret: Option<&str>, id: Option<&str>) -> String {
    match (secret, id) {
        (Some(secret), Some(id)) => format!("{} ({})", escaped(secret), escaped(id)),
        (Some(one), None) | (None, Some(one)) => escaped(one),
        (None, None) => "-".to_owned(),
    }
}

/// Formats a number of things whose name has a regular plural, such as `1 document` or `2 documents`.
pub(crate) fn counted(number: impl TryInto<u64>, thing: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// Formats a duration as options accept it, such as `17s` or `2h 1m`, rounded to the second, from an hour on to the minute, and below
/// a second to the millisecond.
pub(crate) fn friendly(duration: Duration) -> String {
    let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    let unit = match duration.as_secs() {
        0 => Unit::Millisecond,
        1..3600 => Unit::Second,
        _ => Unit::Minute,
    };
    format!("{:#}", duration.round(unit).unwrap_or(duration))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_cannot_control_the_terminal_or_look_like_another() {
        assert_eq!(escaped("a\u{1b}[2Jb\nc ü"), "a\\u{1b}[2Jb\\nc ü");
        assert_eq!(escaped("invoice\u{202e}fdp.exe"), "invoice\\u{202e}fdp.exe");
        assert_eq!(escaped("a\u{200b}\u{2028}\u{feff}b 請求書 é"), "a\\u{200b}\\u{2028}\\u{feff}b 請求書 é");
    }

    #[test]
    fn a_duration_is_rounded_to_what_matters() {
        for (millis, text) in
            [(0, "0s"), (12, "12ms"), (5_400, "5s"), (65_000, "1m 5s"), (7_260_000, "2h 1m"), (180_000_000, "50h")]
        {
            assert_eq!(friendly(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn one_thing_is_singular() {
        assert_eq!(
            [counted(0, "message"), counted(1, "message"), counted(2, "message")],
            ["0 messages", "1 message", "2 messages"]
        );
    }

    #[test]
    fn a_text_is_shortened_in_the_middle_and_shows_its_end() {
        assert_eq!(shortened("invoices/2026/11/scan.pdf", 15), "invoice…can.pdf");
        assert_eq!(shortened("short.pdf", 15), "short.pdf");
        assert_eq!(shortened("請求書請求書請求書.pdf", 10), "請求….pdf");
    }

    #[test]
    fn text_is_wrapped_at_blanks_and_every_line_is_indented() {
        assert_eq!(wrapped("  one two three", 9), "  one two\n  three");
        assert_eq!(wrapped("a-long-word b", 5), "a-long-word\nb");
    }

    #[test]
    fn a_line_shortens_its_key_and_never_what_is_said_of_it() {
        let key = "k".repeat(100);
        let line = line_within("rejected   ", &key, "FILE_TOO_LARGE", Some(80));
        assert!(line.width() == 80 && line.ends_with("k  FILE_TOO_LARGE"), "{line}");
        assert!(line_within("", &key, &"m".repeat(200), Some(80)).ends_with(&"m".repeat(200)));
        assert_eq!(line_within("a  ", &key, "b", None), format!("a  {key}  b"));
    }

    #[test]
    fn only_the_widest_columns_of_a_table_are_narrowed() {
        let mut rows = table(["OUTCOME", "OBJECT", "JOB"]);
        rows.add_row(["forwarded", &"k".repeat(1000), "job_000001"]);
        let text = text_within(&rows, Some(60), None);
        assert!(text.lines().all(|line| line.width() <= 60) && text.contains("kk…kk"), "{text}");
        assert!(text.contains("forwarded") && text.contains("job_000001"), "{text}");
        rows.add_row(["deferred", "key", &"m".repeat(30)]);
        let text = text_within(&rows, Some(80), Some(1));
        assert!(text.lines().all(|line| line.width() <= 80) && text.contains(&"m".repeat(30)), "{text}");
        assert!(text_within(&rows, None, None).contains(&"k".repeat(1000)));
    }

    proptest! {
        #[test]
        fn a_shortened_text_is_never_too_wide(text in "\\PC{0,40}", columns in 1usize..40) {
            prop_assert!(shortened(&text, columns).width() <= columns);
        }
    }
}
