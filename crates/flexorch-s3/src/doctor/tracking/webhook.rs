//! Checks whether FlexOrch has the webhook, can call its URL, and whether its signing secret is stored.

use aws_sdk_lambda::operation::get_function_url_config::GetFunctionUrlConfigOutput;
use aws_sdk_lambda::types::FunctionUrlAuthType;
use reqwest::Url;

use super::super::aws::Aws;
use super::super::check::{Check, Fix, Unknown};
use super::super::commands::{Commands, quoted};
use super::super::flexorch::WebhookFacts;
use super::super::function::Function;
use super::super::name;
use super::outcomes::Outcomes;
use crate::aws_failure::AwsFailure;
use crate::connector_secret::{ReadError, SecretDocument, SecretStore};
use crate::management::Webhook;
use crate::webhook::signing_fields;
use flexorch_outcomes::config::variable::WEBHOOK_SECRET_ID;
use flexorch_s3_ingester::model::arn::{SecretArn, region_of};

/// Where the webhook delivers to, and what signs it.
#[derive(Debug)]
pub(super) struct Delivery {
    /// The outcomes function's URL; `None`: it has none.
    url: Result<Option<FunctionUrl>, AwsFailure>,
    /// The stored signing secret; `None`: the function is set to take no webhooks, and refuses each.
    signing: Option<Signing>,
}

/// A function's URL.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FunctionUrl {
    url: String,
    /// Whether a caller needs no AWS credentials, which FlexOrch does not have.
    is_open: bool,
}

/// The secret with the signing secret.
#[derive(Debug)]
struct Signing {
    /// Its name or ARN, as the function names it.
    id: String,
    /// Its ARN, if it could be read.
    arn: Option<String>,
    stored: Result<Stored, AwsFailure>,
}

/// The stored signing secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stored {
    /// There is no secret in Secrets Manager.
    Absent,
    /// What is stored cannot hold a signing secret, for this reason.
    Malformed(String),
    /// A signing secret is not stored yet.
    Empty,
    /// It is, and these webhooks are known to sign with it.
    Signing(Vec<String>),
}

/// What the check needs apart from the delivery.
#[derive(Debug, Clone, Copy)]
pub(super) struct WebhookContext<'a> {
    pub(super) outcomes: &'a Function,
    pub(super) ingester: &'a str,
    /// The connector's secret, whose API key lists the webhooks.
    pub(super) secret: &'a str,
    pub(super) webhooks: &'a WebhookFacts,
    /// Builds commands for the function's region.
    pub(super) commands: &'a Commands,
}

impl Delivery {
    /// Reads the function's URL and the signing secret.
    pub(super) async fn read(aws: &Aws<'_>, secrets: &SecretStore, outcomes: &Outcomes) -> Self {
        let function = &outcomes.function;
        let request = aws.lambda(function.region()).get_function_url_config().function_name(&function.name).send();
        let url = aws.call_optional("lambda:GetFunctionUrlConfig", &function.arn, request);
        let signing = async {
            let id = outcomes.webhook_secret()?;
            let read = aws.within_time("secretsmanager:GetSecretValue", id, secrets.read(id)).await;
            Some(Signing::of(id, read.unwrap_or_else(|failure| Err(failure.into()))))
        };
        let (url, signing) = tokio::join!(url, signing);
        let open = |found: GetFunctionUrlConfigOutput| {
            let is_open = found.auth_type == FunctionUrlAuthType::None;
            FunctionUrl { url: found.function_url, is_open }
        };
        Self { url: url.map(|found| found.map(open)), signing }
    }

    /// Returns the ARN of the secret with the signing secret, if it is known.
    pub(super) fn secret_arn(&self) -> Option<&str> {
        self.signing.as_ref()?.arn.as_deref()
    }

    /// Checks it.
    pub(super) fn check(&self, context: WebhookContext<'_>) -> Result<Check, Unknown> {
        let url = self.url.as_ref().map_err(|failure| Unknown::because(failure, context.commands))?;
        match &self.signing {
            None => context.unused(url.as_ref()),
            Some(signing) => context.used(url.as_ref(), signing),
        }
    }
}

impl Signing {
    fn of(id: &str, read: Result<SecretDocument, ReadError>) -> Self {
        let arn = read.as_ref().ok().map(|document| document.arn.clone());
        let stored = match read.map(|document| signing_fields(&document)) {
            Err(ReadError::Aws(failure)) => Err(failure),
            Err(ReadError::Absent { .. }) => Ok(Stored::Absent),
            Err(ReadError::Binary(_)) => Ok(Stored::Malformed("it is binary".to_owned())),
            Err(ReadError::NotAnObject { .. }) => Ok(Stored::Malformed("it is not a JSON object".to_owned())),
            Ok(Err(_)) => Ok(Stored::Malformed("its `signing_secret` is not text".to_owned())),
            Ok(Ok(None)) => Ok(Stored::Empty),
            Ok(Ok(Some(webhooks))) => Ok(Stored::Signing(webhooks)),
        };
        Self { id: id.to_owned(), arn, stored }
    }
}

