//! Sends objects to the function's queue, as S3 notifications.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use reqwest::Url;
use serde_json::{Value, json};

use super::journal::Settled;
use super::settle::{NextStep, SendResult};
use crate::aws_failure::{AwsFailure, FailureKind};
use crate::region::in_region;
use flexorch_s3_ingester::aws::sqs::region_of_url;
use flexorch_s3_ingester::event::s3::notification_of;
use flexorch_s3_ingester::model::object::S3Object;

/// Records per message. A message returns as a whole if one of its objects is deferred, so it must not contain too many; ten messages
/// fill one request of 100 keys. With the longest keys it is 40 KB long, far below the limit of 256 KB (SQS Developer Guide, "Amazon SQS message quotas").
const RECORDS_PER_MESSAGE: usize = 10;
/// Messages per call (SQS API Reference, `SendMessageBatch`).
const MESSAGES_PER_CALL: usize = 10;
/// Bytes per call, below the limit of 256 KB.
const BYTES_PER_CALL: usize = 250_000;

/// Sends messages to a queue.
#[derive(Debug)]
pub(crate) struct QueueSender {
    client: Client,
    url: Url,
}

/// A message to send: its body, and the positions of its objects.
struct Message {
    body: String,
    objects: std::ops::Range<usize>,
}

impl QueueSender {
    /// Creates a sender for the queue at `url`.
    ///
    /// # Errors
    /// If it is not the URL of a standard queue.
    pub(crate) fn new(sdk: &SdkConfig, url: &str) -> Result<Self> {
        // The URL is written into the journal, so it must not contain credentials.
        let is_plain = |url: &Url| url.username().is_empty() && url.password().is_none() && url.query().is_none();
        let Some(url) = Url::parse(url).ok().filter(is_plain) else {
            bail!(
                "--queue must be the plain URL of a queue, such as https://sqs.eu-west-1.amazonaws.com/123456789012/retry"
            );
        };
        if url.path().ends_with(".fifo") {
            bail!("--queue {url} is a FIFO queue: the function's queue is a standard queue");
        }
        Ok(Self { client: Client::new(&in_region(sdk, region_of_url(&url).as_deref())), url })
    }

    /// Sends objects, and evaluates what happened to them.
    pub(crate) async fn send(&self, objects: Vec<S3Object>) -> SendResult {
        let messages = messages(&objects);
        let (mut sent, mut next, mut requests) = (BTreeSet::new(), NextStep::Done, 0);
        for call in in_calls(&messages) {
            requests += 1;
            match self.send_call(&messages[call.clone()]).await {
                Ok((positions, trouble)) => {
                    sent.extend(positions.into_iter().map(|position| call.start + position));
                    next = trouble.unwrap_or(next);
                }
                Err(trouble) => {
                    next = trouble;
                    break;
                }
            }
        }
        let mut settled = Settled { requests, ..Settled::default() };
        let mut open = Vec::new();
        let mut objects = objects.into_iter();
        for (position, message) in messages.iter().enumerate() {
            let of_message = objects.by_ref().take(message.objects.len());
            if sent.contains(&position) {
                settled.forwarded += of_message.count() as u64;
            } else {
                open.extend(of_message);
            }
        }
        settled.open = open.iter().map(|object| object.key.as_str().to_owned()).collect();
        SendResult { settled, open, next }
    }

    /// Sends the messages of one call. Returns which of them are in the queue, and why the others are not.
    async fn send_call(&self, messages: &[Message]) -> Result<(Vec<usize>, Option<NextStep>), NextStep> {
        let mut call = self.client.send_message_batch().queue_url(self.url.as_str());
        for (position, message) in messages.iter().enumerate() {
            let entry =
                SendMessageBatchRequestEntry::builder().id(position.to_string()).message_body(&message.body).build();
            call = call.entries(entry.map_err(|error| NextStep::Stop { why: error.to_string() })?);
        }
        let response = match call.send().await {
            Ok(response) => response,
            Err(error) => {
                let failure = AwsFailure::new(&error, "sqs:SendMessage", self.url.as_str());
                return Err(match failure.kind {
                    FailureKind::Unavailable => retry(failure.to_string()),
                    _ => NextStep::Stop { why: failure.to_string() },
                });
            }
        };
        let trouble = response.failed().first().map(|failed| {
            let why = format!("SQS, {}: {}", failed.code(), failed.message().unwrap_or("no message"));
            if failed.sender_fault() { NextStep::Stop { why } } else { retry(why) }
        });
        // An entry that the response does not name is taken to be missing.
        let sent: Vec<_> = response.successful().iter().filter_map(|entry| entry.id().parse().ok()).collect();
        let trouble = match trouble {
            None if sent.len() < messages.len() => Some(retry("SQS did not report the result of a message".to_owned())),
            trouble => trouble,
        };
        Ok((sent, trouble))
    }
}

fn retry(why: String) -> NextStep {
    NextStep::Retry { not_before: None, affects_all: true, why }
}

fn messages(objects: &[S3Object]) -> Vec<Message> {
    let mut begin = 0;
    objects
        .chunks(RECORDS_PER_MESSAGE)
        .map(|objects| {
            let records: Vec<Value> =
                objects.iter().map(|object| notification_of(object)["Records"][0].take()).collect();
            let range = begin..begin + objects.len();
            begin = range.end;
            Message { body: json!({ "Records": records }).to_string(), objects: range }
        })
        .collect()
}

fn in_calls(messages: &[Message]) -> Vec<std::ops::Range<usize>> {
    let (mut calls, mut begin, mut bytes) = (Vec::new(), 0, 0);
    for (position, message) in messages.iter().enumerate() {
        let size = message.body.len();
        if position > begin && (position - begin == MESSAGES_PER_CALL || bytes + size > BYTES_PER_CALL) {
            calls.push(begin..position);
            (begin, bytes) = (position, 0);
        }
        bytes += size;
    }
    if begin < messages.len() {
        calls.push(begin..messages.len());
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;
    use flexorch_s3_ingester::model::object::ObjectKey;

    fn objects(number: usize, key: &str) -> Vec<S3Object> {
        let object = |number: usize| S3Object {
            size: Some(1),
            ..S3Object::new("b", ObjectKey::verbatim(format!("{key}{number}")).unwrap())
        };
        (0..number).map(object).collect()
    }

    #[test]
    fn a_hundred_objects_are_one_call_of_ten_messages() {
        let messages = messages(&objects(100, "k"));
        assert_eq!(messages.len(), 10);
        assert_eq!(in_calls(&messages).as_slice(), std::slice::from_ref(&(0..10)));
        assert_eq!(messages[9].objects, 90..100);
        let body: Value = serde_json::from_str(&messages[9].body).unwrap();
        assert_eq!(body["Records"].as_array().unwrap().len(), 10);
        assert_eq!(body["Records"][9]["s3"]["object"]["key"], "k99");
    }

    #[test]
    fn the_longest_keys_stay_within_the_limits_of_messages_and_calls() {
        let messages = messages(&objects(100, &"請".repeat(340)));
        assert!(messages.iter().all(|message| message.body.len() < 50_000));
        for call in in_calls(&messages) {
            assert!(messages[call].iter().map(|message| message.body.len()).sum::<usize>() <= BYTES_PER_CALL);
        }
    }
}
