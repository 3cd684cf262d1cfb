//! Checks FlexOrch: is it reachable, does it accept the API key, are there credits left, and can the connector read its bucket?

use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::block::Block;
use super::check::{Check, Fix, Status, Unknown, skipped};
use super::commands::{Commands, quoted};
use super::exports::Exports;
use super::name;
use super::report::Report;
use super::secret::SecretState;
use super::subject::Subject;
use crate::connector_secret::SecretDocument;
use crate::management::{CallError, ConnectorView, Credits, Management, RateLimits, Webhook};
use crate::text::escaped;
use flexorch_s3_ingester::model::credentials::ConnectorId;
use flexorch_s3_ingester::model::{arn, codes};

/// The time limit of the first call. Later calls, which may have to wait for the plan's next minute, have the whole command's.
const FIRST: Duration = Duration::from_secs(35);

/// What the checks of FlexOrch found that other checks need, apart from the webhooks.
#[derive(Debug, Clone, Default)]
pub(crate) struct FlexOrchFacts {
    /// The plan's rate, if known.
    pub(crate) rate: Option<RateLimits>,
    /// The billing period's credits, if known.
    pub(crate) credits: Option<Credits>,
    /// Why FlexOrch takes nothing from this connector, if it does not.
    pub(crate) block: Option<Block>,
    /// Whether nothing more follows.
    pub(crate) complete: bool,
}

/// What other checks need of FlexOrch's webhooks.
#[derive(Debug, Default)]
pub(crate) struct WebhookFacts {
    /// What FlexOrch writes into buckets.
    pub(crate) exports: Exports,
    /// The webhooks of the API key, if FlexOrch was asked.
    pub(crate) registered: Option<Result<Vec<Webhook>, CallError>>,
}

/// Where the checks of FlexOrch put what they find.
#[derive(Debug)]
pub(crate) struct Findings {
    facts: watch::Sender<FlexOrchFacts>,
    webhooks: oneshot::Sender<WebhookFacts>,
}

/// What the checks of FlexOrch find, as soon as it is known.
#[derive(Debug)]
pub(crate) struct Answers {
    facts: watch::Receiver<FlexOrchFacts>,
    webhooks: oneshot::Receiver<WebhookFacts>,
    patience: Instant,
}

/// Creates the two ends. After `patience`, checks that can do without FlexOrch's responses no longer wait for them.
pub(crate) fn channel(patience: Instant) -> (Findings, Answers) {
    let (facts, known) = watch::channel(FlexOrchFacts::default());
    let (webhooks, listed) = oneshot::channel();
    (Findings { facts, webhooks }, Answers { facts: known, webhooks: listed, patience })
}

impl Findings {
    /// Says that nothing more follows.
    fn give_up(self, why: String) {
        self.facts.send_modify(|facts| facts.complete = true);
        // Whoever waits for it may have run out of time.
        let _ = self.webhooks.send(WebhookFacts { exports: Exports::NotRead(why), registered: None });
    }
}

impl Answers {
    /// Waits for the facts, and returns what is known of them after the patience.
    pub(crate) async fn facts(&mut self) -> FlexOrchFacts {
        let complete = self.facts.wait_for(|facts| facts.complete);
        // An error is no more than the end of the wait.
        let _ = tokio::time::timeout_at(self.patience, complete).await;
        self.facts.borrow().clone()
    }

    /// Waits for the webhooks.
    pub(crate) async fn webhooks(self) -> WebhookFacts {
        self.webhooks.await.unwrap_or_default()
    }
}

