//! Lambda's event source on a queue: the events that its poller makes, and what it does with the function's response (Lambda
//! Developer Guide, "Using Lambda with Amazon SQS").

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::{
    super::clock::Moment,
    Queues,
    attribute::Attributes,
    queue::{DEFAULT_VISIBILITY, Message},
    store,
};

impl Queues {
    /// Receives up to `most` visible messages and makes an event of them, as Lambda's poller does; `None` if there are none. The messages
    /// are in flight from now on.
    pub fn poll(&self, queue: &str, region: &str, most: usize) -> Option<Value> {
        let now = self.shared.now();
        let mut state = self.shared.lock();
        state.store.expire(queue, now);
        let arn = store::arn(queue, region);
        let received = state.store.queue_mut(queue).ok()?.receive(most, DEFAULT_VISIBILITY, now);
        let records: Vec<Value> =
            received.into_iter().map(|(number, handle, message)| record(number, &handle, message, &arn, now)).collect();
        (!records.is_empty()).then(|| json!({"Records": records}))
    }

    /// Does what Lambda does with the response to such an event: deletes the messages that it does not name. Those that it names come
    /// back when their visibility timeout ends.
    pub fn acknowledge(&self, queue: &str, event: &Value, response: &Value) {
        let failed: BTreeSet<&str> = response["batchItemFailures"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|failure| failure["itemIdentifier"].as_str())
            .collect();
        let mut state = self.shared.lock();
        for record in event["Records"].as_array().into_iter().flatten() {
            let (id, handle) = (record["messageId"].as_str(), record["receiptHandle"].as_str());
            if let (false, Some(handle)) = (id.is_some_and(|id| failed.contains(id)), handle) {
                // One that was received again since stays, as in SQS.
                let _ = state.store.delete(queue, handle);
            }
        }
    }
}

fn record(number: u64, handle: &str, message: &Message, arn: &str, now: Moment) -> Value {
    // The reader's clock is the machine's, which does not know of any time that was skipped here.
    let sent = SystemTime::now().checked_sub(now.since(message.sent)).unwrap_or(UNIX_EPOCH);
    let milliseconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis();
    json!({
        "messageId": store::message_id(number),
        "receiptHandle": handle,
        "body": message.draft.body,
        "attributes": {
            "ApproximateReceiveCount": message.receives.to_string(),
            "SentTimestamp": milliseconds(sent).to_string(),
            "SenderId": "AROAEXAMPLE:sandbox",
        },
        "messageAttributes": attributes(&message.draft.attributes),
        "md5OfBody": message.draft.md5_of_body(),
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": arn.split(':').nth(3).unwrap_or_default(),
    })
}

/// As events write them: other names than SQS's own, and lists that are always empty.
fn attributes(attributes: &Attributes) -> Value {
    let attribute = |(name, attribute): (&String, &super::attribute::Attribute)| {
        let of_sqs = attribute.json();
        let mut value = json!({"stringListValues": [], "binaryListValues": [], "dataType": of_sqs["DataType"]});
        for (ours, theirs) in [("StringValue", "stringValue"), ("BinaryValue", "binaryValue")] {
            if let Some(text) = of_sqs.get(ours) {
                value[theirs] = text.clone();
            }
        }
        (name.clone(), value)
    };
    attributes.iter().map(attribute).collect::<Map<_, _>>().into()
}
