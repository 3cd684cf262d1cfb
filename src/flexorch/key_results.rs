//! What a successful answer says of each key.
//!
//! A 2xx does not mean that every key was taken, and FlexOrch has several shapes of answer. Names are matched against the
//! whole key first, then against an ending of it that is unique in the request (the base name, usually): whether `filename`
//! is the one or the other is not documented.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::{Map, Value};

use super::base_name;
use super::response::{looks_like_code, quoted};

/// Codes that say nothing against the file itself, wherever they stand.
const PASSING_CODES: [&str; 6] = [
    "RATE_LIMIT_EXCEEDED",
    "QUOTA_EXCEEDED",
    "TRIAL_EXPIRED",
    "PLAN_UPGRADE_REQUIRED",
    "INVALID_API_KEY",
    "UNAUTHORIZED",
];

/// What became of one key of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyResult {
    /// FlexOrch took it.
    Accepted {
        /// The job, where the answer names one.
        job_id: Option<String>,
        /// FlexOrch knew the content.
        duplicate: bool,
    },
    /// FlexOrch refused it for good.
    Rejected {
        /// FlexOrch's code.
        code: String,
        /// FlexOrch's message; may be empty.
        message: String,
    },
    /// FlexOrch did not take it for a reason that passes.
    NotNow {
        /// FlexOrch's code.
        code: String,
    },
    /// The answer accounts for other keys, and not for this one.
    Unaccounted,
    /// The answer refuses one of several keys of the same name and does not say which: it has to be asked for alone.
    Ambiguous,
}

/// What became of all keys of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmissionResult {
    /// One fate for each key, in the order of the request.
    pub per_key: Vec<KeyResult>,
    /// What was unexpected about the answer, where something was; worth a warning.
    pub note: Option<String>,
}

impl SubmissionResult {
    /// An answer that says nothing of single keys: all are taken.
    #[must_use]
    pub fn all_taken(keys: usize, seen: &str) -> Self {
        Self {
            per_key: vec![taken(None); keys],
            note: Some(format!("the answer does not name the keys ({seen}); all are taken as accepted")),
        }
    }
}

impl SubmissionResult {
    /// Takes a secret out of everything that FlexOrch said in words.
    pub(super) fn redact(&mut self, secret: &str) {
        for fate in &mut self.per_key {
            if let KeyResult::Rejected { code, message } = fate {
                *code = code.replace(secret, "[redacted]");
                *message = message.replace(secret, "[redacted]");
            }
        }
    }
}

fn taken(job_id: Option<String>) -> KeyResult {
    KeyResult::Accepted { job_id, duplicate: false }
}

/// Reads the `data` of a successful answer to a request with `keys`.
#[must_use]
pub fn account_for(keys: &[&str], data: &Value) -> SubmissionResult {
    let fields = match data {
        Value::Object(fields) => Cow::Borrowed(fields),
        Value::Array(jobs) => Cow::Owned(Map::from_iter([("jobs".to_owned(), Value::Array(jobs.clone()))])),
        other => return SubmissionResult::all_taken(keys.len(), &format!("a JSON {}", kind_of(other))),
    };
    const KNOWN: [&str; 6] = ["jobs", "job_ids", "job_id", "is_duplicate", "rejected", "accepted"];
    if !KNOWN.iter().any(|name| fields.get(*name).is_some_and(|value| !value.is_null())) {
        let names: Vec<_> = fields.keys().take(12).map(String::as_str).collect();
        return SubmissionResult::all_taken(keys.len(), &format!("fields: {}", quoted(&names.join(", "))));
    }
    Reading::of(keys, &fields).finish(&fields)
}

/// The entries of an answer, matched to the request's keys step by step.
struct Reading<'a> {
    keys: &'a [&'a str],
    by_base: HashMap<&'a str, Vec<usize>>,
    per_key: Vec<Option<KeyResult>>,
    /// Jobs that no single key could be found for.
    stray_jobs: Vec<KeyResult>,
    /// Refusals that no key could be found for.
    stray_refusals: Vec<KeyResult>,
    /// Entries whose name fits several keys, by that name: (refusals, jobs).
    shared: HashMap<String, (Vec<KeyResult>, Vec<KeyResult>)>,
    note: Option<String>,
}

enum Match {
    One(usize),
    Several,
    None,
}

