//! What faults do to a client.

use std::time::Instant;

use super::{
    super::{Effect, FaultId},
    *,
};
use crate::wait_until;

#[tokio::test]
async fn a_status_is_returned_so_often_and_then_the_api_responds_again() {
    let bench = Bench::with_faults(&["status=503,times=2,retry-after=7"]).await;
    for _ in 0..2 {
        let down = bench.submit(&["a.pdf"]).await;
        assert_eq!(down.code(), "503 SERVICE_UNAVAILABLE");
        assert_eq!(down.headers["retry-after"], "7");
    }
    assert_eq!(bench.submit(&["a.pdf"]).await.status, 202);
    let requests = bench.sandbox.requests();
    assert_eq!(requests[0].fault, Some(FaultId(1)));
    assert_eq!((requests[0].status, requests[0].taken), (Some(503), 0));
    assert_eq!(requests[2].fault, None);
    // An outage is no use of the minute.
    let limits = bench.get("/usage/rate-limits").await.json();
    assert_eq!(limits["data"]["used"], 1);
}

#[tokio::test]
async fn any_status_comes_with_any_body_type_and_header() {
    let bench = Bench::with_faults(&[
        "status=200,body=<html>,content-type=text/html,times=1",
        "status=200,times=1",
        "status=302,header=Location: http://127.0.0.1:1/,times=1",
        "status=429,code=QUOTA_EXCEEDED,message=all used",
    ])
    .await;
    let page = bench.submit(&["a.pdf"]).await;
    assert_eq!((page.status, page.text.as_str()), (200, "<html>"));
    assert_eq!(page.headers["content-type"], "text/html");
    let empty = bench.submit(&["a.pdf"]).await;
    assert_eq!((empty.status, empty.text.as_str()), (200, ""));
    let moved = bench.submit(&["a.pdf"]).await;
    assert_eq!(moved.headers["location"], "http://127.0.0.1:1/");
    let quota = bench.submit(&["a.pdf"]).await;
    assert_eq!(quota.code(), "429 QUOTA_EXCEEDED");
    assert_eq!(quota.json()["error"]["message"], "all used");
}

#[tokio::test]
async fn a_reset_is_a_reset_and_may_come_after_the_keys_were_taken() {
    let bench = Bench::with_faults(&["reset,times=1", "reset,processed,times=1"]).await;
    let before = bench.try_submit(&["a.pdf"]).await.err().unwrap();
    assert!(is_reset(&before), "{before:?}");
    assert!(bench.sandbox.taken_keys().is_empty());
    let after = bench.try_submit(&["a.pdf"]).await.err().unwrap();
    assert!(is_reset(&after), "{after:?}");
    assert_eq!(bench.sandbox.taken_keys(), ["a.pdf"]);
    assert_eq!(bench.sandbox.requests()[1].status, None);
    assert_eq!(bench.sandbox.requests()[1].taken, 1);
    let again = bench.submit(&["a.pdf"]).await;
    assert_eq!(again.json()["data"]["is_duplicate"], true);
}

fn is_reset(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return io.kind() == std::io::ErrorKind::ConnectionReset;
        }
        cause = error.source();
    }
    false
}

#[tokio::test]
async fn a_hanging_request_is_recorded_and_ends_with_the_sandbox() {
    let bench = Bench::with_faults(&["hang"]).await;
    let url = format!("{}/data-process/async", bench.sandbox.base_url());
    let request =
        client().post(&url).header("content-type", "application/json").body(submission(&["a.pdf"]).to_string());
    let hanging = tokio::spawn(request.send());
    wait_until("the request", || !bench.sandbox.requests().is_empty()).await;
    assert_eq!(bench.sandbox.requests()[0].status, None);
    let started = Instant::now();
    bench.sandbox.shutdown().await;
    assert!(started.elapsed() < Duration::from_millis(900));
    assert!(hanging.await.unwrap().is_err());
    assert!(client().get(&url).send().await.unwrap_err().is_connect());
}

#[tokio::test]
async fn a_hanging_request_ends_when_its_client_disconnects() {
    let bench = Bench::with_faults(&["hang"]).await;
    let gives_up = tokio::time::timeout(Duration::from_millis(50), bench.submit(&["a.pdf"]));
    assert!(gives_up.await.is_err());
    wait_until("the connection's end", || bench.sandbox.connections() == 0).await;
    assert_eq!(bench.sandbox.requests()[0].status, None);
}

#[tokio::test]
async fn latency_delays_the_apis_response() {
    let bench = Bench::with_faults(&["latency=150ms,times=1"]).await;
    let started = Instant::now();
    assert_eq!(bench.submit(&["a.pdf"]).await.status, 202);
    assert!(started.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_truncated_response_is_an_error_of_the_body() {
    let bench = Bench::with_faults(&["truncate"]).await;
    let error = bench.try_submit(&["a.pdf"]).await.err().unwrap();
    assert!(error.is_body() || error.is_decode(), "{error:?}");
}

#[tokio::test]
async fn an_endless_response_goes_on_until_the_client_disconnects() {
    let bench = Bench::with_faults(&["endless"]).await;
    let url = format!("{}/data-process/async", bench.sandbox.base_url());
    let mut response = client().post(url).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let mut read = 0;
    while read < 300_000 {
        read += response.chunk().await.unwrap().unwrap().len();
    }
    drop(response);
    tokio::time::timeout(Duration::from_secs(2), bench.sandbox.shutdown()).await.unwrap();
}

#[tokio::test]
async fn one_bad_key_refuses_the_request_that_holds_it_or_is_rejected_alone() {
    let bench =
        Bench::with_faults(&["key=*.bad*,status=415,code=UNSUPPORTED_FILE", "reject=*.big.pdf,code=FILE_TOO_LARGE"])
            .await;
    let whole = bench.submit(&["a.pdf", "x.bad.pdf"]).await;
    assert_eq!(whole.code(), "415 UNSUPPORTED_FILE");
    let single = bench.submit(&["a.pdf", "x.big.pdf"]).await.json();
    assert_eq!(single["data"]["accepted"], 1);
    assert_eq!(single["data"]["rejected"], json!([{"filename": "x.big.pdf", "error": "FILE_TOO_LARGE"}]));
}

#[tokio::test]
async fn faults_come_and_go_while_it_runs() {
    let bench = Bench::start(SandboxOptions::default()).await;
    let id = bench.sandbox.faults().add("status=500,path=/jobs*".parse().unwrap());
    assert_eq!(bench.get("/jobs").await.code(), "500 INTERNAL_ERROR");
    assert_eq!(bench.submit(&["a.pdf"]).await.status, 202);
    bench.sandbox.faults().remove(id);
    assert_eq!(bench.get("/jobs").await.status, 200);
    bench.sandbox.faults().add(Fault::new(Effect::Reset).times(1));
    assert!(bench.try_submit(&["b.pdf"]).await.is_err());
    assert_eq!(bench.submit(&["b.pdf"]).await.status, 202);
}
