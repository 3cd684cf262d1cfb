//! FlexOrch's API apart from submissions: connectors, Scheduled Sync, usage. Calls are retried unless that could repeat an effect.
//! `shapes` has the requests and responses, `credits` the month's credits, `webhooks` the webhooks.

mod credits;
mod shapes;
mod webhooks;

use std::fmt;
use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Url};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub(crate) use credits::{Credits, Documents, SHOWN_WITHIN, credits_for};
pub(crate) use shapes::{
    AwsCredentials, ConnectorTest, ConnectorView, NewConnector, RateLimits, Schedule, ScheduleRun, moment,
};
pub(crate) use webhooks::{AutoExport, CreatedWebhook, JOB_EVENTS, Webhook};

use crate::text::friendly;
use flexorch_s3_ingester::clock::Clock;
use flexorch_s3_ingester::flexorch::client::{api_key_header, connection_error, endpoint, segment};
use flexorch_s3_ingester::flexorch::error_in;
use flexorch_s3_ingester::flexorch::response::{ApiError, retry_at};
use flexorch_s3_ingester::model::credentials::{ApiKey, ConnectorId};
use flexorch_s3_ingester::redaction;

/// The timeout of one attempt, up to the last byte of the response. A connector's test calls S3.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The maximum number of attempts.
const ATTEMPTS: u32 = 4;

/// A call fails instead of waiting longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(75);

/// The maximum size of a response.
const RESPONSE_BYTES: usize = 8 * 1024 * 1024;

/// A failed call to FlexOrch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallError {
    /// The call, such as `POST /connectors`.
    pub(crate) call: String,
    /// The error; status 0 if there was no response of FlexOrch.
    pub(crate) error: ApiError,
    /// How long FlexOrch asks to wait, if that is too long to wait here.
    pub(crate) retry_in: Option<Duration>,
}

impl CallError {
    /// Returns what an operator can do about it.
    pub(crate) fn hint(&self) -> &'static str {
        let code = self.error.code.as_deref().unwrap_or_default();
        match (self.error.status, code) {
            (0, _) => "check FLEXORCH_BASE_URL and the network",
            (401, _) | (403, "INVALID_API_KEY" | "UNAUTHORIZED") => {
                "write a valid API key into the secret (FlexOrch: Settings, API keys)"
            }
            (402, _) => "the trial or subscription has ended: see FlexOrch's billing page",
            (403, _) => "the plan does not allow this: see FlexOrch's plans",
            (404, _) => "it does not exist for this API key",
            (429, "QUOTA_EXCEEDED") => "the month's credits are used up: wait for the next month or upgrade the plan",
            (429, _) if self.retry_in.is_some() => "the plan's requests are used up until then",
            (429, _) => "the plan's requests of this minute are used up: retry in a minute",
            (300..=399, _) => "FLEXORCH_BASE_URL is not FlexOrch's API: redirects are not followed",
            (408 | 500..=599, _) => "FlexOrch is not available: retry later",
            _ => "see FlexOrch's message",
        }
    }

    /// Formats the error without its hint.
    pub(crate) fn without_hint(&self) -> String {
        let wait = self.retry_in.map(|wait| format!("; retry in {}", friendly(wait))).unwrap_or_default();
        format!("{}: {}{wait}", self.call, self.error)
    }

    /// Returns whether the call may have had its effect nevertheless: FlexOrch did not refuse it.
    pub(crate) fn may_have_happened(&self) -> bool {
        matches!(self.error.status, 0 | 408 | 500..=599)
    }

    /// Returns whether FlexOrch has no such resource.
    pub(crate) fn is_not_found(&self) -> bool {
        self.error.status == 404
    }

    /// Returns whether the plan does not allow the call.
    pub(crate) fn is_plan(&self) -> bool {
        self.error.code.as_deref() == Some("PLAN_UPGRADE_REQUIRED")
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlexOrch, {} ({})", self.without_hint(), self.hint())
    }
}

impl std::error::Error for CallError {}

/// A client for FlexOrch's API with one API key.
#[derive(Debug, Clone)]
pub(crate) struct Management {
    http: Client,
    base_url: Url,
    api_key: ApiKey,
    clock: Clock,
}

/// Whether a call without a response may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeatable {
    Yes,
    /// The call may have had an effect: it is sent again only after a 429 response.
    OnlyIfRefused,
    /// The same, if the response names a time. Without one, a 429 may refuse what is asked for: an interval shorter than the plan's.
    OnlyIfPostponed,
}

