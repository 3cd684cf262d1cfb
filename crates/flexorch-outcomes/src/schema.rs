//! The table of records: its attributes, indexes and states, for everything that reads or writes it. Pure.

use std::fmt;

use jiff::Timestamp;

/// The index of records by their job.
pub const BY_JOB: &str = "by-job";
/// The index of records by their state and its beginning.
pub const BY_STATE: &str = "by-state";
/// The version of a document whose version id and `ETag` are unknown.
pub const NO_VERSION: &str = "-";

/// The names of the attributes.
pub mod attribute {
    /// The partition key: `<bucket>/<key>`.
    pub const DOCUMENT: &str = "document";
    /// The sort key: the version id, else the `ETag`, else [`NO_VERSION`](super::NO_VERSION).
    pub const VERSION: &str = "version";
    /// The state's name; the partition key of the index by state.
    pub const STATE: &str = "state";
    /// When the state began; the sort key of the index by state.
    pub const CHANGED_AT: &str = "changed_at";
    /// The job, always text; the partition key of the index by job.
    pub const JOB_ID: &str = "job_id";
    /// The name or ARN of the connector's secret.
    pub const CONNECTOR: &str = "connector";
    /// The connector's id at FlexOrch, a number or text.
    pub const CONNECTOR_ID: &str = "connector_id";
    /// When S3 saw the upload, as received.
    pub const EVENT_TIME: &str = "event_time";
    /// When FlexOrch first took the document as this job, or rejected it.
    pub const SUBMITTED_AT: &str = "submitted_at";
    /// FlexOrch's grade.
    pub const QUALITY_GRADE: &str = "quality_grade";
    /// How many findings of personal data FlexOrch reports.
    pub const PII_FINDINGS_COUNT: &str = "pii_findings_count";
    /// Why a job failed or a document was rejected.
    pub const FAILURE_REASON: &str = "failure_reason";
    /// FlexOrch's code of a rejection.
    pub const CODE: &str = "code";
    /// The time to live, in seconds since 1970.
    pub const EXPIRES_AT: &str = "expires_at";

    // Private to `flexorch-outcomes`.

    /// A number drawn for each write of an item: a write is conditional on the revision that was read.
    pub(crate) const REVISION: &str = "revision";
    /// `true` while the state is not published.
    pub const UNPUBLISHED: &str = "unpublished";
    /// When the latest receipt of the job says that it was taken, if that is not `submitted_at`.
    pub(crate) const RESUBMITTED_AT: &str = "resubmitted_at";
    /// When FlexOrch last took the document without naming the job.
    pub(crate) const DUPLICATE_AT: &str = "duplicate_at";
    /// The latest job before a rejection.
    pub(crate) const EARLIER_JOB: &str = "earlier_job";
    /// When the latest receipt of that job says that it was taken.
    pub(crate) const EARLIER_JOB_AT: &str = "earlier_job_at";
    /// When FlexOrch was last asked for the job.
    pub(crate) const ASKED_AT: &str = "asked_at";
    /// When a sweep gave the document up.
    pub(crate) const ABANDONED_AT: &str = "abandoned_at";
}

/// What is known to have happened to a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// FlexOrch took it; the end of its job is not known.
    Submitted,
    /// Its job completed.
    Processed,
    /// Its job failed.
    Failed,
    /// FlexOrch refused it; there is no job.
    Rejected,
}

impl State {
    /// The states whose beginning is published.
    pub(crate) const PUBLISHED: [Self; 3] = [Self::Processed, Self::Failed, Self::Rejected];

    /// Returns the name in the table and in events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Processed => "processed",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
        }
    }

    /// Returns the state with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Submitted, Self::Processed, Self::Failed, Self::Rejected].into_iter().find(|state| state.name() == name)
    }

    /// Returns the detail type of the event that says so; `None` for a state that is not published.
    pub(crate) fn detail_type(self) -> Option<&'static str> {
        match self {
            Self::Submitted => None,
            Self::Processed => Some("Document Processed"),
            Self::Failed => Some("Document Failed"),
            Self::Rejected => Some("Document Rejected"),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Formats a time as the table has it: ISO 8601 in UTC, always with milliseconds, so that text order is time order.
#[must_use]
pub fn iso(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}
