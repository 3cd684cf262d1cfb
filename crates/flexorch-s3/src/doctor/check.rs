//! What one look at the chain found, and what to do now.

use serde::Serialize;

use super::super::aws_failure::{AwsFailure, FailureKind};
use super::commands::Commands;

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// As it should be.
    Well,
    /// It works, but somebody should look at it.
    Warning,
    /// It is broken, or could not be looked at.
    Failed,
    /// Not looked at, because something before it failed or nobody named it.
    Skipped,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// Its name.
    pub check: &'static str,
    /// How it stands.
    pub status: Status,
    /// What was seen.
    pub found: String,
    /// What to do, in words.
    pub action: Option<String>,
    /// The command to run next.
    pub command: Option<String>,
}

/// What to do now: words, and the command to run next, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Next {
    action: String,
    command: String,
}

impl Next {
    /// There is no advice without a command.
    pub(super) fn new(action: impl Into<String>, command: impl Into<String>) -> Self {
        Self { action: action.into(), command: command.into() }
    }
}

impl Check {
    /// As it should be.
    pub(super) fn well(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, status: Status::Well, found: found.into(), action: None, command: None }
    }

    /// It works, but somebody should look at it.
    pub(super) fn warning(check: &'static str, found: impl Into<String>, next: Next) -> Self {
        Self::with_next(check, Status::Warning, found.into(), next)
    }

    /// It is broken.
    pub(super) fn failed(check: &'static str, found: impl Into<String>, next: Next) -> Self {
        Self::with_next(check, Status::Failed, found.into(), next)
    }

    /// Not looked at.
    pub(super) fn skipped(check: &'static str, why: impl Into<String>) -> Self {
        Self { check, status: Status::Skipped, found: why.into(), action: None, command: None }
    }

    /// AWS did not let it be looked at. That is a failure: nobody knows that it is well.
    pub(super) fn could_not_look(check: &'static str, failure: &AwsFailure, commands: &Commands) -> Self {
        let found = format!("could not look: {} on {}: {}", failure.action, failure.resource, failure.words);
        let command = match failure.kind {
            FailureKind::Unavailable | FailureKind::OtherRegion => "aws configure list".to_owned(),
            _ => commands.aws("sts get-caller-identity"),
        };
        Self::failed(check, found, Next::new(failure.hint(), command))
    }

    /// Whether it is broken.
    pub(super) fn has_failed(&self) -> bool {
        self.status == Status::Failed
    }

    /// Whether both were not looked at, for the same reason.
    pub(super) fn is_left_out_with(&self, other: &Self) -> bool {
        self.status == Status::Skipped && other.status == Status::Skipped && self.found == other.found
    }

    fn with_next(check: &'static str, status: Status, found: String, next: Next) -> Self {
        Self { check, status, found, action: Some(next.action), command: Some(next.command) }
    }
}

/// Takes parts of the chain out together, with one reason.
pub(super) fn skipped(checks: &[&'static str], why: &str) -> Vec<Check> {
    checks.iter().map(|check| Check::skipped(check, why)).collect()
}
