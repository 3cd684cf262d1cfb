//! Finds and checks the outcomes function: the one with RECORDS_TABLE that reads the receipts queue.

use super::super::aws::Aws;
use super::super::check::{Check, Fix, Unknown};
use super::super::commands::{Commands, quoted};
use super::super::function::{self, Function};
use super::super::mapping::{self, Mapping};
use super::super::name;
use super::super::subject::Subject;
use crate::aws_failure::AwsFailure;
use flexorch_outcomes::config::Config;
use flexorch_outcomes::config::variable::RECORDS_TABLE;
use flexorch_s3_ingester::config::ConfigError;
use flexorch_s3_ingester::model::arn::queue_name;
use flexorch_s3_ingester::model::settings;

/// The outcomes function.
#[derive(Debug)]
pub(super) struct Outcomes {
    pub(super) function: Function,
    pub(super) config: Result<Config, ConfigError>,
}

impl Outcomes {
    /// Finds the function that reads the receipts queue.
    pub(super) async fn find(aws: &Aws<'_>, queue: &str) -> Result<Option<Self>, AwsFailure> {
        for arn in function::fed_by(aws, queue).await? {
            let Some(function) = Function::read(aws, &arn).await? else { continue };
            if function.hidden.is_some() || function.setting(RECORDS_TABLE).is_some() {
                return Ok(Some(Self { config: function.outcomes_config(), function }));
            }
        }
        Ok(None)
    }

    /// Returns its table's name or ARN.
    pub(super) fn table(&self) -> Option<&str> {
        self.function.setting(RECORDS_TABLE)
    }

    /// Returns the secret with the webhook's signing secret, if it takes webhooks.
    pub(super) fn webhook_secret(&self) -> Option<&str> {
        self.config.as_ref().ok()?.webhook_secret_id.as_deref()
    }

    /// Checks its settings, as the function itself does, and whether they fit the connector.
    pub(super) fn settings(&self, subject: &Subject, address: &str, commands: &Commands) -> Check {
        Check::decided(name::OUTCOMES_SETTINGS, self.decide(subject, address, commands))
    }

    fn decide(&self, subject: &Subject, address: &str, commands: &Commands) -> Result<Check, Unknown> {
        let function = &self.function;
        if let Some(hidden) = &function.hidden {
            let command = commands.aws(format_args!(
                "lambda get-function-configuration --function-name {} --query KMSKeyArn",
                quoted(&function.name)
            ));
            let fix = Fix::new("your AWS identity needs kms:Decrypt on the key of its environment", command);
            return Err(Unknown::new(format!("Lambda does not return its settings ({hidden})"), fix));
        }
        let own = subject.secret_arn.as_deref().unwrap_or(&subject.secret);
        let config = match &self.config {
            Ok(config) => config,
            Err(error) => {
                let fix = function.correct(error, subject, address, commands);
                let found = format!("the outcomes function cannot start: {error}");
                return Ok(Check::failed(name::OUTCOMES_SETTINGS, found, fix));
            }
        };
        let named = subject.named_by(config.connector_secret_ids.iter().map(String::as_str));
        if named.map_err(|failure| Unknown::because(failure, commands))?.is_none() {
            let all: Vec<_> = config.connector_secret_ids.iter().map(String::as_str).chain([own]).collect();
            let fix = function.set("add the secret", settings::CONNECTOR_SECRET_IDS, &all.join(","), commands);
            let found = "its CONNECTOR_SECRET_IDS do not name this secret: the sweep does not ask for this connector's open documents";
            return Ok(Check::failed(name::OUTCOMES_SETTINGS, found, fix));
        }
        let asks = config.flexorch_base_url.as_str().trim_end_matches('/');
        if asks != address {
            let fix = function.set("use the same address", settings::FLEXORCH_BASE_URL, address, commands);
            let found = format!("the sweep asks {asks}, and this command {address}");
            return Ok(Check::warning(name::OUTCOMES_SETTINGS, found, fix));
        }
        let days = config.keep_for.as_secs() / (24 * 60 * 60);
        let asked = config.sweep_after.as_secs() / 60;
        let found =
            format!("valid: records are kept {days} days, a sweep asks for documents that are open for {asked} min");
        Ok(Check::well(name::OUTCOMES_SETTINGS, found))
    }
}

/// Returns the check of a function that was not found.
pub(super) fn not_found(queue: &str, failure: Option<&AwsFailure>, commands: &Commands) -> Check {
    if let Some(failure) = failure {
        return Check::could_not_check(name::OUTCOMES, failure, commands);
    }
    let list = format!("lambda list-event-source-mappings --event-source-arn {}", quoted(queue));
    Check::failed(
        name::OUTCOMES,
        format!("no function with {RECORDS_TABLE} reads {}: receipts wait until they expire", queue_name(queue)),
        Fix::new(
            "deploy the template again with Tracking=true (`sam deploy`); to list what reads the queue",
            commands.aws(list),
        ),
    )
}

/// Checks how the function reads the receipts queue.
pub(super) fn batches(
    mappings: Result<Vec<Mapping>, AwsFailure>,
    queue: &str,
    function: &Function,
    commands: &Commands,
) -> Check {
    let mut check = match mappings {
        Err(failure) => Check::could_not_check(name::BATCHES, &failure, commands),
        Ok(mappings) => match mappings.iter().find(|mapping| mapping.queue == queue) {
            Some(mapping) => mapping::batches(mapping, 1, function, commands),
            None => mapping::absent(Some(queue), function, commands),
        },
    };
    check.check = name::OUTCOMES_BATCHES;
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Status;

    fn outcomes(settings: &[(&str, &str)]) -> Outcomes {
        let function = Function::with_settings(&[&[(RECORDS_TABLE, "records")], settings].concat());
        Outcomes { config: function.outcomes_config(), function }
    }

    fn check(settings: &[(&str, &str)], secret: &str) -> Check {
        let subject = Subject { secret: secret.into(), ..Subject::default() };
        outcomes(settings).settings(&subject, "https://api.flexorch.com/v1", &Commands::default())
    }

    #[test]
    fn the_settings_are_checked_as_the_function_checks_them_and_fit_the_connector() {
        assert_eq!(check(&[], "docs").status(), Status::Well);
        let wrong = check(&[("RECORD_DAYS", "0")], "docs");
        assert!(wrong.status() == Status::Failed && wrong.found.contains("RECORD_DAYS"), "{}", wrong.found);
        let other = check(&[], "other");
        assert!(other.status() == Status::Failed && other.command.unwrap().contains("docs,other"));
        assert_eq!(check(&[("FLEXORCH_BASE_URL", "https://other.example/v1")], "docs").status(), Status::Warning);
    }
}
