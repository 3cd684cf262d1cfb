//! Finds and reads the function, and checks whether it can run.

use std::collections::HashMap;

use aws_sdk_lambda::types::{FunctionConfiguration, LastUpdateStatus, State};

use super::aws::Aws;
use super::check::{Check, Fix};
use super::commands::{Commands, quoted};
use super::name;
use super::subject::Subject;
use crate::aws_failure::AwsFailure;
use crate::stack::{Owner, parameter_of};
use flexorch_s3_ingester::config::{Config, ConfigError};
use flexorch_s3_ingester::model::arn::{FunctionArn, region_of};
use flexorch_s3_ingester::model::settings;

/// The function's configuration in Lambda.
#[derive(Debug, Clone, Default)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Its ARN without a version or alias.
    pub(crate) arn: String,
    /// The ARN of its role.
    pub(crate) role: String,
    /// Its timeout in seconds.
    pub(crate) timeout: u32,
    memory: u32,
    runtime: String,
    state: Option<State>,
    state_reason: Option<String>,
    update: Option<LastUpdateStatus>,
    update_reason: Option<String>,
    variables: HashMap<String, String>,
    /// Why Lambda does not return the variables.
    pub(crate) hidden: Option<String>,
    reserved: Option<i32>,
    /// The stack that it belongs to, if any.
    pub(crate) owner: Owner,
}

impl Function {
    /// Reads a function by its name or ARN. Returns `None` if it does not exist.
    pub(crate) async fn read(aws: &Aws<'_>, name: &str) -> Result<Option<Self>, AwsFailure> {
        let request = aws.lambda(region_of(name)).get_function().function_name(name).send();
        let Some(answer) = aws.call_optional("lambda:GetFunction", name, request).await? else { return Ok(None) };
        let reserved = answer.concurrency().and_then(|concurrency| concurrency.reserved_concurrent_executions());
        let tags = answer.tags.filter(|tags| !tags.is_empty());
        let Some(found) = answer.configuration else { return Ok(None) };
        let arn = unqualified(found.function_arn().unwrap_or_default()).to_owned();
        let owner = match &tags {
            Some(tags) => Owner::of(tags),
            // Lambda returns tags here only to callers that may list them.
            None => tags_owner(aws, &arn).await,
        };
        let hidden = found.environment().and_then(|environment| environment.error()).map(|error| {
            format!("{}: {}", error.error_code().unwrap_or("error"), error.message().unwrap_or("no message"))
        });
        let number = |number: Option<i32>| number.and_then(|number| u32::try_from(number).ok()).unwrap_or_default();
        Ok(Some(Self {
            name: found.function_name.unwrap_or_else(|| name.to_owned()),
            arn,
            role: found.role.unwrap_or_default(),
            timeout: number(found.timeout),
            memory: number(found.memory_size),
            runtime: found.runtime.map_or_else(|| "image".to_owned(), |runtime| runtime.as_str().to_owned()),
            state: found.state,
            state_reason: found.state_reason,
            update: found.last_update_status,
            update_reason: found.last_update_status_reason,
            variables: found.environment.and_then(|environment| environment.variables).unwrap_or_default(),
            hidden,
            reserved,
            owner,
        }))
    }

    /// Creates a function with one connector and these settings.
    #[cfg(test)]
    pub(crate) fn with_settings(settings: &[(&str, &str)]) -> Self {
        let settings = [(settings::CONNECTOR_SECRET_IDS, "docs")].iter().chain(settings);
        let variables = settings.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self {
            name: "f".into(),
            arn: "arn:aws:lambda:eu-west-1:123456789012:function:f".into(),
            timeout: 30,
            state: Some(State::Active),
            variables,
            ..Self::default()
        }
    }

    pub(crate) fn region(&self) -> Option<&str> {
        region_of(&self.arn)
    }

    /// Returns whether an ARN, with or without a version or alias, is this function's.
    pub(crate) fn is(&self, arn: &str) -> bool {
        unqualified(arn) == self.arn
    }

