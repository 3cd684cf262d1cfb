//! Dead letters: rejected objects, unreadable records and unreadable messages.

use super::run::MOST_LATE_LINES;
use super::settle::deferral;
use super::{Ingester, Run, Times};
use crate::aws::failure::CallError;
use crate::aws::secrets::Connectors;
use crate::aws::sqs::DeadLetter;
use crate::event::sqs::{Batch, Unreadable};
use crate::event::{Carrier, UnreadableRecord, s3};
use crate::model::codes::{UNREADABLE, attribute};
use crate::model::connector::Connector;
use crate::model::object::{Origin, S3Object};
use crate::model::outcome::{DeferClass, Deferral, Ledger, Outcome, Rejection};

/// The most bytes of a message, with its attributes' names, types and values (SQS Developer Guide, "Amazon SQS message quotas").
const LARGEST_MESSAGE: usize = 1_048_576;

/// The type of every attribute, which counts towards the message's size.
const ATTRIBUTE_TYPE: &str = "String";

/// Why something is not in the dead-letter queue.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum NotSent {
    /// `DEAD_LETTER_QUEUE_URL` is not set.
    #[error("there is no dead-letter queue")]
    NoQueue,
    /// SQS did not accept it.
    #[error("the dead-letter queue cannot be reached: {0}")]
    Unreachable(#[source] CallError),
}

impl Ingester {
    /// Sends the rejected objects to the dead-letter queue. If a send fails, the object is deferred: it must not be lost.
    pub(super) async fn dead_letter_rejected(
        &self,
        connectors: &Connectors,
        objects: &[S3Object],
        ledger: &mut Ledger,
        times: Times,
    ) {
        let rejected: Vec<(usize, Rejection)> = ledger
            .settled()
            .filter_map(|(position, outcome)| match outcome {
                Outcome::Rejected(rejection) => Some((position, rejection.clone())),
                _ => None,
            })
            .collect();
        if rejected.is_empty() || self.config.dead_letter_queue_url.is_none() {
            return;
        }
        let letters: Vec<_> = rejected
            .iter()
            .map(|(position, rejection)| {
                let connector =
                    connectors.known.iter().find(|known| Some(&known.secret_id) == rejection.connector.as_ref());
                of_rejected(&objects[*position], rejection, connector.map(|connector| &**connector))
            })
            .collect();
        let sent = self.send_dead_letters(&letters, times).await;
        for ((position, rejection), sent) in rejected.into_iter().zip(sent) {
            if let Err(why) = sent {
                let why = format!("rejected as {}, but {why}", rejection.code);
                let deferral = Deferral {
                    connector: rejection.connector,
                    code: Some(rejection.code.into()),
                    ..deferral(DeferClass::DeadLetterUnavailable, &why)
                };
                ledger.defer_instead(position, deferral);
            }
        }
    }

    /// Settles the records that cannot be read: rejected once they are in the dead-letter queue, otherwise deferred.
    pub(super) async fn settle_unreadable_records(
        &self,
        records: Vec<UnreadableRecord>,
        carrier: &Carrier,
        run: &mut Run,
    ) {
        if records.is_empty() {
            return;
        }
        let rejected =
            |message: String| Outcome::Rejected(Rejection { connector: None, code: UNREADABLE.into(), message });
        // A job's own report lists the tasks that failed permanently.
        if matches!(carrier, Carrier::BatchJob(_)) {
            for record in records {
                run.record(None, record.origin, rejected(record.reason));
            }
            return;
        }
        let letters: Vec<_> = records
            .iter()
            .map(|record| of_unreadable(s3::notification_around(&record.record), &record.reason))
            .collect();
        let sent = self.send_dead_letters(&letters, run.times).await;
        for (UnreadableRecord { origin, reason, .. }, sent) in records.into_iter().zip(sent) {
            let outcome = match sent {
                Ok(()) => rejected(reason),
                Err(NotSent::NoQueue) => Outcome::Deferred(deferral(DeferClass::Unreadable, &reason)),
                Err(why) => {
                    let why = format!("{reason}; and {why}");
                    Outcome::Deferred(deferral(DeferClass::DeadLetterUnavailable, &why))
                }
            };
            run.record(None, origin, outcome);
        }
    }

    /// Moves unreadable messages to the dead-letter queue. Returns those for which the send failed: they fail alone.
    pub(super) async fn dead_letter_unreadable_messages(&self, batch: &Batch, times: Times) -> Vec<Origin> {
        let messages = (0..).map(Origin).zip(&batch.messages);
        let unreadable: Vec<_> =
            messages.filter_map(|(origin, message)| Some((origin, message, message.unreadable.as_ref()?))).collect();
        let letters: Vec<_> =
            unreadable.iter().map(|(_, _, Unreadable { reason, body })| of_unreadable(body.clone(), reason)).collect();
        let sent = self.send_dead_letters(&letters, times).await;
        let mut unmoved = Vec::new();
        for (number, ((origin, message, what), sent)) in unreadable.into_iter().zip(sent).enumerate() {
            if sent.is_err() {
                unmoved.push(origin);
            }
            if number >= MOST_LATE_LINES && self.clock.now() >= times.answer_end {
                continue;
            }
            let result = match &sent {
                Ok(()) => "moved to the dead-letter queue",
                Err(NotSent::NoQueue) => "it fails alone; set DEAD_LETTER_QUEUE_URL to have it moved to that queue",
                Err(NotSent::Unreachable(_)) => "it fails alone: the dead-letter queue cannot be reached",
            };
            let error = match &sent {
                Err(NotSent::Unreachable(error)) => error.to_string(),
                _ => String::new(),
            };
            tracing::error!(
                message_id = message.id.as_deref().unwrap_or_default(),
                code = UNREADABLE,
                reason = what.reason.as_str(),
                result,
                error = error.as_str(),
                "a message cannot be read"
            );
        }
        unmoved
    }

