//! Events, made of the repository's samples.

use hyper::body::Bytes;
use serde_json::{Value, json};

fn sample(name: &str) -> Value {
    let path = format!("{}/events/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A notification as S3 sends it to a function, of so many objects.
pub fn s3_notification(objects: usize) -> Bytes {
    let record = &sample("s3-direct.json")["Records"][0];
    let records: Vec<_> = (0..objects).map(|number| numbered(record, number)).collect();
    json!({"Records": records}).to_string().into()
}

/// An SQS batch of so many messages, each with a notification of `objects_each` objects inside: JSON in JSON.
///
/// A message is that of `sqs-s3.json` without the tags that only some buckets have: 1.7 KB.
pub fn sqs_batch(messages: usize, objects_each: usize) -> Bytes {
    let message = &sample("sqs-s3.json")["Records"][0];
    let mut notice: Value = serde_json::from_str(message["body"].as_str().unwrap()).unwrap();
    let record = &mut notice["Records"][0];
    record["s3"]["bucket"].as_object_mut().unwrap().remove("awsGeneratedTags");
    let records: Vec<_> = (0..messages)
        .map(|number| {
            let inner: Vec<_> =
                (0..objects_each).map(|object| numbered(record, number * objects_each + object)).collect();
            let mut message = message.clone();
            message["messageId"] = format!("68dd9eb1-2805-4f6e-a2c3-{number:012}").into();
            message["body"] = json!({"Records": inner}).to_string().into();
            message
        })
        .collect();
    json!({"Records": records}).to_string().into()
}

/// Returns the record with another key, form-encoded as by S3.
fn numbered(record: &Value, number: usize) -> Value {
    let mut record = record.clone();
    record["s3"]["object"]["key"] = format!("invoices/2026/11/Rechnung+{number:05}.pdf").into();
    record["s3"]["object"]["sequencer"] = format!("006AFABB94150{number:05X}").into();
    record
}