    /// Returns a setting, unless it is empty.
    pub(crate) fn setting(&self, variable: &str) -> Option<&str> {
        self.variables.get(variable).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// Returns the secrets that `CONNECTOR_SECRET_IDS` names.
    pub(crate) fn secret_ids(&self) -> Vec<&str> {
        let ids = self.setting(settings::CONNECTOR_SECRET_IDS).unwrap_or_default().split(',').map(str::trim);
        ids.filter(|id| !id.is_empty()).collect()
    }

    /// Returns the fix that sets one variable: now, and for the next deployment.
    pub(crate) fn set(&self, action: &str, variable: &str, value: &str, commands: &Commands) -> Fix {
        let action = self.owner.advice(action, parameter_of(variable));
        Fix::new(action, commands.set_variable(&self.name, variable, value))
    }

    /// Returns the fix of a setting that the function cannot parse.
    pub(crate) fn correct(&self, error: &ConfigError, subject: &Subject, address: &str, commands: &Commands) -> Fix {
        let value = match error.variable {
            settings::RECEIPTS_QUEUE_URL => return self.set_receipts_queue(commands),
            settings::CONNECTOR_SECRET_IDS => subject.secret_arn.as_deref().unwrap_or(&subject.secret),
            settings::FLEXORCH_BASE_URL => address,
            // Empty is the default.
            _ => "",
        };
        self.set("correct it", error.variable, value, commands)
    }

    /// Returns the fix of an invalid receipts queue. Its command changes nothing: an empty setting would switch tracking off.
    pub(crate) fn set_receipts_queue(&self, commands: &Commands) -> Fix {
        let variable = settings::RECEIPTS_QUEUE_URL;
        match self.owner.stack() {
            Some(stack) => Fix::new(
                format!(
                    "set {variable} to the stack's output ReceiptsQueueUrl, as `sam deploy` with Tracking=true does (removing it would switch \
                     tracking off); to show the output"
                ),
                commands.aws(format_args!(
                    "cloudformation describe-stacks --stack-name {} --query \"Stacks[0].Outputs[?OutputKey=='ReceiptsQueueUrl'].OutputValue\" \
                     --output text",
                    quoted(stack)
                )),
            ),
            None => Fix::new(
                format!(
                    "set {variable} to the URL of the standard queue that the outcomes function reads (removing it would switch tracking \
                     off); to list the queues"
                ),
                commands.aws("sqs list-queues"),
            ),
        }
    }

    /// Parses the settings as the function does.
    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        Config::from_lookup(|variable| Ok(self.variables.get(variable).cloned()))
    }

    /// Parses the settings as the outcomes function does.
    pub(crate) fn outcomes_config(&self) -> Result<flexorch_outcomes::config::Config, ConfigError> {
        flexorch_outcomes::config::Config::from_lookup(|variable| Ok(self.variables.get(variable).cloned()))
    }

    /// Builds a command that shows its log.
    pub(crate) fn log_command(&self, commands: &Commands) -> String {
        commands.aws(format_args!(
            "logs tail \"$({})\" --since 1h",
            commands.aws(format_args!(
                "lambda get-function-configuration --function-name {} --query LoggingConfig.LogGroup --output text",
                quoted(&self.name)
            ))
        ))
    }
}

/// Returns a function's ARN without a version or alias.
pub(crate) fn unqualified(arn: &str) -> &str {
    FunctionArn::parse(arn).map_or(arn, |parsed| parsed.unqualified)
}

pub(crate) async fn policy(aws: &Aws<'_>, function: &Function) -> Result<Option<String>, AwsFailure> {
    let request = aws.lambda(function.region()).get_policy().function_name(&function.name).send();
    Ok(aws.call_optional("lambda:GetPolicy", &function.arn, request).await?.and_then(|answer| answer.policy))
}

/// Reads the on-failure destination, if there is one.
pub(crate) async fn on_failure(aws: &Aws<'_>, function: &Function) -> Result<Option<String>, AwsFailure> {
    // Templates set it for `$LATEST`, which an ARN without a version stands for.
    for qualifier in [None, Some("$LATEST")] {
        let request = aws.lambda(function.region()).get_function_event_invoke_config().function_name(&function.name);
        let request = request.set_qualifier(qualifier.map(str::to_owned)).send();
        let answer = aws.call_optional("lambda:GetFunctionEventInvokeConfig", &function.arn, request).await?;
        if let Some(found) = answer {
            return Ok(found.destination_config.and_then(|config| config.on_failure?.destination));
        }
    }
    Ok(None)
}

async fn tags_owner(aws: &Aws<'_>, arn: &str) -> Owner {
    let request = aws.lambda(region_of(arn)).list_tags().resource(arn).send();
    let answer = aws.call("lambda:ListTags", arn, request).await;
    answer.map_or(Owner::Unknown, |answer| answer.tags().map_or(Owner::NoStack, Owner::of))
}

/// Finds the functions that read a queue, by their ARNs.
pub(crate) async fn fed_by(aws: &Aws<'_>, queue_arn: &str) -> Result<Vec<String>, AwsFailure> {
    let request = aws.lambda(region_of(queue_arn)).list_event_source_mappings().event_source_arn(queue_arn);
    let mappings = request.into_paginator().items().send().collect::<Result<Vec<_>, _>>();
    let mappings = aws.call("lambda:ListEventSourceMappings", queue_arn, mappings).await?;
    Ok(mappings.into_iter().filter_map(|mapping| mapping.function_arn).collect())
}

