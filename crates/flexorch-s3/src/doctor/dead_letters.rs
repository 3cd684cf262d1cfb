//! Checks the dead letters: how many, and why. They are received and left in the queue.

use std::collections::BTreeMap;

use aws_sdk_sqs::types::Message;

use super::aws::Aws;
use super::check::{Check, Fix};
use super::commands::{Commands, quoted};
use super::function::Function;
use super::name;
use super::queue::Queue;
use crate::aws_failure::AwsFailure;
use crate::letters;
use crate::text::escaped;
use flexorch_s3_ingester::model::arn::region_of;
use flexorch_s3_ingester::model::codes;
use flexorch_s3_ingester::model::object::S3Object;
use flexorch_s3_ingester::model::settings;

/// The maximum per call (SQS API Reference, `ReceiveMessage`).
const MOST_MESSAGES: i32 = 10;
/// FlexOrch's message is shortened to this many characters.
const LONGEST_MESSAGE: usize = 160;

/// A dead letter, and the objects that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeadLetter {
    facts: letters::DeadLetter,
    objects: Vec<S3Object>,
}

/// Receives up to ten dead letters. They stay visible and are not deleted; SQS counts a receive.
pub(crate) async fn peek(aws: &Aws<'_>, queue: &Queue) -> Result<Vec<DeadLetter>, AwsFailure> {
    let request = aws
        .sqs(region_of(&queue.arn))
        .receive_message()
        .queue_url(&queue.url)
        .max_number_of_messages(MOST_MESSAGES)
        .message_attribute_names("All")
        .visibility_timeout(0)
        .send();
    let response = aws.call("sqs:ReceiveMessage", &queue.arn, request).await?;
    let mut letters: Vec<DeadLetter> = Vec::new();
    for message in response.messages() {
        let letter = DeadLetter::read(message);
        // A message that stays visible may be received twice.
        if !letters.iter().any(|other| other.facts.id == letter.facts.id) {
            letters.push(letter);
        }
    }
    Ok(letters)
}

impl DeadLetter {
    fn read(message: &Message) -> Self {
        let (facts, objects) = letters::DeadLetter::read(message);
        Self { facts, objects }
    }

    /// Returns whether it names this object.
    pub(crate) fn is_about(&self, bucket: &str, key: &str) -> bool {
        self.objects.iter().any(|object| object.bucket == bucket && object.key.as_str() == key)
    }

    pub(crate) fn why(&self) -> String {
        match (&self.facts.code, &self.facts.message) {
            (Some(code), Some(message)) => format!("{}: {}", escaped(code), shortened(message)),
            (Some(code), None) => escaped(code),
            (None, _) => "received too often: it could not be processed for more than a day".to_owned(),
        }
    }
}

