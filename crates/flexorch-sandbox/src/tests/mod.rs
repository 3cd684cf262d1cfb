//! The sandbox as clients see it: over real sockets.

mod admin;
mod api;
mod faults;
mod jobs;
mod runtime_api;
pub(crate) mod sdk_http;
mod secrets_manager;
mod webhooks;

use std::{sync::OnceLock, time::Duration};

use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::{Fault, Sandbox, SandboxOptions};

const KEY: &str = "dfx_0123456789abcdef";
const OTHER_KEY: &str = "dfx_fedcba9876543210";

/// One client for a test process: reqwest is built without a TLS provider, and asks for one even for http.
pub(crate) fn client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(5))
            .build()
            .unwrap()
    })
}

struct Received {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Received {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    fn code(&self) -> String {
        let code = &self.json()["error"]["code"];
        format!("{} {}", self.status, code.as_str().unwrap_or("-"))
    }
}

/// A sandbox and calls to it with one API key.
struct Bench {
    sandbox: Sandbox,
}

impl Bench {
    async fn start(options: SandboxOptions) -> Self {
        let sandbox = Sandbox::start(options).await.unwrap();
        Self { sandbox }
    }

    async fn with_faults(faults: &[&str]) -> Self {
        let faults = faults.iter().map(|text| text.parse().unwrap());
        Self::start(SandboxOptions { faults: faults.collect::<Vec<Fault>>(), ..SandboxOptions::default() }).await
    }

    async fn call(&self, method: Method, path: &str, key: &str, body: Option<Value>) -> Received {
        self.try_call(method, path, key, body).await.unwrap()
    }

    async fn try_call(
        &self,
        method: Method,
        path: &str,
        key: &str,
        body: Option<Value>,
    ) -> Result<Received, reqwest::Error> {
        let root = self.sandbox.base_url();
        let root = match path.strip_prefix("/_sandbox") {
            Some(_) => root.strip_suffix("/v1").unwrap(),
            None => &root,
        };
        let mut request = client().request(method, format!("{root}{path}"));
        if !key.is_empty() {
            request = request.header("x-api-key", key);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await?;
        Ok(Received {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await?,
        })
    }

    async fn get(&self, path: &str) -> Received {
        self.call(Method::GET, path, KEY, None).await
    }

    async fn post(&self, path: &str, body: Value) -> Received {
        self.call(Method::POST, path, KEY, Some(body)).await
    }

    async fn submit(&self, keys: &[&str]) -> Received {
        self.post("/data-process/async", submission(keys)).await
    }

    async fn try_submit(&self, keys: &[&str]) -> Result<Received, reqwest::Error> {
        let body = Some(submission(keys));
        self.try_call(Method::POST, "/data-process/async", KEY, body).await
    }

    async fn create_connector(&self, bucket: &str) -> Received {
        let config = json!({
            "bucket": bucket,
            "region": "eu-west-1",
            "aws_access_key_id": "AKIAEXAMPLE",
            "aws_secret_access_key": "very-secret",
        });
        let body = json!({"type": "s3", "name": "Docs", "config": config});
        self.post("/connectors", body).await
    }
}

fn submission(keys: &[&str]) -> Value {
    json!({"source": {"connector_id": 42, "keys": keys}})
}
