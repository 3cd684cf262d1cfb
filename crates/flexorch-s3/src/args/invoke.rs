//! `flexorch-s3 invoke` and `demo`, as typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use flexorch_sandbox::Fault;

use super::shared::duration;

/// Run the function's handler on events from files, and show what happened to every object
///
/// Without --sandbox, the handler reads the function's environment variables and calls FlexOrch and AWS.
///
/// Exit status: 0 every object is forwarded or out of scope; 1 the command failed; 3 an event ended in an error, or an object or a message
/// was rejected or deferred.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 invoke --sandbox events/s3-direct.json
  flexorch-s3 invoke --sandbox --bucket my-bucket --prefix scans/ my-event.json
  aws sqs receive-message … | flexorch-s3 invoke --sandbox --json -
  CONNECTOR_SECRET_IDS=my-connector flexorch-s3 invoke events/s3-direct.json")]
pub(crate) struct InvokeOptions {
    /// Files with one event each; a directory stands for its .json files, - for standard input
    #[arg(required = true, value_name = "EVENT")]
    pub(crate) events: Vec<PathBuf>,
    /// Run FlexOrch, Secrets Manager, SQS and S3 inside this program
    #[arg(long)]
    pub(crate) sandbox: bool,
    /// The bucket of the sandbox's connector
    #[arg(long, requires = "sandbox", default_value = "my-documents", value_name = "BUCKET")]
    pub(crate) bucket: String,
    /// The prefix of the sandbox's connector
    #[arg(long, requires = "sandbox", default_value = "invoices/", value_name = "PREFIX")]
    pub(crate) prefix: String,
    /// A fault of the sandbox's FlexOrch, such as status=503,times=2 (see 'flexorch-s3 sandbox --help')
    #[arg(long = "fault", requires = "sandbox", value_name = "FAULT")]
    pub(crate) faults: Vec<Fault>,
    /// The function's timeout for each event
    #[arg(long, default_value = "30s", value_parser = duration, value_name = "DURATION")]
    pub(crate) timeout: Duration,
    /// Exit with 0 even if the handler returns an error, or rejects or defers an object
    #[arg(long)]
    pub(crate) no_fail: bool,
}

/// Run a sample of every event source through the handler, without AWS or FlexOrch accounts
///
/// Exit status: 0 every sample ended as expected; 3 one did not, because of --fault.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 demo
  flexorch-s3 demo --fault status=503,times=2
  flexorch-s3 demo --json | jq '.[].summary'")]
pub(crate) struct DemoOptions {
    /// A fault of the sandbox's FlexOrch, such as status=503,times=2 (see 'flexorch-s3 sandbox --help')
    #[arg(long = "fault", value_name = "FAULT")]
    pub(crate) faults: Vec<Fault>,
}
