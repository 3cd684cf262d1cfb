//! The pure parts: decoding keys, reading each source's events, choosing connectors, making requests, building receipts.
//!
//! ```text
//! cargo bench --bench micro
//! cargo bench --bench micro -- read
//! ```

#![expect(clippy::unwrap_used, reason = "a benchmark that meets something unexpected ends there")]

#[path = "function/events.rs"]
mod events;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::SystemTime;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use flexorch_s3_ingester::event::Invocation;
use flexorch_s3_ingester::ingest::batch::BatchQueue;
use flexorch_s3_ingester::ingest::receipt::{AnsweredRequest, receipts};
use flexorch_s3_ingester::ingest::route::{Router, superseded};
use flexorch_s3_ingester::model::connector::Connector;
use flexorch_s3_ingester::model::job_id::JobId;
use flexorch_s3_ingester::model::object::{ObjectKey, S3Object};
use flexorch_s3_ingester::model::outcome::{Forwarded, Outcome};
use flexorch_s3_ingester::model::scope::Scope;

const SIZES: [usize; 5] = [1, 10, 100, 1_000, 10_000];

fn main() {
    divan::main();
}

#[divan::bench(args = [
    "invoices/2026/11/Rechnung-0005.pdf",
    "invoices/2026/11/Rechnung+0005.pdf",
    "invoices/2026/11/M%C3%BCller+%26+S%C3%B6hne+%28Kopie%29.docx",
    "invoices/%E6%97%A5%E6%9C%AC/%E8%AB%8B%E6%B1%82%E6%9B%B8+2026-11.pdf",
])]
fn decode_key(encoded: &str) -> ObjectKey {
    ObjectKey::from_form_encoded(black_box(encoded)).unwrap()
}

/// Every sample event of the repository, by its file's name.
#[divan::bench(args = samples())]
fn read_sample(bencher: Bencher, name: &str) {
    let path = format!("{}/events/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    bencher.counter(BytesCount::of_str(&text)).bench(|| Invocation::read(black_box(&text)).is_ok());
}

fn samples() -> Vec<String> {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/events")).unwrap();
    let names = folder.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".json")).collect();
    names.sort();
    names
}

#[divan::bench(args = SIZES)]
fn read_sqs_messages(bencher: Bencher, messages: usize) {
    let event = events::sqs_batch(messages, 1);
    let text = std::str::from_utf8(&event).unwrap();
    bencher
        .counter(ItemsCount::new(messages))
        .counter(BytesCount::of_str(text))
        .bench(|| Invocation::read(black_box(text)).unwrap());
}

#[divan::bench(args = SIZES)]
fn read_s3_records(bencher: Bencher, records: usize) {
    let event = events::s3_notification(records);
    let text = std::str::from_utf8(&event).unwrap();
    bencher
        .counter(ItemsCount::new(records))
        .counter(BytesCount::of_str(text))
        .bench(|| Invocation::read(black_box(text)).unwrap());
}

fn objects(number: usize) -> Vec<S3Object> {
    let event = events::s3_notification(number);
    Invocation::read(std::str::from_utf8(&event).unwrap()).unwrap().contents.objects
}

#[divan::bench(args = SIZES)]
fn deduplicate(bencher: Bencher, number: usize) {
    let objects = objects(number);
    bencher.counter(ItemsCount::new(number)).bench(|| superseded(black_box(&objects), |_| true));
}

#[divan::bench(args = SIZES)]
fn choose_among_ten_connectors(bencher: Bencher, number: usize) {
    let objects = objects(number);
    let connectors: Vec<_> = (0..10)
        .map(|connector| {
            let secret =
                format!(r#"{{"api_key":"dfx_a","connector_id":{connector},"prefix":"invoices/202{connector}/"}}"#);
            Arc::new(Connector::from_secret("secret", &secret).unwrap())
        })
        .collect();
    let scope = Scope { key_suffixes: vec![".docx".into(), ".pdf".into()], ..Scope::default() };
    let router = Router::new(&connectors, &[], &scope);
    bencher.counter(ItemsCount::new(number)).bench(|| {
        for object in &objects {
            black_box(router.route(black_box(object)));
        }
    });
}

#[divan::bench(args = SIZES)]
fn build_receipts(bencher: Bencher, number: usize) {
    let secret = r#"{"api_key":"dfx_a","connector_id":42}"#;
    let connector = Arc::new(Connector::from_secret("flexorch/documents", secret).unwrap());
    let outcome = |number: usize| {
        let job_id = Some(JobId::from(format!("job_{number:09}")));
        Outcome::Forwarded(Forwarded { connector: "flexorch/documents".into(), job_id, duplicate: false })
    };
    let settled: Vec<_> = objects(number).into_iter().zip((0..number).map(outcome)).collect();
    let positions: Vec<_> = (0..number).collect();
    let answered = |objects: &[usize]| AnsweredRequest {
        connector: Arc::clone(&connector),
        at: SystemTime::UNIX_EPOCH,
        objects: objects.to_vec(),
    };
    let answered: Vec<_> = positions.chunks(100).map(answered).collect();
    bencher.counter(ItemsCount::new(number)).bench(|| {
        receipts(black_box(&answered), |position| settled.get(position).map(|(object, outcome)| (object, outcome)))
    });
}

#[divan::bench(args = SIZES)]
fn make_requests(bencher: Bencher, number: usize) {
    let positions: Vec<_> = (0..number).collect();
    let most_keys = NonZeroUsize::new(100).unwrap();
    bencher.counter(ItemsCount::new(number)).bench(|| {
        let mut queue = BatchQueue::new(black_box(&positions), most_keys);
        while let Some(batch) = queue.pop() {
            black_box(batch);
        }
    });
}
