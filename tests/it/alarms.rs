//! What an operator is notified of: the built function under each condition, in each of the template's shapes, and the template's
//! own alarms over what it printed.
//!
//! Time is the test's: an upload that is deferred comes back when the function said, and the alarms are evaluated at those times.

use std::time::{Duration, SystemTime};

use flexorch_sandbox::aws_fault::AwsFault;
use flexorch_sandbox::secrets_manager::SecretsFault;
use flexorch_sandbox::wait_until;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::app::{DEAD_LETTERS, SECRET, connector_secret};
use crate::support::cloudwatch::{CloudWatch, Minutes};
use crate::support::surroundings::API_KEY;
use crate::support::template::Template;
use crate::support::{TestApp, TestAppBuilder, sqs_event};

const SHAPES: [&str; 3] = ["Direct", "Queue", "EventBridge"];
/// The function's name in the template.
const INGESTER: &str = "Ingester";
/// An outage has an alarm within this time, in minutes.
const SOON: Minutes = 30.0;

/// The function in a deployment.
struct Stack {
    app: TestApp,
    shape: &'static str,
    cloudwatch: CloudWatch,
    uploads: Vec<Upload>,
    invocations: usize,
    lines_read: usize,
    dead_letters: usize,
}

/// An upload on its way.
struct Upload {
    bucket: &'static str,
    key: String,
    at: Minutes,
    /// When it is delivered next.
    due: Minutes,
    /// Whether it is in the retry queue.
    queued: bool,
    /// How often it was received from there.
    receives: u32,
}

impl Stack {
    async fn of(shape: &'static str, change: impl FnOnce(TestAppBuilder) -> TestAppBuilder) -> Self {
        // One attempt: what is tried again within an invocation is not the subject.
        let builder = TestAppBuilder::new().await.env("MAX_ATTEMPTS", 1).env("AWS_MAX_ATTEMPTS", 1).dead_letters();
        let app = change(builder).start().await;
        let parameters = [
            ("Trigger", shape),
            ("ExpectUploadsWithinHours", "0"),
            ("Tracking", "true"),
            ("ReconcileSchedule", "rate(1 day)"),
        ];
        let cloudwatch = CloudWatch::of(&parameters);
        Self { app, shape, cloudwatch, uploads: Vec::new(), invocations: 0, lines_read: 0, dead_letters: 0 }
    }

    fn upload(&mut self, at: Minutes, key: &str) {
        self.upload_to("my-documents", at, key);
    }

    fn upload_to(&mut self, bucket: &'static str, at: Minutes, key: &str) {
        self.uploads.push(Upload {
            bucket,
            key: key.to_owned(),
            at,
            due: at,
            queued: self.shape != "Direct",
            receives: 0,
        });
    }

    /// Delivers what is due before `end`, oldest first.
    async fn run_until(&mut self, end: Minutes) {
        while let Some(next) = self.next_due().filter(|next| self.uploads[*next].due < end) {
            let mut upload = self.uploads.swap_remove(next);
            let comes_back = if upload.queued {
                upload.receives += 1;
                self.receive(&upload).await
            } else {
                self.notify(&upload).await
            };
            self.read_lines(upload.due).await;
            if let Some((minutes, receives)) = comes_back {
                upload.receives = receives;
                upload.queued = true;
                upload.due += minutes;
                self.uploads.push(upload);
            }
        }
    }

    fn next_due(&self) -> Option<usize> {
        (0..self.uploads.len()).min_by(|a, b| self.uploads[*a].due.total_cmp(&self.uploads[*b].due))
    }

    /// Invokes the function with a notification. What fails is in the retry queue after the batch window.
    async fn notify(&mut self, upload: &Upload) -> Option<(Minutes, u32)> {
        let failed = self.app.invoke(notice(self.shape, upload)).await.result.is_err();
        self.count_invocation(upload.due, failed);
        failed.then_some((0.1, 0))
    }

