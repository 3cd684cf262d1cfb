//! SQS: where rejected objects and unreadable messages go, and when deferred messages come back.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, MessageAttributeValue, SendMessageBatchRequestEntry,
};
use futures_util::{StreamExt, stream};
use reqwest::Url;

use super::sdk::{Regional, endpoint_override};
use crate::clock::Clock;
use crate::error::with_causes;

/// A batch call holds ten entries (SQS API Reference, `SendMessageBatch`),
const ENTRIES_PER_CALL: usize = 10;
/// and, far below the limit of a batch, this many bytes; a larger message goes alone.
const BYTES_PER_CALL: usize = 200_000;
/// So many calls are under way at once.
const CALLS_AT_ONCE: usize = 8;

/// No message can be sent for later than this (SQS API Reference, `SendMessage`).
const LONGEST_DELAY: Duration = Duration::from_secs(15 * 60);

/// A message for the dead-letter queue.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The body: a notification that can be redriven, or an unreadable message as it came.
    pub body: String,
    /// Name and text of the message's attributes.
    pub attributes: Vec<(&'static str, String)>,
}

/// When a message comes back.
#[derive(Debug, Clone)]
pub struct Return {
    /// The message's receipt handle.
    pub receipt_handle: String,
    /// How long it stays hidden from now on.
    pub after: Duration,
}

/// SQS clients, made when they are first needed.
#[derive(Debug)]
pub struct Queues {
    sdk: SdkConfig,
    clients: Regional<Client>,
    clock: Clock,
}

impl Queues {
    /// Nothing is made yet.
    #[must_use]
    pub fn new(sdk: SdkConfig, clock: Clock) -> Self {
        Self { sdk, clients: Regional::new(), clock }
    }

    /// Sends messages to a queue, until `end` at the latest. Answers for each, in order, whether it is there.
    pub async fn send(&self, queue: &Url, letters: &[DeadLetter], end: SystemTime) -> Vec<Result<(), String>> {
        let client = self.client(region_of_url(queue).as_deref());
        let mut results: Vec<Result<(), String>> = vec![Err("no time was left to send it".into()); letters.len()];
        let calls = in_calls(letters).into_iter().map(|range| {
            let client = &client;
            async move {
                let sent = self.send_call(client, queue, &letters[range.clone()], end).await;
                range.zip(sent).collect::<Vec<_>>()
            }
        });
        let mut under_way = stream::iter(calls).buffer_unordered(CALLS_AT_ONCE);
        while let Some(sent) = under_way.next().await {
            for (position, result) in sent {
                results[position] = result;
            }
        }
        results
    }

    async fn send_call(
        &self,
        client: &Client,
        queue: &Url,
        letters: &[DeadLetter],
        end: SystemTime,
    ) -> Vec<Result<(), String>> {
        let all = |reason: String| letters.iter().map(|_| Err(reason.clone())).collect();
        let mut call = client.send_message_batch().queue_url(queue.as_str());
        for (position, letter) in letters.iter().enumerate() {
            let mut entry = SendMessageBatchRequestEntry::builder().id(position.to_string()).message_body(&letter.body);
            for (name, text) in &letter.attributes {
                match MessageAttributeValue::builder().data_type("String").string_value(attribute_text(text)).build() {
                    Ok(value) => entry = entry.message_attributes(*name, value),
                    Err(error) => return all(with_causes(&error)),
                }
            }
            match entry.build() {
                Ok(entry) => call = call.entries(entry),
                Err(error) => return all(with_causes(&error)),
            }
        }
        match tokio::time::timeout(self.clock.until(end), call.send()).await {
            Err(_) => all("no answer from SQS in time".into()),
            Ok(Err(error)) => all(service_words(&error)),
            Ok(Ok(answer)) => {
                let mut results: Vec<Result<(), String>> = all("SQS did not say what became of it".into());
                for entry in answer.successful() {
                    set(&mut results, entry.id(), Ok(()));
                }
                for entry in answer.failed() {
                    let words = format!("{}: {}", entry.code(), entry.message().unwrap_or("no message"));
                    set(&mut results, entry.id(), Err(words));
                }
                results
            }
        }
    }

    /// Sets when messages come back, until `end` at the latest. Best effort: answers how many calls failed, and why the last did.
    pub async fn set_visibility(
        &self,
        queue_arn: &str,
        returns: &[Return],
        end: SystemTime,
    ) -> Option<(usize, String)> {
        let Some(queue) = QueueArn::parse(queue_arn) else {
            return Some((returns.len(), format!("{queue_arn:?} is not the ARN of a queue")));
        };
        let client = self.client(Some(queue.region));
        let url = queue.url(endpoint_override(&self.sdk, "SQS").as_deref());
        let calls = returns.chunks(ENTRIES_PER_CALL).map(|chunk| {
            let (client, url) = (&client, &url);
            async move {
                let mut call = client.change_message_visibility_batch().queue_url(url);
                for (position, message) in chunk.iter().enumerate() {
                    let seconds = message.after.as_secs();
                    let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                        .id(position.to_string())
                        .receipt_handle(&message.receipt_handle)
                        .visibility_timeout(i32::try_from(seconds).unwrap_or(i32::MAX))
                        .build();
                    match entry {
                        Ok(entry) => call = call.entries(entry),
                        Err(error) => return Some(with_causes(&error)),
                    }
                }
                match tokio::time::timeout(self.clock.until(end), call.send()).await {
                    Err(_) => Some("no answer from SQS in time".to_owned()),
                    Ok(Err(error)) => Some(service_words(&error)),
                    Ok(Ok(answer)) => answer.failed().first().map(|entry| entry.code().to_owned()),
                }
            }
        });
        let failures: Vec<_> =
            stream::iter(calls).buffer_unordered(CALLS_AT_ONCE).filter_map(std::future::ready).collect().await;
        failures.last().map(|reason| (failures.len(), reason.clone()))
    }

