//! Secrets Manager as a service: its JSON protocol, recorded calls, and operations.

use axum::Router;
use serde::Deserialize;
use serde_json::Value;

use super::store::{self, Store};
use crate::aws::endpoint::{Service, Shared};
use crate::aws::error::AwsError;
use crate::aws::fault::Failure;
use crate::aws::json::{self, JsonService, Request};

/// A recorded call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretsCall {
    /// The operation, `GetSecretValue` for example.
    pub operation: String,
    /// The secret's name or ARN, as in the call.
    pub secret_id: String,
    /// The region that the call was signed for.
    pub region: String,
    /// The name of the secret, if it exists.
    pub name: Option<String>,
}

/// The fields of all operations' inputs that matter here. It has no `Debug`: one of them is the secret.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    secret_id: Option<String>,
    name: Option<String>,
    secret_string: Option<String>,
    client_request_token: Option<String>,
    version_id: Option<String>,
    version_stage: Option<String>,
}

impl Input {
    /// Returns the secret's name or ARN, whichever field it is in.
    fn id(&self) -> &str {
        self.secret_id.as_ref().or(self.name.as_ref()).map_or("", String::as_str)
    }
}

impl Service for Store {
    type Call = SecretsCall;

    fn router(shared: Shared<Self>) -> Router {
        json::router(shared)
    }
}

impl JsonService for Store {
    const SIGNING_NAME: &'static str = "secretsmanager";
    const TARGET_PREFIX: &'static str = "secretsmanager.";
    const CONTENT_TYPE: &'static str = "application/x-amz-json-1.1";

    type Input = Input;
    type Error = AwsError;

    fn call(&self, request: &Request<Input>) -> SecretsCall {
        let id = request.input.id();
        SecretsCall {
            operation: request.operation.clone(),
            secret_id: id.to_owned(),
            region: request.region.clone(),
            name: self.resolve(id, &request.region).map(str::to_owned),
        }
    }

    fn resource(call: &SecretsCall) -> &str {
        call.name.as_deref().unwrap_or_default()
    }

    fn failure(failure: Failure, request: &Request<Input>) -> AwsError {
        match failure {
            Failure::NotFound => store::not_found(),
            Failure::AccessDenied => AwsError::access_denied("secretsmanager", &request.operation, request.input.id()),
            Failure::Throttling | Failure::ThroughputExceeded => AwsError::throttled(),
            Failure::Internal => AwsError::server("InternalServiceError", "An error occurred on the server side."),
        }
    }

    async fn respond(shared: &Shared<Self>, request: Request<Input>, _: bool) -> Result<Value, AwsError> {
        let now = shared.clock.now();
        let mut secrets = shared.service();
        let Request { operation, region, input, .. } = request;
        let token = input.client_request_token.as_deref();
        if operation == "CreateSecret" {
            let name = required(input.name, "Name")?;
            return secrets.create(&name, &region, input.secret_string, token, now);
        }
        if !["GetSecretValue", "DescribeSecret", "PutSecretValue"].contains(&operation.as_str()) {
            return Err(AwsError::unknown_operation(&operation));
        }
        let id = required(input.secret_id, "SecretId")?;
        let name = secrets.resolve(&id, &region).ok_or_else(store::not_found)?.to_owned();
        match operation.as_str() {
            "GetSecretValue" => {
                secrets.get_value(&name, &region, input.version_id.as_deref(), input.version_stage.as_deref())
            }
            "DescribeSecret" => secrets.describe(&name, &region),
            _ => {
                let secret_string = required(input.secret_string, "SecretString")?;
                secrets.put_value(&name, &region, secret_string, token, now)
            }
        }
    }
}

fn required(value: Option<String>, field: &str) -> Result<String, AwsError> {
    value.filter(|text| !text.is_empty()).ok_or_else(|| {
        AwsError::client("InvalidParameterException", format!("You must provide a value for the {field} parameter."))
    })
}
