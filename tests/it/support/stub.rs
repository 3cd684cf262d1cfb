//! A server that responds to every request with what the test computes from it.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The server; it ends with this value.
pub struct Stub {
    address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl Stub {
    /// Starts a server. `respond` takes headers and body of a request, and returns status, media type and body of the response.
    pub async fn start<F>(respond: F) -> Self
    where
        F: Fn(&HeaderMap, &[u8]) -> (u16, &'static str, String) + Clone + Send + Sync + 'static,
    {
        let handler = async move |headers: HeaderMap, body: Bytes| {
            let (status, media_type, body) = respond(&headers, &body);
            (StatusCode::from_u16(status).unwrap(), [(CONTENT_TYPE, media_type)], body).into_response()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await.unwrap() });
        Self { address, server }
    }

    /// An AWS service that refuses every call with an error of its JSON protocol.
    pub async fn refusing(code: &'static str, message: impl Into<String>) -> Self {
        let body = json!({"__type": format!("com.amazonaws#{code}"), "message": message.into()}).to_string();
        Self::start(move |_, _| (400, "application/x-amz-json-1.0", body.clone())).await
    }

    /// A FlexOrch that responds to a submission of keys with what `data` returns for them.
    pub async fn flexorch(data: impl Fn(Vec<String>) -> Value + Clone + Send + Sync + 'static) -> Self {
        Self::start(move |_, body| {
            let submission: Value = serde_json::from_slice(body).unwrap();
            let keys = serde_json::from_value(submission["source"]["keys"].clone()).unwrap();
            (202, "application/json", json!({"status": "accepted", "data": data(keys), "error": null}).to_string())
        })
        .await
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.server.abort();
    }
}