/// Calls FlexOrch, and checks its responses.
pub(crate) async fn check(
    flexorch: Option<&Management>,
    address: &str,
    secret: &SecretState,
    subject: &Subject,
    commands: &Commands,
    report: &Report,
    findings: Findings,
) {
    let mut facts = FlexOrchFacts::default();
    let (Some(flexorch), Some(document)) = (flexorch, secret.document()) else {
        let all = [name::FLEXORCH, name::API_KEY, name::PLAN, name::CREDITS, name::CONNECTOR, name::TEST];
        let why = subject.unread.as_ref().map_or_else(|| "there is no API key".to_owned(), super::check::without);
        report.add(skipped(&all, &why));
        return findings.give_up(why);
    };
    let paused = document.as_connector().ok().and_then(|connector| connector.paused);
    facts.block = paused.map(|reason| Block::Paused { reason });
    findings.facts.send_replace(facts.clone());
    let response = tokio::time::timeout(FIRST, flexorch.rate_limits()).await.ok();
    // A pause comes first: it was decided here.
    let refusal = response.as_ref().and_then(|response| response.as_ref().err()).and_then(Block::of);
    facts.block = facts.block.take().or(refusal);
    let (checks, rate) = account(response, address, document, commands);
    let is_key_valid = checks.iter().any(|check| check.check == name::API_KEY && check.status() == Status::Well);
    report.add(checks);
    facts.rate = rate;
    findings.facts.send_replace(facts.clone());
    if !is_key_valid {
        let why = "the API key could not be verified";
        report.add(skipped(&[name::CREDITS, name::CONNECTOR, name::TEST], why));
        return findings.give_up(why.to_owned());
    }
    if facts.rate.as_ref().is_some_and(is_used_up) {
        report.note("the plan's requests of this minute are used up; waiting for the next minute");
    }
    let Findings { facts: known, webhooks: listed } = findings;
    let account = async {
        let (credits, refusal) = tokio::join!(
            check_credits(flexorch, document, commands, report),
            check_connector(flexorch, document, subject, commands, report)
        );
        let (credits, used_up) = credits;
        facts.credits = credits;
        facts.block = facts.block.take().or(used_up).or(refusal);
        facts.complete = true;
        known.send_replace(facts);
    };
    let webhooks = async {
        let registered = flexorch.webhooks().await;
        let own = document.connector_id().ok().flatten();
        let exports = Exports::read(flexorch, &registered, own.as_ref()).await;
        let _ = listed.send(WebhookFacts { exports, registered: Some(registered) });
    };
    tokio::join!(account, webhooks);
}

/// Checks the credits. Returns them if they are known, and why FlexOrch takes nothing because of them.
async fn check_credits(
    flexorch: &Management,
    secret: &SecretDocument,
    commands: &Commands,
    report: &Report,
) -> (Option<Credits>, Option<Block>) {
    let response = flexorch.credits().await;
    report.add([credits(&response, secret, commands)]);
    let block = match &response {
        Ok(credits) if credits.remaining == Some(0) => Some(Block::CreditsUsedUp),
        Ok(_) => None,
        Err(error) => Block::of(error),
    };
    (response.ok(), block)
}

