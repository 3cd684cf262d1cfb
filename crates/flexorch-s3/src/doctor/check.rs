//! The result of one check, and how to fix a problem.

use serde::Serialize;

use super::commands::Commands;
use crate::aws_failure::{AwsFailure, FailureKind};

/// The status of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// It passed.
    Well,
    /// It works, but needs attention.
    Warning,
    /// It is broken, or could not be checked.
    Failed,
    /// Not checked, because an earlier check failed or it was not named.
    Skipped,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// Its name.
    pub(crate) check: &'static str,
    /// The status of a check.
    pub(crate) status: Status,
    /// What was found.
    pub(crate) found: String,
    /// What to do.
    pub(crate) action: Option<String>,
    /// The command to run next.
    pub(crate) command: Option<String>,
}

/// How to fix a problem: what to do, and the complete command to run next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fix {
    action: String,
    command: String,
}

impl Fix {
    /// Creates a fix. There is none without a command.
    pub(crate) fn new(action: impl Into<String>, command: impl Into<String>) -> Self {
        Self { action: action.into(), command: command.into() }
    }
}

impl Check {
    /// Creates a check that passed.
    pub(crate) fn well(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, status: Status::Well, found: found.into(), action: None, command: None }
    }

    /// Creates a check that works but needs attention.
    pub(crate) fn warning(check: &'static str, found: impl Into<String>, fix: Fix) -> Self {
        Self::with_fix(check, Status::Warning, found.into(), fix)
    }

    /// Creates a check that failed.
    pub(crate) fn failed(check: &'static str, found: impl Into<String>, fix: Fix) -> Self {
        Self::with_fix(check, Status::Failed, found.into(), fix)
    }

    /// Creates a check that was not made.
    pub(crate) fn skipped(check: &'static str, why: impl Into<String>) -> Self {
        Self { check, status: Status::Skipped, found: why.into(), action: None, command: None }
    }

    /// Creates a check that could not be made because a call to AWS failed. It counts as failed.
    pub(crate) fn could_not_check(check: &'static str, failure: &AwsFailure, commands: &Commands) -> Self {
        let found = format!("could not check: {} on {}: {}", failure.action, failure.resource, failure.cause);
        let command = match failure.kind {
            FailureKind::Unavailable | FailureKind::OtherRegion => "aws configure list".to_owned(),
            _ => commands.aws("sts get-caller-identity"),
        };
        Self::failed(check, found, Fix::new(failure.hint(), command))
    }

    /// Returns whether it failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.status == Status::Failed
    }

    /// Returns whether both were skipped for the same reason.
    pub(crate) fn is_skipped_like(&self, other: &Self) -> bool {
        self.status == Status::Skipped && other.status == Status::Skipped && self.found == other.found
    }

    fn with_fix(check: &'static str, status: Status, found: String, fix: Fix) -> Self {
        Self { check, status, found, action: Some(fix.action), command: Some(fix.command) }
    }
}

/// Skips several checks for one reason.
pub(crate) fn skipped(checks: &[&'static str], why: &str) -> Vec<Check> {
    checks.iter().map(|check| Check::skipped(check, why)).collect()
}
