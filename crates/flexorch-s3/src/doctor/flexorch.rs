//! Checks FlexOrch: is it reachable, does it accept the API key, and can the connector read its bucket?

use std::time::Duration;

use super::check::{Check, Fix, Status, skipped};
use super::commands::{Commands, quoted};
use super::name;
use super::subject::Subject;
use crate::connector_secret::SecretDocument;
use crate::management::{CallError, ConnectorView, Management, RateLimits};
use crate::output::Output;
use crate::text::escaped;
use flexorch_s3_ingester::model::{arn, codes};

/// The time limit of the first call, which does not count towards the plan's rate.
const FIRST: Duration = Duration::from_secs(35);
/// The time limit of later calls, which may have to wait for the plan's next minute.
const LATER: Duration = Duration::from_secs(80);

/// The checks of FlexOrch.
#[derive(Debug, Default)]
pub(crate) struct FlexOrchChecks {
    pub(crate) checks: Vec<Check>,
    /// The plan's rate, if known.
    pub(crate) rate: Option<RateLimits>,
}

/// Calls FlexOrch, and checks its responses.
pub(crate) async fn check(
    flexorch: Option<&Management>,
    address: &str,
    secret: Option<&SecretDocument>,
    subject: &Subject,
    commands: &Commands,
    output: Output,
) -> FlexOrchChecks {
    let (Some(flexorch), Some(secret)) = (flexorch, secret) else {
        let all = [name::FLEXORCH, name::API_KEY, name::PLAN, name::CONNECTOR, name::TEST];
        return FlexOrchChecks { checks: skipped(&all, "there is no API key"), ..FlexOrchChecks::default() };
    };
    let mut result = FlexOrchChecks::default();
    let response = tokio::time::timeout(FIRST, flexorch.rate_limits()).await;
    let (checks, rate) = account(response.ok(), address, secret, commands);
    let is_key_valid = checks.iter().any(|check| check.check == name::API_KEY && check.status == Status::Well);
    result.checks = checks;
    result.rate = rate;
    if !is_key_valid {
        result.checks.extend(skipped(&[name::CONNECTOR, name::TEST], "the API key could not be verified"));
        return result;
    }
    let Ok(Some(id)) = secret.connector_id() else {
        result.checks.extend(skipped(&[name::CONNECTOR, name::TEST], "the secret names no connector"));
        return result;
    };
    if result.rate.as_ref().is_some_and(is_used_up) {
        output.progress("the plan's requests of this minute are used up; waiting for the next minute");
    }
    let found = tokio::time::timeout(LATER, flexorch.connector(&id)).await;
    let view = match found {
        Ok(Ok(Some(view))) => view,
        Ok(Ok(None)) => {
            result.checks.push(Check::failed(
                name::CONNECTOR,
                format!("FlexOrch has no connector {id} for this API key"),
                Fix::new(
                    "find or create it, and write its id into the secret",
                    commands.own(format_args!("connector create --secret {}", quoted(&secret.id))),
                ),
            ));
            result.checks.extend(skipped(&[name::TEST], "there is no such connector"));
            return result;
        }
        other => {
            let found = other
                .map_or_else(|_| slow(LATER), |found| found.err().map(|error| message(&error)).unwrap_or_default());
            let again = commands.own(format_args!("connector show --secret {}", quoted(&secret.id)));
            result.checks.push(Check::failed(name::CONNECTOR, found, Fix::new("try again", again)));
            result.checks.extend(skipped(&[name::TEST], "the connector could not be read"));
            return result;
        }
    };
    result.checks.push(connector(&view, subject, &secret.id, commands));
    let test = commands.own(format_args!("connector test --secret {}", quoted(&secret.id)));
    result.checks.push(match tokio::time::timeout(LATER, flexorch.test_connector(&view.id)).await {
        Ok(Ok(tested)) if tested.success => {
            let took = tested.latency_ms.map(|millis| format!(", {millis} ms")).unwrap_or_default();
            Check::well(name::TEST, format!("FlexOrch can read the bucket{took}"))
        }
        Ok(Ok(tested)) => {
            let place = arn::of_bucket(subject.bucket.as_deref().unwrap_or("BUCKET"), subject.region.as_deref());
            Check::failed(
                name::TEST,
                format!("FlexOrch cannot read the bucket: {}", tested.message),
                Fix::new(
                    format!("allow the connector's IAM user s3:GetObject on {place}/* and s3:ListBucket on {place}, then test again"),
                    test,
                ),
            )
        }
        Ok(Err(error)) => Check::failed(name::TEST, message(&error), Fix::new(error.hint(), test)),
        Err(_) => Check::failed(name::TEST, slow(LATER), Fix::new("try again", test)),
    });
    result
}

