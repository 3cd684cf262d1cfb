//! `flexorch-s3 attach` and `detach`, the built program, on buckets that have notifications of others.

use std::ops::Deref;

use flexorch_s3_ingester::aws::http;
use flexorch_sandbox::SandboxOptions;
use flexorch_sandbox::aws_fault::AwsFault;
use flexorch_sandbox::stub::Stub;
use serde_json::{Value, json};

use crate::support::account::STACK_TAG;
use crate::support::run::Run;
use crate::support::surroundings::{API_KEY, REGION, Surroundings};

const BUCKET: &str = "my-documents";

/// What others configured, in ways that no two programs would write alike.
const OTHERS: &[&str] = &[
    "<QueueConfiguration>\n  <Event>s3:ObjectCreated:Put</Event><Event>s3:ObjectCreated:Copy</Event>\n  <Id>orders &amp; returns</Id>\
     <Filter><S3Key><FilterRule><Name>Suffix</Name><Value>.csv</Value></FilterRule><FilterRule><Name>Prefix</Name>\
     <Value>orders+%28new%29/</Value></FilterRule></S3Key></Filter>\
     <Queue>arn:aws:sqs:eu-west-1:123456789012:orders</Queue></QueueConfiguration>",
    "<TopicConfiguration><Id>removals</Id><Topic>arn:aws:sns:eu-west-1:123456789012:removals</Topic>\
     <Event>s3:ObjectRemoved:*</Event></TopicConfiguration>",
    "<CloudFunctionConfiguration><Id>thumbs</Id><CloudFunction>arn:aws:lambda:eu-west-1:123456789012:function:thumbs:live\
     </CloudFunction><Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>prefix</Name><Value>images/</Value>\
     </FilterRule></S3Key></Filter></CloudFunctionConfiguration>",
    "<EventBridgeConfiguration/>",
    "<QueueConfiguration><Id>archive</Id><Queue>arn:aws:sqs:eu-west-1:123456789012:archive</Queue>\
     <Event>s3:LifecycleTransition</Event></QueueConfiguration>",
];

/// An account's bucket and queue.
struct Account(Surroundings);

impl Deref for Account {
    type Target = Surroundings;

    fn deref(&self) -> &Surroundings {
        &self.0
    }
}

impl Account {
    /// A bucket with the others' notifications, and the queue `retry`.
    async fn start() -> Self {
        let account = Self::bare().await;
        account.put_notifications(&OTHERS.concat()).await;
        account
    }

    async fn bare() -> Self {
        let account = Self(Surroundings::start(SandboxOptions::default()).await);
        account.buckets.create(BUCKET, REGION);
        account.queues.create("retry");
        account
    }

    /// Writes a configuration over HTTP, as another client would.
    async fn put_notifications(&self, entries: &str) {
        let (status, answer) = self.put(&xml(entries), "UNSIGNED-PAYLOAD").await;
        assert_eq!(status, 200, "{answer}");
    }

