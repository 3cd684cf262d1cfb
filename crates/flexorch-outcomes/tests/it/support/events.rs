//! The events that the function is invoked with, and its responses.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::app::SECRET;

/// The secret under which webhooks are signed.
pub const SIGNING_SECRET: &str = "whsec_0123456789";

/// How the function responded.
#[derive(Debug)]
pub struct Answered(pub Result<Value, Value>);

impl Answered {
    /// The response; it panics if there is an error instead.
    pub fn ok(self) -> Value {
        self.0.unwrap()
    }

    /// The error's message; it panics if there is a response.
    pub fn error(self) -> String {
        self.0.unwrap_err()["errorMessage"].as_str().unwrap().to_owned()
    }

    /// The ids of the messages that come back.
    pub fn failures(self) -> Vec<String> {
        let failures = self.ok()["batchItemFailures"].as_array().unwrap().clone();
        failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect()
    }
}

/// A document of a receipt that FlexOrch took as this job.
pub fn document(key: &str, job: &str) -> Value {
    json!({"bucket": "documents", "key": key, "version_id": "v-1", "etag": "e", "outcome": "forwarded", "job_id": job,
        "event_time": "2026-01-01T00:00:00.000Z"})
}

/// A document of a receipt that FlexOrch rejected.
pub fn rejected(key: &str, message: &str) -> Value {
    json!({"bucket": "documents", "key": key, "version_id": "v-1", "outcome": "rejected", "code": "UNSUPPORTED_FILE",
        "message": message})
}

/// The `submitted_at` of [`receipt`], ten days ago.
pub fn submitted_at(second: i64) -> String {
    let day = jiff::Timestamp::now().as_second() / 86_400 - 10;
    jiff::Timestamp::from_second(day * 86_400 + second).unwrap().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// A receipt of the default connector. A later `second` is a later `submitted_at`.
pub fn receipt(second: i64, documents: &[Value]) -> Value {
    receipt_of(SECRET, second, documents)
}

/// A receipt of any connector.
pub fn receipt_of(connector: &str, second: i64, documents: &[Value]) -> Value {
    json!({"version": 1, "connector": connector, "connector_id": 42, "documents": documents,
        "submitted_at": submitted_at(second)})
}

/// An SQS batch with one receipt a message: `m-0`, `m-1`, ….
pub fn batch(receipts: &[Value]) -> Value {
    sqs(&receipts.iter().map(ToString::to_string).collect::<Vec<_>>())
}

/// An SQS batch of these bodies.
pub fn sqs(bodies: &[String]) -> Value {
    let message = |(position, body): (usize, &String)| {
        json!({"messageId": format!("m-{position}"), "receiptHandle": "r", "body": body, "attributes": {},
            "messageAttributes": {}, "eventSource": "aws:sqs", "awsRegion": "eu-west-1",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:receipts"})
    };
    json!({"Records": bodies.iter().enumerate().map(message).collect::<Vec<_>>()})
}

/// A webhook's delivery, as FlexOrch makes it.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The body.
    pub body: String,
    /// The signature header; `None`: there is none.
    pub signature: Option<String>,
    /// The method.
    pub method: &'static str,
    /// Whether the body is passed as base64.
    pub base64: bool,
}

impl Delivery {
    /// A signed delivery that says that a job has this status.
    pub fn of(job: &str, status: &str) -> Self {
        let body = json!({"event": format!("job.{status}"), "job_id": job, "status": status, "quality_grade": "A",
            "pii_findings_count": 2, "timestamp": "2026-11-01T00:00:00Z"});
        Self::signed(body.to_string())
    }

    /// A signed delivery with any body.
    pub fn signed(body: impl Into<String>) -> Self {
        let body = body.into();
        let signature = Some(Self::sign(&body, SIGNING_SECRET));
        Self { body, signature, method: "POST", base64: false }
    }

    /// The signature of a body under a secret.
    pub fn sign(body: &str, secret: &str) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(body).finalize();
        mac.into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The event of a Lambda function URL, payload format 2.0.
    pub fn event(&self) -> Value {
        let body = if self.base64 { aws_smithy_types::base64::encode(&self.body) } else { self.body.clone() };
        let mut headers = json!({"content-type": "application/json", "host": "x.lambda-url.eu-west-1.on.aws"});
        if let Some(signature) = &self.signature {
            headers["x-flexorch-signature"] = json!(signature);
        }
        json!({"version": "2.0", "routeKey": "$default", "rawPath": "/hooks/flexorch", "rawQueryString": "",
            "headers": headers, "isBase64Encoded": self.base64, "body": body,
            "requestContext": {"http": {"method": self.method, "path": "/hooks/flexorch", "sourceIp": "192.0.2.1"}}})
    }
}
