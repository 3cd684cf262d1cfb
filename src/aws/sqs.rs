//! SQS: sends messages, deletes them, and sets their visibility timeouts, in batches.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
    MessageAttributeValue, SendMessageBatchRequestEntry,
};
use futures_util::{StreamExt, stream};
use reqwest::Url;

use super::failure::{Action, CallError, FailureKind, call_until};
use super::sdk::{Regional, endpoint_override};
use crate::clock::Clock;
use crate::model::arn::QueueArn;
use crate::model::message::{AttributeValue, LONGEST_DELAY, MessageAttribute, MessageGroup};
use crate::redaction::redacted;

/// The most entries of a batch call (SQS API Reference, `SendMessageBatch`).
const ENTRIES_PER_CALL: usize = 10;
/// The most bytes of a batch call, far below the limit of 1 MiB for all of its messages (SQS Developer Guide, "Amazon SQS message
/// quotas"). A larger message is sent alone.
pub(crate) const BYTES_PER_CALL: usize = 200_000;
/// The most calls in flight.
const CONCURRENT_CALLS: usize = 8;

/// A message for the dead-letter queue.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The body: a notification that can be redriven, or an unreadable message, unchanged.
    pub body: String,
    /// The names and texts of the message's attributes.
    pub attributes: Vec<(&'static str, String)>,
}

/// A message for the queue from which the invocation's messages came.
#[derive(Debug, Clone)]
pub struct OutgoingMessage {
    /// The body.
    pub body: String,
    /// Its message attributes, unchanged.
    pub attributes: Vec<MessageAttribute>,
    /// How long it stays hidden, [`LONGEST_DELAY`] at most. A FIFO queue accepts no delay of a single message.
    pub delay: Duration,
    /// Its group, if it has one.
    pub group: Option<MessageGroup>,
}

/// How long a received message stays hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisibilityChange {
    /// The message's receipt handle.
    pub receipt_handle: String,
    /// How long it stays hidden from now on.
    pub hidden_for: Duration,
}

/// SQS clients, created when first needed.
#[derive(Debug)]
pub struct Queues {
    sdk: SdkConfig,
    clients: Regional<Client>,
    clock: Clock,
}

/// The results of a batch call's entries, for any operation.
struct BatchOutput {
    successful: Vec<String>,
    failed: Vec<BatchResultErrorEntry>,
}

/// The batch calls of one operation on one queue.
struct Calls<'a> {
    client: Client,
    url: String,
    action: Action<'a>,
    end: SystemTime,
}

impl Queues {
    /// Creates the cache, without clients.
    #[must_use]
    pub fn new(sdk: SdkConfig, clock: Clock) -> Self {
        Self { sdk, clients: Regional::new(), clock }
    }

    /// Sends dead letters to a queue, until `end` at the latest. Returns each one's result, in order.
    pub async fn send(&self, queue: &Url, letters: &[DeadLetter], end: SystemTime) -> Vec<Result<(), CallError>> {
        let calls = self.calls_to_url(queue, end);
        let size = |letter: &DeadLetter| {
            letter.body.len() + letter.attributes.iter().map(|(name, text)| name.len() + text.len()).sum::<usize>()
        };
        let entry = |id: String, letter: &DeadLetter| {
            let mut entry = SendMessageBatchRequestEntry::builder().id(id).message_body(&letter.body);
            for (name, text) in &letter.attributes {
                entry = entry.message_attributes(*name, text_attribute("String", attribute_text(&redacted(text)))?);
            }
            entry.build().map_err(invalid)
        };
        self.in_batches(&calls, letters, size, async |letters| self.send_batch(&calls, entries(letters, entry)?).await)
            .await
    }

    /// Sends messages to the queue with this ARN, until `end` at the latest. Returns each one's result, in order.
    pub async fn send_to_arn(
        &self,
        queue_arn: &str,
        messages: &[OutgoingMessage],
        end: SystemTime,
    ) -> Vec<Result<(), CallError>> {
        match self.calls(queue_arn, "sqs:SendMessage", end) {
            Ok(calls) => self.send_all(&calls, messages).await,
            Err(error) => vec![Err(error); messages.len()],
        }
    }

    /// Sends messages to the queue with this URL, until `end` at the latest. Returns each one's result, in order.
    pub async fn send_to_url(
        &self,
        queue: &Url,
        messages: &[OutgoingMessage],
        end: SystemTime,
    ) -> Vec<Result<(), CallError>> {
        self.send_all(&self.calls_to_url(queue, end), messages).await
    }

