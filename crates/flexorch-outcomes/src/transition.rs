//! What a record becomes when something is learned about its document. Repeated, lost and reordered input converges.
//!
//! - The latest submission determines the job. Its order is by time, then by job, so that two at the same time converge too.
//! - A job's end settles a record that names the job; `processed` wins over `failed`.
//! - What is learned about another job, or an earlier submission, changes nothing.

use jiff::Timestamp;

use crate::record::{EarlierJob, Record, RecordKey, in_milliseconds};
use crate::schema::State;

/// Something learned about documents.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fact {
    /// A receipt says that a document was submitted.
    Submission(Submission),
    /// A job has ended.
    Ended(JobEnd),
    /// A sweep asked for a job, and learned nothing.
    Asked {
        /// The job.
        job_id: String,
    },
    /// A sweep gives the document up.
    Abandoned,
}

/// One document of a receipt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Submission {
    /// The document's version.
    pub(crate) key: RecordKey,
    /// The connector's secret.
    pub(crate) connector: String,
    /// The connector's id, as received.
    pub(crate) connector_id: Option<flexorch_s3_ingester::model::credentials::ConnectorId>,
    /// When S3 saw the upload, as received.
    pub(crate) event_time: Option<String>,
    /// When FlexOrch responded.
    pub(crate) submitted_at: Timestamp,
    /// What it responded.
    pub(crate) result: SubmissionResult,
}

/// What FlexOrch said about a submitted document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SubmissionResult {
    /// It took the document.
    Forwarded {
        /// The job; `None` if FlexOrch did not name it.
        job_id: Option<String>,
        /// FlexOrch knew the content: the job is an earlier one, which may have ended.
        is_duplicate: bool,
    },
    /// It refused the document for good.
    Rejected {
        /// FlexOrch's code.
        code: Option<String>,
        /// FlexOrch's message, without secrets.
        message: Option<String>,
    },
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobEnd {
    /// The job.
    pub(crate) job_id: String,
    /// Whether it completed.
    pub(crate) completed: bool,
    /// FlexOrch's grade.
    pub(crate) quality_grade: Option<String>,
    /// How many findings of personal data FlexOrch reports.
    pub(crate) pii_findings_count: Option<u64>,
    /// Why it failed, without secrets.
    pub(crate) failure_reason: Option<String>,
    /// Whether FlexOrch was asked for the job: it states no more than this.
    pub(crate) asked: bool,
}

impl JobEnd {
    /// Returns the state of the job's documents.
    pub(crate) fn state(&self) -> State {
        if self.completed { State::Processed } else { State::Failed }
    }
}

impl Submission {
    /// Returns the job that FlexOrch named.
    pub(crate) fn job_id(&self) -> Option<&str> {
        match &self.result {
            SubmissionResult::Forwarded { job_id, .. } => job_id.as_deref(),
            SubmissionResult::Rejected { .. } => None,
        }
    }
}

/// Returns the record that follows from `current` (`None`: there is none) and a fact; `None` if nothing changes.
///
/// A record whose state has changed, and is one to publish, is `unpublished`. The caller sets `expires_at`.
pub(crate) fn next(current: Option<&Record>, fact: &Fact, now: Timestamp) -> Option<Record> {
    match (fact, current) {
        (Fact::Submission(submission), None) => Some(new_record(submission)),
        (Fact::Submission(submission), Some(current)) => submitted(current, submission),
        (Fact::Ended(end), Some(current)) => ended(current, end, now),
        (Fact::Asked { job_id }, Some(current)) => {
            let lacks_something = current.state == State::Submitted || current.lacks_reason();
            let is_asked_for = lacks_something && current.job_id.as_ref() == Some(job_id);
            is_asked_for.then(|| Record { asked_at: Some(in_milliseconds(now)), ..current.clone() })
        }
        (Fact::Abandoned, Some(current)) => {
            let is_open = current.state == State::Submitted && current.abandoned_at.is_none();
            is_open.then(|| Record { abandoned_at: Some(in_milliseconds(now)), ..current.clone() })
        }
        (_, None) => None,
    }
}

