//! The API over HTTP.

use super::{super::Plan, *};

#[tokio::test]
async fn a_submission_gets_the_documented_envelope_and_is_recorded() {
    let bench = Bench::start(SandboxOptions::default()).await;
    let response = bench.submit(&["a/1.pdf", "b.exe"]).await;
    assert_eq!(response.status, 202);
    assert_eq!(
        response.json(),
        json!({
            "status": "accepted",
            "data": {
                "accepted": 1,
                "rejected": [{"filename": "b.exe", "error": "UNSUPPORTED_FILE"}],
                "jobs": [{"filename": "a/1.pdf", "job_id": "j-1", "status": "queued", "document_id": "doc-1"}],
            },
            "error": null,
            "meta": {"poll": "/v1/jobs/{id}"},
        })
    );
    let requests = bench.sandbox.requests();
    let recorded = &requests[0];
    assert_eq!(recorded.status, Some(202));
    assert_eq!(recorded.taken, 1);
    assert_eq!(recorded.connector_id, json!(42));
    assert_eq!(recorded.body, submission(&["a/1.pdf", "b.exe"]));
    assert_eq!(recorded.api_key.as_ref().unwrap().expose(), KEY);
    assert!(!recorded.headers.contains_key("x-api-key"));
    assert_eq!(recorded.headers["content-type"], "application/json");
    assert_eq!(bench.sandbox.submitted_keys(), ["a/1.pdf", "b.exe"]);
    assert_eq!(bench.sandbox.taken_keys(), ["a/1.pdf"]);
    bench.sandbox.shutdown().await;
}

#[tokio::test]
async fn the_sdks_form_is_taken_like_json() {
    let bench = Bench::start(SandboxOptions::default()).await;
    let url = format!("{}/data-process/async", bench.sandbox.base_url());
    let source = "source=%7B%22connector_id%22%3A%2242%22%2C%22keys%22%3A%5B%22a+b.pdf%22%5D%7D";
    let response = client()
        .post(url)
        .header("x-api-key", KEY)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("locale=und&{source}"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 202);
    assert_eq!(bench.sandbox.taken_keys(), ["a b.pdf"]);
    assert_eq!(bench.sandbox.requests()[0].connector_id, json!("42"));
}

#[tokio::test]
async fn a_key_is_a_tenant_that_sees_its_own_things_alone() {
    let bench = Bench::start(SandboxOptions::default()).await;
    let id = bench.create_connector("docs").await.json()["data"]["id"].to_string();
    bench.submit(&["a.pdf"]).await;
    let path = format!("/connectors/{id}");
    for path in [path.as_str(), "/jobs/j-1"] {
        assert_eq!(bench.get(path).await.status, 200);
        let theirs = bench.call(Method::GET, path, OTHER_KEY, None).await;
        assert_eq!(theirs.code(), "404 NOT_FOUND");
    }
    let body = Some(submission(&["a.pdf"]));
    let theirs = bench.call(Method::POST, "/data-process/async", OTHER_KEY, body).await;
    assert_eq!(theirs.json()["data"]["is_duplicate"], Value::Null);
}

#[tokio::test]
async fn a_missing_wrong_or_revoked_key_is_a_401() {
    let bench = Bench::start(SandboxOptions::default()).await;
    for key in ["", "fx_old", "dfx_"] {
        let response = bench.call(Method::GET, "/connectors", key, None).await;
        assert_eq!(response.code(), "401 INVALID_API_KEY");
    }
    assert_eq!(bench.get("/connectors").await.status, 200);
    bench.sandbox.revoke_key(KEY);
    assert_eq!(bench.submit(&["a.pdf"]).await.code(), "401 INVALID_API_KEY");
    assert!(bench.sandbox.restore_key(KEY));
    assert_eq!(bench.submit(&["a.pdf"]).await.status, 202);
}