    /// Invokes the function with a message from the retry queue. What is deferred comes back when the function said.
    async fn receive(&mut self, upload: &Upload) -> Option<(Minutes, u32)> {
        let handle = format!("{}-{}", upload.key, upload.receives);
        let sent = before(upload.due - upload.at).as_millisecond();
        let event = json!({"Records": [{
            "messageId": "m-0", "receiptHandle": handle, "body": notice(self.shape, upload).to_string(),
            "attributes": {"ApproximateReceiveCount": upload.receives.to_string(), "SentTimestamp": sent.to_string()},
            "messageAttributes": {}, "md5OfBody": "d41d8cd98f00b204e9800998ecf8427e", "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:retry", "awsRegion": "eu-west-1",
        }]});
        let copies = self.app.queues.messages("retry").len();
        let answer = self.app.invoke(event).await;
        self.count_invocation(upload.due, answer.result.is_err());
        if answer.failures().is_empty() {
            // Renewed: a copy takes its place.
            return (self.app.queues.messages("retry").len() > copies).then_some((15.0, 0));
        }
        let changes = self.app.queues.visibility_changes();
        let change = changes.iter().rfind(|change| change.receipt_handle == handle);
        let seconds = change.expect("the function said when it comes back").seconds;
        Some((seconds as Minutes / 60.0, upload.receives))
    }

    fn count_invocation(&mut self, at: Minutes, failed: bool) {
        self.invocations += 1;
        self.cloudwatch.record(at, ("AWS/Lambda", "Errors", INGESTER), f64::from(failed));
    }

    /// Hands what an invocation printed to CloudWatch, with the time of this test.
    async fn read_lines(&mut self, at: Minutes) {
        let wanted = self.invocations;
        let summaries = |lines: &[String]| lines.iter().filter(|line| line.contains("\"ObjectsReceived\":")).count();
        wait_until("an invocation's metrics", || summaries(&self.app.lines()) >= wanted).await;
        let lines = self.app.lines();
        for line in &lines[self.lines_read..] {
            self.cloudwatch.log(at, INGESTER, line);
        }
        self.lines_read = lines.len();
        let dead_letters = self.app.queues.messages(DEAD_LETTERS).len();
        let sent = dead_letters - std::mem::replace(&mut self.dead_letters, dead_letters);
        self.cloudwatch.record(at, ("AWS/SQS", "NumberOfMessagesSent", "DeadLetterQueue"), sent as f64);
    }

    /// Checks that this alarm is on within half an hour of `began`, until `end`, and that it is the only one.
    fn only(&self, alarm: &str, began: Minutes, end: Minutes, condition: &str) {
        let states = self.cloudwatch.states(end);
        let names: Vec<_> = states.keys().copied().collect();
        assert_eq!(names, [alarm], "{condition}, {}: one incident, one alarm; {states:?}", self.shape);
        let [(on, true)] = states[alarm][..] else { panic!("{condition}, {}: {alarm} flaps: {states:?}", self.shape) };
        assert!(on - began <= SOON, "{condition}, {}: {alarm} after {} minutes", self.shape, on - began);
    }

    /// Checks that no alarm was on before `end`.
    fn quiet(&self, end: Minutes, condition: &str) {
        let states = self.cloudwatch.states(end);
        assert!(states.is_empty(), "{condition}, {}: {states:?}", self.shape);
    }
}

/// The point in real time that lies so far back.
fn before(minutes: Minutes) -> Timestamp {
    Timestamp::try_from(SystemTime::now() - Duration::from_secs_f64(minutes * 60.0)).unwrap()
}

/// An upload as S3 or EventBridge reports it, with its age at its delivery.
fn notice(shape: &str, upload: &Upload) -> Value {
    let Upload { bucket, key, .. } = upload;
    let time = before(upload.due - upload.at).to_string();
    if shape == "EventBridge" {
        return json!({
            "version": "0", "detail-type": "Object Created", "source": "aws.s3", "time": time,
            "detail": {"bucket": {"name": bucket}, "object": {"key": key, "size": 1024}, "reason": "PutObject"},
        });
    }
    json!({"Records": [{
        "eventSource": "aws:s3", "awsRegion": "eu-west-1", "eventTime": time, "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 1024}},
    }]})
}

