//! Messages to the function's queue that name objects as S3 does when they are uploaded.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::args::QueueName;
use flexorch_s3_ingester::aws::failure::{CallError, FailureKind, Refusal};
use flexorch_s3_ingester::aws::sqs::{OutgoingMessage, Queues};
use flexorch_s3_ingester::event::s3::notification_of;
use flexorch_s3_ingester::model::object::S3Object;

/// Records per message. A message returns as a whole if one of its objects is deferred, so it must not contain too many; ten messages
/// fill one request of 100 keys. With the longest keys it is 40 KB long, far below the limit of 256 KB (SQS Developer Guide, "Amazon SQS message quotas").
pub(crate) const RECORDS_PER_MESSAGE: usize = 10;

/// Returns the message of some objects: an S3 notification.
pub(crate) fn message<'a>(objects: impl IntoIterator<Item = &'a S3Object>) -> OutgoingMessage {
    let records: Vec<Value> = objects.into_iter().map(|object| notification_of(object)["Records"][0].take()).collect();
    OutgoingMessage {
        body: json!({ "Records": records }).to_string(),
        attributes: Vec::new(),
        delay: Duration::ZERO,
        group: None,
    }
}

/// Sends messages until `end` at the latest. Returns for each, in order, whether it is in the queue.
pub(crate) async fn send(
    queues: &Queues,
    queue: &QueueName,
    messages: &[OutgoingMessage],
    end: SystemTime,
) -> Vec<Result<(), CallError>> {
    let results = match queue {
        QueueName::Url(url) => queues.send_to_url(url, messages, end).await,
        QueueName::Arn(arn) => queues.send_to_arn(arn, messages, end).await,
    };
    let hint = |refusal: &Refusal| match refusal.kind() {
        // It is not the function's role that lacks it.
        FailureKind::Permission => Some(format!("your AWS identity needs sqs:SendMessage on {queue}")),
        FailureKind::NotFound => Some("check the queue's name, region and account".to_owned()),
        _ => None,
    };
    results.into_iter().map(|result| result.map_err(|error| error.with_hint(hint))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flexorch_s3_ingester::model::object::ObjectKey;

    #[test]
    fn a_message_of_the_longest_keys_stays_within_the_limit() {
        let object = |number: usize| S3Object {
            size: Some(1),
            ..S3Object::new("b", ObjectKey::verbatim(format!("{}{number}", "請".repeat(340))).unwrap())
        };
        let objects: Vec<_> = (0..RECORDS_PER_MESSAGE).map(object).collect();
        let OutgoingMessage { body, .. } = message(&objects);
        let sent: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(sent["Records"].as_array().map(Vec::len), Some(RECORDS_PER_MESSAGE));
        assert!(body.len() < 50_000, "{}", body.len());
    }
}