impl<'a> Reading<'a> {
    fn of(keys: &'a [&'a str], fields: &Map<String, Value>) -> Self {
        let mut by_base: HashMap<&str, Vec<usize>> = HashMap::with_capacity(keys.len());
        for (index, key) in keys.iter().enumerate() {
            by_base.entry(base_name(key)).or_default().push(index);
        }
        let mut reading = Self {
            keys,
            by_base,
            per_key: vec![None; keys.len()],
            stray_jobs: Vec::new(),
            stray_refusals: Vec::new(),
            shared: HashMap::new(),
            note: None,
        };
        for entry in list(fields, "rejected") {
            reading.place(entry, refusal(entry));
        }
        for entry in list(fields, "jobs").chain(list(fields, "accepted")) {
            let failed = entry.get("error").is_some_and(|error| !error.is_null());
            reading.place(entry, if failed { refusal(entry) } else { job(entry) });
        }
        reading
    }

    fn place(&mut self, entry: &Value, fate: KeyResult) {
        let name = name_of(entry);
        let is_job = matches!(fate, KeyResult::Accepted { .. });
        match name.map_or(Match::None, |name| self.find(name)) {
            Match::One(index) => {
                self.per_key[index].get_or_insert(fate);
            }
            Match::Several => {
                let (refusals, jobs) = self.shared.entry(name.unwrap_or_default().to_owned()).or_default();
                if is_job { jobs.push(fate) } else { refusals.push(fate) }
            }
            Match::None if is_job => self.stray_jobs.push(fate),
            Match::None => self.stray_refusals.push(fate),
        }
    }

    fn find(&self, name: &str) -> Match {
        let Some(candidates) = self.by_base.get(base_name(name)) else { return Match::None };
        if let Some(index) = candidates.iter().find(|index| self.keys[**index] == name) {
            return Match::One(*index);
        }
        let mut ending = candidates.iter().filter(|index| {
            self.keys[**index].strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
        });
        match (ending.next(), ending.next()) {
            (None, _) => Match::None,
            (Some(index), None) => Match::One(*index),
            (Some(_), Some(_)) => Match::Several,
        }
    }

    fn open(&self) -> Vec<usize> {
        (0..self.keys.len()).filter(|index| self.per_key[*index].is_none()).collect()
    }

    fn finish(mut self, fields: &Map<String, Value>) -> SubmissionResult {
        let told_of_jobs = fields.get("jobs").is_some_and(Value::is_array);
        let mut names_tell = self.settle_shared_names();
        self.settle_stray_refusals();

        let open = self.open();
        if !open.is_empty() {
            let ids: Vec<_> = list(fields, "job_ids").map(|id| taken(text_of(id))).collect();
            let listed_ids = fields.get("job_ids").is_some_and(Value::is_array);
            names_tell &= self.stray_jobs.is_empty() && (!listed_ids || ids.is_empty());
            let mut jobs = std::mem::take(&mut self.stray_jobs);
            jobs.extend(ids);
            let single = fields.get("job_id").or_else(|| fields.get("existing_job_id")).and_then(text_of);
            if jobs.is_empty()
                && let Some(id) = single
            {
                jobs.push(taken(Some(id)));
                names_tell = false;
            }
            let accepted = fields.get("accepted").and_then(Value::as_u64);
            let named =
                self.per_key.iter().filter(|fate| matches!(fate, Some(KeyResult::Accepted { .. }))).count() as u64;
            // A list of jobs that names some keys and not these; an empty one may just not be filled in.
            let left_out = told_of_jobs && named > 0 && jobs.is_empty();
            let counted = accepted.is_some_and(|count| count >= named + open.len() as u64);
            let none_at_all = (told_of_jobs || listed_ids || accepted == Some(0)) && jobs.is_empty();
            if jobs.len() == open.len() {
                open.iter().zip(jobs).for_each(|(index, job)| self.per_key[*index] = Some(job));
            } else if jobs.len() > open.len() || (counted && !(names_tell && left_out)) {
                self.settle(&open, taken(None));
            } else if names_tell && none_at_all {
                self.settle(&open, KeyResult::Unaccounted);
                self.note = Some("the answer accounts for fewer keys than were sent".into());
            } else {
                self.settle(&open, taken(None));
                self.note =
                    Some("the answer accounts for fewer keys than were sent and does not name them; all are taken as accepted".into());
            }
        }
        let single_duplicate = fields.get("is_duplicate") == Some(&Value::Bool(true)) && self.keys.len() == 1;
        let per_key = self
            .per_key
            .into_iter()
            .map(|fate| match fate {
                Some(KeyResult::Accepted { job_id, .. }) if single_duplicate => {
                    KeyResult::Accepted { job_id, duplicate: true }
                }
                Some(fate) => fate,
                None => KeyResult::Unaccounted,
            })
            .collect();
        SubmissionResult { per_key, note: self.note }
    }

    /// Settles the keys whose name several keys share, where the numbers tell. Answers whether every name told.
    fn settle_shared_names(&mut self) -> bool {
        let mut all_told = true;
        for (name, (refusals, jobs)) in std::mem::take(&mut self.shared) {
            let group: Vec<_> = self
                .open()
                .into_iter()
                .filter(|index| {
                    self.keys[*index]
                        .strip_suffix(name.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
                })
                .collect();
            if refusals.len() >= group.len() {
                group.iter().zip(refusals).for_each(|(index, fate)| self.per_key[*index] = Some(fate));
            } else if !refusals.is_empty() {
                self.settle(&group, KeyResult::Ambiguous);
            } else if jobs.len() >= group.len() {
                group.iter().zip(jobs).for_each(|(index, fate)| self.per_key[*index] = Some(fate));
            } else {
                all_told = false;
            }
        }
        all_told
    }

    /// Settles refusals under names that the request does not have: they hold for what is left, if the numbers agree.
    fn settle_stray_refusals(&mut self) {
        let refusals = std::mem::take(&mut self.stray_refusals);
        if refusals.is_empty() {
            return;
        }
        let open = self.open();
        if self.stray_jobs.is_empty() && refusals.len() >= open.len() {
            open.iter().zip(refusals).for_each(|(index, fate)| self.per_key[*index] = Some(fate));
        } else if open.len() > 1 {
            self.settle(&open, KeyResult::Ambiguous);
            self.stray_jobs.clear();
        }
        self.note = Some("the answer refuses files under names that were not sent".into());
    }

    fn settle(&mut self, indices: &[usize], fate: KeyResult) {
        for index in indices {
            self.per_key[*index].get_or_insert_with(|| fate.clone());
        }
    }
}

