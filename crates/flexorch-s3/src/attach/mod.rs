//! `flexorch-s3 attach` and `detach`: add a notification to a bucket that has others, or remove it.
//!
//! | module | what it holds |
//! | --- | --- |
//! | this one | the two commands: read, decide, show, write |
//! | `bucket` | reads and replaces the configuration at S3 |
//! | `destination` | the function or queue, and its policy |
//! | `report` | prints the difference |

mod bucket;
mod destination;
mod report;

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use wildmatch::WildMatch;

use self::bucket::{Bucket, ReplaceError};
use self::destination::Destination;
use self::report::{PermissionChange, Report};
use crate::args::{AttachOptions, BucketOptions, DetachOptions};
use crate::commands::{Commands, quoted};
use crate::context::Context;
use crate::exit::Exit;
use crate::notification::{
    self, Change, Configuration, Filter, Grantee, Notification, Selector, own_statement_id, switch_event_bridge,
};
use crate::output::confirm;
use crate::text::escaped;

pub(crate) async fn run(options: AttachOptions, context: &Context) -> Result<Exit> {
    let place = Place::of(&options.bucket, context).await?;
    let filter = Filter::new(
        options.prefix.as_deref().or(place.prefix.as_deref()).unwrap_or_default(),
        options.suffix.as_deref().unwrap_or_default(),
    )?;
    let bucket = Bucket::open(&place.bucket, context).await?;
    let (function, queue) = (options.to.function.as_deref(), options.to.queue.as_deref());
    let destination = Destination::either(function, queue, &bucket, context).await?;
    let before = bucket.read().await.map_err(unchanged)?;
    let mut report = Report::new(&bucket, &options.change);
    let change = match &destination {
        None => switch_event_bridge(&before, true),
        Some(destination) => {
            report.notes.extend(place.uncovered_note(&filter));
            report.notes.extend(excluded_note(&destination.key_excludes().await, &filter));
            let own = Notification::own(destination.as_notified(), filter);
            notification::attach(&before, &own)
                .map_err(|others| overlap(&bucket, &own, &others, &context.commands()))?
        }
    };
    let grant = match &destination {
        None => None,
        Some(destination) => {
            let grantee = destination.grantee(&bucket);
            let Some(access) = destination.access().await? else {
                bail!("there is no {} {}; nothing was changed", destination.service.name(), destination.arn);
            };
            report.notes.extend(access.kms_note());
            (!access.policy.allows(&grantee)).then_some((destination, grantee))
        }
    };
    if let Some((destination, grantee)) = &grant {
        if !options.force {
            report.notes.extend(destination.check_owner().await?);
        }
        report.permissions.push(PermissionChange::added(destination, grantee));
    }
    report.show(&change, context.output)?;
    if !options.change.dry_run {
        write(&bucket, &before, &change, grant.as_ref(), options.change.wait()).await?;
    }
    report.conclude(&change, "attached", context.output)?;
    Ok(Exit::Success)
}

/// Adds the permission, then writes the configuration. Removes the permission again if that fails.
async fn write(
    bucket: &Bucket,
    before: &Configuration,
    change: &Change,
    grant: Option<&(&Destination, Grantee)>,
    wait: Duration,
) -> Result<()> {
    if let Some((destination, grantee)) = grant {
        destination.grant(grantee).await.context("the bucket's notifications are unchanged")?;
    }
    if change.is_empty() {
        return Ok(());
    }
    let patience = if grant.is_some() { wait } else { Duration::ZERO };
    match bucket.replace(before, &change.configuration(), true, patience, wait).await {
        Ok(()) => Ok(()),
        Err(ReplaceError::Unclear(error)) => Err(match grant {
            Some(_) => anyhow!("{error:#}; the added permission stays"),
            None => error,
        }),
        Err(ReplaceError::NotWritten(error)) => Err(match grant {
            None => unchanged(error),
            Some((destination, grantee)) => match destination.revoke(&own_statement_id(grantee)).await {
                Ok(()) => anyhow!("{error:#}; the permission was removed again, nothing was changed"),
                Err(left) => anyhow!("{error:#}; the added permission could not be removed: {left:#}"),
            },
        }),
    }
}

