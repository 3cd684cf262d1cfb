//! FlexOrch's side: is it there, does it take the key, and can the connector read its bucket?

use std::time::Duration;

use super::super::arn;
use super::super::connector_secret::SecretDocument;
use super::super::output::Output;
use super::super::table::shown;
use super::check::{Check, Next, skipped};
use super::commands::{Commands, quoted};
use super::name;
use super::subject::Subject;
use crate::management::{CallError, ConnectorView, Management, RateLimits};
use flexorch_s3_ingester::model::codes;

/// The first question, which costs no request of the plan's.
const FIRST: Duration = Duration::from_secs(35);
/// Those that do: they may have to wait for the plan's next minute.
const LATER: Duration = Duration::from_secs(80);

/// What FlexOrch said.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub checks: Vec<Check>,
    /// The plan's rate.
    pub rate: Option<RateLimits>,
    /// The connector.
    pub view: Option<ConnectorView>,
}

/// Asks FlexOrch.
pub(super) async fn look(
    flexorch: Option<&Management>,
    address: &str,
    secret: Option<&SecretDocument>,
    subject: &Subject,
    commands: &Commands,
    output: Output,
) -> Seen {
    let (Some(flexorch), Some(secret)) = (flexorch, secret) else {
        let all = [name::FLEXORCH, name::API_KEY, name::PLAN, name::CONNECTOR, name::TEST];
        return Seen { checks: skipped(&all, "there is no API key to ask with"), ..Seen::default() };
    };
    let mut seen = Seen::default();
    let answer = tokio::time::timeout(FIRST, flexorch.rate_limits()).await;
    let (checks, rate) = account(answer.ok(), address, secret, commands);
    let takes_key =
        checks.iter().any(|check| check.check == name::API_KEY && check.status == super::check::Status::Well);
    seen.checks = checks;
    seen.rate = rate;
    if !takes_key {
        seen.checks.extend(skipped(&[name::CONNECTOR, name::TEST], "FlexOrch gives no answer about this key"));
        return seen;
    }
    let Ok(Some(id)) = secret.connector_id() else {
        seen.checks.extend(skipped(&[name::CONNECTOR, name::TEST], "the secret names no connector"));
        return seen;
    };
    if seen.rate.as_ref().is_some_and(is_used_up) {
        output.progress("the plan's requests of this minute are used up: waiting for the next");
    }
    let found = tokio::time::timeout(LATER, flexorch.connector(&id)).await;
    let view = match found {
        Ok(Ok(Some(view))) => view,
        Ok(Ok(None)) => {
            seen.checks.push(Check::failed(
                name::CONNECTOR,
                format!("FlexOrch knows no connector {id} for this API key"),
                Next::new(
                    "find or make it, and write its id into the secret",
                    commands.own(format_args!("connector create --secret {}", quoted(&secret.id))),
                ),
            ));
            seen.checks.extend(skipped(&[name::TEST], "there is no such connector"));
            return seen;
        }
        other => {
            let words =
                other.map_or_else(|_| slow(LATER), |found| found.err().map(|error| words(&error)).unwrap_or_default());
            let again = commands.own(format_args!("connector show --secret {}", quoted(&secret.id)));
            seen.checks.push(Check::failed(name::CONNECTOR, words, Next::new("try again", again)));
            seen.checks.extend(skipped(&[name::TEST], "FlexOrch did not show the connector"));
            return seen;
        }
    };
    seen.checks.push(connector(&view, subject, &secret.id, commands));
    let test = commands.own(format_args!("connector test --secret {}", quoted(&secret.id)));
    seen.checks.push(match tokio::time::timeout(LATER, flexorch.test_connector(&view.id)).await {
        Ok(Ok(tested)) if tested.success => {
            let took = tested.latency_ms.map(|millis| format!(", {millis} ms")).unwrap_or_default();
            Check::well(name::TEST, format!("FlexOrch can read the bucket{took}"))
        }
        Ok(Ok(tested)) => {
            let place = arn::of_bucket(subject.bucket.as_deref().unwrap_or("BUCKET"), subject.region.as_deref());
            Check::failed(
                name::TEST,
                format!("FlexOrch cannot read the bucket: {}", tested.message),
                Next::new(
                    format!("let the IAM user behind the connector s3:GetObject on {place}/* and s3:ListBucket on {place}, then test again"),
                    test,
                ),
            )
        }
        Ok(Err(error)) => Check::failed(name::TEST, words(&error), Next::new(error.hint(), test)),
        Err(_) => Check::failed(name::TEST, slow(LATER), Next::new("try again", test)),
    });
    seen.view = Some(view);
    seen
}

