//! The submissions so far, for tests and for the admin path.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{api_key::ApiKey, fault::FaultId};

/// The most submissions that are kept, and the most bytes of their bodies; the oldest are dropped first. They bound the memory of a
/// sandbox that runs for weeks: a parsed body takes a few times its bytes.
const KEPT: usize = 50_000;
const KEPT_BYTES: usize = 64 * 1024 * 1024;

/// Headers that hold a credential and are not kept.
const SECRET_HEADERS: [&str; 4] = ["x-api-key", "authorization", "cookie", "proxy-authorization"];

/// One `POST /data-process/async`, whatever its response.
#[derive(Clone, Debug, Serialize)]
pub struct RecordedRequest {
    /// When it arrived, RFC 3339 in UTC.
    pub at: String,
    /// The API key, if there was one. It is masked when serialized.
    #[serde(serialize_with = "masked")]
    pub api_key: Option<ApiKey>,
    /// `source.connector_id` with its JSON type, or null.
    pub connector_id: Value,
    /// The JSON text of `source.connector_id`, digit by digit; empty if there was none.
    pub connector_id_text: String,
    /// Those of `source.keys` that are text.
    pub keys: Vec<String>,
    /// The JSON body unchanged, a form's fields as an object, or the text if it was neither.
    pub body: Value,
    /// The headers, by their names in lower case, without those that hold a credential.
    pub headers: BTreeMap<String, String>,
    /// The response's status. `None` while there is no response, and for good if a fault hung or reset the connection or the client
    /// disconnected.
    pub status: Option<u16>,
    /// The fault that replaced the API's response.
    pub fault: Option<FaultId>,
    /// How many keys the API accepted, known ones included, even if the response was lost.
    pub taken: usize,
}

fn masked<S: Serializer>(key: &Option<ApiKey>, serializer: S) -> Result<S::Ok, S::Error> {
    key.as_ref().map(ApiKey::masked).serialize(serializer)
}

/// Returns whether a header holds a credential.
pub(crate) fn is_secret_header(name: &str) -> bool {
    SECRET_HEADERS.contains(&name)
}

/// The log of submissions. Clones are handles on the same log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Records>>);

#[derive(Debug, Default)]
struct Records {
    kept: VecDeque<(RecordedRequest, usize)>,
    bytes: usize,
    /// The number of the first record in `kept`: numbers go on when old records are dropped.
    first: u64,
}

/// The number of a record, to complete it later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordNumber(u64);

impl Log {
    /// Adds a submission when it arrives, with the size of its body in bytes.
    pub(crate) fn add(&self, request: RecordedRequest, bytes: usize) -> RecordNumber {
        let mut records = self.records();
        while records.kept.len() == KEPT || records.bytes + bytes > KEPT_BYTES {
            let Some((_, freed)) = records.kept.pop_front() else {
                break;
            };
            records.bytes -= freed;
            records.first += 1;
        }
        let number = RecordNumber(records.first + records.kept.len() as u64);
        records.bytes += bytes;
        records.kept.push_back((request, bytes));
        number
    }

    /// Completes a record, unless it has been dropped.
    pub(crate) fn complete(&self, number: RecordNumber, change: impl FnOnce(&mut RecordedRequest)) {
        let mut records = self.records();
        let place = number.0.checked_sub(records.first);
        let record = place.and_then(|place| usize::try_from(place).ok()).and_then(|place| records.kept.get_mut(place));
        if let Some((record, _)) = record {
            change(record);
        }
    }

    /// Returns the submissions, oldest first.
    pub(crate) fn list(&self) -> Vec<RecordedRequest> {
        let records = self.records();
        let requests = records.kept.iter().map(|(request, _)| request.clone());
        requests.collect()
    }

    /// Returns how many submissions are kept.
    pub(crate) fn len(&self) -> usize {
        self.records().kept.len()
    }

    /// Removes all submissions.
    pub(crate) fn clear(&self) {
        let mut records = self.records();
        records.first += records.kept.len() as u64;
        records.kept.clear();
        records.bytes = 0;
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(key: &str) -> RecordedRequest {
        RecordedRequest {
            at: String::new(),
            api_key: Some(ApiKey::new("dfx_0123456789abcdef")),
            connector_id: Value::Null,
            connector_id_text: String::new(),
            keys: vec![key.to_owned()],
            body: Value::Null,
            headers: BTreeMap::new(),
            status: None,
            fault: None,
            taken: 0,
        }
    }

    #[test]
    fn a_response_completes_its_record_and_no_other_after_the_log_was_cleared() {
        let log = Log::default();
        log.add(request("a"), 9);
        let second = log.add(request("b"), 9);
        log.complete(second, |record| record.status = Some(202));
        assert_eq!(log.list()[1].status, Some(202));
        log.clear();
        log.add(request("c"), 9);
        log.add(request("d"), 9);
        log.complete(second, |record| record.status = Some(500));
        assert!(log.list().iter().all(|record| record.status.is_none()));
    }

    #[test]
    fn the_oldest_records_are_dropped_if_there_are_too_many_bytes() {
        let log = Log::default();
        log.add(request("a"), KEPT_BYTES / 2);
        let second = log.add(request("b"), KEPT_BYTES / 2);
        log.add(request("c"), 1);
        log.complete(second, |record| record.status = Some(202));
        let kept = log.list();
        assert_eq!((kept[0].keys[0].as_str(), kept[0].status), ("b", Some(202)));
        assert_eq!(log.len(), 2);
    }

    #[test]
    fn a_record_shows_no_key() {
        let json = serde_json::to_string(&request("a")).unwrap();
        let debug = format!("{:?}", request("a"));
        for shown in [json, debug] {
            assert!(shown.contains("dfx_…cdef") && !shown.contains("0123"), "{shown}");
        }
    }
}