fn new_record(submission: &Submission) -> Record {
    let Submission { key, connector, connector_id, event_time, submitted_at, result } = submission;
    let (state, code, failure_reason) = match result {
        SubmissionResult::Forwarded { .. } => (State::Submitted, None, None),
        SubmissionResult::Rejected { code, message } => (State::Rejected, code.clone(), message.clone()),
    };
    Record {
        key: key.clone(),
        state,
        job_id: submission.job_id().map(str::to_owned),
        changed_at: *submitted_at,
        connector: Some(connector.clone()),
        connector_id: connector_id.clone(),
        event_time: event_time.clone(),
        submitted_at: *submitted_at,
        resubmitted_at: *submitted_at,
        duplicate_at: None,
        earlier_job: None,
        quality_grade: None,
        pii_findings_count: None,
        failure_reason,
        code,
        expires_at: 0,
        unpublished: state.detail_type().is_some(),
        asked_at: None,
        abandoned_at: None,
    }
}

fn submitted(current: &Record, submission: &Submission) -> Option<Record> {
    match (&submission.result, submission.job_id()) {
        (SubmissionResult::Rejected { .. }, _) => rejected(current, submission),
        (SubmissionResult::Forwarded { .. }, _) if current.state == State::Rejected => {
            accepted_after_all(current, submission)
        }
        (SubmissionResult::Forwarded { .. }, Some(job)) => taken(current, submission, job),
        // FlexOrch knows the content: the job is one of before, and a receipt may name it yet.
        (SubmissionResult::Forwarded { .. }, None) => {
            let duplicate_at = current.duplicate_at.max(Some(submission.submitted_at));
            let is_later = submission.submitted_at > current.accepted_at();
            is_later.then(|| Record { duplicate_at, ..current.clone() })
        }
    }
}

/// A receipt that names the job of a record that is not rejected.
fn taken(current: &Record, submission: &Submission, job: &str) -> Option<Record> {
    let is_later = match current.job_id.as_deref() {
        Some(current_job) if current_job == job => return same_job(current, submission),
        Some(current_job) => (submission.submitted_at, job) > (current.resubmitted_at, current_job),
        // The job of a record without one becomes known, whichever receipt is later.
        None => true,
    };
    // The time of a record without a job is that of a duplicate.
    let duplicate_at = if current.job_id.is_none() { Some(current.accepted_at()) } else { current.duplicate_at };
    is_later.then(|| Record { duplicate_at, ..new_record(submission) })
}

/// A rejection counts if it is later than everything that FlexOrch said before.
fn rejected(current: &Record, submission: &Submission) -> Option<Record> {
    let earlier_job = match (current.state, &current.job_id) {
        (State::Rejected, _) => current.earlier_job.clone(),
        (_, Some(id)) => Some(EarlierJob { submitted_at: current.resubmitted_at, id: id.clone() }),
        (_, None) => None,
    };
    (submission.submitted_at > current.accepted_at()).then(|| Record { earlier_job, ..new_record(submission) })
}

/// A receipt of a document that was rejected: unless it is older, FlexOrch has taken the document after all.
fn accepted_after_all(current: &Record, submission: &Submission) -> Option<Record> {
    let named = submission.job_id().map(|id| EarlierJob { submitted_at: submission.submitted_at, id: id.to_owned() });
    let earlier_job = current.earlier_job.clone().max(named);
    if submission.submitted_at < current.resubmitted_at {
        return (earlier_job != current.earlier_job).then(|| Record { earlier_job, ..current.clone() });
    }
    let record = new_record(submission);
    Some(match earlier_job.filter(|_| submission.job_id().is_none()) {
        None => record,
        Some(EarlierJob { submitted_at, id }) => Record {
            job_id: Some(id),
            resubmitted_at: submitted_at,
            duplicate_at: Some(submission.submitted_at),
            ..record
        },
    })
}

/// Another receipt of the record's job: it never changes the state, but later receipts of other jobs must be later than it.
fn same_job(current: &Record, submission: &Submission) -> Option<Record> {
    let is_first = submission.submitted_at < current.submitted_at;
    let mut record = current.clone();
    record.resubmitted_at = current.resubmitted_at.max(submission.submitted_at);
    if is_first {
        record.submitted_at = submission.submitted_at;
        record.event_time = submission.event_time.clone().or(record.event_time);
        if record.state == State::Submitted {
            record.changed_at = submission.submitted_at;
        }
    }
    (record != *current).then_some(record)
}

