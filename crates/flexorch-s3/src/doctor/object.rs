//! One object: why is it not at FlexOrch?

use std::sync::Arc;

use super::super::arn;
use super::super::aws_failure::AwsFailure;
use super::aws::{Aws, ask_for};
use super::check::{Check, Next, skipped};
use super::commands::{Commands, quoted};
use super::letters::{self, Letter};
use super::name;
use super::notification::Way;
use super::queue::Queue;
use super::reach::Reach;
use super::told::Scene;
use flexorch_s3_ingester::ingest::route::{Route, Router};
use flexorch_s3_ingester::model::connector::Connector;
use flexorch_s3_ingester::model::object::{ObjectKey, S3Object};
use flexorch_s3_ingester::model::outcome::SkipReason;
use flexorch_s3_ingester::model::scope::Scope;

/// The object, as S3 shows it; the inner `None`: it is not there.
pub(super) type Seen = Result<Option<S3Object>, AwsFailure>;

/// Looks at the object.
pub(super) async fn read(aws: &Aws<'_>, bucket: &str, key: &ObjectKey, region: Option<&str>) -> Seen {
    let question = aws.s3(region).head_object().bucket(bucket).key(key.as_str()).send();
    let resource = format!("{}/{}", arn::of_bucket(bucket, region), key.as_str());
    let found = ask_for("s3:GetObject", &resource, question).await?;
    Ok(found.map(|found| S3Object {
        size: found.content_length().and_then(|size| u64::try_from(size).ok()),
        ..S3Object::new(bucket, key.clone())
    }))
}

/// What the checks of an object take, beside the object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances<'a> {
    pub connector: Option<&'a Connector>,
    /// The function's filters.
    pub scope: Option<&'a Scope>,
    /// Its name.
    pub function: Option<&'a str>,
    pub retry: Option<&'a Queue>,
    pub dead: Option<&'a Queue>,
    /// Dead letters, as far as they were looked at.
    pub letters: Option<&'a [Letter]>,
    pub commands: &'a Commands,
}

/// All checks of an object.
pub(super) fn checks(
    seen: &Seen,
    bucket: &str,
    key: &ObjectKey,
    scene: Option<&Scene<'_>>,
    around: Circumstances<'_>,
) -> Vec<Check> {
    let after = [name::OBJECT_SCOPE, name::OBJECT_TOLD, name::OBJECT_FATE];
    let folder = key.as_str().rsplit_once('/').map(|(folder, _)| format!("{folder}/")).unwrap_or_default();
    let object = match seen {
        Ok(Some(object)) => object,
        Ok(None) => {
            let list = format!(
                "s3api list-objects-v2 --bucket {} --prefix {} --query 'Contents[].Key'",
                quoted(bucket),
                quoted(&folder)
            );
            let next = Next::new("is this how its key is written? These are its neighbours", around.commands.aws(list));
            let mut checks =
                vec![Check::failed(name::OBJECT, format!("{bucket} has no object {:?}", key.as_str()), next)];
            checks.extend(skipped(&after, "there is no such object"));
            return checks;
        }
        Err(failure) => {
            let mut checks = vec![Check::could_not_look(name::OBJECT, failure, around.commands)];
            checks.extend(skipped(&after, "the object could not be looked at"));
            return checks;
        }
    };
    let size = object.size.map(|size| format!(", {size} bytes")).unwrap_or_default();
    vec![
        Check::well(name::OBJECT, format!("{} is there{size}", key.as_str())),
        in_scope(object, around),
        told(key, scene),
        fate(object, around),
    ]
}

