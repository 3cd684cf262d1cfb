//! Cold starts and warm events: time, processor time, memory, and the binary's size.

use std::time::Duration;

use serde::Serialize;

use super::{Trial, serve};
use crate::args::Args;
use crate::events::s3_notification;
use crate::programs::{Program, Programs};
use crate::servers::{Plan, Servers};
use crate::stats::{median, ms, percentile};
use crate::table::Table;

/// The first events of a process, which do not count as warm.
const SETTLING: usize = 20;

/// What the project holds itself to, as multiples of the empty function's.
const GOALS: Goals =
    Goals { cold_cpu_ratio: 2.5, cold_time_ratio: 2.7, warm_ratio: 2.6, resident_mib: 12.0, binary_mb: 6.5 };

/// The section's figures.
#[derive(Serialize)]
pub struct Cold {
    cold_starts: usize,
    warm_events: usize,
    pause_ms: u64,
    rows: Vec<Row>,
    cold_cpu_ratio: f64,
    cold_time_ratio: f64,
    warm_ratio: f64,
    warm_cpu_ratio: f64,
    /// Of a warm event with receipts, as a multiple of one without.
    receipts_ratio: f64,
    goals: Goals,
}

#[derive(Serialize)]
struct Goals {
    cold_cpu_ratio: f64,
    cold_time_ratio: f64,
    warm_ratio: f64,
    resident_mib: f64,
    binary_mb: f64,
}

#[derive(Serialize)]
struct Row {
    program: &'static str,
    init_ms: f64,
    first_ms: f64,
    total_ms: f64,
    cpu_ms: f64,
    resident_mib: f64,
    warm_p50_ms: f64,
    warm_p99_ms: f64,
    warm_cpu_ms: f64,
    binary_mb: Option<f64>,
}

/// One program's measurements so far.
#[derive(Default)]
struct Samples {
    init: Vec<Duration>,
    first: Vec<Duration>,
    total: Vec<Duration>,
    cpu: Vec<Duration>,
    warm: Vec<Duration>,
    /// Of whole processes, each with the same number of events.
    warm_cpu: Vec<Duration>,
    peak_kib: u64,
}

/// Measures the section.
pub fn measure(programs: &Programs, servers: &Servers, args: &Args) -> Cold {
    servers.flexorch.follow(Plan::default());
    let all = programs;
    let programs = all.all();
    let mut samples: Vec<Samples> = programs.iter().map(|_| Samples::default()).collect();
    let event = s3_notification(1);
    // One start of each that is not counted: it fills the page cache.
    for program in &programs {
        serve(servers, program, Trial::of(vec![event.clone()]));
    }
    // In turns, and in the other order every other time: what ran just before leaves caches warmer or colder.
    let mut turns: Vec<_> = programs.iter().zip(&mut samples).collect();
    for _ in 0..args.runs() {
        for (program, samples) in &mut turns {
            let served = serve(servers, program, Trial::of(vec![event.clone()]));
            samples.init.push(served.init());
            samples.first.push(served.first());
            samples.total.push(served.total());
            samples.cpu.push(served.process.cpu());
        }
        turns.reverse();
    }
    let pause = Duration::from_millis(args.pause);
    let warm_events = if args.smoke { 5 } else { 400 };
    let mut with_receipts = Vec::new();
    for _ in 0..args.runs_of_a(5) {
        let events = vec![event.clone(); SETTLING + warm_events];
        let settings = vec![servers.receipts()];
        let before = servers.receipts_sent();
        let served = serve(servers, &all.function, Trial { pause, settings, ..Trial::of(events) });
        assert_eq!(servers.receipts_sent() - before, SETTLING + warm_events, "every event has a receipt");
        with_receipts.extend(served.responses.iter().skip(SETTLING).map(|response| response.took));
        for (program, samples) in &mut turns {
            let events = vec![event.clone(); SETTLING + warm_events];
            let served = serve(servers, program, Trial { pause, ..Trial::of(events) });
            samples.warm.extend(served.responses.iter().skip(SETTLING).map(|response| response.took));
            samples.warm_cpu.push(served.process.cpu());
            samples.peak_kib = samples.peak_kib.max(served.process.peak_kib());
        }
        turns.reverse();
    }
    let rows: Vec<_> =
        programs.iter().zip(&samples).map(|(program, samples)| row(program, samples, warm_events)).collect();
    let (floor, function) = (&rows[0], &rows[1]);
    Cold {
        cold_starts: args.runs(),
        warm_events: warm_events * args.runs_of_a(5),
        pause_ms: args.pause,
        cold_cpu_ratio: function.cpu_ms / floor.cpu_ms,
        cold_time_ratio: function.total_ms / floor.total_ms,
        warm_ratio: function.warm_p50_ms / floor.warm_p50_ms,
        warm_cpu_ratio: function.warm_cpu_ms / floor.warm_cpu_ms,
        receipts_ratio: ms(median(with_receipts.iter().copied())) / function.warm_p50_ms,
        goals: GOALS,
        rows,
    }
}

