//! Everything that the programs talk to, on random ports: FlexOrch's sandbox, Secrets Manager, SQS and S3, and a folder to run in.

use std::process::Command;

use flexorch_s3_ingester::cli::sandbox::buckets::Buckets;
use flexorch_s3_ingester::cli::sandbox::queues::Queues;
use flexorch_s3_ingester::cli::sandbox::secrets_manager::SecretsManager;
use flexorch_s3_ingester::cli::sandbox::{Sandbox, SandboxOptions};
use tempfile::TempDir;

use super::run::{PROGRAM, Run};

/// The AWS region of everything, unless a test says otherwise.
pub const REGION: &str = "eu-west-1";
/// FlexOrch's API key in a connector's secret.
pub const API_KEY: &str = "dfx_test_0123456789";
/// The AWS secret key that FlexOrch reads a bucket with.
pub const CONNECTORS_SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+hidden";
/// The AWS secret key of whoever runs a program.
pub const OPERATORS_SECRET_KEY: &str = "aws-secret/never+printed";
/// What no program may print.
pub const HIDDEN: [&str; 3] = [API_KEY, CONNECTORS_SECRET_KEY, OPERATORS_SECRET_KEY];

/// The services and the folder.
pub struct Surroundings {
    pub flexorch: Sandbox,
    pub secrets: SecretsManager,
    pub queues: Queues,
    pub buckets: Buckets,
    pub folder: TempDir,
}

impl Surroundings {
    /// Starts everything; nothing is in it yet.
    pub async fn start(options: SandboxOptions) -> Self {
        Self::around(SecretsManager::start(0).await.unwrap(), options).await
    }

    /// Starts everything besides this Secrets Manager.
    pub async fn around(secrets: SecretsManager, options: SandboxOptions) -> Self {
        Self {
            flexorch: Sandbox::start(options).await.unwrap(),
            secrets,
            queues: Queues::start(0).await.unwrap(),
            buckets: Buckets::start(0).await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// The variables that lead a program here.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", OPERATORS_SECRET_KEY.to_owned()),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.secrets.endpoint_url()),
            ("AWS_ENDPOINT_URL_SQS", self.queues.endpoint_url()),
            ("AWS_ENDPOINT_URL_S3", self.buckets.endpoint_url()),
            ("FLEXORCH_BASE_URL", self.flexorch.base_url()),
        ]
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
            // Nobody listens there.
            .env("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:9")
            .env("AWS_ENDPOINT_URL_EVENTBRIDGE", "http://127.0.0.1:9")
            .envs(self.environment());
        command
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
