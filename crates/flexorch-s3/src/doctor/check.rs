//! The result of one check, and how to fix a problem.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::commands::Commands;
use crate::aws_failure::{AwsFailure, FailureKind};
use crate::text::friendly;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// It passed.
    Well,
    /// It works, but needs attention.
    Warning,
    /// It is broken.
    Failed,
    /// It could not be checked: nothing is known about it, neither good nor bad.
    Unknown,
    /// Not checked, because an earlier check did not pass.
    Skipped,
}

impl Serialize for Status {
    /// A link that could not be checked counts as failed: nothing shows that it works.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Well => "well",
            Self::Warning => "warning",
            Self::Failed | Self::Unknown => "failed",
            Self::Skipped => "skipped",
        })
    }
}

/// One check. It is made by the function for its status, so that a problem always has a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    pub(crate) check: &'static str,
    status: Status,
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

/// Why something could not be checked. It is the error of every decision that needs what could not be read, so that neither a pass nor
/// a diagnosis can follow from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unknown {
    why: String,
    fix: Fix,
}

impl Unknown {
    /// Creates the reason from something that could not be determined, and how to determine it.
    pub(crate) fn new(why: impl Into<String>, fix: Fix) -> Self {
        Self { why: why.into(), fix }
    }

    /// Creates the reason from a failed call, with the permission that it needs.
    pub(crate) fn because(failure: &AwsFailure, commands: &Commands) -> Self {
        let command = match failure.kind {
            FailureKind::Unavailable | FailureKind::OtherRegion => "aws configure list".to_owned(),
            _ => commands.aws("sts get-caller-identity"),
        };
        let action = match failure.kind {
            FailureKind::Refused => format!("{}; to show the account and identity that asked", failure.hint()),
            _ => failure.hint(),
        };
        Self::new(described(failure), Fix::new(action, command))
    }
}

/// Describes a failed call, with its action and resource.
pub(crate) fn described(failure: &AwsFailure) -> String {
    format!("{} on {}: {}", failure.action, failure.resource, failure.cause)
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

    pub(crate) fn failed(check: &'static str, found: impl Into<String>, fix: Fix) -> Self {
        Self::with_fix(check, Status::Failed, found.into(), fix)
    }

    /// Creates a check that was not made.
    pub(crate) fn skipped(check: &'static str, why: impl Into<String>) -> Self {
        Self { check, status: Status::Skipped, found: why.into(), action: None, command: None }
    }

    /// Creates a check that could not be made.
    pub(crate) fn unknown(check: &'static str, Unknown { why, fix }: Unknown) -> Self {
        Self::with_fix(check, Status::Unknown, format!("could not be checked: {why}"), fix)
    }

    /// Creates a check that could not be made because a call to AWS failed.
    pub(crate) fn could_not_check(check: &'static str, failure: &AwsFailure, commands: &Commands) -> Self {
        Self::unknown(check, Unknown::because(failure, commands))
    }

    /// Creates a check that was not finished in time.
    pub(crate) fn out_of_time(check: &'static str, limit: Duration, again: &str) -> Self {
        let why = format!("no result within {}", friendly(limit));
        Self::unknown(check, Unknown::new(why, Fix::new("check the network, or allow more time", again)))
    }

    /// Returns it, and the checks that are skipped because of it.
    pub(crate) fn then_skip(self, checks: &[&'static str], why: &str) -> Vec<Self> {
        std::iter::once(self).chain(skipped(checks, why)).collect()
    }

    pub(crate) fn decided(check: &'static str, decision: Result<Self, Unknown>) -> Self {
        decision.unwrap_or_else(|unknown| Self::unknown(check, unknown))
    }

    pub(crate) fn status(&self) -> Status {
        self.status
    }

    /// Returns whether it was made and found nothing broken.
    pub(crate) fn has_passed(&self) -> bool {
        matches!(self.status, Status::Well | Status::Warning)
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

/// Returns why checks are skipped that need what a failed call would have returned.
pub(crate) fn without(failure: &AwsFailure) -> String {
    format!("could not be checked without {} on {}", failure.action, failure.resource)
}
