//! The built command line, with FlexOrch's sandbox and the AWS services around it.

use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use flexorch_s3_ingester::cli::sandbox::buckets::Buckets;
use flexorch_s3_ingester::cli::sandbox::queues::Queues;
use flexorch_s3_ingester::cli::sandbox::secrets_manager::SecretsManager;
use flexorch_s3_ingester::cli::sandbox::{Sandbox, SandboxOptions};
use serde_json::{Value, json};

/// What no output may show, wherever it stands in a secret.
pub const HIDDEN: [&str; 2] = ["dfx_operator_0123456789", "wJalrXUtnFEMI/K7MDENG/hidden"];
/// The secret's name.
pub const SECRET: &str = "flexorch/invoices";

/// An operator's surroundings: everything that `flexorch-s3` talks to, on random ports.
pub struct Operator {
    pub flexorch: Sandbox,
    pub secrets: SecretsManager,
    pub queues: Queues,
    pub buckets: Buckets,
}

/// What a command printed, and how it ended.
pub struct Done {
    pub status: i32,
    pub out: String,
    pub err: String,
}

/// A whole secret of an S3 connector that is not made yet.
pub fn fresh_secret() -> Value {
    json!({
        "api_key": HIDDEN[0], "bucket": "my-documents", "region": "eu-west-1", "prefix": "invoices/",
        "aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": HIDDEN[1],
    })
}

impl Operator {
    /// Starts everything; the secret is there, whole, and names no connector yet.
    pub async fn start() -> Self {
        Self::with(SandboxOptions::default()).await
    }

    pub async fn with(options: SandboxOptions) -> Self {
        let operator = Self {
            flexorch: Sandbox::start(options).await.unwrap(),
            secrets: SecretsManager::start(0).await.unwrap(),
            queues: Queues::start(0).await.unwrap(),
            buckets: Buckets::start(0).await.unwrap(),
        };
        operator.secrets.put(SECRET, fresh_secret().to_string());
        operator
    }

    /// The command, with these surroundings and no others.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flexorch-s3"));
        command
            .env_clear()
            .env("HOME", Path::new("/nonexistent"))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "operators-own")
            .env("AWS_MAX_ATTEMPTS", "1")
            .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.secrets.endpoint_url())
            .env("AWS_ENDPOINT_URL_SQS", self.queues.endpoint_url())
            .env("AWS_ENDPOINT_URL_S3", self.buckets.endpoint_url())
            .env("FLEXORCH_BASE_URL", self.flexorch.base_url());
        command
    }

    /// Runs a command line to its end. The services go on meanwhile.
    pub async fn run(&self, arguments: &[&str]) -> Done {
        let mut command = self.command();
        command.args(arguments);
        Done::of(command).await
    }

    /// The secret as it is now.
    pub fn secret(&self) -> Value {
        serde_json::from_str(self.secrets.versions(SECRET).last().unwrap()).unwrap()
    }
}

impl Done {
    /// Runs a command to its end, and makes sure that no secret is in what it says.
    pub async fn of(mut command: Command) -> Self {
        let output: Output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let done = Self { status: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) };
        for hidden in HIDDEN {
            assert!(!done.out.contains(hidden) && !done.err.contains(hidden), "a secret is printed:\n{done}");
        }
        done
    }

    /// The one JSON document that it printed.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}:\n{self}"))
    }

    /// It ended with this status and its two outputs together say all of these.
    #[track_caller]
    pub fn says(&self, status: i32, words: &[&str]) -> &Self {
        assert_eq!(self.status, status, "{self}");
        for words in words {
            assert!(self.out.contains(words) || self.err.contains(words), "{words:?} is not in:\n{self}");
        }
        self
    }
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit status {}\n{}{}", self.status, self.out, self.err)
    }
}
