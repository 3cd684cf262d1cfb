//! `flexorch-s3 sandbox`: jobs over time, and the services beside FlexOrch.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::support::run::PROGRAM;

/// A running sandbox. It is killed when it is dropped.
struct Running {
    printed: Vec<String>,
    _child: Child,
}

impl Running {
    async fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["sandbox", "--port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut printed = Vec::new();
        while !printed.last().is_some_and(|line: &String| line.contains("Ctrl-C")) {
            printed.push(lines.next_line().await.unwrap().unwrap());
        }
        Self { printed, _child: child }
    }

    /// The host and port of an endpoint that was printed.
    fn authority(&self, variable: &str) -> &str {
        let line = self.printed.iter().find_map(|line| line.strip_prefix(variable)?.strip_prefix('='));
        line.unwrap().strip_prefix("http://").unwrap()
    }

    /// Calls FlexOrch or the admin path, and returns the body.
    async fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let authority = self.printed[0].strip_prefix("http://").unwrap().strip_suffix("/v1").unwrap();
        let headers = "X-API-KEY: dfx_a\r\nContent-Type: application/json\r\n";
        exchange(authority, &format!("{method} {path}"), headers, body).await
    }

    /// The status of each job, newest first.
    async fn statuses(&self) -> Vec<String> {
        let page = self.call("GET", "/v1/jobs", &Value::Null).await;
        let jobs = page["data"]["items"].as_array().unwrap();
        jobs.iter().map(|job| job["status"].as_str().unwrap().to_owned()).collect()
    }
}

async fn exchange(authority: &str, line: &str, headers: &str, body: &Value) -> Value {
    let mut stream = TcpStream::connect(authority).await.unwrap();
    let body = body.to_string();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (_, body) = response.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or(Value::Null)
}

fn submission(keys: &[&str]) -> Value {
    json!({"source": {"connector_id": 42, "keys": keys}})
}

#[tokio::test]
async fn jobs_take_their_time_and_fail_by_rule() {
    let sandbox = Running::start(&["--job-seconds", "0", "--fail-job", "year=*/*.pdf=KMS key denied"]).await;
    sandbox.call("POST", "/v1/data-process/async", &submission(&["year=2026/a.pdf", "b.pdf"])).await;
    assert_eq!(sandbox.statuses().await, ["completed", "failed"]);
    let failed = sandbox.call("GET", "/v1/jobs/j-1", &Value::Null).await;
    assert_eq!(failed["data"]["failure_reason"], "KMS key denied");

    let slow = Running::start(&["--job-seconds", "86400", "--changed-content"]).await;
    for _ in 0..2 {
        slow.call("POST", "/v1/data-process/async", &submission(&["a.pdf"])).await;
    }
    assert_eq!(slow.statuses().await, ["queued", "queued"]);
    slow.call("POST", "/_sandbox/jobs/j-1", &json!({"status": "completed"})).await;
    assert_eq!(slow.statuses().await, ["queued", "completed"]);
}

#[tokio::test]
async fn a_webhooks_secret_is_the_callers_if_that_is_chosen_and_its_deliveries_are_lost_if_that_is_chosen() {
    let sandbox = Running::start(&["--job-seconds", "0", "--webhook-secrets", "given", "--lose-webhooks"]).await;
    let webhook = |secret: Value| json!({"url": "http://127.0.0.1:1/", "events": ["job.completed"], "secret": secret});
    let refused = sandbox.call("POST", "/v1/webhooks", &webhook(Value::Null)).await;
    assert_eq!(refused["error"]["code"], "VALIDATION_ERROR");
    let created = sandbox.call("POST", "/v1/webhooks", &webhook(json!("s"))).await;
    assert_eq!(created["data"]["id"], 1);
    sandbox.call("POST", "/v1/data-process/async", &submission(&["a.pdf"])).await;
    sandbox.call("POST", "/_sandbox/jobs/j-1", &json!({"status": "completed"})).await;
    let deliveries = sandbox.call("GET", "/_sandbox/deliveries", &Value::Null).await;
    assert_eq!(deliveries["deliveries"][0]["job_id"], "j-1");
    assert_eq!(deliveries["deliveries"][0]["delivered"], false);
}

#[tokio::test]
async fn dynamodb_has_the_tables_that_were_asked_for_and_eventbridge_takes_events() {
    let sandbox = Running::start(&["--dynamodb", "--records-table", "records", "--eventbridge"]).await;
    let call = async |variable, service: &str, target: &str, body| {
        let scope = format!("A/20260131/eu-west-1/{service}/aws4_request");
        let headers =
            format!("X-Amz-Target: {target}\r\nAuthorization: AWS4-HMAC-SHA256 Credential={scope}, Signature=0\r\n");
        exchange(sandbox.authority(variable), "POST /", &headers, &body).await
    };
    let table = json!({"TableName": "records"});
    let described = call("AWS_ENDPOINT_URL_DYNAMODB", "dynamodb", "DynamoDB_20120810.DescribeTable", table).await;
    assert_eq!(described["Table"]["GlobalSecondaryIndexes"][1]["IndexName"], "by-state");
    let entry = json!({"Entries": [{"Source": "test", "DetailType": "Test", "Detail": "{}"}]});
    let published = call("AWS_ENDPOINT_URL_EVENTBRIDGE", "events", "AWSEvents.PutEvents", entry).await;
    assert_eq!(published["FailedEntryCount"], 0);
}
