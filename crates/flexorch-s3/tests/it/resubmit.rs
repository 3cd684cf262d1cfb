//! `flexorch-s3 resubmit`.

use std::collections::BTreeSet;
use std::time::SystemTime;

use flexorch_sandbox::aws_fault::AwsFault;
use serde_json::{Value, json};

use crate::support::records::{Archive, BUCKET, CONNECTOR, STACK, TABLE, at};
use crate::support::run::{Run, Running};

/// The ETag of every object of the sandbox.
fn etag(archive: &Archive, key: &str) -> String {
    let _ = (archive, key);
    String::new()
}

/// Puts an object and a failed record of it.
fn fail(archive: &Archive, key: &str, second: u32) {
    archive.buckets.put(BUCKET, key, 10, SystemTime::now());
    archive.put(key, "failed", &at(second), &json!({"failure_reason": "cannot be read", "job_id": format!("j-{second}")}));
}

/// The keys of the events in the retry queue, repeats included.
fn queued(archive: &Archive) -> Vec<String> {
    let bodies = archive.queues.messages("retry").into_iter().map(|message| message.body);
    let records = bodies.flat_map(|body| serde_json::from_str::<Value>(&body).unwrap()["Records"].as_array().unwrap().clone());
    let mut keys: Vec<_> = records.map(|record| record["s3"]["object"]["key"].as_str().unwrap().to_owned()).collect();
    keys.sort();
    keys
}

fn names(number: u32) -> Vec<String> {
    (0..number).map(|key| format!("k{key:03}")).collect()
}

async fn resubmit(archive: &Archive, more: &[&str]) -> Run {
    archive.run(&[&["resubmit", "--stack", STACK], more].concat()).await
}
