//! FlexOrch's jobs: `GET /jobs/{id}` and `GET /jobs`, in every shape that was seen.

use std::time::{Duration, SystemTime};

use flexorch_s3_ingester::clock::Clock;
use flexorch_s3_ingester::error::with_causes;
use flexorch_s3_ingester::flexorch::client::{API_KEY_HEADER, api_key_header, endpoint, receive};
use flexorch_s3_ingester::flexorch::response::{ApiError, RawResponse, Response, failure, read_json};
use flexorch_s3_ingester::model::credentials::ApiKey;
use flexorch_s3_ingester::redaction::{self, Redactor};
use reqwest::{Client, Url};
use serde_json::Value;

use crate::handler::clean;

/// The jobs of a page, FlexOrch's most.
pub(crate) const PAGE_SIZE: usize = 100;

/// A response about one job is read up to this many bytes, and about a page [`PAGE_SIZE`] times as many.
const RESPONSE_BYTES: usize = 64 * 1024;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
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
pub(crate) enum Reply {
    /// The jobs of a page.
    Page(Vec<Job>),
    /// The job.
    Job(Job),
    /// FlexOrch does not know the job (404).
    Unknown,
    /// No jobs, and why; never [`Response::Accepted`].
    Failed(Response),
}

/// A client of FlexOrch's jobs. It never repeats a request.
#[derive(Debug)]
pub(crate) struct JobsClient {
    http: Client,
    base_url: Url,
    clock: Clock,
}

impl JobsClient {
    /// Creates a client for the API under `base_url`.
    pub(crate) fn new(http: Client, base_url: Url, clock: Clock) -> Self {
        Self { http, base_url, clock }
    }

    /// Sends one request. Every result is a [`Reply`], including a failed connection.
    pub(crate) async fn send(&self, ask: &Ask, key: &ApiKey, timeout: Duration) -> Reply {
        redaction::register(key.expose());
        let Ok(header) = api_key_header(key) else { return lost("the API key cannot be sent as a header") };
        let request = self.http.get(self.url(ask)).header(API_KEY_HEADER, header);
        let limit = match ask {
            Ask::Page(_) => RESPONSE_BYTES * PAGE_SIZE,
            Ask::Job(_) => RESPONSE_BYTES,
        };
        match tokio::time::timeout(timeout, receive(request, limit)).await {
            Err(_) => lost(&format!("no response within {} ms", timeout.as_millis())),
            Ok(Err(error)) => lost(&with_causes(&error)),
            Ok(Ok(response)) => read(ask, response.raw(), &redaction::known(), self.clock.now()),
        }
    }

    fn url(&self, ask: &Ask) -> Url {
        let mut url = endpoint(&self.base_url, "jobs");
        match ask {
            Ask::Page(page) => url.set_query(Some(&format!("page={page}&page_size={PAGE_SIZE}"))),
            Ask::Job(id) => {
                // A base URL has segments; an id with a slash is one of them, encoded.
                if let Ok(mut segments) = url.path_segments_mut() {
                    segments.push(id);
                }
            }
        }
        url
    }
}

fn lost(message: &str) -> Reply {
    let error = ApiError::transport(redaction::redacted(message));
    Reply::Failed(Response::Transient { error, rate_limited: false, retry_at: None })
}

/// Reads a response. `secrets` are removed from all of its texts.
pub(crate) fn read(ask: &Ask, response: RawResponse<'_>, secrets: &Redactor, now: SystemTime) -> Reply {
    let body = match read_json(response, secrets, now) {
        Ok(body) => body,
        Err(_) if response.status == 404 && matches!(ask, Ask::Job(_)) => return Reply::Unknown,
        Err(failed) => return Reply::Failed(failed),
    };
    let found = match ask {
        Ask::Page(_) => page_in(&body).map(Reply::Page),
        Ask::Job(id) => job_in(&body, id).map(Reply::Job),
    };
    found.unwrap_or_else(|| {
        Reply::Failed(failure(response, &body, now).unwrap_or_else(|| {
            let message = "the response has an unknown shape".to_owned();
            let error = ApiError { status: response.status, code: None, message };
            Response::Transient { error, rate_limited: false, retry_at: None }
        }))
    })
}

