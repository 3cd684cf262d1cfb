//! The dead letters: how many, and why. They are looked at and left where they are.

use std::collections::BTreeMap;

use super::super::arn::region_of;
use super::super::aws_failure::AwsFailure;
use super::super::table::shown;
use super::aws::{Aws, ask};
use super::check::{Check, Next};
use super::commands::{Commands, quoted};
use super::name;
use super::queue::Queue;
use flexorch_s3_ingester::event::Invocation;
use flexorch_s3_ingester::model::codes::{self, attribute};

/// SQS gives no more at once (SQS API Reference, `ReceiveMessage`).
const AT_ONCE: i32 = 10;
/// FlexOrch's words are shown up to this many characters.
const LONGEST_WORDS: usize = 160;

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Letter {
    id: String,
    /// The attribute `code`; `None`: SQS moved it, after too many receives.
    code: Option<String>,
    /// FlexOrch's words; `None`: it had none, which the function writes as `-`.
    message: Option<String>,
    /// The objects that its body names.
    keys: Vec<(String, String)>,
}

/// Looks at up to ten dead letters. They stay visible, and are deleted by nobody; SQS counts a receive.
pub(super) async fn peek(aws: &Aws<'_>, queue: &Queue) -> Result<Vec<Letter>, AwsFailure> {
    let question = aws
        .sqs(region_of(&queue.arn))
        .receive_message()
        .queue_url(&queue.url)
        .max_number_of_messages(AT_ONCE)
        .message_attribute_names("All")
        .visibility_timeout(0)
        .send();
    let answer = ask("sqs:ReceiveMessage", &queue.arn, question).await?;
    let mut letters: Vec<Letter> = Vec::new();
    for message in answer.messages() {
        let text = |name: &str| {
            let value = message.message_attributes().and_then(|attributes| attributes.get(name));
            value.and_then(|value| value.string_value()).map(str::to_owned)
        };
        let letter = Letter {
            id: message.message_id().unwrap_or_default().to_owned(),
            code: text(attribute::CODE),
            message: text(attribute::MESSAGE).filter(|words| words != "-"),
            keys: keys(message.body().unwrap_or_default()),
        };
        // What stays visible may be given out twice.
        if !letters.iter().any(|other| other.id == letter.id) {
            letters.push(letter);
        }
    }
    Ok(letters)
}

impl Letter {
    /// Whether it is about this object.
    pub(super) fn is_about(&self, bucket: &str, key: &str) -> bool {
        self.keys.iter().any(|(of, name)| of == bucket && name == key)
    }

    /// Why it was given up.
    pub(super) fn why(&self) -> String {
        match (&self.code, &self.message) {
            (Some(code), Some(message)) => format!("{}: {}", shown(code), shortened(message)),
            (Some(code), None) => shown(code),
            (None, _) => "received too often: FlexOrch did not take it for more than a day".to_owned(),
        }
    }
}

/// The objects that a message names; none where it cannot be read.
fn keys(body: &str) -> Vec<(String, String)> {
    let objects = Invocation::read(body).map(|invocation| invocation.contents.objects).unwrap_or_default();
    objects.into_iter().map(|object| (object.bucket, object.key.as_str().to_owned())).collect()
}

