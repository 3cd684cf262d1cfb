//! Log lines as JSON objects.
//!
//! The JSON format of `tracing-subscriber` writes every quote and comma by itself, each of them checked for UTF-8, and parses the span's
//! fields again for each line. Two lines took more than a tenth of a warm event's instructions.

use std::fmt::{self, Debug};
use std::io::Write as _;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// The usual length of a line, in bytes.
const USUAL_LENGTH: usize = 512;

/// Formats an event as a JSON object: `timestamp`, `level`, the event's fields, and `span` with the name and the fields of the current span.
pub(super) struct JsonLine;

/// Formats fields as the members of a JSON object, each after a comma.
pub(super) struct JsonMembers;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Members(Vec::with_capacity(USUAL_LENGTH));
        line.text(format_args!(
            "{{\"timestamp\":\"{:.6}\",\"level\":\"{}\"",
            Timestamp::now(),
            event.metadata().level()
        ));
        event.record(&mut line);
        if let Some(span) = context.parent_span() {
            line.text(format_args!(",\"span\":{{\"name\":\"{}\"", span.name()));
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                line.text(format_args!("{}", fields.fields));
            }
            line.text(format_args!("}}"));
        }
        line.text(format_args!("}}\n"));
        line.write_to(writer)
    }
}

impl<'w> FormatFields<'w> for JsonMembers {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut members = Members(Vec::new());
        fields.record(&mut members);
        members.write_to(writer)
    }
}

/// Members of a JSON object as UTF-8: bytes, because that is what `serde_json` writes to.
struct Members(Vec<u8>);

impl Members {
    fn text(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a `Vec` never fails.
        let _ = self.0.write_fmt(text);
    }

    /// Adds a member. Names of fields come from source code, and none of them needs escaping.
    fn member<T: Serialize + ?Sized>(&mut self, field: &Field, value: &T) {
        for part in [",\"", field.name(), "\":"] {
            self.0.extend_from_slice(part.as_bytes());
        }
        // Neither writing to a `Vec` nor serializing text, a number or a boolean fails.
        let _ = serde_json::to_writer(&mut self.0, value);
    }

    fn write_to(self, mut writer: Writer<'_>) -> fmt::Result {
        writer.write_str(std::str::from_utf8(&self.0).map_err(|_| fmt::Error)?)
    }
}

impl Visit for Members {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        struct Text<'a>(&'a dyn Debug);
        impl Serialize for Text<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&format_args!("{:?}", self.0))
            }
        }
        self.member(field, &Text(value));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that `log` writes, without their timestamps, which are checked.
    fn lines(log: impl FnOnce()) -> Vec<Value> {
        let written = Lines::default();
        let writer = written.clone();
        let layer = tracing_subscriber::fmt::layer().event_format(JsonLine).fmt_fields(JsonMembers);
        let subscriber = tracing_subscriber::registry().with(layer.with_writer(move || writer.clone()));
        tracing::subscriber::with_default(subscriber, log);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let line = |line: &str| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let timestamp = line.as_object_mut().unwrap().remove("timestamp").unwrap();
            let timestamp = timestamp.as_str().unwrap();
            assert_eq!(timestamp.len(), "2026-01-02T03:04:05.678901Z".len(), "{timestamp}");
            assert!(timestamp.parse::<Timestamp>().is_ok() && timestamp.ends_with('Z'), "{timestamp}");
            line
        };
        text.lines().map(line).collect()
    }

    #[test]
    fn a_line_holds_level_message_and_fields_with_their_types() {
        let written = lines(|| {
            tracing::warn!(text = "a\"b\\\n\u{1}ü", number = 7_u64, below = -7, real = 1.5, yes = true, "said");
            tracing::info!(absent = None::<&str>, present = Some("x"), debug = ?Some("q\""), display = %"d\"", "{}", "for\"matted");
        });
        assert_eq!(
            written,
            [
                json!({"level": "WARN", "message": "said", "text": "a\"b\\\n\u{1}ü", "number": 7, "below": -7, "real": 1.5, "yes": true}),
                json!({"level": "INFO", "message": "for\"matted", "present": "x", "debug": "Some(\"q\\\"\")", "display": "d\""}),
            ]
        );
    }

    #[test]
    fn a_line_holds_the_current_span_with_its_fields() {
        let written = lines(|| {
            let span = tracing::error_span!("invocation", requestId = "r\"1", later = tracing::field::Empty);
            span.in_scope(|| tracing::error!("inside"));
            span.record("later", 5);
            span.in_scope(|| tracing::error!("after"));
            tracing::error_span!("bare").in_scope(|| tracing::error!("bare"));
        });
        let spans: Vec<_> = written.iter().map(|line| line["span"].clone()).collect();
        assert_eq!(
            spans,
            [
                json!({"name": "invocation", "requestId": "r\"1"}),
                json!({"name": "invocation", "requestId": "r\"1", "later": 5}),
                json!({"name": "bare"}),
            ]
        );
    }
}