    /// Sends dead letters. Returns each one's result, in order.
    async fn send_dead_letters(&self, letters: &[DeadLetter], times: Times) -> Vec<Result<(), NotSent>> {
        match &self.config.dead_letter_queue_url {
            None => letters.iter().map(|_| Err(NotSent::NoQueue)).collect(),
            Some(queue) => {
                let sent = self.queues.send(queue, letters, times.letters_end).await;
                sent.into_iter().map(|result| result.map_err(NotSent::Unreachable)).collect()
            }
        }
    }
}

/// Builds the dead letter of an object that FlexOrch rejected: a notification that can be redriven.
fn of_rejected(object: &S3Object, rejection: &Rejection, connector: Option<&Connector>) -> DeadLetter {
    let id = connector.map(|connector| connector.id.to_string()).unwrap_or_default();
    let attributes = vec![
        (attribute::CODE, rejection.code.clone()),
        (attribute::CONNECTOR, rejection.connector.as_deref().unwrap_or_default().to_owned()),
        (attribute::CONNECTOR_ID, id),
        (attribute::MESSAGE, rejection.message.clone()),
    ];
    fitted(s3::notification_of(object).to_string(), attributes)
}

/// Builds the dead letter of an unreadable message or record, which stays unchanged.
fn of_unreadable(body: String, reason: &str) -> DeadLetter {
    fitted(body, vec![(attribute::CODE, UNREADABLE.to_owned()), (attribute::MESSAGE, reason.to_owned())])
}

/// Builds a dead letter that SQS accepts: a body of nearly the largest size leaves little room for attributes. They are listed by
/// importance. The first one that does not fit is shortened if it is a text for people; otherwise it is omitted, like those after it.
fn fitted(body: String, mut attributes: Vec<(&'static str, String)>) -> DeadLetter {
    let mut room = LARGEST_MESSAGE.saturating_sub(body.len());
    attributes.retain_mut(|(name, text)| {
        let left = room.saturating_sub(name.len() + ATTRIBUTE_TYPE.len());
        if *name == attribute::MESSAGE {
            truncate(text, left);
        }
        // An empty text is sent as one character.
        let fits = text.len().max(1) <= left;
        room = if fits { left - text.len().max(1) } else { 0 };
        fits
    });
    DeadLetter { body, attributes }
}

/// Shortens a text to at most this many bytes, at a character boundary.
fn truncate(text: &mut String, bytes: usize) {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::object::{ObjectKey, Sequencer};

    fn size(letter: &DeadLetter) -> usize {
        let attribute = |(name, text): &(&str, String)| name.len() + ATTRIBUTE_TYPE.len() + text.len().max(1);
        letter.body.len() + letter.attributes.iter().map(attribute).sum::<usize>()
    }

    fn names(letter: &DeadLetter) -> Vec<&str> {
        letter.attributes.iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn a_small_dead_letter_keeps_its_attributes() {
        let letter = of_unreadable("body".into(), "its reason");
        assert_eq!(letter.attributes, [("code", "UNREADABLE".to_owned()), ("message", "its reason".to_owned())]);
    }

    #[test]
    fn attributes_make_room_for_the_body_the_least_important_first() {
        let reason = "ü".repeat(200);
        // The bytes that the code takes, and those that the message takes beside its text.
        let (code, message) = (4 + 6 + 10, 7 + 6);
        for (room, expected) in [
            (code + message + 400, (vec!["code", "message"], 400)),
            (code + message + 101, (vec!["code", "message"], 100)),
            (code + message, (vec!["code"], 0)),
            (code, (vec!["code"], 0)),
            // A part of a code would be another code.
            (code - 1, (vec![], 0)),
            (0, (vec![], 0)),
        ] {
            let letter = of_unreadable("x".repeat(LARGEST_MESSAGE - room), &reason);
            let shortened =
                letter.attributes.iter().find(|(name, _)| *name == "message").map_or(0, |(_, text)| text.len());
            assert_eq!((names(&letter), shortened), expected, "{room}");
            assert!(size(&letter) <= LARGEST_MESSAGE, "{room}");
        }
    }

    #[test]
    fn a_rejected_object_reads_back_as_the_same_version() {
        let object = S3Object {
            version_id: Some("v1".into()),
            etag: Some("e1".into()),
            size: Some(7),
            sequencer: Sequencer::new("0055AE"),
            event_time: Some("2026-01-02T03:04:05.678Z".parse().unwrap()),
            ..S3Object::new("b", ObjectKey::verbatim("a b+c.pdf").unwrap())
        };
        let rejection = Rejection { connector: Some("docs".into()), code: "X".into(), message: String::new() };
        let letter = of_rejected(&object, &rejection, None);
        assert_eq!(names(&letter), ["code", "connector", "connector_id", "message"]);
        let read = crate::event::Invocation::read(&letter.body).unwrap();
        assert_eq!(read.contents.objects, [object]);
    }
}