    async fn put(&self, xml: &str, digest: &str) -> (u16, String) {
        let scope = format!("AKIDEXAMPLE/20260131/{REGION}/s3/aws4_request");
        let answer = http::client(None)
            .unwrap()
            .put(format!("{}/{BUCKET}?notification", self.buckets.endpoint_url()))
            .header("authorization", format!("AWS4-HMAC-SHA256 Credential={scope}, Signature=0"))
            .header("x-amz-content-sha256", digest)
            .body(xml.to_owned())
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    fn notifications(&self) -> String {
        self.buckets.notification(BUCKET).unwrap_or_default()
    }

    fn retry_arn(&self) -> String {
        self.queues.arn("retry", REGION)
    }

    /// `attach --queue` of the queue `retry`, and more.
    async fn attach(&self, more: &[&str]) -> Run {
        self.run(&[&["attach", "--bucket", BUCKET, "--wait", "0", "--queue", &self.retry_arn()], more].concat()).await
    }

    async fn detach(&self, more: &[&str]) -> Run {
        self.run(&[&["detach", "--bucket", BUCKET, "--wait", "0"], more].concat()).await
    }

    /// How many calls changed something.
    fn writes(&self) -> usize {
        let of_s3 = self.buckets.calls().iter().filter(|call| call.method == "PUT").count();
        of_s3 + self.queues.calls().iter().filter(|call| call.operation == "SetQueueAttributes").count()
    }
}

fn xml(entries: &str) -> String {
    format!(
        "<NotificationConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{entries}</NotificationConfiguration>"
    )
}

#[tokio::test]
async fn the_others_notifications_survive_attaching_and_detaching_byte_for_byte() {
    let account = Account::start().await;
    let before = account.notifications();
    let shown = account.attach(&["--prefix", "in voices/"]).await;
    let arn = account.retry_arn();
    assert!(
        shown.ok().contains(&format!("+ queue {arn}  s3:ObjectCreated:*  prefix \"in voices/\"  (id flexorch-s3-")),
        "{}",
        shown.out
    );
    assert!(
        shown.out.contains(
            "  topic arn:aws:sns:eu-west-1:123456789012:removals  s3:ObjectRemoved:*  all keys  (id removals)"
        )
    );
    let after = account.notifications();
    let ours = after
        .strip_prefix(&xml(&OTHERS.concat()).replace("</NotificationConfiguration>", ""))
        .expect("others were changed");
    assert!(ours.starts_with("<QueueConfiguration><Id>flexorch-s3-"), "{ours}");
    assert!(
        ours.contains("<Name>prefix</Name><Value>in+voices/</Value>") && ours.matches("<Event>").count() == 1,
        "{ours}"
    );

    let shown = account.detach(&["--queue", &arn]).await;
    assert!(shown.ok().contains(&format!("- queue {arn}")), "{}", shown.out);
    assert_eq!(account.notifications(), before);
}

#[tokio::test]
async fn twice_is_once_for_attach_and_for_detach() {
    let account = Account::start().await;
    account.attach(&["--prefix", "invoices/"]).await.ok();
    let (notifications, policy, writes) = (account.notifications(), account.queues.policy("retry"), account.writes());
    let again = account.attach(&["--prefix", "invoices/"]).await;
    assert!(again.ok().contains("already attached: nothing to change"), "{}", again.out);
    assert_eq!(account.writes(), writes);
    assert_eq!((account.notifications(), account.queues.policy("retry")), (notifications, policy));
    // A queue's URL is as good as its ARN.
    let url = account.queues.url("retry");
    account.detach(&["--queue", &url]).await.ok();
    let writes = account.writes();
    assert!(account.detach(&["--queue", &url]).await.ok().contains("not attached: nothing to change"));
    assert_eq!(account.writes(), writes);
}

#[tokio::test]
async fn a_dry_run_shows_the_difference_and_changes_nothing() {
    let account = Account::start().await;
    let before = account.notifications();
    let shown = account.attach(&["--prefix", "invoices/", "--dry-run", "--json"]).await.json();
    assert_eq!((&shown["changed"], &shown["dry_run"]), (&json!(false), &json!(true)));
    assert_eq!(shown["added"][0]["prefix"], "invoices/");
    assert_eq!(shown["kept"].as_array().unwrap().len(), OTHERS.len());
    assert_eq!(shown["permissions"][0]["change"], "added");
    assert_eq!(
        account.detach(&["--eventbridge", "--dry-run", "--json"]).await.json()["removed"],
        json!([{"service": "eventbridge"}])
    );
    assert_eq!((account.notifications(), account.queues.policy("retry")), (before, None));
    assert_eq!(account.writes(), 1, "something besides the preparation wrote");
}

#[tokio::test]
async fn the_queue_allows_s3_as_long_as_a_notification_needs_it() {
    let account = Account::bare().await;
    let theirs = r#"{"Version":"2012-10-17","Statement":[{"Sid":"TlsOnly","Effect":"Deny","Principal":"*","Action":"sqs:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}"#;
    account.set_queue_attribute("retry", "Policy", theirs).await;
    account.attach(&["--prefix", "a/"]).await.ok();
    let policy: Value = serde_json::from_str(&account.queues.policy("retry").unwrap()).unwrap();
    let own = &policy["Statement"][1];
    assert_eq!(own["Principal"], json!({"Service": "s3.amazonaws.com"}));
    assert_eq!((&own["Action"], &own["Resource"]), (&json!("sqs:SendMessage"), &json!(account.retry_arn())));
    assert_eq!(
        own["Condition"],
        json!({"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::my-documents"}, "StringEquals": {"aws:SourceAccount": "123456789012"}})
    );
    let second = account.attach(&["--prefix", "b/", "--json"]).await.json();
    assert_eq!(second["permissions"], json!([]), "S3 is allowed already");
    account.detach(&["--queue", &account.retry_arn(), "--prefix", "a/"]).await.ok();
    assert!(account.queues.policy("retry").unwrap().contains("FlexorchS3"), "the other notification needs it");
    account.detach(&["--all"]).await.ok();
    assert_eq!(account.queues.policy("retry").as_deref(), Some(theirs));
    assert!(!account.notifications().contains("flexorch-s3-"));
}

