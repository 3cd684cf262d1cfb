//! IAM as a service: its query protocol (a form in, XML out), recorded calls, and operations.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::error::IamError;
use super::store::Store;
use super::xml;
use crate::api::form;
use crate::aws::endpoint::{Service, Shared};
use crate::aws::fault::{Failure, Verdict};
use crate::aws::signature::signed_region;

/// A recorded call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IamCall {
    /// The operation, `CreateAccessKey` for example.
    pub operation: String,
    /// The user's name.
    pub user: String,
    /// The access key's id, if the call names one.
    pub access_key_id: Option<String>,
    /// The region that the call was signed for.
    pub region: String,
}

impl Service for Store {
    type Call = IamCall;

    const EMPTY_DOCUMENT: &'static str = "<Empty/>";

    fn router(shared: Shared<Self>) -> Router {
        Router::new().fallback(handle).with_state(shared)
    }
}

async fn handle(State(shared): State<Shared<Store>>, headers: HeaderMap, body: Bytes) -> Response {
    let request_id = format!("sandbox-{:016x}", fastrand::u64(..));
    match respond(&shared, &headers, &body, &request_id).await {
        Ok(response) => response,
        Err(error) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            document(status, xml::error(&error, &request_id))
        }
    }
}

async fn respond(
    shared: &Shared<Store>,
    headers: &HeaderMap,
    body: &[u8],
    request_id: &str,
) -> Result<Response, IamError> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let region = signed_region(authorization, "iam")?.to_owned();
    let fields = form::decode(&String::from_utf8_lossy(body));
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
    let call = IamCall {
        operation: field("Action").ok_or_else(|| IamError::missing("Action"))?,
        user: field("UserName").ok_or_else(|| IamError::missing("UserName"))?,
        access_key_id: field("AccessKeyId"),
        region,
    };
    let verdict = shared.receive(&call.operation, &call.user, call.clone()).await;
    match verdict {
        Verdict::Respond | Verdict::RespondInPart | Verdict::Damage(_) => {}
        Verdict::Hang => return Ok(shared.hang().await),
        Verdict::Fail(Failure::NotFound) => return Err(IamError::no_such_user(&call.user)),
        Verdict::Fail(Failure::AccessDenied) => return Err(IamError::access_denied(&call.operation, &call.user)),
        Verdict::Fail(Failure::Throttling | Failure::ThroughputExceeded) => return Err(IamError::throttled()),
        Verdict::Fail(Failure::Internal) => return Err(IamError::internal()),
    }
    let result = perform(shared, &call)?;
    let response = document(StatusCode::OK, xml::response(&call.operation, &result, request_id));
    Ok(match verdict {
        Verdict::Damage(damage) => shared.damage(response, damage).await,
        _ => response,
    })
}

/// Does what a call asks, and returns the contents of its result.
fn perform(shared: &Shared<Store>, call: &IamCall) -> Result<String, IamError> {
    let now = shared.now();
    let mut store = shared.service();
    match call.operation.as_str() {
        "GetUser" => store.user(&call.user).map(|()| xml::user(&call.user)),
        "ListAccessKeys" => Ok(xml::keys(&call.user, store.list(&call.user)?)),
        "CreateAccessKey" => Ok(xml::new_key(&call.user, &store.create(&call.user, now)?)),
        "DeleteAccessKey" => {
            let id = call.access_key_id.as_deref().ok_or_else(|| IamError::missing("AccessKeyId"))?;
            store.delete(&call.user, id).map(|()| String::new())
        }
        unknown => Err(IamError::unknown_operation(unknown)),
    }
}

fn document(status: StatusCode, xml: String) -> Response {
    let mut response = Response::new(Body::from(xml));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    response
}
