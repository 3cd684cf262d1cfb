//! AWS's JSON protocols over HTTP: the operation in `X-Amz-Target`, errors by `__type`.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::endpoint::{Service, Shared};
use super::fault::{Failure, Verdict};
use super::signature::{SignatureError, signed_region};

/// The largest body of a request: a mebibyte of SQS messages needs six times as much if JSON writes each character as `\u0001`.
const MOST_BODY_BYTES: usize = 8 * 1024 * 1024;

/// A service with a JSON protocol.
pub(crate) trait JsonService: Service {
    /// The service's name in a signature's scope.
    const SIGNING_NAME: &'static str;
    /// What precedes the operation in `X-Amz-Target`, with the dot.
    const TARGET_PREFIX: &'static str;
    /// The type of every body.
    const CONTENT_TYPE: &'static str;

    /// The fields of all operations' inputs that the service reads.
    type Input: DeserializeOwned + Send;
    /// The service's errors.
    type Error: JsonError + Send;

    /// Returns what is recorded of a call.
    fn call(&self, request: &Request<Self::Input>) -> Self::Call;

    /// Returns the name of the resource that a call is about.
    fn resource(call: &Self::Call) -> &str;

    /// Returns the error of a fault.
    fn failure(failure: Failure, request: &Request<Self::Input>) -> Self::Error;

    /// Does what a call asks. If `in_part`, every second entry of a batch fails.
    fn respond(
        shared: &Shared<Self>,
        request: Request<Self::Input>,
        in_part: bool,
    ) -> impl Future<Output = Result<Value, Self::Error>> + Send;
}

/// An error of a JSON protocol.
pub(crate) trait JsonError: From<ProtocolError> {
    /// Returns the HTTP status, 400 to 599.
    fn status(&self) -> u16;
    /// Returns the body.
    fn body(&self) -> Value;
    /// Returns the header by which SDKs recognise the error.
    fn header(&self) -> (&'static str, String);
}

/// Why a request is refused before its operation is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProtocolError {
    /// There is no signature for the service.
    Signature(SignatureError),
    /// `X-Amz-Target` names no operation of the service.
    NoOperation,
    /// The body is not JSON, or a field has another type.
    Body,
}

/// A request, parsed. It has no `Debug`: a secret may be in it.
pub(crate) struct Request<I> {
    /// `GetSecretValue`, for example.
    pub(crate) operation: String,
    /// The region that the call was signed for.
    pub(crate) region: String,
    /// The server's address as the client knows it.
    pub(crate) host: String,
    pub(crate) input: I,
}

/// Returns the routes of a service: every path, because some SDKs call a queue at its URL.
pub(crate) fn router<S: JsonService>(shared: Shared<S>) -> Router {
    Router::new().fallback(handle::<S>).layer(DefaultBodyLimit::max(MOST_BODY_BYTES)).with_state(shared)
}

async fn handle<S: JsonService>(State(shared): State<Shared<S>>, headers: HeaderMap, body: Bytes) -> Response {
    let request = match parse::<S>(&headers, &body) {
        Ok(request) => request,
        Err(error) => return error_response::<S>(&error.into()),
    };
    let call = shared.service().call(&request);
    let resource = S::resource(&call).to_owned();
    let verdict = shared.receive(&request.operation, &resource, call).await;
    let result = match verdict {
        Verdict::Respond | Verdict::Damage(_) => S::respond(&shared, request, false).await,
        Verdict::RespondInPart => S::respond(&shared, request, true).await,
        Verdict::Fail(failure) => Err(S::failure(failure, &request)),
        Verdict::Hang => return shared.hang().await,
    };
    let response = match result {
        Ok(output) => response::<S>(StatusCode::OK, &output),
        Err(error) => error_response::<S>(&error),
    };
    match verdict {
        Verdict::Damage(damage) => shared.damage(response, damage).await,
        _ => response,
    }
}

fn parse<S: JsonService>(headers: &HeaderMap, body: &[u8]) -> Result<Request<S::Input>, ProtocolError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let region = signed_region(text("authorization"), S::SIGNING_NAME).map_err(ProtocolError::Signature)?;
    let operation = text("x-amz-target")
        .and_then(|target| target.strip_prefix(S::TARGET_PREFIX))
        .ok_or(ProtocolError::NoOperation)?;
    // serde's own message may quote the body, which may hold a secret.
    let input = serde_json::from_slice(body).map_err(|_| ProtocolError::Body)?;
    Ok(Request {
        operation: operation.to_owned(),
        region: region.to_owned(),
        host: text("host").unwrap_or("127.0.0.1").to_owned(),
        input,
    })
}

fn error_response<S: JsonService>(error: &S::Error) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = response::<S>(status, &error.body());
    let (name, value) = error.header();
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
    response
}

fn response<S: JsonService>(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(S::CONTENT_TYPE));
    if let Ok(id) = HeaderValue::try_from(format!("sandbox-{:016x}", fastrand::u64(..))) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}
