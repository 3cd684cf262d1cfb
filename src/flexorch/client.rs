//! The client: sends one submission and classifies the response. It never retries and never follows a redirect.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Url};
use serde::Serialize;
use serde_json::value::RawValue;

use super::api_error::ApiError;
use super::response::{RawResponse, Response, read_response};
use crate::clock::Clock;
use crate::error::with_causes;
use crate::model::connector::Connector;
use crate::model::credentials::{ApiKey, ConnectorId};
use crate::redaction;

/// A response is read up to this many bytes, plus [`RESPONSE_BYTES_PER_KEY`].
const RESPONSE_BYTES: usize = 64 * 1024;

/// The bytes of a response that are read for each key of the request in addition: a job's entry holds its key, which is 1 KiB at
/// most.
const RESPONSE_BYTES_PER_KEY: usize = 4 * 1024;

/// The options that are sent with every submission.
#[derive(Debug, Clone, Default)]
pub struct SubmitOptions {
    /// The IETF language tag of the documents, or `und` for detection; `None` leaves it out.
    pub locale: Option<String>,
    /// A JSON object that is sent unchanged; `None` leaves it out.
    pub pipeline_config: Option<Box<RawValue>>,
}

/// A client of FlexOrch's API at one base URL.
#[derive(Debug, Clone)]
pub struct FlexOrchClient {
    http: Client,
    submit_url: Url,
    options: SubmitOptions,
    clock: Clock,
}

#[derive(Serialize)]
struct Submission<'a> {
    source: Source<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pipeline_config: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Source<'a> {
    connector_id: &'a ConnectorId,
    keys: &'a [&'a str],
}

impl FlexOrchClient {
    /// Creates a client for the API under `base_url`, which includes the version: `…/v1`.
    #[must_use]
    pub fn new(http: Client, base_url: &Url, options: SubmitOptions, clock: Clock) -> Self {
        Self { http, submit_url: endpoint(base_url, "data-process/async"), options, clock }
    }

    /// Submits object keys: `POST /data-process/async`. Every result is a [`Response`], including a failed connection. The
    /// response contains no secret that is registered with [`redaction`], such as the API key. The connector's own locale and
    /// pipeline configuration take precedence over this client's.
    pub async fn submit(&self, connector: &Connector, keys: &[&str], timeout: Duration) -> Response {
        redaction::register(connector.api_key.expose());
        let submission = Submission {
            source: Source { connector_id: &connector.id, keys },
            locale: connector.locale.as_deref().or(self.options.locale.as_deref()),
            pipeline_config: connector.pipeline_config.as_deref().or(self.options.pipeline_config.as_deref()),
        };
        match (serde_json::to_vec(&submission), api_key_header(&connector.api_key)) {
            (Ok(body), Ok(key)) => {
                // One time limit for the whole exchange, including reading the body.
                match tokio::time::timeout(timeout, self.exchange(key, body, keys)).await {
                    Ok(response) => response,
                    Err(_) => lost(&format!("no response within {} ms", timeout.as_millis())),
                }
            }
            (Err(error), _) => lost(&format!("the request cannot be written as JSON: {error}")),
            (_, Err(error)) => lost(&format!("the API key cannot be sent as a header: {error}")),
        }
    }

    async fn exchange(&self, key: HeaderValue, body: Vec<u8>, keys: &[&str]) -> Response {
        let request = self
            .http
            .post(self.submit_url.clone())
            .header(API_KEY_HEADER, key)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body);
        match receive(request, RESPONSE_BYTES + RESPONSE_BYTES_PER_KEY * keys.len()).await {
            Ok(response) => read_response(response.raw(), keys, &redaction::known(), self.clock.now()),
            Err(error) => lost(&with_causes(&error)),
        }
    }
}

/// A response as it came, read up to a limit.
#[derive(Debug)]
pub struct Received {
    status: u16,
    retry_after: Option<String>,
    body: Vec<u8>,
    is_complete: bool,
}

