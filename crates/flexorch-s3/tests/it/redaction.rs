//! What the command line never prints: secrets in what FlexOrch and AWS said.

use flexorch_sandbox::services::API_KEY;
use flexorch_sandbox::stub::Stub;

use crate::support::run::{PROGRAM, Run};
use crate::support::site::{self, Site};

/// The beginning of the key: what is left of it where a text was shortened first.
const BEGINNING: &str = "dfx_test";

#[track_caller]
fn assert_holds_no_key(what: &str, text: &str) {
    assert!(!text.to_lowercase().contains(BEGINNING), "{what}: {text}");
}

/// What stands before the key, so that a message is cut inside it at 300 characters.
fn padding() -> String {
    "x".repeat(300 - BEGINNING.len() - 2)
}

/// A message in which the key is where it is cut.
fn message() -> String {
    format!("{}{API_KEY} is not allowed", padding())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_prints_no_secret_that_flexorch_or_aws_repeats() {
    let site = Site::start().await;
    site.fill(["a.pdf".to_owned()]);
    let fault = format!(r#"status=200,path=*/test,body={{"success":false\,"message":"{}"}}"#, message());
    site.flexorch.faults().add(fault.parse().unwrap());
    let show = r#"status=200,method=GET,body={"data":{"id":42\,"name":"docs"}}"#;
    site.flexorch.faults().add(show.parse().unwrap());
    // `Run` looks for the whole key in all output.
    let mut test = site.program(PROGRAM);
    test.args(["connector", "test", "--secret", site::SECRET]);
    let run = Run::of(test).await;
    assert_holds_no_key("connector test", &run.says(3, &["xx[redacted]"]).shown());

    let sqs = Stub::refusing("AccessDeniedException", format!("not for {API_KEY}")).await.unwrap();
    let mut backfill = site.command(&["backfill", "--via", "queue", "--queue", &site.queues.url("retry")]);
    backfill.env("AWS_ENDPOINT_URL_SQS", sqs.url());
    Run::of(backfill).await.says(1, &["not for [redacted]"]);
}
