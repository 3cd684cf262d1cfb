//! What the command line runs in: all services on random ports, and an empty folder.

use std::ops::Deref;
use std::process::Command;

use flexorch_sandbox::iam::SECRET_PREFIX;
pub use flexorch_sandbox::services::{API_KEY, REGION, SECRET_ACCESS_KEY};
use flexorch_sandbox::{SandboxOptions, Services};
use serde_json::json;
use tempfile::TempDir;

use super::run::{PROGRAM, Run};

/// The AWS secret key that FlexOrch reads a bucket with.
pub const CONNECTORS_SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+hidden";
/// What no program may print.
pub const HIDDEN: [&str; 4] = [API_KEY, CONNECTORS_SECRET_KEY, SECRET_ACCESS_KEY, SECRET_PREFIX];

/// The services and the folder.
pub struct Surroundings {
    services: Services,
    pub folder: TempDir,
}

impl Surroundings {
    /// Starts everything; nothing is in it yet.
    pub async fn start(options: SandboxOptions) -> Self {
        Self { services: Services::start(options).await.unwrap(), folder: tempfile::tempdir().unwrap() }
    }

    /// A program in the folder, with these surroundings and no others; not started yet.
    pub fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_MAX_ATTEMPTS", "1")
            // Nothing listens there.
            .env("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:9")
            .env("AWS_ENDPOINT_URL_EVENTBRIDGE", "http://127.0.0.1:9")
            .envs(self.environment());
        command
    }

    /// Sets an attribute of a queue over HTTP, as another client would.
    pub async fn set_queue_attribute(&self, queue: &str, name: &str, value: &str) {
        let scope = format!("AKIDEXAMPLE/20260131/{REGION}/sqs/aws4_request");
        let body = json!({"QueueUrl": self.queues.url(queue), "Attributes": {name: value}});
        let answer = flexorch_s3_ingester::aws::http::client(None)
            .unwrap()
            .post(self.queues.endpoint_url())
            .header("authorization", format!("AWS4-HMAC-SHA256 Credential={scope}, Signature=0"))
            .header("x-amz-target", "AmazonSQS.SetQueueAttributes")
            .header("content-type", "application/x-amz-json-1.0")
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
    }

    /// The command line with these arguments, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(PROGRAM);
        command.args(arguments);
        command
    }

    /// Runs the command line to its end. The services go on meanwhile.
    pub async fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments)).await
    }
}

impl Deref for Surroundings {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.services
    }
}
