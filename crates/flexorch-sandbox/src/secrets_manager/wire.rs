//! awsJson1.1 over HTTP: `POST /`, the operation in `X-Amz-Target`, errors by `__type`.

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::post,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        aws_fault::{hang, take_time},
        aws_signature::{ACCOUNT, SignatureError, signed_region},
        http::body::TruncatedBody,
    },
    SecretsCall, SecretsFault, Shared,
    store::SecretsError,
};

/// The fields of all operations' inputs that matter here. It has no `Debug`: one of them is the secret.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Input {
    secret_id: Option<String>,
    name: Option<String>,
    secret_string: Option<String>,
    client_request_token: Option<String>,
    version_id: Option<String>,
    version_stage: Option<String>,
}

#[derive(Clone, Debug)]
struct Endpoint {
    shared: Shared,
    stop: CancellationToken,
}

/// The endpoint. `stop` ends calls that hang.
pub(super) fn router(shared: Shared, stop: CancellationToken) -> Router {
    Router::new().route("/", post(call)).with_state(Endpoint { shared, stop })
}

async fn call(State(endpoint): State<Endpoint>, headers: HeaderMap, body: Bytes) -> Response {
    let request = match Request::read(&headers, &body) {
        Ok(request) => request,
        Err(error) => return error.into_response(),
    };
    let (fault, latency) = endpoint.shared.note(&request);
    take_time(latency).await;
    let result = match fault {
        None => endpoint.shared.answer(request),
        Some(SecretsFault::Hang) => return hang(&endpoint.stop).await,
        Some(SecretsFault::BrokenOff) => {
            let mut response = TruncatedBody::response();
            *response.status_mut() = StatusCode::OK;
            return response;
        }
        Some(SecretsFault::WithoutValue) => Ok(json!({"Name": request.secret_id()})),
        Some(SecretsFault::Page) => return Html("<html>maintenance</html>").into_response(),
        Some(SecretsFault::Truncated) => {
            let response = endpoint.shared.answer(request).map(|output| output.to_string());
            return match response {
                Ok(text) => aws_json_text(StatusCode::OK, text.chars().take(text.chars().count() / 2).collect()),
                Err(error) => error.into_response(),
            };
        }
        Some(SecretsFault::NotFound) => Err(SecretsError::not_found()),
        Some(SecretsFault::AccessDenied) => Err(SecretsError::client(
            "AccessDeniedException",
            format!(
                "User: arn:aws:sts::{ACCOUNT}:assumed-role/sandbox is not authorized to perform: \
                 secretsmanager:{} on resource: {}",
                request.operation,
                request.secret_id()
            ),
        )),
        Some(SecretsFault::Throttling) => Err(SecretsError::client("ThrottlingException", "Rate exceeded")),
        Some(SecretsFault::Internal) => Err(SecretsError {
            status: 500,
            kind: "InternalServiceError",
            message: "An error occurred on the server side.".to_owned(),
        }),
    };
    match result {
        Ok(output) => aws_json(StatusCode::OK, &output),
        Err(error) => error.into_response(),
    }
}

/// A call, read.
struct Request {
    operation: String,
    region: String,
    input: Input,
}

impl Request {
    fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, SecretsError> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let region = signed_for(text("authorization"))?;
        let operation =
            text("x-amz-target").and_then(|target| target.strip_prefix("secretsmanager.")).ok_or_else(|| {
                let message = "X-Amz-Target names no operation of Secrets Manager.";
                SecretsError::client("UnknownOperationException", message)
            })?;
        // serde's own message may quote the input, which may be the secret.
        let input = serde_json::from_slice(body)
            .map_err(|_| SecretsError::client("SerializationException", "The body is not as it must be."))?;
        Ok(Self { operation: operation.to_owned(), region: region.to_owned(), input })
    }

    fn secret_id(&self) -> &str {
        let id = self.input.secret_id.as_ref().or(self.input.name.as_ref());
        id.map_or("", String::as_str)
    }
}

