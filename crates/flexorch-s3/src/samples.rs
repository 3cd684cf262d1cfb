//! The sample events of the repository's `events/` directory, compiled into the program, in the order in which `demo` runs them: the plain
//! cases first, what needs an explanation last.

/// A sample event.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Its path in the repository.
    pub(crate) path: &'static str,
    pub(crate) payload: &'static str,
    pub(crate) title: &'static str,
    /// What may surprise about the response.
    pub(crate) note: Option<&'static str>,
    pub(crate) expected: Expected,
}

/// How a sample ends if FlexOrch is available.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Its objects end so, and none is deferred.
    Objects { forwarded: u64, skipped: u64, rejected: u64 },
    /// The handler refuses it with an error of this type.
    Error(&'static str),
}

const BATCH_NOTE: &str =
    "S3 Batch Operations wants a result for each task. It names tasks and job in Base64, which the response repeats.";
const ERROR_NOTE: &str = "Not an upload, but a request to a function URL. The function refuses it and names what it saw, so that a wrong \
                          trigger is noticed.";

macro_rules! samples {
    ($($name:literal: $title:literal, $expected:expr, $note:expr;)*) => {
        pub(crate) const SAMPLES: &[Sample] = &[$(Sample {
            path: concat!("events/", $name, ".json"),
            payload: include_str!(concat!("../../../events/", $name, ".json")),
            title: $title,
            note: $note,
            expected: $expected,
        }),*];
    };
}

const fn objects(forwarded: u64, skipped: u64, rejected: u64) -> Expected {
    Expected::Objects { forwarded, skipped, rejected }
}

samples! {
    "s3-direct": "S3 notifies the function", objects(12, 4, 1), None;
    "s3-direct-two-buckets": "S3 notifies the function of two buckets, one without a connector", objects(2, 2, 0), None;
    "sqs-s3": "S3 notifies the retry queue, the function reads a batch", objects(4, 2, 1), None;
    "sns-direct": "S3 notifies an SNS topic", objects(2, 1, 0), None;
    "sqs-sns-enveloped": "The topic's messages arrive through a queue", objects(2, 0, 0), None;
    "sqs-sns-raw": "The same with raw message delivery", objects(2, 0, 0), None;
    "eventbridge-direct": "EventBridge invokes the function", objects(1, 0, 0), None;
    "sqs-eventbridge": "EventBridge's events arrive through a queue", objects(2, 3, 0), None;
    "sqs-destination-record": "What failed invocations left in the retry queue", objects(4, 1, 0), None;
    "sqs-mixed": "All of these in one batch, with two messages that cannot be read", objects(5, 5, 1),
        Some("The rejected object and the two unreadable messages are now in the dead-letter queue, with the reasons.");
    "reconcile": "A scheduled reconcile lists the bucket for uploads without a notification", objects(2, 0, 0), None;
    "sqs-destination-reconcile": "A reconcile that failed returns through the queue", objects(2, 0, 0),
        Some("FlexOrch knows both documents from the reconcile above, and charges nothing for them.");
    "s3-test-event": "S3 tests a new notification", objects(0, 0, 0), Some("Nothing to do. S3 sends it once.");
    "sns-test-event": "The same through SNS", objects(0, 0, 0), None;
    "sqs-test-event": "The same through a queue", objects(0, 0, 0), None;
    "batch-job-1.0": "An S3 Batch Operations job sends existing objects", objects(1, 0, 0), Some(BATCH_NOTE);
    "batch-job-1.0-plus": "The same with a + in the key", objects(1, 0, 0), None;
    "batch-job-2.0": "The same in schema 2.0", objects(1, 0, 0), None;
    "unknown": "An event of another kind, on purpose", Expected::Error("UnknownEvent"), Some(ERROR_NOTE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_of_the_repository_is_in_the_program() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let there = files.filter(|path| path.extension().is_some_and(|extension| extension == "json")).count();
        assert_eq!(SAMPLES.len(), there);
    }
}
