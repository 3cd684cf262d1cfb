//! The HTTP client of the AWS SDK's clients in tests: the one that the other tests use.
//!
//! The SDK's own speaks HTTP/2 too. That changes the features of crates below every AWS crate, so a build without tests, such as
//! `cargo demo`, would compile all of them again.

use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;

pub(crate) fn sdk_http() -> SharedHttpClient {
    http_client_fn(|_, _| SharedHttpConnector::new(Connector))
}

#[derive(Debug)]
struct Connector;

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(async move { send(request).await.map_err(ConnectorError::io) })
    }
}

async fn send(request: HttpRequest) -> Result<HttpResponse, Box<dyn std::error::Error + Send + Sync>> {
    let request = request.try_into_http1x()?.map(reqwest::Body::wrap);
    let response = super::client().execute(request.try_into()?).await?;
    let response = http::Response::<reqwest::Body>::from(response).map(SdkBody::from_body_1_x);
    Ok(response.try_into()?)
}
