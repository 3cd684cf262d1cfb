//! The function and everything around it.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use flexorch_sandbox::function::Function;
use flexorch_sandbox::services::API_KEY;
use flexorch_sandbox::{Fault, SandboxOptions, Services};
use serde_json::{Value, json};

use super::events::{Answered, Delivery, SIGNING_SECRET, batch, document, receipt_of};

/// The table's name.
pub const TABLE: &str = "records";
/// The bus's name.
pub const BUS: &str = "documents";
/// The connector's secret.
pub const SECRET: &str = "connector";
/// The webhook's secret.
pub const WEBHOOK_SECRET: &str = "webhook";

/// The built function and the services that it uses, all on random ports.
pub struct App(Function);

/// What a test sets before the function starts.
pub struct AppBuilder {
    options: SandboxOptions,
    env: BTreeMap<String, String>,
    secrets: Vec<(String, String)>,
}

impl AppBuilder {
    pub fn new() -> Self {
        Self {
            options: SandboxOptions { requests_per_minute: None, ..SandboxOptions::default() },
            env: BTreeMap::from([
                ("SWEEP_AFTER_MINUTES".to_owned(), "0".to_owned()),
                ("WEBHOOK_SECRET_ID".to_owned(), WEBHOOK_SECRET.to_owned()),
            ]),
            secrets: vec![(SECRET.to_owned(), json!({"api_key": API_KEY, "connector_id": 42}).to_string())],
        }
    }

    /// Sets a variable of the function's environment; empty counts as not set.
    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.env.insert(name.to_owned(), value.to_string());
        self
    }

    /// Adds a connector's secret.
    pub fn connector(mut self, name: &str, api_key: &str) -> Self {
        self.secrets.push((name.to_owned(), json!({"api_key": api_key, "connector_id": name}).to_string()));
        self
    }

    /// A fault of FlexOrch's from the start.
    pub fn fault(mut self, fault: &str) -> Self {
        self.options.faults.push(fault.parse::<Fault>().unwrap());
        self
    }

    /// Starts the services and the function, and waits until it asks for work.
    pub async fn start(self) -> App {
        let app = self.spawn().await;
        app.started().await;
        app
    }

    /// Starts the services and the function without waiting for anything.
    pub async fn spawn(self) -> App {
        let services = Services::start(self.options).await.unwrap();
        services.dynamodb.create_records_table(TABLE).unwrap();
        for (name, secret) in &self.secrets {
            services.secrets.put(name, secret);
        }
        services.secrets.put(WEBHOOK_SECRET, json!({"signing_secret": SIGNING_SECRET}).to_string());
        let names: Vec<_> = self.secrets.iter().map(|(name, _)| name.as_str()).collect();
        let mut env = BTreeMap::from([
            ("CONNECTOR_SECRET_IDS".to_owned(), names.join(",")),
            ("RECORDS_TABLE".to_owned(), TABLE.to_owned()),
            ("EVENT_BUS_NAME".to_owned(), BUS.to_owned()),
        ]);
        env.extend(self.env);
        App(Function::spawn(env!("CARGO_BIN_EXE_flexorch-outcomes"), "outcomes", services, env).unwrap())
    }
}

impl Deref for App {
    type Target = Function;

    fn deref(&self) -> &Function {
        &self.0
    }
}

impl DerefMut for App {
    fn deref_mut(&mut self) -> &mut Function {
        &mut self.0
    }
}

impl App {
    /// The function with its defaults.
    pub async fn start() -> Self {
        AppBuilder::new().start().await
    }

    /// Hands the function an event, with more time than it needs on a busy machine.
    pub async fn invoke(&self, event: Value) -> Answered {
        self.invoke_within(event, Duration::from_secs(120)).await
    }

    /// Hands the function an event, with this much time until Lambda would end it.
    pub async fn invoke_within(&self, event: Value, time: Duration) -> Answered {
        Answered(self.runtime_api.invoke(event.to_string(), time).await.unwrap().result)
    }

    /// Delivers a webhook and returns the HTTP status.
    pub async fn deliver(&self, delivery: &Delivery) -> u64 {
        self.invoke(delivery.event()).await.ok()["statusCode"].as_u64().unwrap()
    }

    /// Submits keys to FlexOrch with an API key, and returns their jobs. They end as the test says.
    pub async fn submit(&self, api_key: &str, keys: &[String]) -> Vec<String> {
        self.flexorch.set_job_time(Some(Duration::MAX));
        let http = flexorch_s3_ingester::aws::http::client(None).unwrap();
        let request =
            http.post(format!("{}/data-process/async", self.flexorch.base_url())).header("x-api-key", api_key);
        let body = json!({"source": {"connector_id": 42, "keys": keys}}).to_string();
        let response = request.header("content-type", "application/json").body(body).send().await.unwrap();
        let response: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        let jobs = response["data"]["jobs"].as_array().unwrap_or_else(|| panic!("{response}"));
        jobs.iter().map(|job| job["job_id"].as_str().unwrap().to_owned()).collect()
    }

    /// Submits as many keys as this, a hundred a request, and records them by receipts of a connector; returns their jobs.
    pub async fn submit_and_record(&self, connector: &str, api_key: &str, count: usize) -> Vec<String> {
        let keys: Vec<_> = (0..count).map(|number| format!("{connector}/{number:04}.pdf")).collect();
        let mut all = Vec::new();
        for (second, keys) in (0..).zip(keys.chunks(100)) {
            let jobs = self.submit(api_key, keys).await;
            let documents: Vec<_> = keys.iter().zip(&jobs).map(|(key, job)| document(key, job)).collect();
            assert!(self.invoke(batch(&[receipt_of(connector, second, &documents)])).await.failures().is_empty());
            all.extend(jobs);
        }
        all
    }

    /// Sweeps with this much time and returns the summary.
    pub async fn sweep_within(&self, time: Duration) -> Value {
        self.invoke_within(json!({"sweep": {}}), time).await.ok()
    }

    /// Sweeps and returns the summary.
    pub async fn sweep(&self) -> Value {
        self.invoke(json!({"sweep": {}})).await.ok()
    }

    /// The records in the table, sorted by document and version, without the sweep's own item.
    pub fn records(&self) -> Vec<Value> {
        self.dynamodb.items(TABLE).into_iter().filter(|item| item["document"] != "sweep").collect()
    }

    /// The only record.
    pub fn record(&self) -> Value {
        let records = self.records();
        let [record] = &records[..] else { panic!("one record: {records:#?}") };
        record.clone()
    }

    /// The states of the records, in their order.
    pub fn states(&self) -> Vec<String> {
        self.records().iter().map(|record| record["state"].as_str().unwrap().to_owned()).collect()
    }

    /// What was published so far: detail type and document.
    pub fn published(&self) -> Vec<(String, String)> {
        let event = |event: &flexorch_sandbox::eventbridge::PublishedEvent| {
            (event.detail_type.clone(), event.detail["document"].as_str().unwrap_or_default().to_owned())
        };
        self.eventbridge.events().iter().map(event).collect()
    }

    /// Ends the function and returns everything that it printed.
    pub async fn output(self) -> Vec<String> {
        self.0.output().await
    }

    /// Ends the function and returns its metrics: the sum of each, or of its values.
    pub async fn metrics(self) -> BTreeMap<String, f64> {
        self.0.metrics().await
    }
}
