//! The result of each key of a request, as a successful response states it.
//!
//! A 2xx does not mean that every key was accepted, and FlexOrch has several shapes of response. The reading goes in four steps,
//! and each settles what the ones before it left open:
//!
//! 1. *Names that refer to one key.* A reported name may be the whole key or an ending of it (`key_names`).
//! 2. *Names that may refer to several keys.* Settled if the other names or the numbers leave one reading; otherwise each of
//!    these keys is ambiguous and has to be submitted alone. None is accepted or rejected on a guess.
//! 3. *Refusals under names that the request does not have.* They hold for the open keys if there are as many of them; otherwise
//!    the open keys are ambiguous.
//! 4. *Keys that no name refers to.* The function `open_keys` is the table.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::{Map, Value};

use super::base_name;
use super::envelope::{as_code, code_in, data_says_it_failed, is_error, message_in, quoted};
use super::key_names::KeyNames;
use crate::model::job_id::JobId;

/// The codes that do not reject the file itself, in whatever field they occur.
const TRANSIENT_CODES: [&str; 6] = [
    "RATE_LIMIT_EXCEEDED",
    "QUOTA_EXCEEDED",
    "TRIAL_EXPIRED",
    "PLAN_UPGRADE_REQUIRED",
    "INVALID_API_KEY",
    "UNAUTHORIZED",
];

/// The code of a rejection for which FlexOrch gives none.
const NO_CODE: &str = "REJECTED";

/// The fields of a response that hold results of keys.
const RESULT_FIELDS: [&str; 6] = ["jobs", "job_ids", "job_id", "is_duplicate", "rejected", "accepted"];

/// The lists in which a response names jobs.
const JOB_LISTS: [&str; 3] = ["jobs", "accepted", "job_ids"];

/// The result of one key of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyResult {
    /// FlexOrch accepted the key.
    Accepted {
        /// The id of the job, if the response names one.
        job_id: Option<JobId>,
        /// FlexOrch has processed the same content before.
        duplicate: bool,
    },
    /// FlexOrch rejected the key permanently.
    Rejected {
        /// FlexOrch's code, in upper case.
        code: String,
        /// FlexOrch's message; may be empty.
        message: String,
    },
    /// FlexOrch did not accept the key for a temporary reason.
    NotNow {
        /// FlexOrch's code, in upper case.
        code: String,
    },
    /// The response accounts for other keys, and not for this one.
    Unaccounted,
    /// A name in the response may refer to this key or another one, so it has to be submitted alone. A single key is never
    /// ambiguous.
    Ambiguous,
}

/// The results of all keys of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmissionResult {
    /// One result for each key, in the order of the request.
    pub per_key: Vec<KeyResult>,
    /// What was unexpected about the response, to be logged as a warning.
    pub note: Option<String>,
}

impl SubmissionResult {
    /// Returns the results for a response that names no keys: all are accepted. `seen` describes the response's shape.
    #[must_use]
    pub(crate) fn all_accepted(keys: usize, seen: &str) -> Self {
        Self {
            per_key: vec![accepted(None); keys],
            note: Some(format!("the response does not name the keys ({seen}); all count as accepted")),
        }
    }
}

fn accepted(job_id: Option<JobId>) -> KeyResult {
    KeyResult::Accepted { job_id, duplicate: false }
}

impl KeyResult {
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Rejected { .. } | Self::NotNow { .. } | Self::Unaccounted)
    }

    fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// Reads the `data` of a successful response to a request with `keys`.
pub(super) fn read_results(keys: &[&str], data: &Value) -> SubmissionResult {
    let fields = match data {
        Value::Object(fields) => Cow::Borrowed(fields),
        Value::Array(jobs) => Cow::Owned(Map::from_iter([("jobs".to_owned(), Value::Array(jobs.clone()))])),
        other => return SubmissionResult::all_accepted(keys.len(), &format!("a JSON {}", kind_of(other))),
    };
    if !RESULT_FIELDS.iter().any(|name| fields.get(*name).is_some_and(|value| !value.is_null())) {
        let names: Vec<_> = fields.keys().take(12).map(String::as_str).collect();
        return SubmissionResult::all_accepted(keys.len(), &format!("fields: {}", quoted(&names.join(", "))));
    }
    let names = KeyNames::of(keys);
    let mut reading = Reading::new(&names, keys.len());
    reading.read_entries(&fields);
    reading.settle_shared_names();
    reading.settle_unknown_refusals(&fields);
    reading.settle_open_keys(&fields);
    reading.finish(&fields)
}