impl Management {
    /// Creates a client for the API under `base_url`, which ends with the version, such as `/v1`.
    pub(crate) fn new(http: Client, base_url: Url, api_key: ApiKey, clock: Clock) -> Self {
        redaction::register(api_key.expose());
        Self { http, base_url, api_key, clock }
    }

    /// Lists all connectors: `GET /connectors`.
    pub(crate) async fn connectors(&self) -> Result<Vec<ConnectorView>, CallError> {
        let payload = self.get("connectors").await?;
        Ok(payload.items().into_iter().filter_map(|item| ConnectorView::from_json(item).ok()).collect())
    }

    /// Reads a connector, or returns `None` if there is none with this id: `GET /connectors/{id}`.
    pub(crate) async fn connector(&self, id: &ConnectorId) -> Result<Option<ConnectorView>, CallError> {
        let path = format!("connectors/{}", segment(&id.to_string()));
        match self.get(&path).await {
            Ok(payload) => ConnectorView::from_json(&payload.0).map(Some).map_err(|_| self.unreadable("GET", &path)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates a connector: `POST /connectors`. Without a response, it may have been created nevertheless.
    pub(crate) async fn create_connector(&self, new: &NewConnector) -> Result<ConnectorView, CallError> {
        let mut config = json!({
            "bucket": new.bucket,
            "region": new.region,
            "aws_access_key_id": new.credentials.access_key_id.expose_secret(),
            "aws_secret_access_key": new.credentials.secret_access_key.expose_secret(),
        });
        if !new.prefix.is_empty() {
            config["prefix"] = new.prefix.as_str().into();
        }
        let body = json!({"type": "s3", "name": new.name, "config": config});
        [&new.credentials.access_key_id, &new.credentials.secret_access_key]
            .iter()
            .for_each(|secret| redaction::register_aws(secret.expose_secret()));
        let payload = self.call(Method::POST, "connectors", Some(body), Repeatable::OnlyIfRefused).await?;
        ConnectorView::from_json(&payload.0).map_err(|_| self.unreadable("POST", "connectors"))
    }

    /// Has FlexOrch test a connector: `POST /connectors/{id}/test`. A failed test is a result, not an error.
    pub(crate) async fn test_connector(&self, id: &ConnectorId) -> Result<ConnectorTest, CallError> {
        let path = format!("connectors/{}/test", segment(&id.to_string()));
        let data = self.call(Method::POST, &path, None, Repeatable::Yes).await?.value();
        let success = data["success"].as_bool().ok_or_else(|| self.unreadable("POST", &path))?;
        let message = data["message"].as_str().unwrap_or("no message").to_owned();
        Ok(ConnectorTest { success, message, latency_ms: data["latency_ms"].as_u64() })
    }

    /// Deletes a connector: `DELETE /connectors/{id}`. It is an error if it does not exist.
    pub(crate) async fn delete_connector(&self, id: &ConnectorId) -> Result<(), CallError> {
        self.delete(&format!("connectors/{}", segment(&id.to_string()))).await
    }

    /// Reads the plan's rate: `GET /usage/rate-limits`, which does not count towards it.
    ///
    /// # Errors
    /// [`CallError`], also if the response names no rate.
    pub(crate) async fn rate_limits(&self) -> Result<RateLimits, CallError> {
        let path = "usage/rate-limits";
        let data = self.get(path).await?.value();
        RateLimits::from_json(&data).map_err(|_| self.unreadable("GET", path))
    }

    /// Lists a connector's schedules: `GET /connectors/{id}/schedules`.
    pub(crate) async fn schedules(&self, connector: &ConnectorId) -> Result<Vec<Schedule>, CallError> {
        Ok(self.get(&format!("connectors/{}/schedules", segment(&connector.to_string()))).await?.all())
    }

    /// Creates a schedule: `POST /connectors/{id}/schedules`.
    ///
    /// # Errors
    /// [`CallError`]; [`CallError::is_plan`] if the plan does not allow it.
    pub(crate) async fn create_schedule(
        &self,
        connector: &ConnectorId,
        cron: &str,
        prefix: Option<&str>,
    ) -> Result<Schedule, CallError> {
        let path = format!("connectors/{}/schedules", segment(&connector.to_string()));
        let body = json!({"cron_expression": cron, "prefix_filter": prefix});
        let payload = self.call(Method::POST, &path, Some(body), Repeatable::OnlyIfPostponed).await?;
        serde_json::from_str(payload.0.get()).map_err(|_| self.unreadable("POST", &path))
    }

    /// Deletes a schedule: `DELETE /connectors/{id}/schedules/{schedule}`.
    pub(crate) async fn delete_schedule(&self, connector: &ConnectorId, schedule: &str) -> Result<(), CallError> {
        self.delete(&format!("connectors/{}/schedules/{}", segment(&connector.to_string()), segment(schedule))).await
    }

    /// Runs a schedule now: `POST /connectors/{id}/schedules/{schedule}/trigger`.
    pub(crate) async fn trigger_schedule(
        &self,
        connector: &ConnectorId,
        schedule: &str,
    ) -> Result<ScheduleRun, CallError> {
        let path = format!("connectors/{}/schedules/{}/trigger", segment(&connector.to_string()), segment(schedule));
        let payload = self.call(Method::POST, &path, None, Repeatable::OnlyIfRefused).await?;
        serde_json::from_str(payload.0.get()).map_err(|_| self.unreadable("POST", &path))
    }

    /// Lists a schedule's runs: `GET /connectors/{id}/schedules/{schedule}/logs`.
    pub(crate) async fn schedule_runs(
        &self,
        connector: &ConnectorId,
        schedule: &str,
    ) -> Result<Vec<ScheduleRun>, CallError> {
        let path = format!("connectors/{}/schedules/{}/logs", segment(&connector.to_string()), segment(schedule));
        Ok(self.get(&path).await?.all())
    }

    async fn get(&self, path: &str) -> Result<Payload, CallError> {
        self.call(Method::GET, path, None, Repeatable::Yes).await
    }

    async fn delete(&self, path: &str) -> Result<(), CallError> {
        self.call(Method::DELETE, path, None, Repeatable::OnlyIfRefused).await.map(|_| ())
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        repeatable: Repeatable,
    ) -> Result<Payload, CallError> {
        let named = |error, retry_in| CallError { call: format!("{method} /{path}"), error, retry_in };
        let mut attempt = 1;
        loop {
            let response = tokio::time::timeout(TIMEOUT, self.exchange(&method, path, body.as_ref())).await;
            let (error, retry_after) = match response {
                Ok(Ok(data)) => return Ok(data),
                Ok(Err(failed)) => failed,
                Err(_) => (ApiError::transport(format!("no response within {} s", TIMEOUT.as_secs())), None),
            };
            let may_repeat = match error.status {
                429 if repeatable == Repeatable::OnlyIfPostponed => retry_after.is_some(),
                429 => error.code.as_deref() != Some("QUOTA_EXCEEDED"),
                0 | 408 | 500..=599 => repeatable == Repeatable::Yes,
                _ => false,
            };
            let backoff = Duration::from_millis(250) * 2_u32.pow(attempt);
            let again = retry_after.unwrap_or(self.clock.now() + backoff);
            let wait = self.clock.until(again);
            if !may_repeat || attempt == ATTEMPTS || wait > LONGEST_WAIT {
                return Err(named(error, retry_after.map(|_| wait).filter(|wait| *wait > LONGEST_WAIT)));
            }
            tracing::info!(call = format!("{method} /{path}"), error = error.to_string().as_str(), "retrying");
            attempt += 1;
            self.clock.sleep_until(again).await;
        }
    }

    /// Makes one attempt. Returns the response's payload, or the error and when to retry.
    async fn exchange(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Payload, (ApiError, Option<SystemTime>)> {
        let lost = |message: String| (ApiError::transport(redaction::redacted(&message)), None);
        let key =
            api_key_header(&self.api_key).map_err(|error| lost(format!("the API key cannot be sent: {error}")))?;
        let mut request = self.http.request(method.clone(), endpoint(&self.base_url, path)).header("X-API-KEY", key);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body.to_string());
        }
        let mut response = request.send().await.map_err(|error| lost(connection_error(error)))?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| lost(connection_error(error)))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > RESPONSE_BYTES {
                return Err(lost(format!("the response is longer than {RESPONSE_BYTES} bytes")));
            }
        }
        let status = response.status();
        let mut body: Option<Value> = serde_json::from_slice(&bytes).ok();
        // Before anything is shortened or shown.
        body.iter_mut().for_each(|body| redaction::known().redact_json(body));
        let carries_error = body.as_ref().and_then(|body| body.get("error")).is_some_and(|error| !error.is_null());
        if status.is_success() && !carries_error {
            return Payload::read(&bytes).ok_or_else(|| {
                lost(format!(
                    "the response, with status {}, is not JSON: it is not FlexOrch's, or a page about maintenance",
                    status.as_u16()
                ))
            });
        }
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|text| retry_at(text, self.clock.now()));
        Err((error_in(status.as_u16(), body.as_ref()), retry_after))
    }

    fn unreadable(&self, method: &str, path: &str) -> CallError {
        let message = "the response has an unknown shape: is FLEXORCH_BASE_URL FlexOrch's API?";
        CallError { call: format!("{method} /{path}"), error: ApiError::transport(message), retry_in: None }
    }
}

