//! Jobs over time, and what an operator does to them.

use super::*;

/// A sandbox whose jobs end when a test says so.
async fn held() -> Bench {
    Bench::start(SandboxOptions { job_time: Some(Duration::MAX), ..SandboxOptions::default() }).await
}

async fn status(bench: &Bench, job: &str) -> String {
    let job = bench.get(&format!("/jobs/{job}")).await.json();
    job["data"]["status"].as_str().unwrap_or("none").to_owned()
}

#[tokio::test]
async fn a_job_ends_when_the_operator_says_so_and_not_by_polls() {
    let bench = held().await;
    bench.submit(&["a.pdf", "b.pdf", "c.pdf"]).await;
    for _ in 0..5 {
        assert_eq!(status(&bench, "j-1").await, "queued");
    }
    assert_eq!(bench.post("/_sandbox/jobs/j-2", json!({"status": "running"})).await.status, 204);
    assert_eq!(
        bench.post("/_sandbox/jobs/j-1", json!({"status": "failed", "failure_reason": "gone"})).await.status,
        204
    );
    assert_eq!((status(&bench, "j-1").await, status(&bench, "j-2").await), ("failed".to_owned(), "running".to_owned()));
    assert_eq!(bench.get("/jobs/j-1").await.json()["data"]["failure_reason"], "gone");
    let ended = bench.post("/_sandbox/jobs", json!({"status": "completed", "quality_grade": "D"})).await;
    assert_eq!(ended.json(), json!({"jobs": 2}));
    let page = bench.get("/jobs").await.json();
    let shown: Vec<_> =
        page["data"]["items"].as_array().unwrap().iter().map(|job| (&job["job_id"], &job["quality_grade"])).collect();
    assert_eq!(shown, [(&json!("j-3"), &json!("D")), (&json!("j-2"), &json!("D")), (&json!("j-1"), &Value::Null)]);
}

#[tokio::test]
async fn a_wrong_state_or_an_unknown_job_is_refused() {
    let bench = held().await;
    bench.submit(&["a.pdf"]).await;
    assert_eq!(bench.post("/_sandbox/jobs/j-9", json!({"status": "completed"})).await.status, 404);
    for wrong in [json!({}), json!({"status": "vanished"}), json!({"status": "failed", "reason": "gone"}), json!([])] {
        let refused = bench.post("/_sandbox/jobs/j-1", wrong.clone()).await;
        assert_eq!(refused.code(), "422 VALIDATION_ERROR", "{wrong}");
    }
    assert!(!bench.sandbox.set_job("j-1", json!({"status": "vanished"})));
    assert_eq!(status(&bench, "j-1").await, "queued");
}

#[tokio::test]
async fn a_forgotten_job_is_not_found_and_its_document_is_new_again() {
    let bench = held().await;
    bench.submit(&["a.pdf", "b.pdf"]).await;
    let forget = || bench.call(Method::DELETE, "/_sandbox/jobs/j-1", "", None);
    assert_eq!((forget().await.status, forget().await.status), (204, 404));
    assert_eq!(bench.get("/jobs/j-1").await.code(), "404 NOT_FOUND");
    let page = bench.get("/jobs").await.json();
    assert_eq!((&page["data"]["total"], &page["data"]["items"][0]["job_id"]), (&json!(1), &json!("j-2")));
    let again = bench.submit(&["a.pdf"]).await.json();
    assert_eq!((&again["data"]["jobs"][0]["job_id"], &again["data"]["is_duplicate"]), (&json!("j-3"), &Value::Null));
}

#[tokio::test]
async fn a_document_that_failed_is_processed_again_and_others_are_not() {
    let bench = held().await;
    bench.submit(&["failed.pdf", "open.pdf", "completed.pdf"]).await;
    bench.sandbox.set_job("j-1", json!({"status": "failed"}));
    bench.sandbox.set_job("j-3", json!({"status": "completed"}));
    let again = bench.submit(&["failed.pdf", "open.pdf", "completed.pdf"]).await.json();
    let jobs: Vec<_> =
        again["data"]["jobs"].as_array().unwrap().iter().map(|job| job["job_id"].as_str().unwrap()).collect();
    assert_eq!(jobs, ["j-4", "j-2", "j-3"]);
    bench.sandbox.set_recognize_documents(false);
    assert_eq!(bench.submit(&["open.pdf"]).await.json()["data"]["jobs"][0]["job_id"], "j-5");
    assert_eq!(bench.sandbox.taken_keys(), ["completed.pdf", "failed.pdf", "open.pdf"]);
}

#[tokio::test]
async fn pages_of_jobs_are_newest_first_and_do_not_name_their_keys() {
    let bench = held().await;
    let keys: Vec<String> = (1..=5).map(|number| format!("{number}.pdf")).collect();
    bench.submit(&keys.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut seen = Vec::new();
    for page in 1..=4 {
        let page = bench.get(&format!("/jobs?page={page}&page_size=2")).await;
        assert!(!page.text.contains(".pdf"), "{}", page.text);
        let page = page.json();
        assert_eq!(
            (&page["status"], &page["error"], &page["data"]["total"]),
            (&json!("success"), &Value::Null, &json!(5))
        );
        seen.extend(page["data"]["items"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()));
    }
    assert_eq!(seen, ["j-5", "j-4", "j-3", "j-2", "j-1"]);
    let theirs = bench.call(Method::GET, "/jobs", OTHER_KEY, None).await.json();
    assert_eq!(theirs["data"]["items"], json!([]));
    let shown = bench.get("/_sandbox/jobs").await.json();
    assert_eq!((&shown["jobs"][0]["key"], &shown["jobs"][0]["connector_id"]), (&json!("1.pdf"), &json!("42")));
    assert_eq!(bench.sandbox.jobs().len(), 5);
}

#[tokio::test]
async fn jobs_fail_by_rule_when_their_time_is_over() {
    let options = SandboxOptions {
        job_time: Some(Duration::ZERO),
        faults: vec!["fail-job=*.enc.pdf,reason=encrypted".parse().unwrap()],
        ..SandboxOptions::default()
    };
    let bench = Bench::start(options).await;
    bench.submit(&["a/b.enc.pdf", "c.pdf"]).await;
    let failed = bench.get("/jobs/j-1").await.json();
    assert_eq!((&failed["data"]["status"], &failed["data"]["failure_reason"]), (&json!("failed"), &json!("encrypted")));
    assert_eq!(status(&bench, "j-2").await, "completed");
    bench.sandbox.set_job_time(Some(Duration::MAX));
    bench.submit(&["d.pdf"]).await;
    assert_eq!(status(&bench, "j-3").await, "queued");
}