#[tokio::test]
async fn flexorch_down_is_an_alarm_within_half_an_hour_and_for_as_long_as_it_lasts() {
    for shape in SHAPES {
        for fault in ["status=503", "reset", "status=200,body=<html>maintenance</html>,content-type=text/html"] {
            let mut stack = Stack::of(shape, |builder| builder.fault(fault)).await;
            stack.upload(3.0, "one.pdf");
            stack.run_until(180.0).await;
            stack.only("OutageAlarm", 3.0, 180.0, fault);
        }
    }
}

#[tokio::test]
async fn flexorch_down_that_names_a_time_hours_ahead_is_one_with_the_second_upload() {
    for shape in SHAPES {
        let mut stack = Stack::of(shape, |builder| builder.fault("status=503,retry-after=7200")).await;
        (0..20).for_each(|number| stack.upload(3.0 + 8.0 * f64::from(number), &format!("{number}.pdf")));
        stack.run_until(160.0).await;
        stack.only("OutageAlarm", 3.0, 160.0, "503 with Retry-After");
    }
}

#[tokio::test]
async fn after_an_outage_the_alarm_goes_and_what_waited_is_no_second_incident() {
    for shape in SHAPES {
        let mut stack = Stack::of(shape, |builder| builder.fault("status=503")).await;
        (0..24).for_each(|number| stack.upload(3.0 + 5.0 * f64::from(number), &format!("{number}.pdf")));
        stack.run_until(90.0).await;
        stack.app.flexorch.faults().clear();
        stack.run_until(300.0).await;
        assert!(stack.uploads.is_empty(), "all have arrived");
        let states = stack.cloudwatch.states(300.0);
        let [(_, true), (off, false)] = states["OutageAlarm"][..] else { panic!("{shape}: {states:?}") };
        assert!((90.0..150.0).contains(&off), "{shape}: off after {off} minutes");
        assert_eq!(states.len(), 1, "{shape}: {states:?}");
    }
}

#[tokio::test]
async fn a_blip_and_a_burst_over_the_plans_rate_are_no_alarm() {
    for shape in SHAPES {
        for (fault, minutes) in [("status=503", 2.0), ("status=429,retry-after=60", 8.0)] {
            let mut stack = Stack::of(shape, |builder| builder.fault(fault)).await;
            (0..8).for_each(|number| stack.upload(1.0 + f64::from(number) / 8.0, &format!("{number}.pdf")));
            stack.run_until(minutes).await;
            stack.app.flexorch.faults().clear();
            stack.upload(minutes + 1.0, "after.pdf");
            stack.run_until(60.0).await;
            stack.quiet(60.0, fault);
        }
    }
}

#[tokio::test]
async fn what_waits_for_someone_to_act_is_one_alarm_within_half_an_hour() {
    for shape in SHAPES {
        for (condition, fault) in [
            ("credits used up", "status=429,code=QUOTA_EXCEEDED"),
            ("credits used up until next month", "status=429,code=QUOTA_EXCEEDED,retry-after=2592000"),
            ("a deleted connector", "status=404,code=NOT_FOUND"),
            ("a trial that ended", "status=402,code=TRIAL_EXPIRED"),
        ] {
            let mut stack = Stack::of(shape, |builder| builder.fault(fault)).await;
            stack.upload(3.0, "one.pdf");
            stack.run_until(240.0).await;
            stack.only("BlockedAlarm", 3.0, 240.0, condition);
        }
        let mut stack = Stack::of(shape, |builder| builder).await;
        stack.app.flexorch.revoke_key(API_KEY);
        stack.upload(3.0, "one.pdf");
        stack.run_until(240.0).await;
        stack.only("BlockedAlarm", 3.0, 240.0, "a revoked key");
    }
}

