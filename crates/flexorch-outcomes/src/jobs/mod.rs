//! FlexOrch's jobs: `GET /jobs/{id}` and `GET /jobs` (FlexOrch API documentation, "Jobs").

mod client;
pub(crate) mod response;

use flexorch_s3_ingester::flexorch::response::Response;

pub(crate) use self::client::JobsClient;

/// The jobs of a page, FlexOrch's most.
pub(crate) const PAGE_SIZE: usize = 100;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JobsRequest {
    /// A page of all jobs, from 1, newest first.
    Page(u32),
    /// One job.
    Job(String),
}

/// A job, as FlexOrch describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    /// Its id, as text.
    pub(crate) id: String,
    /// How far it is.
    pub(crate) status: Status,
    /// FlexOrch's grade.
    pub(crate) quality_grade: Option<String>,
    /// How many findings of personal data FlexOrch reports.
    pub(crate) pii_findings_count: Option<u64>,
    /// Why it failed, without secrets.
    pub(crate) failure_reason: Option<String>,
}

/// A page of jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobsPage {
    /// Those that can be read.
    pub(crate) jobs: Vec<Job>,
    /// How many items the page has.
    pub(crate) items: usize,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// It has not ended, or its status is not documented.
    Open,
    /// It completed.
    Completed,
    /// It failed.
    Failed,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JobsResponse {
    /// A page of jobs.
    Page(JobsPage),
    /// The job that was asked for.
    Job(Job),
    /// FlexOrch does not know the job (404).
    Unknown,
    /// No jobs, and why; never [`Response::Accepted`].
    Failed(Response),
}
