//! Logs and metrics, for CloudWatch.
//!
//! Logs are JSON lines on standard output, as Lambda collects them. Text that comes from outside (keys, FlexOrch's messages) is
//! always a field's value and never part of a line's own text, so that both formats escape it: a newline in a key cannot forge a
//! line. Every line passes `safe_lines`, which removes secrets and escapes control characters.

mod json_lines;
pub mod metrics;
mod safe_lines;

use std::io::{self, Write};

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::writer::MakeWriterExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::json_lines::{JsonLine, JsonMembers};
use self::safe_lines::SafeLines;
pub use self::safe_lines::is_unsafe;
use crate::config::variable;
use crate::redaction;

/// Starts logging in the format and from the level that `AWS_LAMBDA_LOG_FORMAT` (`JSON`, the default here, or `Text`) and
/// `AWS_LAMBDA_LOG_LEVEL` set (Lambda Developer Guide, "Configuring advanced logging controls"). Libraries log
/// from WARN on only: below that, some of them print what they send.
pub fn init() {
    let level = variable("AWS_LAMBDA_LOG_LEVEL").or_else(|| variable("RUST_LOG"));
    let level = level.and_then(|level| parse_level(&level)).unwrap_or(LevelFilter::INFO);
    let text = variable("AWS_LAMBDA_LOG_FORMAT").is_some_and(|format| format.eq_ignore_ascii_case("text"));
    start(level, text, io::stdout.with_max_level(Level::TRACE));
}

fn start<W>(level: LevelFilter, text: bool, writer: W)
where
    W: for<'w> tracing_subscriber::fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    let targets = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        // A prefix: the packages of this workspace.
        .with_target("flexorch_", level)
        // It repeats every error that the function returns; the summary line has it already.
        .with_target("lambda_runtime::layers::panic", LevelFilter::OFF);
    redaction::register_environment();
    let registry = tracing_subscriber::registry().with(targets);
    let lines = tracing_subscriber::fmt::layer().with_target(false).with_ansi(false).with_writer(SafeLines(writer));
    // A second call, as in tests that share a process, changes nothing.
    let _ = if text {
        registry.with(lines).try_init()
    } else {
        registry.with(lines.event_format(JsonLine).fmt_fields(JsonMembers)).try_init()
    };
}

fn parse_level(text: &str) -> Option<LevelFilter> {
    match text.to_ascii_uppercase().as_str() {
        "TRACE" => Some(LevelFilter::TRACE),
        "DEBUG" => Some(LevelFilter::DEBUG),
        "INFO" => Some(LevelFilter::INFO),
        "WARN" => Some(LevelFilter::WARN),
        "ERROR" | "FATAL" => Some(LevelFilter::ERROR),
        _ => None,
    }
}

/// Logs each panic as one line, instead of several lines of text on standard error.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let words = panic.payload().downcast_ref::<&str>().map(|text| (*text).to_owned());
        let words = words.or_else(|| panic.payload().downcast_ref::<String>().cloned()).unwrap_or_default();
        tracing::error!(place = place.as_str(), error = words.as_str(), "panicked; please report this");
    }));
}

/// Writes one line to standard output without interleaving it with others.
pub fn write_line(line: &str) {
    let mut out = io::stdout().lock();
    // If standard output is closed, there is nowhere left to report it.
    let _ = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush());
}
