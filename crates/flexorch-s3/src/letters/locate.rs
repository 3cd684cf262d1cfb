//! Finds the dead-letter queue, and the queue that its letters came from. Only these two are ever changed: a queue that is nobody's
//! dead-letter queue is refused.

use anyhow::{Context as _, Result, anyhow};
use reqwest::Url;

use super::queue::Queue;
use crate::args::{QueueName, QueueOption};
use crate::aws_failure::AwsFailure;
use crate::context::Context;
use crate::exit::WrongArgument;
use crate::region::in_region;
use crate::text::escaped;
use flexorch_s3_ingester::model::arn::{QueueArn, queue_name, region_of};

/// The function's variable.
const VARIABLE: &str = "DEAD_LETTER_QUEUE_URL";

/// A dead-letter queue.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) queue: Queue,
    /// The function that names it, if it was found by one.
    function: Option<String>,
    /// The URLs of the queues whose dead letters it receives.
    sources: Vec<String>,
}

impl Located {
    /// Finds the queue, and checks that it is a dead-letter queue.
    pub(crate) async fn find(option: &QueueOption, context: &Context) -> Result<Self> {
        let (name, function) = match (&option.queue, &option.function) {
            (Some(queue), _) => (queue.clone(), None),
            (None, function) => {
                let function = function.as_deref().unwrap_or_default();
                (of_function(function, context).await?, Some(function.to_owned()))
            }
        };
        let queue = Queue::open(&name, context).await.with_context(|| match &function {
            Some(function) => format!("{VARIABLE} of function {}", escaped(function)),
            None => "--queue".to_owned(),
        })?;
        let sources = queue.sources().await?;
        if function.is_none() && sources.is_empty() {
            return Err(WrongArgument(format!(
                "--queue: {} is not a dead-letter queue: no queue's redrive policy names it. If it is only in a function's {VARIABLE}, use \
                 --function",
                queue.arn
            ))
            .into());
        }
        Ok(Self { queue, function, sources })
    }

    /// Finds the queue to send to: the named one, or the only one whose dead letters these are.
    pub(crate) async fn target(&self, named: Option<&QueueName>, context: &Context) -> Result<Queue> {
        let target = match named {
            Some(name) => Queue::open(name, context).await.context("--to")?,
            None => Queue::open(&self.only_source(context).await?, context).await?,
        };
        let (from, to) = (&self.queue, &target);
        let wrong = if from.arn == to.arn {
            Some(format!("{} is the dead-letter queue itself", to.arn))
        } else if to.is_fifo() && !from.is_fifo() {
            Some(format!("{} is a FIFO queue, but the letters are from a standard queue", to.arn))
        } else {
            None
        };
        match wrong {
            Some(wrong) => Err(WrongArgument(format!("--to: {wrong}; nothing was sent")).into()),
            None => Ok(target),
        }
    }

    async fn only_source(&self, context: &Context) -> Result<QueueName> {
        if let [source] = &self.sources[..] {
            return Ok(QueueName::Url(Url::parse(source)?));
        }
        // Of several sources, or if there is none, the one that the function reads is meant.
        let read = match &self.function {
            Some(function) => queues_of(function, context).await?,
            None => Vec::new(),
        };
        let is_source = |arn: &&String| {
            self.sources.is_empty() || self.sources.iter().any(|url| url.rsplit('/').next() == Some(queue_name(arn)))
        };
        let candidates: Vec<_> = read.iter().filter(is_source).collect();
        match (&candidates[..], &self.sources[..]) {
            ([only], _) => Ok(QueueName::Arn((*only).clone())),
            ([], []) => Err(wrong_target(format!(
                "{} has no source queue: name the queue to send to with --to (output RetryQueueUrl of the stack)",
                self.queue.name()
            ))),
            ([], sources) => Err(wrong_target(format!(
                "{} has several source queues: {}; choose one with --to",
                self.queue.name(),
                sources.join(", ")
            ))),
            (several, _) => {
                let names: Vec<_> = several.iter().map(|arn| arn.as_str()).collect();
                Err(wrong_target(format!(
                    "the function reads several queues: {}; choose one with --to",
                    names.join(", ")
                )))
            }
        }
    }
}

fn wrong_target(text: String) -> anyhow::Error {
    WrongArgument(text).into()
}

/// Returns the dead-letter queue that a function's settings name.
async fn of_function(function: &str, context: &Context) -> Result<QueueName> {
    let lambda = aws_sdk_lambda::Client::new(&in_region(context.aws().await?, region_of(function)));
    let request = lambda.get_function_configuration().function_name(function).send();
    let found =
        request.await.map_err(|error| AwsFailure::new(&error, "lambda:GetFunctionConfiguration", escaped(function)))?;
    let environment = found.environment();
    if let Some(error) = environment.and_then(|environment| environment.error()) {
        let code = error.error_code().unwrap_or("no code");
        return Err(anyhow!(
            "Lambda does not return the variables of function {} ({code}): name the queue with --queue",
            escaped(function)
        ));
    }
    let url = environment.and_then(|environment| environment.variables()?.get(VARIABLE)).map(|url| url.trim());
    let Some(url) = url.filter(|url| !url.is_empty()) else {
        return Err(anyhow!(
            "function {} has no {VARIABLE}: it only logs what FlexOrch rejects. If its queue has a dead-letter queue, name that with --queue",
            escaped(function)
        ));
    };
    url.parse().map_err(|error| anyhow!("{VARIABLE} of function {} is {url:?}: {error}", escaped(function)))
}

/// Returns the ARNs of the queues that a function reads.
async fn queues_of(function: &str, context: &Context) -> Result<Vec<String>> {
    let lambda = aws_sdk_lambda::Client::new(&in_region(context.aws().await?, region_of(function)));
    let pages = lambda.list_event_source_mappings().function_name(function).into_paginator().items().send();
    let mappings: Result<Vec<_>, _> = pages.collect().await;
    let mappings =
        mappings.map_err(|error| AwsFailure::new(&error, "lambda:ListEventSourceMappings", escaped(function)))?;
    let arns = mappings.into_iter().filter_map(|mapping| mapping.event_source_arn);
    Ok(arns.filter(|arn| QueueArn::parse(arn).is_ok()).collect())
}