    async fn send_all(&self, calls: &Calls<'_>, messages: &[OutgoingMessage]) -> Vec<Result<(), CallError>> {
        let size = |message: &OutgoingMessage| {
            message.body.len() + message.attributes.iter().map(MessageAttribute::size).sum::<usize>()
        };
        let entry = |id: String, message: &OutgoingMessage| {
            let mut entry = SendMessageBatchRequestEntry::builder().id(id).message_body(&message.body);
            match &message.group {
                Some(MessageGroup { id, deduplication_id }) => {
                    entry = entry.message_group_id(id).set_message_deduplication_id(deduplication_id.clone());
                }
                None => {
                    let seconds = message.delay.min(LONGEST_DELAY).as_secs();
                    entry = entry.delay_seconds(i32::try_from(seconds).unwrap_or_default());
                }
            }
            for attribute in &message.attributes {
                entry = entry.message_attributes(&attribute.name, to_sdk(attribute)?);
            }
            entry.build().map_err(invalid)
        };
        self.in_batches(calls, messages, size, async |messages| self.send_batch(calls, entries(messages, entry)?).await)
            .await
    }

    /// Sets the visibility timeouts of messages, until `end` at the latest. Returns each one's result, in order.
    pub async fn set_visibility(
        &self,
        queue_arn: &str,
        changes: &[VisibilityChange],
        end: SystemTime,
    ) -> Vec<Result<(), CallError>> {
        let calls = match self.calls(queue_arn, "sqs:ChangeMessageVisibility", end) {
            Ok(calls) => calls,
            Err(error) => return vec![Err(error); changes.len()],
        };
        let entry = |id: String, change: &VisibilityChange| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(id)
                .receipt_handle(&change.receipt_handle)
                .visibility_timeout(i32::try_from(change.hidden_for.as_secs()).unwrap_or(i32::MAX))
                .build()
                .map_err(invalid)
        };
        self.in_batches(
            &calls,
            changes,
            |_| 0,
            async |changes| {
                let entries = entries(changes, entry)?;
                let Calls { client, url, action, end } = &calls;
                let call = || client.change_message_visibility_batch().queue_url(url).set_entries(Some(entries)).send();
                let output = call_until(&self.clock, *end, *action, call).await?;
                let successful = output.successful.into_iter().map(|entry| entry.id).collect();
                Ok(BatchOutput { successful, failed: output.failed })
            },
        )
        .await
    }

    /// Deletes received messages, until `end` at the latest. Returns the result for each receipt handle, in order.
    pub async fn delete(
        &self,
        queue_arn: &str,
        receipt_handles: &[String],
        end: SystemTime,
    ) -> Vec<Result<(), CallError>> {
        let calls = match self.calls(queue_arn, "sqs:DeleteMessage", end) {
            Ok(calls) => calls,
            Err(error) => return vec![Err(error); receipt_handles.len()],
        };
        let entry = |id: String, handle: &String| {
            DeleteMessageBatchRequestEntry::builder().id(id).receipt_handle(handle).build().map_err(invalid)
        };
        self.in_batches(
            &calls,
            receipt_handles,
            |_| 0,
            async |handles| {
                let entries = entries(handles, entry)?;
                let Calls { client, url, action, end } = &calls;
                let call = || client.delete_message_batch().queue_url(url).set_entries(Some(entries)).send();
                let output = call_until(&self.clock, *end, *action, call).await?;
                let successful = output.successful.into_iter().map(|entry| entry.id).collect();
                Ok(BatchOutput { successful, failed: output.failed })
            },
        )
        .await
    }

    async fn send_batch(
        &self,
        calls: &Calls<'_>,
        entries: Vec<SendMessageBatchRequestEntry>,
    ) -> Result<BatchOutput, CallError> {
        let Calls { client, url, action, end } = calls;
        let call = || client.send_message_batch().queue_url(url).set_entries(Some(entries)).send();
        let output = call_until(&self.clock, *end, *action, call).await?;
        let successful = output.successful.into_iter().map(|entry| entry.id).collect();
        Ok(BatchOutput { successful, failed: output.failed })
    }

    /// Makes as many batch calls as the items need, several in flight, and returns each item's result. After `end`, no further item costs
    /// anything.
    async fn in_batches<T>(
        &self,
        calls: &Calls<'_>,
        items: &[T],
        size: impl Fn(&T) -> usize,
        call: impl AsyncFn(&[T]) -> Result<BatchOutput, CallError>,
    ) -> Vec<Result<(), CallError>> {
        let mut results = vec![Err(CallError::NoTime(calls.action.service)); items.len()];
        let in_time = |_: &Range<usize>| std::future::ready(self.clock.now() < calls.end);
        let mut in_flight = stream::iter(into_calls(items, size))
            .take_while(in_time)
            .map(|range| async { (range.clone(), call(&items[range]).await) })
            .buffer_unordered(CONCURRENT_CALLS);
        while let Some((range, output)) = in_flight.next().await {
            report(&mut results[range], output, calls.action);
        }
        results
    }

    /// Prepares calls to the queue with this ARN.
    fn calls<'a>(&self, queue_arn: &'a str, permission: &'static str, end: SystemTime) -> Result<Calls<'a>, CallError> {
        let queue = QueueArn::parse(queue_arn).map_err(invalid)?;
        let action = Action { service: "SQS", permission, resource: queue_arn };
        let url = queue.url(endpoint_override(&self.sdk, "SQS").as_deref());
        Ok(Calls { client: self.client(Some(queue.region)), url, action, end })
    }

    /// Prepares sends to the queue with this URL.
    fn calls_to_url<'a>(&self, queue: &'a Url, end: SystemTime) -> Calls<'a> {
        let action = Action { service: "SQS", permission: "sqs:SendMessage", resource: queue.as_str() };
        Calls { client: self.client(region_of_url(queue).as_deref()), url: queue.as_str().to_owned(), action, end }
    }

    fn client(&self, region: Option<&str>) -> Client {
        self.clients.get(region, |region| {
            let mut config = aws_sdk_sqs::config::Builder::from(&self.sdk);
            if region.is_some() {
                config.set_region(region);
            }
            Client::from_conf(config.build())
        })
    }
}

