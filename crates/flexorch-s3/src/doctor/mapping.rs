//! The way from the retry queue into the function: Lambda's event source mapping.

use aws_sdk_lambda::types::FunctionResponseType;

use super::super::aws_failure::AwsFailure;
use super::aws::{Aws, ask};
use super::check::{Check, Next};
use super::commands::{Commands, quoted};
use super::function::Function;
use super::name;
use crate::management::RateLimits;

/// A mapping of a queue.
#[derive(Debug, Clone, Default)]
pub(super) struct Mapping {
    uuid: String,
    /// The queue.
    pub queue: String,
    state: String,
    batch: i32,
    window: i32,
    partial: bool,
    concurrency: Option<i32>,
    /// What Lambda says of its last look into the queue.
    last: Option<String>,
}

/// The function's mappings of queues.
pub(super) async fn read(aws: &Aws<'_>, function: &Function) -> Result<Vec<Mapping>, AwsFailure> {
    let question = aws.lambda(function.region()).list_event_source_mappings().function_name(&function.name).send();
    let answer = ask("lambda:ListEventSourceMappings", &function.arn, question).await?;
    let of_queues = answer.event_source_mappings().iter().filter_map(|found| {
        let queue = found.event_source_arn().filter(|arn| arn.split(':').nth(2) == Some("sqs"))?;
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

/// Whether batches come in, and partly failed ones are answered so. `fallback` is a queue that should be read, where there is no
/// mapping.
pub(super) fn batches(
    mappings: &[Mapping],
    chosen: Option<&Mapping>,
    fallback: Option<&str>,
    function: &Function,
    commands: &Commands,
) -> Check {
    let Some(mapping) = chosen else {
        let next = match fallback {
            Some(queue) => Next::new(
                format!("have the function read {}", queue_name(queue)),
                commands.aws(format_args!(
                    "lambda create-event-source-mapping --function-name {} --event-source-arn {} --batch-size 1000 \
                     --maximum-batching-window-in-seconds 5 --function-response-types ReportBatchItemFailures --scaling-config \
                     MaximumConcurrency=2",
                    quoted(&function.name),
                    quoted(queue)
                )),
            ),
            None => Next::new(
                "deploy the template again (`sam deploy`), which has a retry queue; these are the queues of this region",
                commands.aws("sqs list-queues"),
            ),
        };
        return Check::failed(
            name::BATCHES,
            "the function takes nothing from a queue: what fails is not tried again",
            next,
        );
    };
    let update = |options: &str| {
        commands.aws(format_args!("lambda update-event-source-mapping --uuid {} {options}", quoted(&mapping.uuid)))
    };
    let queue = queue_name(&mapping.queue);
    if !mapping.partial {
        let found =
            format!("a batch of {queue} of which one object fails comes back whole: ReportBatchItemFailures is off");
        let next = Next::new("switch it on", update("--function-response-types ReportBatchItemFailures"));
        return Check::failed(name::BATCHES, found, next);
    }
    match mapping.state.as_str() {
        "Disabled" | "Disabling" => Check::failed(
            name::BATCHES,
            format!("{queue} is not read: its event source mapping is disabled"),
            Next::new("switch it on", update("--enabled")),
        ),
        "Creating" | "Enabling" | "Updating" => Check::warning(
            name::BATCHES,
            format!("{queue}: its event source mapping is {}", mapping.state.to_lowercase()),
            Next::new(
                "look again in a minute",
                commands.aws(format_args!("lambda get-event-source-mapping --uuid {}", quoted(&mapping.uuid))),
            ),
        ),
        _ if mapping.last.as_deref().is_some_and(|last| last.starts_with("PROBLEM")) => Check::failed(
            name::BATCHES,
            format!("{queue} cannot be read: {}", mapping.last.as_deref().unwrap_or_default()),
            Next::new(
                "see what the function's role lacks",
                commands.aws(format_args!(
                    "lambda get-function-configuration --function-name {} --query Role",
                    quoted(&function.name)
                )),
            ),
        ),
        _ => {
            let others = match mappings.len() {
                0 | 1 => String::new(),
                all => format!("; and {} other queues", all - 1),
            };
            Check::well(
                name::BATCHES,
                format!("from {queue}, up to {} messages, gathered for {} s{others}", mapping.batch, mapping.window),
            )
        }
    }
}

/// Whether all processes together keep to the plan.
pub(super) fn pace(mapping: &Mapping, function: &Function, rate: Option<&RateLimits>, commands: &Commands) -> Check {
    let Some(rate) = rate else { return Check::skipped(name::PACE, "the plan's rate is not known") };
    let Some(plan) = rate.per_minute else { return Check::well(name::PACE, "the plan has no limit to keep") };
    let own = function.setting("REQUESTS_PER_MINUTE").and_then(|text| text.parse::<u64>().ok());
    let processes = mapping.concurrency.and_then(|most| u64::try_from(most).ok()).filter(|most| *most > 0);
    let Some(processes) = processes else {
        return Check::warning(
            name::PACE,
            "as many processes as Lambda likes work on the queue (no MaximumConcurrency)",
            Next::new(
                "bound them, so that each can have its share of the plan's rate",
                commands.aws(format_args!(
                    "lambda update-event-source-mapping --uuid {} --scaling-config MaximumConcurrency=2",
                    quoted(&mapping.uuid)
                )),
            ),
        );
    };
    let share = (plan / processes).max(1).to_string();
    let next = Next::new(
        "give each process its share; what is over the rate is only answered 429 and comes back later",
        commands.set_variable(&function.name, "REQUESTS_PER_MINUTE", &share),
    );
    match own {
        None => Check::warning(
            name::PACE,
            format!(
                "REQUESTS_PER_MINUTE is not set: {processes} processes do not keep to the plan's {plan} requests a minute"
            ),
            next,
        ),
        Some(own) if own * processes > plan => Check::warning(
            name::PACE,
            format!("{processes} processes with {own} requests a minute are {}; the plan has {plan}", own * processes),
            next,
        ),
        Some(own) => Check::well(
            name::PACE,
            format!("{processes} processes with {own} requests a minute each, of the plan's {plan}"),
        ),
    }
}

/// A queue's name, of its ARN.
pub(super) fn queue_name(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

#[cfg(test)]
mod tests {
    use super::super::check::Status;
    use super::*;

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
        batches(std::slice::from_ref(mapping), Some(mapping), None, &Function::default(), &Commands::default())
    }

    #[test]
    fn a_mapping_that_brings_nothing_or_takes_partial_answers_for_success_has_failed() {
        assert_eq!(look(&mapping()).status, Status::Well);
        let off = look(&Mapping { state: "Disabled".into(), ..mapping() });
        assert_eq!(off.command.as_deref(), Some("aws lambda update-event-source-mapping --uuid u-1 --enabled"));
        let whole = look(&Mapping { partial: false, ..mapping() });
        assert!(whole.has_failed() && whole.command.unwrap().ends_with("ReportBatchItemFailures"));
        assert!(look(&Mapping { last: Some("PROBLEM: Function call failed".into()), ..mapping() }).has_failed());
        assert_eq!(look(&Mapping { state: "Updating".into(), ..mapping() }).status, Status::Warning);
        let none = |queue| batches(&[], None, queue, &Function::default(), &Commands::default()).command.unwrap();
        assert!(
            none(Some("arn:aws:sqs:eu-west-1:1:retry")).contains("--event-source-arn arn:aws:sqs:eu-west-1:1:retry")
        );
        assert_eq!(none(None), "aws sqs list-queues");
    }

    #[test]
    fn without_the_plans_rate_the_pace_is_not_judged_and_without_a_limit_it_is_well() {
        let unlimited = RateLimits { plan: None, per_minute: None, used: None, reset_in_seconds: None };
        let function = Function::default();
        let pace =
            |rate: Option<&RateLimits>, mapping: &Mapping| pace(mapping, &function, rate, &Commands::default()).status;
        assert_eq!(pace(None, &mapping()), Status::Skipped);
        assert_eq!(pace(Some(&unlimited), &mapping()), Status::Well);
        let starter = RateLimits { per_minute: Some(60), ..unlimited };
        assert_eq!(pace(Some(&starter), &mapping()), Status::Warning);
        assert_eq!(pace(Some(&starter), &Mapping { concurrency: None, ..mapping() }), Status::Warning);
    }
}
