//! `flexorch-s3 sandbox`, as typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use flexorch_sandbox::{Effect, Fault, Plan, WebhookSecrets};
use wildmatch::WildMatch;

use super::shared::duration;

/// Run FlexOrch's API on this machine, for development and rehearsals
///
/// The first line of the output is the base URL. Lines of the form NAME=URL are environment variables for programs that should use the
/// sandbox instead of AWS.
#[derive(Debug, Args)]
#[command(after_help = "\
A fault is an effect and filters, separated by commas:
  status=503               respond with this status; also code= message=
                           body= content-type= retry-after= header=
  latency=2s  hang  reset  truncate  endless
  reject=*.exe,code=UNSUPPORTED_FILE
                           reject these files inside a 202 response
  fail-job=*.pdf,reason=encrypted
                           accept these files, and let their jobs fail
  times=N after=N random=0.2 key=GLOB connector=ID path=GLOB method=POST
  processed

Change faults while it runs:
  curl -d 'status=429,times=3' http://127.0.0.1:8642/_sandbox/faults
  curl -X DELETE http://127.0.0.1:8642/_sandbox/faults
  curl http://127.0.0.1:8642/_sandbox/requests

Jobs and webhooks while it runs:
  curl http://127.0.0.1:8642/_sandbox/jobs
  curl -d '{\"status\": \"failed\", \"failure_reason\": \"encrypted\"}' \\
    http://127.0.0.1:8642/_sandbox/jobs/j-1
                           without /j-1: all jobs that have not ended
  curl -X DELETE http://127.0.0.1:8642/_sandbox/jobs/j-1
  curl -d '{\"lose\": true}' http://127.0.0.1:8642/_sandbox/webhooks
  curl http://127.0.0.1:8642/_sandbox/deliveries
  curl -X POST http://127.0.0.1:8642/_sandbox/deliveries/1

Examples:
  flexorch-s3 sandbox
  flexorch-s3 sandbox --port 0 --fault random=0.2,status=503 --seed 7
  flexorch-s3 sandbox --job-seconds 5 --fail-job '*.enc.pdf=encrypted'
  flexorch-s3 sandbox --secrets-manager 8643 --secret my-connector=@secret.json
  flexorch-s3 sandbox --s3 --bucket my-documents --objects 10000 --sqs --queue q")]