/// Address, key and plan, from one answer; `None`: there was none in time.
fn account(
    answer: Option<Result<RateLimits, CallError>>,
    address: &str,
    secret: &SecretDocument,
    commands: &Commands,
) -> (Vec<Check>, Option<RateLimits>) {
    let call =
        format!("curl -sS -m 10 -o /dev/null -w '%{{http_code}}\\n' {}", quoted(&format!("{address}/connectors")));
    let unreachable = |found: String, hint: &str| {
        let next = Next::new(format!("{hint}; FlexOrch itself answers this with 401"), call.clone());
        let mut checks = vec![Check::failed(name::FLEXORCH, found, next)];
        checks.extend(skipped(&[name::API_KEY, name::PLAN], "FlexOrch gives no answer"));
        (checks, None)
    };
    let reachable = Check::well(name::FLEXORCH, format!("{address} answers"));
    let key = || Check::well(name::API_KEY, "FlexOrch takes it");
    let error = match answer {
        Some(Ok(rate)) => {
            let plan = plan(&rate, &secret.id, commands);
            return (vec![reachable, key(), plan], Some(rate));
        }
        Some(Err(error)) => error,
        None => return unreachable(slow(FIRST), "check the network"),
    };
    match (error.error.status, error.error.code.as_deref()) {
        (0 | 300..=399 | 408 | 500..=599, _) => unreachable(words(&error), error.hint()),
        (status, code) if status == 401 || status == 403 && code.is_some_and(codes::refuses_the_api_key) => {
            let change = commands.change_secret(&secret.id, ".api_key = env.KEY");
            let next = Next::new(
                "make a key at FlexOrch (Settings, API keys) and write it into the secret; what is uploaded waits until then",
                format!("read -rsp 'API key: ' KEY && export KEY && {change}"),
            );
            let mut checks = vec![reachable, Check::failed(name::API_KEY, words(&error), next)];
            checks.extend(skipped(&[name::PLAN], "FlexOrch does not take the key"));
            (checks, None)
        }
        // The key is good enough for another refusal.
        (402 | 403 | 429, _) => {
            let again = commands.own(format_args!("connector list --secret {}", quoted(&secret.id)));
            let plan = Check::failed(name::PLAN, words(&error), Next::new(error.hint(), again));
            (vec![reachable, key(), plan], None)
        }
        _ => {
            let next = Next::new("look at the plan's rate on FlexOrch's usage page", call.clone());
            let plan = Check::warning(name::PLAN, format!("FlexOrch does not tell its rate: {}", words(&error)), next);
            (vec![reachable, key(), plan], None)
        }
    }
}

fn plan(rate: &RateLimits, secret: &str, commands: &Commands) -> Check {
    let plan = shown(rate.plan.as_deref().unwrap_or("the plan"));
    let Some(limit) = rate.per_minute else { return Check::well(name::PLAN, format!("{plan}: no limit of requests")) };
    let used = rate.used.map(|used| format!(", {used} used in this one")).unwrap_or_default();
    let found = format!("{plan}: {limit} requests a minute{used}");
    match is_used_up(rate) {
        true => {
            let when = rate.reset_in_seconds.map(|seconds| format!(" in {seconds} s")).unwrap_or_default();
            Check::warning(
                name::PLAN,
                found,
                Next::new(
                    format!("the next minute begins{when}; what does not fit waits in the retry queue"),
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

/// Whether the connector is what the secret says.
fn connector(view: &ConnectorView, subject: &Subject, secret: &str, commands: &Commands) -> Check {
    let create = commands.own(format_args!("connector create --secret {}", quoted(secret)));
    let anew = format!("{} && {create}", commands.change_secret(secret, "del(.connector_id)"));
    if view.active == Some(false) {
        let next = Next::new("switch it on at FlexOrch, or have another made", anew);
        return Check::failed(name::CONNECTOR, format!("connector {} is switched off", view.id), next);
    }
    if let Some(kind) = view.kind.as_deref().filter(|kind| *kind != "s3") {
        let found = format!("connector {} is of type {}, not s3", view.id, shown(kind));
        return Check::failed(name::CONNECTOR, found, Next::new("have one for the bucket made", anew));
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
            differing.push(format!("{field} {theirs:?}, and the secret says {own:?}"));
            filters.push(format!(".{field} = {}", serde_json::Value::from(theirs.as_str())));
        }
    }
    if differing.is_empty() {
        let place = match &view.bucket {
            Some(bucket) => format!("s3://{bucket}/{}", view.prefix.as_deref().unwrap_or_default()),
            None => "a bucket that FlexOrch does not show".to_owned(),
        };
        return Check::well(name::CONNECTOR, format!("{} is active and reads {place}", view.id));
    }
    let next = Next::new(
        format!("if FlexOrch is right, correct the secret as below; if the secret is right: {anew}"),
        commands.change_secret(secret, &filters.join(" | ")),
    );
    Check::failed(name::CONNECTOR, format!("connector {} reads {}", view.id, differing.join("; ")), next)
}

/// What FlexOrch said, without the advice.
fn words(error: &CallError) -> String {
    format!("{}: {}", error.call, error.error)
}

fn slow(patience: Duration) -> String {
    format!("no answer within {} s", patience.as_secs())
}