/// The results while a response is read.
struct Reading<'r> {
    names: &'r KeyNames<'r>,
    per_key: Vec<Option<KeyResult>>,
    /// The results under names that may refer to several keys, in the response's order.
    shared: Vec<(&'r str, Vec<KeyResult>)>,
    shared_positions: HashMap<&'r str, usize>,
    /// Refusals and jobs without a name, or under names that no key has.
    unknown_refusals: Vec<KeyResult>,
    unknown_jobs: Vec<KeyResult>,
    /// How many of the ambiguous keys may have been accepted.
    ambiguous_jobs: usize,
    note: Option<&'static str>,
}

impl<'r> Reading<'r> {
    fn new(names: &'r KeyNames<'r>, keys: usize) -> Self {
        Self {
            names,
            per_key: vec![None; keys],
            shared: Vec::new(),
            shared_positions: HashMap::new(),
            unknown_refusals: Vec::new(),
            unknown_jobs: Vec::new(),
            ambiguous_jobs: 0,
            note: None,
        }
    }

    fn read_entries(&mut self, fields: &'r Map<String, Value>) {
        for entry in list(fields, "rejected") {
            self.place(entry, refusal(entry));
        }
        for entry in list(fields, "jobs").chain(list(fields, "accepted")) {
            self.place(entry, job(entry));
        }
    }

    fn place(&mut self, entry: &'r Value, result: KeyResult) {
        let name = name_of(entry).unwrap_or_default();
        match self.names.candidates(name) {
            [] if result.is_refusal() => self.unknown_refusals.push(result),
            [] => self.unknown_jobs.push(result),
            [key] => self.add(*key, result),
            _ => {
                let position = *self.shared_positions.entry(name).or_insert_with(|| {
                    self.shared.push((name, Vec::new()));
                    self.shared.len() - 1
                });
                self.shared[position].1.push(result);
            }
        }
    }

    /// Adds a result of a key. Two different results make the key ambiguous, unless it is the only one of the request: then the
    /// refusal counts, because it cannot be about another key.
    fn add(&mut self, key: usize, result: KeyResult) {
        let alone = self.per_key.len() == 1;
        let slot = &mut self.per_key[key];
        *slot = Some(match slot.take() {
            None | Some(KeyResult::Unaccounted) => result,
            Some(first) if first.is_like(&result) || result == KeyResult::Unaccounted => first,
            Some(first) if alone => {
                if first.is_refusal() {
                    first
                } else {
                    result
                }
            }
            Some(_) => KeyResult::Ambiguous,
        });
    }

    fn is_open(&self, key: usize) -> bool {
        self.per_key[key].is_none()
    }

    fn open(&self) -> Vec<usize> {
        (0..self.per_key.len()).filter(|key| self.is_open(*key)).collect()
    }

    /// Settles the keys that share a name. Each entry is about one key and each key has one entry, so a name whose other
    /// candidates have results under other names refers to the one that is left.
    fn settle_shared_names(&mut self) {
        let mut shared = std::mem::take(&mut self.shared);
        // A longer name has fewer candidates, and those are candidates of the shorter ones too.
        shared.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        let names = self.names;
        let mut groups: BTreeMap<&str, (BTreeSet<usize>, Vec<KeyResult>)> = BTreeMap::new();
        for (name, mut results) in shared {
            let candidates = names.candidates(name);
            let open: Vec<_> = candidates.iter().copied().filter(|key| self.is_open(*key)).collect();
            match open.as_slice() {
                // All have results under other names: a result that contradicts those makes them ambiguous.
                [] => {
                    candidates.iter().for_each(|key| results.iter().for_each(|result| self.add(*key, result.clone())))
                }
                [key] if results.len() == 1 => results.drain(..).for_each(|result| self.add(*key, result)),
                _ => {
                    let group = groups.entry(base_name(name)).or_default();
                    group.0.extend(open);
                    group.1.extend(results);
                }
            }
        }
        for (keys, results) in groups.into_values() {
            let open: Vec<_> = keys.into_iter().filter(|key| self.is_open(*key)).collect();
            self.settle_as_many(&open, results);
        }
    }

    /// Settles keys if all results are alike and there is one for each; otherwise the keys are ambiguous.
    fn settle_as_many(&mut self, keys: &[usize], results: Vec<KeyResult>) {
        if results.len() >= keys.len() && results.iter().all(|result| result.is_like(&results[0])) {
            keys.iter().zip(results).for_each(|(key, result)| self.per_key[*key] = Some(result));
        } else {
            let refusals = results.iter().filter(|result| result.is_refusal()).count();
            self.ambiguous_jobs += keys.len().saturating_sub(refusals);
            keys.iter().for_each(|key| self.per_key[*key] = Some(KeyResult::Ambiguous));
        }
    }