/// The region that a call was signed for.
fn signed_for(authorization: Option<&str>) -> Result<&str, SecretsError> {
    signed_region(authorization, "secretsmanager").map_err(|error| match error {
        SignatureError::Missing => {
            SecretsError::client("MissingAuthenticationTokenException", "Missing Authentication Token")
        }
        SignatureError::Malformed => {
            let message = "Authorization is no AWS4-HMAC-SHA256 signature for secretsmanager.";
            SecretsError::client("IncompleteSignatureException", message)
        }
    })
}

impl Shared {
    /// Logs a call, and says what it meets.
    fn note(&self, request: &Request) -> (Option<SecretsFault>, std::time::Duration) {
        let mut state = self.lock();
        let id = request.secret_id();
        let call = SecretsCall {
            operation: request.operation.clone(),
            secret_id: id.to_owned(),
            region: request.region.clone(),
            name: state.store.resolve(id, &request.region).map(str::to_owned),
        };
        tracing::debug!(operation = %call.operation, secret_id = %call.secret_id, region = %call.region, "secrets call");
        let of_secret = call.name.as_ref().and_then(|name| state.of_secret.get(name)).copied();
        let (fault, latency) = state.calls.note(&request.operation, call);
        (of_secret.or(fault), latency)
    }

    fn answer(&self, request: Request) -> Result<Value, SecretsError> {
        let now = self.clock.now();
        let mut state = self.lock();
        let store = &mut state.store;
        let Request { operation, region, input } = request;
        let token = input.client_request_token.as_deref();
        if operation == "CreateSecret" {
            let name = required(input.name, "Name")?;
            return store.create(&name, &region, input.secret_string, token, now);
        }
        let known = ["GetSecretValue", "DescribeSecret", "PutSecretValue"];
        if !known.contains(&operation.as_str()) {
            let message = format!("The sandbox has no {operation}.");
            return Err(SecretsError::client("UnknownOperationException", message));
        }
        let id = required(input.secret_id, "SecretId")?;
        let name = store.resolve(&id, &region).ok_or_else(SecretsError::not_found)?.to_owned();
        match operation.as_str() {
            "GetSecretValue" => {
                store.get_value(&name, &region, input.version_id.as_deref(), input.version_stage.as_deref())
            }
            "DescribeSecret" => store.describe(&name, &region),
            _ => {
                let secret_string = required(input.secret_string, "SecretString")?;
                store.put_value(&name, &region, secret_string, token, now)
            }
        }
    }
}

fn required(value: Option<String>, field: &str) -> Result<String, SecretsError> {
    value.filter(|text| !text.is_empty()).ok_or_else(|| {
        let message = format!("You must provide a value for the {field} parameter.");
        SecretsError::client("InvalidParameterException", message)
    })
}

impl IntoResponse for SecretsError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = json!({"__type": self.kind, "Message": self.message});
        let mut response = aws_json(status, &body);
        response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(self.kind));
        response
    }
}

fn aws_json(status: StatusCode, body: &Value) -> Response {
    aws_json_text(status, body.to_string())
}

fn aws_json_text(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_the_one_of_the_credential_scope() {
        let header = "AWS4-HMAC-SHA256 Credential=A/K/20260131/eu-west-1/secretsmanager/aws4_request, \
                      SignedHeaders=host, Signature=00";
        assert_eq!(signed_for(Some(header)), Ok("eu-west-1"));
    }

    #[test]
    fn a_call_that_is_not_signed_for_secrets_manager_is_refused() {
        let kind = |header| signed_for(header).unwrap_err().kind;
        assert_eq!(kind(None), "MissingAuthenticationTokenException");
        for header in [
            "Bearer x",
            "AWS4-HMAC-SHA256 Credential=x",
            "AWS4-HMAC-SHA256 Credential=A/20260131/eu-west-1/s3/aws4_request, Signature=0",
        ] {
            assert_eq!(kind(Some(header)), "IncompleteSignatureException");
        }
    }
}
