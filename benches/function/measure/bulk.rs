//! Events of 1 to 10,000 SQS messages: time, what part is transfer, requests, memory.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flexorch_s3_ingester::event::Invocation;
use flexorch_s3_ingester::ingest::batch::BatchQueue;
use flexorch_s3_ingester::ingest::route::{Route, Router, superseded};
use flexorch_s3_ingester::model::connector::Connector;
use flexorch_s3_ingester::model::scope::Scope;
use hyper::body::Bytes;
use serde::Serialize;

use super::{Trial, serve};
use crate::args::Args;
use crate::events::sqs_batch;
use crate::programs::Programs;
use crate::servers::{Plan, Servers};
use crate::stats::{median, ms};
use crate::table::Table;

const SIZES: [usize; 6] = [1, 10, 100, 1_000, 3_000, 10_000];

/// The section's figures.
#[derive(Serialize)]
pub struct Bulk(Vec<Row>);

#[derive(Serialize)]
struct Row {
    messages: usize,
    megabytes: f64,
    requests: usize,
    /// Event sent → response.
    whole_ms: f64,
    /// The same for another build of the function, if one is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    other_build_ms: Option<f64>,
    /// The same bytes to the empty function → its response.
    transfer_ms: f64,
    /// Event sent → first request to FlexOrch, less the transfer.
    to_first_request_ms: f64,
    /// Reading, deduplicating, routing and batching alone, inside this process.
    core_ms: f64,
    microseconds_a_message: f64,
    peak_mib: f64,
}

#[derive(Default)]
struct Samples {
    whole: Vec<Duration>,
    other_build: Vec<Duration>,
    to_first_request: Vec<Duration>,
    transfer: Vec<Duration>,
    core: Vec<Duration>,
    requests: usize,
    peak_kib: u64,
}

/// Measures the section.
pub fn measure(programs: &Programs, servers: &Servers, args: &Args) -> Bulk {
    Bulk(SIZES.iter().map(|messages| size(*messages, programs, servers, args)).collect())
}

fn size(messages: usize, programs: &Programs, servers: &Servers, args: &Args) -> Row {
    let event = sqs_batch(messages, 1);
    // Small events take too little time to be measured once; large ones come one to a process, whose memory is measured.
    let repeats = if args.smoke { 1 } else { (2_000 / messages).clamp(1, 50) };
    let first = sqs_batch(1, 1);
    let events: Vec<_> = std::iter::once(first).chain(std::iter::repeat_n(event.clone(), repeats)).collect();
    let mut samples = Samples::default();
    for _ in 0..args.runs_of_a(3) {
        let served = serve(servers, &programs.empty, Trial::of(events.clone()));
        samples.transfer.extend(served.responses.iter().skip(1).map(|response| response.took));

        servers.flexorch.follow(Plan::default());
        let served = serve(servers, &programs.function, Trial::of(events.clone()));
        assert_eq!(servers.flexorch.keys(), messages * repeats + 1, "every key arrives once");
        samples.requests = (servers.flexorch.requests() - 1) / repeats;
        samples.peak_kib = samples.peak_kib.max(served.process.peak_kib());
        for response in &served.responses[1..] {
            let first_request = servers.flexorch.first_request_after(response.sent).unwrap();
            samples.whole.push(response.took);
            samples.to_first_request.push(first_request - response.sent);
        }
        if let Some(other) = &programs.beside {
            servers.flexorch.follow(Plan::default());
            let served = serve(servers, other, Trial::of(events.clone()));
            samples.other_build.extend(served.responses[1..].iter().map(|response| response.took));
        }
        samples.core.extend((0..repeats).map(|_| core(&event, messages)));
    }
    let transfer = median(samples.transfer);
    let whole_ms = ms(median(samples.whole));
    Row {
        messages,
        megabytes: event.len() as f64 / 1e6,
        requests: samples.requests,
        whole_ms,
        other_build_ms: programs.beside.is_some().then(|| ms(median(samples.other_build))),
        transfer_ms: ms(transfer),
        to_first_request_ms: ms(median(samples.to_first_request).saturating_sub(transfer)),
        core_ms: ms(median(samples.core)),
        microseconds_a_message: whole_ms * 1e3 / messages as f64,
        peak_mib: samples.peak_kib as f64 / 1024.0,
    }
}

/// Everything between the event's text and the first request, without a process or a socket around it.
fn core(event: &Bytes, messages: usize) -> Duration {
    let secret = r#"{"api_key":"dfx_bench_0123456789","connector_id":42,"bucket":"my-documents"}"#;
    let connectors = [Arc::new(Connector::from_secret("connector", secret).unwrap())];
    let text = std::str::from_utf8(event).unwrap();
    let began = Instant::now();
    let invocation = Invocation::read(text).unwrap();
    let objects = &invocation.contents.objects;
    let scope = Scope::default();
    let router = Router::new(&connectors, &[], &scope);
    let routes: Vec<Route> = objects.iter().map(|object| router.route(object)).collect();
    let superseded = superseded(objects, |at| routes[at].is_in_scope());
    let chosen: Vec<usize> = (0..objects.len()).filter(|at| !superseded[*at] && routes[*at] == Route::To(0)).collect();
    let mut queue = BatchQueue::new(&chosen, NonZeroUsize::new(100).unwrap());
    let first = queue.pop();
    let took = began.elapsed();
    assert_eq!(first.unwrap().objects.len() + queue.drain().len(), messages);
    took
}

impl Bulk {
    /// A row for each size.
    pub fn table(&self) -> Table {
        let mut table = Table::new([
            "messages",
            "MB",
            "requests",
            "whole, ms",
            "of it transfer",
            "of it up to the first request",
            "in process",
            "µs a message",
            "peak MiB",
        ]);
        for row in &self.0 {
            let times = [row.whole_ms, row.transfer_ms, row.to_first_request_ms, row.core_ms];
            let [whole, transfer, first, core] = times.map(|ms| format!("{ms:.2}"));
            table.row([
                row.messages.to_string(),
                format!("{:.2}", row.megabytes),
                row.requests.to_string(),
                whole,
                transfer,
                first,
                core,
                format!("{:.1}", row.microseconds_a_message),
                format!("{:.1}", row.peak_mib),
            ]);
        }
        let mut note = "Transfer: the same bytes to the empty function. In process: reading, deduplicating, routing and batching without \
                        a process around it."
            .to_owned();
        let other: Vec<_> = self.0.iter().filter_map(|row| row.other_build_ms).map(|ms| format!("{ms:.2}")).collect();
        if !other.is_empty() {
            note = format!("{note} Whole, of the other build: {} ms.", other.join(", "));
        }
        table.note(note)
    }
}
