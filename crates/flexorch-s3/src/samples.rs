//! The sample events of the repository's `events/` directory, compiled into the program.

macro_rules! samples {
    ($($name:literal),* $(,)?) => {
        /// The path of each sample in the repository, and its contents.
        pub(crate) const SAMPLES: &[(&str, &str)] =
            &[$((concat!("events/", $name, ".json"), include_str!(concat!("../../../events/", $name, ".json")))),*];
    };
}

samples![
    "batch-job-1.0",
    "batch-job-1.0-plus",
    "batch-job-2.0",
    "eventbridge-direct",
    "reconcile",
    "s3-direct",
    "s3-direct-two-buckets",
    "s3-test-event",
    "sns-direct",
    "sns-test-event",
    "sqs-destination-reconcile",
    "sqs-destination-record",
    "sqs-eventbridge",
    "sqs-mixed",
    "sqs-s3",
    "sqs-sns-enveloped",
    "sqs-sns-raw",
    "sqs-test-event",
    "unknown",
];

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
