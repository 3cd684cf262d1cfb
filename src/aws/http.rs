//! The one HTTP client, and the SDK's connector on top of it.
//!
//! A second HTTPS client for the SDK would cost half a millisecond at every cold start. ring, not aws-lc, provides the
//! cryptography: aws-lc's first use of randomness alone takes 30 ms of CPU.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use reqwest::{Client, ClientBuilder};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// The time limit for opening a connection: one that takes longer is unlikely to open at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Connections that were idle for longer than this are not reused: the other side closes idle connections after a while, and a
/// function that is frozen does not notice.
const IDLE: Duration = Duration::from_secs(20);

/// Why there is no HTTP client.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// `SSL_CERT_FILE` names a file that cannot be read or holds no usable PEM certificate.
    #[error("SSL_CERT_FILE is {path:?}, but must be a readable file of PEM certificates: {reason}")]
    RootCertificates {
        /// The file that `SSL_CERT_FILE` names.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The TLS or HTTP library rejects its configuration.
    #[error("the HTTP client cannot be built: {0}")]
    Build(String),
}

/// Builds the client. `roots` is a file of PEM certificates to trust instead of the built-in public ones (`SSL_CERT_FILE`): a
/// company's own root, usually.
///
/// # Errors
/// [`HttpError`].
pub fn client(roots: Option<&Path>) -> Result<Client, HttpError> {
    builder(roots)?.build().map_err(|error| HttpError::Build(error.to_string()))
}

/// Builds a client that ignores `HTTP_PROXY` and similar variables, for endpoints on the same host.
///
/// # Errors
/// [`HttpError`].
pub(super) fn client_without_proxy() -> Result<Client, HttpError> {
    builder(None)?.no_proxy().build().map_err(|error| HttpError::Build(error.to_string()))
}

fn builder(roots: Option<&Path>) -> Result<ClientBuilder, HttpError> {
    let build = |error: &dyn std::fmt::Display| HttpError::Build(error.to_string());
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| build(&error))?
        .with_root_certificates(root_store(roots)?)
        .with_no_client_auth();
    let builder = Client::builder()
        .tls_backend_preconfigured(tls)
        // A followed redirect would send the API key along.
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE)
        .tcp_nodelay(true);
    Ok(builder)
}

fn root_store(file: Option<&Path>) -> Result<RootCertStore, HttpError> {
    let mut store = RootCertStore::empty();
    let Some(path) = file else {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        return Ok(store);
    };
    let unusable = |reason: String| HttpError::RootCertificates { path: path.to_owned(), reason };
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))? {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        store.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if store.is_empty() {
        return Err(unusable("it holds no certificate".into()));
    }
    Ok(store)
}

/// The HTTP client of the AWS SDK: it sends every request with the function's own client.
#[derive(Debug, Clone)]
pub struct SdkHttpClient(pub Client);

#[derive(Debug)]
struct Connector {
    client: Client,
    timeout: Option<Duration>,
}

impl HttpClient for SdkHttpClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector { client: self.0.clone(), timeout: settings.read_timeout() })
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (client, timeout) = (self.client.clone(), self.timeout);
        HttpConnectorFuture::new(async move {
            let user = |error: &dyn std::fmt::Display| ConnectorError::user(error.to_string().into());
            let request = request.try_into_http1x().map_err(|error| user(&error))?;
            let request = request.map(|body| match body.bytes() {
                Some(bytes) => reqwest::Body::from(bytes.to_vec()),
                None => reqwest::Body::wrap(body),
            });
            let mut request = reqwest::Request::try_from(request).map_err(|error| user(&error))?;
            *request.timeout_mut() = timeout;
            let response = client.execute(request).await.map_err(connector_error)?;
            let response = http::Response::<reqwest::Body>::from(response).map(SdkBody::from_body_1_x);
            HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

fn connector_error(error: reqwest::Error) -> ConnectorError {
    if error.is_timeout() {
        ConnectorError::timeout(error.into())
    } else if error.is_builder() {
        ConnectorError::user(error.into())
    } else {
        ConnectorError::io(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_roots_make_a_client() {
        assert!(client(None).is_ok());
    }

    #[test]
    fn a_root_file_that_cannot_be_used_is_an_error_that_names_it() {
        for path in ["/nonexistent/roots.pem", "Cargo.toml"] {
            let error = client(Some(Path::new(path))).unwrap_err().to_string();
            assert!(error.contains("SSL_CERT_FILE") && error.contains(path), "{error}");
        }
    }
}
