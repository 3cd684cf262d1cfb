//! Settings and unknown events: errors that say what is wrong.

use serde_json::json;

use super::support::{App, AppBuilder};

#[tokio::test]
async fn a_wrong_setting_is_an_error_at_start_that_names_variable_value_and_what_is_allowed() {
    for (variable, value) in
        [("RECORD_DAYS", "forever"), ("SWEEP_AFTER_MINUTES", "-1"), ("FLEXORCH_BASE_URL", "http://api.flexorch.com/v1")]
    {
        let mut app = AppBuilder::new().env(variable, value).spawn().await;
        let (error, code) = app.init_error().await;
        assert!(error.contains(variable) && error.contains(value) && error.contains("must be"), "{error}");
        assert_eq!(code, Some(1));
    }
    let mut app = AppBuilder::new().env("RECORDS_TABLE", "").spawn().await;
    assert!(app.init_error().await.0.contains("RECORDS_TABLE"));
}

#[tokio::test]
async fn an_unknown_event_is_an_error_that_names_its_fields_and_not_its_contents() {
    let app = App::start().await;
    for event in [
        json!({"Records": [{"s3": {"private": "contents"}}]}),
        json!({"field": "private"}),
        json!({"sweep": null}),
        json!(["private"]),
    ] {
        let error = app.invoke(event.clone()).await.error();
        assert!(!error.contains("private") && !error.contains("contents"), "{error}");
        if let Some(fields) = event.as_object() {
            assert!(fields.keys().all(|field| error.contains(field)), "{error}");
        }
    }
}
