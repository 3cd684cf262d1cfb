//! A queue, as typed: its URL or its ARN.

use std::fmt;
use std::str::FromStr;

use flexorch_s3_ingester::model::arn::QueueArn;
use reqwest::Url;

/// A queue as typed: its URL or its ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum QueueName {
    /// Its URL, without credentials or a query.
    Url(Url),
    /// Its ARN.
    Arn(String),
}

/// Why a text names no queue, or none that the function can read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAQueue {
    #[error(
        "expected the queue's ARN or its plain URL, such as https://sqs.eu-west-1.amazonaws.com/123456789012/flexorch-retry"
    )]
    Name,
    #[error("it is a FIFO queue: the function's queue is a standard queue")]
    Fifo,
}

impl FromStr for QueueName {
    type Err = NotAQueue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.starts_with("arn:") {
            let arn = QueueArn::parse(text).ok().filter(|arn| is_queue_name(arn.name));
            arn.map(|_| Self::Arn(text.to_owned())).ok_or(NotAQueue::Name)
        } else {
            Url::parse(text).ok().filter(is_queue_url).map(Self::Url).ok_or(NotAQueue::Name)
        }
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => url.fmt(f),
            Self::Arn(arn) => arn.fmt(f),
        }
    }
}

/// Parses the name of a queue that the function can read: a standard queue.
pub(super) fn standard_queue(text: &str) -> Result<QueueName, NotAQueue> {
    let queue: QueueName = text.parse()?;
    if text.trim().ends_with(FIFO) { Err(NotAQueue::Fifo) } else { Ok(queue) }
}

/// The end of a FIFO queue's name (SQS API Reference, `CreateQueue`).
const FIFO: &str = ".fifo";

/// Whether a URL ends in an account and a queue's name, as the URLs of AWS and of emulators do. It is written into the journal, so it must
/// not contain credentials.
fn is_queue_url(url: &Url) -> bool {
    let no_credentials = url.username().is_empty() && url.password().is_none();
    let is_plain = no_credentials && url.query().is_none() && url.fragment().is_none();
    let mut path = url.path_segments().into_iter().flatten().rev();
    let (name, account) = (path.next().unwrap_or_default(), path.next().unwrap_or_default());
    let is_account = account.len() == 12 && account.chars().all(|c| c.is_ascii_digit());
    let is_http = matches!(url.scheme(), "https" | "http") && url.has_host();
    is_plain && is_http && is_account && is_queue_name(name)
}

/// Whether SQS accepts a queue of this name (SQS API Reference, `CreateQueue`).
fn is_queue_name(name: &str) -> bool {
    let name = name.strip_suffix(FIFO).unwrap_or(name);
    (1..=80).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_named_by_its_url_or_arn_and_by_nothing_else() {
        for text in [
            "https://sqs.eu-west-1.amazonaws.com/123456789012/flexorch-retry",
            "http://127.0.0.1:4566/000000000000/q",
            "http://localhost:4566/queue/eu-west-1/000000000000/q",
        ] {
            assert_eq!(standard_queue(text), Ok(QueueName::Url(text.parse().unwrap())), "{text}");
        }
        let arn = "arn:aws:sqs:eu-west-1:123456789012:flexorch-retry";
        assert_eq!(standard_queue(arn), Ok(QueueName::Arn(arn.to_owned())));
        for text in [
            "",
            "flexorch-retry",
            "https://example.com",
            "https://example.com/a/b",
            "https://u:p@sqs.eu-west-1.amazonaws.com/123456789012/q",
            "https://sqs.eu-west-1.amazonaws.com/123456789012/q?x=1",
            "file:///123456789012/q",
            "arn:aws:sns:eu-west-1:123456789012:topic",
            "arn:aws:sqs:eu-west-1",
            "arn:aws:sqs:eu-west-1:123456789012:a/b",
        ] {
            assert_eq!(standard_queue(text), Err(NotAQueue::Name), "{text}");
        }
        for text in [&format!("{arn}.fifo"), "https://sqs.eu-west-1.amazonaws.com/123456789012/q.fifo"] {
            assert_eq!(standard_queue(text), Err(NotAQueue::Fifo), "{text}");
            assert!(text.parse::<QueueName>().is_ok(), "{text}");
        }
    }
}