fn shortened(text: &str) -> String {
    let text = escaped(text);
    match text.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Checks the dead letters. `letters` is `None` if receiving them could move them to another queue.
pub(crate) fn check(queue: &Queue, letters: Option<&[DeadLetter]>, redrive: String) -> Check {
    let seen = letters.map_or(0, |letters| u64::try_from(letters.len()).unwrap_or(u64::MAX));
    let all = queue.all().max(seen);
    if all == 0 {
        return Check::well(name::DEAD_LETTERS, "none");
    }
    let letters = letters.unwrap_or_default();
    let mut reasons: BTreeMap<&str, Vec<&DeadLetter>> = BTreeMap::new();
    for letter in letters {
        reasons.entry(letter.facts.code.as_deref().unwrap_or_default()).or_default().push(letter);
    }
    let reasons: Vec<_> = reasons.values().filter_map(|alike| Some(reason(alike, alike.first()?))).collect();
    let of = match letters.len() {
        0 if queue.redrive().is_some() => {
            format!("; they were only counted, because {} has its own dead-letter queue", queue.name())
        }
        0 => "; the reasons are unknown".to_owned(),
        some if u64::try_from(some).unwrap_or(u64::MAX) < all => {
            format!("; of {some} that were received: {}", reasons.join("; "))
        }
        _ => format!(": {}", reasons.join("; ")),
    };
    let objects = if all == 1 { "1 dead letter" } else { &format!("{all} dead letters") };
    Check::failed(name::DEAD_LETTERS, format!("{objects}{of}"), Fix::new(advice(letters), redrive))
}

/// Builds a command that sends the dead letters to the retry queue again: all of them, or those of one key. It shows them first, and
/// asks. The queues follow from the function, if its settings name this dead-letter queue.
pub(crate) fn redrive(
    dead: &Queue,
    retry: &Queue,
    function: &Function,
    key: Option<&str>,
    commands: &Commands,
) -> String {
    // Account and name: a queue may have several hosts.
    let place = |url: &str| url.rsplitn(3, '/').take(2).map(str::to_owned).collect::<Vec<_>>();
    let named = function.setting(settings::DEAD_LETTER_QUEUE_URL);
    let queues = if named.is_some_and(|url| place(url) == place(&dead.url)) {
        format!("--function {}", quoted(&function.name))
    } else {
        format!("--queue {} --to {}", quoted(&dead.arn), quoted(&retry.arn))
    };
    let of_key = key.map(|key| format!(" --prefix {}", quoted(key))).unwrap_or_default();
    commands.own(format_args!("letters redrive {queues}{of_key}"))
}

fn reason(alike: &[&DeadLetter], first: &DeadLetter) -> String {
    let example =
        first.objects.first().map(|object| format!(", such as {}", escaped(object.key.as_str()))).unwrap_or_default();
    format!("{} × {}{example}", alike.len(), first.why())
}

/// Returns what to do before they are redriven, by their codes (docs/deploying.md, "Dead letters").
fn advice(letters: &[DeadLetter]) -> String {
    let mut advice = Vec::new();
    let has = |about: fn(&str) -> bool| letters.iter().any(|letter| letter.facts.code.as_deref().is_some_and(about));
    if has(codes::refuses_the_file) {
        advice.push("FlexOrch does not accept such files: exclude them with KEY_SUFFIXES or MAX_OBJECT_BYTES, or fix and upload them again");
    }
    if has(|code| code == codes::UNREADABLE) {
        advice.push("something sends messages to the queue that are not S3 events");
    }
    if letters.iter().any(|letter| letter.facts.code.is_none()) {
        advice.push("messages that were received too often can be redriven once no check above fails");
    }
    advice.push("once the cause is fixed, redrive them");
    advice.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Status;
    use crate::letters::tests::{message, notification};

    fn letter(code: Option<&str>) -> DeadLetter {
        let attributes: Vec<_> = code.iter().flat_map(|code| [("code", *code), ("message", "too large")]).collect();
        DeadLetter::read(&message(&notification(&["in/a+b.pdf"]), &attributes))
    }

    #[test]
    fn dead_letters_are_grouped_by_their_reason_and_redriven_with_one_command() {
        let mut queue = Queue::default();
        queue.arn = "arn:aws:sqs:eu-west-1:1:dead".into();
        queue.url = "https://sqs.eu-west-1.amazonaws.com/1/dead".into();
        let letters = [letter(Some("FILE_TOO_LARGE")), letter(None), letter(Some("FILE_TOO_LARGE"))];
        let mut retry = Queue::default();
        retry.arn = "arn:aws:sqs:eu-west-1:1:retry".into();
        let command = |function: &Function, key| redrive(&queue, &retry, function, key, &Commands::default());
        let found = check(&queue, Some(&letters), command(&Function::default(), None));
        assert_eq!(found.status(), Status::Failed);
        assert!(
            found.found.contains("3 dead letters")
                && found.found.contains("2 × FILE_TOO_LARGE: too large, such as in/a b.pdf")
        );
        assert!(found.action.unwrap().contains("MAX_OBJECT_BYTES"));
        assert_eq!(
            found.command.unwrap(),
            "flexorch-s3 letters redrive --queue arn:aws:sqs:eu-west-1:1:dead --to arn:aws:sqs:eu-west-1:1:retry"
        );
        assert_eq!(check(&queue, Some(&[]), String::new()).status(), Status::Well);
        let mut own = Function::with_settings(&[(settings::DEAD_LETTER_QUEUE_URL, &queue.url)]);
        own.name = "ingest".into();
        assert_eq!(
            command(&own, Some("in/a b.pdf")),
            "flexorch-s3 letters redrive --function ingest --prefix 'in/a b.pdf'"
        );
    }

    #[test]
    fn every_code_of_the_runbook_has_its_advice() {
        let runbook = include_str!("../../../../docs/deploying.md");
        let section = runbook.split("### Dead letters").nth(1).unwrap().split("\n### ").next().unwrap();
        let first_cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
        // Every second part between backquotes is quoted.
        let quoted = first_cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
        let named_codes: Vec<_> =
            quoted.filter(|text| text.chars().all(|c| c.is_ascii_uppercase() || c == '_')).collect();
        assert_eq!(named_codes, [codes::UNSUPPORTED_FILE, codes::FILE_TOO_LARGE, codes::UNREADABLE]);
        let of_any_code = advice(&[letter(Some("ANOTHER"))]);
        for code in named_codes {
            assert_ne!(advice(&[letter(Some(code))]), of_any_code, "{code}");
        }
    }

    #[test]
    fn a_letter_knows_its_objects() {
        assert!(letter(None).is_about("docs", "in/a b.pdf"));
        assert!(!letter(None).is_about("docs", "in/a+b.pdf"));
        assert!(!DeadLetter::read(&message("no event", &[])).is_about("docs", "in/a b.pdf"));
    }
}
