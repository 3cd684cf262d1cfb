//! A queue as the other files need it: received from, sent to, deleted from.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use aws_sdk_sqs::{Client, Config};
use aws_smithy_types::timeout::TimeoutConfig;
use futures_util::future::join_all;
use jiff::SignedDuration;

use crate::args::QueueName;
use crate::aws_failure::AwsFailure;
use crate::context::Context;
use crate::region::in_region;
use flexorch_s3_ingester::aws::failure::{CallError, FailureKind, Refusal};
use flexorch_s3_ingester::aws::sdk::endpoint_override;
use flexorch_s3_ingester::aws::sqs::{OutgoingMessage, Queues, VisibilityChange, VisibilityProblem, region_of_url};
use flexorch_s3_ingester::clock::Clock;
use flexorch_s3_ingester::model::arn::{QueueArn, queue_name};

/// A received letter stays hidden for this long, unless it is made visible before: after a kill, for the rest of it.
pub(crate) const HIDDEN_FOR: Duration = Duration::from_secs(300);
/// The maximum per call (SQS API Reference, `ReceiveMessage`).
pub(crate) const MESSAGES_PER_CALL: u32 = 10;
/// One attempt to receive letters. Ten may have 10 MiB, and a long poll waits before it responds.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(30);
/// All attempts of the calls for some letters.
const CALLS_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) arn: String,
    pub(crate) url: String,
    attributes: HashMap<QueueAttributeName, String>,
    client: Client,
    calls: Queues,
    clock: Clock,
}

