//! Secrets Manager, as far as `GetSecretValue` of one connector's secret.

use http_body_util::Full;
use hyper::Response;
use serde_json::json;

use super::http::{body, serve};

/// Starts it and returns its URL.
pub async fn start() -> String {
    let secret = json!({"api_key": "dfx_bench_0123456789", "connector_id": 42, "bucket": "my-documents"});
    let answer = json!({
        "ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:connector-AbCdEf",
        "CreatedDate": 1_794_816_916.701,
        "Name": "connector",
        "SecretString": secret.to_string(),
        "VersionId": "9f0a2c10-9d3e-41f0-8a41-0a1b2c3d4e5f",
        "VersionStages": ["AWSCURRENT"],
    });
    let answer = answer.to_string();
    let address = serve(None, move |request| {
        let answer = answer.clone();
        async move {
            body(request).await;
            let response = Response::builder().header("content-type", "application/x-amz-json-1.1");
            response.body(Full::from(answer)).unwrap()
        }
    })
    .await;
    format!("http://{address}")
}
