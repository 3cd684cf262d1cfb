//! `flexorch-s3 attach` and `detach`: one notification more or less on a bucket that has others.
//!
//! | module | its job |
//! | --- | --- |
//! | this one | the two commands: read, decide, show, write |
//! | `bucket` | the configuration at S3: read, replaced, compared |
//! | `destination` | the function or queue, and whether it lets S3 in |
//! | `report` | the difference, for people and for programs |

mod bucket;
mod destination;
mod report;

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use self::bucket::{Bucket, ReplaceError};
use self::destination::Destination;
use self::report::{PermissionChange, Report};
use super::EXIT_OK;
use super::args::{AttachOptions, BucketOptions, DetachOptions};
use super::context::Context;
use super::notification::{
    self, Change, Configuration, Filter, Notification, Visitor, Which, own_statement_id, switch_event_bridge,
};
use super::output::confirm;
use super::table::shown;

/// Runs `attach`.
pub(super) async fn run(options: AttachOptions, context: &Context) -> Result<u8> {
    let place = Place::of(&options.bucket, context).await?;
    let filter = Filter::checked(
        options.prefix.as_deref().or(place.prefix.as_deref()).unwrap_or_default(),
        options.suffix.as_deref().unwrap_or_default(),
    )
    .map_err(anyhow::Error::msg)?;
    let bucket = Bucket::open(&place.bucket, context).await?;
    let (function, queue) = (options.to.function.as_deref(), options.to.queue.as_deref());
    let destination = Destination::either(function, queue, &bucket, context).await?;
    let before = bucket.read().await.map_err(unchanged)?;
    let mut report = Report::new(&bucket, &options.how);
    let change = match &destination {
        None => switch_event_bridge(&before, true),
        Some(destination) => {
            report.notes.extend(place.narrowed_by(&filter));
            let own = Notification::own(destination.told(), filter);
            notification::attach(&before, &own).map_err(|others| overlap(&bucket, &own, &others))?
        }
    };
    let grant = match &destination {
        None => None,
        Some(destination) => {
            let visitor = destination.visitor(&bucket);
            let Some(access) = destination.access().await? else {
                bail!("there is no {} {}; nothing was changed", destination.service.name(), destination.arn);
            };
            report.notes.extend(access.key_note());
            (!access.policy.lets_in(&visitor)).then_some((destination, visitor))
        }
    };
    if let Some((destination, visitor)) = &grant {
        report.permissions.push(PermissionChange::given(destination, visitor));
    }
    report.show(&change, context.output)?;
    if !options.how.dry_run {
        write(&bucket, &before, &change, grant.as_ref(), options.how.wait()).await?;
    }
    report.conclude(&change, "attached", context.output)?;
    Ok(EXIT_OK)
}

/// Gives the permission, then writes the configuration; takes the permission back where that was in vain.
async fn write(
    bucket: &Bucket,
    before: &Configuration,
    change: &Change,
    grant: Option<&(&Destination, Visitor)>,
    wait: Duration,
) -> Result<()> {
    if let Some((destination, visitor)) = grant {
        destination.grant(visitor).await.context("the bucket's notifications were not touched")?;
    }
    if change.is_empty() {
        return Ok(());
    }
    let patience = if grant.is_some() { wait } else { Duration::ZERO };
    match bucket.replace(before, &change.configuration(), true, patience, wait).await {
        Ok(()) => Ok(()),
        Err(ReplaceError::Unclear(error)) => Err(match grant {
            Some(_) => anyhow!("{error:#}; the permission that was given stays"),
            None => error,
        }),
        Err(ReplaceError::NotWritten(error)) => Err(match grant {
            None => unchanged(error),
            Some((destination, visitor)) => match destination.revoke(&own_statement_id(visitor)).await {
                Ok(()) => anyhow!("{error:#}; the permission was taken back, nothing was changed"),
                Err(left) => anyhow!("{error:#}; the permission that was given could not be taken back: {left:#}"),
            },
        }),
    }
}

/// Runs `detach`.
pub(super) async fn run_detach(options: DetachOptions, context: &Context) -> Result<u8> {
    let place = Place::of(&options.bucket, context).await?;
    let bucket = Bucket::open(&place.bucket, context).await?;
    let (function, queue) = (options.from.function.as_deref(), options.from.queue.as_deref());
    let named = Destination::either(function, queue, &bucket, context).await?;
    let before = bucket.read().await.map_err(unchanged)?;
    let mut report = Report::new(&bucket, &options.how);
    let (change, statements) = if options.from.eventbridge {
        (switch_event_bridge(&before, false), Vec::new())
    } else {
        let which = Which {
            destination: named.as_ref().map(Destination::told),
            prefix: options.prefix.clone(),
            suffix: options.suffix.clone(),
        };
        let others = before.notifications().filter(|there| !there.is_own() && which.names(there));
        let others: Vec<_> = others.map(|other| other.id.as_str()).collect();
        if which.destination.is_some() && !others.is_empty() {
            report.notes.push(format!("not made by attach, so it stays: {}", others.join(", ")));
        }
        let change = notification::detach(&before, &which);
        let statements = statements_in_vain(&change, named, &bucket, context).await?;
        (change, statements)
    };
    report.permissions = statements.iter().map(|(of, id)| PermissionChange::taken(of, id)).collect();
    report.show(&change, context.output)?;
    if !options.how.dry_run {
        let question = format!(
            "Switch EventBridge off for bucket {:?}? Every rule on its events goes silent, whoever made it.",
            bucket.name
        );
        if options.from.eventbridge && !change.is_empty() && !options.yes && !confirm(&question, "--yes")? {
            bail!("nothing was changed");
        }
        remove(&bucket, &before, &change, &statements, options.how.wait()).await?;
    }
    report.conclude(&change, "detached", context.output)?;
    Ok(EXIT_OK)
}