/// Finds the functions of a region whose `CONNECTOR_SECRET_IDS` names the secret, by their ARNs.
pub(crate) async fn that_name(aws: &Aws<'_>, subject: &Subject, region: &str) -> Result<Vec<String>, AwsFailure> {
    let request = aws.lambda(Some(region)).list_functions();
    let functions = request.into_paginator().items().send().collect::<Result<Vec<_>, _>>();
    let functions = aws.call("lambda:ListFunctions", &format!("the functions of {region}"), functions).await?;
    let names_it = |found: &FunctionConfiguration| {
        let variables = found.environment().and_then(|environment| environment.variables());
        let ids = variables.and_then(|variables| variables.get(settings::CONNECTOR_SECRET_IDS))?;
        subject.named_by(ids.split(',').map(str::trim)).ok().flatten()?;
        found.function_arn().map(|arn| unqualified(arn).to_owned())
    };
    Ok(functions.iter().filter_map(names_it).collect())
}

/// Checks whether the function can run.
pub(crate) fn state(function: &Function, how_found: &str, commands: &Commands) -> Check {
    let Function { name: function_name, timeout, memory, runtime, .. } = function;
    let because = |reason: &Option<String>| reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    let wait =
        |waiter: &str| commands.aws(format_args!("lambda wait {waiter} --function-name {}", quoted(function_name)));
    let see = commands.aws(format_args!("lambda get-function-configuration --function-name {}", quoted(function_name)));
    if function.reserved == Some(0) {
        return Check::failed(
            name::FUNCTION,
            format!("{function_name}{how_found} cannot run: its reserved concurrency is 0"),
            Fix::new(
                function.owner.advice("remove the limit", Some("ReservedConcurrency")),
                commands
                    .aws(format_args!("lambda delete-function-concurrency --function-name {}", quoted(function_name))),
            ),
        );
    }
    match (&function.state, &function.update) {
        (Some(State::Failed), _) => {
            let found = format!("{function_name}{how_found} is in the state Failed{}", because(&function.state_reason));
            Check::failed(name::FUNCTION, found, Fix::new("deploy it again: `sam build && sam deploy`", see))
        }
        (_, Some(LastUpdateStatus::Failed)) => {
            let found =
                format!("{function_name}{how_found}: its last update failed{}", because(&function.update_reason));
            Check::failed(name::FUNCTION, found, Fix::new("deploy it again: `sam build && sam deploy`", see))
        }
        (Some(State::Pending), _) => Check::warning(
            name::FUNCTION,
            format!("{function_name}{how_found} is being created"),
            Fix::new("wait until it is active", wait("function-active-v2")),
        ),
        (_, Some(LastUpdateStatus::InProgress)) => Check::warning(
            name::FUNCTION,
            format!("{function_name}{how_found} is being updated"),
            Fix::new("wait until it is updated", wait("function-updated-v2")),
        ),
        (state, _) => {
            let state = state.as_ref().map_or("exists", State::as_str);
            let reserved = function.reserved.map(|most| format!(", at most {most} concurrently")).unwrap_or_default();
            Check::well(
                name::FUNCTION,
                format!("{function_name}{how_found}: {state}, {runtime}, {memory} MB, {timeout} s{reserved}"),
            )
        }
    }
}

/// Returns the fix if there is no such function, or none was named.
pub(crate) fn unnamed(commands: &Commands, secret: &str) -> Fix {
    let list = "lambda list-functions --query 'Functions[?Environment.Variables.CONNECTOR_SECRET_IDS].FunctionName' --output text";
    let again = commands.own(format_args!("doctor --secret {} --function NAME", quoted(secret)));
    Fix::new(
        format!("name it (output FunctionName of the stack): {again}; to list functions that have connectors"),
        commands.aws(list),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Status;

    #[test]
    fn a_function_that_cannot_run_fails() {
        let look = |function: &Function| state(function, "", &Commands::default());
        let mut off = Function::with_settings(&[]);
        assert_eq!(look(&off).status(), Status::Well);
        off.reserved = Some(0);
        assert!(look(&off).command.unwrap().contains("delete-function-concurrency"));
        let mut failed = Function::with_settings(&[]);
        failed.update = Some(LastUpdateStatus::Failed);
        assert_eq!(look(&failed).status(), Status::Failed);
    }

    #[test]
    fn an_alias_is_the_same_function() {
        let function = Function::with_settings(&[]);
        assert!(function.is("arn:aws:lambda:eu-west-1:123456789012:function:f:live"));
        assert!(!function.is("arn:aws:lambda:eu-west-1:123456789012:function:f2"));
    }
}