fn list<'v>(fields: &'v Map<String, Value>, name: &str) -> impl Iterator<Item = &'v Value> {
    fields.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn name_of(entry: &Value) -> Option<&str> {
    entry.as_str().or_else(|| ["filename", "key", "name", "file"].iter().find_map(|field| entry.get(*field)?.as_str()))
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn job(entry: &Value) -> KeyResult {
    let duplicate = entry.get("is_duplicate") == Some(&Value::Bool(true));
    let job_id = ["job_id", "existing_job_id", "id"].iter().find_map(|field| text_of(entry.get(*field)?));
    KeyResult::Accepted { job_id, duplicate }
}

fn refusal(entry: &Value) -> KeyResult {
    let error = ["error", "code", "reason"].iter().find_map(|field| entry.get(*field));
    let (code, message) = match error {
        Some(Value::String(text)) if looks_like_code(text) => (Some(text.as_str()), None),
        Some(Value::String(text)) => (None, Some(text.as_str())),
        Some(Value::Object(error)) => {
            (error.get("code").and_then(Value::as_str), error.get("message").and_then(Value::as_str))
        }
        _ => (None, None),
    };
    let message = message.or_else(|| entry.get("message").and_then(Value::as_str)).map(quoted).unwrap_or_default();
    let code = code.map_or_else(|| "REJECTED".to_owned(), quoted);
    if PASSING_CODES.contains(&code.as_str()) {
        KeyResult::NotNow { code }
    } else {
        KeyResult::Rejected { code, message }
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ids(account: &SubmissionResult) -> Vec<&str> {
        account
            .per_key
            .iter()
            .map(|fate| match fate {
                KeyResult::Accepted { job_id, duplicate: false } => job_id.as_deref().unwrap_or("taken"),
                KeyResult::Accepted { duplicate: true, .. } => "duplicate",
                KeyResult::Rejected { code, .. } => code,
                KeyResult::NotNow { .. } => "not now",
                KeyResult::Unaccounted => "unaccounted",
                KeyResult::Ambiguous => "ambiguous",
            })
            .collect()
    }

    #[test]
    fn jobs_and_rejected_are_matched_by_whole_key() {
        let data = json!({"accepted": 1, "rejected": [{"filename": "x/bad.exe", "error": "UNSUPPORTED_FILE"}],
            "jobs": [{"filename": "x/a.pdf", "job_id": 7, "status": "queued"}]});
        let account = account_for(&["x/a.pdf", "x/bad.exe"], &data);
        assert_eq!(ids(&account), ["7", "UNSUPPORTED_FILE"]);
        assert_eq!(account.note, None);
    }

    #[test]
    fn a_base_name_matches_where_it_is_unique_in_the_request() {
        let data = json!({"rejected": [{"filename": "bad.exe", "error": "UNSUPPORTED_FILE"}],
            "jobs": [{"filename": "a.pdf", "job_id": "j"}]});
        assert_eq!(ids(&account_for(&["x/a.pdf", "y/bad.exe"], &data)), ["j", "UNSUPPORTED_FILE"]);
    }

    #[test]
    fn a_whole_key_wins_over_another_keys_base_name() {
        let data =
            json!({"jobs": [{"filename": "a.pdf", "job_id": "root"}, {"filename": "x/a.pdf", "job_id": "deep"}]});
        assert_eq!(ids(&account_for(&["x/a.pdf", "a.pdf"], &data)), ["deep", "root"]);
    }

    #[test]
    fn all_keys_of_a_shared_name_are_rejected_where_there_are_as_many_refusals() {
        let entry = json!({"filename": "x.exe", "error": "UNSUPPORTED_FILE"});
        let data = json!({"rejected": [entry, entry], "jobs": []});
        assert_eq!(ids(&account_for(&["a/x.exe", "b/x.exe"], &data)), ["UNSUPPORTED_FILE", "UNSUPPORTED_FILE"]);
    }

    #[test]
    fn keys_of_a_shared_name_are_ambiguous_where_only_one_is_refused() {
        let data = json!({"rejected": [{"filename": "x.pdf", "error": "FILE_TOO_LARGE"}],
            "jobs": [{"filename": "x.pdf", "job_id": 1}, {"filename": "y.pdf", "job_id": 2}]});
        assert_eq!(ids(&account_for(&["a/x.pdf", "b/x.pdf", "y.pdf"], &data)), ["ambiguous", "ambiguous", "2"]);
    }

    #[test]
    fn job_ids_come_in_the_order_of_the_keys() {
        let data = json!({"job_ids": ["job_1", "job_2"], "status": "queued"});
        assert_eq!(ids(&account_for(&["a", "b"], &data)), ["job_1", "job_2"]);
    }

    #[test]
    fn a_single_job_and_a_known_duplicate_are_taken() {
        assert_eq!(ids(&account_for(&["a"], &json!({"job_id": 5, "status": "queued"}))), ["5"]);
        let duplicate = json!({"is_duplicate": true, "existing_document_id": 1, "existing_job_id": 9});
        assert_eq!(ids(&account_for(&["a"], &duplicate)), ["duplicate"]);
    }

    #[test]
    fn a_key_that_named_jobs_leave_out_is_unaccounted() {
        let data = json!({"accepted": 1, "jobs": [{"filename": "a", "job_id": 1}], "rejected": []});
        assert_eq!(ids(&account_for(&["a", "b"], &data)), ["1", "unaccounted"]);
        assert_eq!(ids(&account_for(&["a"], &json!({"jobs": [], "accepted": 0, "rejected": []}))), ["unaccounted"]);
        assert_eq!(ids(&account_for(&["a", "b"], &json!({"accepted": 0}))), ["unaccounted", "unaccounted"]);
    }

    #[test]
    fn fewer_jobs_without_names_are_taken_with_a_note() {
        let account = account_for(&["a", "b"], &json!({"job_ids": ["one"]}));
        assert_eq!(ids(&account), ["taken", "taken"]);
        assert!(account.note.is_some());
        let account = account_for(&["a", "b"], &json!({"job_id": "one"}));
        assert_eq!(ids(&account), ["taken", "taken"]);
        assert!(account.note.is_some());
    }

    #[test]
    fn an_unknown_shape_is_taken_with_a_note_that_names_its_fields() {
        let account = account_for(&["a"], &json!({"ticket": 1, "when": "later"}));
        assert_eq!(ids(&account), ["taken"]);
        assert!(account.note.unwrap().contains("ticket, when"));
        assert_eq!(ids(&account_for(&["a"], &json!("ok"))), ["taken"]);
    }

    #[test]
    fn a_refusal_under_a_name_of_flexorchs_own_making_holds_for_the_only_key_left() {
        let data = json!({"jobs": [{"filename": "a.pdf", "job_id": 1}],
            "rejected": [{"filename": "b_c.exe", "error": "UNSUPPORTED_FILE"}]});
        assert_eq!(ids(&account_for(&["a.pdf", "b c.exe"], &data)), ["1", "UNSUPPORTED_FILE"]);
    }

    #[test]
    fn a_rejection_for_a_passing_reason_is_no_rejection() {
        let data =
            json!({"jobs": [], "rejected": [{"filename": "a", "error": {"code": "QUOTA_EXCEEDED", "message": "m"}}]});
        assert_eq!(ids(&account_for(&["a"], &data)), ["not now"]);
    }

    #[test]
    fn every_key_has_a_fate_whatever_the_answer_is() {
        for data in [
            json!(null),
            json!([]),
            json!({"jobs": 5}),
            json!({"jobs": [null, 3, {"filename": 7}]}),
            json!({"rejected": ["z", {}]}),
        ] {
            assert_eq!(account_for(&["a", "b", "c"], &data).per_key.len(), 3, "{data}");
        }
    }
}
