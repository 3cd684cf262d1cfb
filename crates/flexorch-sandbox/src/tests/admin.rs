//! The admin path.

use super::*;

async fn post_text(bench: &Bench, path: &str, text: &'static str) -> Received {
    let url = format!("{}{path}", bench.sandbox.admin_url());
    let response = client().post(url).body(text).send().await.unwrap();
    Received {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.text().await.unwrap(),
    }
}

#[tokio::test]
async fn requests_are_shown_without_their_key_and_forgotten_on_request() {
    let bench = Bench::start(SandboxOptions::default()).await;
    bench.submit(&["a.pdf"]).await;
    let shown = bench.get("/_sandbox/requests").await;
    assert_eq!(shown.json()["requests"][0]["api_key"], "dfx_…cdef");
    assert_eq!(shown.json()["requests"][0]["keys"], json!(["a.pdf"]));
    assert!(!shown.text.contains(KEY));
    let cleared = bench.call(Method::DELETE, "/_sandbox/requests", "", None).await;
    assert_eq!(cleared.status, 204);
    assert!(bench.sandbox.requests().is_empty());
}

#[tokio::test]
async fn faults_are_added_as_json_or_as_flags_and_taken_away() {
    let bench = Bench::start(SandboxOptions::default()).await;
    let added = bench.post("/_sandbox/faults", json!({"status": 503, "times": 1})).await;
    assert_eq!((added.status, added.json()), (201, json!({"ids": [1]})));
    let more = post_text(&bench, "/faults", "hang,key=*.slow\nreset,after=100\n").await;
    assert_eq!(more.json(), json!({"ids": [2, 3]}));
    let list = json!([{"latency": "1ms"}, {"reject": "*.exe"}]);
    assert_eq!(bench.post("/_sandbox/faults", list).await.status, 201);
    assert_eq!(bench.submit(&["a.pdf"]).await.status, 503);
    let listed = bench.get("/_sandbox/faults").await.json();
    assert_eq!(listed["faults"][0], json!({"id": 1, "fault": {"status": 503, "times": 1}, "matched": 1, "applied": 1}));
    let remove = |path| bench.call(Method::DELETE, path, "", None);
    assert_eq!(remove("/_sandbox/faults/2").await.status, 204);
    assert_eq!(remove("/_sandbox/faults/2").await.status, 404);
    assert_eq!(remove("/_sandbox/faults").await.status, 204);
    assert!(bench.sandbox.faults().list().is_empty());
}

#[tokio::test]
async fn a_fault_that_cannot_be_understood_is_a_422_that_says_why() {
    let bench = Bench::start(SandboxOptions::default()).await;
    for body in ["stauts=503", "{\"stauts\": 503}", "", "[]", "{"] {
        let refused = post_text(&bench, "/faults", body).await;
        assert_eq!(refused.code(), "422 VALIDATION_ERROR", "{body}");
    }
    let why = post_text(&bench, "/faults", "stauts=503").await;
    assert!(why.text.contains("stauts") && why.text.contains("latency"));
}

#[tokio::test]
async fn a_key_is_revoked_and_restored_and_the_state_shows_none() {
    let bench = Bench::start(SandboxOptions::default()).await;
    bench.create_connector("docs").await;
    let body = || json!({"api_key": KEY});
    let revoked = bench.post("/_sandbox/keys/revoke", body()).await;
    assert_eq!(revoked.status, 204);
    assert_eq!(bench.get("/jobs").await.status, 401);
    let state = bench.get("/_sandbox/state").await;
    assert_eq!(state.json()["tenants"][0]["revoked"], true);
    assert_eq!(state.json()["tenants"][0]["connectors"][0]["id"], 42);
    assert!(!state.text.contains(KEY) && !state.text.contains("very-secret"));
    let restored = bench.post("/_sandbox/keys/restore", body()).await;
    assert_eq!(restored.status, 204);
    assert_eq!(bench.get("/jobs").await.status, 200);
    let again = bench.post("/_sandbox/keys/restore", body()).await;
    assert_eq!(again.status, 404);
    assert!(!again.text.contains(KEY));
}
