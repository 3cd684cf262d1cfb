//! The usage endpoints.

use axum::{Extension, extract::State};
use serde_json::json;

use super::{
    super::{
        api::{response::Reply, usage},
        api_key::ApiKey,
    },
    shared::Shared,
};

/// Handles `GET /usage/rate-limits`.
pub(crate) async fn rate_limits(State(shared): State<Shared>, Extension(key): Extension<ApiKey>) -> Reply {
    let now = shared.clock.now();
    let mut flexorch = shared.flexorch();
    let (tenant, _, rules) = flexorch.tenant_and_ids(&key);
    Reply::ok(usage::rate_limits(tenant, rules, now))
}

/// Handles `GET /usage`.
pub(crate) async fn current(State(shared): State<Shared>, Extension(key): Extension<ApiKey>) -> Reply {
    let mut flexorch = shared.flexorch();
    let (tenant, _, rules) = flexorch.tenant_and_ids(&key);
    Reply::ok(usage::current(tenant, rules))
}

/// Handles `GET /usage/history`.
pub(crate) async fn history(State(shared): State<Shared>, Extension(key): Extension<ApiKey>) -> Reply {
    Reply::ok(usage::history(shared.flexorch().tenant(&key)))
}

/// Handles `GET /usage/quality-trend`, always empty: the sandbox reads no documents.
pub(crate) async fn quality_trend() -> Reply {
    Reply::ok(json!([]))
}
