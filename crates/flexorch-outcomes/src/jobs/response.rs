//! Reads responses about jobs, in every known shape. Pure.

use std::time::SystemTime;

use flexorch_s3_ingester::flexorch::response::{ApiError, RawResponse, Response, failure, read_json};
use flexorch_s3_ingester::redaction::Redactor;
use serde_json::Value;

use super::{Job, JobsPage, JobsRequest, JobsResponse, Status};
use crate::text::shortened;

/// Reads a response. `secrets` are removed from all of its texts.
pub(crate) fn read(ask: &JobsRequest, response: RawResponse<'_>, secrets: &Redactor, now: SystemTime) -> JobsResponse {
    let body = match read_json(response, secrets, now) {
        Ok(body) => body,
        Err(_) if response.status == 404 && matches!(ask, JobsRequest::Job(_)) => return JobsResponse::Unknown,
        Err(failed) => return JobsResponse::Failed(failed),
    };
    let found = match ask {
        JobsRequest::Page(_) => page_in(&body).map(JobsResponse::Page),
        JobsRequest::Job(id) => job_in(&body, id).map(JobsResponse::Job),
    };
    found.unwrap_or_else(|| {
        JobsResponse::Failed(failure(response, &body, now).unwrap_or_else(|| {
            let message = "the response has an unknown shape".to_owned();
            let error = ApiError { status: response.status, code: None, message };
            Response::Transient { error, rate_limited: false, retry_at: None }
        }))
    })
}

/// Finds the list of jobs: the body, its `data`, or a list in either of them.
fn page_in(body: &Value) -> Option<JobsPage> {
    let list = |value: &Value| {
        let lists = ["items", "jobs", "results", "data"].iter().filter_map(|name| value.get(name)?.as_array());
        let items = value.as_array().or_else(|| { lists }.next())?;
        let jobs = items.iter().filter_map(|job| read_job(job, id_of(job)?)).collect();
        Some(JobsPage { jobs, items: items.len() })
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
    let privacy = summary.and_then(|summary| summary.get("privacy"));
    let parts = [Some(job), summary, privacy];
    let field = |name: &str| parts.iter().flatten().filter_map(|part| part.get(name)).find(|value| !value.is_null());
    let text = |name: &str| field(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(shortened);
    // As FlexOrch's Python SDK reads it.
    let grade_in = |job: &Value| job.get("quality")?.get("grade")?.as_str().map(shortened);
    let error = job.get("error").and_then(|error| error.get("message").unwrap_or(error).as_str()).map(shortened);
    Some(Job {
        id,
        status,
        quality_grade: text("quality_grade").or_else(|| grade_in(job)),
        pii_findings_count: field("pii_findings_count").and_then(Value::as_u64),
        failure_reason: text("failure_reason").or(error.filter(|error| !error.is_empty())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(ask: &JobsRequest, status: u16, body: &str) -> JobsResponse {
        let response = RawResponse { status, retry_after: None, body: body.as_bytes(), is_complete: true };
        read(ask, response, &Redactor::of(&["dfx_secret_1"]), SystemTime::UNIX_EPOCH)
    }

    fn job(body: &str) -> Job {
        match reply(&JobsRequest::Job("7".into()), 200, body) {
            JobsResponse::Job(job) => job,
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
        for details in [
            r#""execution_summary":{"privacy":{"pii_findings_count":3}}"#,
            r#""execution_summary":{"privacy":null,"pii_findings_count":3}"#,
            r#""pii_findings_count":3"#,
        ] {
            let body = format!(r#"{{"data":{{"id":"7","status":"completed","quality_grade":"B",{details}}}}}"#);
            let completed = job(&body);
            assert_eq!((completed.status, completed.quality_grade.as_deref()), (Status::Completed, Some("B")));
            assert_eq!(completed.pii_findings_count, Some(3), "{body}");
        }
        let nested = job(r#"{"id":"7","status":"completed","quality":{"grade":"C"}}"#);
        assert_eq!(nested.quality_grade.as_deref(), Some("C"));
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
            assert!(matches!(reply(&JobsRequest::Job("7".into()), 200, body), JobsResponse::Failed(_)), "{body}");
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
            let JobsResponse::Page(page) = reply(&JobsRequest::Page(1), 200, body) else { panic!("{body}") };
            assert_eq!(page.items, if body.contains("\"x\"") { 3 } else { 2 }, "{body}");
            let read: Vec<_> = page.jobs.iter().map(|job| (job.id.as_str(), job.status)).collect();
            assert_eq!(read, [("1", Status::Open), ("2", Status::Completed)], "{body}");
        }
        assert_eq!(
            reply(&JobsRequest::Page(1), 200, r#"{"data":[]}"#),
            JobsResponse::Page(JobsPage { jobs: Vec::new(), items: 0 })
        );
        assert!(matches!(reply(&JobsRequest::Page(1), 200, r#"{"data":{"x":1}}"#), JobsResponse::Failed(_)));
    }

    #[test]
    fn an_unknown_job_is_not_a_failure_and_secrets_are_removed() {
        assert_eq!(
            reply(&JobsRequest::Job("7".into()), 404, r#"{"error":{"code":"NOT_FOUND"}}"#),
            JobsResponse::Unknown
        );
        assert!(matches!(reply(&JobsRequest::Page(1), 404, "{}"), JobsResponse::Failed(Response::Blocked { .. })));
        assert!(matches!(
            reply(&JobsRequest::Job("7".into()), 401, "{}"),
            JobsResponse::Failed(Response::Unauthorized(_))
        ));
        let failed = job(r#"{"id":"7","status":"failed","failure_reason":"key dfx_secret_1 \u0064fx_secret_1"}"#);
        assert_eq!(failed.failure_reason.as_deref(), Some("key [redacted] [redacted]"));
    }
}