/// The JSON of a response, as text: a number in a `Value` may lose digits, and an id must not.
#[derive(Debug)]
struct Payload(Box<RawValue>);

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

impl Payload {
    /// Returns a response's `data`, or the whole body if it has none; an empty body is `null`. Returns `None` if it is not JSON.
    fn read(body: &[u8]) -> Option<Self> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Some(Self(RawValue::NULL.to_owned()));
        }
        let whole: &RawValue = serde_json::from_slice(body).ok()?;
        // Of a list, serde would take the only element for the field.
        let is_object = whole.get().starts_with('{');
        let envelope: Option<Envelope<'_>> = is_object.then(|| serde_json::from_str(whole.get()).ok()).flatten();
        let data = envelope.and_then(|envelope| envelope.data);
        Some(Self(data.unwrap_or(whole).to_owned()))
    }

    fn value(&self) -> Value {
        serde_json::from_str(self.0.get()).unwrap_or_default()
    }

    /// Returns the elements of a list, bare or as an object's `items`.
    fn items(&self) -> Vec<&RawValue> {
        let json = self.0.get();
        let bare = serde_json::from_str(json);
        bare.or_else(|_| serde_json::from_str(json).map(|page: Page<'_>| page.items)).unwrap_or_default()
    }

    /// Returns the elements of a list that can be read.
    fn all<T: DeserializeOwned>(&self) -> Vec<T> {
        self.items().into_iter().filter_map(|item| serde_json::from_str(item.get()).ok()).collect()
    }
}

/// Takes the deletion of something that does not exist for a success.
pub(crate) fn absent_is_deleted(result: Result<(), CallError>) -> Result<(), CallError> {
    match result {
        Err(error) if error.is_not_found() => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_429_names_the_time_that_flexorch_asks_for() {
        let error = ApiError { status: 429, code: None, message: "slow down".into() };
        let mut error = CallError { call: "GET /webhooks".into(), error, retry_in: Some(Duration::from_secs(3600)) };
        assert!(error.to_string().contains("429: slow down; retry in 1h (the plan's requests are used up until then)"));
        error.retry_in = None;
        assert!(error.to_string().ends_with("retry in a minute)"));
    }

    #[test]
    fn a_payload_is_the_data_of_an_envelope_or_the_whole_body_digit_by_digit() {
        let read = |body: &str| Payload::read(body.as_bytes()).map(|payload| payload.0.get().to_owned());
        assert_eq!(read(r#" {"data": {"id": 123456789012345678901} }"#).unwrap(), r#"{"id": 123456789012345678901}"#);
        assert_eq!(read(r#"{"data": null, "id": 1}"#).unwrap(), r#"{"data": null, "id": 1}"#);
        assert_eq!(read(r#"{"id": 1}"#).unwrap(), r#"{"id": 1}"#);
        assert_eq!(read(" \n").unwrap(), "null");
        assert_eq!(read("<html>"), None);
        assert_eq!(read(r#"[{"id": 1}]"#).unwrap(), r#"[{"id": 1}]"#);
        for body in ["[1, 2]", r#"{"data": [1, 2]}"#, r#"{"items": [1, 2]}"#, r#"{"data": {"items": [1, 2]}}"#] {
            assert_eq!(Payload::read(body.as_bytes()).unwrap().all::<u8>(), [1, 2], "{body}");
        }
        assert!(Payload::read(b"{}").unwrap().items().is_empty());
    }
}