fn row(program: &Program, samples: &Samples, warm_events: usize) -> Row {
    let middle = |values: &[Duration]| ms(median(values.iter().copied()));
    let cold_cpu = middle(&samples.cpu);
    let later_events = (SETTLING + warm_events - 1) as f64;
    Row {
        program: program.name,
        init_ms: middle(&samples.init),
        first_ms: middle(&samples.first),
        total_ms: middle(&samples.total),
        cpu_ms: cold_cpu,
        resident_mib: samples.peak_kib as f64 / 1024.0,
        warm_p50_ms: middle(&samples.warm),
        warm_p99_ms: ms(percentile(samples.warm.iter().copied(), 0.99)),
        warm_cpu_ms: (middle(&samples.warm_cpu) - cold_cpu) / later_events,
        binary_mb: program.bytes().map(|bytes| bytes as f64 / 1e6),
    }
}

impl Cold {
    /// Returns a row for each program.
    pub fn table(&self) -> Table {
        let mut table = Table::new([
            "",
            "init",
            "first",
            "total",
            "CPU",
            "warm p50",
            "warm p99",
            "warm CPU",
            "peak MiB",
            "binary MB",
        ]);
        for row in &self.rows {
            let binary = row.binary_mb.map_or("–".to_owned(), |mb| format!("{mb:.2}"));
            let times = [row.init_ms, row.first_ms, row.total_ms, row.cpu_ms].map(|ms| format!("{ms:.2}"));
            let [init, first, total, cpu] = times;
            let warm = [row.warm_p50_ms, row.warm_p99_ms, row.warm_cpu_ms].map(|ms| format!("{ms:.3}"));
            let [p50, p99, warm_cpu] = warm;
            let resident = format!("{:.1}", row.resident_mib);
            table.row([row.program.to_owned(), init, first, total, cpu, p50, p99, warm_cpu, resident, binary]);
        }
        table.note(format!(
            "Milliseconds; medians of {} cold starts and {} warm events of one object. Init: start of the process → asks for \
             work; first: first event → its answer; CPU: user and system, of all threads. Warm events come {} ms after \
             the answer before.",
            self.cold_starts,
            self.warm_events,
            self.pause_ms
        ))
    }

    /// The ratios of the same run, beside the goals.
    pub fn goals_table(&self) -> Table {
        let function = &self.rows[1];
        let mut table = Table::new(["", "measured", "goal: at most"]);
        let mut line = |what: &str, measured: String, goal: String| table.row([what.to_owned(), measured, goal]);
        let ratio = |value: f64| format!("{value:.2} ×");
        line("cold start, processor time", ratio(self.cold_cpu_ratio), ratio(self.goals.cold_cpu_ratio));
        line("cold start, time", ratio(self.cold_time_ratio), ratio(self.goals.cold_time_ratio));
        line("warm event, time", ratio(self.warm_ratio), ratio(self.goals.warm_ratio));
        line("warm event, processor time", ratio(self.warm_cpu_ratio), "–".to_owned());
        line("warm event with receipts, time, of one without", ratio(self.receipts_ratio), "–".to_owned());
        let mib = |value: f64| format!("{value:.1} MiB");
        line("resident", mib(function.resident_mib), mib(self.goals.resident_mib));
        let mb = |value: f64| format!("{value:.2} MB");
        line("binary", function.binary_mb.map_or_else(String::new, mb), mb(self.goals.binary_mb));
        table.note("A multiple is of the empty function's figure in the same run, if nothing else is named.".to_owned())
    }
}