impl Received {
    /// Returns what is classified of it.
    #[must_use]
    pub fn raw(&self) -> RawResponse<'_> {
        let Self { status, retry_after, body, is_complete } = self;
        RawResponse { status: *status, retry_after: retry_after.as_deref(), body, is_complete: *is_complete }
    }
}

/// Why there is no response to a request. Secrets are not removed from its text; the URL, which the configuration has, is not in it.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// No response began.
    #[error(transparent)]
    NoResponse(reqwest::Error),
    /// The response of a success ended before its end.
    #[error("the response ended early")]
    Cut(#[source] reqwest::Error),
}

/// Sends a request and reads the response up to `limit` bytes.
///
/// # Errors
/// [`ReceiveError`].
pub async fn receive(request: RequestBuilder, limit: usize) -> Result<Received, ReceiveError> {
    let mut response = request.send().await.map_err(|error| ReceiveError::NoResponse(error.without_url()))?;
    let (mut body, mut is_complete) = (Vec::new(), true);
    while is_complete {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > limit => is_complete = false,
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            // An error status is enough without a body; a success without its end is not.
            Err(_) if !response.status().is_success() => is_complete = false,
            Err(error) => return Err(ReceiveError::Cut(error.without_url())),
        }
    }
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Ok(Received { status: response.status().as_u16(), retry_after, body, is_complete })
}

/// The name of the header that holds the API key (FlexOrch API documentation).
pub const API_KEY_HEADER: &str = "X-API-KEY";

/// Returns the value of the `X-API-KEY` header, marked as sensitive so that no HTTP layer prints it.
///
/// # Errors
/// None for a key that [`ApiKey::new`] accepted.
pub fn api_key_header(key: &ApiKey) -> Result<HeaderValue, reqwest::header::InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(key.expose())?;
    value.set_sensitive(true);
    Ok(value)
}

/// What is percent-encoded in a segment of a path: everything but the unreserved characters (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Encodes an id as one segment of a path for [`endpoint`].
#[must_use]
pub fn segment(id: &str) -> String {
    utf8_percent_encode(id, RESERVED).to_string()
}

/// Appends a path, whose ids are encoded by [`segment`], to `base`, whether or not `base` ends in a slash.
#[must_use]
pub fn endpoint(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let joined = format!("{}/{path}", base.path().trim_end_matches('/'));
    url.set_path(&joined);
    url
}

fn lost(message: &str) -> Response {
    let error = ApiError::transport(redaction::redacted(message));
    Response::Transient { error, rate_limited: false, retry_at: None }
}

/// Formats a connection error and its sources, without the URL, which the configuration has.
#[must_use]
pub fn connection_error(error: reqwest::Error) -> String {
    with_causes(&error.without_url())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_below_the_base_with_and_without_a_slash() {
        for base in ["https://api.flexorch.com/v1", "https://api.flexorch.com/v1/"] {
            let url = endpoint(&base.parse().unwrap(), "data-process/async");
            assert_eq!(url.as_str(), "https://api.flexorch.com/v1/data-process/async");
        }
    }

    #[test]
    fn an_id_is_one_segment_whose_unreserved_characters_stay() {
        let url = |id: &str| {
            endpoint(&"https://api.flexorch.com/v1".parse().unwrap(), &format!("webhooks/{}", segment(id))).to_string()
        };
        assert_eq!(url("wh_1-a.b~c"), "https://api.flexorch.com/v1/webhooks/wh_1-a.b~c");
        assert_eq!(url("../usage?x=1#a%2Fü"), "https://api.flexorch.com/v1/webhooks/..%2Fusage%3Fx%3D1%23a%252F%C3%BC");
    }

    #[test]
    fn a_submission_is_the_body_of_the_customers_page() {
        let id = ConnectorId::from_json(serde_json::from_str("42").unwrap()).unwrap();
        let submission = Submission {
            source: Source { connector_id: &id, keys: &["invoices/jan/inv 001.pdf"] },
            locale: None,
            pipeline_config: None,
        };
        assert_eq!(
            serde_json::to_string(&submission).unwrap(),
            r#"{"source":{"connector_id":42,"keys":["invoices/jan/inv 001.pdf"]}}"#
        );
    }
}
