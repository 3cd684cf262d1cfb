//! The API over HTTP: routes and handlers.
//!
//! Every request to the API passes the [`front_door`] (log, faults, key, rate limit). Its handler locks the state, calls it and
//! wraps the result. The admin path has no front door.

mod admin;
mod admin_jobs;
mod connectors;
mod disrupt;
mod documents;
mod front_door;
mod respond;
mod shared;
mod usage;
mod webhooks;

use axum::{
    Router,
    extract::Request,
    middleware,
    routing::{delete, get, post},
};

pub(crate) use self::shared::Shared;
use super::api::response::ApiError;

/// Returns all routes of the sandbox.
pub(crate) fn router(shared: Shared) -> Router {
    let api = Router::new()
        .route("/v1/data-process/async", post(documents::submit))
        .route("/v1/jobs", get(documents::list_jobs))
        .route("/v1/jobs/{job}", get(documents::job))
        .route("/v1/connectors", get(connectors::list).post(connectors::create))
        .route("/v1/connectors/{connector}", get(connectors::show).delete(connectors::delete))
        .route("/v1/connectors/{connector}/test", post(connectors::test))
        .route(
            "/v1/connectors/{connector}/schedules",
            get(connectors::list_schedules).post(connectors::create_schedule),
        )
        .route("/v1/connectors/{connector}/schedules/{schedule}", delete(connectors::delete_schedule))
        .route("/v1/connectors/{connector}/schedules/{schedule}/trigger", post(connectors::trigger_schedule))
        .route("/v1/connectors/{connector}/schedules/{schedule}/logs", get(connectors::schedule_logs))
        .route("/v1/usage", get(usage::current))
        .route("/v1/usage/rate-limits", get(usage::rate_limits))
        .route("/v1/usage/history", get(usage::history))
        .route("/v1/usage/quality-trend", get(usage::quality_trend))
        .route("/v1/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/v1/webhooks/{webhook}", delete(webhooks::delete))
        .fallback(not_here)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(shared.clone(), front_door::pass))
        .with_state(shared.clone());
    api.merge(admin::router(shared.clone())).merge(admin_jobs::router(shared))
}

async fn not_here(request: Request) -> ApiError {
    let path = request.uri().path();
    ApiError::new(404, "NOT_FOUND", format!("The sandbox has no {} {path}.", request.method()))
}

async fn method_not_allowed(request: Request) -> ApiError {
    let path = request.uri().path();
    ApiError::new(405, "METHOD_NOT_ALLOWED", format!("{path} does not allow {}.", request.method()))
}
