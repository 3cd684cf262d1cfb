//! The order to reconcile: list a connector's bucket and forward the objects that were modified since a time. It comes from a
//! schedule and finds the objects for which no notification arrived.

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::UnknownEvent;
use super::wire::{text, whole_number};

/// An order to reconcile.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReconcileRequest {
    /// The time since which objects were modified.
    pub since: Since,
    /// Lists only keys that start with this, in addition to the connector's own prefix.
    pub prefix: Option<String>,
    /// The position at which an earlier call stopped.
    pub cursor: Option<Cursor>,
    /// How many orders came before it in its chain: 0 for one from outside, 1 for the first that continues it.
    pub hop: u64,
}

/// The start of the time range that a reconcile covers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Since {
    /// This long before the order is executed.
    Ago(SignedDuration),
    /// This time.
    At(Timestamp),
}

/// The position at which a reconcile stopped, so that the next call continues: everything up to `after` in the listing of
/// `secret_id`'s bucket, and the buckets of the connectors before it, are done. Its text form is opaque to callers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The id of the connector's secret.
    pub secret_id: String,
    /// The last key that is done; `None` if none is.
    pub after: Option<String>,
    /// The start of the time range, resolved by the first call.
    pub since: Timestamp,
    /// The buckets of the connectors after it are done too, or have an order of their own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only: bool,
}

/// The text before a cursor in an error message.
const CURSOR_MARK: &str = "cursor: ";

#[derive(Deserialize)]
struct Order<'a> {
    #[serde(borrow)]
    since: Option<&'a RawValue>,
    prefix: Option<String>,
    #[serde(borrow)]
    cursor: Option<&'a RawValue>,
    #[serde(borrow)]
    hop: Option<&'a RawValue>,
}

impl ReconcileRequest {
    pub(super) fn read(order: &RawValue) -> Result<Self, UnknownEvent> {
        let malformed = |reason: &str| UnknownEvent::Malformed { kind: "a reconcile event", reason: reason.to_owned() };
        let order: Order<'_> = serde_json::from_str(order.get())
            .map_err(|_| malformed("it must look like {\"reconcile\": {\"since\": \"PT24H\", \"prefix\": \"…\"}}"))?;
        let cursor = match order.cursor.filter(|raw| raw.get() != "null") {
            None => None,
            Some(raw) => Some(
                text(raw)
                    .and_then(|text| Cursor::parse(&text))
                    .ok_or_else(|| malformed("`cursor` must be the text that an earlier call returned"))?,
            ),
        };
        let since = order.since.and_then(text).and_then(|text| Since::parse(&text));
        let since = since.or_else(|| cursor.as_ref().map(|cursor| Since::At(cursor.since))).ok_or_else(|| {
            malformed(
                "`since` must be an ISO 8601 duration such as PT24H or P7D, or a time such as 2026-01-31T00:00:00Z",
            )
        })?;
        // Only this function writes it, and only to its logs: anything else there is no reason to refuse an order.
        let hop = order.hop.and_then(whole_number).unwrap_or_default();
        Ok(Self { since, prefix: order.prefix.filter(|prefix| !prefix.is_empty()), cursor, hop })
    }

    /// Returns the event that continues from `cursor`.
    #[must_use]
    pub(crate) fn continuing(&self, cursor: &Cursor) -> serde_json::Value {
        let hop = self.hop.saturating_add(1);
        let mut order = serde_json::json!({"since": cursor.since.to_string(), "cursor": cursor.to_text(), "hop": hop});
        if let Some(prefix) = &self.prefix {
            order["prefix"] = prefix.as_str().into();
        }
        serde_json::json!({ "reconcile": order })
    }
}