pub(crate) struct SandboxCommand {
    /// Port on 127.0.0.1; 0 picks a free one
    #[arg(long, default_value_t = 8642)]
    pub(crate) port: u16,
    /// FlexOrch plan: trial, starter, pro or enterprise
    #[arg(long, default_value = "starter")]
    pub(crate) plan: Plan,
    /// Requests per minute and tenant
    #[arg(long, default_value_t = 60, value_name = "N")]
    pub(crate) requests_per_minute: u32,
    /// No rate limit
    #[arg(long, conflicts_with = "requests_per_minute")]
    pub(crate) unlimited: bool,
    /// Documents per tenant before the monthly credits are used up
    #[arg(long, value_name = "N")]
    pub(crate) credits: Option<u64>,
    /// Maximum keys per request
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub(crate) max_keys: usize,
    /// Respond with 404 to submissions for a connector that was not created here
    #[arg(long)]
    pub(crate) strict_connectors: bool,
    /// Seconds that a job takes, half of them queued; by default two, or two polls
    #[arg(long, value_name = "N")]
    pub(crate) job_seconds: Option<u64>,
    /// Let the jobs of these keys fail for this reason; can be repeated
    #[arg(long = "fail-job", value_name = "PATTERN=REASON", value_parser = failing_job)]
    pub(crate) failing_jobs: Vec<Fault>,
    /// Give every submitted key a new job, as for changed content
    #[arg(long)]
    pub(crate) changed_content: bool,
    /// Signing secrets of webhooks: given (by the caller), made (by FlexOrch) or either
    #[arg(long, default_value = "either", value_name = "SOURCE")]
    pub(crate) webhook_secrets: WebhookSecrets,
    /// Lose every delivery of a webhook
    #[arg(long)]
    pub(crate) lose_webhooks: bool,
    /// Delay of every response
    #[arg(long, default_value = "0ms", value_parser = duration, value_name = "DURATION")]
    pub(crate) latency: Duration,
    /// Start with this fault; can be repeated
    #[arg(long = "fault", value_name = "FAULT")]
    pub(crate) faults: Vec<Fault>,
    /// Seed of random faults
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Also run Secrets Manager, on this port or any free one
    #[arg(long, num_args = 0..=1, default_missing_value = "0", value_name = "PORT")]
    pub(crate) secrets_manager: Option<u16>,
    /// A secret in Secrets Manager: its name and a file with its JSON; can be repeated
    #[arg(long = "secret", requires = "secrets_manager", value_name = "NAME=@FILE", value_parser = secret_file)]
    pub(crate) secrets: Vec<(String, PathBuf)>,
    /// Also run S3, on this port or any free one
    #[arg(long, num_args = 0..=1, default_missing_value = "0", value_name = "PORT")]
    pub(crate) s3: Option<u16>,
    /// A bucket in S3 (eu-west-1); can be repeated
    #[arg(long = "bucket", requires = "s3", value_name = "NAME")]
    pub(crate) buckets: Vec<String>,
    /// Objects in each bucket: invoices/000001.pdf and so on
    #[arg(long, requires = "buckets", default_value_t = 0, value_name = "N")]
    pub(crate) objects: u32,
    /// Also run SQS, on this port or any free one
    #[arg(long, num_args = 0..=1, default_missing_value = "0", value_name = "PORT")]
    pub(crate) sqs: Option<u16>,
    /// A queue in SQS; can be repeated
    #[arg(long = "queue", requires = "sqs", value_name = "NAME")]
    pub(crate) queues: Vec<String>,
    /// Also run DynamoDB, on this port or any free one
    #[arg(long, num_args = 0..=1, default_missing_value = "0", value_name = "PORT")]
    pub(crate) dynamodb: Option<u16>,
    /// A table of documents' records in DynamoDB; can be repeated
    #[arg(long = "records-table", requires = "dynamodb", value_name = "NAME")]
    pub(crate) records_tables: Vec<String>,
    /// Also run EventBridge, on this port or any free one
    #[arg(long, num_args = 0..=1, default_missing_value = "0", value_name = "PORT")]
    pub(crate) eventbridge: Option<u16>,
}

/// A text that [`failing_job`] cannot parse.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected PATTERN=REASON, such as *.enc.pdf=encrypted")]
struct NotAFailingJob;

/// Parses `PATTERN=REASON`. The last `=` separates: a key may have one, as in `year=2026/a.pdf`.
fn failing_job(text: &str) -> Result<Fault, NotAFailingJob> {
    match text.rsplit_once('=') {
        Some((pattern, reason)) if !pattern.is_empty() && !reason.is_empty() => {
            Ok(Fault::new(Effect::FailJob { files: WildMatch::new(pattern), reason: reason.to_owned() }))
        }
        _ => Err(NotAFailingJob),
    }
}

/// A text that [`secret_file`] cannot parse.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected NAME=@FILE, where FILE contains the secret's JSON")]
struct NotASecretFile;

/// Parses `NAME=@FILE`. The value itself is never an argument: other users of the machine can see arguments.
fn secret_file(text: &str) -> Result<(String, PathBuf), NotASecretFile> {
    match text.split_once("=@") {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok((name.to_owned(), PathBuf::from(file))),
        _ => Err(NotASecretFile),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_job_is_a_pattern_and_a_reason() {
        let fault = failing_job("year=2026/*.pdf=KMS key denied").unwrap();
        let Effect::FailJob { files, reason } = fault.effect else { panic!("{fault:?}") };
        assert!(files.matches("year=2026/a.pdf") && !files.matches("year=2025/a.pdf"));
        assert_eq!(reason, "KMS key denied");
        for wrong in ["*.pdf", "=encrypted", "*.pdf=", ""] {
            assert_eq!(failing_job(wrong), Err(NotAFailingJob), "{wrong}");
        }
    }

    #[test]
    fn a_secrets_value_is_not_taken_from_the_arguments() {
        assert_eq!(secret_file("docs={\"api_key\":\"dfx_a\"}"), Err(NotASecretFile));
        assert_eq!(secret_file("docs=@s.json").unwrap(), ("docs".to_owned(), PathBuf::from("s.json")));
    }
}
