//! The function and everything around it.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use flexorch_sandbox::function::Function;
use flexorch_sandbox::secrets_manager::SecretsManager;
use flexorch_sandbox::services::{API_KEY, REGION};
use flexorch_sandbox::{Fault, RecordedRequest, SandboxOptions, Services};
use serde_json::{Value, json};

use super::answer::Answer;
use super::starved::Starved;

/// The secret's name.
pub const SECRET: &str = "connector";
/// The dead-letter queue's name.
pub const DEAD_LETTERS: &str = "dead-letters";
/// The name of the queue that receipts are sent to.
pub const RECEIPTS: &str = "receipts";

/// The built function and the services that it uses, all on random ports.
pub struct TestApp(Function);

/// What a test sets before the function starts.
pub struct TestAppBuilder {
    options: SandboxOptions,
    env: BTreeMap<String, String>,
    secrets: Vec<(String, String)>,
    absent: Vec<String>,
    secrets_manager: SecretsManager,
    dead_letters: bool,
    receipts: bool,
}

/// The connector of most tests: bucket `my-documents`, everything in it.
pub fn connector_secret() -> Value {
    json!({"api_key": API_KEY, "connector_id": 42, "bucket": "my-documents"})
}

impl TestAppBuilder {
    pub async fn new() -> Self {
        Self {
            options: SandboxOptions { requests_per_minute: None, ..SandboxOptions::default() },
            env: BTreeMap::new(),
            secrets: vec![(SECRET.to_owned(), connector_secret().to_string())],
            absent: Vec::new(),
            secrets_manager: SecretsManager::start(0).await.unwrap(),
            dead_letters: false,
            receipts: false,
        }
    }

    /// Sets a variable of the function's environment.
    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.env.insert(name.to_owned(), value.to_string());
        self
    }

    /// Replaces the secrets: names and their texts. `CONNECTOR_SECRET_IDS` names them all.
    pub fn secrets<'a>(mut self, secrets: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        self.secrets = secrets.into_iter().map(|(name, value)| (name.to_owned(), value.to_string())).collect();
        self
    }

    /// Gives a secret this text, which need not be JSON; a name that is new is added.
    pub fn secret_text(mut self, name: &str, text: &str) -> Self {
        match self.secrets.iter_mut().find(|(known, _)| known == name) {
            Some((_, secret)) => *secret = text.to_owned(),
            None => self.secrets.push((name.to_owned(), text.to_owned())),
        }
        self
    }

    /// Leaves a secret out of Secrets Manager, though `CONNECTOR_SECRET_IDS` names it.
    pub fn without_secret(mut self, name: &str) -> Self {
        self.absent.push(name.to_owned());
        self
    }

    /// Does something to Secrets Manager before the function starts.
    pub fn before_start(self, act: impl FnOnce(&SecretsManager)) -> Self {
        act(&self.secrets_manager);
        self
    }

    /// Changes the sandbox before it starts.
    pub fn sandbox(mut self, change: impl FnOnce(&mut SandboxOptions)) -> Self {
        change(&mut self.options);
        self
    }

    /// A fault of FlexOrch's from the start.
    pub fn fault(mut self, fault: &str) -> Self {
        self.options.faults.push(fault.parse::<Fault>().unwrap());
        self
    }

    /// Sets `DEAD_LETTER_QUEUE_URL` to a queue that is there.
    pub fn dead_letters(mut self) -> Self {
        self.dead_letters = true;
        self
    }

    /// Sets `RECEIPTS_QUEUE_URL` to a queue that is there.
    pub fn receipts(mut self) -> Self {
        self.receipts = true;
        self
    }

    /// Secrets Manager, before the function starts.
    pub fn secrets_manager(&self) -> &SecretsManager {
        &self.secrets_manager
    }

    /// Starts the function and waits until it asks for work.
    pub async fn start(self) -> TestApp {
        let app = self.spawn().await;
        app.started().await;
        app
    }

    /// Starts the function without waiting for anything.
    pub async fn spawn(self) -> TestApp {
        let services = Services::with_secrets_manager(self.secrets_manager, self.options).await.unwrap();
        services.queues.create(DEAD_LETTERS);
        services.queues.create(RECEIPTS);
        services.queues.create("retry");
        services.buckets.create("my-documents", REGION);
        for (name, secret) in self.secrets.iter().filter(|(name, _)| !self.absent.contains(name)) {
            services.secrets.put(name, secret);
        }
        let names: Vec<_> = self.secrets.iter().map(|(name, _)| name.as_str()).collect();
        let mut env = BTreeMap::from([("CONNECTOR_SECRET_IDS".to_owned(), names.join(","))]);
        if self.dead_letters {
            env.insert("DEAD_LETTER_QUEUE_URL".to_owned(), services.queues.url(DEAD_LETTERS));
        }
        if self.receipts {
            env.insert("RECEIPTS_QUEUE_URL".to_owned(), services.queues.url(RECEIPTS));
        }
        env.extend(self.env);
        TestApp(Function::spawn(env!("CARGO_BIN_EXE_flexorch-s3-ingester"), "ingest", services, env).unwrap())
    }
}