impl Since {
    /// Parses an RFC 3339 time or an ISO 8601 duration; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(time) = text.parse() {
            return Some(Self::At(time));
        }
        let span: Span = text.parse().ok()?;
        let ago = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        ago.is_positive().then_some(Self::Ago(ago))
    }

    /// Returns the start of the time range for an order that is executed at `now`.
    #[must_use]
    pub fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(ago) => now.checked_sub(ago).unwrap_or(Timestamp::MIN),
        }
    }
}

impl Cursor {
    /// Returns the cursor as percent-encoded JSON, so that it can be part of other text.
    #[must_use]
    pub(crate) fn to_text(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        percent_encoding::utf8_percent_encode(&json, percent_encoding::NON_ALPHANUMERIC).to_string()
    }

    /// Parses the result of [`Cursor::to_text`]; `None` for any other text.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(&percent_encoding::percent_decode_str(text).decode_utf8().ok()?).ok()
    }

    /// Returns the cursor with the mark that precedes it in an error message.
    #[must_use]
    pub(crate) fn marked(&self) -> String {
        format!("{CURSOR_MARK}{}", self.to_text())
    }
}

/// Finds the cursor in an error message.
pub(super) fn cursor_in(message: &str) -> Option<Cursor> {
    let (_, rest) = message.split_once(CURSOR_MARK)?;
    Cursor::parse(rest.split(|c: char| c.is_whitespace() || c == ';').next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(order: &str) -> Result<ReconcileRequest, UnknownEvent> {
        ReconcileRequest::read(serde_json::from_str(order).unwrap())
    }

    #[test]
    fn since_is_a_duration_or_a_time() {
        assert_eq!(read(r#"{"since":"PT24H"}"#).unwrap().since, Since::Ago(SignedDuration::from_hours(24)));
        assert_eq!(read(r#"{"since":"P7D"}"#).unwrap().since, Since::Ago(SignedDuration::from_hours(168)));
        let time = "2026-01-31T00:00:00Z";
        assert_eq!(read(&format!(r#"{{"since":"{time}"}}"#)).unwrap().since, Since::At(time.parse().unwrap()));
        for wrong in ["{}", r#"{"since":5}"#, r#"{"since":"yesterday"}"#, r#"{"since":"-PT1H"}"#, "[]"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_cursor_survives_the_event_and_the_error_that_carry_it() {
        let cursor = Cursor {
            secret_id: "arn:aws:secretsmanager:eu-west-1:123456789012:secret:docs".into(),
            after: Some("invoices/ü; a b\n.pdf".into()),
            since: "2026-01-31T00:00:00Z".parse().unwrap(),
            only: true,
        };
        let request = ReconcileRequest {
            since: Since::Ago(SignedDuration::from_hours(1)),
            prefix: Some("in".into()),
            cursor: None,
            hop: 0,
        };
        let event = request.continuing(&cursor);
        let again = read(&event["reconcile"].to_string()).unwrap();
        assert_eq!((event["reconcile"]["hop"].as_u64(), again.hop), (Some(1), 1));
        assert_eq!(again.continuing(&cursor)["reconcile"]["hop"], 2);
        assert_eq!((again.cursor.as_ref(), again.prefix.as_deref()), (Some(&cursor), Some("in")));
        assert_eq!(again.since, Since::At(cursor.since));
        assert_eq!(cursor_in(&format!("stopped; {}; more", cursor.marked())), Some(cursor));
    }

    #[test]
    fn a_hop_count_is_a_number_and_nothing_else_spoils_an_order() {
        for (hop, expected) in [("3", 3), ("\"3\"", 3), ("-1", 0), ("1.5", 0), ("[]", 0), ("null", 0)] {
            assert_eq!(read(&format!(r#"{{"since":"PT1H","hop":{hop}}}"#)).unwrap().hop, expected, "{hop}");
        }
    }

    #[test]
    fn a_cursor_of_an_earlier_version_is_read() {
        let text = r#"{"secret_id":"docs","after":null,"since":"2026-01-31T00:00:00Z"}"#;
        assert!(!Cursor::parse(text).unwrap().only);
    }
}
