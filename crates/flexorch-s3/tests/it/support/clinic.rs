//! A connector, its secret and its bucket, as `doctor` examines them, and what it finds.

use std::ops::Deref;
use std::process::Command;

use flexorch_sandbox::SandboxOptions;
use serde_json::{Value, json};

use super::account::{Account, queue_arn};
use super::run::Run;
use super::surroundings::{API_KEY, CONNECTORS_SECRET_KEY, REGION, Surroundings};

/// The function's name.
pub const FUNCTION: &str = "ingest";

/// The services, a secret `docs` with a connector, and the function `ingest`, which reads the queue `retry` that the bucket notifies.
/// The dead-letter queue of `retry` is `dead`.
pub struct Clinic {
    surroundings: Surroundings,
    /// Lambda and EventBridge.
    pub account: Account,
    /// FlexOrch's, as the command is told it.
    pub address: String,
}

/// What the command printed.
pub struct Diagnosis {
    pub run: Run,
    pub report: Value,
}

impl Deref for Clinic {
    type Target = Surroundings;

    fn deref(&self) -> &Surroundings {
        &self.surroundings
    }
}

impl Clinic {
    /// Everything is well, for a bucket of this name.
    pub async fn open(bucket: &str) -> Self {
        Self::with(bucket, SandboxOptions::default()).await
    }

    /// Everything is well, with a FlexOrch that is set up otherwise.
    pub async fn with(bucket: &str, options: SandboxOptions) -> Self {
        let surroundings = Surroundings::start(options).await;
        let clinic = Self { address: surroundings.flexorch.base_url(), surroundings, account: Account::start().await };
        clinic.buckets.create(bucket, REGION);
        clinic.connect(bucket).await;
        for queue in ["retry", "dead"] {
            clinic.queues.create(queue);
        }
        clinic.queues.set_redrive("retry", "dead", 120);
        clinic.allow_s3("retry", bucket).await;
        clinic.account.create_function(
            FUNCTION,
            &[
                ("CONNECTOR_SECRET_IDS", "docs"),
                ("FLEXORCH_BASE_URL", &clinic.address),
                ("REQUESTS_PER_MINUTE", "30"),
                ("DEAD_LETTER_QUEUE_URL", &clinic.queues.url("dead")),
                ("REQUEST_TIMEOUT_MS", "2000"),
            ],
        );
        clinic.account.map(FUNCTION, "retry");
        clinic.account.set_on_failure(FUNCTION, Some("retry"));
        clinic.notify(bucket, &[("Queue", &queue_arn("retry"), "")]);
        clinic
    }

    /// Writes the bucket's notifications, each with its kind (`Queue` or `CloudFunction`), its destination and its prefix.
    pub fn notify(&self, bucket: &str, destinations: &[(&str, &str, &str)]) {
        let entry = |(kind, arn, prefix): &(&str, &str, &str)| {
            format!(
                "<{kind}Configuration><{kind}>{arn}</{kind}><Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule>\
                 <Name>prefix</Name><Value>{prefix}</Value></FilterRule></S3Key></Filter></{kind}Configuration>"
            )
        };
        let entries: String = destinations.iter().map(entry).collect();
        let xml = format!("<NotificationConfiguration>{entries}</NotificationConfiguration>");
        self.buckets.set_notification(bucket, REGION, &xml);
    }