/// Finds the list of jobs: the body, its `data`, or a list in either of them.
fn page_in(body: &Value) -> Option<Vec<Job>> {
    let list = |value: &Value| -> Option<Vec<Job>> {
        let lists = ["items", "jobs", "results", "data"].iter().filter_map(|name| value.get(name)?.as_array());
        let jobs = value.as_array().or_else(|| { lists }.next())?;
        Some(jobs.iter().filter_map(|job| read_job(job, id_of(job)?)).collect())
    };
    body.get("data").filter(|data| !data.is_null()).and_then(list).or_else(|| list(body))
}

/// Finds the job: the body, its `data`, or `job` in either of them.
fn job_in(body: &Value, asked: &str) -> Option<Job> {
    let data = body.get("data").filter(|data| data.is_object());
    let parts = [data.and_then(|data| data.get("job")), data, body.get("job"), Some(body)];
    parts.into_iter().flatten().find_map(|part| match id_of(part) {
        Some(id) if id == asked => read_job(part, id),
        // Another job, whatever it says.
        Some(_) => None,
        None => is_job_without_id(part, std::ptr::eq(part, body)).then(|| read_job(part, asked.to_owned())).flatten(),
    })
}

/// Whether an object without an id describes a job, and not a failure of the request. At the top level, a status `failed` alone may be
/// the request's own.
fn is_job_without_id(value: &Value, is_top_level: bool) -> bool {
    let present = |name: &&str| value.get(name).is_some_and(|value| !value.is_null());
    let has_status = match value.get("status").and_then(Value::as_str) {
        Some("queued" | "running" | "completed") => true,
        Some("failed") => !is_top_level,
        _ => false,
    };
    let fields = [
        "document_id",
        "filename",
        "quality_grade",
        "quality_score",
        "failure_reason",
        "execution_summary",
        "created_at",
    ];
    (has_status || fields.iter().any(present)) && !["code", "detail", "errors", "success", "data"].iter().any(present)
}

fn id_of(job: &Value) -> Option<String> {
    ["job_id", "id"].iter().find_map(|name| match job.get(name)? {
        Value::String(id) if !id.is_empty() => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    })
}