impl Queue {
    /// Opens a queue: reads its attributes.
    ///
    /// # Errors
    /// If it does not exist, or `sqs:GetQueueAttributes` is missing.
    pub(crate) async fn open(name: &QueueName, context: &Context) -> anyhow::Result<Self> {
        let sdk = context.aws().await?;
        let (url, region) = match name {
            QueueName::Arn(arn) => {
                let parsed = QueueArn::parse(arn).map_err(|error| AwsFailure::not_an_arn(&error, ATTRIBUTES))?;
                (parsed.url(endpoint_override(sdk, "SQS").as_deref()), Some(parsed.region.to_owned()))
            }
            QueueName::Url(url) => (url.as_str().to_owned(), region_of_url(url)),
        };
        let client = Client::new(&in_region(sdk, region.as_deref()));
        let request = client.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::All).send();
        let named = match name {
            QueueName::Arn(arn) => arn,
            QueueName::Url(_) => &url,
        };
        let response = request.await.map_err(|error| AwsFailure::new(&error, ATTRIBUTES, named))?;
        let attributes = response.attributes.unwrap_or_default();
        let arn = attributes.get(&QueueAttributeName::QueueArn).cloned().unwrap_or_default();
        QueueArn::parse(&arn).map_err(|error| AwsFailure::not_an_arn(&error, ATTRIBUTES))?;
        let calls = Queues::new(sdk.clone(), context.clock);
        Ok(Self { arn, url, attributes, client, calls, clock: context.clock })
    }

    pub(crate) fn name(&self) -> &str {
        queue_name(&self.arn)
    }

    pub(crate) fn is_fifo(&self) -> bool {
        self.arn.ends_with(".fifo")
    }

    /// Returns how long it keeps a message.
    pub(crate) fn retention(&self) -> Option<SignedDuration> {
        let seconds = self.attributes.get(&QueueAttributeName::MessageRetentionPeriod)?.parse().ok()?;
        Some(SignedDuration::from_secs(seconds))
    }

    /// Returns how many messages were visible, and how many hidden, when the queue was opened.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let number = |name| self.attributes.get(&name).and_then(|text| text.parse().ok()).unwrap_or_default();
        (
            number(QueueAttributeName::ApproximateNumberOfMessages),
            number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
        )
    }

    /// Returns its own dead-letter queue's ARN, and after how many receives it moves a message there.
    pub(crate) fn redrive_policy(&self) -> Option<(String, u64)> {
        let policy: serde_json::Value =
            serde_json::from_str(self.attributes.get(&QueueAttributeName::RedrivePolicy)?).ok()?;
        let receives = &policy["maxReceiveCount"];
        let receives = receives.as_u64().or_else(|| receives.as_str()?.parse().ok())?;
        Some((policy["deadLetterTargetArn"].as_str()?.to_owned(), receives))
    }

    /// Returns the URLs of the queues whose dead letters it receives.
    pub(crate) async fn sources(&self) -> Result<Vec<String>, AwsFailure> {
        let pages = self.client.list_dead_letter_source_queues().queue_url(&self.url).into_paginator().items().send();
        let urls: Result<Vec<_>, _> = pages.collect().await;
        urls.map_err(|error| AwsFailure::new(&error, "sqs:ListDeadLetterSourceQueues", &self.arn))
    }

    /// Receives up to `most` messages in each of so many concurrent calls, and hides them. Waits up to `wait` seconds for the first.
    ///
    /// # Errors
    /// If every call fails. The messages of the others are returned.
    pub(crate) async fn receive(&self, calls: usize, most: u32, wait: i32) -> Result<Vec<Message>, AwsFailure> {
        let timeouts =
            TimeoutConfig::builder().operation_attempt_timeout(RECEIVE_TIMEOUT).read_timeout(RECEIVE_TIMEOUT);
        let timeouts = timeouts.build();
        let one = || {
            self.client
                .receive_message()
                .queue_url(&self.url)
                .max_number_of_messages(i32::try_from(most).unwrap_or(1))
                .wait_time_seconds(wait)
                .visibility_timeout(i32::try_from(HIDDEN_FOR.as_secs()).unwrap_or(i32::MAX))
                .message_attribute_names("All")
                .message_system_attribute_names(MessageSystemAttributeName::All)
                .customize()
                .config_override(Config::builder().timeout_config(timeouts.clone()))
                .send()
        };
        let (mut messages, mut failure) = (Vec::new(), None);
        for response in join_all((0..calls).map(|_| one())).await {
            match response {
                Ok(response) => messages.extend(response.messages.unwrap_or_default()),
                Err(error) => failure = Some(AwsFailure::new(&error, "sqs:ReceiveMessage", &self.arn)),
            }
        }
        match failure {
            Some(failure) if messages.is_empty() => Err(failure),
            _ => Ok(messages),
        }
    }

    /// Makes messages visible again. Returns why some of them stay hidden, and how many: those that another reader has by now, or that are
    /// gone, do not count.
    pub(crate) async fn release(&self, receipt_handles: Vec<String>) -> Option<(usize, CallError)> {
        let visible = |receipt_handle| VisibilityChange { receipt_handle, hidden_for: Duration::ZERO };
        let changes: Vec<_> = receipt_handles.into_iter().map(visible).collect();
        let end = self.clock.now() + CALLS_TIMEOUT;
        let results = self.calls.set_visibility(&self.arn, &changes, end).await;
        let failures = self.for_operator(results, "sqs:ChangeMessageVisibility").into_iter().filter_map(Result::err);
        let mut failures: Vec<_> =
            failures.filter(|error| VisibilityProblem::of(error) != VisibilityProblem::MessageGone).collect();
        failures.pop().map(|last| (failures.len() + 1, last))
    }

    /// Deletes received messages. Returns for each, in order, whether it is deleted.
    pub(crate) async fn delete(&self, receipt_handles: &[String]) -> Vec<Result<(), CallError>> {
        let results = self.calls.delete(&self.arn, receipt_handles, self.clock.now() + CALLS_TIMEOUT).await;
        self.for_operator(results, "sqs:DeleteMessage")
    }

    /// Sends messages. Returns for each, in order, whether it is in the queue.
    pub(crate) async fn send(&self, messages: &[OutgoingMessage]) -> Vec<Result<(), CallError>> {
        let results = self.calls.send_to_arn(&self.arn, messages, self.clock.now() + CALLS_TIMEOUT).await;
        self.for_operator(results, "sqs:SendMessage")
    }

    /// Words a missing permission for the operator: it is not the function's role that lacks it.
    fn for_operator(&self, results: Vec<Result<(), CallError>>, permission: &str) -> Vec<Result<(), CallError>> {
        let hint = |refusal: &Refusal| {
            let is_denied = refusal.kind() == FailureKind::Permission;
            is_denied.then(|| format!("your AWS identity needs {permission} on {}", self.arn))
        };
        results.into_iter().map(|result| result.map_err(|error| error.with_hint(hint))).collect()
    }
}

const ATTRIBUTES: &str = "sqs:GetQueueAttributes";
