//! The benchmark's command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Measures the function as a process, beside an empty Lambda function and in the same run.
#[derive(Parser)]
#[command(name = "cargo bench --bench function --")]
pub struct Args {
    /// What to measure; nothing named: everything
    sections: Vec<Section>,
    /// Cold starts of each program; other sections take their number from it
    #[arg(long, default_value_t = 25)]
    runs: usize,
    /// Milliseconds between a response and the next warm event: real events do not follow each other immediately, and the processor
    /// goes to sleep in between
    #[arg(long, value_name = "MS", default_value_t = 2)]
    pub pause: u64,
    /// Another build of the function, to be measured in the same run
    #[arg(long, value_name = "BINARY")]
    pub beside: Option<PathBuf>,
    /// Run everything once, small and with the tests' builds, to see that it still works; the figures mean nothing
    #[arg(long)]
    pub smoke: bool,
    /// Print JSON instead of tables
    #[arg(long)]
    pub json: bool,
    /// Put the tables between the marks of this page, too
    #[arg(long, value_name = "PAGE")]
    pub update: Option<PathBuf>,
    /// What cargo passes along
    #[arg(long, hide = true)]
    bench: bool,
}

/// A part of the benchmark.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Section {
    /// Cold start and warm events, memory and size
    Cold,
    /// Events of 1 to 10,000 SQS messages
    Bulk,
    /// Requests for so many objects
    Requests,
    /// Requests a second, of those that the plan and the endpoint allow
    Throughput,
    /// Cold and warm with a small function's share of the processor, and what it costs
    Starved,
}

impl Section {
    /// The section as progress and headings name it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Cold => "cold starts and warm events",
            Self::Bulk => "large events",
            Self::Requests => "requests",
            Self::Throughput => "throughput",
            Self::Starved => "a share of the processor",
        }
    }
}

impl Args {
    /// What to measure.
    pub fn sections(&self) -> Vec<Section> {
        if self.sections.is_empty() { Section::value_variants().to_vec() } else { self.sections.clone() }
    }

    /// Cold starts of each program.
    pub fn runs(&self) -> usize {
        if self.smoke { 1 } else { self.runs }
    }

    /// A part of the cold starts' number, for what takes longer.
    pub fn runs_of_a(&self, part: usize) -> usize {
        self.runs().div_ceil(part)
    }
}
