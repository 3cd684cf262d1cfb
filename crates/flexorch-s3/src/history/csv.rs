//! A record as comma-separated values: keys unchanged, quoted where necessary as in RFC 4180. Pure.

use crate::tracking::Record;

/// The first line.
pub(crate) const HEADING: &str = "document,version,state,changed_at,job_id,connector,connector_id,event_time,submitted_at,quality_grade,\
                                  pii_findings_count,failure_reason,code,expires_at";

/// Returns the line of a record. What is not known is empty.
pub(crate) fn line(record: &Record) -> String {
    let known = |value: &Option<String>| value.clone().unwrap_or_default();
    let fields = [
        record.document.clone(),
        record.version.clone(),
        record.state.as_str().to_owned(),
        record.changed_at.clone(),
        known(&record.job_id),
        known(&record.connector),
        record.connector_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        known(&record.event_time),
        known(&record.submitted_at),
        known(&record.quality_grade),
        record.pii_findings_count.map(|count| count.to_string()).unwrap_or_default(),
        known(&record.failure_reason),
        known(&record.code),
        record.expires_at.map(|seconds| seconds.to_string()).unwrap_or_default(),
    ];
    fields.iter().map(|field| quoted(field)).collect::<Vec<_>>().join(",")
}

fn quoted(field: &str) -> String {
    let is_special = field.contains(['"', ',', '\n', '\r']) || field.starts_with(' ') || field.ends_with(' ');
    if is_special { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_quotes_has_them_and_a_quote_is_doubled() {
        for (field, line) in [
            ("a b.pdf", "a b.pdf"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            (" a", "\" a\""),
            ("", ""),
        ] {
            assert_eq!(quoted(field), line);
        }
    }

    #[test]
    fn a_line_has_as_many_fields_as_the_heading() {
        let record = Record {
            document: "b/k".into(),
            version: "-".into(),
            state: crate::tracking::State::Submitted,
            job_id: None,
            changed_at: "2026-11-24T07:00:00.123Z".into(),
            connector: None,
            connector_id: None,
            event_time: None,
            submitted_at: None,
            quality_grade: None,
            pii_findings_count: Some(0),
            failure_reason: None,
            code: None,
            expires_at: Some(1),
            unpublished: false,
        };
        assert_eq!(line(&record).split(',').count(), HEADING.split(',').count());
        assert_eq!(line(&record), "b/k,-,submitted,2026-11-24T07:00:00.123Z,,,,,,,0,,,1");
    }
}
