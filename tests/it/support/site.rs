//! The command line and everything around it: FlexOrch's sandbox, Secrets Manager, SQS and S3 on random ports, and a folder to run in.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use flexorch_s3_ingester::cli::sandbox::buckets::Buckets;
use flexorch_s3_ingester::cli::sandbox::queues::Queues;
use flexorch_s3_ingester::cli::sandbox::secrets_manager::SecretsManager;
use flexorch_s3_ingester::cli::sandbox::{Sandbox, SandboxOptions};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use super::app::API_KEY;

/// The secret's name.
pub const SECRET: &str = "flexorch/documents";
/// Its bucket.
pub const BUCKET: &str = "my-documents";

/// What an operator has before the first command.
pub struct Site {
    pub flexorch: Sandbox,
    pub secrets: SecretsManager,
    pub queues: Queues,
    pub buckets: Buckets,
    pub folder: TempDir,
}

/// A program that runs.
pub struct Running {
    child: tokio::process::Child,
    pid: String,
    words: Vec<u8>,
}

impl Site {
    /// A site whose FlexOrch has no rate limit, with a connector for everything in the bucket.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A site whose FlexOrch is set up otherwise.
    pub async fn with(change: impl FnOnce(&mut SandboxOptions)) -> Self {
        let mut options = SandboxOptions { requests_per_minute: None, ..SandboxOptions::default() };
        change(&mut options);
        let site = Self {
            flexorch: Sandbox::start(options).await.unwrap(),
            secrets: SecretsManager::start(0).await.unwrap(),
            queues: Queues::start(0).await.unwrap(),
            buckets: Buckets::start(0).await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
        };
        site.put_secret(&json!({}));
        site.buckets.create(BUCKET, "eu-west-1");
        site.queues.create("retry");
        site
    }

    /// Writes the connector's secret, with these fields besides or instead.
    pub fn put_secret(&self, fields: &Value) {
        let mut secret = json!({"api_key": API_KEY, "connector_id": 42, "bucket": BUCKET, "region": "eu-west-1"});
        for (name, value) in fields.as_object().unwrap() {
            secret[name] = value.clone();
        }
        self.secrets.put(SECRET, secret.to_string());
    }

    /// Fills the bucket with these keys.
    pub fn fill(&self, keys: impl IntoIterator<Item = String>) {
        let now = SystemTime::now();
        self.buckets.put_many(BUCKET, keys.into_iter().map(|key| (key, 1000, now)));
    }

    /// The program with `--secret` and these arguments, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flexorch-s3"));
        let (name, rest) = arguments.split_first().unwrap();
        command.arg(name).args(["--secret", SECRET]).args(rest).current_dir(self.folder.path()).env_clear().envs([
            ("HOME", self.folder.path().to_str().unwrap()),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "aws-secret-never-printed"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &self.secrets.endpoint_url()),
            ("AWS_ENDPOINT_URL_SQS", &self.queues.endpoint_url()),
            ("AWS_ENDPOINT_URL_S3", &self.buckets.endpoint_url()),
            ("FLEXORCH_BASE_URL", &self.flexorch.base_url()),
        ]);
        command
    }

    /// Runs the program to its end.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        self.finish(self.command(arguments)).await
    }

    /// Runs a command to its end, and sees to it that no credential is printed.
    pub async fn finish(&self, command: Command) -> Output {
        let output = tokio::process::Command::from(command).stdin(Stdio::null()).output().await.unwrap();
        for credential in [API_KEY, "aws-secret-never-printed"] {
            assert!(!shown(&output).contains(credential), "a credential is printed: {}", shown(&output));
        }
        output
    }

    /// Starts a command and lets it run.
    pub fn spawn(&self, command: Command) -> Running {
        let mut command = tokio::process::Command::from(command);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        Running { pid: child.id().unwrap().to_string(), child, words: Vec::new() }
    }

    /// Waits until FlexOrch has seen so many submissions.
    pub async fn until_requests(&self, number: usize) {
        let seen = async {
            while self.flexorch.requests().len() < number {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), seen).await.expect("the submissions do not come");
    }

    /// The keys of all submissions so far, sorted, repeats included.
    pub fn submitted_keys(&self) -> Vec<String> {
        let mut keys = self.flexorch.submitted_keys();
        keys.sort();
        keys
    }

    /// The names of the files in the folder.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Running {
    /// Sends a signal, such as `-INT`.
    pub fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.pid]).status().unwrap().success());
    }

    /// The most memory that it has had so far, in KiB; `None` once it has ended.
    pub fn peak_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }

    /// Waits until it has said this on standard error.
    pub async fn until_told(&mut self, words: &str) {
        let stderr = self.child.stderr.as_mut().unwrap();
        let told = async {
            while !String::from_utf8_lossy(&self.words).contains(words) {
                assert!(stderr.read_buf(&mut self.words).await.unwrap() > 0, "it ended without saying {words:?}");
            }
        };
        tokio::time::timeout(Duration::from_secs(60), told).await.expect("it does not say it");
    }

    /// Waits for its end.
    pub async fn output(self) -> Output {
        let mut output = self.child.wait_with_output().await.unwrap();
        output.stderr.splice(..0, self.words);
        output
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

/// Everything that a program printed.
pub fn shown(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Its one JSON document.
pub fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", shown(output)))
}
