//! Webhooks as their receiver sees them.

use std::sync::{Arc, Mutex};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{
    super::stub::Stub,
    super::{WebhookOptions, WebhookSecrets},
    *,
};
use crate::wait_until;

/// A receiver of webhooks that responds with these statuses in turn, and then with 204.
struct Receiver {
    stub: Stub,
    received: Arc<Mutex<Vec<(String, String)>>>,
}

impl Receiver {
    async fn start(statuses: &[u16]) -> Self {
        let received = Arc::<Mutex<Vec<(String, String)>>>::default();
        let (log, statuses) = (received.clone(), statuses.to_vec());
        let stub = Stub::start(move |headers, body| {
            let mut log = log.lock().unwrap();
            let signature = headers["x-flexorch-signature"].to_str().unwrap().to_owned();
            log.push((signature, String::from_utf8(body.to_vec()).unwrap()));
            (statuses.get(log.len() - 1).copied().unwrap_or(204), "text/plain", String::new())
        });
        Self { stub: stub.await.unwrap(), received }
    }

    /// The signatures and bodies that arrived.
    fn received(&self) -> Vec<(String, String)> {
        self.received.lock().unwrap().clone()
    }

    /// The jobs' ids and statuses that arrived.
    fn reported(&self) -> Vec<(String, String)> {
        let parse = |body: &str| serde_json::from_str::<Value>(body).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let bodies = self.received().into_iter().map(|(_, body)| parse(&body));
        bodies.map(|body| (text(&body["job_id"]), text(&body["status"]))).collect()
    }
}

/// A sandbox whose jobs end when a test says so, with a retry that does not wait.
fn options() -> SandboxOptions {
    let webhooks = WebhookOptions { retry_after: Duration::ZERO, ..WebhookOptions::default() };
    SandboxOptions { job_time: Some(Duration::MAX), webhooks, ..SandboxOptions::default() }
}

