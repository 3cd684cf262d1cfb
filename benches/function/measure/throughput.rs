//! Requests a second against an endpoint that takes its time, of those that the plan and the endpoint allow.

use std::time::Duration;

use serde::Serialize;

use super::{Trial, serve};
use crate::args::Args;
use crate::events::s3_notification;
use crate::programs::Programs;
use crate::servers::{Plan, Servers};
use crate::stats::ms;
use crate::table::Table;

/// The section's figures.
#[derive(Serialize)]
pub struct Throughput(Vec<Row>);

#[derive(Serialize)]
struct Row {
    latency_ms: f64,
    concurrent: usize,
    plan_per_minute: Option<usize>,
    requests: usize,
    refused: usize,
    per_second: f64,
    possible_per_second: f64,
    bound: &'static str,
    cpu_share: f64,
}

struct Case {
    latency: Duration,
    concurrent: usize,
    plan: Option<usize>,
    requests: usize,
}

/// Measures the section.
pub fn measure(programs: &Programs, servers: &Servers, args: &Args) -> Throughput {
    let case = |latency_ms, concurrent, plan, requests| Case {
        latency: Duration::from_millis(latency_ms),
        concurrent,
        plan,
        requests: if args.smoke { 2 } else { requests },
    };
    let cases = [
        case(50, 2, None, 400),
        case(50, 10, None, 2_000),
        case(500, 2, None, 40),
        case(500, 10, None, 200),
        case(50, 2, Some(60), 60),
        case(500, 2, Some(60), 60),
    ];
    Throughput(cases.iter().map(|case| row(case, programs, servers)).collect())
}

fn row(case: &Case, programs: &Programs, servers: &Servers) -> Row {
    servers.flexorch.follow(Plan { latency: case.latency, requests_per_minute: case.plan });
    let mut settings =
        vec![("MAX_KEYS_PER_REQUEST", "1".to_owned()), ("MAX_CONCURRENT_REQUESTS", case.concurrent.to_string())];
    settings.extend(case.plan.map(|plan| ("REQUESTS_PER_MINUTE", plan.to_string())));
    let trial = Trial { settings, ..Trial::of(vec![s3_notification(case.requests)]) };
    let served = serve(servers, &programs.function, trial);
    assert_eq!(servers.flexorch.keys(), case.requests, "every key arrives once");
    let took = served.first();
    let of_endpoint = case.concurrent as f64 / case.latency.as_secs_f64();
    let of_plan = case.plan.map(|plan| plan as f64 / 60.0);
    let (possible, bound) = match of_plan {
        Some(of_plan) if of_plan < of_endpoint => (of_plan, "the plan"),
        _ => (of_endpoint, "the endpoint"),
    };
    Row {
        latency_ms: ms(case.latency),
        concurrent: case.concurrent,
        plan_per_minute: case.plan,
        requests: servers.flexorch.requests(),
        refused: servers.flexorch.refused(),
        per_second: case.requests as f64 / took.as_secs_f64(),
        possible_per_second: possible,
        bound,
        cpu_share: served.process.cpu().as_secs_f64() / took.as_secs_f64(),
    }
}

impl Throughput {
    /// A row for each case.
    pub fn table(&self) -> Table {
        let mut table = Table::new([
            "response time",
            "in flight",
            "plan a minute",
            "requests",
            "refused",
            "a second",
            "possible",
            "reached",
            "bound",
            "of a core",
        ]);
        for row in &self.0 {
            table.row([
                format!("{:.0} ms", row.latency_ms),
                row.concurrent.to_string(),
                row.plan_per_minute.map_or("unlimited".to_owned(), |plan| plan.to_string()),
                row.requests.to_string(),
                row.refused.to_string(),
                format!("{:.2}", row.per_second),
                format!("{:.2}", row.possible_per_second),
                format!("{:.0} %", 100.0 * row.per_second / row.possible_per_second),
                row.bound.to_owned(),
                format!("{:.1} %", 100.0 * row.cpu_share),
            ]);
        }
        table.note(
            "One key a request. The endpoint allows as many requests a second as are in flight ÷ its time.".to_owned(),
        )
    }
}