#[tokio::test]
async fn an_overlap_is_refused_with_the_name_of_the_other_and_a_solution() {
    let account = Account::start().await;
    let before = account.notifications();
    for (arguments, others) in [
        (&["--prefix", "images/2026/"][..], &["thumbs", "prefix \"images/\""][..]),
        (&[], &["(id thumbs)", "(id orders & returns)", "s3:ObjectCreated:Put", "suffix \".csv\"", "orders (new)/"]),
    ] {
        let words = account.attach(arguments).await;
        for told in others.iter().chain(&["--eventbridge", "Nothing was changed"]) {
            assert!(words.failed().contains(told), "{told} is not in {}", words.err);
        }
        assert!(!words.err.contains("removals"), "that one is for other events: {}", words.err);
    }
    // What exchanges no key with them is fine, and one of ours in the way is named with the command that takes it away.
    account.attach(&["--prefix", "orders (new)/", "--suffix", ".pdf"]).await.ok();
    let words = account.attach(&["--prefix", "orders (new)/"]).await;
    assert!(words.failed().contains("flexorch-s3 detach --bucket my-documents --queue"), "{}", words.err);
    account.detach(&["--all"]).await.ok();
    assert_eq!(account.notifications(), before);
}

#[tokio::test]
async fn a_wider_notification_to_the_same_queue_is_enough() {
    let account = Account::bare().await;
    let arn = account.retry_arn();
    account
        .put_notifications(&format!(
            "<QueueConfiguration><Id>by hand</Id><Queue>{arn}</Queue><Event>s3:ObjectCreated:*</Event></QueueConfiguration>"
        ))
        .await;
    let shown = account.attach(&["--prefix", "invoices/", "--json"]).await.json();
    assert_eq!((&shown["added"], &shown["kept"][0]["id"]), (&json!([]), &json!("by hand")));
    let shown = account.detach(&["--queue", &arn]).await;
    assert!(shown.ok().contains("not added by attach, so it stays: by hand"), "{}", shown.out);
    assert!(account.notifications().contains("by hand"));
}

