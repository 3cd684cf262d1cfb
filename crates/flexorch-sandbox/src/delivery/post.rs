//! One attempt of a delivery, over plain HTTP/1.1.

use std::io;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderName, Request, Uri, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The header with the signature.
const SIGNATURE: HeaderName = HeaderName::from_static("x-flexorch-signature");

/// The most bytes that are read of a response, of which only the status matters.
const MOST_RESPONSE_BYTES: usize = 64 * 1024;

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    #[error("the sandbox delivers to http:// URLs only")]
    Scheme,
    #[error("the URL is not valid")]
    Url(#[from] axum::http::uri::InvalidUri),
    #[error("the URL is not valid")]
    Request(#[from] axum::http::Error),
    #[error("cannot connect: {0}")]
    Connect(#[from] io::Error),
    #[error("the connection ended early: {0}")]
    Http(#[from] hyper::Error),
}

/// Sends a signed body and returns the response's status.
pub(super) async fn post(url: &str, body: String, signature: &str) -> Result<u16, PostError> {
    let url: Uri = url.parse()?;
    if url.scheme_str() != Some("http") {
        return Err(PostError::Scheme);
    }
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    // Names below localhost are loopback (RFC 6761), whatever the machine's resolver knows of them.
    let host = if host == "localhost" || host.ends_with(".localhost") { "127.0.0.1" } else { host };
    let stream = TcpStream::connect((host, url.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = AbortOnDrop(tokio::spawn(connection));
    let authority = url.authority().map(ToString::to_string).unwrap_or_default();
    let request = Request::post(url.path_and_query().map_or("/", |path| path.as_str()))
        .header(header::HOST, authority)
        .header(header::USER_AGENT, "FlexOrch-Webhook/1.0")
        .header(header::CONTENT_TYPE, "application/json")
        .header(SIGNATURE, signature)
        .body(Body::from(body))?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    // A body that is too large or breaks off changes nothing.
    let _ = to_bytes(Body::new(response.into_body()), MOST_RESPONSE_BYTES).await;
    drop(connection);
    Ok(status)
}

/// A task that is aborted when this is dropped.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
