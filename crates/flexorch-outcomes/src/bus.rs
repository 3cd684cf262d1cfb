//! The event bus: EventBridge. An event is published at least once, never before its record is written.

use std::time::SystemTime;

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use flexorch_s3_ingester::aws::failure::{Action, CallError, call_until};
use flexorch_s3_ingester::clock::Clock;
use flexorch_s3_ingester::ingest::retry::backoff;

use crate::record::Record;

/// The source of every event.
const SOURCE: &str = "flexorch.s3-ingester";
/// A call has at most so many entries (EventBridge API Reference, `PutEvents`).
const ENTRIES_PER_CALL: usize = 10;
/// The bytes of all entries of a call, below the limit of 256 KB (EventBridge User Guide, "Calculating PutEvents event entry size").
const BYTES_PER_CALL: usize = 250_000;
/// What an entry takes beside its detail, in bytes, at most.
const BYTES_BESIDE_DETAIL: usize = 100;

/// A client of one EventBridge event bus.
#[derive(Debug)]
pub(crate) struct Bus {
    client: Client,
    name: String,
    clock: Clock,
}

/// An entry of a call, and the position of its record.
struct Entry {
    position: usize,
    entry: PutEventsRequestEntry,
    bytes: usize,
}

impl Bus {
    /// Creates a client of the bus with this name or ARN.
    pub(crate) fn new(sdk: &aws_config::SdkConfig, name: String, clock: Clock) -> Self {
        Self { client: Client::new(sdk), name, clock }
    }

    /// Publishes the states of records, until `end` at the latest. Returns for each, in order, whether the bus has its event; a
    /// record in a state that is not published needs none.
    pub(crate) async fn publish(&self, records: &[&Record], end: SystemTime) -> Vec<Result<(), CallError>> {
        let mut results: Vec<Result<(), CallError>> = records.iter().map(|_| Ok(())).collect();
        let mut waiting: Vec<_> =
            records.iter().enumerate().filter_map(|(position, record)| self.entry(position, record)).collect();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let mut failed = Vec::new();
            for call in calls(waiting) {
                for (entry, result) in self.call(call, end).await {
                    if result.as_ref().is_err_and(CallError::is_transient) {
                        failed.push(entry.position);
                    }
                    results[entry.position] = result;
                }
            }
            let again = self.clock.now() + backoff(attempts, fastrand::f64());
            if failed.is_empty() || again >= end {
                return results;
            }
            self.clock.sleep_until(again).await;
            waiting = failed.into_iter().filter_map(|position| self.entry(position, records[position])).collect();
        }
    }

    fn entry(&self, position: usize, record: &Record) -> Option<Entry> {
        let detail_type = record.state.detail_type()?;
        // A record can always be written as JSON.
        let detail = serde_json::to_string(&record.detail()).unwrap_or_default();
        let bytes = detail.len() + BYTES_BESIDE_DETAIL;
        let entry = PutEventsRequestEntry::builder()
            .source(SOURCE)
            .detail_type(detail_type)
            .detail(detail)
            .event_bus_name(&self.name)
            .build();
        Some(Entry { position, entry, bytes })
    }

    /// Makes one call and returns the result of each entry.
    async fn call(&self, entries: Vec<Entry>, end: SystemTime) -> Vec<(Entry, Result<(), CallError>)> {
        let action = Action { service: "EventBridge", permission: "events:PutEvents", resource: &self.name };
        let put = || {
            let sent = entries.iter().map(|entry| entry.entry.clone()).collect();
            self.client.put_events().set_entries(Some(sent)).send()
        };
        let output = match call_until(&self.clock, end, action, put).await {
            Ok(output) => output,
            Err(error) => return entries.into_iter().map(|entry| (entry, Err(error.clone()))).collect(),
        };
        let reported = output.entries();
        let result = |position: usize| match reported.get(position) {
            Some(entry) => match entry.error_code() {
                Some(code) => Err(CallError::of_entry(code, entry.error_message(), action)),
                None => Ok(()),
            },
            None => Err(CallError::Unreported(action.service)),
        };
        entries.into_iter().enumerate().map(|(position, entry)| (entry, result(position))).collect()
    }
}

/// Divides entries into calls of allowed size.
fn calls(entries: Vec<Entry>) -> Vec<Vec<Entry>> {
    let mut calls: Vec<Vec<Entry>> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        match calls.last_mut() {
            Some(call) if call.len() < ENTRIES_PER_CALL && bytes + entry.bytes <= BYTES_PER_CALL => {
                bytes += entry.bytes;
                call.push(entry);
            }
            _ => {
                bytes = entry.bytes;
                calls.push(vec![entry]);
            }
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(bytes: &[usize]) -> Vec<usize> {
        let entry = |(position, bytes): (usize, &usize)| Entry {
            position,
            entry: PutEventsRequestEntry::builder().build(),
            bytes: *bytes,
        };
        calls(bytes.iter().enumerate().map(entry).collect()).iter().map(Vec::len).collect()
    }

    #[test]
    fn a_call_has_at_most_ten_entries_and_its_bytes() {
        assert_eq!(sizes(&[500; 25]), [10, 10, 5]);
        assert_eq!(sizes(&[200_000, 40_000, 40_000, 1]), [2, 2]);
        assert_eq!(sizes(&[]), [0; 0]);
    }
}
