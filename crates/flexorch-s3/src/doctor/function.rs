//! The function: is it there and alive, and are its settings those of this connector?

use std::collections::HashMap;

use aws_sdk_lambda::types::{LastUpdateStatus, State};

use super::super::arn::region_of;
use super::super::aws_failure::AwsFailure;
use super::aws::{Aws, ask, ask_for};
use super::check::{Check, Next, skipped};
use super::commands::{Commands, quoted};
use super::name;
use super::reach::Reach;
use super::subject::Subject;
use flexorch_s3_ingester::config::{Config, DEFAULT_BASE_URL};

/// The function as Lambda has it.
#[derive(Debug, Clone, Default)]
pub(super) struct Function {
    pub name: String,
    /// Without a version or alias.
    pub arn: String,
    /// Seconds.
    pub timeout: u32,
    memory: u32,
    runtime: String,
    state: Option<State>,
    state_reason: Option<String>,
    update: Option<LastUpdateStatus>,
    update_reason: Option<String>,
    variables: HashMap<String, String>,
    /// Why Lambda does not show the variables.
    hidden: Option<String>,
    reserved: Option<i32>,
}

impl Function {
    /// Reads a function by its name or ARN; `None`: there is none.
    pub(super) async fn read(aws: &Aws<'_>, name: &str) -> Result<Option<Self>, AwsFailure> {
        let question = aws.lambda(region_of(name)).get_function().function_name(name).send();
        let Some(answer) = ask_for("lambda:GetFunction", name, question).await? else { return Ok(None) };
        let reserved = answer.concurrency().and_then(|concurrency| concurrency.reserved_concurrent_executions());
        let Some(found) = answer.configuration else { return Ok(None) };
        let hidden = found.environment().and_then(|environment| environment.error()).map(|error| {
            format!("{}: {}", error.error_code().unwrap_or("error"), error.message().unwrap_or("no message"))
        });
        let number = |number: Option<i32>| number.and_then(|number| u32::try_from(number).ok()).unwrap_or_default();
        Ok(Some(Self {
            name: found.function_name.unwrap_or_else(|| name.to_owned()),
            arn: unqualified(&found.function_arn.unwrap_or_default()),
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
        }))
    }

    /// Its region.
    pub(super) fn region(&self) -> Option<&str> {
        region_of(&self.arn)
    }

    /// Whether an ARN, which may end in a version or an alias, is this function's.
    pub(super) fn is(&self, arn: &str) -> bool {
        unqualified(arn) == self.arn
    }

