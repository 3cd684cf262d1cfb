//! SQS's operations: from a call's JSON to its response's. Pure.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value, json};

use super::{
    super::clock::Moment,
    attribute, batch,
    check::in_range,
    error::SqsError,
    input::{Entry, Input},
    message::{Draft, Group, MOST_BYTES},
    queue::{DEFAULT_VISIBILITY, LONGEST_VISIBILITY, Message, Queue},
    store::{self, Store},
};

/// The region and the address that a call was sent to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The region that the call was signed for.
    pub(super) region: &'a str,
    /// The server's address as the client knows it.
    pub(super) host: &'a str,
}

/// Does what a call asks and returns the response. If `in_part`, every second entry of a batch fails.
pub(super) fn respond(
    store: &mut Store,
    operation: &str,
    mut input: Input,
    place: Place<'_>,
    in_part: bool,
    now: Moment,
) -> Result<Value, SqsError> {
    if operation == "GetQueueUrl" {
        let name = input.queue_name.ok_or_else(|| SqsError::missing("QueueName"))?;
        store.queue(&name)?;
        return Ok(json!({"QueueUrl": store::url(place.host, &name)}));
    }
    let single = operation.strip_suffix("Batch").unwrap_or(operation);
    let act: fn(&mut Store, &str, Entry, Moment) -> Result<Value, SqsError> = match single {
        "SendMessage" => send,
        "DeleteMessage" => delete,
        "ChangeMessageVisibility" => change_visibility,
        "ReceiveMessage" if operation == single => return receive(store, &input, now),
        "GetQueueAttributes" if operation == single => {
            let queue = input.required_queue()?;
            return queue_attributes(store, &queue, &input.attribute_names, place.region, now);
        }
        "ListDeadLetterSourceQueues" if operation == single => {
            let sources = store.dead_letter_sources(&input.required_queue()?)?;
            let urls: Vec<_> = sources.into_iter().map(|name| store::url(place.host, name)).collect();
            return Ok(json!({"queueUrls": urls}));
        }
        "SetQueueAttributes" if operation == single => {
            let queue = input.required_queue()?;
            return set_queue_attributes(store, &queue, input.attributes);
        }
        _ => return Err(SqsError::unknown_operation(format!("The sandbox has no {operation}."))),
    };
    let queue = input.required_queue()?;
    store.queue(&queue)?;
    if operation == single {
        return act(store, &queue, input.entry, now);
    }
    let entries = std::mem::take(&mut input.entries);
    batch::check(operation, &entries)?;
    if single == "SendMessage" {
        check_batch_size(&entries)?;
    }
    Ok(batch::act_on_each(entries, in_part, |entry| act(store, &queue, entry, now)))
}

fn send(store: &mut Store, queue: &str, entry: Entry, now: Moment) -> Result<Value, SqsError> {
    let mut draft = Draft::read(entry.message_body, entry.message_attributes, entry.delay_seconds)?;
    draft.group = Group { id: entry.message_group_id, deduplication_id: entry.message_deduplication_id };
    draft.check_size()?;
    let md5_of_body = draft.md5_of_body();
    let md5_of_attributes = attribute::md5(&draft.attributes);
    let id = store.send(queue, draft, now)?;
    let mut sent = json!({"MessageId": id, "MD5OfMessageBody": md5_of_body});
    if let Some(md5) = md5_of_attributes {
        sent["MD5OfMessageAttributes"] = md5.into();
    }
    Ok(sent)
}

/// Refuses a batch that is too large, before any of its messages is sent.
fn check_batch_size(entries: &[Entry]) -> Result<(), SqsError> {
    let size = |entry: &Entry| {
        let attributes = entry.message_attributes.iter().map(|(name, input)| name.len() + input.size());
        entry.message_body.as_ref().map_or(0, String::len) + attributes.sum::<usize>()
    };
    let bytes = entries.iter().map(size).sum();
    if bytes > MOST_BYTES { Err(SqsError::batch_too_long(MOST_BYTES, bytes)) } else { Ok(()) }
}

fn delete(store: &mut Store, queue: &str, entry: Entry, _: Moment) -> Result<Value, SqsError> {
    store.delete(queue, &required_handle(entry.receipt_handle)?)?;
    Ok(json!({}))
}

fn change_visibility(store: &mut Store, queue: &str, entry: Entry, now: Moment) -> Result<Value, SqsError> {
    let handle = required_handle(entry.receipt_handle)?;
    let hide_for = visibility(entry.visibility_timeout)?.ok_or_else(|| SqsError::missing("VisibilityTimeout"))?;
    store.change_visibility(queue, &handle, hide_for, now)?;
    Ok(json!({}))
}

fn required_handle(handle: Option<String>) -> Result<String, SqsError> {
    handle.filter(|handle| !handle.is_empty()).ok_or_else(|| SqsError::missing("ReceiptHandle"))
}

fn visibility(seconds: Option<i64>) -> Result<Option<Duration>, SqsError> {
    let most = i64::try_from(LONGEST_VISIBILITY.as_secs()).unwrap_or(i64::MAX);
    Ok(in_range("VisibilityTimeout", seconds, 0..=most)?.map(Duration::from_secs))
}

/// `ReceiveMessage` without the wait. As with SQS, a response without messages has no `Messages`.
pub(super) fn receive(store: &mut Store, input: &Input, now: Moment) -> Result<Value, SqsError> {
    let name = input.required_queue()?;
    store.expire(&name, now);
    let queue = store.queue_mut(&name)?;
    input.wait()?;
    let most = in_range("MaxNumberOfMessages", input.max_number_of_messages, 1..=10)?.unwrap_or(1);
    let hide_for = visibility(input.entry.visibility_timeout)?.unwrap_or(DEFAULT_VISIBILITY);
    let received = queue.receive(usize::try_from(most).unwrap_or(1), hide_for, now);
    let messages: Vec<Value> =
        received.into_iter().map(|(number, handle, message)| message_json(number, &handle, message, input)).collect();
    Ok(if messages.is_empty() { json!({}) } else { json!({"Messages": messages}) })
}

