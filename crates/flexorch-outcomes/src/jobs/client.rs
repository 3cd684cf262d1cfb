//! Sends requests for jobs. Every result is a value, a failed connection included.

use std::time::Duration;

use flexorch_s3_ingester::clock::Clock;
use flexorch_s3_ingester::error::with_causes;
use flexorch_s3_ingester::flexorch::client::{API_KEY_HEADER, api_key_header, endpoint, receive, segment};
use flexorch_s3_ingester::flexorch::response::{ApiError, Response};
use flexorch_s3_ingester::model::credentials::ApiKey;
use flexorch_s3_ingester::redaction;
use reqwest::{Client, Url};

use super::response::read;
use super::{JobsRequest, JobsResponse, PAGE_SIZE};

/// A response about one job is read up to this many bytes, and about a page [`PAGE_SIZE`] times as many.
const RESPONSE_BYTES: usize = 64 * 1024;

/// A client of FlexOrch's jobs. It never repeats a request.
#[derive(Debug)]
pub(crate) struct JobsClient {
    http: Client,
    base_url: Url,
    clock: Clock,
}

impl JobsClient {
    /// Creates a client for the API under `base_url`.
    pub(crate) fn new(http: Client, base_url: Url, clock: Clock) -> Self {
        Self { http, base_url, clock }
    }

    /// Sends one request. Every result is a [`JobsResponse`], including a failed connection.
    pub(crate) async fn send(&self, ask: &JobsRequest, key: &ApiKey, timeout: Duration) -> JobsResponse {
        redaction::register(key.expose());
        let Ok(header) = api_key_header(key) else {
            return transport_failure("the API key cannot be sent as a header");
        };
        let request = self.http.get(self.url(ask)).header(API_KEY_HEADER, header);
        let limit = match ask {
            JobsRequest::Page(_) => RESPONSE_BYTES * PAGE_SIZE,
            JobsRequest::Job(_) => RESPONSE_BYTES,
        };
        match tokio::time::timeout(timeout, receive(request, limit)).await {
            Err(_) => transport_failure(&format!("no response within {} ms", timeout.as_millis())),
            Ok(Err(error)) => transport_failure(&with_causes(&error)),
            Ok(Ok(response)) => read(ask, response.raw(), &redaction::known(), self.clock.now()),
        }
    }

    fn url(&self, ask: &JobsRequest) -> Url {
        match ask {
            JobsRequest::Page(page) => {
                let mut url = endpoint(&self.base_url, "jobs");
                url.set_query(Some(&format!("page={page}&page_size={PAGE_SIZE}")));
                url
            }
            JobsRequest::Job(id) => endpoint(&self.base_url, &format!("jobs/{}", segment(id))),
        }
    }
}

fn transport_failure(message: &str) -> JobsResponse {
    let error = ApiError::transport(redaction::redacted(message));
    JobsResponse::Failed(Response::Transient { error, rate_limited: false, retry_at: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_segment_of_the_path() {
        let base_url = "https://api.flexorch.com/v1".parse().unwrap();
        let client = JobsClient::new(flexorch_s3_ingester::aws::http::client(None).unwrap(), base_url, Clock::system());
        let url = |ask| client.url(&ask).to_string();
        assert_eq!(url(JobsRequest::Job("a/b?c".into())), "https://api.flexorch.com/v1/jobs/a%2Fb%3Fc");
        assert!(url(JobsRequest::Job("j_1-a.b~c".into())).ends_with("/v1/jobs/j_1-a.b~c"));
        assert_eq!(url(JobsRequest::Page(2)), "https://api.flexorch.com/v1/jobs?page=2&page_size=100");
    }
}
