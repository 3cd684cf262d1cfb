//! The checks, for people and for programs.

use anyhow::Result;
use serde::Serialize;

use super::super::output::{BAD, FAINT, GOOD, ODD, Output, styled};
use super::super::table::shown;
use super::super::{EXIT_NOT_WELL, EXIT_OK};
use super::check::{Check, Status};

/// What programs read.
#[derive(Debug, Serialize)]
struct Report<'a> {
    /// No check failed.
    well: bool,
    checks: &'a [Check],
}

/// Prints the checks, and answers the exit status.
pub(super) fn print(checks: &[Check], output: Output) -> Result<u8> {
    let well = !checks.iter().any(Check::has_failed);
    let width = checks.iter().map(|check| check.check.chars().count()).max().unwrap_or_default();
    let mut left = checks;
    while let Some((check, rest)) = left.split_first() {
        left = rest;
        let (style, mark) = match check.status {
            Status::Well => (GOOD, "✓"),
            Status::Warning => (ODD, "!"),
            Status::Failed => (BAD, "✗"),
            Status::Skipped => (FAINT, "–"),
        };
        // Many that are left out for one reason are one line.
        let alike = rest.iter().take_while(|next| check.is_left_out_with(next)).count();
        let mut found = shown(&check.found);
        if alike > 1 {
            let names: Vec<_> = rest[..alike].iter().map(|check| check.check).collect();
            found.push_str(&format!("; nor were looked at: {}", names.join(", ")));
            left = &rest[alike..];
        }
        output.line(format!("{} {:<width$}  {found}", styled(style, mark), check.check))?;
        let margin = " ".repeat(width + 4);
        if let Some(action) = &check.action {
            output.line(format!("{margin}{}", styled(FAINT, format_args!("→ {}", shown(action)))))?;
        }
        if let Some(command) = &check.command {
            output.line(format!("{margin}  {}", shown(command)))?;
        }
    }
    let count = |status| checks.iter().filter(|check| check.status == status).count();
    let (failed, warnings, skipped) = (count(Status::Failed), count(Status::Warning), count(Status::Skipped));
    output.line("")?;
    output.line(match (failed, warnings + skipped) {
        (0, 0) => styled(GOOD, "All is well."),
        (0, _) => format!("Nothing is broken; {}.", counted(&[(warnings, "warning"), (skipped, "not looked at")])),
        _ => styled(BAD, counted(&[(failed, "failed"), (warnings, "warning"), (skipped, "not looked at")])),
    })?;
    output.document(&Report { well, checks })?;
    Ok(if well { EXIT_OK } else { EXIT_NOT_WELL })
}

/// `1 failed, 2 warnings`.
fn counted(counts: &[(usize, &str)]) -> String {
    let words = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| match *what {
        "warning" if *count > 1 => format!("{count} warnings"),
        what => format!("{count} {what}"),
    });
    words.collect::<Vec<_>>().join(", ")
}
