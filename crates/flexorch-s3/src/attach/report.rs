//! Prints the difference, as text and as JSON.

use anyhow::Result;
use serde_json::{Value, json};

use super::bucket::Bucket;
use super::destination::Destination;
use crate::args::ChangeOptions;
use crate::notification::{Change, Entry, Grantee, own_statement_id};
use crate::output::{DIM, FAILURE, Output, SUCCESS, WARNING, styled};
use crate::text::escaped;

/// What a command changes.
pub(crate) struct Report<'a> {
    bucket: &'a Bucket,
    dry_run: bool,
    /// Added and removed policy statements.
    pub(crate) permissions: Vec<PermissionChange>,
    pub(crate) notes: Vec<String>,
}

/// An added or removed statement in a destination's policy.
pub(crate) struct PermissionChange {
    resource: String,
    statement: String,
    added: bool,
    text: String,
}

impl PermissionChange {
    /// Creates the addition of a statement that allows S3.
    pub(crate) fn added(destination: &Destination, grantee: &Grantee) -> Self {
        let text = format!("{} may {} for {}", grantee.service, grantee.action, grantee.source);
        Self { resource: destination.arn.clone(), statement: own_statement_id(grantee), added: true, text }
    }

    /// Creates the removal of attach's statement.
    pub(crate) fn removed(destination: &Destination, statement: &str) -> Self {
        let text = "s3.amazonaws.com is no longer allowed".to_owned();
        Self { resource: destination.arn.clone(), statement: statement.to_owned(), added: false, text }
    }
}

impl<'a> Report<'a> {
    /// Creates a report without changes.
    pub(crate) fn new(bucket: &'a Bucket, options: &ChangeOptions) -> Self {
        Self { bucket, dry_run: options.dry_run, permissions: Vec::new(), notes: Vec::new() }
    }

    /// Prints the difference, line by line.
    pub(crate) fn show(&self, change: &Change, output: Output) -> Result<()> {
        output.line(format!("bucket {} ({})", self.bucket.name, self.bucket.region))?;
        for entry in &change.kept {
            output.line(styled(DIM, format_args!("  {}", escaped(&entry.to_string()))))?;
        }
        for entry in &change.removed {
            output.line(styled(FAILURE, format_args!("- {}", escaped(&entry.to_string()))))?;
        }
        for entry in &change.added {
            output.line(styled(SUCCESS, format_args!("+ {}", escaped(&entry.to_string()))))?;
        }
        for PermissionChange { resource, statement, added, text } in &self.permissions {
            let (style, sign) = if *added { (SUCCESS, '+') } else { (FAILURE, '-') };
            let line = format!("{sign} policy of {resource}: {text}  (statement {statement})");
            output.line(styled(style, escaped(&line)))?;
        }
        for note in &self.notes {
            output.line(styled(WARNING, format_args!("! {}", escaped(note))))?;
        }
        Ok(())
    }

    /// Prints the result. `done` is the word for a change that was made.
    pub(crate) fn conclude(&self, change: &Change, done: &str, output: Output) -> Result<()> {
        let changed = !change.is_empty() || !self.permissions.is_empty();
        output.line(match (changed, self.dry_run, done) {
            (true, true, _) => "dry run: nothing was changed".to_owned(),
            (true, false, _) if change.is_empty() => {
                format!("{} only the policy was changed", styled(SUCCESS, "✓"))
            }
            (true, false, _) => format!("{} {done} and verified; everything else is unchanged", styled(SUCCESS, "✓")),
            (false, _, "attached") => format!("{} already attached: nothing to change", styled(SUCCESS, "✓")),
            (false, ..) => format!("{} not attached: nothing to change", styled(SUCCESS, "✓")),
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
                "change": if permission.added { "added" } else { "removed" },
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
