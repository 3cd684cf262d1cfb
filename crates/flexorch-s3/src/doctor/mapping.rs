//! Reads and checks the event source mapping, through which Lambda reads the retry queue.

use aws_sdk_lambda::types::FunctionResponseType;

use super::aws::Aws;
use super::check::{Check, Fix};
use super::commands::{Commands, quoted};
use super::function::Function;
use super::name;
use crate::aws_failure::AwsFailure;
use crate::management::RateLimits;
use flexorch_s3_ingester::model::arn::{QueueArn, queue_name};
use flexorch_s3_ingester::model::settings;

/// The event source mapping of a queue.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mapping {
    uuid: String,
    /// The queue's ARN.
    pub(crate) queue: String,
    state: String,
    batch: i32,
    window: i32,
    partial: bool,
    concurrency: Option<i32>,
    /// Lambda's last processing result.
    last: Option<String>,
}

/// Reads the function's mappings of queues.
pub(crate) async fn read(aws: &Aws<'_>, function: &Function) -> Result<Vec<Mapping>, AwsFailure> {
    let request = aws.lambda(function.region()).list_event_source_mappings().function_name(&function.name);
    let mappings = request.into_paginator().items().send().collect::<Result<Vec<_>, _>>();
    let mappings = aws.call("lambda:ListEventSourceMappings", &function.arn, mappings).await?;
    let of_queues = mappings.iter().filter_map(|found| {
        let queue = found.event_source_arn().filter(|arn| QueueArn::parse(arn).is_ok())?;
        Some(Mapping {
            uuid: found.uuid().unwrap_or_default().to_owned(),
            queue: queue.to_owned(),
            state: found.state().unwrap_or_default().to_owned(),
            batch: found.batch_size().unwrap_or(10),
            window: found.maximum_batching_window_in_seconds().unwrap_or_default(),
            partial: found.function_response_types().contains(&FunctionResponseType::ReportBatchItemFailures),
            concurrency: found.scaling_config().and_then(|scaling| scaling.maximum_concurrency()),
            last: found.last_processing_result().map(str::to_owned),
        })
    });
    Ok(of_queues.collect())
}

/// Returns the check of a function that reads no queue. `queue` is the one that it should read, if there is one.
pub(crate) fn absent(queue: Option<&str>, function: &Function, commands: &Commands) -> Check {
    let next = match queue {
        Some(queue) => Fix::new(
            function.owner.advice(&format!("create a mapping for {}", queue_name(queue)), None),
            commands.aws(format_args!(
                "lambda create-event-source-mapping --function-name {} --event-source-arn {} --batch-size 1000 \
                 --maximum-batching-window-in-seconds 5 --function-response-types ReportBatchItemFailures --scaling-config \
                 MaximumConcurrency=2",
                quoted(&function.name),
                quoted(queue)
            )),
        ),
        None => Fix::new(
            "deploy the template again (`sam deploy`), which has a retry queue; to list the queues of this region",
            commands.aws("sqs list-queues"),
        ),
    };
    Check::failed(name::BATCHES, "the function reads no queue: failed objects are not retried", next)
}

/// Checks whether batches are processed, with partial batch responses. The mapping is one of `number` that the function has.
pub(crate) fn batches(mapping: &Mapping, number: usize, function: &Function, commands: &Commands) -> Check {
    let update = |options: &str| {
        commands.aws(format_args!("lambda update-event-source-mapping --uuid {} {options}", quoted(&mapping.uuid)))
    };
    let queue = queue_name(&mapping.queue);
    if !mapping.partial {
        let found =
            format!("{queue}: ReportBatchItemFailures is off, so a batch returns as a whole if one object fails");
        let next = Fix::new(
            function.owner.advice("enable it", None),
            update("--function-response-types ReportBatchItemFailures"),
        );
        return Check::failed(name::BATCHES, found, next);
    }
    match mapping.state.as_str() {
        "Disabled" | "Disabling" => Check::failed(
            name::BATCHES,
            format!("{queue} is not read: its event source mapping is disabled"),
            Fix::new(function.owner.advice("enable it", None), update("--enabled")),
        ),
        "Creating" | "Enabling" | "Updating" => Check::warning(
            name::BATCHES,
            format!("{queue}: its event source mapping is {}", mapping.state.to_lowercase()),
            Fix::new(
                "check again in a minute",
                commands.aws(format_args!("lambda get-event-source-mapping --uuid {}", quoted(&mapping.uuid))),
            ),
        ),
        _ if mapping.last.as_deref().is_some_and(|last| last.starts_with("PROBLEM")) => Check::failed(
            name::BATCHES,
            format!("{queue} cannot be read: {}", mapping.last.as_deref().unwrap_or_default()),
            Fix::new(
                "check the permissions of the function's role",
                commands.aws(format_args!(
                    "lambda get-function-configuration --function-name {} --query Role",
                    quoted(&function.name)
                )),
            ),
        ),
        _ => {
            let others = match number {
                0 | 1 => String::new(),
                2 => "; also another queue".to_owned(),
                all => format!("; also {} other queues", all - 1),
            };
            Check::well(
                name::BATCHES,
                format!("from {queue}, up to {} messages, batching window {} s{others}", mapping.batch, mapping.window),
            )
        }
    }
}