/// Why a visibility timeout was not set, as SQS says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum VisibilityProblem {
    /// The role lacks `sqs:ChangeMessageVisibility`.
    Permission,
    /// The timeout exceeds the 12 hours that SQS allows from the receive.
    BeyondLimit,
    /// The message is no longer this receiver's: it is visible again, deleted, or was received by another.
    MessageGone,
    /// Too many calls.
    Throttled,
    /// No time was left, or there was no response.
    Unavailable,
    /// Anything else: see the error.
    Other,
}

impl VisibilityProblem {
    /// Reads the reason from the call's error.
    #[must_use]
    pub fn of(error: &CallError) -> Self {
        match error.kind() {
            FailureKind::Permission => return Self::Permission,
            FailureKind::Throttled => return Self::Throttled,
            FailureKind::Unavailable => return Self::Unavailable,
            _ => {}
        }
        let CallError::Refused(refusal) = error else { return Self::Other };
        let (code, message) = (refusal.code.as_deref().unwrap_or_default(), refusal.message.as_str());
        if code.contains("ReceiptHandleIsInvalid") || code.contains("MessageNotInflight") {
            return Self::MessageGone;
        }
        // The code has two reasons; SQS's message names the parameter.
        if code.contains("InvalidParameterValue") && message.contains("ReceiptHandle") {
            return Self::MessageGone;
        }
        if code.contains("InvalidParameterValue") && message.contains("VisibilityTimeout") {
            return Self::BeyondLimit;
        }
        Self::Other
    }

    /// Returns the reason as written in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permission => "permission",
            Self::BeyondLimit => "limit",
            Self::MessageGone => "message-gone",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Other => "other",
        }
    }

    /// Returns what an operator does about it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Permission => "allow the function sqs:ChangeMessageVisibility on the queue",
            Self::BeyondLimit => "report it: the function asks for no more than SQS allows",
            Self::MessageGone => {
                "nothing if it is rare; otherwise raise the queue's visibility timeout to at least 6 times the function's timeout"
            }
            Self::Throttled | Self::Unavailable => "nothing if it is rare",
            Self::Other => "see SQS's message",
        }
    }
}

fn to_sdk(attribute: &MessageAttribute) -> Result<MessageAttributeValue, CallError> {
    match &attribute.value {
        AttributeValue::Text(text) => text_attribute(&attribute.data_type, text.clone()),
        AttributeValue::Base64(text) => {
            let bytes = aws_smithy_types::base64::decode(text).map_err(invalid)?;
            let value = MessageAttributeValue::builder().data_type(&attribute.data_type).binary_value(bytes.into());
            value.build().map_err(invalid)
        }
    }
}

fn text_attribute(data_type: &str, text: String) -> Result<MessageAttributeValue, CallError> {
    MessageAttributeValue::builder().data_type(data_type).string_value(text).build().map_err(invalid)
}

/// The entries of one call. An entry's id is its position.
fn entries<T, E>(items: &[T], entry: impl Fn(String, &T) -> Result<E, CallError>) -> Result<Vec<E>, CallError> {
    items.iter().enumerate().map(|(position, item)| entry(position.to_string(), item)).collect()
}

