//! `flexorch-s3 doctor`, the built program: credits, what waits and why, exports that loop, and results as soon as they are known.

use std::process::Stdio;
use std::time::Duration;

use flexorch_sandbox::{Fault, SandboxOptions};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::clinic::{Clinic, post};
use crate::support::run::Run;
use crate::support::surroundings::{API_KEY, REGION};

/// Words that promise that something passes by itself.
const PROMISES: [&str; 4] = ["by themselves", "follow within", "take up to", "can be processed"];

fn fault(text: &str) -> Fault {
    text.parse().unwrap()
}

async fn submit(clinic: &Clinic, keys: &[&str]) {
    let submission = json!({"source": {"connector_id": 42, "keys": keys}});
    post(&format!("{}/data-process/async", clinic.address), &submission).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_credits_are_reported_with_what_they_are_enough_for() {
    let options = SandboxOptions { monthly_credits: Some(1200), ..SandboxOptions::default() };
    let clinic = Clinic::with("docs", options).await;
    submit(&clinic, &["in/a.pdf", "in/b.pdf", "in/c.pdf"]).await;
    let seen = clinic.doctor(&[]).await;
    assert_eq!(seen.run.status, Some(0), "{:#}", seen.report);
    let found = seen.text("credits");
    for words in ["1197 of 1200 left", "3 used", "399 to 1197 documents"] {
        assert!(found.contains(words), "{found}");
    }
    // An API that names no credits has no error.
    for response in ["status=404,path=/v1/usage", "status=200,body={},path=/v1/usage"] {
        clinic.flexorch.faults().clear();
        clinic.flexorch.faults().add(fault(response));
        let seen = clinic.doctor(&[]).await;
        assert_eq!((seen.run.status, seen.names("warning")), (Some(0), vec!["credits"]), "{:#}", seen.report);
    }
    clinic.flexorch.faults().clear();
    clinic.flexorch.faults().add(fault("status=503,path=/v1/usage"));
    let seen = clinic.doctor(&[]).await;
    seen.fails("credits", "could not be checked: GET /usage", "flexorch-s3 doctor");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_credits_is_said_to_wait_for_them() {
    let options = SandboxOptions { monthly_credits: Some(2), ..SandboxOptions::default() };
    let clinic = Clinic::with("docs", options).await;
    submit(&clinic, &["in/a.pdf", "in/b.pdf"]).await;
    clinic.queues.send("retry", "{}", &[]).unwrap();
    let seen = clinic.doctor(&[]).await;
    seen.fails("credits", "credits are used up (2 of 2)", "flexorch-s3 doctor --secret docs");
    let waiting = seen.text("waiting");
    assert!(waiting.contains("1 message") && waiting.contains("because the billing period's credits"), "{waiting}");
    assert!(PROMISES.iter().all(|promise| !waiting.contains(promise)), "{waiting}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_pause_is_said_to_wait_for_it() {
    let clinic = Clinic::open("docs").await;
    clinic.queues.send("retry", "{}", &[]).unwrap();
    assert!(clinic.doctor(&[]).await.text("waiting").contains("take up to 1 min"));
    clinic.write(&json!({"api_key": API_KEY, "connector_id": 42, "bucket": "docs", "region": REGION, "prefix": "in/",
                         "paused": "maintenance until Monday"}));
    let seen = clinic.doctor(&[]).await;
    assert_eq!((seen.run.status, seen.names("warning")), (Some(0), vec!["pause", "waiting"]), "{:#}", seen.report);
    for check in ["pause", "waiting"] {
        let text = seen.text(check);
        assert!(text.contains("paused (maintenance until Monday)"), "{text}");
        assert!(text.contains("flexorch-s3 resume --secret docs"), "{text}");
        assert!(PROMISES.iter().all(|promise| !text.contains(promise)), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_because_flexorch_refuses_is_said_to_wait_for_that() {
    let clinic = Clinic::open("docs").await;
    clinic.queues.send("retry", "{}", &[]).unwrap();
    for (refusal, check) in [
        ("status=402,code=TRIAL_EXPIRED,path=/v1/usage/rate-limits", "plan"),
        ("status=403,code=PLAN_UPGRADE_REQUIRED,path=/v1/connectors/42", "connector"),
        ("status=404,code=NOT_FOUND,path=/v1/connectors/42", "connector"),
    ] {
        clinic.flexorch.faults().clear();
        clinic.flexorch.faults().add(fault(refusal));
        let seen = clinic.doctor(&[]).await;
        assert_eq!(seen.names("failed"), [check], "{refusal}: {:#}", seen.report);
        let waiting = seen.text("waiting");
        assert!(waiting.contains("wait because FlexOrch "), "{refusal}: {waiting}");
        assert!(PROMISES.iter().all(|promise| !waiting.contains(promise)), "{refusal}: {waiting}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_into_the_watched_scope_is_a_warning_until_it_is_excluded() {
    let clinic = Clinic::open("docs").await;
    let webhooks = format!("{}/webhooks", clinic.address);
    let webhook = |prefix: &str| {
        json!({"url": "https://example.org/hook", "events": ["dataset.ready"], "secret": "whsec_hidden",
               "auto_export": {"connector_id": 42, "format": "xlsx", "prefix": prefix}})
    };
    post(&webhooks, &webhook("exports/")).await;
    let seen = clinic.doctor(&[]).await;
    assert_eq!(seen.run.status, Some(0), "{:#}", seen.report);
    assert!(seen.names("well").contains(&"exports"), "{:#}", seen.report);

    post(&webhooks, &webhook("in/exports/")).await;
    let seen = clinic.doctor(&[]).await;
    assert_eq!((seen.run.status, seen.names("warning")), (Some(0), vec!["exports"]), "{:#}", seen.report);
    let text = seen.text("exports");
    for words in ["webhook 2 ", "s3://docs/in/exports/", "costs credits", "KEY_EXCLUDES = \"in/exports/*\""] {
        assert!(text.contains(words), "{text}");
    }
    clinic.account.set_variable("ingest", "KEY_EXCLUDES", "in/exports/*");
    assert!(clinic.doctor(&[]).await.names("well").contains(&"exports"));

    // What could not be read is not well.
    clinic.flexorch.faults().add(fault("status=500,path=/v1/webhooks"));
    clinic.doctor(&[]).await.fails("exports", "could not be checked: GET /webhooks", "/webhooks");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_printed_when_it_is_known_and_not_when_all_are() {
    let clinic = Clinic::open("docs").await;
    clinic.flexorch.faults().add(fault("hang"));
    let mut command = tokio::process::Command::from(clinic.command(&["--secret", "docs"]));
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let dead_letters = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.starts_with("✓ dead letters") {
                return;
            }
            assert!(!line.contains("FlexOrch "), "FlexOrch has not responded: {line}");
        }
        panic!("it ended before");
    };
    tokio::time::timeout(Duration::from_secs(60), dead_letters).await.expect("nothing is printed");
    assert!(child.try_wait().unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_finished_in_time_could_not_be_checked() {
    let clinic = Clinic::open("docs").await;
    clinic.flexorch.faults().add(fault("hang"));
    let seen = clinic.doctor(&["--timeout", "2s"]).await;
    assert_eq!(seen.run.status, Some(3), "{:#}", seen.report);
    let late = ["FlexOrch", "API key", "plan", "credits", "connector", "connector test", "exports", "pace"];
    assert_eq!(seen.names("failed"), late, "{:#}", seen.report);
    for check in late {
        assert!(seen.text(check).starts_with("could not be checked: no result within 2s"), "{:#}", seen.report);
    }
    assert!(["waiting", "dead letters"].iter().all(|check| seen.names("well").contains(check)), "{:#}", seen.report);

    let run = Run::of(clinic.command(&["--secret", "docs", "--timeout", "2s"])).await;
    assert!(run.out.contains("? FlexOrch ") && run.out.contains("8 could not be checked"), "{run}");
}