#[tokio::test]
async fn over_the_rate_limit_is_a_429_with_retry_after_and_asking_for_the_limit_is_free() {
    let bench = Bench::start(SandboxOptions { requests_per_minute: Some(2), ..SandboxOptions::default() }).await;
    bench.submit(&["a.pdf"]).await;
    bench.get("/jobs/j-1").await;
    let limits = bench.get("/usage/rate-limits").await.json();
    assert_eq!(limits["data"]["used"], 2);
    assert_eq!(limits["data"]["rate_limit"]["remaining"], 0);
    let refused = bench.submit(&["b.pdf"]).await;
    assert_eq!(refused.code(), "429 RATE_LIMIT_EXCEEDED");
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    let theirs = bench.call(Method::GET, "/jobs", OTHER_KEY, None).await;
    assert_eq!(theirs.status, 200);
    bench.sandbox.set_requests_per_minute(None);
    assert_eq!(bench.submit(&["b.pdf"]).await.status, 202);
    let limits = bench.get("/usage/rate-limits").await.json();
    assert_eq!(limits["data"]["unlimited"], true);
}

#[tokio::test]
async fn connectors_are_created_tested_listed_and_deleted_and_never_show_credentials() {
    let bench = Bench::start(SandboxOptions::default()).await;
    let created = bench.create_connector("docs").await;
    assert_eq!(created.status, 201);
    assert_eq!(created.json()["data"]["id"], 42);
    let tested = bench.post("/connectors/42/test", Value::Null).await;
    assert_eq!(tested.json()["data"]["success"], true);
    let listed = bench.get("/connectors").await;
    assert_eq!(listed.json()["data"]["items"][0]["config"]["bucket"], "docs");
    for response in [&created, &tested, &listed] {
        assert!(!response.text.contains("AKIAEXAMPLE") && !response.text.contains("very-secret"));
    }
    let delete = || bench.call(Method::DELETE, "/connectors/42", KEY, None);
    assert_eq!(delete().await.status, 204);
    assert_eq!(delete().await.status, 404);
    assert_eq!(bench.get("/connectors").await.json()["data"]["items"], json!([]));

    bench.create_connector("denied-docs").await;
    let denied = bench.post("/connectors/43/test", Value::Null).await;
    assert_eq!((denied.status, &denied.json()["data"]["success"]), (200, &json!(false)));
    let incomplete = json!({"type": "s3", "name": "Docs", "config": {"bucket": "b"}});
    let refused = bench.post("/connectors", incomplete).await;
    assert_eq!(refused.code(), "422 VALIDATION_ERROR");
}

#[tokio::test]
async fn schedules_follow_the_plan() {
    let bench = Bench::start(SandboxOptions { plan: Plan::Starter, ..SandboxOptions::default() }).await;
    bench.create_connector("docs").await;
    let schedules = "/connectors/42/schedules";
    let body = |cron: &str| json!({"cron_expression": cron, "prefix_filter": null});
    let hourly = bench.post(schedules, body("0 * * * *")).await;
    assert_eq!(hourly.code(), "429 RATE_LIMIT_EXCEEDED");
    for _ in 0..5 {
        assert_eq!(bench.post(schedules, body("0 2 * * *")).await.status, 201);
    }
    assert_eq!(bench.post(schedules, body("0 2 * * *")).await.status, 422);
    let listed = bench.get(schedules).await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 5);
    let one = format!("{schedules}/{}", listed["data"][0]["id"]);
    let run = bench.post(&format!("{one}/trigger"), Value::Null).await;
    assert_eq!(run.json()["data"]["status"], "completed");
    let logs = bench.get(&format!("{one}/logs")).await.json();
    assert_eq!(logs["data"][0]["files_found"], 0);
    let deleted = bench.call(Method::DELETE, &one, KEY, None).await;
    assert_eq!(deleted.status, 204);
    assert_eq!(bench.get(&format!("{one}/logs")).await.status, 404);
}

