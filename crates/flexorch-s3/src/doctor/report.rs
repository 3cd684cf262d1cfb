//! Prints the checks, as text and as JSON.

use anyhow::Result;
use serde::Serialize;

use super::check::{Check, Status};
use crate::exit::Exit;
use crate::output::{DIM, FAILURE, Output, SUCCESS, WARNING, styled};
use crate::text::escaped;

/// The JSON document.
#[derive(Debug, Serialize)]
struct Report<'a> {
    /// Whether no check failed.
    well: bool,
    checks: &'a [Check],
}

/// Prints the checks, and returns the exit status.
pub(crate) fn print(checks: &[Check], output: Output) -> Result<Exit> {
    let well = !checks.iter().any(Check::has_failed);
    let width = checks.iter().map(|check| check.check.chars().count()).max().unwrap_or_default();
    let mut left = checks;
    while let Some((check, rest)) = left.split_first() {
        left = rest;
        let (style, mark) = match check.status {
            Status::Well => (SUCCESS, "✓"),
            Status::Warning => (WARNING, "!"),
            Status::Failed => (FAILURE, "✗"),
            Status::Skipped => (DIM, "–"),
        };
        // Checks that were skipped for one reason share a line.
        let alike = rest.iter().take_while(|next| check.is_skipped_like(next)).count();
        let mut found = escaped(&check.found);
        if alike > 1 {
            let names: Vec<_> = rest[..alike].iter().map(|check| check.check).collect();
            found.push_str(&format!("; also skipped: {}", names.join(", ")));
            left = &rest[alike..];
        }
        output.line(format!("{} {:<width$}  {found}", styled(style, mark), check.check))?;
        let margin = " ".repeat(width + 4);
        if let Some(action) = &check.action {
            output.line(format!("{margin}{}", styled(DIM, format_args!("→ {}", escaped(action)))))?;
        }
        if let Some(command) = &check.command {
            output.line(format!("{margin}  {}", escaped(command)))?;
        }
    }
    let count = |status| checks.iter().filter(|check| check.status == status).count();
    let (failed, warnings, skipped) = (count(Status::Failed), count(Status::Warning), count(Status::Skipped));
    output.line("")?;
    output.line(match (failed, warnings + skipped) {
        (0, 0) => styled(SUCCESS, "All checks passed."),
        (0, _) => format!("No check failed; {}.", counted(&[(warnings, "warning"), (skipped, "skipped")])),
        _ => styled(FAILURE, counted(&[(failed, "failed"), (warnings, "warning"), (skipped, "skipped")])),
    })?;
    output.document(&Report { well, checks })?;
    Ok(if well { Exit::Success } else { Exit::Problem })
}

/// Formats counts, such as `1 failed, 2 warnings`.
fn counted(counts: &[(usize, &str)]) -> String {
    let words = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| match *what {
        "warning" if *count > 1 => format!("{count} warnings"),
        what => format!("{count} {what}"),
    });
    words.collect::<Vec<_>>().join(", ")
}