/// Checks address, key and plan, by one response, or `None` if it did not arrive in time.
fn account(
    response: Option<Result<RateLimits, CallError>>,
    address: &str,
    secret: &SecretDocument,
    commands: &Commands,
) -> (Vec<Check>, Option<RateLimits>) {
    let call =
        format!("curl -sS -m 10 -o /dev/null -w '%{{http_code}}\\n' {}", quoted(&format!("{address}/connectors")));
    let unreachable = |found: String, hint: &str| {
        let next = Fix::new(format!("{hint}; FlexOrch's response to this is 401"), call.clone());
        let mut checks = vec![Check::failed(name::FLEXORCH, found, next)];
        checks.extend(skipped(&[name::API_KEY, name::PLAN], "FlexOrch is not reachable"));
        (checks, None)
    };
    let reachable = Check::well(name::FLEXORCH, format!("{address} is reachable"));
    let key = || Check::well(name::API_KEY, "accepted by FlexOrch");
    let error = match response {
        Some(Ok(rate)) => {
            let plan = plan(&rate, &secret.id, commands);
            return (vec![reachable, key(), plan], Some(rate));
        }
        Some(Err(error)) => error,
        None => return unreachable(slow(FIRST), "check the network"),
    };
    match (error.error.status, error.error.code.as_deref()) {
        (0 | 300..=399 | 408 | 500..=599, _) => unreachable(message(&error), error.hint()),
        (status, code) if status == 401 || status == 403 && code.is_some_and(codes::refuses_the_api_key) => {
            let change = commands.change_secret(&secret.id, ".api_key = env.KEY");
            let next = Fix::new(
                "create a key at FlexOrch (Settings, API keys) and write it into the secret; uploads wait until then",
                format!("read -rsp 'API key: ' KEY && export KEY && {change}"),
            );
            let mut checks = vec![reachable, Check::failed(name::API_KEY, message(&error), next)];
            checks.extend(skipped(&[name::PLAN], "FlexOrch does not accept the key"));
            (checks, None)
        }
        // FlexOrch accepted the key, but refused the request.
        (402 | 403 | 429, _) => {
            let again = commands.own(format_args!("connector list --secret {}", quoted(&secret.id)));
            let plan = Check::failed(name::PLAN, message(&error), Fix::new(error.hint(), again));
            (vec![reachable, key(), plan], None)
        }
        _ => {
            let next = Fix::new("see the plan's rate on FlexOrch's usage page", call.clone());
            let plan = Check::warning(
                name::PLAN,
                format!("FlexOrch does not report the plan's rate: {}", message(&error)),
                next,
            );
            (vec![reachable, key(), plan], None)
        }
    }
}

fn plan(rate: &RateLimits, secret: &str, commands: &Commands) -> Check {
    let plan = escaped(rate.plan.as_deref().unwrap_or("the plan"));
    let Some(limit) = rate.per_minute else { return Check::well(name::PLAN, format!("{plan}: no rate limit")) };
    let used = rate.used.map(|used| format!(", {used} used in the current minute")).unwrap_or_default();
    let found = format!("{plan}: {limit} requests per minute{used}");
    match is_used_up(rate) {
        true => {
            let when = rate.reset_in_seconds.map(|seconds| format!(" in {seconds} s")).unwrap_or_default();
            Check::warning(
                name::PLAN,
                found,
                Fix::new(
                    format!("the next minute starts{when}; until then, objects wait in the retry queue"),
                    commands.own(format_args!("doctor --secret {}", quoted(secret))),
                ),
            )
        }
        false => Check::well(name::PLAN, found),
    }
}

fn is_used_up(rate: &RateLimits) -> bool {
    matches!((rate.used, rate.per_minute), (Some(used), Some(limit)) if used >= limit)
}

/// Checks whether the connector matches the secret.
fn connector(view: &ConnectorView, subject: &Subject, secret: &str, commands: &Commands) -> Check {
    let create = commands.own(format_args!("connector create --secret {}", quoted(secret)));
    let recreate = format!("{} && {create}", commands.change_secret(secret, "del(.connector_id)"));
    if view.active == Some(false) {
        let next = Fix::new("enable it at FlexOrch, or create another", recreate);
        return Check::failed(name::CONNECTOR, format!("connector {} is disabled", view.id), next);
    }
    if let Some(kind) = view.kind.as_deref().filter(|kind| *kind != "s3") {
        let found = format!("connector {} is of type {}, not s3", view.id, escaped(kind));
        return Check::failed(name::CONNECTOR, found, Fix::new("create one for the bucket", recreate));
    }
    let mut differing = Vec::new();
    let mut filters = Vec::new();
    let prefix = Some(view.prefix.clone().unwrap_or_default());
    for (field, theirs, own) in [
        ("bucket", &view.bucket, &subject.bucket),
        ("region", &view.region, &subject.region),
        ("prefix", if view.bucket.is_some() { &prefix } else { &None }, &subject.prefix),
    ] {
        if let (Some(theirs), Some(own)) = (theirs, own)
            && theirs != own
        {
            differing.push(format!("{field} {theirs:?}, but the secret says {own:?}"));
            filters.push(format!(".{field} = {}", serde_json::Value::from(theirs.as_str())));
        }
    }
    if differing.is_empty() {
        let place = match &view.bucket {
            Some(bucket) => format!("s3://{bucket}/{}", view.prefix.as_deref().unwrap_or_default()),
            None => "a bucket that FlexOrch does not return".to_owned(),
        };
        return Check::well(name::CONNECTOR, format!("{} is active and reads {place}", view.id));
    }
    let next = Fix::new(
        format!("if FlexOrch is right, correct the secret as follows; if the secret is right: {recreate}"),
        commands.change_secret(secret, &filters.join(" | ")),
    );
    Check::failed(name::CONNECTOR, format!("connector {} reads {}", view.id, differing.join("; ")), next)
}

/// Formats an error without its hint.
fn message(error: &CallError) -> String {
    format!("{}: {}", error.call, error.error)
}

fn slow(patience: Duration) -> String {
    format!("no response within {} s", patience.as_secs())
}
