//! What is recorded and not published is published by a sweep, whatever ended the invocation in between.

use flexorch_sandbox::eventbridge::EventsFault;
use flexorch_sandbox::wait_until;
use serde_json::json;

use super::support::{App, Delivery, TABLE, batch, document, receipt, rejected, submitted_at};

#[tokio::test]
async fn a_function_killed_between_write_and_publish_loses_no_event() {
    let mut app = App::start().await;
    app.invoke(batch(&[receipt(1, &[document("a.pdf", "j-1")])])).await.failures();
    app.eventbridge.set_fault(Some(EventsFault::Hang));
    for event in [Delivery::of("j-1", "completed").event(), batch(&[receipt(1, &[rejected("b.exe", "m")])])] {
        let unpublished = app.records().iter().filter(|record| record["unpublished"] == true).count();
        tokio::select! {
            _ = app.runtime_api.invoke(event.to_string(), std::time::Duration::from_secs(60)) => panic!("it answered"),
            () = wait_until("written", || {
                app.records().iter().filter(|record| record["unpublished"] == true).count() > unpublished
            }) => {}
        }
        app.restart().await.unwrap();
    }
    assert!(app.published().is_empty());
    app.eventbridge.set_fault(None);
    assert_eq!(app.sweep().await, json!({"open": 0, "processed": 0, "failed": 0, "asked": 0}));
    let mut published = app.published();
    published.sort();
    let expected = [("Document Processed", "documents/a.pdf"), ("Document Rejected", "documents/b.exe")];
    assert_eq!(published, expected.map(|(kind, document)| (kind.to_owned(), document.to_owned())));
    assert!(app.records().iter().all(|record| record.get("unpublished").is_none()));
    app.sweep().await;
    assert_eq!(app.published().len(), 2, "once is enough");
    let metrics = app.metrics().await;
    let names = ["DocumentsSubmitted", "DocumentsProcessed", "DocumentsRejected", "EventsUnpublished"];
    assert_eq!(names.map(|name| metrics[name]), [1.0, 1.0, 1.0, 0.0], "what the killed invocations did counts, once");
}

#[tokio::test]
async fn an_entry_that_the_bus_refuses_holds_up_no_other_and_is_published_later() {
    let app = App::start().await;
    app.eventbridge.set_fault(Some(EventsFault::Throttling));
    let documents: Vec<_> = (0..15).map(|number| rejected(&format!("{number:02}.exe"), "m")).collect();
    let answer = app.invoke_within(batch(&[receipt(1, &documents)]), std::time::Duration::from_secs(4)).await;
    assert_eq!(answer.failures(), ["m-0"]);
    app.eventbridge.set_fault(None);
    app.eventbridge.fail_entries(Some("documents/07.exe"));
    app.sweep_within(std::time::Duration::from_secs(30)).await;
    let unpublished = |app: &App| {
        let mut records = app.records();
        records.retain(|record| record["unpublished"] == true);
        records.iter().map(|record| record["document"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(unpublished(&app), ["documents/07.exe"]);
    assert_eq!(app.published().len(), 14);
    app.eventbridge.fail_entries(None);
    app.sweep().await;
    assert!(unpublished(&app).is_empty());
    assert_eq!(app.published().len(), 15);
}

#[tokio::test]
async fn a_state_that_is_not_published_is_published_before_it_changes_again() {
    let app = App::start().await;
    app.invoke(batch(&[receipt(1, &[document("a.pdf", "j-1")])])).await.failures();
    app.eventbridge.set_fault(Some(EventsFault::Throttling));
    let failed = Delivery::of("j-1", "failed").event();
    app.invoke_within(failed, std::time::Duration::from_secs(3)).await.ok();
    app.eventbridge.set_fault(None);
    app.invoke(batch(&[receipt(2, &[document("a.pdf", "j-2")])])).await.failures();
    assert_eq!(app.record()["state"], "submitted");
    assert_eq!(app.published(), [("Document Failed".to_owned(), "documents/a.pdf".to_owned())]);
}

#[tokio::test]
async fn after_many_records_a_sweep_remembers_until_when_everything_is_published() {
    let app = App::start().await;
    let record = |number: i64, state: &str, unpublished: bool| {
        let mut item = json!({"document": format!("documents/{number:04}.pdf"), "version": "v-1", "state": state,
            "changed_at": submitted_at(number), "submitted_at": submitted_at(1), "revision": 3});
        if unpublished {
            item["unpublished"] = json!(true);
        }
        item
    };
    for number in 0..1_200 {
        app.dynamodb.put(TABLE, record(number, "processed", number == 600)).unwrap();
    }
    app.eventbridge.set_fault(Some(EventsFault::AccessDenied));
    app.dynamodb.set_page_bytes(20_000);
    let until = || app.dynamodb.items(TABLE).into_iter().find(|item| item["document"] == "sweep");
    app.sweep_within(std::time::Duration::from_secs(5)).await;
    let reached = until().unwrap()["processed"].as_str().unwrap().to_owned();
    assert!(reached > submitted_at(400) && reached < submitted_at(600), "not beyond what is not published: {reached}");
    app.eventbridge.set_fault(None);
    app.sweep().await;
    assert_eq!(app.published().len(), 1);
    let remembered = until().unwrap();
    assert_eq!(
        remembered["processed"], reached,
        "few records were read, and reading them again costs less than a write"
    );
    assert!(remembered.get("state").is_none() && remembered.get("job_id").is_none(), "it is in no index");
    // A late receipt's rejection begins before that.
    app.dynamodb.put(TABLE, record(5_000, "rejected", true)).unwrap();
    app.sweep().await;
    assert_eq!(app.published().len(), 2);
}