fn read_job(job: &Value, id: String) -> Option<Job> {
    let status = match job.get("status")?.as_str()?.trim().to_ascii_lowercase().as_str() {
        "completed" => Status::Completed,
        "failed" => Status::Failed,
        _ => Status::Open,
    };
    let summary = job.get("execution_summary");
    let field = |name: &str| {
        [Some(job), summary].into_iter().flatten().filter_map(|part| part.get(name)).find(|value| !value.is_null())
    };
    let text = |name: &str| field(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(clean);
    let error = job.get("error").and_then(|error| error.get("message").unwrap_or(error).as_str()).map(clean);
    Some(Job {
        id,
        status,
        quality_grade: text("quality_grade"),
        pii_findings_count: field("pii_findings_count").and_then(Value::as_u64),
        failure_reason: text("failure_reason").or(error.filter(|error| !error.is_empty())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(ask: &Ask, status: u16, body: &str) -> Reply {
        let response = RawResponse { status, retry_after: None, body: body.as_bytes(), is_complete: true };
        read(ask, response, &Redactor::of(&["dfx_secret_1"]), SystemTime::UNIX_EPOCH)
    }

    fn job(body: &str) -> Job {
        match reply(&Ask::Job("7".into()), 200, body) {
            Reply::Job(job) => job,
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn a_job_is_read_from_every_shape_and_its_id_may_be_a_number() {
        for body in [
            r#"{"data":{"id":7,"status":"failed","failure_reason":"corrupt"},"error":null,"status":"success"}"#,
            r#"{"data":{"job_id":"7","status":"failed","execution_summary":{"failure_reason":"corrupt"}}}"#,
            r#"{"id":"7","status":"failed","failure_reason":"corrupt"}"#,
            r#"{"data":{"job":{"id":"7","status":"Failed","error":{"message":"corrupt"}}}}"#,
            r#"{"status":"failed","failure_reason":"corrupt","document_id":"d"}"#,
            r#"{"id":"7","status":"failed","error":"corrupt"}"#,
            r#"{"status":"success","data":{"status":"failed","error":"corrupt"}}"#,
        ] {
            let job = job(body);
            assert_eq!((job.status, job.failure_reason.as_deref()), (Status::Failed, Some("corrupt")), "{body}");
            assert_eq!(job.id, "7");
        }
        let completed = job(
            r#"{"data":{"id":"7","status":"completed","quality_grade":"B","execution_summary":{"pii_findings_count":3}}}"#,
        );
        assert_eq!((completed.status, completed.quality_grade.as_deref()), (Status::Completed, Some("B")));
        assert_eq!(completed.pii_findings_count, Some(3));
        assert_eq!(job(r#"{"id":"7","status":"archived"}"#).status, Status::Open);
        assert_eq!(job(r#"{"data":{"status":"running"}}"#).status, Status::Open);
        assert_eq!(job(r#"{"data":{"status":"failed"},"error":null}"#).status, Status::Failed);
        assert_eq!(job(r#"{"status":"completed","quality_grade":null}"#).status, Status::Completed);
    }

    #[test]
    fn a_failed_request_is_not_a_failed_job() {
        for body in [
            r#"{"status":"failed","error":{"code":"QUOTA_EXCEEDED","message":"m"}}"#,
            r#"{"status":"error","data":null}"#,
            r#"{"status":"failed"}"#,
            r#"{"data":{"status":"failed","code":"X"}}"#,
            r#"{"success":false,"status":"failed","code":"X"}"#,
            r#"{"detail":"Not authenticated"}"#,
            r#"{"id":"8","status":"failed"}"#,
            r#"{"data":{"id":"8","status":"completed"}}"#,
            "<html>",
            "[]",
            "",
        ] {
            assert!(matches!(reply(&Ask::Job("7".into()), 200, body), Reply::Failed(_)), "{body}");
        }
    }

    #[test]
    fn a_page_is_read_from_every_shape_and_what_is_no_job_is_left_out() {
        for body in [
            r#"{"data":[{"id":1,"status":"queued"},{"id":2,"status":"completed"},{"x":1}],"error":null}"#,
            r#"{"data":{"items":[{"id":"1","status":"running"},{"job_id":"2","status":"completed"}],"total":2}}"#,
            r#"{"data":{"jobs":[{"id":"1","status":"running"},{"job_id":"2","status":"completed"}]}}"#,
            r#"{"items":[{"id":"1","status":"running"},{"job_id":"2","status":"completed"}]}"#,
            r#"[{"id":"1","status":"running"},{"job_id":"2","status":"completed"}]"#,
        ] {
            let Reply::Page(jobs) = reply(&Ask::Page(1), 200, body) else { panic!("{body}") };
            let read: Vec<_> = jobs.iter().map(|job| (job.id.as_str(), job.status)).collect();
            assert_eq!(read, [("1", Status::Open), ("2", Status::Completed)], "{body}");
        }
        assert_eq!(reply(&Ask::Page(1), 200, r#"{"data":[]}"#), Reply::Page(Vec::new()));
        assert!(matches!(reply(&Ask::Page(1), 200, r#"{"data":{"x":1}}"#), Reply::Failed(_)));
    }

    #[test]
    fn an_unknown_job_is_not_a_failure_and_secrets_are_removed() {
        assert_eq!(reply(&Ask::Job("7".into()), 404, r#"{"error":{"code":"NOT_FOUND"}}"#), Reply::Unknown);
        assert!(matches!(reply(&Ask::Page(1), 404, "{}"), Reply::Failed(Response::Blocked { .. })));
        assert!(matches!(reply(&Ask::Job("7".into()), 401, "{}"), Reply::Failed(Response::Unauthorized(_))));
        let failed = job(r#"{"id":"7","status":"failed","failure_reason":"key dfx_secret_1 \u0064fx_secret_1"}"#);
        assert_eq!(failed.failure_reason.as_deref(), Some("key [redacted] [redacted]"));
    }

    #[test]
    fn an_id_is_one_segment_of_the_path() {
        let base_url = "https://api.flexorch.com/v1".parse().unwrap();
        let client = JobsClient::new(flexorch_s3_ingester::aws::http::client(None).unwrap(), base_url, Clock::system());
        let url = |ask| client.url(&ask).to_string();
        assert_eq!(url(Ask::Job("a/b?c".into())), "https://api.flexorch.com/v1/jobs/a%2Fb%3Fc");
        assert_eq!(url(Ask::Page(2)), "https://api.flexorch.com/v1/jobs?page=2&page_size=100");
    }
}
