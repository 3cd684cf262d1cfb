//! A job: the processing of a submitted document.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::clock::Moment;

/// How long a job of [`Pace::Polled`] stays in each of `queued` and `running` if it is not polled.
const STEP: Duration = Duration::from_secs(1);

/// The grades of completed jobs, in turn.
const GRADES: [(&str, f64); 4] = [("A", 0.97), ("B", 0.86), ("A", 0.94), ("C", 0.71)];

/// The status of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum JobStatus {
    Queued,
    Running,
    Completed,
    Failed,
}

impl JobStatus {
    fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}

/// How a job progresses to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Advances one step per second and with every poll: a test need not wait for the clock.
    Polled,
    /// Is queued for one half of this time, and runs for the other.
    Takes(Duration),
}

/// The state that the admin path sets a job to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Verdict {
    pub(crate) status: JobStatus,
    quality_grade: Option<String>,
    pii_findings_count: Option<u64>,
    failure_reason: Option<String>,
}

/// One document's job.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    number: u64,
    pub(crate) id: String,
    pub(crate) document_id: String,
    pub(crate) key: String,
    pub(crate) connector: String,
    created: Moment,
    pace: Pace,
    polls: u32,
    /// The status that the admin path set, and when. Neither time nor polls change it.
    set: Option<(JobStatus, Moment)>,
    failure: Option<String>,
    grade: (String, f64),
    pii_findings: u64,
}

impl Job {
    /// Creates a job that is queued now, and will fail if a reason is given.
    pub(crate) fn new(number: u64, connector: &str, key: &str, failure: Option<&str>, pace: Pace, now: Moment) -> Self {
        let turn = usize::try_from(number).unwrap_or_default() % GRADES.len();
        let (grade, score) = GRADES[(turn + GRADES.len() - 1) % GRADES.len()];
        Self {
            number,
            id: format!("j-{number}"),
            document_id: format!("doc-{number}"),
            key: key.to_owned(),
            connector: connector.to_owned(),
            created: now,
            pace,
            polls: 0,
            set: None,
            failure: failure.map(str::to_owned),
            grade: (grade.to_owned(), score),
            pii_findings: number % 3,
        }
    }

    /// Returns its status.
    pub(crate) fn status(&self, now: Moment) -> JobStatus {
        if let Some((status, _)) = self.set {
            return status;
        }
        let age = now.since(self.created);
        let (running, ended) = match self.pace {
            Pace::Polled => {
                let steps = age.as_secs() / STEP.as_secs() + u64::from(self.polls);
                (steps >= 1, steps >= 2)
            }
            Pace::Takes(time) => (age >= time / 2, age >= time),
        };
        match (running, ended, &self.failure) {
            (_, true, None) => JobStatus::Completed,
            (_, true, Some(_)) => JobStatus::Failed,
            (true, false, _) => JobStatus::Running,
            (false, false, _) => JobStatus::Queued,
        }
    }

    /// Returns when it ends, or ended; `None` if the admin path holds it open.
    pub(crate) fn ends_at(&self) -> Option<Moment> {
        match (self.set, self.pace) {
            (Some((status, at)), _) => status.is_end().then_some(at),
            (None, Pace::Polled) => Some(self.created + STEP * 2_u32.saturating_sub(self.polls)),
            (None, Pace::Takes(time)) => Some(self.created + time),
        }
    }

    /// Returns whether it has ended.
    pub(crate) fn has_ended(&self, now: Moment) -> bool {
        self.status(now).is_end()
    }

    /// Returns whether it has ended without success.
    pub(crate) fn has_failed(&self, now: Moment) -> bool {
        self.status(now) == JobStatus::Failed
    }

    /// Sets its status.
    pub(crate) fn set(&mut self, verdict: &Verdict, now: Moment) {
        self.set = Some((verdict.status, now));
        if let Some(grade) = &verdict.quality_grade {
            self.grade.0.clone_from(grade);
        }
        self.pii_findings = verdict.pii_findings_count.unwrap_or(self.pii_findings);
        match verdict.status {
            JobStatus::Failed => {
                let reason = verdict.failure_reason.clone().or_else(|| self.failure.take());
                self.failure = reason.or_else(|| Some("rehearsed failure".to_owned()));
            }
            JobStatus::Completed => self.failure = None,
            JobStatus::Queued | JobStatus::Running => {}
        }
    }

    /// Returns the job in the API's form after a poll, which advances a job of [`Pace::Polled`].
    pub(crate) fn poll(&mut self, now: Moment) -> Value {
        let shown = self.show(now);
        self.polls = self.polls.saturating_add(1);
        shown
    }

    /// Returns the job in the API's form. The official clients use both spellings of its id. Whether FlexOrch's jobs name their
    /// key is not known, so this one does not.
    pub(crate) fn show(&self, now: Moment) -> Value {
        let status = self.status(now);
        let completed = status == JobStatus::Completed;
        let failure = self.failure.as_ref().filter(|_| status == JobStatus::Failed);
        let summary = status.is_end().then(|| {
            json!({
                "execution_id": self.number,
                "degraded": false,
                "failure_reason": failure,
                "privacy": completed.then(|| self.privacy()),
            })
        });
        json!({
            "id": self.id,
            "job_id": self.id,
            "status": status,
            "document_id": self.document_id,
            "quality_grade": completed.then_some(&self.grade.0),
            "quality_score": completed.then_some(self.grade.1),
            "execution_summary": summary,
            "created_at": self.created.rfc3339(),
            "completed_at": self.ends_at().filter(|_| status.is_end()).map(|end| end.min(now).rfc3339()),
            "failure_reason": failure,
        })
    }

