//! The Runtime API as a function sees it.

use serde_json::json;

use super::*;
use crate::runtime_api::RuntimeApi;

const MINUTE: Duration = Duration::from_secs(60);

fn url(api: &RuntimeApi, path: &str) -> String {
    format!("http://{}/2018-06-01/runtime/{path}", api.address())
}

/// Asks for an event, as a function does, and responds to it with this.
async fn respond(api: &RuntimeApi, kind: &str, body: &str) -> (reqwest::header::HeaderMap, String) {
    let event = client().get(url(api, "invocation/next")).send().await.unwrap();
    let headers = event.headers().clone();
    let id = headers["lambda-runtime-aws-request-id"].to_str().unwrap();
    let path = format!("invocation/{id}/{kind}");
    let status = client().post(url(api, &path)).body(body.to_owned()).send().await.unwrap().status();
    assert_eq!(status.as_u16(), 202);
    (headers, event.text().await.unwrap())
}

#[tokio::test]
async fn an_event_goes_to_the_function_with_its_deadline_and_the_response_comes_back() {
    let api = RuntimeApi::start(0).await.unwrap();
    let (response, (headers, payload)) =
        tokio::join!(api.invoke("{\"a\": 1}".to_owned(), MINUTE), respond(&api, "response", "[2]"));
    assert_eq!(response.unwrap().result, Ok(json!([2])));
    assert_eq!(payload, "{\"a\": 1}");
    let deadline: u128 = headers["lambda-runtime-deadline-ms"].to_str().unwrap().parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    assert!((now..now + 60_001).contains(&deadline), "{deadline} is not a minute after {now}");
    api.initialised().await;
}

#[tokio::test]
async fn an_error_of_the_function_is_one() {
    let api = RuntimeApi::start(0).await.unwrap();
    let error = r#"{"errorMessage": "no"}"#;
    let (response, _) = tokio::join!(api.invoke("{}".to_owned(), MINUTE), respond(&api, "error", error));
    assert_eq!(response.unwrap().result, Err(json!({"errorMessage": "no"})));
}

#[tokio::test]
async fn a_failed_initialisation_is_reported() {
    let api = RuntimeApi::start(0).await.unwrap();
    let post = |path, body| client().post(url(&api, path)).body(body).send();
    assert_eq!(post("init/error", "no JSON").await.unwrap().status().as_u16(), 400);
    assert_eq!(post("init/error", r#"{"errorMessage": "X is not set"}"#).await.unwrap().status().as_u16(), 202);
    assert_eq!(api.init_error().await["errorMessage"], "X is not set");
    assert_eq!(post("invocation/unknown/response", "{}").await.unwrap().status().as_u16(), 404);
    api.shutdown().await;
}
