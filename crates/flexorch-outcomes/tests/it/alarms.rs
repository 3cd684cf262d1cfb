//! What an operator is notified of about tracking: the built function under each condition, and the template's own alarms over what
//! it printed and what its queues hold.
//!
//! Time is the test's: sweeps come when the schedule says, and a receipt that failed comes back when its queue says.

use flexorch_sandbox::dynamodb::DynamoFault;
use flexorch_sandbox::eventbridge::EventsFault;
use flexorch_sandbox::services::API_KEY;
use flexorch_sandbox::wait_until;
use serde_json::{Value, json};

use super::support::cloudwatch::{CloudWatch, Minutes};
use super::support::events::Answered;
use super::support::template::{Template, text};
use super::support::{App, AppBuilder, BUS, Delivery, TABLE, batch, document, receipt, rejected, sqs};

/// The template's name of the function.
const OUTCOMES: &str = "Outcomes";
/// The schedule's default.
const SWEEPS: Minutes = 15.0;
/// Within this time a condition has an alarm.
const SOON: Minutes = 30.0;
const TRACKING: [(&str, &str); 2] = [("Tracking", "true"), ("FlexOrchWebhook", "true")];

/// The function in a deployment.
struct Stack {
    app: App,
    cloudwatch: CloudWatch,
    /// What the receipts queue is set to: how long a message is hidden, and how often it is received.
    hidden: Minutes,
    receives: u32,
    invocations: usize,
    lines_read: usize,
}

impl Stack {
    async fn of(builder: AppBuilder) -> Self {
        let app = builder.start().await;
        let queue = Template::with(&TRACKING).resource("AWS::SQS::Queue", "ReceiptsQueue");
        let number = |value: &Value| text(value).parse::<u32>().unwrap();
        Self {
            app,
            cloudwatch: CloudWatch::of(&TRACKING),
            hidden: f64::from(number(&queue["VisibilityTimeout"])) / 60.0,
            receives: number(&queue["RedrivePolicy"]["maxReceiveCount"]),
            invocations: 0,
            lines_read: 0,
        }
    }

    /// Invokes the function and hands what it printed to CloudWatch.
    async fn invoke(&mut self, at: Minutes, event: Value) -> Answered {
        let answer = self.app.invoke(event).await;
        self.cloudwatch.record(at, ("AWS/Lambda", "Errors", OUTCOMES), f64::from(u8::from(answer.0.is_err())));
        self.invocations += 1;
        let wanted = self.invocations;
        let has_metrics = |line: &&String| line.contains("\"DocumentsSubmitted\":");
        wait_until("an invocation's metrics", || self.app.lines().iter().filter(has_metrics).count() >= wanted).await;
        let lines = self.app.lines();
        lines[self.lines_read..].iter().for_each(|line| self.cloudwatch.log(at, OUTCOMES, line));
        self.lines_read = lines.len();
        answer
    }

    /// Sweeps as scheduled, from `begin` to `end`.
    async fn sweep(&mut self, begin: Minutes, end: Minutes) {
        self.sweep_every(SWEEPS, begin, end).await;
    }

    /// Sweeps with another schedule. Returns when the last sweep began.
    async fn sweep_every(&mut self, interval: Minutes, begin: Minutes, end: Minutes) -> Minutes {
        let mut at = begin;
        loop {
            // What it says is in its metrics.
            let _ = self.invoke(at, json!({"sweep": {}})).await;
            if at + interval >= end {
                return at;
            }
            at += interval;
        }
    }

    /// Hands over a receipt that is `sent` now whenever its queue does, until it is recorded, or `end`. Returns when it was moved to
    /// the dead-letter queue, if it was.
    async fn receive(&mut self, sent: Minutes, receipt: &str, end: Minutes) -> Option<Minutes> {
        let mut at = sent;
        for receives in 1..=self.receives {
            if at >= end || self.invoke(at, sqs(&[receipt.to_owned()])).await.failures().is_empty() {
                return None;
            }
            // A message that was received more often does not count (CloudWatch metrics of SQS, "ApproximateAgeOfOldestMessage").
            let until = if receives <= 3 { (at + self.hidden).min(end) } else { at };
            while at < until {
                let metric = ("AWS/SQS", "ApproximateAgeOfOldestMessage", "ReceiptsQueue");
                self.cloudwatch.record(at, metric, (at - sent) * 60.0);
                at += 1.0;
            }
            at = sent + f64::from(receives) * self.hidden;
        }
        Some(at)
    }

    /// Checks that these alarms were on before `end`, and no others, each once, and within half an hour of `began`; returns when each
    /// went off.
    fn only<const N: usize>(&self, names: [&str; N], began: Minutes, end: Minutes) -> [Option<Minutes>; N] {
        let states = self.cloudwatch.states(end);
        assert!(states.keys().copied().eq(names), "{names:?}: {states:?}");
        names.map(|name| {
            let (on, off) = match states[name][..] {
                [(on, true)] => (on, None),
                [(on, true), (off, false)] => (on, Some(off)),
                _ => panic!("{name} flaps: {states:?}"),
            };
            assert!(on - began <= SOON, "{name} after {} minutes", on - began);
            off
        })
    }
}

