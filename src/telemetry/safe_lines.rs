//! The writer of every log line: removes secrets and escapes the characters that a terminal interprets or hides.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

use crate::redaction::{Redactor, known};

/// Makes writers whose lines are safe to print.
pub(super) struct SafeLines<M>(pub(super) M);

/// A writer of one log line, which arrives whole.
pub(super) struct SafeLine<W>(W);

impl<'w, M: MakeWriter<'w>> MakeWriter<'w> for SafeLines<M> {
    type Writer = SafeLine<M::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        SafeLine(self.0.make_writer())
    }

    fn make_writer_for(&'w self, meta: &tracing::Metadata<'_>) -> Self::Writer {
        SafeLine(self.0.make_writer_for(meta))
    }
}

impl<W: Write> Write for SafeLine<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // The check alone is several times as fast as the lossy conversion.
        let text = std::str::from_utf8(line).map_or_else(|_| String::from_utf8_lossy(line), Cow::Borrowed);
        self.0.write_all(safe(&text, &known()).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Returns a line without secrets and with `\u00XX` for each character that is unsafe to print. A JSON line stays valid and keeps
/// its meaning: such characters occur only inside its strings.
fn safe<'l>(line: &'l str, secrets: &Redactor) -> Cow<'l, str> {
    let clean = secrets.redact(line);
    let (text, end) = match clean.strip_suffix('\n') {
        Some(text) => (text, "\n"),
        None => (&*clean, ""),
    };
    // To the end, even if one is found early: without a branch for each byte, the compiler checks sixteen of them together.
    let may_be_unsafe = text.bytes().fold(false, |found, byte| found | may_begin_unsafe(byte));
    if !may_be_unsafe || !text.chars().any(is_unsafe) {
        return clean;
    }
    let mut escaped = String::with_capacity(clean.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a `String` never fails.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped.push_str(end);
    Cow::Owned(escaped)
}

/// Whether an unsafe character's UTF-8 form may begin with this byte.
fn may_begin_unsafe(byte: u8) -> bool {
    matches!(byte, 0..0x20 | 0x7f | 0xc2 | 0xd8 | 0xe1 | 0xe2 | 0xef | 0xf3)
}

/// Whether a terminal may interpret the character, or a reader may not see it, see it as the end of a line, or see the text after it
/// in another order: control characters (Unicode's general category Cc), line and paragraph separators, and the format characters
/// (Cf) that are not part of a script: controls of bidirectional text, characters without width, and tags.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(line: &str) -> String {
        safe(line, &Redactor::of(&["dfx_abc"])).into_owned()
    }

    #[test]
    fn a_harmless_line_is_written_unchanged_and_not_copied() {
        for line in ["{\"key\":\"a\\n\\u0001 ü – 日本 😀.pdf\"}\n", "INFO x\n", "", "\n"] {
            assert!(matches!(safe(line, &Redactor::of(&["dfx_abc"])), Cow::Borrowed(same) if same == line), "{line}");
        }
    }

    #[test]
    fn control_characters_and_secrets_are_escaped_and_removed() {
        assert_eq!(
            clean("x\u{7f}\u{85}\u{9b}2J\u{1b}[2J\r\ny\n"),
            "x\\u007f\\u0085\\u009b2J\\u001b[2J\\u000d\\u000ay\n"
        );
        assert_eq!(
            clean("\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}"),
            "\\u2028\\u2029\\u202a\\u202e\\u2066\\u2069"
        );
        assert_eq!(clean("\u{200b}\u{feff}\u{e0041}"), "\\u200b\\ufeff\\udb40\\udc41");
        assert_eq!(clean("key dfx_abc\u{7f}\n"), "key [redacted]\\u007f\n");
    }

    #[test]
    fn a_json_line_stays_valid_and_means_the_same() {
        let text: String =
            (0..=0x2070).chain(0xfe00..=0xffff).chain(0xe0000..=0xe0080).filter_map(char::from_u32).collect();
        let line = serde_json::json!({"key": text}).to_string();
        let written = clean(&format!("{line}\n"));
        assert!(written.strip_suffix('\n').unwrap().chars().all(|c| !is_unsafe(c)));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap()["key"], text);
    }
}
