//! Reads and checks the function: does it run, and do its settings match the connector?

use std::collections::HashMap;

use aws_sdk_lambda::types::{FunctionConfiguration, LastUpdateStatus, State};

use super::aws::{Aws, call, call_optional};
use super::check::{Check, Fix, Unknown, skipped};
use super::commands::{Commands, quoted};
use super::coverage::Coverage;
use super::name;
use super::subject::Subject;
use crate::aws_failure::AwsFailure;
use crate::stack::{Owner, parameter_of};
use flexorch_s3_ingester::config::{Config, DEFAULT_BASE_URL};
use flexorch_s3_ingester::model::arn::{FunctionArn, region_of};

/// The function's configuration in Lambda.
#[derive(Debug, Clone, Default)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Its ARN without a version or alias.
    pub(crate) arn: String,
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
    hidden: Option<String>,
    reserved: Option<i32>,
    /// The stack that it belongs to, if any.
    pub(crate) owner: Owner,
}

impl Function {
    /// Reads a function by its name or ARN. Returns `None` if it does not exist.
    pub(crate) async fn read(aws: &Aws<'_>, name: &str) -> Result<Option<Self>, AwsFailure> {
        let request = aws.lambda(region_of(name)).get_function().function_name(name).send();
        let Some(answer) = call_optional("lambda:GetFunction", name, request).await? else { return Ok(None) };
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
        let settings = [("CONNECTOR_SECRET_IDS", "docs")].iter().chain(settings);
        let variables = settings.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { name: "f".into(), variables, ..Self::default() }
    }

    /// Returns its region.
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
        let ids = self.setting("CONNECTOR_SECRET_IDS").unwrap_or_default().split(',').map(str::trim);
        ids.filter(|id| !id.is_empty()).collect()
    }

    /// Returns the fix that sets one variable: now, and for the next deployment.
    pub(crate) fn set(&self, action: &str, variable: &str, value: &str, commands: &Commands) -> Fix {
        let action = self.owner.advice(action, parameter_of(variable));
        Fix::new(action, commands.set_variable(&self.name, variable, value))
    }

    /// Parses the settings as the function does.
    pub(crate) fn config(&self) -> Result<Config, flexorch_s3_ingester::config::ConfigError> {
        Config::from_lookup(|variable| Ok(self.variables.get(variable).cloned()))
    }
}

/// Returns a function's ARN without a version or alias.
fn unqualified(arn: &str) -> &str {
    FunctionArn::parse(arn).map_or(arn, |parsed| parsed.unqualified)
}

/// Reads the function's policy, if it has one.
pub(crate) async fn policy(aws: &Aws<'_>, function: &Function) -> Result<Option<String>, AwsFailure> {
    let request = aws.lambda(function.region()).get_policy().function_name(&function.name).send();
    Ok(call_optional("lambda:GetPolicy", &function.arn, request).await?.and_then(|answer| answer.policy))
}

/// Reads the on-failure destination, if there is one.
pub(crate) async fn on_failure(aws: &Aws<'_>, function: &Function) -> Result<Option<String>, AwsFailure> {
    // Templates set it for `$LATEST`, which an ARN without a version stands for.
    for qualifier in [None, Some("$LATEST")] {
        let request = aws.lambda(function.region()).get_function_event_invoke_config().function_name(&function.name);
        let request = request.set_qualifier(qualifier.map(str::to_owned)).send();
        let answer = call_optional("lambda:GetFunctionEventInvokeConfig", &function.arn, request).await?;
        if let Some(found) = answer {
            return Ok(found.destination_config.and_then(|config| config.on_failure?.destination));
        }
    }
    Ok(None)
}

/// Reads a function's owner from its tags.
async fn tags_owner(aws: &Aws<'_>, arn: &str) -> Owner {
    let request = aws.lambda(region_of(arn)).list_tags().resource(arn).send();
    let answer = call("lambda:ListTags", arn, request).await;
    answer.map_or(Owner::Unknown, |answer| answer.tags().map_or(Owner::NoStack, Owner::of))
}