#[tokio::test]
async fn documents_that_are_processed_and_a_webhook_before_its_receipt_are_no_alarm() {
    let mut stack = Stack::of(AppBuilder::new()).await;
    let jobs = stack.app.submit(API_KEY, &["a.pdf".to_owned(), "b.pdf".to_owned()]).await;
    let documents = [document("a.pdf", &jobs[0]), document("b.pdf", &jobs[1])];
    assert!(stack.invoke(1.0, batch(&[receipt(1, &documents)])).await.failures().is_empty());
    stack.app.flexorch.set_open_jobs(json!({"status": "completed"}));
    assert_eq!(stack.invoke(2.0, Delivery::of(&jobs[0], "completed").event()).await.ok()["statusCode"], 204);
    // Before its receipt.
    assert_eq!(stack.invoke(2.0, Delivery::of("j-404", "completed").event()).await.ok()["statusCode"], 503);
    stack.sweep(16.0, 60.0).await;
    assert_eq!(stack.app.states(), ["processed"; 2]);
    assert!(stack.cloudwatch.states(60.0).is_empty(), "{:?}", stack.cloudwatch.states(60.0));
}

#[tokio::test]
async fn a_failed_document_is_one_alarm_whoever_reports_it() {
    for by_webhook in [true, false] {
        let mut stack = Stack::of(AppBuilder::new()).await;
        let job = stack.app.submit(API_KEY, &["a.pdf".to_owned()]).await.remove(0);
        stack.invoke(1.0, batch(&[receipt(1, &[document("a.pdf", &job)])])).await.failures();
        stack.app.flexorch.set_job(&job, json!({"status": "failed"}));
        if by_webhook {
            stack.invoke(3.0, Delivery::of(&job, "failed").event()).await.ok();
        }
        stack.sweep(16.0, 120.0).await;
        let [off] = stack.only(["DocumentsFailedAlarm"], 3.0, 120.0);
        assert!(off.is_some(), "it goes off when no further document fails");
    }
}

#[tokio::test]
async fn webhooks_with_a_wrong_signature_are_one_alarm_until_an_hour_after_the_last() {
    let mut stack = Stack::of(AppBuilder::new()).await;
    for number in 0..5 {
        let wrong = Delivery { signature: Some("0".repeat(64)), ..Delivery::of("j-1", "failed") };
        let answer = stack.invoke(3.0 + 30.0 * f64::from(number), wrong.event()).await;
        assert_eq!(answer.ok()["statusCode"], 401);
    }
    let [off] = stack.only(["WebhookRejectedAlarm"], 3.0, 300.0);
    assert!((123.0 + 55.0..123.0 + 70.0).contains(&off.unwrap()), "off after {off:?}");
}

#[tokio::test]
async fn a_document_that_is_given_up_is_one_alarm() {
    let mut stack = Stack::of(AppBuilder::new().env("RECORD_DAYS", 5)).await;
    stack.invoke(1.0, batch(&[receipt(1, &[document("a.pdf", "j-1")])])).await.failures();
    stack.sweep(16.0, 120.0).await;
    stack.only(["DocumentsAbandonedAlarm"], 16.0, 120.0);
}

#[tokio::test]
async fn while_the_bus_refuses_events_receipts_wait() {
    let mut stack = Stack::of(AppBuilder::new()).await;
    stack.app.eventbridge.set_bus_fault(BUS, Some(EventsFault::AccessDenied));
    let refused = receipt(1, &[rejected("a.exe", "m")]).to_string();
    assert_eq!(stack.receive(3.0, &refused, 90.0).await, None);
    stack.sweep(16.0, 90.0).await;
    assert_eq!(stack.only(["EventsUnpublishedAlarm", "ReceiptsWaitAlarm"], 3.0, 90.0), [None, None]);
    stack.app.eventbridge.set_bus_fault(BUS, None);
    stack.sweep(91.0, 120.0).await;
    let [published, _] = stack.only(["EventsUnpublishedAlarm", "ReceiptsWaitAlarm"], 3.0, 120.0);
    assert!(published.is_some_and(|off| off < 100.0), "{published:?}");
}