#[tokio::test]
async fn an_unknown_element_is_refused_before_anything_is_changed() {
    let account = Account::bare().await;
    let unknown = xml("<QueueConfiguration><Id>x</Id><Queue>arn:aws:sqs:eu-west-1:123456789012:x</Queue>\
                       <Event>s3:ObjectRemoved:*</Event><Delay>5</Delay></QueueConfiguration>");
    account.buckets.set_notification(BUCKET, REGION, &unknown);
    for arguments in [["attach", "--queue", &account.retry_arn()], ["detach", "--queue", &account.retry_arn()]] {
        let words = account.run(&[&arguments[..], &["--bucket", BUCKET]].concat()).await;
        assert!(
            words.failed().contains("<QueueConfiguration> contains <Delay>, which this version does not support"),
            "{}",
            words.err
        );
    }
    assert_eq!((account.notifications(), account.writes()), (unknown, 0));
}

#[tokio::test]
async fn eventbridge_is_enabled_without_changing_others_and_disabled_after_confirmation() {
    let account = Account::bare().await;
    let others = [OTHERS[0], OTHERS[1]].concat();
    account.put_notifications(&others).await;
    let on = ["attach", "--bucket", BUCKET, "--eventbridge", "--wait", "0"];
    assert!(account.run(&on).await.ok().contains("+ EventBridge  all events"));
    assert_eq!(account.notifications(), xml(&format!("{others}<EventBridgeConfiguration></EventBridgeConfiguration>")));
    assert!(account.run(&on).await.ok().contains("already attached"));
    account.detach(&["--all"]).await.ok();
    assert!(account.notifications().contains("EventBridge"), "--all is what attach can tell for its own");
    let words = account.detach(&["--eventbridge"]).await;
    assert!(
        words.failed().contains("No rule will receive its events any more") && words.err.contains("--yes"),
        "{}",
        words.err
    );
    assert!(account.notifications().contains("EventBridge"));
    account.detach(&["--eventbridge", "--yes"]).await.ok();
    assert_eq!(account.notifications(), xml(&others));
}

#[tokio::test]
async fn a_missing_permission_is_named_with_its_resource() {
    let account = Account::start().await;
    let before = account.notifications();
    account.buckets.set_fault(Some(AwsFault::AccessDenied));
    let words = account.attach(&["--prefix", "invoices/"]).await;
    assert!(words.failed().contains("s3:GetBucketNotification on arn:aws:s3:::my-documents"), "{}", words.err);
    account.buckets.set_fault(None);
    account.queues.set_fault(Some(AwsFault::AccessDenied));
    let words = account.attach(&["--prefix", "invoices/"]).await;
    assert!(words.failed().contains(&format!("sqs:GetQueueUrl on {}", account.retry_arn())), "{}", words.err);
    account.queues.set_fault(None);
    account.buckets.fail_notification_writes(Some(AwsFault::AccessDenied));
    let words = account.attach(&["--prefix", "invoices/"]).await;
    assert!(
        words.failed().contains("your AWS identity needs s3:PutBucketNotification on arn:aws:s3:::my-documents"),
        "{}",
        words.err
    );
    assert!(words.err.contains("the permission was removed again, nothing was changed"), "{}", words.err);
    assert_eq!((account.notifications(), account.queues.policy("retry")), (before, None));
}

#[tokio::test]
async fn a_destination_that_s3_refuses_leaves_everything_as_it_was() {
    let account = Account::start().await;
    let before = account.notifications();
    account.buckets.refuse_destination(Some(&account.retry_arn()));
    let words = account.attach(&["--prefix", "invoices/"]).await;
    assert!(words.failed().contains(&format!("S3 refuses a destination ({}: ", account.retry_arn())), "{}", words.err);
    assert!(words.err.contains("the permission was removed again, nothing was changed"), "{}", words.err);
    assert_eq!((account.notifications(), account.queues.policy("retry")), (before, None));
    // Another's destination that is gone is no reason to keep ours.
    account.buckets.refuse_destination(None);
    account.attach(&["--prefix", "invoices/"]).await.ok();
    account.buckets.refuse_destination(Some("arn:aws:sqs:eu-west-1:123456789012:archive"));
    account.detach(&["--all"]).await.ok();
}

