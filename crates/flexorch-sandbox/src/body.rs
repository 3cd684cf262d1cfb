//! Bodies that never end or end too early.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use hyper::body::{Body as HttpBody, Frame};
use tokio::time::{Sleep, sleep};

/// The size of an endless body's chunks, and the pause between them: about 6 MB a second exceed any limit of a reader, but not the
/// machine's.
const CHUNK: usize = 64 * 1024;
const PAUSE: Duration = Duration::from_millis(10);

/// The `Content-Length` of a truncated response, and its body.
const PROMISED: u64 = 4096;
const BEGINNING: &str = r#"{"status":"accepted","data":{"accepted":"#;

/// The body was cut off on purpose.
#[derive(Debug, thiserror::Error)]
#[error("truncated on purpose")]
pub(crate) struct Truncated;

/// JSON whose list of jobs never ends.
pub(crate) struct EndlessBody {
    begun: bool,
    pause: Pin<Box<Sleep>>,
}

impl EndlessBody {
    /// Returns a 200 with such a body.
    pub(crate) fn response() -> Response {
        let body = Self { begun: false, pause: Box::pin(sleep(Duration::ZERO)) };
        json_stream(StatusCode::OK, Body::new(body))
    }
}

impl HttpBody for EndlessBody {
    type Data = Bytes;
    type Error = Truncated;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        ready!(self.pause.as_mut().poll(context));
        self.pause = Box::pin(sleep(PAUSE));
        let chunk = if self.begun {
            let job = r#"{"job_id":"j-0","status":"queued"},"#;
            Bytes::from(job.repeat(CHUNK / job.len()))
        } else {
            Bytes::from_static(br#"{"status":"success","data":{"jobs":["#)
        };
        self.begun = true;
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }
}

/// The beginning of a response, then the end of the connection.
pub(crate) struct TruncatedBody {
    begun: bool,
    pause: Pin<Box<Sleep>>,
}

impl TruncatedBody {
    /// Returns a response whose `Content-Length` is larger than the body.
    pub(crate) fn response(status: StatusCode) -> Response {
        let body = Self { begun: false, pause: Box::pin(sleep(PAUSE)) };
        let mut response = json_stream(status, Body::new(body));
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(PROMISED));
        response
    }
}

impl HttpBody for TruncatedBody {
    type Data = Bytes;
    type Error = Truncated;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        if self.begun {
            // Without the pause, hyper would drop the beginning, which it has not sent yet.
            ready!(self.pause.as_mut().poll(context));
            return Poll::Ready(Some(Err(Truncated)));
        }
        self.begun = true;
        let beginning = Bytes::from_static(BEGINNING.as_bytes());
        Poll::Ready(Some(Ok(Frame::data(beginning))))
    }
}

fn json_stream(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