/// Finds the functions that read a queue, by their ARNs.
pub(crate) async fn fed_by(aws: &Aws<'_>, queue_arn: &str) -> Result<Vec<String>, AwsFailure> {
    let request = aws.lambda(region_of(queue_arn)).list_event_source_mappings().event_source_arn(queue_arn);
    let mappings = request.into_paginator().items().send().collect::<Result<Vec<_>, _>>();
    let mappings = call("lambda:ListEventSourceMappings", queue_arn, mappings).await?;
    Ok(mappings.into_iter().filter_map(|mapping| mapping.function_arn).collect())
}

/// Finds the functions of a region whose `CONNECTOR_SECRET_IDS` names the secret, by their ARNs.
pub(crate) async fn that_name(aws: &Aws<'_>, subject: &Subject, region: &str) -> Result<Vec<String>, AwsFailure> {
    let request = aws.lambda(Some(region)).list_functions();
    let functions = request.into_paginator().items().send().collect::<Result<Vec<_>, _>>();
    let functions = call("lambda:ListFunctions", &format!("the functions of {region}"), functions).await?;
    let names_it = |found: &FunctionConfiguration| {
        let variables = found.environment().and_then(|environment| environment.variables());
        let ids = variables.and_then(|variables| variables.get("CONNECTOR_SECRET_IDS"))?;
        subject.named_by(ids.split(',').map(str::trim)).ok().flatten()?;
        found.function_arn().map(|arn| unqualified(arn).to_owned())
    };
    Ok(functions.iter().filter_map(names_it).collect())
}

/// Checks the function and its settings.
pub(crate) fn checks(
    function: &Function,
    how_found: &str,
    subject: &Subject,
    address: &str,
    commands: &Commands,
) -> Vec<Check> {
    let mut checks = vec![state(function, how_found, commands)];
    if let Some(reason) = &function.hidden {
        let next = Fix::new(
            "your AWS identity needs kms:Decrypt on the key of the function's environment",
            commands.aws("sts get-caller-identity"),
        );
        checks
            .push(Check::unknown(name::SETTINGS, Unknown::new(format!("Lambda does not return them: {reason}"), next)));
        checks
            .extend(skipped(&name::OF_SETTINGS, "could not be checked without kms:Decrypt: the settings are unknown"));
        return checks;
    }
    match function.config() {
        Ok(config) => {
            checks.push(Check::well(name::SETTINGS, "valid"));
            checks.extend([
                Check::decided(name::FUNCTION_SECRET, names_secret(function, &config, subject, commands)),
                address_check(function, &config, address, commands),
                filters(function, &config, subject, commands),
                time(function, &config, commands),
            ]);
        }
        Err(error) => {
            let value = match error.variable {
                "CONNECTOR_SECRET_IDS" => subject.secret_arn.as_deref().unwrap_or(&subject.secret),
                "FLEXORCH_BASE_URL" => address,
                // Empty is the default.
                _ => "",
            };
            let next = function.set("correct it", error.variable, value, commands);
            checks.push(Check::failed(name::SETTINGS, format!("the function cannot start: {error}"), next));
            checks.extend(skipped(&name::OF_SETTINGS, "the settings are invalid"));
        }
    }
    checks
}

