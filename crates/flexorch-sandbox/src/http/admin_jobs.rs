//! The admin path's jobs and webhooks: what a test sets so that it need not wait, and what was delivered.

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;

use super::{super::api::response::ApiError, respond::json as json_response, shared::Shared};

/// Returns the routes.
pub(crate) fn router(shared: Shared) -> Router {
    Router::new()
        .route("/_sandbox/jobs", get(list_jobs).post(set_open_jobs))
        .route("/_sandbox/jobs/{job}", post(set_job).delete(forget_job))
        .route("/_sandbox/webhooks", post(set_webhooks))
        .route("/_sandbox/deliveries", get(list_deliveries).delete(clear_deliveries))
        .route("/_sandbox/deliveries/{delivery}", post(deliver_again))
        .with_state(shared)
}

async fn list_jobs(State(shared): State<Shared>) -> Response {
    let jobs = shared.flexorch().show_jobs(shared.clock.now());
    json_response(StatusCode::OK, &json!({ "jobs": jobs }))
}

/// Sets the state of all jobs that have not ended.
async fn set_open_jobs(State(shared): State<Shared>, body: Bytes) -> Response {
    match shared.set_job(None, &String::from_utf8_lossy(&body)) {
        Ok(jobs) => json_response(StatusCode::OK, &json!({ "jobs": jobs })),
        Err(error) => ApiError::validation(error.to_string()).into_response(),
    }
}

async fn set_job(State(shared): State<Shared>, Path(job): Path<String>, body: Bytes) -> Response {
    match shared.set_job(Some(&job), &String::from_utf8_lossy(&body)) {
        Ok(0) => not_found("Job", &job),
        Ok(_) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => ApiError::validation(error.to_string()).into_response(),
    }
}

async fn forget_job(State(shared): State<Shared>, Path(job): Path<String>) -> Response {
    let forgotten = shared.flexorch().forget_job(&job);
    if forgotten { StatusCode::NO_CONTENT.into_response() } else { not_found("Job", &job) }
}

/// `{"lose": true}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WebhooksBody {
    lose: bool,
}

async fn set_webhooks(State(shared): State<Shared>, body: Bytes) -> Response {
    match serde_json::from_slice::<WebhooksBody>(&body) {
        Ok(WebhooksBody { lose }) => {
            shared.webhooks.set_lose(lose);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(_) => ApiError::validation("The body must be {\"lose\": true} or {\"lose\": false}.").into_response(),
    }
}

async fn list_deliveries(State(shared): State<Shared>) -> Response {
    json_response(StatusCode::OK, &json!({"deliveries": shared.webhooks.log.list()}))
}

async fn clear_deliveries(State(shared): State<Shared>) -> StatusCode {
    shared.webhooks.log.clear();
    StatusCode::NO_CONTENT
}

async fn deliver_again(State(shared): State<Shared>, Path(delivery): Path<u64>) -> Response {
    if shared.webhooks.send_again(delivery, shared.clock.now()) {
        StatusCode::ACCEPTED.into_response()
    } else {
        not_found("Delivery", &delivery.to_string())
    }
}

fn not_found(what: &str, id: &str) -> Response {
    ApiError::not_found(format_args!("{what} {id:?}")).into_response()
}
