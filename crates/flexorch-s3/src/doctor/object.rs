//! Checks of one object: why is it not at FlexOrch?

use std::sync::Arc;

use super::aws::Aws;
use super::block::Block;
use super::check::{Check, Fix};
use super::commands::{Commands, quoted};
use super::dead_letters::{self, DeadLetter};
use super::function::Function;
use super::name;
use super::queue::Queue;
use super::subscriptions::Subscriptions;
use crate::args::State;
use crate::aws_failure::AwsFailure;
use crate::text::counted;
use crate::tracking::Record;
use flexorch_s3_ingester::ingest::route::{Route, Router};
use flexorch_s3_ingester::model::arn;
use flexorch_s3_ingester::model::connector::Connector;
use flexorch_s3_ingester::model::object::{ObjectKey, S3Object};
use flexorch_s3_ingester::model::outcome::SkipReason;
use flexorch_s3_ingester::model::scope::Scope;
use flexorch_s3_ingester::model::settings;

/// The object in S3; `None` if it does not exist.
pub(crate) type HeadResult = Result<Option<S3Object>, AwsFailure>;

/// Reads the object's metadata.
pub(crate) async fn read(aws: &Aws<'_>, bucket: &str, key: &ObjectKey, region: Option<&str>) -> HeadResult {
    let request = aws.s3(region).head_object().bucket(bucket).key(key.as_str()).send();
    let resource = format!("{}/{}", arn::of_bucket(bucket, region), key.as_str());
    let found = aws.call_optional("s3:GetObject", &resource, request).await?;
    Ok(found.map(|found| S3Object {
        size: found.content_length().and_then(|size| u64::try_from(size).ok()),
        version_id: found.version_id().map(Into::into),
        etag: found.e_tag().map(|etag| etag.trim_matches('"').into()),
        ..S3Object::new(bucket, key.clone())
    }))
}

/// What the checks of an object need apart from the object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ObjectContext<'a> {
    pub(crate) connector: Option<&'a Connector>,
    /// The function's filters.
    pub(crate) scope: Option<&'a Scope>,
    pub(crate) function: Option<&'a Function>,
    pub(crate) retry: Option<&'a Queue>,
    pub(crate) dead: Option<&'a Queue>,
    /// The dead letters that were received.
    pub(crate) letters: Option<&'a [DeadLetter]>,
    /// The record of the object's current version, if documents are tracked and it has one.
    pub(crate) record: Option<&'a Record>,
    /// Why FlexOrch takes nothing from the connector, if it does not.
    pub(crate) block: Option<&'a Block>,
    pub(crate) commands: &'a Commands,
}

pub(crate) fn checks(
    head: &HeadResult,
    bucket: &str,
    key: &ObjectKey,
    subscriptions: Option<&Subscriptions<'_>>,
    context: ObjectContext<'_>,
) -> Vec<Check> {
    let after = [name::OBJECT_SCOPE, name::OBJECT_NOTIFICATION, name::OBJECT_DELIVERY];
    let object = match head {
        Ok(Some(object)) => object,
        Ok(None) => {
            let next = Fix::new(
                "check the spelling of the key; to list the keys next to it",
                list_neighbours(bucket, key.as_str(), context.commands),
            );
            let found = format!("{bucket} has no object {:?}", key.as_str());
            return Check::failed(name::OBJECT, found, next).then_skip(&after, "there is no such object");
        }
        Err(failure) => {
            let check = Check::could_not_check(name::OBJECT, failure, context.commands);
            return check.then_skip(&after, "the object could not be checked");
        }
    };
    let size = object.size.map(|size| format!(", {}", counted(size, "byte"))).unwrap_or_default();
    vec![
        Check::well(name::OBJECT, format!("{} exists{size}", key.as_str())),
        in_scope(object, context),
        notified(key, subscriptions),
        processed(object, context),
    ]
}

/// Builds the command that lists the keys next to a key.
pub(crate) fn list_neighbours(bucket: &str, key: &str, commands: &Commands) -> String {
    let folder = key.rsplit_once('/').map(|(folder, _)| format!("{folder}/")).unwrap_or_default();
    commands.aws(format_args!(
        "s3api list-objects-v2 --bucket {} --prefix {} --query 'Contents[].Key'",
        quoted(bucket),
        quoted(&folder)
    ))
}