impl WebhookContext<'_> {
    /// Checks a function that refuses every webhook: FlexOrch should have none that delivers to it.
    fn unused(&self, url: Option<&FunctionUrl>) -> Result<Check, Unknown> {
        let unused = "not used (optional; template parameter FlexOrchWebhook): the sweep finds how each job ended";
        let Some(url) = url.and_then(|url| Url::parse(&url.url).ok()) else {
            return Ok(Check::well(name::WEBHOOK, unused));
        };
        let Some(registered) = self.registered()? else {
            return Ok(Check::skipped(name::WEBHOOK, "FlexOrch was not asked"));
        };
        let Some(webhook) = registered.iter().find(|webhook| webhook.active && webhook.delivers_to(&url)) else {
            return Ok(Check::well(name::WEBHOOK, unused));
        };
        let function = &self.outcomes.name;
        let found = format!(
            "FlexOrch delivers to {function} ({}), which refuses every delivery with 401: its {WEBHOOK_SECRET_ID} is not set",
            webhook.id
        );
        let action = format!(
            "set {WEBHOOK_SECRET_ID} again (deploy the template with FlexOrchWebhook=true), or delete the webhook; the sweep finds how jobs \
             ended"
        );
        let delete =
            self.commands.own(format_args!("webhook delete {} --secret {}", quoted(&webhook.id), quoted(self.secret)));
        Ok(Check::warning(name::WEBHOOK, found, Fix::new(action, delete)))
    }

    /// Checks a function that takes webhooks.
    fn used(&self, url: Option<&FunctionUrl>, signing: &Signing) -> Result<Check, Unknown> {
        let function = &self.outcomes.name;
        let parsed = url.and_then(|url| Some((Url::parse(&url.url).ok()?, url.is_open)));
        let Some((url, is_open)) = parsed else {
            let show =
                self.commands.aws(format_args!("lambda get-function-url-config --function-name {}", quoted(function)));
            let fix = Fix::new("deploy the template with FlexOrchWebhook=true (`sam deploy`); to show the URL", show);
            let found = format!("{function} has no URL that FlexOrch could deliver to");
            return Ok(Check::failed(name::WEBHOOK, found, fix));
        };
        if !is_open {
            let open = self.commands.aws(format_args!(
                "lambda update-function-url-config --function-name {} --auth-type NONE",
                quoted(function)
            ));
            let action = "let everyone call it: the function verifies FlexOrch's signature. Its policy must allow everyone \
                          lambda:InvokeFunctionUrl, as the template's does";
            return Ok(Check::failed(
                name::WEBHOOK,
                format!(
                    "FlexOrch cannot call the URL of {function}: its AuthType is AWS_IAM, and FlexOrch signs no requests to AWS"
                ),
                Fix::new(self.outcomes.owner.advice(action, None), open),
            ));
        }
        let signed = match signing.stored.as_ref().map_err(|failure| Unknown::because(failure, self.commands))? {
            Stored::Signing(webhooks) => webhooks,
            missing => {
                let (why, fix) = self.store(&signing.id, missing);
                let found = format!("{} holds no signing secret ({why}): every delivery is refused", signing.id);
                return Ok(Check::failed(name::WEBHOOK, found, fix));
            }
        };
        let Some(webhooks) = self.registered()? else {
            return Ok(Check::skipped(name::WEBHOOK, "FlexOrch was not asked"));
        };
        let same: Vec<_> = webhooks.iter().filter(|webhook| webhook.delivers_to(&url)).collect();
        if let Some(webhook) = same.iter().find(|webhook| webhook.reports_jobs() && signed.contains(&webhook.id)) {
            let found = format!("{} delivers to {function}, its signing secret is stored", webhook.id);
            return Ok(Check::well(name::WEBHOOK, found));
        }
        let create = Fix::new("register it; the command is safe to repeat", self.create());
        Ok(match same.first() {
            None => Check::failed(
                name::WEBHOOK,
                format!(
                    "FlexOrch has no webhook with the URL of {function} for this API key: only the sweep finds how jobs ended"
                ),
                create,
            ),
            Some(webhook) if !webhook.reports_jobs() => Check::failed(
                name::WEBHOOK,
                format!("{} is disabled, or does not report how every job ended", webhook.id),
                create,
            ),
            Some(webhook) => Check::warning(
                name::WEBHOOK,
                format!(
                    "{} delivers to {function}, but the stored signing secret is not known to be its own",
                    webhook.id
                ),
                create,
            ),
        })
    }

    /// Returns the webhooks of the API key; `None`: FlexOrch was not asked.
    fn registered(&self) -> Result<Option<&[Webhook]>, Unknown> {
        match &self.webhooks.registered {
            None => Ok(None),
            Some(Ok(webhooks)) => Ok(Some(webhooks)),
            Some(Err(error)) => {
                let list = self.commands.own(format_args!("webhook list --secret {}", quoted(self.secret)));
                Err(Unknown::new(error.without_hint(), Fix::new(error.hint(), list)))
            }
        }
    }

    fn create(&self) -> String {
        let (function, secret) = (quoted(self.ingester), quoted(self.secret));
        self.commands.own(format_args!("webhook create --function {function} --secret {secret}"))
    }

    /// Returns why there is no signing secret, and how to store one. `webhook create` needs a secret that is a JSON object.
    fn store(&self, id: &str, missing: &Stored) -> (String, Fix) {
        let commands = region_of(id).map_or_else(|| self.commands.clone(), |region| self.commands.in_region(region));
        match missing {
            Stored::Absent => {
                let arn = SecretArn::parse(id).ok();
                let name = arn.as_ref().map_or(id, |arn| arn.name);
                let create = commands
                    .aws(format_args!("secretsmanager create-secret --name {} --secret-string '{{}}'", quoted(name)));
                // A secret that is created again has another ARN, but the same without its last part.
                let set = arn.map_or_else(String::new, |arn| {
                    let set = self.commands.set_variable(&self.outcomes.name, WEBHOOK_SECRET_ID, arn.partial);
                    format!("{set} && ")
                });
                let action = "create it (the stack's output WebhookSecretArn names the template's), then register the webhook again";
                let command = format!("{create} && {set}{}", self.create());
                ("there is no such secret".to_owned(), Fix::new(self.outcomes.owner.advice(action, None), command))
            }
            Stored::Malformed(why) => {
                let empty = commands.aws(format_args!(
                    "secretsmanager put-secret-value --secret-id {} --secret-string '{{}}'",
                    quoted(id)
                ));
                let action =
                    "replace it, then register the webhook again; its value stays available as version AWSPREVIOUS";
                (why.clone(), Fix::new(action, format!("{empty} && {}", self.create())))
            }
            Stored::Empty | Stored::Signing(_) => (
                "it has no `signing_secret`".to_owned(),
                Fix::new("register the webhook, which stores it; the command is safe to repeat", self.create()),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Status;
    use crate::management::JOB_EVENTS;

    fn check(stored: Option<Stored>, url: Option<(&str, bool)>, registered: &[(&str, &str, bool)]) -> Check {
        let webhooks = registered.iter().map(|(id, url, active)| Webhook {
            id: (*id).into(),
            url: (*url).into(),
            events: JOB_EVENTS.map(str::to_owned).to_vec(),
            active: *active,
            created_at: None,
            export: None,
        });
        let webhooks = WebhookFacts { registered: Some(Ok(webhooks.collect())), ..WebhookFacts::default() };
        let delivery = Delivery {
            url: Ok(url.map(|(url, is_open)| FunctionUrl { url: url.to_owned(), is_open })),
            signing: stored.map(|stored| Signing { id: "webhook".into(), arn: None, stored: Ok(stored) }),
        };
        let context = WebhookContext {
            outcomes: &Function::with_settings(&[]),
            ingester: "ingest",
            secret: "docs",
            webhooks: &webhooks,
            commands: &Commands::default(),
        };
        Check::decided(name::WEBHOOK, delivery.check(context))
    }

    #[test]
    fn a_webhook_passes_only_if_it_is_registered_enabled_callable_and_known_to_sign_with_the_stored_secret() {
        let url = "https://x.example/";
        let signed = || Some(Stored::Signing(vec!["wh_1".into()]));
        assert_eq!(check(signed(), Some((url, true)), &[("wh_1", url, true)]).status(), Status::Well);
        assert_eq!(check(signed(), Some((url, true)), &[("wh_2", url, true)]).status(), Status::Warning);
        for broken in [
            check(signed(), Some((url, true)), &[("wh_1", url, false)]),
            check(signed(), Some((url, true)), &[("wh_1", "https://y.example/", true)]),
            check(signed(), Some((url, false)), &[("wh_1", url, true)]),
            check(signed(), None, &[("wh_1", url, true)]),
            check(Some(Stored::Empty), Some((url, true)), &[("wh_1", url, true)]),
        ] {
            assert_eq!(broken.status(), Status::Failed, "{}", broken.found);
        }
    }

    #[test]
    fn without_a_signing_secret_only_a_webhook_that_delivers_is_a_warning() {
        let url = "https://x.example/";
        assert_eq!(check(None, Some((url, true)), &[("wh_1", url, true)]).status(), Status::Warning);
        for unused in [
            check(None, Some((url, true)), &[("wh_1", url, false), ("wh_2", "https://y.example/", true)]),
            check(None, None, &[("wh_1", url, true)]),
        ] {
            assert_eq!(unused.status(), Status::Well, "{}", unused.found);
        }
    }
}
