//! `flexorch-s3 invoke`, as it is typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use flexorch_sandbox::Fault;

use super::duration;

/// `flexorch-s3 invoke`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 invoke --sandbox events/s3-direct.json
  flexorch-s3 invoke --sandbox --bucket my-bucket --prefix scans/ my-event.json
  aws sqs receive-message … | flexorch-s3 invoke --sandbox --json -
  CONNECTOR_SECRET_IDS=my-connector AWS_REGION=eu-west-1 flexorch-s3 invoke events/s3-direct.json

Without --sandbox the function's own environment variables are read, and FlexOrch and AWS are called for real.")]
pub(in super::super) struct InvokeOptions {
    /// Files with one event each; a folder stands for its .json files, - for standard input
    #[arg(required = true, value_name = "EVENT")]
    pub events: Vec<PathBuf>,
    /// Bring FlexOrch, Secrets Manager, SQS and S3 along, so that nothing outside this machine is needed
    #[arg(long)]
    pub sandbox: bool,
    /// The bucket of the sandbox's connector
    #[arg(long, requires = "sandbox", default_value = "my-documents", value_name = "BUCKET")]
    pub bucket: String,
    /// The prefix of the sandbox's connector
    #[arg(long, requires = "sandbox", default_value = "invoices/", value_name = "PREFIX")]
    pub prefix: String,
    /// A fault of the sandbox's FlexOrch, such as status=503,times=2 (see flexorch-s3 sandbox --help)
    #[arg(long = "fault", requires = "sandbox", value_name = "FAULT")]
    pub faults: Vec<Fault>,
    /// The time that the function has for an event
    #[arg(long, default_value = "30s", value_parser = duration, value_name = "TIME")]
    pub timeout: Duration,
    /// Exit with 0 even where an event is answered with an error
    #[arg(long)]
    pub no_fail: bool,
}

/// `flexorch-s3 demo`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 demo
  flexorch-s3 demo --fault status=503,times=2
  flexorch-s3 demo --json | jq '.[].summary'")]
pub(in super::super) struct DemoOptions {
    /// A fault of the sandbox's FlexOrch, such as status=503,times=2 (see flexorch-s3 sandbox --help)
    #[arg(long = "fault", value_name = "FAULT")]
    pub faults: Vec<Fault>,
}