fn message_json(number: u64, handle: &str, message: &Message, input: &Input) -> Value {
    let Draft { body, attributes, .. } = &message.draft;
    let mut json = json!({
        "MessageId": store::message_id(number),
        "ReceiptHandle": handle,
        "MD5OfBody": message.draft.md5_of_body(),
        "Body": body,
    });
    let chosen = attribute::chosen(attributes, &input.message_attribute_names);
    if let Some(md5) = attribute::md5(&chosen) {
        json["MD5OfMessageAttributes"] = md5.into();
        json["MessageAttributes"] = attribute::json(&chosen);
    }
    let milliseconds = |moment: Moment| moment.since(Moment::from_epoch(Duration::ZERO)).as_millis().to_string();
    let system = [
        ("ApproximateFirstReceiveTimestamp", milliseconds(message.first_received.unwrap_or(message.sent))),
        ("ApproximateReceiveCount", message.receives.to_string()),
        ("SenderId", "AROAEXAMPLE:sandbox".to_owned()),
        ("SentTimestamp", milliseconds(message.sent)),
    ];
    // The first of the two parameters is the old name of the other.
    let asked = [&input.attribute_names, &input.message_system_attribute_names];
    let mut shown = shown(system, asked.into_iter().flatten());
    let Group { id, deduplication_id } = &message.draft.group;
    for (name, value) in [("MessageGroupId", id), ("MessageDeduplicationId", deduplication_id)] {
        if let Some(value) = value
            && asked.iter().any(|asked| asked.iter().any(|asked| asked == "All" || asked == name))
        {
            shown.insert(name.to_owned(), value.as_str().into());
        }
    }
    if !shown.is_empty() {
        json["Attributes"] = shown.into();
    }
    json
}

/// Returns the attributes that were asked for, by name or as `All`.
fn shown<'a, const N: usize>(
    all: [(&str, String); N],
    asked: impl Iterator<Item = &'a String> + Clone,
) -> Map<String, Value> {
    let is_asked = |name: &str| asked.clone().any(|asked| asked == "All" || asked == name);
    let chosen = all.into_iter().filter(|(name, _)| is_asked(name));
    chosen.map(|(name, value)| (name.to_owned(), value.into())).collect()
}

fn queue_attributes(store: &Store, name: &str, asked: &[String], region: &str, now: Moment) -> Result<Value, SqsError> {
    let queue = store.queue(name)?;
    let counts = queue.counts(now);
    let all = [
        ("ApproximateNumberOfMessages", counts.visible.to_string()),
        ("ApproximateNumberOfMessagesDelayed", counts.delayed.to_string()),
        ("ApproximateNumberOfMessagesNotVisible", counts.in_flight.to_string()),
        ("CreatedTimestamp", (queue.created.epoch_seconds() as u64).to_string()),
        ("DelaySeconds", "0".to_owned()),
        ("KmsMasterKeyId", queue.kms_key.clone().unwrap_or_default()),
        ("MaximumMessageSize", MOST_BYTES.to_string()),
        ("MessageRetentionPeriod", queue.retention.as_secs().to_string()),
        ("Policy", queue.policy.clone().unwrap_or_default()),
        ("QueueArn", store::arn(name, region)),
        ("ReceiveMessageWaitTimeSeconds", "0".to_owned()),
        ("RedrivePolicy", redrive_policy(queue, region)),
        ("VisibilityTimeout", DEFAULT_VISIBILITY.as_secs().to_string()),
    ];
    if let Some(unknown) = asked.iter().find(|asked| *asked != "All" && all.iter().all(|(name, _)| name != *asked)) {
        return Err(SqsError::unknown_attribute(unknown));
    }
    let mut shown = shown(all, asked.iter());
    // These are in the response only if they were set.
    shown.retain(|name, value| !matches!(name.as_str(), "Policy" | "KmsMasterKeyId" | "RedrivePolicy") || value != "");
    Ok(if shown.is_empty() { json!({}) } else { json!({"Attributes": shown}) })
}

/// Returns the queue's redrive policy; empty if it has none.
fn redrive_policy(queue: &Queue, region: &str) -> String {
    let policy = queue.redrive.as_ref().map(|(dead_letters, receives)| {
        json!({"deadLetterTargetArn": store::arn(dead_letters, region), "maxReceiveCount": receives}).to_string()
    });
    policy.unwrap_or_default()
}

/// `SetQueueAttributes`, for the attributes that can be set here. An empty policy removes the policy.
fn set_queue_attributes(store: &mut Store, name: &str, new: BTreeMap<String, String>) -> Result<Value, SqsError> {
    let queue = store.queue_mut(name)?;
    for (attribute, value) in &new {
        match attribute.as_str() {
            "Policy" if value.is_empty() => {}
            "Policy" => match serde_json::from_str::<Map<String, Value>>(value) {
                Ok(policy) if policy.contains_key("Statement") => {}
                _ => return Err(SqsError::invalid_attribute_value("Policy")),
            },
            "KmsMasterKeyId" => {}
            other => return Err(SqsError::unknown_attribute(other)),
        }
    }
    for (attribute, value) in new {
        let value = Some(value).filter(|value| !value.is_empty());
        match attribute.as_str() {
            "Policy" => queue.policy = value,
            _ => queue.kms_key = value,
        }
    }
    Ok(json!({}))
}