fn in_scope(object: &S3Object, around: Circumstances<'_>) -> Check {
    let (Some(connector), Some(scope)) = (around.connector, around.scope) else {
        return Check::skipped(name::OBJECT_SCOPE, "the connector or the function's settings are not known");
    };
    let Route::Skip(reason) = Router::new(&[Arc::new(connector.clone())], &[], scope).route(object) else {
        return Check::well(name::OBJECT_SCOPE, "connector and filters take it");
    };
    let key = object.key.as_str();
    let set = |variable: &str, value: &str| {
        around.commands.set_variable(around.function.unwrap_or_default(), variable, value)
    };
    let show = || around.commands.own(format_args!("connector show --secret {}", quoted(&connector.secret_id)));
    let (found, next) = match reason {
        SkipReason::OutOfPrefix if !key.starts_with(&connector.prefix) => (
            format!("the connector reads {:?}, and the key does not start with it", connector.prefix),
            Next::new("upload it there, or make a connector for where it is (and a secret for that)", show()),
        ),
        SkipReason::OutOfPrefix => (
            format!("it starts with none of KEY_PREFIXES ({})", scope.key_prefixes.join(",")),
            Next::new(
                "let it through",
                set("KEY_PREFIXES", &[scope.key_prefixes.join(","), connector.prefix.clone()].join(",")),
            ),
        ),
        SkipReason::OutOfSuffix => {
            let end = key.rsplit_once('.').map_or(key, |(start, _)| &key[start.len()..]);
            (
                format!("it ends in none of KEY_SUFFIXES ({})", scope.key_suffixes.join(",")),
                Next::new("let it through", set("KEY_SUFFIXES", &format!("{},{end}", scope.key_suffixes.join(",")))),
            )
        }
        SkipReason::TooLarge => (
            format!("it is larger than MAX_OBJECT_BYTES ({})", scope.max_object_bytes.unwrap_or_default()),
            Next::new(
                "let it through, if FlexOrch's plan takes it",
                set("MAX_OBJECT_BYTES", &object.size.unwrap_or_default().to_string()),
            ),
        ),
        other => (format!("it is skipped: {}", other.as_str()), Next::new("see what the connector reads", show())),
    };
    Check::failed(name::OBJECT_SCOPE, found, next)
}

fn told(key: &ObjectKey, scene: Option<&Scene<'_>>) -> Check {
    let Some(scene) = scene else { return Check::skipped(name::OBJECT_TOLD, "how uploads are told is not known") };
    // A filter that lets through all that starts with the key lets the key through.
    let covered = scene.attach();
    let scene = Scene { prefix: key.as_str(), ..*scene };
    let ends = |way: &Way<'_>| {
        way.suffixes.is_empty() || way.suffixes.iter().any(|suffix| key.as_str().ends_with(suffix.as_str()))
    };
    let ways = scene.ways();
    match ways.iter().find(|way| way.is_open(scene.notifications) && way.reach == Reach::All && ends(way)) {
        Some(way) => Check::well(name::OBJECT_TOLD, format!("an upload of it is told ({})", scene.by(way))),
        None => Check::failed(
            name::OBJECT_TOLD,
            "an upload of it is told to nobody",
            Next::new("set a notification up that covers it", covered),
        ),
    }
}

fn fate(object: &S3Object, around: Circumstances<'_>) -> Check {
    let (Some(retry), Some(dead)) = (around.retry, around.dead) else {
        return Check::skipped(name::OBJECT_FATE, "the queues are not known");
    };
    let letters = around.letters.unwrap_or_default();
    let key = object.key.as_str();
    if let Some(letter) = letters.iter().find(|letter| letter.is_about(&object.bucket, key)) {
        return Check::failed(
            name::OBJECT_FATE,
            format!("given up: {}", letter.why()),
            Next::new(
                "mend the cause; then send the dead letters back",
                letters::redrive(dead, &retry.arn, around.commands),
            ),
        );
    }
    let Some(connector) = around.connector else {
        return Check::skipped(name::OBJECT_FATE, "the connector is not known");
    };
    let again = around.commands.own(format_args!("submit --secret {} {}", quoted(&connector.secret_id), quoted(key)));
    let (dead_letters, waiting) = (dead.all(), retry.all());
    let seen = u64::try_from(letters.len()).unwrap_or(u64::MAX);
    let unseen = dead_letters.saturating_sub(seen);
    if unseen > 0 || waiting > 0 {
        return Check::warning(
            name::OBJECT_FATE,
            format!("it may be among {waiting} messages that wait or {unseen} dead letters that were not looked at"),
            Next::new(
                "once they are through and it is still missing, submit it again; FlexOrch knows what it has had",
                again,
            ),
        );
    }
    Check::well(
        name::OBJECT_FATE,
        format!(
            "neither waiting nor given up: submitted, or uploaded before this was set up; FlexOrch knows what it has had, so again: {again}"
        ),
    )
}