async fn register(bench: &Bench, receiver: &Receiver, more: Value) -> Received {
    let mut body =
        json!({"url": format!("{}/hook?x=1", receiver.stub.url()), "events": ["job.completed", "job.failed"]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    bench.post("/webhooks", body).await
}

/// Waits for the first delivery to begin.
async fn begun(bench: &Bench) {
    wait_until("a delivery", || !bench.sandbox.deliveries().is_empty()).await;
}

fn hmac(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_jobs_end_is_reported_with_a_signature_of_the_raw_body() {
    let (bench, receiver) = (Bench::start(options()).await, Receiver::start(&[]).await);
    register(&bench, &receiver, json!({"secret": "given"})).await;
    bench.submit(&["a.pdf", "b.pdf"]).await;
    assert!(
        bench.sandbox.set_job("j-1", json!({"status": "completed", "quality_grade": "B", "pii_findings_count": 2}))
    );
    bench.sandbox.deliveries_finished().await;
    assert!(bench.sandbox.set_job("j-2", json!({"status": "failed", "failure_reason": "encrypted"})));
    bench.sandbox.deliveries_finished().await;

    let received = receiver.received();
    for (signature, body) in &received {
        assert_eq!(*signature, hmac("given", body));
    }
    let mut bodies: Vec<Value> = received.iter().map(|(_, body)| serde_json::from_str(body).unwrap()).collect();
    for body in &mut bodies {
        let timestamp = body["timestamp"].take();
        assert!(timestamp.as_str().unwrap().ends_with('Z'), "{timestamp}");
    }
    let expected = [
        json!({"event": "job.completed", "job_id": "j-1", "status": "completed", "quality_grade": "B", "pii_findings_count": 2, "timestamp": null}),
        json!({"event": "job.failed", "job_id": "j-2", "status": "failed", "quality_grade": null, "pii_findings_count": null, "timestamp": null}),
    ];
    assert_eq!(bodies, expected);
    bench.sandbox.shutdown().await;
}

#[tokio::test]
async fn jobs_that_end_in_their_time_are_reported_without_a_poll() {
    let (bench, receiver) = (
        Bench::start(SandboxOptions { job_time: Some(Duration::from_millis(50)), ..options() }).await,
        Receiver::start(&[]).await,
    );
    register(&bench, &receiver, json!({})).await;
    bench.submit(&["a.pdf"]).await;
    begun(&bench).await;
    bench.sandbox.deliveries_finished().await;
    assert_eq!(receiver.reported(), [("j-1".to_owned(), "completed".to_owned())]);
}

#[tokio::test]
async fn a_poll_that_ends_a_job_reports_it() {
    let (bench, receiver) =
        (Bench::start(SandboxOptions { job_time: None, ..options() }).await, Receiver::start(&[]).await);
    register(&bench, &receiver, json!({})).await;
    bench.submit(&["a.pdf"]).await;
    bench.get("/jobs/j-1").await;
    bench.get("/jobs/j-1").await;
    begun(&bench).await;
    assert_eq!(bench.sandbox.deliveries()[0].job_id, "j-1");
}

#[tokio::test]
async fn a_delivery_that_fails_is_made_once_more_and_then_lost() {
    let (bench, receiver) = (Bench::start(options()).await, Receiver::start(&[503, 204, 500, 302]).await);
    register(&bench, &receiver, json!({})).await;
    bench.submit(&["a.pdf", "b.pdf"]).await;
    for job in ["j-1", "j-2"] {
        bench.sandbox.set_job(job, json!({"status": "completed"}));
        bench.sandbox.deliveries_finished().await;
    }
    let statuses: Vec<Vec<_>> = bench
        .sandbox
        .deliveries()
        .iter()
        .map(|delivery| delivery.attempts.iter().map(|attempt| attempt.status).collect())
        .collect();
    assert_eq!(statuses, [[Some(503), Some(204)], [Some(500), Some(302)]]);
    let outcomes: Vec<_> =
        bench.sandbox.deliveries().iter().map(|delivery| (delivery.finished, delivery.delivered)).collect();
    assert_eq!(outcomes, [(true, true), (true, false)]);
    let received = receiver.received();
    assert_eq!((received.len(), &received[0]), (4, &received[1]));
}

#[tokio::test]
async fn deliveries_are_lost_on_demand_and_made_again_on_demand() {
    let lost = WebhookOptions { lose: true, ..options().webhooks };
    let (bench, receiver) =
        (Bench::start(SandboxOptions { webhooks: lost, ..options() }).await, Receiver::start(&[]).await);
    register(&bench, &receiver, json!({})).await;
    bench.submit(&["a.pdf"]).await;
    let state = json!({"status": "completed"});
    assert_eq!(bench.post("/_sandbox/jobs/j-1", state.clone()).await.status, 204);
    bench.sandbox.deliveries_finished().await;
    assert!(receiver.received().is_empty());
    let listed = bench.get("/_sandbox/deliveries").await.json();
    assert_eq!(listed["deliveries"][0]["attempts"][1], json!({"status": null, "error": "lost on demand"}));
    assert_eq!(
        (&listed["deliveries"][0]["finished"], &listed["deliveries"][0]["delivered"]),
        (&json!(true), &json!(false))
    );

    assert_eq!(bench.post("/_sandbox/webhooks", json!({"lose": false})).await.status, 204);
    assert_eq!(bench.post("/_sandbox/deliveries/1", json!({})).await.status, 202);
    bench.sandbox.deliveries_finished().await;
    bench.post("/_sandbox/jobs/j-1", state).await;
    bench.sandbox.deliveries_finished().await;
    assert_eq!(receiver.reported().len(), 2);
    assert_eq!(bench.post("/_sandbox/deliveries/9", json!({})).await.status, 404);
    assert_eq!(bench.post("/_sandbox/webhooks", json!({"loose": true})).await.status, 422);
    assert_eq!(bench.call(Method::DELETE, "/_sandbox/deliveries", "", None).await.status, 204);
    assert!(bench.sandbox.deliveries().is_empty());
}

#[tokio::test]
async fn a_receiver_that_does_not_respond_or_cannot_be_reached_is_given_up() {
    let slow = WebhookOptions { timeout: Duration::from_millis(20), ..options().webhooks };
    let bench = Bench::start(SandboxOptions { webhooks: slow, ..options() }).await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    for (url, why) in [
        (format!("http://{}/", silent.local_addr().unwrap()), "no response within 20 ms"),
        // Nobody listens on the port of tcpmux.
        ("http://127.0.0.1:1/".to_owned(), "connect"),
        ("https://127.0.0.1/".to_owned(), "http:// URLs only"),
    ] {
        let webhook = bench.post("/webhooks", json!({"url": url, "events": ["job.completed"]})).await.json();
        bench.submit(&[&format!("{}.pdf", webhook["data"]["id"])]).await;
        bench.sandbox.set_open_jobs(json!({"status": "completed"}));
        bench.sandbox.deliveries_finished().await;
        let delivery = bench.sandbox.deliveries().pop().unwrap();
        let errors: Vec<_> = delivery.attempts.into_iter().filter_map(|attempt| attempt.error).collect();
        assert!(errors.len() == 2 && errors.iter().all(|error| error.contains(why)), "{why}: {errors:?}");
        bench.call(Method::DELETE, &format!("/webhooks/{}", webhook["data"]["id"]), KEY, None).await;
    }
}

#[tokio::test]
async fn a_webhook_gets_the_events_of_its_tenant_that_it_asked_for_while_it_exists() {
    let (bench, receiver) = (Bench::start(options()).await, Receiver::start(&[]).await);
    bench.submit(&["before.pdf"]).await;
    bench.sandbox.set_job("j-1", json!({"status": "completed"}));
    let id = register(&bench, &receiver, json!({"events": ["job.failed"]})).await.json()["data"]["id"].clone();
    bench.submit(&["completed.pdf", "failed.pdf"]).await;
    let theirs = Some(submission(&["theirs.pdf"]));
    bench.call(Method::POST, "/data-process/async", OTHER_KEY, theirs).await;
    bench.sandbox.set_job("j-2", json!({"status": "completed"}));
    for job in ["j-3", "j-4"] {
        bench.sandbox.set_job(job, json!({"status": "failed"}));
    }
    bench.sandbox.deliveries_finished().await;
    assert_eq!(receiver.reported(), [("j-3".to_owned(), "failed".to_owned())]);
    bench.call(Method::DELETE, &format!("/webhooks/{id}"), KEY, None).await;
    bench.sandbox.set_job("j-2", json!({"status": "failed"}));
    bench.sandbox.deliveries_finished().await;
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn a_secret_that_was_made_is_shown_once_and_signs() {
    let made = WebhookOptions { secrets: WebhookSecrets::Made, ..options().webhooks };
    let (bench, receiver) =
        (Bench::start(SandboxOptions { webhooks: made, ..options() }).await, Receiver::start(&[]).await);
    let created = register(&bench, &receiver, json!({"secret": "ignored"})).await.json();
    let secret = created["data"]["secret"].as_str().unwrap();
    assert!(!bench.get("/webhooks").await.text.contains(secret));
    bench.submit(&["a.pdf"]).await;
    bench.sandbox.set_job("j-1", json!({"status": "completed"}));
    bench.sandbox.deliveries_finished().await;
    let (signature, body) = receiver.received().remove(0);
    assert_eq!(signature, hmac(secret, &body));
    assert!(!format!("{:?}", bench.sandbox).contains(secret));
}