#[tokio::test]
async fn a_connector_that_no_sweep_can_ask_for_is_one_alarm_until_one_can() {
    for interval in [15.0, 60.0] {
        let mut stack = Stack::of(AppBuilder::new()).await;
        let job = stack.app.submit(API_KEY, &["a.pdf".to_owned()]).await.remove(0);
        stack.invoke(1.0, batch(&[receipt(1, &[document("a.pdf", &job)])])).await.failures();
        stack.app.flexorch.revoke_key(API_KEY);
        let last = stack.sweep_every(interval, 16.0, 200.0).await;
        stack.app.flexorch.restore_key(API_KEY);
        stack.sweep_every(interval, last + interval, 400.0).await;
        let [off] = stack.only(["ConnectorsNotAskedAlarm"], 16.0, 400.0);
        assert!(off.is_some_and(|off| off < last + interval + 10.0), "every {interval} minutes: {off:?}");
    }
}

#[tokio::test]
async fn while_the_table_cannot_be_used_receipts_wait_and_sweeps_fail_and_afterwards_all_is_quiet() {
    let mut stack = Stack::of(AppBuilder::new()).await;
    stack.app.dynamodb.set_table_fault(TABLE, Some(DynamoFault::AccessDenied));
    let waiting = receipt(1, &[document("a.pdf", "j-404")]).to_string();
    assert_eq!(stack.receive(3.0, &waiting, 62.0).await, None);
    stack.sweep(5.0, 63.0).await;
    stack.app.dynamodb.set_table_fault(TABLE, None);
    assert_eq!(stack.receive(63.0, &waiting, 64.0).await, None);
    stack.sweep(65.0, 180.0).await;
    let off = stack.only(["OutcomesErrorsAlarm", "ReceiptsWaitAlarm"], 5.0, 180.0);
    // The last sweep that failed began at 50.
    assert!(off.iter().all(|off| off.is_some_and(|off| off < 50.0 + 80.0)), "{off:?}");
    assert_eq!(stack.app.states(), ["submitted"]);
}

#[tokio::test]
async fn sweeps_that_fail_are_one_alarm_with_any_schedule_up_to_an_hour() {
    for interval in [15.0, 30.0, 60.0] {
        let mut stack = Stack::of(AppBuilder::new()).await;
        stack.app.dynamodb.set_table_fault(TABLE, Some(DynamoFault::AccessDenied));
        let last = stack.sweep_every(interval, 5.0, 200.0).await;
        stack.app.dynamodb.set_table_fault(TABLE, None);
        let end = stack.sweep_every(interval, last + interval, 400.0).await;
        let [off] = stack.only(["OutcomesErrorsAlarm"], 5.0, end);
        assert!(off.is_some_and(|off| off < last + 80.0), "every {interval} minutes, last at {last}: off at {off:?}");
    }
}

#[tokio::test]
async fn a_receipt_that_cannot_be_read_for_a_day_is_an_alarm_as_long_as_it_lies_there() {
    let mut stack = Stack::of(AppBuilder::new()).await;
    let (day, end) = (24.0 * 60.0, 26.0 * 60.0);
    let moved = stack.receive(3.0, "no receipt", end).await.unwrap();
    assert!((moved - day).abs() < 60.0, "moved after {moved} minutes");
    let mut at = moved;
    while at < end {
        let metric = ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "ReceiptsDeadLetterQueue");
        stack.cloudwatch.record(at, metric, 1.0);
        at += 1.0;
    }
    let states = stack.cloudwatch.states(end);
    assert!(states.keys().copied().eq(["ReceiptDeadLettersAlarm", "ReceiptsWaitAlarm"]), "{states:?}");
    let [(on, true)] = states["ReceiptDeadLettersAlarm"][..] else { panic!("{states:?}") };
    assert!(on - moved <= SOON, "{states:?}");
}

#[tokio::test]
async fn a_function_that_cannot_start_is_one_alarm() {
    let mut app = AppBuilder::new().env("RECORD_DAYS", "forever").spawn().await;
    app.init_error().await;
    let lines = app.output().await;
    let mut cloudwatch = CloudWatch::of(&TRACKING);
    for sweep in 0..8 {
        let at = 3.0 + f64::from(sweep) * SWEEPS;
        cloudwatch.record(at, ("AWS/Lambda", "Errors", OUTCOMES), 1.0);
        lines.iter().for_each(|line| cloudwatch.log(at, OUTCOMES, line));
    }
    let states = cloudwatch.states(120.0);
    assert!(states.len() == 1 && states["OutcomesErrorsAlarm"][0].0 - 3.0 <= SOON, "{states:?}");
}

#[tokio::test]
async fn the_function_prints_every_metric_of_its_own_that_an_alarm_watches() {
    let mut stack = Stack::of(AppBuilder::new()).await;
    stack.sweep(1.0, 2.0).await;
    let printed = stack.app.lines().join("\n");
    let watched: Vec<_> = stack.cloudwatch.watched("FlexOrchIngester", OUTCOMES).collect();
    assert!(watched.len() >= 3, "{watched:?}");
    for metric in watched {
        assert!(printed.contains(&format!(r#""Name":"{metric}""#)), "the function prints no {metric}");
    }
}
