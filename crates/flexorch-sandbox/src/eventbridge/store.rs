//! The events, and which entries of a call are accepted. Pure.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::aws::error::AwsError;
use crate::clock::Moment;

/// The bus of an entry that names none.
pub(super) const DEFAULT_BUS: &str = "default";

/// Entries that one call may have, and their bytes together (API Reference, `PutEvents`).
const MOST_ENTRIES: usize = 10;
const MOST_BYTES: usize = 256 * 1024;

/// The bytes that count for an entry's time (User Guide, "Calculating PutEvents event entry size").
const TIME_BYTES: usize = 14;

/// An event that EventBridge accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishedEvent {
    /// The id that the response named.
    pub id: String,
    /// The bus, by the name or ARN that the entry gave; `default` if it gave none.
    pub bus: String,
    /// The source, `flexorch.s3-ingester` for example.
    pub source: String,
    /// The detail type, `Document Processed` for example.
    pub detail_type: String,
    /// The detail, parsed.
    pub detail: Value,
    /// The resources' ARNs.
    pub resources: Vec<String>,
    /// When it was accepted, RFC 3339 in UTC.
    pub at: String,
}

/// The state of EventBridge.
#[derive(Debug, Default)]
pub struct Store {
    pub(super) events: Vec<PublishedEvent>,
    /// Entries whose detail contains this text fail.
    pub(super) failing: Option<String>,
    issued: u64,
}

/// An entry of a call.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Entry {
    time: Option<Value>,
    source: Option<String>,
    detail_type: Option<String>,
    detail: Option<String>,
    resources: Option<Vec<String>>,
    pub(super) event_bus_name: Option<String>,
}

impl Entry {
    fn bytes(&self) -> usize {
        let texts = [&self.source, &self.detail_type, &self.detail].into_iter().flatten().map(String::len);
        let resources = self.resources.iter().flatten().map(String::len);
        let time = self.time.as_ref().map_or(0, |_| TIME_BYTES);
        time + texts.chain(resources).sum::<usize>()
    }

    /// Returns the entry as an event, or the code and the message that refuse it.
    fn event(&self) -> Result<PublishedEvent, (&'static str, String)> {
        let required = |name: &str, value: &Option<String>| {
            let missing = || {
                ("InvalidArgument", format!("Parameter {name} is not valid. Reason: {name} is a required argument."))
            };
            value.clone().filter(|value| !value.is_empty()).ok_or_else(missing)
        };
        let (source, detail_type) = (required("Source", &self.source)?, required("DetailType", &self.detail_type)?);
        if source.starts_with("aws.") {
            let message = "Not authorized for the source.".to_owned();
            return Err(("NotAuthorizedForSourceException", message));
        }
        let detail: Value = serde_json::from_str(&required("Detail", &self.detail)?).unwrap_or_default();
        if !detail.is_object() {
            return Err(("MalformedDetail", "Detail is malformed.".to_owned()));
        }
        Ok(PublishedEvent {
            id: String::new(),
            bus: self.event_bus_name.clone().unwrap_or_else(|| DEFAULT_BUS.to_owned()),
            source,
            detail_type,
            detail,
            resources: self.resources.clone().unwrap_or_default(),
            at: String::new(),
        })
    }
}

impl Store {
    /// Accepts or refuses each of the entries. If `in_part`, every second one fails.
    pub(super) fn put(&mut self, entries: &[Entry], in_part: bool, now: Moment) -> Result<Value, AwsError> {
        if !(1..=MOST_ENTRIES).contains(&entries.len()) {
            let size = if entries.is_empty() { "greater than or equal to 1" } else { "less than or equal to 10" };
            return Err(AwsError::client(
                "ValidationException",
                format!(
                    "1 validation error detected: Value at 'entries' failed to satisfy constraint: Member must have length {size}"
                ),
            ));
        }
        if entries.iter().map(Entry::bytes).sum::<usize>() > MOST_BYTES {
            return Err(AwsError::client(
                "ValidationException",
                "Total size of the entries in the request is over the limit.",
            ));
        }
        let results: Vec<Result<Value, (&str, String)>> = entries
            .iter()
            .enumerate()
            .map(|(place, entry)| {
                if in_part && place % 2 == 1 {
                    return Err(("InternalFailure", "Internal failure".to_owned()));
                }
                let fails = |text: &String| entry.detail.as_ref().is_some_and(|detail| detail.contains(text));
                if self.failing.as_ref().is_some_and(fails) {
                    return Err(("ThrottlingException", "Rate exceeded".to_owned()));
                }
                let mut event = entry.event()?;
                self.issued += 1;
                event.id = format!("00000000-0000-0000-0000-{:012x}", self.issued);
                event.at = now.rfc3339();
                let result = json!({"EventId": event.id});
                self.events.push(event);
                Ok(result)
            })
            .collect();
        let failed = results.iter().filter(|result| result.is_err()).count();
        let entries = results
            .into_iter()
            .map(|result| result.unwrap_or_else(|(code, message)| json!({"ErrorCode": code, "ErrorMessage": message})));
        Ok(json!({"FailedEntryCount": failed, "Entries": entries.collect::<Vec<_>>()}))
    }
}