pub(crate) async fn run_detach(options: DetachOptions, context: &Context) -> Result<Exit> {
    let place = Place::of(&options.bucket, context).await?;
    let bucket = Bucket::open(&place.bucket, context).await?;
    let (function, queue) = (options.from.function.as_deref(), options.from.queue.as_deref());
    let named = Destination::either(function, queue, &bucket, context).await?;
    let before = bucket.read().await.map_err(unchanged)?;
    let mut report = Report::new(&bucket, &options.change);
    let (change, statements) = if options.from.eventbridge {
        (switch_event_bridge(&before, false), Vec::new())
    } else {
        let selector = Selector {
            destination: named.as_ref().map(Destination::as_notified),
            prefix: options.prefix.clone(),
            suffix: options.suffix.clone(),
        };
        let others = before.notifications().filter(|there| !there.is_own() && selector.matches(there));
        let others: Vec<_> = others.map(|other| other.id.as_str()).collect();
        if selector.destination.is_some() && !others.is_empty() {
            report.notes.push(format!("not added by attach, so it stays: {}", others.join(", ")));
        }
        let change = notification::detach(&before, &selector);
        let statements = obsolete_statements(&change, named, &bucket, context).await?;
        (change, statements)
    };
    report.permissions = statements.iter().map(|(of, id)| PermissionChange::removed(of, id)).collect();
    report.show(&change, context.output)?;
    if !options.change.dry_run {
        let question = format!(
            "Disable EventBridge for bucket {:?}? No rule will receive its events any more, whoever created it.",
            bucket.name
        );
        let disables = options.from.eventbridge && !change.is_empty();
        confirm(!disables || options.yes, &question, "nothing was changed")?;
        remove(&bucket, &before, &change, &statements, options.change.wait()).await?;
    }
    report.conclude(&change, "detached", context.output)?;
    Ok(Exit::Success)
}

/// Returns attach's statements in the policies of destinations that no notification of the bucket has any more. A named destination
/// may still have one from an interrupted run.
async fn obsolete_statements(
    change: &Change,
    named: Option<Destination>,
    bucket: &Bucket,
    context: &Context,
) -> Result<Vec<(Destination, String)>> {
    let mut destinations: Vec<_> = named.into_iter().collect();
    for removed in change.removed.iter().filter_map(|entry| entry.notification.as_ref()) {
        if destinations.iter().all(|known| known.arn != removed.destination.arn) {
            destinations
                .push(Destination::from_arn(removed.destination.service, &removed.destination.arn, context).await?);
        }
    }
    let mut statements = Vec::new();
    for destination in destinations {
        let mut kept = change.kept.iter().filter_map(|entry| entry.notification.as_ref());
        if kept.any(|stays| stays.destination.arn == destination.arn) {
            continue;
        }
        let id = own_statement_id(&destination.grantee(bucket));
        if destination.access().await?.is_some_and(|access| access.policy.has(&id)) {
            statements.push((destination, id));
        }
    }
    Ok(statements)
}

/// Writes the configuration, then removes the statements.
async fn remove(
    bucket: &Bucket,
    before: &Configuration,
    change: &Change,
    statements: &[(Destination, String)],
    wait: Duration,
) -> Result<()> {
    if !change.is_empty() {
        // The remaining destinations were validated when they were written. A broken one must not prevent the removal.
        match bucket.replace(before, &change.configuration(), false, Duration::ZERO, wait).await {
            Ok(()) => {}
            Err(ReplaceError::Unclear(error)) => return Err(error),
            Err(ReplaceError::NotWritten(error)) => return Err(unchanged(error)),
        }
    }
    for (destination, id) in statements {
        destination.revoke(id).await.with_context(|| {
            let arn = &destination.arn;
            format!(
                "the notifications were removed, but not statement {id} in the policy of {arn}: run the command again"
            )
        })?;
    }
    Ok(())
}

fn unchanged(error: anyhow::Error) -> anyhow::Error {
    anyhow!("{error:#}; nothing was changed")
}

/// The bucket, and the prefix that its connector reads.
struct Place {
    bucket: String,
    prefix: Option<String>,
}

