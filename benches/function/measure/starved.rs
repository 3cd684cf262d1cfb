//! Cold and warm with the part of a core that a memory size brings, and what a million events cost there.

use std::time::Duration;

use serde::Serialize;

use super::{Trial, serve};
use crate::args::Args;
use crate::events::{s3_notification, sqs_batch};
use crate::programs::{Program, Programs};
use crate::quota::{MB_OF_A_CORE, PERIOD, Quota};
use crate::servers::{Plan, Servers};
use crate::stats::{median, ms, percentile};
use crate::table::Table;

const SIZES: [u32; 5] = [128, 256, 512, 1024, 1769];

/// How long FlexOrch takes to respond here. An event waits for it, whatever the memory size.
const ANSWER: Duration = Duration::from_millis(50);

/// Lambda's prices for arm64 in most regions (AWS Lambda Pricing).
const DOLLARS_A_GB_SECOND: f64 = 0.000_013_333_4;
const DOLLARS_A_MILLION_REQUESTS: f64 = 0.20;

/// The section's figures, or why there are none.
#[derive(Serialize)]
pub enum Starved {
    Measured(Vec<Row>),
    NotMeasured(String),
}

#[derive(Serialize)]
pub struct Row {
    memory_mb: u32,
    share_of_a_core: f64,
    empty_cold_ms: f64,
    cold_ms: f64,
    python_cold_ms: Option<f64>,
    warm_p50_ms: f64,
    warm_p99_ms: f64,
    thousand_messages_ms: f64,
    gb_seconds_a_million: f64,
    dollars_a_million: f64,
}

/// Measures the section.
pub fn measure(programs: &Programs, servers: &Servers, args: &Args) -> Starved {
    let rows: std::io::Result<Vec<Row>> = SIZES.iter().map(|size| row(*size, programs, servers, args)).collect();
    match rows {
        Ok(rows) => Starved::Measured(rows),
        Err(error) => Starved::NotMeasured(format!("No CPU quota could be set on this machine: {error}.")),
    }
}

fn row(memory_mb: u32, programs: &Programs, servers: &Servers, args: &Args) -> std::io::Result<Row> {
    let quota = Quota::of_memory(memory_mb)?;
    servers.flexorch.follow(Plan { latency: ANSWER, requests_per_minute: None });
    let event = s3_notification(1);
    let trial = |events| Trial { quota: Some(&quota), ..Trial::of(events) };
    let cold = |program: &Program, runs: usize| {
        median((0..runs).map(|_| serve(servers, program, trial(vec![event.clone()])).total()))
    };
    let runs = args.runs_of_a(3);
    let empty_cold_ms = ms(cold(&programs.empty, runs));
    let cold_ms = ms(cold(&programs.function, runs));
    let python_cold_ms = programs.python.as_ref().map(|python| ms(cold(python, args.runs_of_a(10))));

    let warm_events = if args.smoke { 3 } else { 100 };
    let served = serve(servers, &programs.function, trial(vec![event.clone(); 1 + warm_events]));
    let warm: Vec<_> = served.responses.iter().skip(1).map(|response| response.took).collect();
    drop(served);
    let large = [vec![event.clone()], vec![sqs_batch(1_000, 1); args.runs_of_a(5)]].concat();
    let served = serve(servers, &programs.function, trial(large));
    let thousand = median(served.responses.iter().skip(1).map(|response| response.took));

    let warm_p50_ms = ms(median(warm.iter().copied()));
    // Each event's time is rounded up to a millisecond.
    let billed: f64 = warm.iter().map(|took| ms(*took).ceil()).sum::<f64>() / warm.len() as f64;
    let gb_seconds_a_million = f64::from(memory_mb) / 1024.0 * billed * 1e3;
    Ok(Row {
        memory_mb,
        share_of_a_core: f64::from(memory_mb) / MB_OF_A_CORE,
        empty_cold_ms,
        cold_ms,
        python_cold_ms,
        warm_p50_ms,
        warm_p99_ms: ms(percentile(warm, 0.99)),
        thousand_messages_ms: ms(thousand),
        gb_seconds_a_million,
        dollars_a_million: gb_seconds_a_million * DOLLARS_A_GB_SECOND + DOLLARS_A_MILLION_REQUESTS,
    })
}

impl Starved {
    /// A row for each memory size.
    pub fn table(&self) -> Table {
        let rows = match self {
            Self::Measured(rows) => rows,
            Self::NotMeasured(reason) => return Table::new([]).note(reason.clone()),
        };
        let mut table = Table::new([
            "MB",
            "of a core",
            "cold: empty",
            "cold: **this function**",
            "cold: Python",
            "warm p50",
            "warm p99",
            "1,000 messages",
            "GB-s a million",
            "$ a million",
        ]);
        for row in rows {
            let times = [row.empty_cold_ms, row.cold_ms, row.warm_p50_ms, row.warm_p99_ms, row.thousand_messages_ms];
            let [empty, cold, p50, p99, thousand] = times.map(|ms| format!("{ms:.1}"));
            table.row([
                row.memory_mb.to_string(),
                format!("{:.1} %", 100.0 * row.share_of_a_core),
                empty,
                cold,
                row.python_cold_ms.map_or("–".to_owned(), |ms| format!("{ms:.0}")),
                p50,
                p99,
                thousand,
                format!("{:.0}", row.gb_seconds_a_million),
                format!("{:.2}", row.dollars_a_million),
            ]);
        }
        table.note(format!(
            "Milliseconds, of which FlexOrch's answer takes {} each; a CPU quota given anew every {} ms. Cost: a million warm \
             events of one object, arm64.",
            ANSWER.as_millis(),
            PERIOD.as_millis()
        ))
    }
}
