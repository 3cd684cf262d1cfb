//! An operator who has a secret and nothing else yet.

use std::ops::Deref;

use flexorch_sandbox::SandboxOptions;
use serde_json::{Value, json};

use super::surroundings::{API_KEY, CONNECTORS_SECRET_KEY, REGION, Surroundings};

/// The secret's name.
pub const SECRET: &str = "flexorch/invoices";

/// An operator's surroundings.
pub struct Operator(Surroundings);

/// A whole secret of an S3 connector that is not made yet.
pub fn fresh_secret() -> Value {
    json!({
        "api_key": API_KEY, "bucket": "my-documents", "region": REGION, "prefix": "invoices/",
        "aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": CONNECTORS_SECRET_KEY,
    })
}

impl Operator {
    /// Starts everything; the secret is there, whole, and names no connector yet.
    pub async fn start() -> Self {
        Self::with(SandboxOptions::default()).await
    }

    pub async fn with(options: SandboxOptions) -> Self {
        let operator = Self(Surroundings::start(options).await);
        operator.secrets.put(SECRET, fresh_secret().to_string());
        operator
    }

    /// The secret as it is now.
    pub fn secret(&self) -> Value {
        serde_json::from_str(self.secrets.versions(SECRET).last().unwrap()).unwrap()
    }
}

impl Deref for Operator {
    type Target = Surroundings;

    fn deref(&self) -> &Surroundings {
        &self.0
    }
}
