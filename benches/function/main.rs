//! The function as a process, beside an empty Lambda function and in the same run: cold start, warm events, large events,
//! throughput, and a small function's share of the processor.
//!
//! ```text
//! cargo bench --bench function                                      everything, as tables
//! cargo bench --bench function -- cold bulk                         two of the sections
//! cargo bench --bench function -- --update docs/performance.md      the same, into the page's tables
//! ```
//!
//! Lambda's Runtime API, Secrets Manager and FlexOrch are local servers on one thread of this process. The programs take turns,
//! so that whatever else the machine does hits all of them alike: the ratios are worth more than the milliseconds. Nothing here
//! asserts a time.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that meets something unexpected ends there")]

mod args;
mod cores;
mod events;
mod measure;
mod process;
mod programs;
mod quota;
mod report;
mod servers;
mod stats;
mod table;

use std::io::Write;

use args::{Args, Section};
use clap::Parser;
use programs::Programs;
use report::Report;
use servers::Servers;

fn main() -> std::io::Result<()> {
    let args = Args::parse();
    let beside = args.beside.clone();
    let programs = if args.smoke { Programs::of_the_tests(beside) } else { Programs::build(beside) };
    let servers = Servers::start();
    cores::keep_to(cores::PROGRAMS);
    let mut report = Report::default();
    let mut progress = std::io::stderr();
    for section in args.sections() {
        writeln!(progress, "measuring {} …", section.title())?;
        match section {
            Section::Cold => report.cold = Some(measure::cold::measure(&programs, &servers, &args)),
            Section::Bulk => report.bulk = Some(measure::bulk::measure(&programs, &servers, &args)),
            Section::Requests => report.requests = Some(measure::requests::measure(&programs, &servers, &args)),
            Section::Throughput => report.throughput = Some(measure::throughput::measure(&programs, &servers, &args)),
            Section::Starved => report.starved = Some(measure::starved::measure(&programs, &servers, &args)),
        }
    }
    if let Some(page) = &args.update {
        report.update(page)?;
    }
    let mut out = std::io::stdout().lock();
    if args.json { writeln!(out, "{}", serde_json::to_string_pretty(&report)?) } else { write!(out, "{report}") }
}
