//! A server with the responses of its caller, for responses that no service of this crate gives.

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::IntoResponse;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::server::{SandboxError, Server};

/// A running server. It stops in the background when it is dropped.
#[derive(Debug)]
pub struct Stub(Server);

/// A request to a stub.
#[derive(Debug)]
pub struct StubRequest {
    /// The method, such as `GET`.
    pub method: String,
    /// The path, percent-encoded as it was sent.
    pub path: String,
    /// The query without its question mark; empty if there is none.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Stub {
    /// Starts a server on a free port of 127.0.0.1. `respond` takes a request's headers and body, and returns the status, media
    /// type and body of the response; a status that HTTP does not have becomes 500.
    ///
    /// # Errors
    ///
    /// If no port can be bound.
    pub async fn start<F>(respond: F) -> Result<Self, SandboxError>
    where
        F: Fn(&HeaderMap, &[u8]) -> (u16, &'static str, String) + Clone + Send + Sync + 'static,
    {
        Self::routed(move |request| respond(&request.headers, &request.body)).await
    }

    /// Starts a server as [`Stub::start`] does, for responses that depend on the method or path, too.
    ///
    /// # Errors
    ///
    /// If no port can be bound.
    pub async fn routed<F>(respond: F) -> Result<Self, SandboxError>
    where
        F: Fn(&StubRequest) -> (u16, &'static str, String) + Clone + Send + Sync + 'static,
    {
        let handler = async move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let (path, query) = (uri.path().to_owned(), uri.query().unwrap_or_default().to_owned());
            let request = StubRequest { method: method.to_string(), path, query, headers, body };
            let (status, media_type, body) = respond(&request);
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, [(CONTENT_TYPE, media_type)], body).into_response()
        };
        Ok(Self(Server::start(0, CancellationToken::new(), Router::new().fallback(handler)).await?))
    }

    /// Starts an AWS service that refuses every call with an error of its JSON protocol.
    ///
    /// # Errors
    ///
    /// If no port can be bound.
    pub async fn refusing(code: &'static str, message: impl Into<String>) -> Result<Self, SandboxError> {
        let body = json!({"__type": format!("com.amazonaws#{code}"), "message": message.into()}).to_string();
        Self::start(move |_, _| (400, "application/x-amz-json-1.0", body.clone())).await
    }

    /// Starts a FlexOrch that responds to a submission of keys with what `data` returns for them.
    ///
    /// # Errors
    ///
    /// If no port can be bound.
    pub async fn flexorch(
        data: impl Fn(Vec<String>) -> Value + Clone + Send + Sync + 'static,
    ) -> Result<Self, SandboxError> {
        Self::start(move |_, body| {
            let submission: Value = serde_json::from_slice(body).unwrap_or_default();
            let keys = serde_json::from_value(submission["source"]["keys"].clone()).unwrap_or_default();
            (202, "application/json", json!({"status": "accepted", "data": data(keys), "error": null}).to_string())
        })
        .await
    }

    /// Returns its URL, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.0.address())
    }
}
