//! An operator's site at work: a connector, a bucket with objects, and the queue `retry`.

use std::ops::Deref;
use std::process::Command;
use std::time::{Duration, SystemTime};

use flexorch_sandbox::SandboxOptions;
use serde_json::{Value, json};

use super::run::Run;
use super::surroundings::{API_KEY, REGION, Surroundings};

/// The secret's name.
pub const SECRET: &str = "flexorch/documents";
/// Its bucket.
pub const BUCKET: &str = "my-documents";

/// What an operator has who sends documents.
pub struct Site(Surroundings);

impl Site {
    /// A site whose FlexOrch has no rate limit, with a connector for everything in the bucket.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A site whose FlexOrch is set up otherwise.
    pub async fn with(change: impl FnOnce(&mut SandboxOptions)) -> Self {
        let mut options = SandboxOptions { requests_per_minute: None, ..SandboxOptions::default() };
        change(&mut options);
        let site = Self(Surroundings::start(options).await);
        site.put_secret(&json!({}));
        site.buckets.create(BUCKET, REGION);
        site.queues.create("retry");
        site
    }

    /// Writes the connector's secret, with these fields besides or instead.
    pub fn put_secret(&self, fields: &Value) {
        let mut secret = json!({"api_key": API_KEY, "connector_id": 42, "bucket": BUCKET, "region": REGION});
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

    /// A program in the folder, in which the AWS SDK tries as often as it does by itself.
    pub fn program(&self, program: &str) -> Command {
        let mut command = self.0.program(program);
        command.env_remove("AWS_MAX_ATTEMPTS");
        command
    }

    /// The command line with `--secret` and these arguments, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let (name, rest) = arguments.split_first().unwrap();
        let mut command = self.program(super::run::PROGRAM);
        command.arg(name).args(["--secret", SECRET]).args(rest);
        command
    }

    /// Runs that to its end.
    pub async fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments)).await
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

impl Deref for Site {
    type Target = Surroundings;

    fn deref(&self) -> &Surroundings {
        &self.0
    }
}