fn state(function: &Function, how_found: &str, commands: &Commands) -> Check {
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

fn names_secret(
    function: &Function,
    config: &Config,
    subject: &Subject,
    commands: &Commands,
) -> Result<Check, Unknown> {
    let ids = &config.connector_secret_ids;
    let named = subject.named_by(ids.iter().map(String::as_str));
    let Some(entry) = named.map_err(|failure| Unknown::because(failure, commands))? else {
        let others = ids.join(", ");
        if subject.secret_arn.is_none() {
            let found = format!("there is no connector to look for; CONNECTOR_SECRET_IDS names {others}");
            return Ok(Check::skipped(name::FUNCTION_SECRET, found));
        }
        let mut all = ids.clone();
        all.push(subject.secret_arn.clone().unwrap_or_else(|| subject.secret.clone()));
        return Ok(Check::failed(
            name::FUNCTION_SECRET,
            format!("CONNECTOR_SECRET_IDS names {others}, not this secret"),
            function.set(
                "name it, if the function's role may read it",
                "CONNECTOR_SECRET_IDS",
                &all.join(","),
                commands,
            ),
        ));
    };
    let secret_region = subject.secret_arn.as_deref().and_then(region_of);
    Ok(match (region_of(entry), secret_region, function.region()) {
        (None, Some(theirs), Some(own)) if theirs != own => {
            let with_arn =
                ids.iter().map(|id| if id == entry { subject.secret_arn.as_deref().unwrap_or(id) } else { id });
            let value = with_arn.collect::<Vec<_>>().join(",");
            Check::failed(
                name::FUNCTION_SECRET,
                format!(
                    "CONNECTOR_SECRET_IDS names {entry:?} without a region: the function expects it in {own}, but it is in {theirs}"
                ),
                function.set("name it by its ARN", "CONNECTOR_SECRET_IDS", &value, commands),
            )
        }
        _ => {
            let others = match ids.len() - 1 {
                0 => String::new(),
                others => format!(", and {others} more"),
            };
            Check::well(name::FUNCTION_SECRET, format!("CONNECTOR_SECRET_IDS names it{others}"))
        }
    })
}

fn address_check(function: &Function, config: &Config, address: &str, commands: &Commands) -> Check {
    let own = config.flexorch_base_url.as_str().trim_end_matches('/');
    if own == address {
        return Check::well(name::ADDRESS, format!("the function submits to {own}"));
    }
    let value = if address == DEFAULT_BASE_URL { "" } else { address };
    Check::failed(
        name::ADDRESS,
        format!("the function submits to {own}, but this command uses {address}"),
        function.set(
            &format!("if the function is right, run this again with --flexorch-url {}; otherwise set it", quoted(own)),
            "FLEXORCH_BASE_URL",
            value,
            commands,
        ),
    )
}

fn filters(function: &Function, config: &Config, subject: &Subject, commands: &Commands) -> Check {
    let scope = &config.scope;
    let mut limits = Vec::new();
    if !scope.key_suffixes.is_empty() {
        limits.push(format!("only keys that end with {}", scope.key_suffixes.join(", ")));
    }
    if let Some(most) = scope.max_object_bytes {
        limits.push(format!("only up to {most} bytes"));
    }
    let limits = if limits.is_empty() { String::new() } else { format!("; {}", limits.join("; ")) };
    let Some(prefix) = &subject.prefix else {
        return Check::skipped(name::FILTERS, subject.unknown("the connector's prefix"));
    };
    // An empty list matches all keys.
    let wider = match prefix.as_str() {
        "" => String::new(),
        prefix => scope.key_prefixes.iter().map(String::as_str).chain([prefix]).collect::<Vec<_>>().join(","),
    };
    let next = function.set("add the connector's prefix", "KEY_PREFIXES", &wider, commands);
    match Coverage::of_prefixes(&scope.key_prefixes, prefix) {
        Coverage::All => Check::well(name::FILTERS, format!("match all keys under the connector's prefix{limits}")),
        Coverage::Part(prefixes) => Check::warning(
            name::FILTERS,
            format!("KEY_PREFIXES matches only {}; the connector reads {prefix:?}{limits}", prefixes.join(", ")),
            next,
        ),
        Coverage::Nothing => Check::failed(
            name::FILTERS,
            format!(
                "KEY_PREFIXES is {}, which matches no key under the connector's prefix {prefix:?}",
                scope.key_prefixes.join(",")
            ),
            next,
        ),
    }
}

fn time(function: &Function, config: &Config, commands: &Commands) -> Check {
    let seconds = |time: std::time::Duration| format!("{} s", time.as_secs_f64());
    let timeout = std::time::Duration::from_secs(function.timeout.into());
    let left = timeout.saturating_sub(config.deadline_margin);
    if left.is_zero() {
        return Check::failed(
            name::TIME,
            format!(
                "no time for requests: of its timeout of {} the function reserves {} (DEADLINE_MARGIN_MS)",
                seconds(timeout),
                seconds(config.deadline_margin)
            ),
            function.set("reserve less", "DEADLINE_MARGIN_MS", "1000", commands),
        );
    }
    if config.request_timeout > left {
        let shorter = (left.as_millis() / 2).to_string();
        return Check::warning(
            name::TIME,
            format!(
                "one request may take {}, but the function has only {} for all of them",
                seconds(config.request_timeout),
                seconds(left)
            ),
            function.set(
                "shorten the request timeout, or raise the function's timeout",
                "REQUEST_TIMEOUT_MS",
                &shorter,
                commands,
            ),
        );
    }
    Check::well(name::TIME, format!("{} for all requests, {} for each", seconds(left), seconds(config.request_timeout)))
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

    fn function(settings: &[(&str, &str)]) -> Function {
        let settings = settings.iter().chain(&[("CONNECTOR_SECRET_IDS", "docs")]);
        Function {
            name: "f".into(),
            arn: "arn:aws:lambda:eu-west-1:123456789012:function:f".into(),
            timeout: 30,
            memory: 128,
            runtime: "provided.al2023".into(),
            state: Some(State::Active),
            variables: settings.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..Function::default()
        }
    }

    fn look(function: &Function) -> Vec<Check> {
        let subject = Subject {
            secret: "docs".into(),
            secret_arn: Some("arn:aws:secretsmanager:eu-west-1:123456789012:secret:docs-AbCdEf".into()),
            prefix: Some("invoices/".into()),
            ..Subject::default()
        };
        checks(function, "", &subject, DEFAULT_BASE_URL, &Commands::default())
    }

    fn status(settings: &[(&str, &str)], check: &str) -> Status {
        // A later value stands.
        let mut unique: Vec<(&str, &str)> = Vec::new();
        for setting in settings {
            unique.retain(|(name, _)| name != &setting.0);
            unique.push(*setting);
        }
        let mut function = function(&[]);
        function.variables.extend(unique.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        look(&function).iter().find(|found| found.check == check).unwrap().status()
    }

    #[test]
    fn a_function_as_deployed_passes() {
        let checks = look(&function(&[("KEY_PREFIXES", ""), ("REQUESTS_PER_MINUTE", "30"), ("MAX_OBJECT_BYTES", "")]));
        assert!(checks.iter().all(|check| check.status() == Status::Well), "{checks:#?}");
        assert_eq!(checks.len(), 6);
    }

    #[test]
    fn a_wrong_setting_is_named_with_what_is_allowed_and_the_rest_is_skipped() {
        let checks = look(&function(&[("MAX_ATTEMPTS", "none")]));
        assert_eq!(checks[1].status(), Status::Failed);
        assert!(checks[1].found.contains("MAX_ATTEMPTS is \"none\", but must be"), "{}", checks[1].found);
        assert!(checks[1].command.as_deref().unwrap().contains(".Variables.MAX_ATTEMPTS = \"\""));
        assert!(checks[2..].iter().all(|check| check.status() == Status::Skipped));
    }

    #[test]
    fn settings_are_compared_with_the_connector() {
        for (variable, value, check, expected) in [
            ("CONNECTOR_SECRET_IDS", "others", name::FUNCTION_SECRET, Status::Failed),
            ("CONNECTOR_SECRET_IDS", "others,docs", name::FUNCTION_SECRET, Status::Well),
            ("FLEXORCH_BASE_URL", "https://other.example/v1", name::ADDRESS, Status::Failed),
            ("FLEXORCH_BASE_URL", "https://api.flexorch.com/v1/", name::ADDRESS, Status::Well),
            ("KEY_PREFIXES", "drafts/", name::FILTERS, Status::Failed),
            ("KEY_PREFIXES", "drafts/,invoices/2026/", name::FILTERS, Status::Warning),
            ("KEY_PREFIXES", "drafts/,inv", name::FILTERS, Status::Well),
            ("DEADLINE_MARGIN_MS", "30000", name::TIME, Status::Failed),
            ("REQUEST_TIMEOUT_MS", "29001", name::TIME, Status::Warning),
        ] {
            assert_eq!(status(&[(variable, value)], check), expected, "{variable}={value}");
        }
    }

    #[test]
    fn a_function_that_cannot_run_fails() {
        let mut off = function(&[]);
        off.reserved = Some(0);
        assert!(look(&off)[0].command.as_deref().unwrap().contains("delete-function-concurrency"));
        let mut failed = function(&[]);
        failed.update = Some(LastUpdateStatus::Failed);
        assert_eq!(look(&failed)[0].status(), Status::Failed);
    }

    #[test]
    fn an_alias_is_the_same_function() {
        assert!(function(&[]).is("arn:aws:lambda:eu-west-1:123456789012:function:f:live"));
        assert!(!function(&[]).is("arn:aws:lambda:eu-west-1:123456789012:function:f2"));
    }
}
