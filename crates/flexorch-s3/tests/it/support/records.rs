//! A stack with tracking, as CloudFormation describes it, and records of documents.

use std::ops::Deref;
use std::process::Command;

use flexorch_sandbox::SandboxOptions;
use flexorch_sandbox::stub::Stub;
use reqwest::Url;
use serde_json::{Value, json};

use super::run::Run;
use super::surroundings::{API_KEY, REGION, Surroundings};

/// The table's name.
pub const TABLE: &str = "records";
/// The stack's name.
pub const STACK: &str = "ingest";
/// A stack's ARN, in another region than [`REGION`].
pub const ELSEWHERE: &str = "arn:aws:cloudformation:us-east-1:123456789012:stack/ingest/0";
/// The bucket.
pub const BUCKET: &str = "docs";
/// The connector's secret.
pub const CONNECTOR: &str = "flexorch/invoices";
/// The secret for the signing secret.
pub const SIGNING: &str = "ingest-webhook";

/// A table, a retry queue, a bucket, a connector, and a CloudFormation that knows the stack's outputs.
pub struct Archive {
    surroundings: Surroundings,
    cloudformation: Stub,
}

/// A `DescribeStacks` response with these outputs.
fn described(outputs: &[(&str, String)]) -> String {
    let member = |(key, value): &(&str, String)| {
        format!("<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>")
    };
    let outputs: String = outputs.iter().map(member).collect();
    format!(
        "<DescribeStacksResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\"><DescribeStacksResult><Stacks><member>\
         <StackName>{STACK}</StackName><StackStatus>CREATE_COMPLETE</StackStatus><CreationTime>2026-01-01T00:00:00Z</CreationTime>\
         <Outputs>{outputs}</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
    )
}

impl Archive {
    /// Everything is there and empty.
    pub async fn open() -> Self {
        Self::with_webhook("https://abc.lambda-url.eu-west-1.on.aws/").await
    }

    /// The same, with another URL of the outcomes function.
    pub async fn with_webhook(url: &str) -> Self {
        let options = SandboxOptions { requests_per_minute: Some(60), ..SandboxOptions::default() };
        let surroundings = Surroundings::start(options).await;
        surroundings.dynamodb.create_records_table(TABLE).unwrap();
        surroundings.queues.create("retry");
        surroundings.buckets.create(BUCKET, REGION);
        let connector = json!({"api_key": API_KEY, "connector_id": 42, "bucket": BUCKET, "region": REGION});
        surroundings.secrets.put(CONNECTOR, connector.to_string());
        surroundings.secrets.put(SIGNING, "{}");
        let outputs = [
            ("BucketName", BUCKET.to_owned()),
            ("ConnectorSecretArns", surroundings.secrets.arn(CONNECTOR, REGION)),
            ("RecordsTable", TABLE.to_owned()),
            ("RetryQueueUrl", surroundings.queues.url("retry")),
            ("WebhookUrl", url.to_owned()),
            ("WebhookSecretArn", surroundings.secrets.arn(SIGNING, REGION)),
        ];
        let (known, unknown) = (described(&outputs), described(&[("BucketName", BUCKET.to_owned())]));
        let cloudformation = Stub::start(move |headers, body| {
            let fields = Url::parse(&format!("http://cloudformation/?{}", String::from_utf8_lossy(body))).unwrap();
            let stack = fields.query_pairs().find(|(field, _)| field == "StackName").unwrap().1;
            let is_for = |region: &str| {
                let scope = format!("/{region}/cloudformation/aws4_request");
                headers["authorization"].to_str().unwrap().contains(&scope)
            };
            if stack == STACK && is_for(REGION) || stack == ELSEWHERE && is_for("us-east-1") {
                (200, "text/xml", known.clone())
            } else if stack == "without-tracking" {
                (200, "text/xml", unknown.clone())
            } else {
                let error = "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code><Message>Stack does not exist</Message>\
                             </Error></ErrorResponse>";
                (400, "text/xml", error.to_owned())
            }
        });
        Self { surroundings, cloudformation: cloudformation.await.unwrap() }
    }

    /// Puts a record of `docs/{key}` with these attributes besides or instead.
    pub fn put(&self, key: &str, state: &str, changed_at: &str, more: &Value) {
        let mut item = json!({"document": format!("{BUCKET}/{key}"), "version": "-", "state": state, "changed_at": changed_at,
                              "connector": CONNECTOR, "connector_id": 42, "revision": 1, "expires_at": 1_900_000_000});
        for (name, value) in more.as_object().unwrap() {
            item[name] = value.clone();
        }
        self.dynamodb.put(TABLE, item).unwrap();
    }

    /// The command line with these arguments, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.surroundings.command(arguments);
        command.env("AWS_ENDPOINT_URL_CLOUDFORMATION", self.cloudformation.url());
        command
    }

    /// Runs it to its end.
    pub async fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments)).await
    }

    /// The stored signing secret's document as it is now.
    pub fn signing(&self) -> Value {
        serde_json::from_str(self.secrets.versions(SIGNING).last().unwrap()).unwrap()
    }
}

impl Deref for Archive {
    type Target = Surroundings;

    fn deref(&self) -> &Surroundings {
        &self.surroundings
    }
}

/// A time of 24 November 2026, so many seconds after midnight, as the table has it.
pub fn at(second: u32) -> String {
    format!("2026-11-24T{:02}:{:02}:{:02}.000Z", second / 3600, second / 60 % 60, second % 60)
}