fn ended(current: &Record, end: &JobEnd, now: Timestamp) -> Option<Record> {
    if current.job_id.as_ref() != Some(&end.job_id) {
        return None;
    }
    let state = end.state();
    let asked_at = if end.asked { Some(in_milliseconds(now)) } else { current.asked_at };
    match (current.state, state) {
        (State::Submitted, _) | (State::Failed, State::Processed) => Some(Record {
            state,
            changed_at: in_milliseconds(now),
            quality_grade: end.quality_grade.clone(),
            pii_findings_count: end.pii_findings_count,
            failure_reason: end.failure_reason.clone().filter(|_| state == State::Failed),
            code: None,
            unpublished: true,
            asked_at,
            abandoned_at: None,
            ..current.clone()
        }),
        (known, state) if known == state => {
            // A webhook and a sweep know different details.
            let mut record = current.clone();
            record.quality_grade = record.quality_grade.or_else(|| end.quality_grade.clone());
            record.pii_findings_count = record.pii_findings_count.or(end.pii_findings_count);
            if current.lacks_reason() {
                record.failure_reason.clone_from(&end.failure_reason);
                record.asked_at = asked_at;
            }
            (record != *current).then_some(record)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    fn receipt(second: i64, result: SubmissionResult) -> Fact {
        Fact::Submission(Submission {
            key: record().key,
            connector: "connector".into(),
            connector_id: None,
            event_time: None,
            submitted_at: at(second),
            result,
        })
    }

    fn forwarded(second: i64, job: &str) -> Fact {
        let job_id = Some(job.to_owned()).filter(|job| !job.is_empty());
        receipt(second, SubmissionResult::Forwarded { job_id, is_duplicate: false })
    }

    fn rejected(second: i64) -> Fact {
        receipt(second, SubmissionResult::Rejected { code: Some("C".into()), message: Some("m".into()) })
    }

    fn ended(job: &str, completed: bool) -> Fact {
        let failure_reason = (!completed).then(|| "corrupt".to_owned());
        Fact::Ended(JobEnd { failure_reason, ..unexplained(job, completed) })
    }

    /// A job's end without details.
    fn unexplained(job: &str, completed: bool) -> JobEnd {
        JobEnd {
            job_id: job.to_owned(),
            completed,
            quality_grade: None,
            pii_findings_count: None,
            failure_reason: None,
            asked: false,
        }
    }

    /// The record after these facts, and the states that were published on the way.
    fn after(facts: &[Fact]) -> (Record, Vec<State>) {
        let (mut record, mut published) = (None::<Record>, Vec::new());
        for (second, fact) in (100..).zip(facts) {
            if let Some(mut next) = next(record.as_ref(), fact, at(second)) {
                if std::mem::take(&mut next.unpublished) {
                    published.push(next.state);
                }
                record = Some(next);
            }
        }
        (record.unwrap(), published)
    }

    fn state_and_job(facts: &[Fact]) -> (State, Option<String>) {
        let (record, _) = after(facts);
        (record.state, record.job_id)
    }

    #[test]
    fn a_job_ends_once_and_replays_change_nothing() {
        let (record, published) =
            after(&[forwarded(1, "a"), ended("a", true), ended("a", true), forwarded(1, "a"), ended("a", false)]);
        assert_eq!((record.state, published), (State::Processed, vec![State::Processed]));
        assert_eq!(record.failure_reason, None);
    }

    #[test]
    fn processed_wins_over_failed_in_either_order() {
        let facts = [forwarded(1, "a"), ended("a", false), ended("a", true)];
        let (record, published) = after(&facts);
        assert_eq!((record.state, record.failure_reason), (State::Processed, None));
        assert_eq!(published, [State::Failed, State::Processed]);
        assert_eq!(state_and_job(&[facts[0].clone(), facts[2].clone(), facts[1].clone()]).0, State::Processed);
    }

    #[test]
    fn a_later_receipt_of_another_job_reopens_and_an_earlier_one_does_not() {
        let job = |job: &str| Some(job.to_owned());
        let settled = [forwarded(5, "a"), ended("a", false)];
        let with = |fact: Fact| state_and_job(&[&settled[..], &[fact]].concat());
        assert_eq!(with(forwarded(6, "b")), (State::Submitted, job("b")));
        assert_eq!(with(forwarded(4, "b")), (State::Failed, job("a")));
        assert_eq!(with(forwarded(6, "a")), (State::Failed, job("a")));
        assert_eq!(with(forwarded(6, "")), (State::Failed, job("a")), "no job is not another job");
        let (record, _) = after(&[&settled[..], &[forwarded(6, "b")]].concat());
        assert_eq!((record.failure_reason, record.changed_at), (None, at(6)));
    }

    #[test]
    fn the_end_of_a_replaced_job_changes_nothing() {
        let facts = [forwarded(1, "a"), forwarded(2, "b"), ended("a", true)];
        assert_eq!(state_and_job(&facts), (State::Submitted, Some("b".into())));
    }

    #[test]
    fn a_rejected_document_has_a_reason_and_no_job_and_is_taken_later() {
        let (record, published) = after(&[rejected(1), ended("a", true)]);
        assert_eq!((record.state, record.job_id, published), (State::Rejected, None, vec![State::Rejected]));
        assert_eq!((record.code.as_deref(), record.failure_reason.as_deref()), (Some("C"), Some("m")));
        let (record, _) = after(&[rejected(1), forwarded(2, "a")]);
        assert_eq!((record.state, record.code, record.failure_reason), (State::Submitted, None, None));
    }

    #[test]
    fn a_duplicate_without_a_job_is_submitted_and_takes_the_job_of_an_older_receipt() {
        assert_eq!(state_and_job(&[forwarded(2, "")]), (State::Submitted, None));
        assert_eq!(state_and_job(&[forwarded(2, ""), forwarded(1, "a")]), (State::Submitted, Some("a".into())));
    }

    #[test]
    fn a_duplicate_without_a_job_is_the_job_before_a_rejection_and_only_a_later_rejection_counts() {
        let job = |job: &str| Some(job.to_owned());
        let facts = [forwarded(1, "a"), rejected(3), forwarded(5, "")];
        assert_eq!(state_and_job(&facts), (State::Submitted, job("a")));
        let [a, refused, duplicate] = &facts;
        for order in
            [[a, duplicate, refused], [refused, a, duplicate], [duplicate, refused, a], [refused, duplicate, a]]
        {
            let (record, published) = after(&order.map(Clone::clone));
            assert_eq!((record.state, record.job_id), (State::Submitted, job("a")), "{order:?}");
            assert!(published.iter().all(|state| *state == State::Rejected) && published.len() <= 1);
        }
        assert_eq!(state_and_job(&[duplicate.clone(), rejected(6)]), (State::Rejected, None));
    }

    #[test]
    fn details_that_only_the_other_source_knows_are_added_without_an_event() {
        let webhook = Fact::Ended(JobEnd {
            quality_grade: Some("A".into()),
            pii_findings_count: Some(2),
            ..unexplained("a", true)
        });
        let (record, published) = after(&[forwarded(1, "a"), ended("a", true), webhook]);
        assert_eq!((record.quality_grade.as_deref(), record.pii_findings_count), (Some("A"), Some(2)));
        assert_eq!((record.changed_at, published.len()), (at(101), 1));
    }

    #[test]
    fn only_an_open_record_of_the_job_is_asked_for_and_given_up() {
        let open = after(&[forwarded(1, "a")]).0;
        let asked = Fact::Asked { job_id: "a".into() };
        assert_eq!(next(Some(&open), &asked, at(9)).unwrap().asked_at, Some(at(9)));
        assert_eq!(next(Some(&open), &Fact::Asked { job_id: "b".into() }, at(9)), None);
        let given_up = next(Some(&open), &Fact::Abandoned, at(9)).unwrap();
        assert_eq!((given_up.state, next(Some(&given_up), &Fact::Abandoned, at(10))), (State::Submitted, None));
        let settled = after(&[forwarded(1, "a"), ended("a", true)]).0;
        assert_eq!((next(Some(&settled), &asked, at(9)), next(Some(&settled), &Fact::Abandoned, at(9))), (None, None));
        assert_eq!(next(None, &asked, at(9)), None);
    }

    #[test]
    fn a_failure_without_a_reason_is_asked_for_until_flexorch_has_said_what_it_knows() {
        let webhook = Fact::Ended(unexplained("a", false));
        let failed = after(&[forwarded(1, "a"), webhook.clone()]).0;
        assert!(failed.lacks_reason() && failed.asked_at.is_none());
        let reason =
            Fact::Ended(JobEnd { failure_reason: Some("corrupt".into()), asked: true, ..unexplained("a", false) });
        let explained = next(Some(&failed), &reason, at(200)).unwrap();
        assert_eq!((explained.failure_reason.as_deref(), explained.changed_at), (Some("corrupt"), failed.changed_at));
        assert!(!explained.unpublished, "the state is published already");
        let other =
            Fact::Ended(JobEnd { failure_reason: Some("other".into()), asked: true, ..unexplained("a", false) });
        assert_eq!(next(Some(&explained), &other, at(201)), None, "the first reason stays");
        for nothing in
            [Fact::Ended(JobEnd { asked: true, ..unexplained("a", false) }), Fact::Asked { job_id: "a".into() }]
        {
            assert_eq!(next(Some(&failed), &nothing, at(200)).unwrap().asked_at, Some(at(200)));
        }
        assert_eq!(next(Some(&failed), &webhook, at(200)), None, "a webhook knows no reason");
    }

    /// Receipts of up to four jobs, of duplicates without a job and of rejections, at a few times, and the jobs' ends.
    fn facts() -> impl Strategy<Value = Vec<Fact>> {
        let fact = prop_oneof![
            (0i64..6, 0..5usize).prop_map(|(second, job)| forwarded(second, ["a", "b", "c", "d", ""][job])),
            (0i64..6).prop_map(rejected),
            (0..4usize, any::<bool>()).prop_map(|(job, completed)| ended(["a", "b", "c", "d"][job], completed)),
        ];
        proptest::collection::vec(fact, 1..12)
    }

    proptest! {
        /// Every order and repetition leads to the same job, and with it, after the sweep, to the same state.
        #[test]
        fn any_order_and_repetition_converges(facts in facts(), seed in any::<u64>()) {
            let is_receipt = |fact: &&Fact| matches!(fact, Fact::Submission(_));
            prop_assume!(facts.iter().any(|fact| is_receipt(&fact)));
            // A sweep finds what the jobs' ends are, whenever the receipts come.
            let ends: Vec<_> = facts.iter().filter(|fact| !is_receipt(fact)).cloned().collect();
            let mut shuffled = facts.clone();
            shuffled.extend(facts.iter().take(3).cloned());
            let mut random = fastrand::Rng::with_seed(seed);
            random.shuffle(&mut shuffled);
            let first = after(&[&facts[..], &ends[..]].concat()).0;
            let second = after(&[&shuffled[..], &ends[..]].concat()).0;
            prop_assert_eq!((first.state, first.job_id), (second.state, second.job_id));
        }

        /// A record is open, processed, failed or rejected, and every state to publish is published when it begins.
        #[test]
        fn a_settled_state_never_reopens_without_a_later_receipt_and_is_published(facts in facts()) {
            let mut record = None::<Record>;
            for (second, fact) in (100..).zip(&facts) {
                let Some(new) = next(record.as_ref(), fact, at(second)) else { continue };
                if let Some(old) = &record {
                    let reopened = old.state != State::Submitted && new.state == State::Submitted;
                    let is_other = old.state == State::Rejected || new.job_id != old.job_id;
                    prop_assert!(!reopened || (new.accepted_at() >= old.accepted_at() && is_other));
                    prop_assert!(!(old.state == State::Processed && new.state == State::Failed));
                }
                let state_began = record.as_ref().is_none_or(|old| (old.state, &old.job_id) != (new.state, &new.job_id));
                prop_assert!(!state_began || new.unpublished == (new.state != State::Submitted));
                record = Some(Record { unpublished: false, ..new });
            }
        }
    }
}