/// Checks the connector and tests it. Returns why FlexOrch takes nothing from it, if it does not.
async fn check_connector(
    flexorch: &Management,
    secret: &SecretDocument,
    subject: &Subject,
    commands: &Commands,
    report: &Report,
) -> Option<Block> {
    let refused_because = |why: String| Some(Block::Refused { why });
    let Ok(Some(id)) = secret.connector_id() else {
        report.add(skipped(&[name::CONNECTOR, name::TEST], "the secret names no connector"));
        return None;
    };
    let found = flexorch.connector(&id).await;
    let view = match found {
        Ok(Some(view)) => view,
        Ok(None) => {
            report.add([absent(&id, &secret.id, commands)]);
            report.add(skipped(&[name::TEST], "there is no such connector"));
            return refused_because(format!("FlexOrch has no connector {id} for this API key"));
        }
        Err(error) => {
            let again = commands.own(format_args!("connector show --secret {}", quoted(&secret.id)));
            report.add([refused(name::CONNECTOR, &error, again)]);
            report.add(skipped(&[name::TEST], "the connector could not be read"));
            return Block::of(&error);
        }
    };
    let disabled = (view.active == Some(false)).then(|| format!("connector {} is disabled", view.id));
    report.add([connector(&view, subject, &secret.id, commands)]);
    let test = commands.own(format_args!("connector test --secret {}", quoted(&secret.id)));
    let tested = flexorch.test_connector(&view.id).await;
    report.add([match &tested {
        Ok(tested) if tested.success => {
            let took = tested.latency_ms.map(|millis| format!(", {millis} ms")).unwrap_or_default();
            Check::well(name::TEST, format!("FlexOrch can read the bucket{took}"))
        }
        Ok(tested) => {
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
        Err(error) => refused(name::TEST, error, test),
    }]);
    disabled.and_then(refused_because).or_else(|| Block::of(tested.as_ref().err()?))
}

/// Returns the check of a call that failed: a refusal is a finding, but no response and an error of FlexOrch's own are not.
fn refused(check: &'static str, error: &CallError, again: String) -> Check {
    let next = Fix::new(error.hint(), again);
    match error.error.status {
        0 | 300..=399 | 408 | 429 | 500..=599 if Block::of(error).is_none() => {
            Check::unknown(check, Unknown::new(error.without_hint(), next))
        }
        _ => Check::failed(check, error.without_hint(), next),
    }
}

fn absent(id: &ConnectorId, secret: &str, commands: &Commands) -> Check {
    Check::failed(
        name::CONNECTOR,
        format!("FlexOrch has no connector {id} for this API key"),
        Fix::new(
            "find or create it, and write its id into the secret",
            commands.own(format_args!("connector create --secret {}", quoted(secret))),
        ),
    )
}

/// Checks whether there are credits left, and says for how many documents.
fn credits(response: &Result<Credits, CallError>, secret: &SecretDocument, commands: &Commands) -> Check {
    let again = commands.own(format_args!("doctor --secret {}", quoted(&secret.id)));
    let credits = match response {
        Ok(credits) => credits,
        // An API that has no such resource names no credits.
        Err(error) if error.is_not_found() => &Credits::default(),
        Err(error) => return refused(name::CREDITS, error, again),
    };
    let used = credits.used.map(|used| format!("{used} used")).unwrap_or_default();
    match (credits.remaining, credits.documents()) {
        (Some(0), _) => Check::failed(
            name::CREDITS,
            match (credits.used, credits.limit) {
                (Some(used), Some(limit)) => format!("the billing period's credits are used up ({used} of {limit})"),
                _ => "the billing period's credits are used up".to_owned(),
            },
            Fix::new(
                "upgrade the plan, or wait for the next billing period: until then uploads wait, and none expires. To check again",
                again,
            ),
        ),
        (Some(left), Some(documents)) => {
            let limit = credits.limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
            let used = if used.is_empty() { used } else { format!(", {used}") };
            Check::well(
                name::CREDITS,
                format!(
                    "{left}{limit} left{used}: enough for about {} to {} documents at 1 to 3 credits each; a premium model takes 5 to 15",
                    documents.at_least, documents.at_most
                ),
            )
        }
        _ if credits.unlimited || credits.used.is_some() => {
            let used = if used.is_empty() { used } else { format!("{used}, ") };
            Check::well(name::CREDITS, format!("{used}no limit is reported"))
        }
        _ => Check::warning(
            name::CREDITS,
            "FlexOrch does not report them",
            Fix::new("see FlexOrch's usage page; to check again", again),
        ),
    }
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
        let check = Check::failed(name::FLEXORCH, found, next);
        (check.then_skip(&[name::API_KEY, name::PLAN], "FlexOrch is not reachable"), None)
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
        (0 | 300..=399 | 408 | 500..=599, _) => unreachable(error.without_hint(), error.hint()),
        (status, code) if status == 401 || status == 403 && code.is_some_and(codes::refuses_the_api_key) => {
            let change = commands.change_secret(&secret.id, ".api_key = env.KEY");
            let next = Fix::new(
                "create a key at FlexOrch (Settings, API keys) and write it into the secret; uploads wait until then",
                format!("read -rsp 'API key: ' KEY && export KEY && {change}"),
            );
            let refused = Check::failed(name::API_KEY, error.without_hint(), next);
            (vec![reachable, refused, Check::skipped(name::PLAN, "FlexOrch does not accept the key")], None)
        }
        // FlexOrch accepted the key, but refused the request.
        (402 | 403 | 429, _) => {
            let again = commands.own(format_args!("connector list --secret {}", quoted(&secret.id)));
            (vec![reachable, key(), refused(name::PLAN, &error, again)], None)
        }
        _ => {
            let next = Fix::new("see the plan's rate on FlexOrch's usage page", call.clone());
            let plan = Check::warning(
                name::PLAN,
                format!("FlexOrch does not report the plan's rate: {}", error.without_hint()),
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

fn slow(patience: Duration) -> String {
    format!("no response within {} s", patience.as_secs())
}