#[tokio::test]
async fn a_concurrent_change_is_detected() {
    let account = Account::bare().await;
    let theirs = xml(OTHERS[1]);
    account.buckets.write_notification_after_next_read(&theirs);
    let words = account.attach(&[]).await;
    assert!(words.failed().contains("were changed concurrently"), "{}", words.err);
    assert!(words.err.contains("the permission was removed again, nothing was changed"), "{}", words.err);
    assert_eq!((account.notifications(), account.queues.policy("retry")), (theirs.clone(), None));

    account.buckets.write_notification_after_next_write(&theirs);
    let words = account.attach(&[]).await;
    assert!(
        words.failed().contains("but S3 returns others: missing: queue arn:aws:sqs:eu-west-1:123456789012:retry"),
        "{}",
        words.err
    );
    account.attach(&[]).await.ok();
    assert!(account.notifications().contains(OTHERS[1]) && account.notifications().contains("flexorch-s3-"));
}

#[tokio::test]
async fn a_write_with_an_unknown_result_says_so_and_the_next_run_cleans_up() {
    let account = Account::start().await;
    let before = account.notifications();
    account.buckets.fail_notification_writes(Some(AwsFault::Internal));
    let words = account.attach(&["--prefix", "invoices/"]).await;
    assert!(
        words.failed().contains("it is not known whether the notifications were written: run the command again"),
        "{}",
        words.err
    );
    assert!(account.queues.policy("retry").is_some_and(|policy| policy.contains("FlexorchS3")), "it may be needed");
    account.buckets.fail_notification_writes(None);
    let shown = account.detach(&["--queue", &account.retry_arn()]).await;
    assert!(shown.ok().contains("- policy of arn:aws:sqs:eu-west-1:123456789012:retry"), "{}", shown.out);
    assert_eq!((account.notifications(), account.queues.policy("retry")), (before, None));
}

#[tokio::test]
async fn s3_may_see_a_new_permission_late() {
    let account = Account::start().await;
    account.buckets.refuse_destination(Some(&account.retry_arn()));
    let sees_it_later = async {
        // The first write of a configuration was the preparation's.
        while account.buckets.calls().iter().filter(|call| call.method == "PUT").count() < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        account.buckets.refuse_destination(None);
    };
    let arn = account.retry_arn();
    let attach = ["attach", "--bucket", BUCKET, "--wait", "30", "--prefix", "invoices/", "--queue", &arn];
    let (shown, ()) = tokio::join!(account.run(&attach), sees_it_later);
    assert!(shown.ok().contains("✓ attached"), "{}", shown.out);
    assert!(shown.err.contains("waiting for S3 to see the new permission"), "{}", shown.err);
}

#[tokio::test]
async fn a_queue_with_a_kms_key_is_attached_with_a_note_on_the_key_policy() {
    let account = Account::bare().await;
    for (key, told) in
        [("alias/ours", "its key policy must allow s3.amazonaws.com"), ("alias/aws/sqs", "the AWS managed key")]
    {
        account.set_queue_attribute("retry", "KmsMasterKeyId", key).await;
        let shown = account.attach(&[]).await;
        assert!(shown.ok().contains(told), "{}", shown.out);
    }
}

#[tokio::test]
async fn the_policy_of_a_stacks_queue_is_changed_only_with_force() {
    let account = Account::start().await;
    account.queues.set_tag("retry", STACK_TAG, "documents");
    let before = (account.notifications(), account.writes());
    for more in [&["--prefix", "in/"][..], &["--prefix", "in/", "--dry-run"]] {
        let refused = account.attach(more).await;
        for told in
            [&account.retry_arn(), "stack documents", "BucketName", "sam deploy", "--force", "Nothing was changed"]
        {
            assert!(refused.failed().contains(told), "{told} is not in {}", refused.err);
        }
    }
    assert_eq!((account.notifications(), account.writes()), before);
    account.attach(&["--prefix", "in/", "--force"]).await.ok();
    // The policy allows S3 now, so that another notification changes it no more.
    account.attach(&["--prefix", "out/"]).await.ok();
}