/// Checks whether all processes together keep to the plan's rate.
pub(crate) fn pace(mapping: &Mapping, function: &Function, rate: Option<&RateLimits>, commands: &Commands) -> Check {
    let Some(rate) = rate else { return Check::skipped(name::PACE, "the plan's rate is unknown") };
    let Some(plan) = rate.per_minute else { return Check::well(name::PACE, "the plan has no rate limit") };
    let own = function.setting(settings::REQUESTS_PER_MINUTE).and_then(|text| text.parse::<u64>().ok());
    let processes = mapping.concurrency.and_then(|most| u64::try_from(most).ok()).filter(|most| *most > 0);
    let Some(processes) = processes else {
        return Check::warning(
            name::PACE,
            "the number of processes is not limited (no MaximumConcurrency)",
            Fix::new(
                function.owner.advice(
                    "limit them, so that each can have its share of the plan's rate",
                    Some("MaximumConcurrency"),
                ),
                commands.aws(format_args!(
                    "lambda update-event-source-mapping --uuid {} --scaling-config MaximumConcurrency=2",
                    quoted(&mapping.uuid)
                )),
            ),
        );
    };
    let share = (plan / processes).max(1).to_string();
    let next = function.set(
        "set each process's share of the plan's rate; requests above it get a 429 response and are retried later",
        settings::REQUESTS_PER_MINUTE,
        &share,
        commands,
    );
    match own {
        None => Check::warning(
            name::PACE,
            format!(
                "REQUESTS_PER_MINUTE is not set: {processes} processes may exceed the plan's {plan} requests per minute"
            ),
            next,
        ),
        Some(own) if own * processes > plan => Check::warning(
            name::PACE,
            format!(
                "{processes} processes with {own} requests per minute each are {}; the plan allows {plan}",
                own * processes
            ),
            next,
        ),
        Some(own) => Check::well(
            name::PACE,
            format!("{processes} processes with {own} requests per minute each, of the plan's {plan}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Status;

    fn mapping() -> Mapping {
        Mapping {
            uuid: "u-1".into(),
            queue: "arn:aws:sqs:eu-west-1:123456789012:retry".into(),
            state: "Enabled".into(),
            batch: 1000,
            window: 5,
            partial: true,
            concurrency: Some(2),
            last: None,
        }
    }

    fn look(mapping: &Mapping) -> Check {
        batches(mapping, 1, &Function::default(), &Commands::default())
    }

    #[test]
    fn a_mapping_that_is_disabled_or_ignores_partial_responses_fails() {
        assert_eq!(look(&mapping()).status(), Status::Well);
        let off = look(&Mapping { state: "Disabled".into(), ..mapping() });
        assert_eq!(off.command.as_deref(), Some("aws lambda update-event-source-mapping --uuid u-1 --enabled"));
        let whole = look(&Mapping { partial: false, ..mapping() });
        assert!((whole.status() == Status::Failed) && whole.command.unwrap().ends_with("ReportBatchItemFailures"));
        assert!(
            (look(&Mapping { last: Some("PROBLEM: Function call failed".into()), ..mapping() }).status()
                == Status::Failed)
        );
        assert_eq!(look(&Mapping { state: "Updating".into(), ..mapping() }).status(), Status::Warning);
    }

    #[test]
    fn without_the_plans_rate_the_pace_is_skipped_and_without_a_limit_it_passes() {
        let unlimited = RateLimits { plan: None, per_minute: None, used: None, reset_in_seconds: None };
        let function = Function::default();
        let pace = |rate: Option<&RateLimits>, mapping: &Mapping| {
            pace(mapping, &function, rate, &Commands::default()).status()
        };
        assert_eq!(pace(None, &mapping()), Status::Skipped);
        assert_eq!(pace(Some(&unlimited), &mapping()), Status::Well);
        let starter = RateLimits { per_minute: Some(60), ..unlimited };
        assert_eq!(pace(Some(&starter), &mapping()), Status::Warning);
        assert_eq!(pace(Some(&starter), &Mapping { concurrency: None, ..mapping() }), Status::Warning);
    }
}