/// Attach's statements in the policies of what is told no more, by any notification of the bucket. Of a destination that was named,
/// one may be left from a run that was cut short.
async fn statements_in_vain(
    change: &Change,
    named: Option<Destination>,
    bucket: &Bucket,
    context: &Context,
) -> Result<Vec<(Destination, String)>> {
    let mut destinations: Vec<_> = named.into_iter().collect();
    for gone in change.removed.iter().filter_map(|entry| entry.notification.as_ref()) {
        if destinations.iter().all(|known| known.arn != gone.destination.arn) {
            destinations.push(Destination::from_arn(gone.destination.service, &gone.destination.arn, context).await?);
        }
    }
    let mut statements = Vec::new();
    for destination in destinations {
        let mut kept = change.kept.iter().filter_map(|entry| entry.notification.as_ref());
        if kept.any(|stays| stays.destination.arn == destination.arn) {
            continue;
        }
        let id = own_statement_id(&destination.visitor(bucket));
        if destination.access().await?.is_some_and(|access| access.policy.has(&id)) {
            statements.push((destination, id));
        }
    }
    Ok(statements)
}

/// Writes the configuration, then takes the statements away.
async fn remove(
    bucket: &Bucket,
    before: &Configuration,
    change: &Change,
    statements: &[(Destination, String)],
    wait: Duration,
) -> Result<()> {
    if !change.is_empty() {
        // What is left was tried when it was written; some of it may be broken, which is no reason to keep ours.
        match bucket.replace(before, &change.configuration(), false, Duration::ZERO, wait).await {
            Ok(()) => {}
            Err(ReplaceError::Unclear(error)) => return Err(error),
            Err(ReplaceError::NotWritten(error)) => return Err(unchanged(error)),
        }
    }
    for (destination, id) in statements {
        destination.revoke(id).await.with_context(|| {
            let arn = &destination.arn;
            format!("no notification is left, but statement {id} in the policy of {arn} is: run the command again")
        })?;
    }
    Ok(())
}

fn unchanged(error: anyhow::Error) -> anyhow::Error {
    anyhow!("{error:#}; nothing was changed")
}

/// The bucket that is meant, and what its connector reads of it.
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
                bail!(
                    "--bucket is {asked:?}, but the connector of the secret {id:?} reads {named:?}: leave out one of the two"
                )
            }
            (Some(bucket), _) => bucket.clone(),
            (None, Some(bucket)) => bucket,
            (None, None) => bail!("secret {id:?} names no bucket: add --bucket, or write `bucket` into the secret"),
        };
        Ok(Self { bucket, prefix: secret.text("prefix")? })
    }

    /// A warning where the connector reads more than is told of.
    fn narrowed_by(&self, filter: &Filter) -> Option<String> {
        let prefix = self.prefix.as_deref()?;
        let lost = match (prefix.starts_with(&filter.prefix), filter.suffix.as_str()) {
            (true, "") => return None,
            (true, suffix) => format!("do not end in {suffix:?}"),
            (false, _) => format!("do not start with {:?}", filter.prefix),
        };
        Some(format!(
            "the connector reads s3://{}/{}, but nobody hears of those keys there that {lost}",
            self.bucket, prefix
        ))
    }
}

fn overlap(bucket: &Bucket, own: &Notification, others: &[Notification]) -> anyhow::Error {
    let named: Vec<_> = others.iter().map(|other| shown(&other.to_string())).collect();
    let way_out = match others.iter().find(|other| other.is_own()) {
        None if others.iter().all(|other| other.destination == own.destination) => {
            "That one tells the same destination, of a part only: widen it or take it away by hand".to_owned()
        }
        Some(ours) => format!(
            "Attach made it: `flexorch-s3 detach --bucket {} --{} {}` takes it away",
            bucket.name,
            ours.destination.service.name(),
            ours.destination.arn
        ),
        None => format!(
            "Give --prefix or --suffix so that no key passes both; or tell both through EventBridge, where nothing overlaps \
             (`flexorch-s3 attach --bucket {} --eventbridge`, and a rule); or let the other's place be taken by an SNS topic that tells both",
            bucket.name
        ),
    };
    anyhow!(
        "S3 allows no two notifications for the same event of the same key, and this one ({}, {}) would overlap with: {}. {way_out}. Nothing was \
         changed",
        own.filter,
        own.events.join(","),
        named.join("; ")
    )
}
