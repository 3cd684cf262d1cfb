//! The difference, for people and for programs.

use anyhow::Result;
use serde_json::{Value, json};

use super::super::args::HowOptions;
use super::super::notification::{Change, Entry, Visitor, own_statement_id};
use super::super::output::{BAD, FAINT, GOOD, ODD, Output, styled};
use super::super::table::shown;
use super::bucket::Bucket;
use super::destination::Destination;

/// What a command found, and does.
pub(super) struct Report<'a> {
    bucket: &'a Bucket,
    dry_run: bool,
    /// Statements that come or go.
    pub permissions: Vec<PermissionChange>,
    /// What is to be seen to.
    pub notes: Vec<String>,
}

/// A statement in a destination's policy that comes or goes.
pub(super) struct PermissionChange {
    resource: String,
    statement: String,
    given: bool,
    words: String,
}

impl PermissionChange {
    /// S3 is let in.
    pub(super) fn given(destination: &Destination, visitor: &Visitor) -> Self {
        let words = format!("{} may {} for {}", visitor.service, visitor.action, visitor.source);
        Self { resource: destination.arn.clone(), statement: own_statement_id(visitor), given: true, words }
    }

    /// S3 is not let in any more.
    pub(super) fn taken(destination: &Destination, statement: &str) -> Self {
        let words = "s3.amazonaws.com is let in no more".to_owned();
        Self { resource: destination.arn.clone(), statement: statement.to_owned(), given: false, words }
    }
}

impl<'a> Report<'a> {
    /// Nothing is found yet.
    pub(super) fn new(bucket: &'a Bucket, how: &HowOptions) -> Self {
        Self { bucket, dry_run: how.dry_run, permissions: Vec::new(), notes: Vec::new() }
    }

    /// The difference, line by line.
    pub(super) fn show(&self, change: &Change, output: Output) -> Result<()> {
        output.line(format!("bucket {} ({})", self.bucket.name, self.bucket.region))?;
        for entry in &change.kept {
            output.line(styled(FAINT, format_args!("  {}", shown(&entry.to_string()))))?;
        }
        for entry in &change.removed {
            output.line(styled(BAD, format_args!("- {}", shown(&entry.to_string()))))?;
        }
        for entry in &change.added {
            output.line(styled(GOOD, format_args!("+ {}", shown(&entry.to_string()))))?;
        }
        for PermissionChange { resource, statement, given, words } in &self.permissions {
            let (style, sign) = if *given { (GOOD, '+') } else { (BAD, '-') };
            let line = format!("{sign} policy of {resource}: {words}  (statement {statement})");
            output.line(styled(style, shown(&line)))?;
        }
        for note in &self.notes {
            output.line(styled(ODD, format_args!("! {}", shown(note))))?;
        }
        Ok(())
    }

    /// What became of it: `done` in a word.
    pub(super) fn conclude(&self, change: &Change, done: &str, output: Output) -> Result<()> {
        let changed = !change.is_empty() || !self.permissions.is_empty();
        output.line(match (changed, self.dry_run, done) {
            (true, true, _) => "a dry run: nothing was changed".to_owned(),
            (true, false, _) if change.is_empty() => {
                format!("{} the policy alone had to be changed", styled(GOOD, "✓"))
            }
            (true, false, _) => format!("{} {done}; read back, and everything else is as it was", styled(GOOD, "✓")),
            (false, _, "attached") => format!("{} attached already: nothing to change", styled(GOOD, "✓")),
            (false, ..) => format!("{} not attached: nothing to change", styled(GOOD, "✓")),
        })?;
        output.document(&json!({
            "bucket": self.bucket.name,
            "region": self.bucket.region,
            "changed": changed && !self.dry_run,
            "dry_run": self.dry_run,
            "added": entries(&change.added),
            "removed": entries(&change.removed),
            "kept": entries(&change.kept),
            "permissions": self.permissions.iter().map(|permission| json!({
                "resource": permission.resource,
                "statement_id": permission.statement,
                "change": if permission.given { "added" } else { "removed" },
            })).collect::<Vec<_>>(),
            "notes": self.notes,
        }))
    }
}

fn entries(entries: &[Entry]) -> Vec<Value> {
    entries
        .iter()
        .map(|entry| match &entry.notification {
            None => json!({"service": "eventbridge"}),
            Some(notification) => json!({
                "service": notification.destination.service.name(),
                "id": notification.id,
                "destination": notification.destination.arn,
                "events": notification.events,
                "prefix": notification.filter.prefix,
                "suffix": notification.filter.suffix,
            }),
        })
        .collect()
}
