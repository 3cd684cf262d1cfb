//! Prints the checks: as text, each as soon as its result is known; as JSON, one document at the end.

use std::cell::RefCell;

use anyhow::Result;
use indicatif::ProgressBar;
use serde::Serialize;

use super::check::{Check, Status};
use super::name;
use crate::exit::Exit;
use crate::output::{DIM, FAILURE, Output, SUCCESS, WARNING, columns, styled};
use crate::progress::{TICK, bar};
use crate::text::{escaped, wrapped};

/// The JSON document.
#[derive(Debug, Serialize)]
struct Document<'a> {
    /// Whether every check was made and none failed.
    well: bool,
    checks: &'a [Check],
}

/// Collects the checks and prints them.
#[derive(Debug)]
pub(crate) struct Report {
    output: Output,
    /// The names of the checks that are made in any case.
    expected: RefCell<Vec<&'static str>>,
    /// The width of the names' column.
    width: usize,
    progress: RefCell<Progress>,
}

#[derive(Debug)]
struct Progress {
    checks: Vec<Check>,
    /// The spinner, on a terminal.
    spinner: Option<ProgressBar>,
    /// The first failure to print a check.
    unprinted: Option<anyhow::Error>,
}

impl Report {
    /// Creates an empty report, with or without the checks of an object.
    pub(crate) fn new(output: Output, has_object: bool) -> Self {
        let possible: Vec<_> = name::all().filter(|name| has_object || !name::OF_OBJECT.contains(name)).collect();
        let width = possible.iter().map(|name| name.chars().count()).max().unwrap_or_default();
        let is_made = |name: &&str| {
            ![name::FAILED_NOTIFICATIONS, name::OBJECT_RECORD].contains(name) && !name::OF_TRACKING.contains(name)
        };
        let expected = possible.into_iter().filter(is_made).collect();
        let spinner = bar(output, None, "{spinner} checking {wide_msg}");
        if let Some(spinner) = &spinner {
            spinner.enable_steady_tick(TICK);
        }
        Self {
            output,
            expected: RefCell::new(expected),
            width,
            progress: RefCell::new(Progress { checks: Vec::new(), spinner, unprinted: None }),
        }
    }

    /// Adds checks whose results are known, and prints them.
    pub(crate) fn add(&self, checks: impl IntoIterator<Item = Check>) {
        let checks: Vec<_> = checks.into_iter().collect();
        let mut progress = self.progress.borrow_mut();
        let printed = match &progress.spinner {
            Some(spinner) => spinner.suspend(|| self.print(&checks)),
            None => self.print(&checks),
        };
        if let (Err(error), None) = (printed, &progress.unprinted) {
            progress.unprinted = Some(error);
        }
        progress.checks.extend(checks);
        if let Some(spinner) = &progress.spinner {
            let made = progress.checks.iter().map(|check| check.check);
            let expected = self.expected.borrow();
            let left = expected.iter().filter(|name| !made.clone().any(|made| made == **name));
            spinner.set_message(left.take(3).copied().collect::<Vec<_>>().join(", "));
        }
    }

    /// Expects more checks: without their results, they could not be made.
    pub(crate) fn expect(&self, names: &[&'static str]) {
        self.expected.borrow_mut().extend(names);
    }

    /// Prints a line of progress.
    pub(crate) fn note(&self, line: &str) {
        match &self.progress.borrow().spinner {
            Some(spinner) => spinner.suspend(|| self.output.progress(line)),
            None => self.output.progress(line),
        }
    }

    /// Adds every expected check that was not made, prints the summary or the document, and returns the exit status.
    pub(crate) fn conclude(self, missing: impl Fn(&'static str) -> Check) -> Result<Exit> {
        let made: Vec<_> = self.progress.borrow().checks.iter().map(|check| check.check).collect();
        let expected = self.expected.borrow().clone();
        self.add(expected.into_iter().filter(|name| !made.contains(name)).map(missing));
        let Progress { mut checks, spinner, unprinted } = self.progress.into_inner();
        if let Some(spinner) = spinner {
            spinner.finish_and_clear();
        }
        if let Some(error) = unprinted {
            return Err(error);
        }
        checks.sort_by_key(|check| name::all().position(|name| name == check.check));
        let well = checks.iter().all(Check::has_passed);
        self.output.line("")?;
        self.output.line(summary(&checks))?;
        self.output.document(&Document { well, checks: &checks })?;
        Ok(if well { Exit::Success } else { Exit::Problem })
    }

    /// What stands below the names.
    fn margin(&self) -> String {
        " ".repeat(self.width + 4)
    }

    /// Wraps text to the terminal, beside the names; the first line begins without the margin. Text with several blanks in a row, as in
    /// a key, stays as it is.
    fn in_margin(&self, text: &str) -> String {
        match columns() {
            Some(columns) if columns >= self.width + 4 + FEWEST_COLUMNS && !text.contains("  ") => {
                wrapped(&format!("{}{text}", self.margin()), columns).trim_start().to_owned()
            }
            _ => text.to_owned(),
        }
    }

    fn print(&self, checks: &[Check]) -> Result<()> {
        let mut left = checks;
        while let Some((check, rest)) = left.split_first() {
            left = rest;
            let (style, mark) = match check.status() {
                Status::Well => (SUCCESS, "✓"),
                Status::Warning => (WARNING, "!"),
                Status::Failed => (FAILURE, "✗"),
                Status::Unknown => (WARNING, "?"),
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
            self.output.line(format!(
                "{} {:<width$}  {}",
                styled(style, mark),
                check.check,
                self.in_margin(&found),
                width = self.width
            ))?;
            let margin = self.margin();
            if let Some(action) = &check.action {
                let action = self.in_margin(&format!("→ {}", escaped(action)));
                self.output.line(format!("{margin}{}", styled(DIM, action)))?;
            }
            // A command stays one line, to be copied.
            if let Some(command) = &check.command {
                self.output.line(format!("{margin}  {}", escaped(command)))?;
            }
        }
        Ok(())
    }
}

/// The fewest columns beside the names in which text is wrapped: narrower text is harder to read than lines that the terminal breaks.
const FEWEST_COLUMNS: usize = 30;

/// Returns the last line.
fn summary(checks: &[Check]) -> String {
    let count = |status| checks.iter().filter(|check| check.status() == status).count();
    let counts = [
        (count(Status::Failed), "failed"),
        (count(Status::Unknown), "could not be checked"),
        (count(Status::Warning), "warning"),
        (count(Status::Skipped), "skipped"),
    ];
    match counts {
        [(0, _), (0, _), (0, _), (0, _)] => styled(SUCCESS, "All checks passed."),
        [(0, _), (0, _), ..] => format!("No check failed; {}.", counted(&counts)),
        _ => styled(FAILURE, counted(&counts)),
    }
}

/// Formats counts, such as `1 failed, 2 warnings`.
fn counted(counts: &[(usize, &str)]) -> String {
    let words = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| match *what {
        "warning" if *count > 1 => format!("{count} warnings"),
        what => format!("{count} {what}"),
    });
    words.collect::<Vec<_>>().join(", ")
}