    /// Sends one message to the queue of this ARN, to be received after `delay`.
    ///
    /// # Errors
    /// What SQS, or the connection to it, said.
    pub async fn send_to_arn(
        &self,
        queue_arn: &str,
        body: String,
        delay: Duration,
        end: SystemTime,
    ) -> Result<(), String> {
        let queue = QueueArn::parse(queue_arn).ok_or_else(|| format!("{queue_arn:?} is not the ARN of a queue"))?;
        let call = self
            .client(Some(queue.region))
            .send_message()
            .queue_url(queue.url(endpoint_override(&self.sdk, "SQS").as_deref()))
            .message_body(body)
            .delay_seconds(i32::try_from(delay.min(LONGEST_DELAY).as_secs()).unwrap_or_default());
        match tokio::time::timeout(self.clock.until(end), call.send()).await {
            Err(_) => Err("no answer from SQS in time".to_owned()),
            Ok(Err(error)) => Err(service_words(&error)),
            Ok(Ok(_)) => Ok(()),
        }
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

/// A queue's ARN, `arn:aws:sqs:REGION:ACCOUNT:NAME`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct QueueArn<'a> {
    partition: &'a str,
    pub(crate) region: &'a str,
    account: &'a str,
    pub(crate) name: &'a str,
}

impl<'a> QueueArn<'a> {
    pub(crate) fn parse(arn: &'a str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':');
        match (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?) {
            ("arn", partition, "sqs", region, account, name) => Some(Self { partition, region, account, name }),
            _ => None,
        }
    }

    /// The queue's URL, which follows from its ARN (SQS Developer Guide, "Queue and message identifiers").
    pub(crate) fn url(&self, endpoint: Option<&str>) -> String {
        let Self { partition, region, account, name } = self;
        match endpoint {
            Some(endpoint) => format!("{}/{account}/{name}", endpoint.trim_end_matches('/')),
            None => {
                let suffix = if *partition == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
                format!("https://sqs.{region}.{suffix}/{account}/{name}")
            }
        }
    }
}

/// The region in a queue's URL, `https://sqs.REGION.amazonaws.com/…`; `None` for another address.
pub(crate) fn region_of_url(url: &Url) -> Option<String> {
    let mut labels = url.host_str()?.split('.');
    match (labels.next(), labels.next(), labels.next()) {
        (Some("sqs"), Some(region), Some("amazonaws")) => Some(region.to_owned()),
        _ => None,
    }
}

/// Cuts messages into calls.
fn in_calls(letters: &[DeadLetter]) -> Vec<std::ops::Range<usize>> {
    let (mut calls, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (position, letter) in letters.iter().enumerate() {
        let size =
            letter.body.len() + letter.attributes.iter().map(|(name, text)| name.len() + text.len()).sum::<usize>();
        if position > start && (position - start == ENTRIES_PER_CALL || bytes + size > BYTES_PER_CALL) {
            calls.push(start..position);
            (start, bytes) = (position, 0);
        }
        bytes += size;
    }
    if start < letters.len() {
        calls.push(start..letters.len());
    }
    calls
}

/// Text as an attribute may hold it: not empty, and without the control characters that SQS refuses (SQS API Reference,
/// `SendMessage`).
fn attribute_text(text: &str) -> String {
    let clean: String = text
        .chars()
        .take(1_000)
        .map(|c| if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') { ' ' } else { c })
        .collect();
    if clean.is_empty() { "-".to_owned() } else { clean }
}

fn set(results: &mut [Result<(), String>], id: &str, result: Result<(), String>) {
    if let Some(slot) = id.parse::<usize>().ok().and_then(|position| results.get_mut(position)) {
        *slot = result;
    }
}

fn service_words<E: ProvideErrorMetadata + std::error::Error + 'static>(error: &SdkError<E>) -> String {
    match error.as_service_error() {
        Some(service) => {
            format!("{}: {}", service.code().unwrap_or("error"), service.message().unwrap_or("no message"))
        }
        None => with_causes(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(bytes: usize) -> DeadLetter {
        DeadLetter { body: "x".repeat(bytes), attributes: Vec::new() }
    }

    #[test]
    fn a_queues_url_follows_from_its_arn() {
        let arn = QueueArn::parse("arn:aws:sqs:eu-west-1:123456789012:retry").unwrap();
        assert_eq!(arn.url(None), "https://sqs.eu-west-1.amazonaws.com/123456789012/retry");
        assert_eq!(arn.url(Some("http://127.0.0.1:9324/")), "http://127.0.0.1:9324/123456789012/retry");
        let china = QueueArn::parse("arn:aws-cn:sqs:cn-north-1:123456789012:retry").unwrap();
        assert_eq!(china.url(None), "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/retry");
        assert_eq!(QueueArn::parse("arn:aws:s3:::bucket"), None);
    }

    #[test]
    fn calls_hold_ten_messages_and_no_more_bytes_than_a_call_takes() {
        assert_eq!(in_calls(&vec![letter(10); 21]), [0..10, 10..20, 20..21]);
        assert_eq!(in_calls(&[letter(150_000), letter(60_000), letter(900_000), letter(1)]), [0..1, 1..2, 2..3, 3..4]);
        assert!(in_calls(&[]).is_empty());
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
