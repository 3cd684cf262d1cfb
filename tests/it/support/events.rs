//! Events, built as their services build them.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

/// A sample event from the repository's `events/` folder.
pub fn sample(name: &str) -> Value {
    let path = format!("{}/events/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap()
}

/// A record of an S3 notification; the key is as it is on the wire.
pub fn s3_record(bucket: &str, wire_key: &str) -> Value {
    json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1",
        "eventTime": "2026-01-31T10:00:00.000Z", "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": bucket, "arn": format!("arn:aws:s3:::{bucket}")}, "object": {"key": wire_key, "size": 1024}},
    })
}

/// A notification with one record for each key of the bucket `my-documents`.
pub fn s3_event<'a>(wire_keys: impl IntoIterator<Item = &'a str>) -> Value {
    json!({"Records": wire_keys.into_iter().map(|key| s3_record("my-documents", key)).collect::<Vec<_>>()})
}

/// A batch of SQS messages `m-0`, `m-1`, … with these bodies, sent a minute ago, each received `receives` times.
pub fn sqs_event_received(receives: u32, bodies: impl IntoIterator<Item = String>) -> Value {
    let sent = SystemTime::now() - Duration::from_secs(60);
    let sent = sent.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis().to_string();
    let records: Vec<_> = bodies
        .into_iter()
        .enumerate()
        .map(|(number, body)| {
            json!({
                "messageId": format!("m-{number}"), "receiptHandle": format!("handle-{number}"), "body": body,
                "attributes": {"ApproximateReceiveCount": receives.to_string(), "SentTimestamp": sent},
                "messageAttributes": {}, "md5OfBody": "d41d8cd98f00b204e9800998ecf8427e",
                "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:retry",
                "awsRegion": "eu-west-1",
            })
        })
        .collect();
    json!({"Records": records})
}

/// A batch of SQS messages with these notices, received once.
pub fn sqs_event(bodies: impl IntoIterator<Item = Value>) -> Value {
    sqs_event_received(1, bodies.into_iter().map(|body| body.to_string()))
}

/// Keys `prefix000.pdf`, `prefix001.pdf`, ….
pub fn keys(prefix: &str, number: usize) -> Vec<String> {
    (0..number).map(|key| format!("{prefix}{key:03}.pdf")).collect()
}