#[tokio::test]
async fn an_unreadable_or_empty_secret_is_one_alarm_within_half_an_hour() {
    for shape in SHAPES {
        for empty in [true, false] {
            let stack = Stack::of(shape, |builder| {
                if empty {
                    return builder.secrets([(SECRET, json!({}))]);
                }
                builder.secrets_manager().set_fault(Some(SecretsFault::AccessDenied));
                builder
            });
            let mut stack = stack.await;
            stack.upload(3.0, "one.pdf");
            stack.run_until(240.0).await;
            stack.only("BlockedAlarm", 3.0, 240.0, if empty { "an empty secret" } else { "an unreadable secret" });
        }
    }
}

#[tokio::test]
async fn a_pause_is_no_alarm_until_it_has_lasted_for_a_day() {
    for shape in SHAPES {
        let mut paused = connector_secret();
        paused["paused"] = json!("until Monday");
        let mut stack = Stack::of(shape, |builder| builder.secrets([(SECRET, paused)])).await;
        stack.upload(30.0, "one.pdf");
        let (day, end) = (24.0 * 60.0, 26.0 * 60.0);
        stack.run_until(end).await;
        let states = stack.cloudwatch.states(end);
        let [(on, true)] = states["PausedAlarm"][..] else { panic!("{shape}: {states:?}") };
        assert!((day - 60.0..day + 60.0).contains(&(on - 30.0)), "{shape}: after {on} minutes");
        assert_eq!(states.len(), 1, "{shape}: {states:?}");
    }
}

#[tokio::test]
async fn uploads_that_no_connector_reads_are_one_alarm() {
    for shape in SHAPES {
        let mut stack = Stack::of(shape, |builder| builder).await;
        (0..4).for_each(|number| stack.upload_to("of-no-connector", 3.0 + 30.0 * f64::from(number), "one.pdf"));
        stack.run_until(120.0).await;
        stack.only("UnroutedAlarm", 3.0, 120.0, "no connector");
    }
}

#[tokio::test]
async fn a_rejected_file_is_one_alarm_and_the_next_one_another_while_the_first_lies_there() {
    for shape in SHAPES {
        let mut stack = Stack::of(shape, |builder| builder.fault("reject=*bad.pdf,code=FILE_TOO_LARGE")).await;
        for (at, key) in [(3.0, "good.pdf"), (4.0, "1-bad.pdf"), (64.0, "2-bad.pdf")] {
            stack.upload(at, key);
        }
        stack.run_until(120.0).await;
        assert_eq!(stack.app.queues.messages(DEAD_LETTERS).len(), 2, "both lie there");
        let states = stack.cloudwatch.states(120.0);
        let on: Vec<_> = states["DeadLettersAlarm"].iter().filter(|change| change.1).map(|change| change.0).collect();
        assert!(on.len() == 2 && on[0] - 4.0 <= SOON && on[1] - 64.0 <= SOON, "{shape}: {states:?}");
        assert_eq!(states.len(), 1, "{shape}: {states:?}");
    }
}

#[tokio::test]
async fn a_receipt_that_cannot_be_sent_is_one_alarm_and_delivery_goes_on() {
    for shape in SHAPES {
        let mut stack = Stack::of(shape, TestAppBuilder::receipts).await;
        stack.upload(1.0, "before.pdf");
        stack.run_until(2.0).await;
        stack.app.queues.set_operation_fault("SendMessageBatch", Some(AwsFault::AccessDenied));
        stack.upload(3.0, "one.pdf");
        stack.run_until(60.0).await;
        assert_eq!(stack.app.flexorch.taken_keys(), ["before.pdf", "one.pdf"], "{shape}");
        let states = stack.cloudwatch.states(60.0);
        let [(on, true), (_, false)] = states["ReceiptsLostAlarm"][..] else { panic!("{shape}: {states:?}") };
        assert!(on - 3.0 <= SOON && states.len() == 1, "{shape}: {states:?}");
    }
}

#[tokio::test]
async fn a_reconcile_that_cannot_list_its_bucket_is_one_alarm() {
    for shape in SHAPES {
        let mut stack = Stack::of(shape, |builder| builder).await;
        stack.app.buckets.set_fault(Some(AwsFault::AccessDenied));
        for at in [3.0, 18.0, 33.0, 48.0] {
            let order = sqs_event([json!({"reconcile": {"since": "PT24H"}})]);
            assert_eq!(stack.app.invoke(order).await.failures(), ["m-0"]);
            stack.count_invocation(at, false);
            stack.read_lines(at).await;
        }
        stack.only("ReconcileAlarm", 3.0, 60.0, "a bucket that cannot be listed");
    }
}