impl Place {
    async fn of(options: &BucketOptions, context: &Context) -> Result<Self> {
        let Some(id) = &options.secret else {
            return Ok(Self { bucket: options.bucket.clone().unwrap_or_default(), prefix: None });
        };
        let secret = context.secret(id).await?;
        let bucket = match (&options.bucket, secret.text("bucket")?) {
            (Some(asked), Some(named)) if *asked != named => {
                bail!("--bucket is {asked:?}, but the connector of secret {id:?} reads {named:?}: omit one of the two")
            }
            (Some(bucket), _) => bucket.clone(),
            (None, Some(bucket)) => bucket,
            (None, None) => bail!("secret {id:?} names no bucket: add --bucket, or write `bucket` into the secret"),
        };
        Ok(Self { bucket, prefix: secret.text("prefix")? })
    }

    /// Returns a warning if the filter does not match all keys that the connector reads.
    fn uncovered_note(&self, filter: &Filter) -> Option<String> {
        let prefix = self.prefix.as_deref()?;
        let lost = match (prefix.starts_with(&filter.prefix), filter.suffix.as_str()) {
            (true, "") => return None,
            (true, suffix) => format!("do not end in {suffix:?}"),
            (false, _) => format!("do not start with {:?}", filter.prefix),
        };
        Some(format!(
            "the connector reads s3://{}/{}, but the filter does not match keys there that {lost}",
            self.bucket, prefix
        ))
    }
}

/// Returns a warning if the function skips every key that the filter matches, because one of its `KEY_EXCLUDES` matches them all.
fn excluded_note(excludes: &[WildMatch], filter: &Filter) -> Option<String> {
    let Filter { prefix, suffix } = filter;
    // A pattern that matches whatever stands between, as long as it may be, has a star there.
    let between = |length: usize| format!("{prefix}{}{suffix}", "\u{10ffff}".repeat(length));
    let pattern = excludes.iter().find(|pattern| (0..3).all(|length| pattern.matches(&between(length))))?;
    Some(format!(
        "the function skips every key that this notification matches: its KEY_EXCLUDES has {:?}",
        pattern.to_string()
    ))
}

fn overlap(bucket: &Bucket, own: &Notification, others: &[Notification], commands: &Commands) -> anyhow::Error {
    let named: Vec<_> = others.iter().map(|other| escaped(&other.to_string())).collect();
    let way_out = match others.iter().find(|other| other.is_own()) {
        None if others.iter().all(|other| other.destination == own.destination) => {
            "It has the same destination but matches fewer keys or events: widen or remove it manually".to_owned()
        }
        Some(ours) => format!(
            "It was added by attach: remove it with `{}`",
            commands.own(format_args!(
                "detach --bucket {} --{} {}",
                quoted(&bucket.name),
                ours.destination.service.name(),
                quoted(&ours.destination.arn)
            ))
        ),
        None => format!(
            "Set --prefix or --suffix so that no key matches both; or use EventBridge for both, where overlaps are allowed \
             (`{}`, and a rule); or replace the other with an SNS topic that notifies both",
            commands.own(format_args!("attach --bucket {} --eventbridge", quoted(&bucket.name)))
        ),
    };
    anyhow!(
        "S3 does not allow two notifications for the same event and key, and this one ({}, {}) overlaps with: {}. {way_out}. Nothing was \
         changed",
        own.filter,
        own.events.join(","),
        named.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_of_which_the_function_skips_every_key_is_noticed() {
        let note = |pattern: &str, prefix: &str, suffix: &str| {
            excluded_note(&[WildMatch::new(pattern)], &Filter::new(prefix, suffix).unwrap())
        };
        for (pattern, prefix, suffix) in [
            ("exports/*", "exports/", ""),
            ("exports/*", "exports/2026/", ".pdf"),
            ("*.tmp", "", ".tmp"),
            ("*", "", ""),
        ] {
            assert!(note(pattern, prefix, suffix).unwrap().contains(pattern), "{pattern} {prefix} {suffix}");
        }
        for (pattern, prefix, suffix) in [
            ("exports/*", "", ""),
            ("exports/*.tmp", "exports/", ""),
            ("exports/??", "exports/", ""),
            ("exports/a*", "exports/", ""),
        ] {
            assert_eq!(note(pattern, prefix, suffix), None, "{pattern} {prefix} {suffix}");
        }
    }
}
