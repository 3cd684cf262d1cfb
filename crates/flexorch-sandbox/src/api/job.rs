//! Jobs: the processing of submitted documents.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::super::clock::Moment;

/// How long a job stays in each of `queued` and `running` if it is not polled.
const STEP: Duration = Duration::from_secs(1);

/// The status of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum JobStatus {
    Queued,
    Running,
    Completed,
    Failed,
}

/// One document's job.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) document_id: String,
    pub(crate) key: String,
    pub(crate) connector: String,
    created: Moment,
    polls: u64,
    failure: Option<String>,
}

impl Job {
    /// Creates a job that is queued now, and will fail if a reason is given.
    pub(crate) fn new(number: u64, connector: &str, key: &str, failure: Option<&str>, now: Moment) -> Self {
        Self {
            id: format!("j-{number}"),
            document_id: format!("doc-{number}"),
            key: key.to_owned(),
            connector: connector.to_owned(),
            created: now,
            polls: 0,
            failure: failure.map(str::to_owned),
        }
    }

    /// Returns its status, which moves on with each second and with each poll.
    pub(crate) fn status(&self, now: Moment) -> JobStatus {
        let seconds = now.since(self.created).as_secs() / STEP.as_secs();
        match (seconds.saturating_add(self.polls), &self.failure) {
            (0, _) => JobStatus::Queued,
            (1, _) => JobStatus::Running,
            (_, None) => JobStatus::Completed,
            (_, Some(_)) => JobStatus::Failed,
        }
    }

    /// `GET /jobs/{id}`. It moves the job on, so that a test need not wait for the clock.
    pub(crate) fn poll(&mut self, now: Moment) -> Value {
        let shown = self.show(now);
        self.polls = self.polls.saturating_add(1);
        shown
    }

    /// Returns the job in the API's form. The official clients use both spellings of its id.
    pub(crate) fn show(&self, now: Moment) -> Value {
        let status = self.status(now);
        let ended = matches!(status, JobStatus::Completed | JobStatus::Failed);
        let failure = self.failure.as_ref().filter(|_| ended);
        json!({
            "id": self.id,
            "job_id": self.id,
            "status": status,
            "filename": self.key,
            "document_id": self.document_id,
            "connector_id": self.connector,
            "created_at": self.created.rfc3339(),
            "completed_at": ended.then(|| (self.created + 2 * STEP).min(now).rfc3339()),
            "failure_reason": failure,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_epoch(Duration::from_secs(seconds))
    }

    fn statuses(job: &mut Job, moments: &[u64]) -> Vec<Value> {
        moments.iter().map(|&second| job.poll(at(second))["status"].clone()).collect()
    }

    #[test]
    fn a_job_moves_on_with_each_poll_and_with_time() {
        let mut polled = Job::new(1, "42", "a.pdf", None, at(0));
        assert_eq!(statuses(&mut polled, &[0, 0, 0]), ["queued", "running", "completed"]);
        let mut waited = Job::new(1, "42", "a.pdf", None, at(0));
        assert_eq!(statuses(&mut waited, &[2]), ["completed"]);
    }

    #[test]
    fn a_failing_job_names_its_reason_once_it_has_failed() {
        let mut job = Job::new(1, "42", "a.pdf", Some("encrypted"), at(0));
        assert_eq!(job.poll(at(0))["failure_reason"], Value::Null);
        let ended = job.poll(at(5));
        assert_eq!(ended["status"], "failed");
        assert_eq!(ended["failure_reason"], "encrypted");
    }
}
