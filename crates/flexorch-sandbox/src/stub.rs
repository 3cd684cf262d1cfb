//! A server that responds to every request with what its caller computes from it: for the responses that no service of this crate
//! gives, such as an error text of the test's own.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The running server; dropping it stops it.
#[derive(Debug)]
pub struct Stub {
    address: SocketAddr,
    server: JoinHandle<io::Result<()>>,
}

impl Stub {
    /// Starts a server on a free port of 127.0.0.1. `respond` takes a request's headers and body, and returns the status, media
    /// type and body of the response; a status that HTTP does not have becomes 500.
    ///
    /// # Errors
    /// No port can be bound.
    pub async fn start<F>(respond: F) -> io::Result<Self>
    where
        F: Fn(&HeaderMap, &[u8]) -> (u16, &'static str, String) + Clone + Send + Sync + 'static,
    {
        let handler = async move |headers: HeaderMap, body: Bytes| {
            let (status, media_type, body) = respond(&headers, &body);
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, [(CONTENT_TYPE, media_type)], body).into_response()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
        Ok(Self { address, server })
    }

    /// Starts an AWS service that refuses every call with an error of its JSON protocol.
    ///
    /// # Errors
    /// No port can be bound.
    pub async fn refusing(code: &'static str, message: impl Into<String>) -> io::Result<Self> {
        let body = json!({"__type": format!("com.amazonaws#{code}"), "message": message.into()}).to_string();
        Self::start(move |_, _| (400, "application/x-amz-json-1.0", body.clone())).await
    }

    /// Starts a FlexOrch that responds to a submission of keys with what `data` returns for them.
    ///
    /// # Errors
    /// No port can be bound.
    pub async fn flexorch(data: impl Fn(Vec<String>) -> Value + Clone + Send + Sync + 'static) -> io::Result<Self> {
        Self::start(move |_, body| {
            let submission: Value = serde_json::from_slice(body).unwrap_or_default();
            let keys = serde_json::from_value(submission["source"]["keys"].clone()).unwrap_or_default();
            (202, "application/json", json!({"status": "accepted", "data": data(keys), "error": null}).to_string())
        })
        .await
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.server.abort();
    }
}