fn in_scope(object: &S3Object, context: ObjectContext<'_>) -> Check {
    let (Some(connector), Some(scope), Some(function)) = (context.connector, context.scope, context.function) else {
        return Check::skipped(name::OBJECT_SCOPE, "the connector or the function's settings are unknown");
    };
    let Route::Skip(reason) = Router::new(&[Arc::new(connector.clone())], &[], scope).route(object) else {
        return Check::well(name::OBJECT_SCOPE, "in scope of the connector and the filters");
    };
    let key = object.key.as_str();
    let set = |action: &str, variable: &str, value: &str| function.set(action, variable, value, context.commands);
    let show = || context.commands.own(format_args!("connector show --secret {}", quoted(&connector.secret_id)));
    let (found, next) = match reason {
        SkipReason::OutOfPrefix if !key.starts_with(&connector.prefix) => (
            format!("the key does not start with the connector's prefix {:?}", connector.prefix),
            Fix::new("upload it under the prefix, or create another connector and secret for its prefix", show()),
        ),
        SkipReason::OutOfPrefix => (
            format!("the key starts with none of KEY_PREFIXES ({})", scope.key_prefixes.join(",")),
            set(
                "add it to the filter",
                settings::KEY_PREFIXES,
                &[scope.key_prefixes.join(","), connector.prefix.clone()].join(","),
            ),
        ),
        SkipReason::OutOfSuffix => {
            let end = key.rsplit_once('.').map_or(key, |(start, _)| &key[start.len()..]);
            (
                format!("the key ends with none of KEY_SUFFIXES ({})", scope.key_suffixes.join(",")),
                set("add it to the filter", settings::KEY_SUFFIXES, &format!("{},{end}", scope.key_suffixes.join(","))),
            )
        }
        SkipReason::Excluded => {
            let patterns: Vec<_> = scope.key_excludes.iter().map(ToString::to_string).collect();
            let others = scope.key_excludes.iter().filter(|pattern| !pattern.matches(key)).map(ToString::to_string);
            (
                format!("it matches one of KEY_EXCLUDES ({})", patterns.join(",")),
                set("remove the pattern", settings::KEY_EXCLUDES, &others.collect::<Vec<_>>().join(",")),
            )
        }
        SkipReason::TooLarge => (
            format!("it is larger than MAX_OBJECT_BYTES ({})", scope.max_object_bytes.unwrap_or_default()),
            set(
                "raise the limit, if FlexOrch's plan allows it",
                settings::MAX_OBJECT_BYTES,
                &object.size.unwrap_or_default().to_string(),
            ),
        ),
        other => (format!("skipped: {}", other.as_str()), Fix::new("check what the connector reads", show())),
    };
    Check::failed(name::OBJECT_SCOPE, found, next)
}

fn notified(key: &ObjectKey, subscriptions: Option<&Subscriptions<'_>>) -> Check {
    let Some(subscriptions) = subscriptions else {
        return Check::skipped(name::OBJECT_NOTIFICATION, "the bucket's notifications or the function are unknown");
    };
    match subscriptions.deliver(key.as_str()) {
        Ok(Some(one)) => Check::well(
            name::OBJECT_NOTIFICATION,
            format!("uploads of it are notified ({})", subscriptions.sender(&one)),
        ),
        Ok(None) => Check::failed(
            name::OBJECT_NOTIFICATION,
            "uploads of it are not notified",
            subscriptions.attach("add a notification that matches it"),
        ),
        Err(failure) => Check::could_not_check(name::OBJECT_NOTIFICATION, failure, subscriptions.commands),
    }
}

fn processed(object: &S3Object, context: ObjectContext<'_>) -> Check {
    let (Some(retry), Some(dead), Some(function)) = (context.retry, context.dead, context.function) else {
        return Check::skipped(name::OBJECT_DELIVERY, "the queues are unknown");
    };
    let letters = context.letters.unwrap_or_default();
    let key = object.key.as_str();
    let letter = letters.iter().find(|letter| letter.is_about(&object.bucket, key));
    let redrive = || dead_letters::redrive(dead, retry, function, Some(key), context.commands);
    let result = context.record.map(|record| match record.state {
        State::Submitted => "delivered: FlexOrch accepted it, and its job has not ended (object's record)",
        State::Processed => "delivered: FlexOrch accepted and processed it (object's record)",
        State::Failed => "delivered: FlexOrch accepted it, and its job failed (object's record)",
        State::Rejected => "delivered: FlexOrch refused the file (object's record)",
    });
    match (letter, context.record.map(|record| record.state), result) {
        (Some(letter), Some(State::Submitted | State::Processed), Some(result)) => {
            let action =
                "redrive the dead letter, because FlexOrch recognizes known content, or delete it (`letters drop`)";
            let found = format!("{result}; a dead letter is left of another attempt: {}", letter.why());
            return Check::warning(name::OBJECT_DELIVERY, found, Fix::new(action, redrive()));
        }
        (Some(letter), ..) => {
            return Check::failed(
                name::OBJECT_DELIVERY,
                format!("moved to the dead-letter queue: {}", letter.why()),
                Fix::new("fix the cause, then redrive it", redrive()),
            );
        }
        (None, _, Some(result)) => return Check::well(name::OBJECT_DELIVERY, result),
        (None, ..) => {}
    }
    let Some(connector) = context.connector else {
        return Check::skipped(name::OBJECT_DELIVERY, "the connector is unknown");
    };
    let tracked_by = function.setting(settings::RECEIPTS_QUEUE_URL).map(|_| function.name.as_str());
    let again = context.commands.submit(&connector.secret_id, tracked_by, key);
    let (dead_letters, waiting) = (dead.all(), retry.all());
    let seen = u64::try_from(letters.len()).unwrap_or(u64::MAX);
    let unseen = dead_letters.saturating_sub(seen);
    if let Some(block) = context.block.filter(|_| waiting > 0) {
        let found =
            format!("it may be among {}, which wait because {}", counted(waiting, "waiting message"), block.why());
        return Check::warning(name::OBJECT_DELIVERY, found, block.fix(&connector.secret_id, context.commands));
    }
    if unseen > 0 || waiting > 0 {
        return Check::warning(
            name::OBJECT_DELIVERY,
            format!(
                "it may be among {} or {} that were not received",
                counted(waiting, "waiting message"),
                counted(unseen, "dead letter")
            ),
            Fix::new(
                "if it is still missing once they are processed, submit it again; FlexOrch recognizes known content",
                again,
            ),
        );
    }
    Check::well(
        name::OBJECT_DELIVERY,
        format!(
            "neither waiting nor a dead letter: it was submitted, or uploaded before the setup; to submit it again (FlexOrch recognizes known \
             content): {again}"
        ),
    )
}