    fn privacy(&self) -> Value {
        let types = if self.pii_findings == 0 { json!({}) } else { json!({"EMAIL": self.pii_findings}) };
        json!({
            "privacy_applied": self.pii_findings > 0,
            "pii_findings_count": self.pii_findings,
            "pii_type_summary": types,
        })
    }

    /// Returns the job for the admin path, with its key.
    pub(crate) fn show_to_operator(&self, now: Moment) -> Value {
        let mut shown = self.show(now);
        shown["key"] = self.key.as_str().into();
        shown["connector_id"] = self.connector.as_str().into();
        shown
    }

    /// Returns the event that a webhook reports its end with, and the payload without a timestamp. FlexOrch documents the payload of a
    /// completed job only, so that of a failed job has no reason.
    pub(crate) fn end_event(&self, now: Moment) -> (&'static str, Value) {
        let completed = self.status(now) == JobStatus::Completed;
        let event = if completed { "job.completed" } else { "job.failed" };
        let payload = json!({
            "event": event,
            "job_id": self.id,
            "status": self.status(now),
            "quality_grade": completed.then_some(&self.grade.0),
            "pii_findings_count": completed.then_some(self.pii_findings),
        });
        (event, payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_epoch(Duration::from_secs(seconds))
    }

    fn job(failure: Option<&str>, pace: Pace) -> Job {
        Job::new(1, "42", "a.pdf", failure, pace, at(0))
    }

    fn statuses(job: &mut Job, moments: &[u64]) -> Vec<Value> {
        moments.iter().map(|&second| job.poll(at(second))["status"].clone()).collect()
    }

    #[test]
    fn a_job_moves_on_with_each_poll_and_with_time() {
        let mut polled = job(None, Pace::Polled);
        assert_eq!(statuses(&mut polled, &[0, 0, 0]), ["queued", "running", "completed"]);
        let mut waited = job(None, Pace::Polled);
        assert_eq!(statuses(&mut waited, &[2]), ["completed"]);
    }

    #[test]
    fn a_job_that_takes_time_is_not_moved_by_polls() {
        let mut job = job(None, Pace::Takes(Duration::from_secs(10)));
        assert_eq!(
            statuses(&mut job, &[0, 0, 4, 5, 9, 10]),
            ["queued", "queued", "queued", "running", "running", "completed"]
        );
        assert_eq!(job.ends_at(), Some(at(10)));
        assert_eq!(job.show(at(99))["completed_at"], "1970-01-01T00:00:10.000Z");
    }

    #[test]
    fn a_failing_job_names_its_reason_once_it_has_failed() {
        let mut job = job(Some("encrypted"), Pace::Polled);
        assert_eq!(job.poll(at(0))["failure_reason"], Value::Null);
        let ended = job.poll(at(5));
        assert_eq!(ended["status"], "failed");
        assert_eq!(
            (&ended["failure_reason"], &ended["execution_summary"]["failure_reason"]),
            (&json!("encrypted"), &json!("encrypted"))
        );
        assert_eq!((&ended["quality_grade"], &ended["execution_summary"]["privacy"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn a_completed_job_has_a_grade_and_counts_what_it_found() {
        let mut job = job(None, Pace::Takes(Duration::ZERO));
        let ended = job.poll(at(0));
        assert_eq!((&ended["quality_grade"], &ended["quality_score"]), (&json!("A"), &json!(0.97)));
        let privacy = json!({"privacy_applied": true, "pii_findings_count": 1, "pii_type_summary": {"EMAIL": 1}});
        assert_eq!(ended["execution_summary"]["privacy"], privacy);
    }

    #[test]
    fn what_an_operator_sets_stays() {
        let verdict = |json| serde_json::from_value::<Verdict>(json).unwrap();
        let mut job = job(None, Pace::Takes(Duration::from_secs(10)));
        job.set(&verdict(json!({"status": "running"})), at(1));
        assert_eq!((job.status(at(99)), job.ends_at()), (JobStatus::Running, None));
        job.set(&verdict(json!({"status": "failed", "failure_reason": "gone"})), at(100));
        assert_eq!(job.show(at(200))["failure_reason"], "gone");
        job.set(&verdict(json!({"status": "completed", "quality_grade": "D", "pii_findings_count": 7})), at(101));
        let (event, payload) = job.end_event(at(102));
        let expected = json!({"event": "job.completed", "job_id": "j-1", "status": "completed", "quality_grade": "D", "pii_findings_count": 7});
        assert_eq!((event, payload), ("job.completed", expected));
        assert!(serde_json::from_value::<Verdict>(json!({"status": "vanished"})).is_err());
    }
}
