//! What a burst of uploads takes and costs, simulated with the function's own rules of batching, pacing and retrying.
//!
//! ```sh
//! cargo run --example burst -- --objects 100000 --rpm 60
//! ```
//!
//! | file | its part |
//! | --- | --- |
//! | `scenario` | what is simulated, with the template's defaults |
//! | `agenda` | virtual time |
//! | `world` | the chain, event by event; `world::delivery`, `world::answer`: how work reaches a process, and how it ends (`handler::acknowledge`) |
//! | `process` | one process of the function: drives `ingest::session` |
//! | `lambda`, `queue`, `flexorch` | what it runs in, receives from and sends to |
//! | `tally` | where every object is, so that none is lost |
//! | `report`, `costs` | what a run came to |
//! | `words`, `plot` | tables and the picture |
//! | `backfill` | what was in the bucket before |
//!
//! `docs/scaling.md` reads the results and says what is assumed.

mod agenda;
mod backfill;
mod costs;
mod flexorch;
mod lambda;
mod plot;
mod process;
mod queue;
mod report;
mod scenario;
mod tally;
#[cfg(test)]
mod tests;
mod words;
mod world;

use std::io::{self, Write};
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::Parser;

use crate::report::Report;
use crate::scenario::{Scenario, Shape};

/// What a burst of uploads takes and costs in each shape of the deployment, simulated with the function's own rules.
#[derive(Debug, Parser)]
struct Arguments {
    /// How uploads reach the function (`Trigger`); by default all three.
    #[arg(long, value_delimiter = ',')]
    shape: Vec<Shape>,
    /// Uploads; several numbers, separated by commas, are several runs.
    #[arg(long, value_delimiter = ',', default_value = "10000", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    objects: Vec<u32>,
    /// Requests a minute that the plan allows (`PlanRequestsPerMinute`); several are several runs.
    #[arg(long, value_delimiter = ',', default_value = "60")]
    rpm: Vec<NonZeroU32>,
    #[command(flatten)]
    scenario: Scenario,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
    /// Draw what waits over time into this file.
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Instead: a table of backfills, of a thousand to a thousand million objects.
    #[arg(long, conflicts_with_all = ["shape", "objects", "json", "svg"])]
    backfill: bool,
}

impl Arguments {
    fn scenarios(&self) -> Vec<Scenario> {
        let shapes = if self.shape.is_empty() { Shape::ALL.as_slice() } else { &self.shape };
        let mut scenarios = Vec::new();
        for &objects in &self.objects {
            for &rpm in &self.rpm {
                scenarios.extend(shapes.iter().map(|&shape| Scenario { shape, objects, rpm, ..self.scenario.clone() }));
            }
        }
        scenarios
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    match print(&Arguments::parse(), &mut io::stdout().lock()) {
        // Who reads has read enough.
        Err(error) if error.downcast_ref().map(io::Error::kind) == Some(io::ErrorKind::BrokenPipe) => Ok(()),
        result => result,
    }
}

fn print(arguments: &Arguments, mut out: &mut impl Write) -> Result<(), Box<dyn std::error::Error>> {
    if arguments.backfill {
        let plans = if arguments.rpm.len() > 1 { arguments.rpm.clone() } else { plans() };
        return Ok(backfill::table(out, &plans, arguments.scenario.latency)?);
    }
    let runs = arguments.scenarios().iter().map(world::run).collect::<Result<Vec<Report>, _>>()?;
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &runs)?;
        writeln!(out)?;
    } else if arguments.objects.len() * arguments.rpm.len() > 1 {
        words::one_a_row(out, &runs)?;
    } else {
        words::side_by_side(out, &runs)?;
    }
    if let Some(file) = &arguments.svg {
        std::fs::write(file, plot::svg(&runs)).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

/// A small, a middling and a large plan.
fn plans() -> Vec<NonZeroU32> {
    [60, 600, 6000].into_iter().filter_map(NonZeroU32::new).collect()
}
