//! `flexorch-s3 sandbox`, as it is typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use flexorch_sandbox::{Fault, Plan};

use super::duration;

/// `flexorch-s3 sandbox`.
#[derive(Debug, Args)]
#[command(after_help = "\
A fault is an effect and filters, joined by commas:
  status=503                       respond with this status; also code= message= body= content-type= retry-after= header=
  latency=2s  hang  reset  truncate  endless
  reject=*.exe,code=UNSUPPORTED_FILE   reject these files inside a 202
  fail-job=*.pdf,reason=encrypted  accept these files, and have their jobs fail
  times=N after=N random=0.2 key=GLOB connector=ID path=GLOB method=POST processed
At run time: curl -d 'status=429,retry-after=5,times=3' http://127.0.0.1:8642/_sandbox/faults
             curl http://127.0.0.1:8642/_sandbox/requests
             curl -X DELETE http://127.0.0.1:8642/_sandbox/faults

Examples:
  flexorch-s3 sandbox
  flexorch-s3 sandbox --port 0 --plan trial --fault 'random=0.2,status=503' --seed 7
  flexorch-s3 sandbox --secrets-manager 8643 --secret my-connector=@secret.json
  flexorch-s3 sandbox --secrets-manager --secret my-connector=@secret.json --s3 --bucket my-documents --objects 10000

What it prints as NAME=URL is for the environment of whatever is to use it instead of AWS.")]
pub(in super::super) struct SandboxCommand {
    /// The port on 127.0.0.1; 0 picks a free one
    #[arg(long, default_value_t = 8642)]
    pub port: u16,
    /// The plan: trial, starter, pro, enterprise
    #[arg(long, default_value = "starter")]
    pub plan: Plan,
    /// Requests a minute that a tenant has
    #[arg(long, default_value_t = 60, value_name = "N")]
    pub requests_per_minute: u32,
    /// No rate limit
    #[arg(long, conflicts_with = "requests_per_minute")]
    pub unlimited: bool,
    /// Documents a tenant may submit before its credits are used up
    #[arg(long, value_name = "N")]
    pub credits: Option<u64>,
    /// Keys that one request may hold
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub max_keys: usize,
    /// Answer 404 to a submission for a connector that was not created here
    #[arg(long)]
    pub strict_connectors: bool,
    /// Every answer takes this long
    #[arg(long, default_value = "0ms", value_parser = duration, value_name = "TIME")]
    pub latency: Duration,
    /// A fault from the start; can be given several times
    #[arg(long = "fault", value_name = "FAULT")]
    pub faults: Vec<Fault>,
    /// Makes random faults the same in every run
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Bring a Secrets Manager endpoint along, on this port or any free one
    #[arg(long, num_args = 0..=1, default_missing_value = "0", value_name = "PORT")]
    pub secrets_manager: Option<u16>,
    /// A secret that it holds: its name and the file with its JSON
    #[arg(long = "secret", requires = "secrets_manager", value_name = "NAME=@FILE", value_parser = secret_file)]
    pub secrets: Vec<(String, PathBuf)>,
    /// Bring an S3 endpoint along, on this port or any free one
    #[arg(long, num_args = 0..=1, default_missing_value = "0", value_name = "PORT")]
    pub s3: Option<u16>,
    /// A bucket that it has, in eu-west-1; can be given several times
    #[arg(long = "bucket", requires = "s3", value_name = "NAME")]
    pub buckets: Vec<String>,
    /// Put so many objects into each bucket, invoices/000001.pdf and on
    #[arg(long, requires = "buckets", default_value_t = 0, value_name = "N")]
    pub objects: u32,
    /// Bring an SQS endpoint along, on this port or any free one
    #[arg(long, num_args = 0..=1, default_missing_value = "0", value_name = "PORT")]
    pub sqs: Option<u16>,
    /// A queue that it has; can be given several times
    #[arg(long = "queue", requires = "sqs", value_name = "NAME")]
    pub queues: Vec<String>,
}

/// A secret's value is never an argument: arguments are seen by everybody on the machine.
fn secret_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once("=@") {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok((name.to_owned(), PathBuf::from(file))),
        _ => Err("it must be NAME=@FILE, where FILE holds the secret's JSON".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secrets_value_is_not_taken_from_the_arguments() {
        assert!(secret_file("docs={\"api_key\":\"dfx_a\"}").is_err());
        assert_eq!(secret_file("docs=@s.json").unwrap(), ("docs".to_owned(), PathBuf::from("s.json")));
    }
}
