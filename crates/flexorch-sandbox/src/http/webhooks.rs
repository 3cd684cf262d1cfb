//! Webhooks.

use axum::{
    Extension,
    body::Bytes,
    extract::{Path, State},
};
use serde_json::json;

use super::{
    super::{
        api::response::{ApiError, Reply},
        api_key::ApiKey,
    },
    connectors::object,
    shared::Shared,
};

/// Handles `POST /webhooks`.
pub(crate) async fn create(
    State(shared): State<Shared>,
    Extension(key): Extension<ApiKey>,
    body: Bytes,
) -> Result<Reply, ApiError> {
    let new = object(&body)?;
    let now = shared.clock.now();
    let mut flexorch = shared.flexorch();
    let (tenant, ids, rules) = flexorch.tenant_and_ids(&key);
    tenant.create_webhook(new, rules, ids, now).map(Reply::created)
}

/// Handles `GET /webhooks`.
pub(crate) async fn list(State(shared): State<Shared>, Extension(key): Extension<ApiKey>) -> Reply {
    let items = shared.flexorch().tenant(&key).list_webhooks();
    Reply::ok(json!({ "items": items }))
}

/// Handles `DELETE /webhooks/{id}`.
pub(crate) async fn delete(
    State(shared): State<Shared>,
    Extension(key): Extension<ApiKey>,
    Path(id): Path<String>,
) -> Result<Reply, ApiError> {
    shared.flexorch().tenant(&key).delete_webhook(&id)?;
    Ok(Reply::no_content())
}
