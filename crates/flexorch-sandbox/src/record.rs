//! What was submitted, kept for tests and for the admin path.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{api_key::ApiKey, fault::FaultId};

/// How many submissions are kept, and of how many bytes together; the oldest go first. It bounds what a sandbox that
/// runs for weeks holds: parsed, a body takes a few times its bytes.
const KEPT: usize = 50_000;
const KEPT_BYTES: usize = 64 * 1024 * 1024;

/// Headers that carry a credential, and are not kept.
const SECRET_HEADERS: [&str; 4] = ["x-api-key", "authorization", "cookie", "proxy-authorization"];

/// One `POST /data-process/async`, whatever became of it.
#[derive(Clone, Debug, Serialize)]
pub struct RecordedRequest {
    /// When it came, RFC 3339 in UTC.
    pub at: String,
    /// The API key, `None` where there was none. Serialized, it is masked.
    #[serde(serialize_with = "masked")]
    pub api_key: Option<ApiKey>,
    /// `source.connector_id` with the JSON type that it had; null where there was none.
    pub connector_id: Value,
    /// The same as the JSON text that it had, digit by digit; empty if there was none.
    pub connector_id_text: String,
    /// `source.keys`, as far as they are text.
    pub keys: Vec<String>,
    /// The body: the JSON as it came, or a form's fields as an object, or the text where it was neither.
    pub body: Value,
    /// The headers, by their names in lower case, without those that carry a credential.
    pub headers: BTreeMap<String, String>,
    /// The answer's status; `None` while there is no answer, and for good where a fault hung or broke the connection
    /// or the client went away.
    pub status: Option<u16>,
    /// The fault that took the place of the API's answer.
    pub fault: Option<FaultId>,
    /// How many keys the API took, known ones included, even where the answer was lost.
    pub taken: usize,
}

fn masked<S: Serializer>(key: &Option<ApiKey>, serializer: S) -> Result<S::Ok, S::Error> {
    key.as_ref().map(ApiKey::masked).serialize(serializer)
}

/// Whether a header may be kept.
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

/// A record that can still be completed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordNumber(u64);

impl Log {
    /// Notes a submission as it comes in, with so many bytes of a body.
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

    /// Completes a record, unless it was dropped meanwhile.
    pub(crate) fn complete(&self, number: RecordNumber, change: impl FnOnce(&mut RecordedRequest)) {
        let mut records = self.records();
        let place = number.0.checked_sub(records.first);
        let record = place.and_then(|place| usize::try_from(place).ok()).and_then(|place| records.kept.get_mut(place));
        if let Some((record, _)) = record {
            change(record);
        }
    }

    /// The submissions, oldest first.
    pub(crate) fn list(&self) -> Vec<RecordedRequest> {
        let records = self.records();
        let requests = records.kept.iter().map(|(request, _)| request.clone());
        requests.collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.records().kept.len()
    }

    /// Forgets all of them.
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
    fn an_answer_finds_its_record_and_none_once_the_log_was_cleared() {
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
    fn the_oldest_records_go_when_there_are_too_many_bytes() {
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
