//! The API over HTTP: routes, and what they share.
//!
//! Every call of the API passes the [`front_door`] (log, faults, key, rate limit) and ends in a handler that locks
//! the state, asks it, and wraps the answer. The admin path does not.

mod admin;
pub(crate) mod body;
mod connectors;
mod disrupt;
mod documents;
mod front_door;
mod respond;
mod usage;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    middleware,
    routing::{delete, get, post},
};
use tokio_util::sync::CancellationToken;

use super::{
    api::{FlexOrch, answer::ApiError},
    clock::Clock,
    fault::Faults,
    record::Log,
};

/// What all calls share. Clones are handles on the same sandbox.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) flexorch: Arc<Mutex<FlexOrch>>,
    pub(crate) faults: Faults,
    pub(crate) log: Log,
    pub(crate) clock: Clock,
    pub(crate) latency: Duration,
}

impl Shared {
    /// The state, for as long as it takes to compute one answer.
    pub(crate) fn flexorch(&self) -> MutexGuard<'_, FlexOrch> {
        self.flexorch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The whole sandbox. `stop` ends requests that hang.
pub(crate) fn router(shared: Shared, stop: CancellationToken) -> Router {
    let door = front_door::Door { shared: shared.clone(), stop };
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
        .fallback(not_here)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(door, front_door::pass))
        .with_state(shared.clone());
    api.merge(admin::router(shared))
}

async fn not_here(request: Request) -> ApiError {
    let path = request.uri().path();
    ApiError::new(404, "NOT_FOUND", format!("The sandbox has no {} {path}.", request.method()))
}

async fn method_not_allowed(request: Request) -> ApiError {
    let path = request.uri().path();
    ApiError::new(405, "METHOD_NOT_ALLOWED", format!("{path} takes no {}.", request.method()))
}