    /// Allows S3 to send to a queue for a bucket.
    pub async fn allow_s3(&self, queue: &str, bucket: &str) {
        let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage",
            "Principal": {"Service": "s3.amazonaws.com"}, "Resource": queue_arn(queue),
            "Condition": {"ArnLike": {"aws:SourceArn": format!("arn:aws:s3:::{bucket}")}}}]});
        self.set_queue_attribute(queue, "Policy", &policy.to_string()).await;
    }

    /// Has the command and the function use FlexOrch at another address.
    pub fn move_flexorch(&mut self, address: &str) {
        address.clone_into(&mut self.address);
        self.account.set_variable(FUNCTION, "FLEXORCH_BASE_URL", address);
    }

    /// Makes the connector over FlexOrch's API, as one that was well once, and writes it into the secret.
    pub async fn connect(&self, bucket: &str) {
        let config = json!({"bucket": bucket, "region": REGION, "prefix": "in/", "aws_access_key_id": "AKIAEXAMPLE",
                            "aws_secret_access_key": CONNECTORS_SECRET_KEY});
        let made =
            post(&format!("{}/connectors", self.address), &json!({"type": "s3", "name": bucket, "config": config}))
                .await;
        let id = made["data"]["id"].as_u64().or_else(|| made["id"].as_u64()).unwrap();
        self.write(
            &json!({"api_key": API_KEY, "connector_id": id, "bucket": bucket, "region": REGION, "prefix": "in/"}),
        );
    }

    pub fn write(&self, secret: &Value) {
        self.secrets.put("docs", secret.to_string());
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        self.any_command(&[&["doctor"], arguments].concat())
    }

    /// Runs a command of this program that a check suggests, word by word.
    pub async fn follow(&self, suggested: &str) -> Run {
        let words = shlex::split(suggested).unwrap();
        let [program, arguments @ ..] = &words[..] else { panic!("no command: {suggested:?}") };
        assert_eq!(program, "flexorch-s3");
        Run::of(self.any_command(&arguments.iter().map(String::as_str).collect::<Vec<_>>())).await
    }

    fn any_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.surroundings.command(arguments);
        command.env("FLEXORCH_BASE_URL", &self.address);
        command.env("AWS_ENDPOINT_URL_LAMBDA", self.account.url()).env("AWS_ENDPOINT_URL_IAM", self.account.url());
        command.env("AWS_ENDPOINT_URL_SCHEDULER", self.account.url());
        command.env("AWS_ENDPOINT_URL_EVENTBRIDGE", self.account.url());
        command
    }

    pub async fn doctor(&self, arguments: &[&str]) -> Diagnosis {
        Diagnosis::of(self.command(&[&["--secret", "docs", "--json", "-vv"], arguments].concat())).await
    }
}

pub async fn post(url: &str, body: &Value) -> Value {
    let http = flexorch_s3_ingester::aws::http::client(None).unwrap();
    let request = http.post(url).header("X-API-KEY", API_KEY).header("Content-Type", "application/json");
    let answer = request.body(body.to_string()).send().await.unwrap().bytes().await.unwrap();
    serde_json::from_slice(&answer).unwrap()
}

impl Diagnosis {
    pub async fn of(command: Command) -> Self {
        let run = Run::of(command).await;
        Self { report: serde_json::from_str(&run.out).unwrap_or_default(), run }
    }

    pub fn check(&self, name: &str) -> &Value {
        let checks = self.report["checks"].as_array().unwrap_or_else(|| panic!("{}", self.run));
        checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("no check {name}: {checks:#?}"))
    }

    pub fn names(&self, status: &str) -> Vec<&str> {
        let checks = self.report["checks"].as_array().unwrap_or_else(|| panic!("{}", self.run));
        checks.iter().filter(|check| check["status"] == status).map(|check| check["check"].as_str().unwrap()).collect()
    }

    /// What a check found, what it advises and its command.
    pub fn text(&self, name: &str) -> String {
        let check = self.check(name);
        ["found", "action", "command"].map(|field| check[field].as_str().unwrap_or_default()).join("\n")
    }

    /// Exactly these checks could not be made, each for want of a permission; nothing was diagnosed, and no change is suggested.
    #[track_caller]
    pub fn could_not_check(&self, names: &[&str], permission: &str) {
        assert_eq!(self.names("failed"), names, "{:#}", self.report);
        for name in names {
            let check = self.check(name);
            assert!(check["found"].as_str().unwrap().starts_with("could not be checked: "), "{check:#}");
            assert!(self.text(name).contains(permission), "{check:#}");
            assert_eq!(check["command"], "aws sts get-caller-identity", "{check:#}");
        }
        assert!(!self.run.out.contains("flexorch-s3 attach"), "{:#}", self.report);
        assert_eq!((self.run.status, &self.report["well"]), (Some(3), &json!(false)));
    }

    /// Exactly this check failed, seeing and advising this.
    #[track_caller]
    pub fn fails(&self, name: &str, found: &str, command: &str) {
        assert_eq!(self.names("failed"), [name], "{:#}", self.report);
        let check = self.check(name);
        assert!(check["found"].as_str().unwrap().contains(found), "{check:#}");
        assert!(check["command"].as_str().unwrap().contains(command), "{check:#}");
        assert_eq!((self.run.status, &self.report["well"]), (Some(3), &json!(false)));
    }
}