#[tokio::test]
async fn if_the_queues_tags_may_not_be_read_the_difference_says_so() {
    let account = Account::start().await;
    account.queues.set_operation_fault("ListQueueTags", Some(AwsFault::AccessDenied));
    let shown = account.attach(&["--prefix", "in/"]).await;
    assert!(shown.ok().contains("! could not check whether a stack owns the queue"), "{}", shown.out);
    assert!(shown.out.contains("sqs:ListQueueTags"), "{}", shown.out);
}

#[tokio::test]
async fn what_s3_cannot_notify_is_refused_with_the_reason() {
    let account = Account::start().await;
    let writes = account.writes();
    for (arguments, told) in [
        (&["attach", "--bucket", "no-such-bucket", "--eventbridge"][..], "there is no bucket \"no-such-bucket\""),
        (&["attach", "--bucket", BUCKET, "--queue", "arn:aws:sqs:eu-west-1:123456789012:a.fifo"], "FIFO"),
        (
            &["attach", "--bucket", BUCKET, "--queue", "arn:aws:sqs:eu-north-1:123456789012:a"],
            "is in eu-north-1, but bucket \"my-documents\" is in eu-west-1",
        ),
        (
            &["attach", "--bucket", BUCKET, "--queue", "arn:aws:sqs:eu-west-1:123456789012:gone", "--prefix", "x/"],
            "there is no queue",
        ),
        (&["attach", "--bucket", BUCKET, "--queue", "arn:aws:sns:eu-west-1:123456789012:a"], "not a queue's ARN"),
        (&["attach", "--bucket", BUCKET, "--queue", "retry"], "ARN or URL"),
        (
            &["attach", "--bucket", BUCKET, "--function", "arn:aws:lambda:eu-west-1:123456789012:layer:a"],
            "not a function's ARN",
        ),
        (&["attach", "--bucket", BUCKET, "--eventbridge", "--region", "eu-north-1", "--dry-run"], ""),
        (
            &["attach", "--bucket", BUCKET, "--queue", "arn:aws:sqs:eu-west-1:123456789012:retry", "--suffix", "*.pdf"],
            "no wildcards",
        ),
    ] {
        let run = account.run(arguments).await;
        match told {
            // The bucket's own region is found, whatever is configured.
            "" => assert!(run.ok().contains("my-documents (eu-west-1)")),
            told => assert!(run.failed().contains(told), "{}", run.err),
        }
    }
    assert_eq!(account.writes(), writes);
    for wrong in [
        &["attach", "--bucket", BUCKET][..],
        &["attach", "--eventbridge"],
        &["attach", "--bucket", BUCKET, "--eventbridge", "--prefix", "x"],
    ] {
        assert_eq!(account.run(wrong).await.status, Some(2), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_secret_names_the_bucket_and_the_prefix() {
    let account = Account::start().await;
    account.secrets.put("invoices", json!({"bucket": BUCKET, "prefix": "invoices/", "region": REGION}).to_string());
    let attach = |more: &'static [&'static str]| {
        let arn = account.retry_arn();
        let account = &account;
        async move {
            account
                .run(&[&["attach", "--secret", "invoices", "--wait", "0", "--json", "--queue", &arn], more].concat())
                .await
        }
    };
    let shown = attach(&["--dry-run"]).await.json();
    assert_eq!(
        (&shown["bucket"], &shown["added"][0]["prefix"], &shown["notes"]),
        (&json!(BUCKET), &json!("invoices/"), &json!([]))
    );
    for (narrower, told) in [
        (&["--dry-run", "--prefix", "invoices/2026/"][..], "do not start with \"invoices/2026/\""),
        (&["--dry-run", "--suffix", ".pdf"], "do not end in \".pdf\""),
    ] {
        let shown = attach(narrower).await.json();
        assert!(shown["notes"][0].as_str().unwrap().contains(told), "{shown}");
    }
    assert!(attach(&["--bucket", "another"]).await.failed().contains("omit one of the two"));
}

#[tokio::test]
async fn the_embedded_s3_refuses_what_s3_refuses() {
    let account = Account::bare().await;
    let queue = |id: &str, event: &str, prefix: &str| {
        format!(
            "<QueueConfiguration><Id>{id}</Id><Queue>arn:aws:sqs:eu-west-1:123456789012:{id}</Queue><Event>{event}</Event><Filter><S3Key>\
             <FilterRule><Name>prefix</Name><Value>{prefix}</Value></FilterRule></S3Key></Filter></QueueConfiguration>"
        )
    };
    let overlap = [queue("a", "s3:ObjectCreated:*", "in/"), queue("b", "s3:ObjectCreated:Put", "in/x")].concat();
    let unsigned = "UNSIGNED-PAYLOAD";
    let of_another = "0".repeat(64);
    for (body, digest, told) in [
        (xml(""), of_another.as_str(), "XAmzContentSHA256Mismatch"),
        (xml(&overlap), unsigned, "ambiguously defined"),
        (xml("<Queue/>"), unsigned, "MalformedXML"),
        ("<NotificationConfiguration>".to_owned(), unsigned, "MalformedXML"),
        ("<Tagging/>".to_owned(), unsigned, "MalformedXML"),
    ] {
        let (status, answer) = account.put(&body, digest).await;
        assert!(status == 400 && answer.contains(told), "{status} {answer}");
    }
    assert_eq!(account.buckets.notification(BUCKET), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_of_which_the_function_excludes_every_key_is_noticed() {
    let account = Account::bare().await;
    let function = "arn:aws:lambda:eu-west-1:123456789012:function:ingest";
    let settings = json!({
        "Environment": {"Variables": {"CONNECTOR_SECRET_IDS": "docs", "KEY_EXCLUDES": "drafts/*,exports/*"}},
        "EventSourceMappings": [{"FunctionArn": function}],
    });
    let lambda = Stub::start(move |_, _| (200, "application/json", settings.to_string())).await.unwrap();
    let queue = account.queues.arn("retry", REGION);
    let attach = async |to: [&str; 2], prefix: &str| {
        let arguments = [&["attach", "--bucket", BUCKET, "--prefix", prefix, "--dry-run"], &to[..]].concat();
        let mut command = account.command(&arguments);
        command.env("AWS_ENDPOINT_URL_LAMBDA", lambda.url());
        Run::of(command).await
    };
    for to in [["--function", function], ["--queue", &queue]] {
        let told = ["the function skips every key", "KEY_EXCLUDES has \"exports/*\""];
        attach(to, "exports/2026/").await.says(0, &told);
        let run = attach(to, "").await;
        assert!(!run.ok().contains("skips every key"), "{run}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_secret_is_used_only_if_no_bucket_is_given() {
    let account = Account::bare().await;
    let secret = json!({"api_key": API_KEY, "connector_id": 42, "bucket": BUCKET, "prefix": "invoices/"});
    account.secrets.put("docs", secret.to_string());
    let queue = account.queues.arn("retry", REGION);
    let run = async |arguments: &[&str], secret: &str| {
        let mut command = account.command(&[&["attach", "--queue", &queue, "--dry-run"], arguments].concat());
        command.env("FLEXORCH_S3_SECRET", secret);
        Run::of(command).await
    };
    run(&[], "docs").await.says(0, &["prefix \"invoices/\""]);
    run(&["--bucket", BUCKET], "docs").await.says(0, &["all keys"]);
    run(&["--bucket", BUCKET], "no-such-secret").await.says(0, &["all keys"]);
    run(&["--bucket", BUCKET, "--secret", "docs"], "docs").await.says(0, &["prefix \"invoices/\""]);
}