    /// A setting that is not empty.
    pub(super) fn setting(&self, variable: &str) -> Option<&str> {
        self.variables.get(variable).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The settings, as the function itself would read them.
    pub(super) fn config(&self) -> Result<Config, flexorch_s3_ingester::config::ConfigError> {
        Config::from_lookup(|variable| Ok(self.variables.get(variable).cloned()))
    }
}

/// `arn:aws:lambda:REGION:ACCOUNT:function:NAME` without what may follow.
fn unqualified(arn: &str) -> String {
    arn.splitn(8, ':').take(7).collect::<Vec<_>>().join(":")
}

/// The resource's policy; `None`: it has none.
pub(super) async fn policy(aws: &Aws<'_>, function: &Function) -> Result<Option<String>, AwsFailure> {
    let question = aws.lambda(function.region()).get_policy().function_name(&function.name).send();
    Ok(ask_for("lambda:GetPolicy", &function.arn, question).await?.and_then(|answer| answer.policy))
}

/// Where Lambda sends notifications that the function failed on; `None`: nowhere.
pub(super) async fn on_failure(aws: &Aws<'_>, function: &Function) -> Result<Option<String>, AwsFailure> {
    // Templates set it for `$LATEST`, which is what an ARN without a version means.
    for qualifier in [None, Some("$LATEST")] {
        let question = aws.lambda(function.region()).get_function_event_invoke_config().function_name(&function.name);
        let question = question.set_qualifier(qualifier.map(str::to_owned)).send();
        let answer = ask_for("lambda:GetFunctionEventInvokeConfig", &function.arn, question).await?;
        if let Some(found) = answer {
            return Ok(found.destination_config.and_then(|config| config.on_failure?.destination));
        }
    }
    Ok(None)
}

/// The name of the one function that a queue feeds; `None`: there is none, or several.
pub(super) async fn fed_by(aws: &Aws<'_>, queue_arn: &str) -> Result<Option<String>, AwsFailure> {
    let question = aws.lambda(region_of(queue_arn)).list_event_source_mappings().event_source_arn(queue_arn).send();
    let answer = ask("lambda:ListEventSourceMappings", queue_arn, question).await?;
    let mut functions: Vec<_> = answer.event_source_mappings().iter().filter_map(|m| m.function_arn()).collect();
    functions.dedup();
    Ok(match functions.as_slice() {
        [one] => Some((*one).to_owned()),
        _ => None,
    })
}

/// All checks of the function itself.
pub(super) fn checks(
    function: &Function,
    how_found: &str,
    subject: &Subject,
    address: &str,
    commands: &Commands,
) -> Vec<Check> {
    let mut checks = vec![alive(function, how_found, commands)];
    if let Some(reason) = &function.hidden {
        let next = Next::new(
            "your AWS identity needs kms:Decrypt on the key of the function's environment",
            commands.aws("sts get-caller-identity"),
        );
        checks.push(Check::failed(name::SETTINGS, format!("Lambda does not show them: {reason}"), next));
        checks.extend(skipped(&name::OF_SETTINGS, "the settings are not known"));
        return checks;
    }
    match function.config() {
        Ok(config) => {
            checks.push(Check::well(name::SETTINGS, "the function can start with them"));
            checks.extend(of_settings(function, &config, subject, address, commands));
        }
        Err(error) => {
            let value = match error.variable {
                "CONNECTOR_SECRET_IDS" => subject.secret_arn.as_deref().unwrap_or(&subject.secret),
                "FLEXORCH_BASE_URL" => address,
                // Empty is the default.
                _ => "",
            };
            let next = Next::new(
                "set it, here and in the stack's parameters, so that the next deployment keeps it",
                commands.set_variable(&function.name, error.variable, value),
            );
            checks.push(Check::failed(name::SETTINGS, format!("the function cannot start: {error}"), next));
            checks.extend(skipped(&name::OF_SETTINGS, "the settings cannot be used"));
        }
    }
    checks
}

fn alive(function: &Function, how_found: &str, commands: &Commands) -> Check {
    let Function { name: function_name, timeout, memory, runtime, .. } = function;
    let because = |reason: &Option<String>| reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    let wait =
        |waiter: &str| commands.aws(format_args!("lambda wait {waiter} --function-name {}", quoted(function_name)));
    let see = commands.aws(format_args!("lambda get-function-configuration --function-name {}", quoted(function_name)));
    if function.reserved == Some(0) {
        return Check::failed(
            name::FUNCTION,
            format!("{function_name}{how_found} is switched off: its reserved concurrency is 0"),
            Next::new(
                "let it run",
                commands
                    .aws(format_args!("lambda delete-function-concurrency --function-name {}", quoted(function_name))),
            ),
        );
    }
    match (&function.state, &function.update) {
        (Some(State::Failed), _) => {
            let found = format!("{function_name}{how_found} has failed{}", because(&function.state_reason));
            Check::failed(name::FUNCTION, found, Next::new("deploy it again: `sam build && sam deploy`", see))
        }
        (_, Some(LastUpdateStatus::Failed)) => {
            let found =
                format!("{function_name}{how_found}: its last update failed{}", because(&function.update_reason));
            Check::failed(name::FUNCTION, found, Next::new("deploy it again: `sam build && sam deploy`", see))
        }
        (Some(State::Pending), _) => Check::warning(
            name::FUNCTION,
            format!("{function_name}{how_found} is being made"),
            Next::new("wait until it is there", wait("function-active-v2")),
        ),
        (_, Some(LastUpdateStatus::InProgress)) => Check::warning(
            name::FUNCTION,
            format!("{function_name}{how_found} is being updated"),
            Next::new("wait until it is done", wait("function-updated-v2")),
        ),
        (state, _) => {
            let state = state.as_ref().map_or("there", State::as_str);
            let reserved = function.reserved.map(|most| format!(", at most {most} at once")).unwrap_or_default();
            Check::well(
                name::FUNCTION,
                format!("{function_name}{how_found}: {state}, {runtime}, {memory} MB, {timeout} s{reserved}"),
            )
        }
    }
}

fn of_settings(
    function: &Function,
    config: &Config,
    subject: &Subject,
    address: &str,
    commands: &Commands,
) -> Vec<Check> {
    vec![
        secret(function, config, subject, commands),
        address_check(function, config, address, commands),
        filters(function, config, subject, commands),
        time(function, config, commands),
    ]
}

fn secret(function: &Function, config: &Config, subject: &Subject, commands: &Commands) -> Check {
    let ids = &config.connector_secret_ids;
    let Some(entry) = ids.iter().find(|entry| subject.is_named_by(entry)) else {
        let mut all = ids.clone();
        all.push(subject.secret_arn.clone().unwrap_or_else(|| subject.secret.clone()));
        let set = commands.set_variable(&function.name, "CONNECTOR_SECRET_IDS", &all.join(","));
        return Check::failed(
            name::ITS_SECRET,
            format!("CONNECTOR_SECRET_IDS names {}, not this secret", ids.join(", ")),
            Next::new("deploy with ConnectorSecretArns, so that the role may read it; where it may already", set),
        );
    };
    let secret_region = subject.secret_arn.as_deref().and_then(region_of);
    match (region_of(entry), secret_region, function.region()) {
        (None, Some(theirs), Some(own)) if theirs != own => Check::failed(
            name::ITS_SECRET,
            format!(
                "CONNECTOR_SECRET_IDS names {entry:?} without a region: the function looks for it in {own}, and it is in {theirs}"
            ),
            Next::new(
                "name it by its ARN",
                commands.set_variable(
                    &function.name,
                    "CONNECTOR_SECRET_IDS",
                    &ids.iter()
                        .map(|id| if id == entry { subject.secret_arn.as_deref().unwrap_or(id) } else { id })
                        .collect::<Vec<_>>()
                        .join(","),
                ),
            ),
        ),
        _ => {
            let others = match ids.len() - 1 {
                0 => String::new(),
                others => format!(", and {others} more"),
            };
            Check::well(name::ITS_SECRET, format!("CONNECTOR_SECRET_IDS names it{others}"))
        }
    }
}

fn address_check(function: &Function, config: &Config, address: &str, commands: &Commands) -> Check {
    let own = config.flexorch_base_url.as_str().trim_end_matches('/');
    if own == address {
        return Check::well(name::ADDRESS, format!("the function submits to {own}"));
    }
    let value = if address == DEFAULT_BASE_URL { "" } else { address };
    Check::failed(
        name::ADDRESS,
        format!("the function submits to {own}, and this command asked {address}"),
        Next::new(
            format!("if the function is right, run this again with --flexorch-url {}; if not", quoted(own)),
            commands.set_variable(&function.name, "FLEXORCH_BASE_URL", value),
        ),
    )
}

fn filters(function: &Function, config: &Config, subject: &Subject, commands: &Commands) -> Check {
    let scope = &config.scope;
    let mut limits = Vec::new();
    if !scope.key_suffixes.is_empty() {
        limits.push(format!("only keys that end in {}", scope.key_suffixes.join(", ")));
    }
    if let Some(most) = scope.max_object_bytes {
        limits.push(format!("only up to {most} bytes"));
    }
    let limits = if limits.is_empty() { String::new() } else { format!("; {}", limits.join("; ")) };
    let Some(prefix) = &subject.prefix else {
        return Check::skipped(name::FILTERS, "the connector's prefix is not known");
    };
    // An empty list lets all through.
    let wider = match prefix.as_str() {
        "" => String::new(),
        prefix => scope.key_prefixes.iter().map(String::as_str).chain([prefix]).collect::<Vec<_>>().join(","),
    };
    let next = Next::new("let them through", commands.set_variable(&function.name, "KEY_PREFIXES", &wider));
    match Reach::of_prefixes(&scope.key_prefixes, prefix) {
        Reach::All => Check::well(name::FILTERS, format!("let through all that the connector reads{limits}")),
        Reach::Part(prefixes) => Check::warning(
            name::FILTERS,
            format!("KEY_PREFIXES lets through {} alone; the connector reads {prefix:?}{limits}", prefixes.join(", ")),
            next,
        ),
        Reach::Nothing => Check::failed(
            name::FILTERS,
            format!(
                "KEY_PREFIXES is {}, which lets nothing through that the connector reads ({prefix:?})",
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
                "of its {} the function keeps {} for its answer: no time is left",
                seconds(timeout),
                seconds(config.deadline_margin)
            ),
            Next::new("keep less", commands.set_variable(&function.name, "DEADLINE_MARGIN_MS", "1000")),
        );
    }
    if config.request_timeout > left {
        let set = commands.set_variable(&function.name, "REQUEST_TIMEOUT_MS", &(left.as_millis() / 2).to_string());
        return Check::warning(
            name::TIME,
            format!(
                "one request may take {}, and the function has {} for all of them",
                seconds(config.request_timeout),
                seconds(left)
            ),
            Next::new("let a slow request end in time for another, or give the function more time", set),
        );
    }
    Check::well(
        name::TIME,
        format!("{} for requests, {} for one of them", seconds(left), seconds(config.request_timeout)),
    )
}

/// Where there is no such function, or none was named.
pub(super) fn unnamed(commands: &Commands, secret: &str) -> Next {
    let list = "lambda list-functions --query 'Functions[?Environment.Variables.CONNECTOR_SECRET_IDS].FunctionName' --output text";
    Next::new(
        format!(
            "name it (output FunctionName of the stack): flexorch-s3 doctor --secret {} --function NAME; these are functions that have \
             connectors",
            quoted(secret)
        ),
        commands.aws(list),
    )
}

#[cfg(test)]
mod tests {
    use super::super::check::Status;
    use super::*;

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
        look(&function).iter().find(|found| found.check == check).unwrap().status
    }