/// Records the results of a call's entries.
fn report(results: &mut [Result<(), CallError>], output: Result<BatchOutput, CallError>, action: Action<'_>) {
    let output = match output {
        Ok(output) => output,
        Err(error) => return results.fill(Err(error)),
    };
    results.fill(Err(CallError::Unreported(action.service)));
    let position = |id: &str| id.parse::<usize>().ok();
    for id in &output.successful {
        if let Some(result) = position(id).and_then(|position| results.get_mut(position)) {
            *result = Ok(());
        }
    }
    for entry in &output.failed {
        if let Some(result) = position(entry.id()).and_then(|position| results.get_mut(position)) {
            *result = Err(CallError::of_entry(entry.code(), entry.message(), action));
        }
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> CallError {
    CallError::Invalid(std::sync::Arc::new(error))
}

/// Returns the region in a queue's URL, `https://sqs.REGION.amazonaws.com/…`; `None` for another address.
#[must_use]
pub fn region_of_url(url: &Url) -> Option<String> {
    let mut labels = url.host_str()?.split('.');
    match (labels.next(), labels.next(), labels.next()) {
        (Some("sqs"), Some(region), Some("amazonaws")) => Some(region.to_owned()),
        _ => None,
    }
}

/// Splits items into calls.
fn into_calls<T>(items: &[T], size: impl Fn(&T) -> usize) -> Vec<Range<usize>> {
    let (mut calls, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (position, item) in items.iter().enumerate() {
        let size = size(item);
        if position > start && (position - start == ENTRIES_PER_CALL || bytes + size > BYTES_PER_CALL) {
            calls.push(start..position);
            (start, bytes) = (position, 0);
        }
        bytes += size;
    }
    if start < items.len() {
        calls.push(start..items.len());
    }
    calls
}

/// Returns text that SQS accepts as an attribute: not empty, and without the control characters that it refuses (SQS API Reference,
/// `SendMessage`).
fn attribute_text(text: &str) -> String {
    let clean: String = text
        .chars()
        .take(1_000)
        .map(|c| if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') { ' ' } else { c })
        .collect();
    if clean.is_empty() { "-".to_owned() } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_hold_ten_messages_and_no_more_bytes_than_a_call_takes() {
        let calls = |sizes: &[usize]| into_calls(sizes, |size| *size);
        assert_eq!(calls(&[10; 21]), [0..10, 10..20, 20..21]);
        assert_eq!(calls(&[150_000, 60_000, 900_000, 1]), [0..1, 1..2, 2..3, 3..4]);
        assert!(calls(&[]).is_empty());
    }

    #[test]
    fn the_reason_of_a_refused_visibility_timeout_is_what_sqs_says() {
        const ACTION: Action<'_> = Action { service: "SQS", permission: "p", resource: "q" };
        let beyond = "Value 43200 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds].";
        let gone = "Value AQEB for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.";
        for (code, message, reason) in [
            ("AccessDenied", "not authorized", VisibilityProblem::Permission),
            ("InvalidParameterValue", beyond, VisibilityProblem::BeyondLimit),
            ("InvalidParameterValue", gone, VisibilityProblem::MessageGone),
            ("ReceiptHandleIsInvalid", "x", VisibilityProblem::MessageGone),
            ("AWS.SimpleQueueService.MessageNotInflight", "x", VisibilityProblem::MessageGone),
            ("RequestThrottled", "x", VisibilityProblem::Throttled),
            ("InternalError", "x", VisibilityProblem::Unavailable),
            ("AWS.SimpleQueueService.NonExistentQueue", "x", VisibilityProblem::Other),
            ("InvalidParameterValue", "x", VisibilityProblem::Other),
        ] {
            assert_eq!(
                VisibilityProblem::of(&CallError::of_entry(code, Some(message), ACTION)),
                reason,
                "{code} {message}"
            );
        }
        assert_eq!(VisibilityProblem::of(&CallError::NoTime("SQS")), VisibilityProblem::Unavailable);
    }

    #[test]
    fn an_entry_that_the_response_does_not_name_has_not_succeeded() {
        const ACTION: Action<'_> = Action { service: "SQS", permission: "p", resource: "q" };
        let mut results = vec![Ok(()); 3];
        let failed =
            BatchResultErrorEntry::builder().id("2").code("InternalError").sender_fault(false).build().unwrap();
        report(
            &mut results,
            Ok(BatchOutput { successful: vec!["0".into(), "7".into()], failed: vec![failed] }),
            ACTION,
        );
        assert!(results[0].is_ok());
        assert!(matches!(results[1], Err(CallError::Unreported("SQS"))));
        assert!(
            matches!(&results[2], Err(CallError::Refused(refusal)) if refusal.code.as_deref() == Some("InternalError"))
        );
    }

    #[test]
    fn an_attribute_is_never_empty_and_holds_no_control_characters() {
        assert_eq!(attribute_text(""), "-");
        assert_eq!(attribute_text("a\nb\u{0}"), "a b ");
    }

    #[test]
    fn the_region_is_read_from_an_aws_queue_url_only() {
        let region = |url: &str| region_of_url(&url.parse().unwrap());
        assert_eq!(region("https://sqs.eu-west-1.amazonaws.com/1/q").as_deref(), Some("eu-west-1"));
        assert_eq!(region("http://127.0.0.1:4566/1/q"), None);
    }
}