    /// Settles the refusals under names that the request does not have: they are about open keys.
    fn settle_unknown_refusals(&mut self, fields: &Map<String, Value>) {
        let refusals = std::mem::take(&mut self.unknown_refusals);
        if refusals.is_empty() {
            return;
        }
        self.note = Some("the response refuses files under names that were not sent");
        let open = self.open();
        let other_jobs = !self.unnamed_jobs(fields).is_empty()
            || accepted_count(fields).is_some_and(|count| count > self.named_jobs() as u64);
        if other_jobs {
            self.ambiguous_jobs += open.len().saturating_sub(refusals.len());
            open.iter().for_each(|key| self.per_key[*key] = Some(KeyResult::Ambiguous));
        } else {
            self.settle_as_many(&open, refusals);
        }
    }

    /// Settles the keys that no name refers to.
    fn settle_open_keys(&mut self, fields: &Map<String, Value>) {
        let open = self.open();
        if open.is_empty() {
            return;
        }
        let unnamed = self.unnamed_jobs(fields);
        let named = self.named_jobs();
        let waiting = open.len() + self.ambiguous_jobs;
        let jobs = match unnamed.len() {
            0 => UnnamedJobs::None,
            jobs if jobs < waiting => UnnamedJobs::Fewer,
            jobs if jobs == open.len() => UnnamedJobs::AsMany,
            _ => UnnamedJobs::More,
        };
        let list = match JOB_LISTS.iter().any(|name| fields.get(*name).is_some_and(Value::is_array)) {
            false => JobList::Absent,
            true if named == 0 => JobList::NamesNone,
            true => JobList::NamesOthers,
        };
        let count = match accepted_count(fields) {
            None => AcceptedCount::Absent,
            Some(0) => AcceptedCount::Zero,
            Some(count) if count >= (named + waiting) as u64 => AcceptedCount::All,
            Some(_) => AcceptedCount::Fewer,
        };
        let results: Vec<_> = match open_keys(jobs, list, count) {
            OpenKeys::AcceptedInOrder => unnamed,
            OpenKeys::Accepted => vec![accepted(None); open.len()],
            OpenKeys::AcceptedWithWarning => {
                let note = "the response accounts for fewer keys than were sent and does not say for which; all count as accepted";
                self.note.get_or_insert(note);
                vec![accepted(None); open.len()]
            }
            OpenKeys::Unaccounted => {
                self.note.get_or_insert("the response accounts for fewer keys than were sent");
                vec![KeyResult::Unaccounted; open.len()]
            }
        };
        open.iter().zip(results).for_each(|(key, result)| self.per_key[*key] = Some(result));
    }

    /// Returns the jobs that no name assigns to a key: those under unknown names, the ids that no named job has, or the single
    /// `job_id`.
    fn unnamed_jobs(&self, fields: &Map<String, Value>) -> Vec<KeyResult> {
        let known: HashSet<&str> =
            self.per_key.iter().flatten().chain(&self.unknown_jobs).filter_map(job_id_of).collect();
        let ids = list(fields, "job_ids")
            .map(JobId::from_json)
            .filter(|id| id.as_ref().is_none_or(|id| !known.contains(id.as_str())));
        let mut jobs = self.unknown_jobs.clone();
        jobs.extend(ids.map(accepted));
        if jobs.is_empty() && known.is_empty() {
            let single = fields.get("job_id").or_else(|| fields.get("existing_job_id")).and_then(JobId::from_json);
            jobs.extend(single.map(|id| accepted(Some(id))));
        }
        jobs
    }

    fn named_jobs(&self) -> usize {
        self.per_key.iter().filter(|result| matches!(result, Some(KeyResult::Accepted { .. }))).count()
    }

    fn finish(self, fields: &Map<String, Value>) -> SubmissionResult {
        let alone = self.per_key.len() == 1;
        let duplicate_alone = alone && fields.get("is_duplicate") == Some(&Value::Bool(true));
        let per_key = self.per_key.into_iter().map(|result| match result.unwrap_or(KeyResult::Unaccounted) {
            KeyResult::Accepted { job_id, .. } if duplicate_alone => KeyResult::Accepted { job_id, duplicate: true },
            // It was submitted alone already.
            KeyResult::Ambiguous if alone => KeyResult::Unaccounted,
            result => result,
        });
        SubmissionResult { per_key: per_key.collect(), note: self.note.map(str::to_owned) }
    }
}

