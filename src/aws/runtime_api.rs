//! The part of Lambda's Runtime API that `lambda_runtime` does not cover: the report of a failed initialisation.

use std::time::Duration;

use serde_json::json;

use crate::config::variable;

/// The environment variable that holds the API's address, a host and a port (Lambda Developer Guide, "Using the Lambda runtime API
/// for custom runtimes").
pub const ADDRESS: &str = "AWS_LAMBDA_RUNTIME_API";

/// The time limit of the report. A lost report is harmless: the log has the error too.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Reports to Lambda why the function cannot start, so that the caller of the function sees the reason (Lambda Developer Guide,
/// "Using the Lambda runtime API for custom runtimes", "Initialization error"). The API is a local address: no proxy is used.
pub async fn report_init_error(message: &str) {
    const KIND: &str = "Runtime.ConfigInvalid";
    let Some(runtime_api) = variable(ADDRESS) else { return };
    let Ok(client) = super::http::client_without_proxy() else { return };
    let report = client
        .post(format!("http://{runtime_api}/2018-06-01/runtime/init/error"))
        .header("Lambda-Runtime-Function-Error-Type", KIND)
        .body(json!({"errorType": KIND, "errorMessage": message, "stackTrace": []}).to_string())
        .timeout(TIMEOUT)
        .send()
        .await;
    if let Err(error) = report {
        tracing::debug!(error = crate::error::with_causes(&error).as_str(), "Lambda did not accept the report");
    }
}
