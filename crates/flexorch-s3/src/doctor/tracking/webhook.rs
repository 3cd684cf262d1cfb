//! Checks whether FlexOrch has the webhook, and whether its signing secret is stored.

use reqwest::Url;

use super::super::aws::{Aws, call_optional, within_time};
use super::super::check::{Check, Fix, Unknown};
use super::super::commands::{Commands, quoted};
use super::super::flexorch::FlexOrchFacts;
use super::super::name;
use super::outcomes::Outcomes;
use crate::aws_failure::AwsFailure;
use crate::connector_secret::{ReadError, SecretStore};
use crate::webhook::signing_fields;

/// Where the webhook delivers to, and what signs it.
#[derive(Debug)]
pub(super) enum Delivery {
    /// The outcomes function takes no webhooks.
    Off,
    /// It does.
    On {
        url: Result<Option<String>, AwsFailure>,
        secret_id: String,
        /// The secret's ARN, if it could be read.
        secret_arn: Option<String>,
        signing: Result<Signing, AwsFailure>,
    },
}

/// The stored signing secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Signing {
    /// It is not stored, for this reason.
    Missing(String),
    /// It is, and these webhooks are known to sign with it.
    Stored(Vec<String>),
}

impl Delivery {
    /// Reads the function's URL and the signing secret.
    pub(super) async fn read(aws: &Aws<'_>, secrets: &SecretStore, outcomes: &Outcomes) -> Self {
        let Some(secret_id) = outcomes.webhook_secret().map(str::to_owned) else { return Self::Off };
        let function = &outcomes.function;
        let request = aws.lambda(function.region()).get_function_url_config().function_name(&function.name).send();
        let url = call_optional("lambda:GetFunctionUrlConfig", &function.arn, request);
        let signing = within_time("secretsmanager:GetSecretValue", &secret_id, secrets.read(&secret_id));
        let (url, signing) = tokio::join!(url, signing);
        let secret_arn = signing.as_ref().ok().and_then(|read| Some(read.as_ref().ok()?.arn.clone()));
        let signing = match signing {
            Err(failure) | Ok(Err(ReadError::Aws(failure))) => Err(failure),
            Ok(Ok(document)) => Ok(match signing_fields(&document) {
                Some(webhooks) => Signing::Stored(webhooks),
                None => Signing::Missing("it is empty".to_owned()),
            }),
            Ok(Err(error)) => Ok(Signing::Missing(error.to_string())),
        };
        let url = url.map(|found| found.map(|found| found.function_url));
        Self::On { url, secret_id, secret_arn, signing }
    }

    /// Returns the ARN of the secret with the signing secret, if it is known.
    pub(super) fn secret_arn(&self) -> Option<&str> {
        match self {
            Self::Off => None,
            Self::On { secret_arn, .. } => secret_arn.as_deref(),
        }
    }

    /// Checks it, for the outcomes function of this name. `create` registers the webhook.
    pub(super) fn check(
        &self,
        function: &str,
        flexorch: &FlexOrchFacts,
        create: Fix,
        commands: &Commands,
    ) -> Result<Check, Unknown> {
        let (url, secret_id, signing) = match self {
            Self::Off => {
                let found =
                    "not used (optional; template parameter FlexOrchWebhook): the sweep finds how each job ended";
                return Ok(Check::well(name::WEBHOOK, found));
            }
            Self::On { url, secret_id, signing, .. } => (url, secret_id, signing),
        };
        let url = url.as_ref().map_err(|failure| Unknown::because(failure, commands))?;
        let Some(url) = url.as_deref().and_then(|url| Url::parse(url).ok()) else {
            let show =
                commands.aws(format_args!("lambda get-function-url-config --function-name {}", quoted(function)));
            let fix = Fix::new("deploy the template with FlexOrchWebhook=true (`sam deploy`); to show the URL", show);
            return Ok(Check::failed(
                name::WEBHOOK,
                format!("{function} has no URL that FlexOrch could deliver to"),
                fix,
            ));
        };
        let signed = match signing.as_ref().map_err(|failure| Unknown::because(failure, commands))? {
            Signing::Stored(webhooks) => webhooks,
            Signing::Missing(why) => {
                let found = format!("no signing secret in {secret_id} ({why}): every delivery is refused");
                return Ok(Check::failed(name::WEBHOOK, found, create));
            }
        };
        let webhooks = match &flexorch.webhooks {
            None => return Ok(Check::skipped(name::WEBHOOK, "FlexOrch was not asked")),
            Some(Err(error)) => {
                let list = commands.own(format_args!("webhook list --function {}", quoted(function)));
                return Err(Unknown::new(error.without_hint(), Fix::new(error.hint(), list)));
            }
            Some(Ok(webhooks)) => webhooks,
        };
        let same: Vec<_> = webhooks.iter().filter(|webhook| webhook.delivers_to(&url)).collect();
        if let Some(webhook) = same.iter().find(|webhook| webhook.reports_jobs() && signed.contains(&webhook.id)) {
            return Ok(Check::well(
                name::WEBHOOK,
                format!("{} delivers to {function}, its signing secret is stored", webhook.id),
            ));
        }
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Status;
    use crate::management::{JOB_EVENTS, Webhook};

    fn check(signing: Signing, url: Option<&str>, registered: &[(&str, &str, bool)]) -> Check {
        let webhooks = registered.iter().map(|(id, url, active)| Webhook {
            id: (*id).into(),
            url: (*url).into(),
            events: JOB_EVENTS.map(str::to_owned).to_vec(),
            active: *active,
            created_at: None,
            export: None,
        });
        let facts = FlexOrchFacts { webhooks: Some(Ok(webhooks.collect())), ..FlexOrchFacts::default() };
        let delivery = Delivery::On {
            url: Ok(url.map(str::to_owned)),
            secret_id: "webhook".into(),
            secret_arn: None,
            signing: Ok(signing),
        };
        let create = Fix::new("register it", "flexorch-s3 webhook create");
        Check::decided(name::WEBHOOK, delivery.check("outcomes", &facts, create, &Commands::default()))
    }

    #[test]
    fn a_webhook_passes_only_if_it_is_registered_enabled_and_known_to_sign_with_the_stored_secret() {
        let url = "https://x.example/";
        let signed = || Signing::Stored(vec!["wh_1".into()]);
        assert_eq!(check(signed(), Some(url), &[("wh_1", url, true)]).status(), Status::Well);
        assert_eq!(check(signed(), Some(url), &[("wh_2", url, true)]).status(), Status::Warning);
        for broken in [
            check(signed(), Some(url), &[("wh_1", url, false)]),
            check(signed(), Some(url), &[("wh_1", "https://y.example/", true)]),
            check(signed(), None, &[("wh_1", url, true)]),
            check(Signing::Missing("it is empty".into()), Some(url), &[("wh_1", url, true)]),
        ] {
            assert_eq!(broken.status(), Status::Failed, "{}", broken.found);
        }
    }
}