#[tokio::test]
async fn a_function_that_cannot_start_is_one_alarm() {
    for (shape, alarm) in [("Direct", "CrashesAlarm"), ("Queue", "ErrorsAlarm"), ("EventBridge", "ErrorsAlarm")] {
        let mut app = TestAppBuilder::new().await.env("MAX_ATTEMPTS", "none").spawn().await;
        app.init_error().await;
        let lines = app.output().await;
        let mut cloudwatch = CloudWatch::of(&[("Trigger", shape)]);
        for attempt in 0..20 {
            // What a crash leaves comes back after the queue's visibility timeout.
            let at = 3.0 + f64::from(attempt) * 185.0 / 60.0;
            cloudwatch.record(at, ("AWS/Lambda", "Errors", INGESTER), 1.0);
            lines.iter().for_each(|line| cloudwatch.log(at, INGESTER, line));
        }
        let states = cloudwatch.states(60.0);
        assert!(states.len() == 1 && states[alarm][0].0 - 3.0 <= SOON, "{shape}: {states:?}");
    }
}

#[tokio::test]
async fn no_uploads_for_longer_than_expected_are_an_alarm_if_one_is_asked_for() {
    let mut stack = Stack::of("Queue", |builder| builder).await;
    stack.cloudwatch = CloudWatch::of(&[("Trigger", "Queue"), ("ExpectUploadsWithinHours", "3")]);
    (0..12).for_each(|number| stack.upload(30.0 * f64::from(number), &format!("{number}.pdf")));
    stack.run_until(360.0).await;
    let states = stack.cloudwatch.states(720.0);
    let changes = &states["NoUploadsAlarm"];
    let (on, last) = (changes.last().unwrap(), 330.0);
    assert!(on.1 && (175.0..=245.0).contains(&(on.0 - last)), "{states:?}");
}

#[tokio::test]
async fn the_function_prints_every_metric_that_an_alarm_watches() {
    let template = Template::with(&[("ExpectUploadsWithinHours", "1")]);
    let mut stack = Stack::of("Queue", |builder| builder.fault("status=503,times=1").receipts()).await;
    stack.cloudwatch = CloudWatch::of(&[("ExpectUploadsWithinHours", "1"), ("Tracking", "true")]);
    stack.upload(1.0, "one.pdf");
    stack.run_until(10.0).await;
    let filters = template.resources("AWS::Logs::MetricFilter");
    let from_filters: Vec<_> =
        filters.iter().map(|(_, filter)| &filter["MetricTransformations"][0]["MetricName"]).collect();
    let printed = stack.app.lines().join("\n");
    for metric in stack.cloudwatch.watched("FlexOrchIngester", INGESTER) {
        let declared = format!(r#""Name":"{metric}""#);
        let is_known = printed.contains(&declared) || from_filters.iter().any(|name| *name == metric);
        assert!(is_known, "the function prints no {declared}");
    }
}

#[test]
fn the_runbook_has_a_section_for_every_alarm() {
    let guide = std::fs::read_to_string(format!("{}/docs/deploying.md", env!("CARGO_MANIFEST_DIR"))).unwrap();
    for shape in SHAPES {
        let template = Template::with(&[
            ("Trigger", shape),
            ("ReconcileSchedule", "rate(1 day)"),
            ("ExpectUploadsWithinHours", "1"),
            ("Tracking", "true"),
            ("FlexOrchWebhook", "true"),
        ]);
        for (name, alarm) in template.resources("AWS::CloudWatch::Alarm") {
            let description = alarm["AlarmDescription"].as_str().unwrap();
            let section = description.rsplit('"').nth(1).unwrap();
            assert!(guide.contains(&format!("\n### {section}\n")), "{name}: no section {section}");
        }
    }
}
