//! The client: sends one submission and reads what comes back. It never retries, and never follows a redirect.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Url};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::clock::Clock;
use crate::error::with_causes;

use super::response::{ApiError, RawResponse, Response, read_response};
use crate::model::credentials::{ApiKey, ConnectorId};

/// An answer is read up to this much,
const ANSWER_BYTES: usize = 64 * 1024;
/// and this much more for each key that was asked for: a job's entry holds its key, which is 1 KiB at most.
const ANSWER_BYTES_PER_KEY: usize = 4 * 1024;

/// What is sent along with every submission.
#[derive(Debug, Clone, Default)]
pub struct SubmitOptions {
    /// IETF language tag, `und` to detect.
    pub locale: Option<String>,
    /// A JSON object, as it is.
    pub pipeline_config: Option<Box<RawValue>>,
}

/// FlexOrch's API at one address.
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
    /// A client for the API under `base_url`, which ends in `/v1` or the like.
    #[must_use]
    pub fn new(http: Client, base_url: &Url, options: SubmitOptions, clock: Clock) -> Self {
        Self { http, submit_url: endpoint(base_url, "data-process/async"), options, clock }
    }

    /// Submits object keys: `POST /data-process/async`. Whatever happens is a [`Response`]; what the connection does is one
    /// too.
    pub async fn submit(
        &self,
        api_key: &ApiKey,
        connector: &ConnectorId,
        keys: &[&str],
        timeout: Duration,
    ) -> Response {
        let submission = Submission {
            source: Source { connector_id: connector, keys },
            locale: self.options.locale.as_deref(),
            pipeline_config: self.options.pipeline_config.as_deref(),
        };
        let reply = match (serde_json::to_vec(&submission), api_key_header(api_key)) {
            (Ok(body), Ok(key)) => {
                // One limit for everything, the reading of the answer included.
                match tokio::time::timeout(timeout, self.exchange(key, body, keys)).await {
                    Ok(reply) => reply,
                    Err(_) => lost(format!("no answer within {} ms", timeout.as_millis())),
                }
            }
            (Err(error), _) => lost(format!("the request cannot be written as JSON: {error}")),
            (_, Err(error)) => lost(format!("the API key cannot be sent as a header: {error}")),
        };
        redacted(reply, api_key)
    }

    async fn exchange(&self, key: HeaderValue, body: Vec<u8>, keys: &[&str]) -> Response {
        let request = self
            .http
            .post(self.submit_url.clone())
            .header("X-API-KEY", key)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body);
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return lost(connection_error(error)),
        };
        let bound = ANSWER_BYTES + ANSWER_BYTES_PER_KEY * keys.len();
        let mut answer = Vec::new();
        while answer.len() < bound {
            match response.chunk().await {
                Ok(Some(chunk)) => answer.extend_from_slice(&chunk[..chunk.len().min(bound - answer.len())]),
                Ok(None) => break,
                // A status of failure needs no body; a cut success is no answer.
                Err(_) if !response.status().is_success() => break,
                Err(error) => return lost(format!("the answer broke off: {}", connection_error(error))),
            }
        }
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let raw =
            RawResponse { status: response.status().as_u16(), retry_after: retry_after.as_deref(), body: &answer };
        read_response(raw, keys, self.clock.now())
    }
}

/// The value of the `X-API-KEY` header, marked as sensitive so that no HTTP layer prints it.
///
/// # Errors
/// Never for a key that [`ApiKey::new`] accepted.
pub fn api_key_header(key: &ApiKey) -> Result<HeaderValue, reqwest::header::InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(key.expose())?;
    value.set_sensitive(true);
    Ok(value)
}

/// `base` with a path below it, whether or not `base` ends in a slash.
#[must_use]
pub fn endpoint(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let joined = format!("{}/{path}", base.path().trim_end_matches('/'));
    url.set_path(&joined);
    url
}

fn lost(message: String) -> Response {
    Response::Transient { error: ApiError::transport(message), rate_limited: false, retry_at: None }
}

/// The error and what it came from, without the URL, which the configuration names anyway.
#[must_use]
pub fn connection_error(error: reqwest::Error) -> String {
    with_causes(&error.without_url())
}

/// FlexOrch's words may repeat the key that it refuses.
fn redacted(mut reply: Response, key: &ApiKey) -> Response {
    match &mut reply {
        Response::Refused(error)
        | Response::Unauthorized(error)
        | Response::Blocked { error, .. }
        | Response::Transient { error, .. } => {
            let key = key.expose();
            error.message = error.message.replace(key, "[redacted]");
            error.code = error.code.take().map(|code| code.replace(&key.to_ascii_uppercase(), "[redacted]"));
        }
        Response::Accepted(account) => account.redact(key.expose()),
    }
    reply
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
