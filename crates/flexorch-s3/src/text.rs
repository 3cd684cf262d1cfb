//! Formats text for people: tables, durations, and text from outside that must not control the terminal.

use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use jiff::{SignedDuration, Unit};

/// Creates a plain table with these headings, as wide as its contents.
pub(crate) fn table<const N: usize>(headings: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(headings);
    table
}

/// Returns a table's text without the blanks that pad its last column.
pub(crate) fn text_of(table: &Table) -> String {
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Escapes control characters, so that text from outside cannot control the terminal.
pub(crate) fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
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

    #[test]
    fn a_key_cannot_control_the_terminal() {
        assert_eq!(escaped("a\u{1b}[2Jb\nc ü"), "a\\u{1b}[2Jb\\nc ü");
    }

    #[test]
    fn a_duration_is_rounded_to_what_matters() {
        for (millis, text) in
            [(0, "0s"), (12, "12ms"), (5_400, "5s"), (65_000, "1m 5s"), (7_260_000, "2h 1m"), (180_000_000, "50h")]
        {
            assert_eq!(friendly(Duration::from_millis(millis)), text);
        }
    }
}
