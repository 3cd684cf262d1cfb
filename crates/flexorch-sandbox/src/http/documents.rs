//! Submissions and jobs.

use axum::{
    Extension,
    extract::{Path, Query, State},
};
use serde::Deserialize;

use super::{
    super::{
        api::response::{ApiError, Reply},
        api_key::ApiKey,
    },
    front_door::Submitting,
    shared::Shared,
};

/// The most jobs of a page.
const MAX_PAGE_SIZE: usize = 100;

/// Handles `POST /data-process/async`.
pub(crate) async fn submit(
    State(shared): State<Shared>,
    Extension(key): Extension<ApiKey>,
    Extension(submitting): Extension<Submitting>,
) -> Result<Reply, ApiError> {
    let submission = submitting.submission?;
    let now = shared.clock.now();
    let submitted = shared.flexorch().submit(&key, &submission, &submitting.faults, now)?;
    shared.webhooks.jobs_changed();
    shared.log.complete(submitting.record, |record| {
        record.taken = submitted.accepted();
    });
    Ok(Reply::accepted(submitted))
}

/// Handles `GET /jobs/{id}`.
pub(crate) async fn job(
    State(shared): State<Shared>,
    Extension(key): Extension<ApiKey>,
    Path(job): Path<String>,
) -> Result<Reply, ApiError> {
    let now = shared.clock.now();
    let polled = shared.flexorch().tenant(&key).poll_job(&job, now)?;
    shared.webhooks.jobs_changed();
    Ok(Reply::ok(polled))
}

/// The query of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    #[serde(default = "first")]
    page: usize,
    #[serde(default = "twenty")]
    page_size: usize,
}

fn first() -> usize {
    1
}

fn twenty() -> usize {
    20
}

/// Handles `GET /jobs`.
pub(crate) async fn list_jobs(
    State(shared): State<Shared>,
    Extension(key): Extension<ApiKey>,
    Query(page): Query<Page>,
) -> Result<Reply, ApiError> {
    if page.page == 0 || !(1..=MAX_PAGE_SIZE).contains(&page.page_size) {
        let message = format!("page starts at 1; page_size is 1 to {MAX_PAGE_SIZE}.");
        return Err(ApiError::validation(message));
    }
    let now = shared.clock.now();
    let jobs = shared.flexorch().tenant(&key).jobs.page(page.page, page.page_size, now);
    Ok(Reply::ok(jobs))
}
