//! Objects → the retry queue, as S3 notifications that the function reads.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use aws_config::{Region, SdkConfig};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use reqwest::Url;
use serde_json::{Value, json};

use super::super::aws_failure::{AwsFailure, FailureKind};
use super::journal::Settled;
use super::settle::{Judged, Next};
use flexorch_s3_ingester::aws::sqs::region_of_url;
use flexorch_s3_ingester::event::s3::notification_of;
use flexorch_s3_ingester::model::object::S3Object;

/// Records in a message. A message comes back whole where one of its objects is deferred, so it must not hold too many; a batch of
/// ten messages, which is what the function receives at once, fills one request of 100 keys. The longest keys make 40 KB of it, far
/// below the limit of 256 KB (SQS Developer Guide, "Amazon SQS message quotas").
const RECORDS_PER_MESSAGE: usize = 10;
/// Messages in a call (SQS API Reference, `SendMessageBatch`),
const MESSAGES_PER_CALL: usize = 10;
/// and bytes, which hold for the call as well.
const BYTES_PER_CALL: usize = 250_000;

/// A queue.
#[derive(Debug)]
pub(super) struct QueueSender {
    client: Client,
    url: Url,
}

/// A message that is to be sent: its text, and the positions of its objects.
struct Message {
    body: String,
    objects: std::ops::Range<usize>,
}

impl QueueSender {
    /// A sender to the queue at `url`.
    ///
    /// # Errors
    /// Where it is no standard queue.
    pub(super) fn new(sdk: &SdkConfig, url: &str) -> Result<Self> {
        // The journal holds the URL, so nothing else may be in it.
        let is_plain = |url: &Url| url.username().is_empty() && url.password().is_none() && url.query().is_none();
        let Some(url) = Url::parse(url).ok().filter(is_plain) else {
            bail!(
                "--queue must be a queue's URL such as https://sqs.eu-west-1.amazonaws.com/123456789012/retry, and nothing besides"
            );
        };
        if url.path().ends_with(".fifo") {
            bail!(
                "--queue {url} is a FIFO queue: the function's queue is a standard one (its order would hold the objects up)"
            );
        }
        let mut config = aws_sdk_sqs::config::Builder::from(sdk);
        if let Some(region) = region_of_url(&url) {
            config.set_region(Some(Region::new(region)));
        }
        Ok(Self { client: Client::from_conf(config.build()), url })
    }

    /// Sends objects, and judges what became of them.
    pub(super) async fn send(&self, objects: Vec<S3Object>) -> Judged {
        let messages = messages(&objects);
        let (mut sent, mut next, mut requests) = (BTreeSet::new(), Next::Nothing, 0);
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
        Judged { settled, open, next }
    }

    /// Sends the messages of one call; answers which of them are in the queue, and what kept the others out.
    async fn send_call(&self, messages: &[Message]) -> Result<(Vec<usize>, Option<Next>), Next> {
        let mut call = self.client.send_message_batch().queue_url(self.url.as_str());
        for (position, message) in messages.iter().enumerate() {
            let entry =
                SendMessageBatchRequestEntry::builder().id(position.to_string()).message_body(&message.body).build();
            call = call.entries(entry.map_err(|error| Next::Stop { why: error.to_string() })?);
        }
        let answer = match call.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let failure = AwsFailure::new(&error, "sqs:SendMessage", self.url.as_str());
                return Err(match failure.kind {
                    FailureKind::Unavailable => again(failure.to_string()),
                    _ => Next::Stop { why: failure.to_string() },
                });
            }
        };
        let trouble = answer.failed().first().map(|failed| {
            let why = format!("SQS, {}: {}", failed.code(), failed.message().unwrap_or("no message"));
            if failed.sender_fault() { Next::Stop { why } } else { again(why) }
        });
        // An entry that the answer does not name is not in the queue as far as anybody knows.
        let sent: Vec<_> = answer.successful().iter().filter_map(|entry| entry.id().parse().ok()).collect();
        let trouble = match trouble {
            None if sent.len() < messages.len() => Some(again("SQS did not say what became of a message".to_owned())),
            trouble => trouble,
        };
        Ok((sent, trouble))
    }
}

fn again(why: String) -> Next {
    Next::Again { not_before: None, concerns_all: true, why }
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