    #[test]
    fn a_function_as_it_is_deployed_is_well() {
        let checks = look(&function(&[("KEY_PREFIXES", ""), ("REQUESTS_PER_MINUTE", "30"), ("MAX_OBJECT_BYTES", "")]));
        assert!(checks.iter().all(|check| check.status == Status::Well), "{checks:#?}");
        assert_eq!(checks.len(), 6);
    }

    #[test]
    fn a_wrong_setting_is_named_with_what_is_allowed_and_the_rest_is_not_judged() {
        let checks = look(&function(&[("MAX_ATTEMPTS", "none")]));
        assert_eq!(checks[1].status, Status::Failed);
        assert!(checks[1].found.contains("MAX_ATTEMPTS is \"none\", but must be"), "{}", checks[1].found);
        assert!(checks[1].command.as_deref().unwrap().contains(".Variables.MAX_ATTEMPTS = \"\""));
        assert!(checks[2..].iter().all(|check| check.status == Status::Skipped));
    }

    #[test]
    fn settings_are_judged_against_the_connector() {
        for (variable, value, check, expected) in [
            ("CONNECTOR_SECRET_IDS", "others", name::ITS_SECRET, Status::Failed),
            ("CONNECTOR_SECRET_IDS", "others,docs", name::ITS_SECRET, Status::Well),
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
    fn a_function_that_may_not_run_has_failed() {
        let mut off = function(&[]);
        off.reserved = Some(0);
        assert!(look(&off)[0].command.as_deref().unwrap().contains("delete-function-concurrency"));
        let mut failed = function(&[]);
        failed.update = Some(LastUpdateStatus::Failed);
        assert_eq!(look(&failed)[0].status, Status::Failed);
    }

    #[test]
    fn an_alias_is_the_same_function() {
        assert!(function(&[]).is("arn:aws:lambda:eu-west-1:123456789012:function:f:live"));
        assert!(!function(&[]).is("arn:aws:lambda:eu-west-1:123456789012:function:f2"));
    }
}
