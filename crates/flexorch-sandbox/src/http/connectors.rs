//! Connectors and their schedules.

use axum::{
    Extension,
    body::Bytes,
    extract::{Path, State},
};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{
    super::{
        api::{
            connector::{Connector, NewConnector},
            response::{ApiError, Reply},
            schedule::NewSchedule,
        },
        api_key::ApiKey,
    },
    shared::Shared,
};

type ApiResult = Result<Reply, ApiError>;

/// Handles `POST /connectors`.
pub(crate) async fn create(State(shared): State<Shared>, Extension(key): Extension<ApiKey>, body: Bytes) -> ApiResult {
    let new: NewConnector = object(&body)?;
    let now = shared.clock.now();
    let mut flexorch = shared.flexorch();
    let (tenant, ids, _) = flexorch.tenant_and_ids(&key);
    tenant.create_connector(new, ids, now).map(Reply::created)
}

/// Handles `GET /connectors`.
pub(crate) async fn list(State(shared): State<Shared>, Extension(key): Extension<ApiKey>) -> Reply {
    let items = shared.flexorch().tenant(&key).list_connectors();
    Reply::ok(json!({ "items": items }))
}

/// Handles `GET /connectors/{id}`.
pub(crate) async fn show(
    State(shared): State<Shared>,
    Extension(key): Extension<ApiKey>,
    Path(id): Path<String>,
) -> ApiResult {
    with(&shared, &key, &id, |connector| Ok(Reply::ok(connector.show())))
}

/// Handles `DELETE /connectors/{id}`.
pub(crate) async fn delete(
    State(shared): State<Shared>,
    Extension(key): Extension<ApiKey>,
    Path(id): Path<String>,
) -> ApiResult {
    with(&shared, &key, &id, |connector| {
        connector.active = false;
        Ok(Reply::no_content())
    })
}

/// Handles `POST /connectors/{id}/test`.
pub(crate) async fn test(
    State(shared): State<Shared>,
    Extension(key): Extension<ApiKey>,
    Path(id): Path<String>,
) -> ApiResult {
    let now = shared.clock.now();
    with(&shared, &key, &id, |connector| {
        let readable = shared.can_read(connector);
        Ok(Reply::ok(connector.test(readable, now)))
    })
}

/// Handles `POST /connectors/{id}/schedules`.
pub(crate) async fn create_schedule(
    State(shared): State<Shared>,
    Extension(key): Extension<ApiKey>,
    Path(id): Path<String>,
    body: Bytes,
) -> ApiResult {
    let new: NewSchedule = object(&body)?;
    let now = shared.clock.now();
    let mut flexorch = shared.flexorch();
    let (tenant, ids, rules) = flexorch.tenant_and_ids(&key);
    tenant.connector(&id)?.add_schedule(new, rules.plan, ids, now).map(Reply::created)
}

/// Handles `GET /connectors/{id}/schedules`: a bare list under `data`, unlike the connectors'.
pub(crate) async fn list_schedules(
    State(shared): State<Shared>,
    Extension(key): Extension<ApiKey>,
    Path(id): Path<String>,
) -> ApiResult {
    with(&shared, &key, &id, |connector| Ok(Reply::ok(connector.list_schedules())))
}

/// Handles `DELETE /connectors/{id}/schedules/{schedule_id}`.
pub(crate) async fn delete_schedule(
    State(shared): State<Shared>,
    Extension(key): Extension<ApiKey>,
    Path((id, schedule)): Path<(String, String)>,
) -> ApiResult {
    with(&shared, &key, &id, |connector| {
        connector.delete_schedule(&schedule)?;
        Ok(Reply::no_content())
    })
}

/// Handles `POST /connectors/{id}/schedules/{schedule_id}/trigger`.
pub(crate) async fn trigger_schedule(
    State(shared): State<Shared>,
    Extension(key): Extension<ApiKey>,
    Path((id, schedule)): Path<(String, String)>,
) -> ApiResult {
    let now = shared.clock.now();
    let mut flexorch = shared.flexorch();
    let (tenant, ids, _) = flexorch.tenant_and_ids(&key);
    let schedule = tenant.connector(&id)?.schedule(&schedule)?;
    Ok(Reply::ok(schedule.trigger(ids.next_run(), now)))
}

/// Handles `GET /connectors/{id}/schedules/{schedule_id}/logs`.
pub(crate) async fn schedule_logs(
    State(shared): State<Shared>,
    Extension(key): Extension<ApiKey>,
    Path((id, schedule)): Path<(String, String)>,
) -> ApiResult {
    with(&shared, &key, &id, |connector| Ok(Reply::ok(connector.schedule(&schedule)?.logs())))
}

/// Calls a function with a connector of the tenant.
fn with(shared: &Shared, key: &ApiKey, id: &str, then: impl FnOnce(&mut Connector) -> ApiResult) -> ApiResult {
    then(shared.flexorch().tenant(key).connector(id)?)
}

/// Parses a JSON object. The error does not quote the body, which may hold credentials.
pub(crate) fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|_| ApiError::validation("The body must be a JSON object."))
}