#[tokio::test]
async fn jobs_run_to_their_end_and_are_listed() {
    let bench = Bench::start(SandboxOptions::default()).await;
    bench.submit(&["a.pdf", "b.pdf"]).await;
    let mut status = Vec::new();
    for _ in 0..3 {
        let job = bench.get("/jobs/j-1").await.json();
        status.push(job["data"]["status"].as_str().unwrap_or("-").to_owned());
    }
    assert_eq!(status, ["queued", "running", "completed"]);
    let page = bench.get("/jobs?page=1&page_size=1").await.json();
    assert_eq!(page["data"]["items"][0]["id"], "j-2");
    assert_eq!(bench.get("/jobs?page=0").await.status, 422);
    let used = bench.get("/usage").await.json();
    assert_eq!(used["data"]["usage"]["credits"]["used"], 2);
    let history = bench.get("/usage/history?period=7d").await.json();
    assert_eq!(history["data"][0]["jobs_count"], 2);
}

#[tokio::test]
async fn webhooks_are_created_listed_and_deleted_and_never_show_their_signing_secret() {
    let bench = Bench::start(SandboxOptions::default()).await;
    let export = json!({"connector_id": 42, "format": "xlsx", "prefix": "exports/"});
    let webhook = json!({"url": "https://example.org/hook", "events": ["job.completed"], "secret": "whsec_hidden", "auto_export": export});
    let created = bench.post("/webhooks", webhook).await;
    assert_eq!((created.status, &created.json()["data"]["id"]), (201, &json!(1)));
    let listed = bench.get("/webhooks").await;
    assert_eq!(listed.json()["data"]["items"][0]["auto_export"], export);
    assert!(!created.text.contains("whsec_hidden") && !listed.text.contains("whsec_hidden"));
    let theirs = bench.call(Method::DELETE, "/webhooks/1", OTHER_KEY, None).await;
    assert_eq!(theirs.status, 404);
    assert_eq!(bench.call(Method::DELETE, "/webhooks/1", KEY, None).await.status, 204);
    assert_eq!(bench.get("/webhooks").await.json()["data"]["items"], json!([]));
    for wrong in [
        json!({"events": ["job.completed"]}),
        json!({"url": "https://example.org", "events": ["job.vanished"]}),
        json!({"url": "https://example.org", "events": ["job.failed"], "auto_export": {"format": "xlsx"}}),
    ] {
        assert_eq!(bench.post("/webhooks", wrong).await.code(), "422 VALIDATION_ERROR");
    }
}

#[tokio::test]
async fn what_is_not_there_says_so_as_the_api_does() {
    let bench = Bench::start(SandboxOptions::default()).await;
    assert_eq!(bench.get("/datasets").await.code(), "404 NOT_FOUND");
    assert_eq!(bench.get("/data-process/async").await.code(), "405 METHOD_NOT_ALLOWED");
    let without_v1 = bench.sandbox.base_url().replace("/v1", "/connectors");
    let response = client().get(without_v1).send().await.unwrap();
    assert_eq!(response.status(), 404);
    assert!(response.text().await.unwrap().contains("/v1"));
}

#[tokio::test]
async fn one_connection_carries_many_calls() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let bench = Bench::start(SandboxOptions::default()).await;
    let address = bench.sandbox.base_url();
    let address = address.trim_start_matches("http://").trim_end_matches("/v1");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    for _ in 0..3 {
        let call = format!("GET /v1/usage/rate-limits HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n\r\n");
        stream.write_all(call.as_bytes()).await.unwrap();
        let mut response = vec![0; 4096];
        // One read holds head and body: they left in one write.
        let read = stream.read(&mut response).await.unwrap();
        let response = String::from_utf8_lossy(&response[..read]).into_owned();
        assert!(response.starts_with("HTTP/1.1 200") && response.ends_with('}'), "{response}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_in_the_error() {
    let first = Bench::start(SandboxOptions::default()).await;
    let base_url = first.sandbox.base_url();
    let port: u16 = base_url.trim_end_matches("/v1").rsplit(':').next().and_then(|port| port.parse().ok()).unwrap();
    let options = SandboxOptions { port, ..SandboxOptions::default() };
    let error = Sandbox::start(options).await.unwrap_err().to_string();
    assert!(error.contains(&port.to_string()), "{error}");
}
