//! The responses of faults.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        api::response::error_envelope,
        body::{EndlessBody, TruncatedBody},
        fault::{CannedResponse, Effect, default_code},
        server::reset,
    },
    respond::{json, status},
};

/// Returns the response of an effect. `stop` ends one that hangs.
pub(crate) async fn response(effect: &Effect, stop: &CancellationToken) -> Response {
    match effect {
        Effect::Respond(response) => canned(response),
        Effect::Hang => {
            // If the client disconnects, this future is dropped with its connection.
            stop.cancelled().await;
            reset()
        }
        Effect::Reset => reset(),
        Effect::Truncate => TruncatedBody::response(StatusCode::ACCEPTED),
        Effect::Endless => EndlessBody::response(),
        Effect::Delay | Effect::Reject { .. } | Effect::FailJob { .. } => {
            // These do not disrupt a request: the table never returns them as disruptions.
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn canned(canned: &CannedResponse) -> Response {
    let code = canned.code.as_deref().unwrap_or(default_code(canned.status));
    let message = canned.message.as_deref().unwrap_or("A rehearsed fault.");
    let says_why = canned.code.is_some() || canned.message.is_some();
    let mut response = match &canned.body {
        Some(body) => {
            let mut response = Response::new(Body::from(body.clone()));
            *response.status_mut() = status(canned.status);
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            response
        }
        None if canned.status < 400 && !says_why => status(canned.status).into_response(),
        None => json(status(canned.status), &error_envelope(code, message)),
    };
    let headers = response.headers_mut();
    let named = [(header::CONTENT_TYPE, &canned.content_type), (header::RETRY_AFTER, &canned.retry_after)];
    for (name, value) in named {
        if let Some(Ok(value)) = value.as_deref().map(HeaderValue::from_str) {
            headers.insert(name, value);
        }
    }
    for line in &canned.headers {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let name = HeaderName::from_bytes(name.trim().as_bytes());
        match (name, HeaderValue::from_str(value.trim())) {
            (Ok(name), Ok(value)) => {
                headers.insert(name, value);
            }
            _ => tracing::warn!(header = %line, "a fault's header is not valid"),
        }
    }
    response
}
