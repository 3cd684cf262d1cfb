//! The admin path, `/_sandbox`, by which a test or an operator inspects and changes a running sandbox. It shows no API key.

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        api::response::ApiError,
        api_key::ApiKey,
        fault::{Fault, FaultError, FaultId},
    },
    respond::json as json_response,
    shared::Shared,
};

/// Returns the admin path's routes.
pub(crate) fn router(shared: Shared) -> Router {
    Router::new()
        .route("/_sandbox/requests", get(list_requests).delete(clear_requests))
        .route("/_sandbox/faults", get(list_faults).post(add_faults).delete(clear_faults))
        .route("/_sandbox/faults/{id}", delete(remove_fault))
        .route("/_sandbox/keys/revoke", post(revoke_key))
        .route("/_sandbox/keys/restore", post(restore_key))
        .route("/_sandbox/state", get(state))
        .with_state(shared)
}

async fn list_requests(State(shared): State<Shared>) -> Response {
    let requests = shared.log.list();
    ok(&json!({"count": requests.len(), "requests": requests}))
}

async fn clear_requests(State(shared): State<Shared>) -> StatusCode {
    shared.log.clear();
    StatusCode::NO_CONTENT
}

async fn list_faults(State(shared): State<Shared>) -> Response {
    ok(&json!({"faults": shared.faults.list()}))
}

/// Adds one fault as JSON, a list of them, or faults as on the command line, one a line: `curl -d hang` is enough.
async fn add_faults(State(shared): State<Shared>, body: Bytes) -> Response {
    match parse_faults(&body) {
        Ok(faults) => {
            let ids: Vec<FaultId> = faults.into_iter().map(|fault| shared.faults.add(fault)).collect();
            json_response(StatusCode::CREATED, &json!({ "ids": ids }))
        }
        Err(error) => ApiError::validation(error.to_string()).into_response(),
    }
}

/// Why a body holds no faults.
#[derive(Debug, thiserror::Error)]
enum BodyError {
    #[error(transparent)]
    Encoding(#[from] std::str::Utf8Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Fault(#[from] FaultError),
    #[error("There is no fault in the body, such as status=503,times=3.")]
    Empty,
}

fn parse_faults(body: &[u8]) -> Result<Vec<Fault>, BodyError> {
    let text = std::str::from_utf8(body)?;
    let faults: Vec<Fault> = match text.trim_start().chars().next() {
        Some('[') => serde_json::from_str(text)?,
        Some('{') => vec![serde_json::from_str(text)?],
        _ => {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            lines.map(str::parse).collect::<Result<_, FaultError>>()?
        }
    };
    if faults.is_empty() { Err(BodyError::Empty) } else { Ok(faults) }
}

async fn clear_faults(State(shared): State<Shared>) -> StatusCode {
    shared.faults.clear();
    StatusCode::NO_CONTENT
}

async fn remove_fault(State(shared): State<Shared>, Path(id): Path<u64>) -> Response {
    if shared.faults.remove(FaultId(id)) {
        StatusCode::NO_CONTENT.into_response()
    } else {
        ApiError::not_found(format_args!("Fault {id}")).into_response()
    }
}

/// `{"api_key": "dfx_…"}`. It has no `Debug`.
#[derive(Deserialize)]
struct KeyBody {
    api_key: String,
}

async fn revoke_key(State(shared): State<Shared>, body: Bytes) -> Response {
    with_key(&body, |key| {
        shared.flexorch().revoke(key);
        StatusCode::NO_CONTENT.into_response()
    })
}

async fn restore_key(State(shared): State<Shared>, body: Bytes) -> Response {
    with_key(&body, |key| {
        if shared.flexorch().restore(&key) {
            StatusCode::NO_CONTENT.into_response()
        } else {
            ApiError::not_found(format_args!("A revoked key {key}")).into_response()
        }
    })
}

fn with_key(body: &[u8], then: impl FnOnce(ApiKey) -> Response) -> Response {
    match serde_json::from_slice::<KeyBody>(body) {
        Ok(body) => then(ApiKey::new(body.api_key)),
        Err(_) => ApiError::validation("The body must be {\"api_key\": \"dfx_...\"}.").into_response(),
    }
}

async fn state(State(shared): State<Shared>) -> Response {
    let mut state = shared.flexorch().show(shared.clock.now());
    state["faults"] = json!(shared.faults.list().len());
    state["recorded_requests"] = json!(shared.log.len());
    ok(&state)
}

fn ok(body: &Value) -> Response {
    json_response(StatusCode::OK, body)
}
