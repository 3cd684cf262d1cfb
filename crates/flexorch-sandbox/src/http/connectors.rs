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
            answer::{ApiError, Reply},
            connector::{Connector, NewConnector},
            schedule::NewSchedule,
        },
        api_key::ApiKey,
    },
    Shared,
};

type Answer = Result<Reply, ApiError>;

/// `POST /connectors`.
pub(crate) async fn create(State(shared): State<Shared>, Extension(key): Extension<ApiKey>, body: Bytes) -> Answer {
    let new: NewConnector = object(&body)?;
    let now = shared.clock.now();
    let mut flexorch = shared.flexorch();
    let (tenant, ids, _) = flexorch.tenant_and_ids(&key);
    tenant.create_connector(new, ids, now).map(Reply::created)
}

/// `GET /connectors`.
pub(crate) async fn list(State(shared): State<Shared>, Extension(key): Extension<ApiKey>) -> Reply {
    let items = shared.flexorch().tenant(&key).list_connectors();
    Reply::ok(json!({ "items": items }))
}

/// `GET /connectors/{id}`.
pub(crate) async fn show(
    State(shared): State<Shared>,
    Extension(key): Extension<ApiKey>,
    Path(id): Path<String>,
) -> Answer {
    with(&shared, &key, &id, |connector| Ok(Reply::ok(connector.show())))
}

/// `DELETE /connectors/{id}`.
pub(crate) async fn delete(
    State(shared): State<Shared>,
    Extension(key): Extension<ApiKey>,
    Path(id): Path<String>,
) -> Answer {
    with(&shared, &key, &id, |connector| {
        connector.active = false;
        Ok(Reply::no_content())
    })
}

/// `POST /connectors/{id}/test`.
pub(crate) async fn test(
    State(shared): State<Shared>,
    Extension(key): Extension<ApiKey>,
    Path(id): Path<String>,
) -> Answer {
    let now = shared.clock.now();
    with(&shared, &key, &id, |connector| Ok(Reply::ok(connector.test(now))))
}

/// `POST /connectors/{id}/schedules`.
pub(crate) async fn create_schedule(
    State(shared): State<Shared>,
    Extension(key): Extension<ApiKey>,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer {
    let new: NewSchedule = object(&body)?;
    let now = shared.clock.now();
    let mut flexorch = shared.flexorch();
    let (tenant, ids, rules) = flexorch.tenant_and_ids(&key);
    tenant.connector(&id)?.add_schedule(new, rules.plan, ids, now).map(Reply::created)
}

/// `GET /connectors/{id}/schedules`: a bare list under `data`, unlike the connectors'.
pub(crate) async fn list_schedules(
    State(shared): State<Shared>,
    Extension(key): Extension<ApiKey>,
    Path(id): Path<String>,
) -> Answer {
    with(&shared, &key, &id, |connector| Ok(Reply::ok(connector.list_schedules())))
}

/// `DELETE /connectors/{id}/schedules/{schedule_id}`.
pub(crate) async fn delete_schedule(
    State(shared): State<Shared>,
    Extension(key): Extension<ApiKey>,
    Path((id, schedule)): Path<(String, String)>,
) -> Answer {
    with(&shared, &key, &id, |connector| {
        connector.delete_schedule(&schedule)?;
        Ok(Reply::no_content())
    })
}

/// `POST /connectors/{id}/schedules/{schedule_id}/trigger`.
pub(crate) async fn trigger_schedule(
    State(shared): State<Shared>,
    Extension(key): Extension<ApiKey>,
    Path((id, schedule)): Path<(String, String)>,
) -> Answer {
    let now = shared.clock.now();
    let mut flexorch = shared.flexorch();
    let (tenant, ids, _) = flexorch.tenant_and_ids(&key);
    let schedule = tenant.connector(&id)?.schedule(&schedule)?;
    Ok(Reply::ok(schedule.trigger(ids.next_run(), now)))
}

/// `GET /connectors/{id}/schedules/{schedule_id}/logs`.
pub(crate) async fn schedule_logs(
    State(shared): State<Shared>,
    Extension(key): Extension<ApiKey>,
    Path((id, schedule)): Path<(String, String)>,
) -> Answer {
    with(&shared, &key, &id, |connector| Ok(Reply::ok(connector.schedule(&schedule)?.logs())))
}

/// Does something with a connector of the tenant's.
fn with(shared: &Shared, key: &ApiKey, id: &str, then: impl FnOnce(&mut Connector) -> Answer) -> Answer {
    then(shared.flexorch().tenant(key).connector(id)?)
}

/// A JSON object. The error says nothing of the body, which may hold credentials.
fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|_| ApiError::validation("The body must be a JSON object."))
}