impl Deref for TestApp {
    type Target = Function;

    fn deref(&self) -> &Function {
        &self.0
    }
}

impl DerefMut for TestApp {
    fn deref_mut(&mut self) -> &mut Function {
        &mut self.0
    }
}

impl TestApp {
    /// The function with its defaults.
    pub async fn start() -> Self {
        TestAppBuilder::new().await.start().await
    }

    /// Hands the function an event, with 30 seconds for it.
    pub async fn invoke(&self, event: Value) -> Answer {
        self.invoke_within(event, Duration::from_secs(30)).await
    }

    /// Hands the function an event, with this much time until Lambda would end it.
    pub async fn invoke_within(&self, event: Value, time: Duration) -> Answer {
        self.runtime_api.invoke(event.to_string(), time).await.unwrap().into()
    }

    /// Hands the function a payload as it is.
    pub async fn invoke_raw(&self, payload: &str) -> Answer {
        self.runtime_api.invoke(payload.to_owned(), Duration::from_secs(30)).await.unwrap().into()
    }

    /// The most memory that the function has had so far, in KiB; `None` once it has ended.
    pub fn peak_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }

    /// Receives up to ten messages of a queue and hands them to the function, as Lambda does; `None` if none is visible.
    pub async fn work_off(&self, queue: &str) -> Option<Answer> {
        self.work_off_within(queue, Duration::from_secs(30)).await
    }

    /// As [`TestApp::work_off`], with this much time until Lambda would end it.
    pub async fn work_off_within(&self, queue: &str, time: Duration) -> Option<Answer> {
        let event = self.queues.poll(queue, REGION, 10)?;
        let answer = self.invoke_within(event.clone(), time).await;
        self.queues.acknowledge(queue, &event, answer.ok());
        Some(answer)
    }

    /// Gives the function this share of a core, until what is returned is dropped.
    pub fn starve(&self, share: f64) -> Starved {
        Starved::new(self.id().unwrap(), share)
    }

    /// What was submitted to FlexOrch so far, oldest first.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.flexorch.requests()
    }

    /// The keys of every submission so far, in order, repeats included.
    pub fn submitted_keys(&self) -> Vec<String> {
        self.flexorch.submitted_keys()
    }

    /// Ends the function and returns everything that it printed.
    pub async fn output(self) -> Vec<String> {
        self.0.output().await
    }

    /// Ends the function and returns its log lines; metrics are not among them.
    pub async fn logs(self) -> Vec<Value> {
        let lines = self.output().await;
        lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|line| line.get("_aws").is_none())
            .collect()
    }

    /// Ends the function and returns the sums of its metrics, and the values of those that are lists.
    pub async fn metrics(self) -> BTreeMap<String, f64> {
        self.0.metrics().await
    }
}