/// The number of jobs that no name assigns to a key, compared with the number of open keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UnnamedJobs {
    None,
    Fewer,
    AsMany,
    More,
}

/// Whether the response has a list of jobs, and whether the list names keys, which the open ones are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JobList {
    Absent,
    /// The list is empty or has no names.
    NamesNone,
    NamesOthers,
}

/// The response's number `accepted`, compared with the number of keys that are named as accepted or open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AcceptedCount {
    Absent,
    Zero,
    Fewer,
    All,
}

/// The result of the keys that no name refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OpenKeys {
    /// The unnamed jobs belong to them, in the order of the request.
    AcceptedInOrder,
    Accepted,
    AcceptedWithWarning,
    Unaccounted,
}

/// Decides the result of the open keys: the rows of `docs/design.md`, "Names in responses".
fn open_keys(jobs: UnnamedJobs, list: JobList, count: AcceptedCount) -> OpenKeys {
    match (jobs, list, count) {
        // A job for each.
        (UnnamedJobs::AsMany, _, _) => OpenKeys::AcceptedInOrder,
        (UnnamedJobs::More, _, _) => OpenKeys::Accepted,
        (UnnamedJobs::Fewer, _, AcceptedCount::All) => OpenKeys::Accepted,
        // A job is missing, and nothing says for which key.
        (UnnamedJobs::Fewer, _, _) => OpenKeys::AcceptedWithWarning,
        // The names say which keys have a job, and these have none.
        (UnnamedJobs::None, JobList::NamesOthers, _) => OpenKeys::Unaccounted,
        // The number covers all keys, so the list is just not filled in.
        (UnnamedJobs::None, _, AcceptedCount::All) => OpenKeys::Accepted,
        (UnnamedJobs::None, JobList::NamesNone, _) => OpenKeys::Unaccounted,
        (UnnamedJobs::None, JobList::Absent, AcceptedCount::Zero) => OpenKeys::Unaccounted,
        // The response says nothing about them.
        (UnnamedJobs::None, JobList::Absent, _) => OpenKeys::AcceptedWithWarning,
    }
}

fn list<'v>(fields: &'v Map<String, Value>, name: &str) -> impl Iterator<Item = &'v Value> {
    fields.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn accepted_count(fields: &Map<String, Value>) -> Option<u64> {
    fields.get("accepted").and_then(Value::as_u64)
}

fn name_of(entry: &Value) -> Option<&str> {
    entry.as_str().or_else(|| ["filename", "key", "name", "file"].iter().find_map(|field| entry.get(*field)?.as_str()))
}

fn job_id_of(result: &KeyResult) -> Option<&str> {
    match result {
        KeyResult::Accepted { job_id, .. } => job_id.as_ref().map(JobId::as_str),
        _ => None,
    }
}

/// Reads an entry of a list of jobs: a job, unless the entry says that it failed. A failure without a code is not a rejection.
fn job(entry: &Value) -> KeyResult {
    let is_rejected =
        || entry.get("status").and_then(Value::as_str).is_some_and(|it| it.eq_ignore_ascii_case("rejected"));
    let job_id = ["job_id", "existing_job_id", "id"].iter().find_map(|field| JobId::from_json(entry.get(*field)?));
    if entry.get("error").is_some_and(is_error) {
        return refusal(entry);
    }
    if data_says_it_failed(entry) || (job_id.is_none() && is_rejected()) {
        let has_code =
            code_in(entry).is_some() || entry.get("reason").and_then(Value::as_str).and_then(as_code).is_some();
        return if has_code { refusal(entry) } else { KeyResult::Unaccounted };
    }
    KeyResult::Accepted { job_id, duplicate: entry.get("is_duplicate") == Some(&Value::Bool(true)) }
}

fn refusal(entry: &Value) -> KeyResult {
    if entry.is_string() {
        // A name alone.
        return KeyResult::Rejected { code: NO_CODE.to_owned(), message: String::new() };
    }
    let reason = entry.get("reason").and_then(Value::as_str);
    let code = code_in(entry).or_else(|| reason.and_then(as_code)).unwrap_or_else(|| NO_CODE.to_owned());
    if TRANSIENT_CODES.contains(&code.as_str()) {
        return KeyResult::NotNow { code };
    }
    let message = message_in(entry).or_else(|| reason.filter(|it| as_code(it).is_none()).map(quoted));
    KeyResult::Rejected { code, message: message.unwrap_or_default() }
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
#[path = "key_results_tests.rs"]
mod tests;
