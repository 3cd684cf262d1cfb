//! Checks the function's settings: can it start with them, and do they match the connector?

use super::check::{Check, Fix, Unknown};
use super::commands::{Commands, quoted};
use super::coverage::Coverage;
use super::function::Function;
use super::name;
use super::subject::Subject;
use crate::text::counted;
use flexorch_s3_ingester::config::{Config, DEFAULT_BASE_URL};
use flexorch_s3_ingester::model::arn::region_of;
use flexorch_s3_ingester::model::settings;

/// Checks the settings, with the rest skipped if they are unknown or invalid.
pub(crate) fn checks(function: &Function, subject: &Subject, address: &str, commands: &Commands) -> Vec<Check> {
    if let Some(reason) = &function.hidden {
        let next = Fix::new(
            "your AWS identity needs kms:Decrypt on the key of the function's environment",
            commands.aws("sts get-caller-identity"),
        );
        let unknown = Unknown::new(format!("Lambda does not return them: {reason}"), next);
        let why = "could not be checked without kms:Decrypt: the settings are unknown";
        return Check::unknown(name::SETTINGS, unknown).then_skip(&name::OF_SETTINGS, why);
    }
    match function.config() {
        Ok(config) => vec![
            Check::well(name::SETTINGS, "valid"),
            Check::decided(name::FUNCTION_SECRET, names_secret(function, &config, subject, commands)),
            address_check(function, &config, address, commands),
            filters(function, &config, subject, commands),
            time(function, &config, commands),
        ],
        Err(error) => {
            let next = function.correct(&error, subject, address, commands);
            let found = format!("the function cannot start: {error}");
            Check::failed(name::SETTINGS, found, next).then_skip(&name::OF_SETTINGS, "the settings are invalid")
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
                settings::CONNECTOR_SECRET_IDS,
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
                function.set("name it by its ARN", settings::CONNECTOR_SECRET_IDS, &value, commands),
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
            settings::FLEXORCH_BASE_URL,
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
        limits.push(format!("only up to {}", counted(most, "byte")));
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
    let next = function.set("add the connector's prefix", settings::KEY_PREFIXES, &wider, commands);
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
            function.set("reserve less", settings::DEADLINE_MARGIN_MS, "1000", commands),
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
                settings::REQUEST_TIMEOUT_MS,
                &shorter,
                commands,
            ),
        );
    }
    Check::well(name::TIME, format!("{} for all requests, {} for each", seconds(left), seconds(config.request_timeout)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Status;

    fn look(function: &Function) -> Vec<Check> {
        let subject = Subject {
            secret: "docs".into(),
            secret_arn: Some("arn:aws:secretsmanager:eu-west-1:123456789012:secret:docs-AbCdEf".into()),
            prefix: Some("invoices/".into()),
            ..Subject::default()
        };
        checks(function, &subject, DEFAULT_BASE_URL, &Commands::default())
    }

    #[test]
    fn a_function_as_deployed_passes() {
        let checks = look(&Function::with_settings(&[
            ("KEY_PREFIXES", ""),
            ("REQUESTS_PER_MINUTE", "30"),
            ("MAX_OBJECT_BYTES", ""),
        ]));
        assert!(checks.iter().all(|check| check.status() == Status::Well), "{checks:#?}");
        assert_eq!(checks.len(), 5);
    }

    #[test]
    fn a_wrong_setting_is_named_with_what_is_allowed_and_the_rest_is_skipped() {
        let checks = look(&Function::with_settings(&[("MAX_ATTEMPTS", "none")]));
        assert_eq!(checks[0].status(), Status::Failed);
        assert!(checks[0].found.contains("MAX_ATTEMPTS is \"none\", but must be"), "{}", checks[0].found);
        assert!(checks[0].command.as_deref().unwrap().contains(".Variables.MAX_ATTEMPTS = \"\""));
        assert!(checks[1..].iter().all(|check| check.status() == Status::Skipped));
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
            let checks = look(&Function::with_settings(&[(variable, value)]));
            let found = checks.iter().find(|found| found.check == check).unwrap();
            assert_eq!(found.status(), expected, "{variable}={value}");
        }
    }
}
