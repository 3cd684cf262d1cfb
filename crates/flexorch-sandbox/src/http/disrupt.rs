//! What a fault's effect looks like on the wire.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        api::answer::error_envelope,
        fault::{CannedAnswer, Effect, default_code},
        server::Reset,
    },
    body::{EndlessBody, TruncatedBody},
    respond::{json, status},
};

/// The response that makes this effect happen. `stop` ends one that hangs.
pub(crate) async fn response(effect: &Effect, stop: &CancellationToken) -> Response {
    match effect {
        Effect::Answer(answer) => canned(answer),
        Effect::Hang => {
            // A client that goes away drops this future with its connection.
            stop.cancelled().await;
            reset()
        }
        Effect::Reset => reset(),
        Effect::Truncate => TruncatedBody::response(),
        Effect::Endless => EndlessBody::response(),
        Effect::Delay | Effect::Reject { .. } | Effect::FailJob { .. } => {
            // These do not disrupt a request: the table never hands them out as disruptions.
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Whether the client sees no response at all.
pub(crate) fn is_broken(response: &Response) -> bool {
    response.extensions().get::<Reset>().is_some()
}

fn reset() -> Response {
    let mut response = StatusCode::BAD_GATEWAY.into_response();
    response.extensions_mut().insert(Reset);
    response
}

fn canned(answer: &CannedAnswer) -> Response {
    let code = answer.code.as_deref().unwrap_or(default_code(answer.status));
    let message = answer.message.as_deref().unwrap_or("A rehearsed fault.");
    let says_why = answer.code.is_some() || answer.message.is_some();
    let mut response = match &answer.body {
        Some(body) => {
            let mut response = Response::new(Body::from(body.clone()));
            *response.status_mut() = status(answer.status);
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            response
        }
        None if answer.status < 400 && !says_why => status(answer.status).into_response(),
        None => json(status(answer.status), &error_envelope(code, message)),
    };
    let headers = response.headers_mut();
    let named = [(header::CONTENT_TYPE, &answer.content_type), (header::RETRY_AFTER, &answer.retry_after)];
    for (name, value) in named {
        if let Some(Ok(value)) = value.as_deref().map(HeaderValue::from_str) {
            headers.insert(name, value);
        }
    }
    for line in &answer.headers {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let name = HeaderName::from_bytes(name.trim().as_bytes());
        match (name, HeaderValue::from_str(value.trim())) {
            (Ok(name), Ok(value)) => {
                headers.insert(name, value);
            }
            _ => tracing::warn!(header = %line, "a fault's header is not one of HTTP's"),
        }
    }
    response
}