fn shortened(words: &str) -> String {
    let words = shown(words);
    match words.char_indices().nth(LONGEST_WORDS) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

/// How many there are, why, and how they go back. `letters` is `None` where nobody could look at them without moving them.
pub(super) fn check(queue: &Queue, retry_arn: &str, letters: Option<&[Letter]>, commands: &Commands) -> Check {
    let seen = letters.map_or(0, |letters| u64::try_from(letters.len()).unwrap_or(u64::MAX));
    let all = queue.all().max(seen);
    if all == 0 {
        return Check::well(name::LETTERS, "none");
    }
    let letters = letters.unwrap_or_default();
    let mut reasons: BTreeMap<&str, Vec<&Letter>> = BTreeMap::new();
    for letter in letters {
        reasons.entry(letter.code.as_deref().unwrap_or_default()).or_default().push(letter);
    }
    let reasons: Vec<_> = reasons.values().filter_map(|alike| Some(reason(alike, alike.first()?))).collect();
    let of = match letters.len() {
        0 if queue.redrive().is_some() => {
            format!("; {} has a dead-letter queue of its own, so they were only counted", queue.name())
        }
        0 => "; why is not known".to_owned(),
        some if u64::try_from(some).unwrap_or(u64::MAX) < all => {
            format!("; of {some} that were looked at: {}", reasons.join("; "))
        }
        _ => format!(": {}", reasons.join("; ")),
    };
    let objects = if all == 1 { "1 was given up" } else { &format!("{all} were given up") };
    Check::failed(
        name::LETTERS,
        format!("{objects}{of}"),
        Next::new(advice(letters), redrive(queue, retry_arn, commands)),
    )
}

/// Sends all dead letters back to the retry queue.
pub(super) fn redrive(dead: &Queue, retry_arn: &str, commands: &Commands) -> String {
    commands.aws(format_args!(
        "sqs start-message-move-task --source-arn {} --destination-arn {}",
        quoted(&dead.arn),
        quoted(retry_arn)
    ))
}

fn reason(alike: &[&Letter], first: &Letter) -> String {
    let example = first.keys.first().map(|(_, key)| format!(", such as {}", shown(key))).unwrap_or_default();
    format!("{} × {}{example}", alike.len(), first.why())
}

/// What to do before they go back, by their codes (docs/deploying.md, "Dead letters").
fn advice(letters: &[Letter]) -> String {
    let mut advice = Vec::new();
    let has = |about: fn(&str) -> bool| letters.iter().any(|letter| letter.code.as_deref().is_some_and(about));
    if has(codes::refuses_the_file) {
        advice.push("FlexOrch does not process such files: keep them out with KEY_SUFFIXES, MAX_OBJECT_BYTES, or fix them and upload them again");
    }
    if has(|code| code == codes::UNREADABLE) {
        advice.push("something sends the queue messages that are not S3 events");
    }
    if letters.iter().any(|letter| letter.code.is_none()) {
        advice.push("what was received too often goes through once nothing above fails");
    }
    advice.push("once the cause is fixed, send them back");
    advice.join("; ")
}

#[cfg(test)]
mod tests {
    use super::super::check::Status;
    use super::*;

    fn letter(code: Option<&str>) -> Letter {
        let body = r#"{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"docs"},"object":{"key":"in/a+b.pdf"}}}]}"#;
        Letter {
            id: "m".into(),
            code: code.map(str::to_owned),
            message: code.map(|_| "words".into()),
            keys: keys(body),
        }
    }

    #[test]
    fn dead_letters_are_grouped_by_their_reason_and_go_back_with_one_command() {
        let mut queue = Queue::default();
        queue.arn = "arn:aws:sqs:eu-west-1:1:dead".into();
        let letters = [letter(Some("FILE_TOO_LARGE")), letter(None), letter(Some("FILE_TOO_LARGE"))];
        let found = check(&queue, "arn:aws:sqs:eu-west-1:1:retry", Some(&letters), &Commands::default());
        assert_eq!(found.status, Status::Failed);
        assert!(
            found.found.contains("3 were given up")
                && found.found.contains("2 × FILE_TOO_LARGE: words, such as in/a b.pdf")
        );
        assert!(found.action.unwrap().contains("MAX_OBJECT_BYTES"));
        assert_eq!(
            found.command.unwrap(),
            "aws sqs start-message-move-task --source-arn arn:aws:sqs:eu-west-1:1:dead --destination-arn arn:aws:sqs:eu-west-1:1:retry"
        );
        assert_eq!(check(&queue, "x", Some(&[]), &Commands::default()).status, Status::Well);
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
        assert_eq!(keys("no event"), []);
    }
}
