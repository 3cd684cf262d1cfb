//! Dead letters as tables and as JSON.

use std::time::Duration;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp, Unit};
use serde_json::{Value, json};

use super::filter::NO_CODE;
use super::groups::Group;
use super::letter::DeadLetter;
use super::queue::{HIDDEN_FOR, Queue};
use crate::output::{DIM, Output, WARNING, styled};
use crate::text::{connector_name, counted, escaped, friendly, table, text_of};
use flexorch_s3_ingester::model::codes::{UNREADABLE, refuses_the_file};

/// A letter that SQS deletes within this time is pointed out.
const SOON: SignedDuration = SignedDuration::from_hours(3 * 24);

pub(crate) fn letters(number: usize) -> String {
    counted(number, "dead letter")
}

/// Returns how many letters a queue has, and how many of them are not selected.
pub(crate) fn headline(queue: &Queue, selected: usize, others: usize) -> String {
    let hidden = match queue.counts().1 {
        0 => String::new(),
        hidden => format!(
            "; {hidden} more hidden: another reader has them, or a command that was killed did, and then they are visible within {}",
            friendly(HIDDEN_FOR)
        ),
    };
    let others = if others == 0 { String::new() } else { format!("; {others} not selected") };
    format!("{} in {}{others}{hidden}", letters(selected), queue.name())
}

/// Says what is special about a queue: that receiving letters can move them, or that not all of them can be received.
pub(crate) fn notes(queue: &Queue, output: Output) {
    if queue.is_fifo() {
        output.progress(format!(
            "{} {} is a FIFO queue: SQS returns only the first letters of each group. Run the command again once these are gone",
            styled(WARNING, "!"),
            queue.name()
        ));
    }
    if let Some((target, receives)) = queue.redrive_policy() {
        let mark = styled(WARNING, "!");
        output.progress(format!(
            "{mark} {} moves a message to {target} after {receives} receives, and reading a letter counts as one",
            queue.name()
        ));
    }
}

/// Returns when SQS deletes the first of these letters, if that is within days.
pub(crate) fn expiry(queue: &Queue, letters: &[DeadLetter], now: Timestamp) -> Option<String> {
    let oldest = letters.iter().filter_map(|letter| letter.sent_at).min()?;
    let left = now.duration_until(oldest.checked_add(queue.retention()?).ok()?);
    (left < SOON).then(|| {
        let left = friendly(Duration::try_from(rounded(left.max(SignedDuration::ZERO))).unwrap_or_default());
        format!("{} SQS deletes the oldest in {left}: redrive or export it before", styled(WARNING, "!"))
    })
}

pub(crate) fn groups_table(groups: &[Group], now: Timestamp) -> String {
    let mut rows = table(["CODE", "CONNECTOR", "LETTERS", "OLDEST"]);
    for group in groups {
        rows.add_row([
            escaped(group.code.as_deref().unwrap_or(NO_CODE)),
            connector_name(group.connector.as_deref(), group.connector_id.as_deref()),
            group.letters.to_string(),
            group.oldest.map_or_else(|| "-".to_owned(), |time| age(time, now)),
        ]);
    }
    format!("\n{}", text_of(&rows))
}

pub(crate) fn letters_table(letters: &[DeadLetter], now: Timestamp) -> String {
    let mut rows = table(["OBJECT", "CODE", "AGE", "MESSAGE"]);
    for letter in letters {
        rows.add_row([
            object(letter),
            escaped(letter.code.as_deref().unwrap_or(NO_CODE)),
            letter.time().map_or_else(|| "-".to_owned(), |time| age(time, now)),
            escaped(letter.message.as_deref().unwrap_or("-")),
        ]);
    }
    text_of(&rows)
}

/// Says what to know before letters of these codes are redriven.
pub(crate) fn advice(groups: &[Group], output: Output) -> Result<()> {
    let has = |about: fn(&str) -> bool| groups.iter().any(|group| group.code.as_deref().is_some_and(about));
    let say = |text: &str| output.line(styled(DIM, format_args!("  {text}")));
    if has(refuses_the_file) {
        say(
            "FlexOrch refuses such files: fix them and upload them again, or keep them out with KEY_SUFFIXES or MAX_OBJECT_BYTES",
        )?;
    }
    if has(|code| code == UNREADABLE) {
        say("UNREADABLE: not an S3 event; `letters export` shows it. Redriving it brings it back")?;
    }
    if groups.iter().any(|group| group.code.is_none()) {
        say(
            "none: SQS moved the message after too many receives; the function crashed on it or could not run. See its log",
        )?;
    }
    Ok(())
}

fn object(letter: &DeadLetter) -> String {
    match &letter.object {
        None => format!("message {}", escaped(&letter.id)),
        Some((bucket, key)) if letter.objects > 1 => {
            format!("{}/{} and {} more", escaped(bucket), escaped(key), letter.objects - 1)
        }
        Some((bucket, key)) => format!("{}/{}", escaped(bucket), escaped(key)),
    }
}

/// Returns how long ago something was, in days from two days on.
fn age(time: Timestamp, now: Timestamp) -> String {
    let age = now.duration_since(time).max(SignedDuration::ZERO);
    let days = age.as_hours() / 24;
    if days >= 2 { format!("{days}d") } else { friendly(Duration::try_from(rounded(age)).unwrap_or_default()) }
}

fn rounded(age: SignedDuration) -> SignedDuration {
    age.round(if age.as_secs() < 60 { Unit::Second } else { Unit::Minute }).unwrap_or(age)
}

/// Returns a letter without its body.
pub(crate) fn letter_json(letter: &DeadLetter) -> Value {
    let (bucket, key) = letter.object.as_ref().map(|(bucket, key)| (bucket, key)).unzip();
    json!({
        "message_id": letter.id,
        "code": letter.code,
        "message": letter.message,
        "connector": letter.connector,
        "connector_id": letter.connector_id,
        "bucket": bucket,
        "key": key,
        "objects": letter.objects,
        "event_time": letter.event_time,
        "sent_at": letter.sent_at,
        "receives": letter.receives,
    })
}

pub(crate) fn queue_json(queue: &Queue) -> Value {
    json!({"arn": queue.arn, "url": queue.url})
}
