//! `flexorch-s3 backfill`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use flexorch_sandbox::Fault;
use flexorch_sandbox::aws_fault::AwsFault;
use flexorch_sandbox::buckets::ListingFault;
use serde_json::{Value, json};

use crate::support::keys;
use crate::support::run::{PROGRAM, Run, Running};
use crate::support::site::{BUCKET, SECRET, Site};
use crate::support::surroundings::{API_KEY, REGION};

fn numbered(number: usize) -> Vec<String> {
    (0..number).map(|key| format!("in/{key:06}.pdf")).collect()
}

fn fault(text: &str) -> Fault {
    text.parse().unwrap()
}

/// The keys of the submissions that were taken, sorted, repeats included.
fn taken(site: &Site) -> Vec<String> {
    let requests = site.flexorch.requests().into_iter().filter(|request| request.status == Some(202));
    let mut keys: Vec<_> = requests.flat_map(|request| request.keys).collect();
    keys.sort();
    keys
}

fn journal_of(site: &Site) -> String {
    let files = site.files();
    let [journal] = &files[..] else { panic!("one file: {files:?}") };
    std::fs::read_to_string(site.folder.path().join(journal)).unwrap()
}

#[tokio::test]
async fn everything_in_scope_is_sent_once_and_a_second_run_sends_nothing() {
    let site = Site::start().await;
    let names = numbered(2_345);
    site.fill(names.clone());
    site.buckets.put(BUCKET, "in/folder/", 0, SystemTime::now());
    let output = site.run(&["backfill", "--json"]).await;
    assert_eq!(output.status, Some(0), "{output}");
    assert_eq!(site.submitted_keys(), names);
    let first = output.json();
    assert_eq!((&first["state"], &first["summary"]["listed"]), (&json!("finished"), &json!(2_346)));
    assert_eq!(first["summary"]["skipped"], json!({"folder-marker": 1}));
    assert_eq!((&first["summary"]["in_scope"], &first["summary"]["requests"]), (&json!(2_345), &json!(24)));
    assert!(!journal_of(&site).contains(API_KEY));

    let again = site.run(&["backfill", "--json"]).await;
    assert_eq!(again.status, Some(0));
    assert_eq!(again.json()["summary"], first["summary"]);
    assert_eq!(site.submitted_keys().len(), 2_345);

    let restarted = site.run(&["backfill", "--restart"]).await;
    assert_eq!(restarted.status, Some(0), "{restarted}");
    assert_eq!(site.submitted_keys().len(), 2 * 2_345);
    assert!(restarted.shown().contains("2345 known content"), "{restarted}");
}

#[tokio::test]
async fn prefix_time_suffix_and_size_narrow_the_scope_and_what_is_out_is_counted_by_reason() {
    let site = Site::start().await;
    site.put_secret(&json!({"prefix": "in/"}));
    let now = SystemTime::now();
    let old = now - Duration::from_secs(10 * 86_400);
    for (key, size, modified) in [
        ("in/a/good.PDF", 10, now),
        ("in/a/good.docx", 10, now),
        ("in/a/old.pdf", 10, old),
        ("in/a/large.pdf", 1_000, now),
        ("in/a/list.csv", 10, now),
        ("in/b/other.pdf", 10, now),
        ("out.pdf", 10, now),
    ] {
        site.buckets.put(BUCKET, key, size, modified);
    }
    let scope = ["--prefix", "in/a/", "--since", "P7D", "--suffix", ".pdf,.docx", "--max-bytes", "100", "--json"];
    let output = site.run(&[&["backfill"], &scope[..]].concat()).await;
    assert_eq!(output.status, Some(0), "{output}");
    assert_eq!(site.submitted_keys(), ["in/a/good.PDF", "in/a/good.docx"]);
    assert_eq!(output.json()["summary"]["skipped"], json!({"out-of-suffix": 1, "too-large": 1, "too-old": 1}));
    let wider = site.run(&["backfill", "--prefix", "i"]).await;
    assert_eq!(wider.status, Some(1));
    assert!(wider.shown().contains("\"in/\""), "{wider}");
}

#[tokio::test]
async fn interrupted_twice_every_key_of_20000_is_submitted_exactly_once() {
    let site = Site::with(|options| options.latency = Duration::from_millis(5)).await;
    let names = numbered(20_000);
    site.fill(names.clone());
    for (requests, signal) in [(40, "-INT"), (110, "-TERM")] {
        let running = Running::start(site.command(&["backfill", "--concurrency", "4"]));
        site.until_requests(requests).await;
        running.signal(signal);
        let output = running.finish().await;
        assert_eq!(output.status, Some(130), "{output}");
        assert!(output.shown().contains("run the same command again"), "{output}");
        assert!(site.flexorch.requests().len() < 200);
    }
    let output = site.run(&["backfill", "--concurrency", "4", "--json"]).await;
    assert_eq!(output.status, Some(0), "{output}");
    assert!(site.submitted_keys() == names, "a key is missing or was sent twice");
    let summary = &output.json()["summary"];
    assert_eq!((&summary["listed"], &summary["forwarded"]), (&json!(20_000), &json!(20_000)));
}

#[tokio::test]
async fn killed_nothing_is_lost_and_only_requests_in_flight_are_sent_again() {
    let site = Site::with(|options| options.latency = Duration::from_millis(5)).await;
    let names = numbered(5_000);
    site.fill(names.clone());
    let running = Running::start(site.command(&["backfill"]));
    site.until_requests(20).await;
    running.signal("-KILL");
    assert_eq!(running.finish().await.status, None);
    let output = site.run(&["backfill"]).await;
    assert_eq!(output.status, Some(0), "{output}");
    let submitted = site.submitted_keys();
    assert_eq!(submitted.iter().collect::<BTreeSet<_>>(), names.iter().collect());
    assert!(submitted.len() <= 5_000 + 200, "more than two requests were sent again: {}", submitted.len());
}

#[tokio::test]
async fn a_torn_last_line_is_cut_off_and_its_chunk_is_sent_again() {
    let site = Site::start().await;
    site.fill(numbered(500));
    assert_eq!(site.run(&["backfill", "--journal", "j.jsonl", "--concurrency", "1"]).await.status, Some(0));
    let path = site.folder.path().join("j.jsonl");
    let whole = std::fs::read_to_string(&path).unwrap();
    let torn = whole.find(r#""through":"in/000299.pdf""#).unwrap();
    std::fs::write(&path, &whole[..torn]).unwrap();
    site.flexorch.clear_requests();
    let output = site.run(&["backfill", "--journal", "j.jsonl"]).await;
    assert_eq!(output.status, Some(0), "{output}");
    assert_eq!(site.submitted_keys(), numbered(500)[200..]);
}

#[tokio::test]
async fn through_a_storm_of_429s_every_key_arrives_once() {
    let site = Site::with(|options| {
        options.faults.push(fault("status=429,code=RATE_LIMIT_EXCEEDED,random=0.5,path=/v1/data-process/async"));
        options.seed = 7;
    })
    .await;
    let names = numbered(1_500);
    site.fill(names.clone());
    let output = site.run(&["backfill", "--json"]).await;
    assert_eq!(output.status, Some(0), "{output}");
    assert!(taken(&site) == names, "a key is missing or was taken twice");
    assert!(output.json()["summary"]["rate_limited"].as_u64().unwrap() > 5);
}

#[tokio::test]
async fn a_chunk_that_is_settled_in_part_goes_on_with_exactly_its_open_keys() {
    let site = Site::start().await;
    let mut names = keys("k", 99);
    names.push("k010-bad.pdf".to_owned());
    names.sort();
    site.fill(names.clone());
    // The request is refused, then one half of it; the other half is taken, and then the trial is over.
    let over = site.flexorch.faults().add(fault("status=402,after=3,path=/v1/data-process/async"));
    site.flexorch.faults().add(fault("status=422,code=VALIDATION_ERROR,key=*bad*"));
    let output = site.run(&["backfill", "--concurrency", "1", "--journal", "j.jsonl"]).await;
    assert_eq!(output.status, Some(1), "{output}");
    assert!(output.shown().contains("open       50 of the objects so far"), "{output}");
    site.flexorch.faults().remove(over);
    let output = site.run(&["backfill", "--journal", "j.jsonl", "--json"]).await;
    assert_eq!(output.status, Some(3), "{output}");
    let summary = &output.json()["summary"];
    assert_eq!(
        (&summary["in_scope"], &summary["forwarded"], &summary["rejected"]),
        (&json!(100), &json!(99), &json!(1))
    );
    names.retain(|name| !name.contains("bad"));
    assert_eq!(taken(&site), names);
}

#[tokio::test]
async fn an_api_key_that_is_rotated_meanwhile_is_read_again() {
    let site = Site::with(|options| options.latency = Duration::from_millis(10)).await;
    site.fill(numbered(5_000));
    let running = Running::start(site.command(&["backfill", "--count"]));
    site.until_requests(5).await;
    site.put_secret(&json!({"api_key": "dfx_another_0123456789"}));
    site.flexorch.revoke_key(API_KEY);
    let output = running.finish().await;
    assert_eq!(output.status, Some(0), "{output}");
    assert_eq!(taken(&site), numbered(5_000));
    assert!(site.flexorch.requests().len() <= 52, "the refused key is not tried again and again");
}

#[tokio::test]
async fn a_second_interruption_ends_immediately_and_the_journal_is_whole() {
    let site = Site::start().await;
    site.fill(numbered(500));
    site.flexorch.faults().add(fault("hang,after=3,path=/v1/data-process/async"));
    let mut running = Running::start(site.command(&["backfill", "--concurrency", "1"]));
    site.until_requests(4).await;
    running.signal("-INT");
    running.until_printed("stopping after the requests in flight").await;
    running.signal("-INT");
    assert_eq!(running.finish().await.status, Some(130));
    site.flexorch.faults().clear();
    site.flexorch.clear_requests();
    assert_eq!(site.run(&["backfill"]).await.status, Some(0));
    assert_eq!(site.submitted_keys(), numbered(500)[300..]);
}

#[tokio::test]
async fn a_full_disk_stops_the_work_and_costs_no_more_than_what_was_under_way() {
    let site = Site::start().await;
    site.fill(numbered(2_000));
    let mut limited = site.program("sh");
    // Files end at 512 bytes times two; the signal that would say so is ignored, so the write fails as on a full disk.
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 2; exec \"$0\" \"$@\""])
        .arg(PROGRAM)
        .args(site.command(&["backfill", "--journal", "j.jsonl"]).get_args());
    let output = Run::of(limited).await;
    assert_eq!(output.status, Some(1), "{output}");
    assert!(output.shown().contains("cannot write the journal j.jsonl"), "{output}");
    assert!(site.flexorch.requests().len() < 20);
    assert_eq!(site.run(&["backfill", "--journal", "j.jsonl"]).await.status, Some(0));
    assert_eq!(site.flexorch.taken_keys().len(), 2_000);
    assert!(site.submitted_keys().len() <= 2_000 + 200);
}

#[tokio::test]
async fn a_listing_that_fails_is_retried_and_resumes_where_it_was() {
    let site = Site::with(|options| options.latency = Duration::from_millis(10)).await;
    site.fill(numbered(4_000));
    let running = Running::start(site.command(&["backfill"]));
    site.until_requests(1).await;
    // Three calls are what the AWS SDK tries by itself.
    site.buckets.fail_next(4, AwsFault::Internal);
    let output = running.finish().await;
    assert_eq!(output.status, Some(0), "{output}");
    assert_eq!(site.submitted_keys(), numbered(4_000));
}

#[tokio::test]
async fn a_rejected_file_is_named_in_the_summary_and_in_the_journal_and_is_final() {
    let site = Site::start().await;
    site.fill(["a.pdf", "bad.exe", "c.pdf"].map(str::to_owned));
    let output = site.run(&["backfill"]).await;
    assert_eq!(output.status, Some(3), "{output}");
    assert!(output.shown().contains("bad.exe  UNSUPPORTED_FILE"), "{output}");
    assert!(journal_of(&site).contains(r#""rejected":[{"key":"bad.exe","code":"UNSUPPORTED_FILE""#));
    let again = site.run(&["backfill", "--json"]).await;
    assert_eq!(again.status, Some(3));
    assert_eq!(again.json()["summary"]["rejected_by_code"], json!({"UNSUPPORTED_FILE": 1}));
    assert_eq!(site.flexorch.requests().len(), 1);
}

#[tokio::test]
async fn a_failure_that_needs_an_operator_stops_immediately_and_the_journal_resumes_after_it() {
    for (given, told) in [
        ("status=429,code=QUOTA_EXCEEDED,after=3", "raise the plan"),
        ("status=402,code=TRIAL_EXPIRED,after=3", "check the plan"),
        ("status=404,code=NOT_FOUND,after=3", "connector_id"),
        ("status=302,after=3", "FLEXORCH_BASE_URL"),
    ] {
        let site = Site::start().await;
        let id = site.flexorch.faults().add(fault(&format!("{given},path=/v1/data-process/async")));
        let names = numbered(1_000);
        site.fill(names.clone());
        let output = site.run(&["backfill", "--concurrency", "1"]).await;
        assert_eq!(output.status, Some(1), "{given}: {output}");
        assert!(output.shown().contains(told) && output.shown().contains("same command"), "{given}: {output}");
        assert_eq!(site.flexorch.requests().len(), 4, "{given}");
        assert!(site.flexorch.faults().remove(id));
        assert_eq!(site.run(&["backfill"]).await.status, Some(0));
        assert_eq!(site.flexorch.taken_keys().len(), 1_000);
        assert_eq!(site.submitted_keys().len(), 1_100, "{given}: only what was refused is sent again");
    }
}

#[tokio::test]
async fn an_outage_is_waited_out_until_the_limit_and_then_the_command_stops_and_says_how_to_resume() {
    let site = Site::start().await;
    site.flexorch.faults().add(fault("status=503,after=2,path=/v1/data-process/async"));
    site.fill(numbered(500));
    let output = site.run(&["backfill", "--give-up-after", "1s", "--concurrency", "1"]).await;
    assert_eq!(output.status, Some(1), "{output}");
    assert!(output.shown().contains("--give-up-after") && output.shown().contains("503"), "{output}");
    site.flexorch.faults().clear();
    assert_eq!(site.run(&["backfill"]).await.status, Some(0));
    assert_eq!(site.flexorch.taken_keys().len(), 500);
}

#[tokio::test]
async fn a_retry_time_beyond_the_limit_stops_the_command_immediately() {
    let site = Site::start().await;
    site.fill(numbered(10));
    site.flexorch.faults().add(fault("status=429,retry-after=7200,path=/v1/data-process/async"));
    let output = site.run(&["backfill"]).await;
    assert_eq!(output.status, Some(1), "{output}");
    assert!(output.shown().contains("asks to retry in 2h"), "{output}");
    assert_eq!(site.flexorch.requests().len(), 1);
}

#[tokio::test]
async fn keys_that_are_refused_as_a_whole_are_isolated_once_another_request_is_taken() {
    let site = Site::start().await;
    site.flexorch.faults().add(fault("status=422,code=VALIDATION_ERROR,key=bad*"));
    let mut names = keys("bad", 3);
    names.extend(keys("good", 5));
    site.fill(names);
    let output = site.run(&["backfill", "--keys-per-request", "1", "--concurrency", "1", "--json"]).await;
    assert_eq!(output.status, Some(3), "{output}");
    let summary = &output.json()["summary"];
    assert_eq!((&summary["forwarded"], &summary["rejected"]), (&json!(5), &json!(3)));
}

#[tokio::test]
async fn if_flexorch_accepts_nothing_at_all_no_object_counts_as_rejected() {
    let site = Site::start().await;
    site.flexorch.faults().add(fault("status=422,code=VALIDATION_ERROR,path=/v1/data-process/async"));
    site.fill(keys("k", 3));
    let output = site.run(&["backfill"]).await;
    assert_eq!(output.status, Some(3), "{output}");
    assert!(output.shown().contains("FlexOrch refused 3 objects"), "{output}");
    site.flexorch.faults().clear();
    assert_eq!(site.run(&["backfill"]).await.status, Some(0));
    assert_eq!(site.flexorch.taken_keys().len(), 3);
}

#[tokio::test]
async fn the_rate_is_a_share_of_the_plans_and_an_unknown_plan_is_assumed_to_be_small() {
    let site = Site::with(|options| options.requests_per_minute = Some(600)).await;
    site.fill(numbered(100));
    let output = site.run(&["backfill", "--dry-run", "--share", "50", "--keys-per-request", "10", "--json"]).await;
    assert_eq!((&output.json()["requests_per_minute"], &output.json()["estimated_seconds"]), (&json!(300), &json!(2)));
    site.flexorch.faults().add(fault("status=404,path=*rate-limits"));
    let output = site.run(&["backfill"]).await;
    assert_eq!(output.status, Some(0));
    assert!(
        output.shown().contains("assuming 60 requests per minute")
            && output.shown().contains("at 45 requests per minute"),
        "{output}"
    );
}

#[tokio::test]
async fn a_dry_run_counts_and_changes_nothing() {
    let site = Site::with(|options| options.requests_per_minute = Some(60)).await;
    site.fill(numbered(1_250));
    let output = site.run(&["backfill", "--dry-run", "-v"]).await;
    assert_eq!(output.status, Some(0), "{output}");
    for told in ["in scope   1250 (1.25 MB)", "requests   13, about 17s at 45 per minute", "in/000000.pdf"] {
        assert!(output.shown().contains(told), "{told}: {output}");
    }
    assert!(site.files().is_empty() && site.flexorch.requests().is_empty());
}

#[tokio::test]
async fn a_dry_run_and_the_plan_compare_the_objects_with_the_credits_that_are_left() {
    let site = Site::with(|options| options.monthly_credits = Some(1_200)).await;
    site.fill(numbered(250));
    let output = site.run(&["backfill", "--dry-run"]).await;
    output.says(0, &["credits    1200 of 1200 left; 250 objects need about 250 to 750\n"]);
    assert_eq!(site.run(&["backfill", "--dry-run", "--json"]).await.json()["credits"]["remaining"], 1_200);
    let output = site.run(&["backfill", "--suffix", "0.pdf"]).await;
    output.says(0, &["credits: 1200 of 1200 left, enough for about 400 to 1200 documents"]);
    site.fill(numbered(1_300));
    let output = site.run(&["backfill", "--dry-run"]).await;
    output.says(0, &["credits    1175 of 1200 left; 1300 objects need about 1300 to 3900; not enough"]);
    for fault_text in ["status=500,path=*/usage", "hang,path=*/usage"] {
        site.flexorch.faults().clear();
        site.flexorch.faults().add(fault(fault_text));
        site.run(&["backfill", "--dry-run"]).await.says(0, &["credits    unknown (", "in scope   1300"]);
    }
}

#[tokio::test]
async fn used_up_credits_are_counted_as_what_they_are() {
    let site = Site::with(|options| options.monthly_credits = Some(300)).await;
    site.fill(numbered(500));
    let output = site.run(&["backfill", "--concurrency", "1"]).await;
    output.says(1, &["forwarded  300", "requests   4, 1 answered 429 QUOTA_EXCEEDED", "this run   4 requests in "]);
    assert!(output.err.contains("QUOTA_EXCEEDED") && output.err.contains("run the same command again"), "{output}");
    let again = site.run(&["backfill", "--concurrency", "1"]).await;
    again.says(1, &["this run   1 request in "]);
    let document = site.run(&["backfill", "--json"]).await.json();
    assert_eq!((&document["summary"]["forwarded"], &document["summary"]["rate_limited"]), (&json!(300), &json!(0)));
}

#[tokio::test]
async fn an_excluded_key_is_not_sent_and_is_counted() {
    let site = Site::start().await;
    site.fill(["exports/a.pdf", "in/a.pdf", "in/b.tmp", "in/draft-1.pdf", "in/draft-10.pdf"].map(str::to_owned));
    let output = site.run(&["backfill", "--exclude", "exports/*,*.tmp", "--exclude", "in/draft-?.pdf", "--json"]).await;
    assert_eq!(output.status, Some(0), "{output}");
    assert_eq!(output.json()["summary"]["skipped"], json!({"excluded": 3}));
    assert_eq!(site.submitted_keys(), ["in/a.pdf", "in/draft-10.pdf"]);
}

#[tokio::test]
async fn truncated_pages_without_keys_do_not_end_a_backfill() {
    let site = Site::start().await;
    site.fill(numbered(2_500));
    site.buckets.set_listing_fault(Some(ListingFault::EmptyPages(3)));
    site.run(&["backfill"]).await.says(0, &["listed     2500", "forwarded  2500"]);
}

#[tokio::test]
async fn a_listing_that_does_not_advance_is_an_error_and_nothing_is_sent_twice() {
    let site = Site::start().await;
    site.fill(numbered(2_500));
    site.buckets.set_listing_fault(Some(ListingFault::SameToken));
    let output = site.run(&["backfill"]).await;
    assert!(output.failed().contains("the listing does not advance"), "{output}");
    assert!(output.err.contains("--keys-from"), "{output}");
    assert!(site.submitted_keys().is_sorted_by(|one, next| one < next));
}

#[tokio::test]
async fn a_queue_may_be_named_by_its_arn() {
    let site = Site::start().await;
    site.fill(numbered(25));
    let arn = site.queues.arn("retry", REGION);
    let output = site.run(&["backfill", "--queue", &arn]).await;
    output.says(0, &["queued     25", "messages   3", &format!("starts into {arn}")]);
    assert_eq!(site.queues.messages("retry").len(), 3);
}

#[tokio::test]
async fn a_journal_of_another_bucket_connector_or_scope_is_refused_and_left_as_it_is() {
    let site = Site::start().await;
    site.fill(numbered(10));
    assert_eq!(site.run(&["backfill", "--journal", "j.jsonl"]).await.status, Some(0));
    let path = site.folder.path().join("j.jsonl");
    let before = std::fs::read(&path).unwrap();
    let refused = async |arguments: &[&str], told: &str| {
        let output = site.run(&[&["backfill", "--journal", "j.jsonl"], arguments].concat()).await;
        assert_eq!(output.status, Some(1), "{output}");
        assert!(output.shown().contains(told), "{told}: {output}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    };
    refused(&["--suffix", ".pdf"], "scope").await;
    refused(&["--restart", "--suffix", ".pdf"], "scope").await;
    site.put_secret(&json!({"connector_id": 43}));
    refused(&[], "connector 42 and not 43").await;
    site.put_secret(&json!({"bucket": "other"}));
    refused(&["--restart"], "\"my-documents\" and not \"other\"").await;
    std::fs::write(&path, "my diary\n").unwrap();
    let output = site.run(&["backfill", "--journal", "j.jsonl", "--restart"]).await;
    assert!(output.shown().contains("not a backfill journal"), "{output}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "my diary\n");
}

#[tokio::test]
async fn two_runs_at_once_do_not_share_a_journal() {
    let site = Site::with(|options| options.latency = Duration::from_millis(50)).await;
    site.fill(numbered(2_000));
    let running = Running::start(site.command(&["backfill"]));
    site.until_requests(1).await;
    let second = site.run(&["backfill"]).await;
    assert_eq!(second.status, Some(1));
    assert!(second.shown().contains("another backfill is running"), "{second}");
    assert_eq!(running.finish().await.status, Some(0));
    assert_eq!(site.submitted_keys(), numbered(2_000));
}

#[tokio::test]
async fn what_keeps_a_backfill_from_beginning_is_a_clear_error_and_leaves_nothing_behind() {
    let site = Site::start().await;
    site.fill(numbered(10));
    let refused = async |command: std::process::Command, told: &[&str]| {
        let output = Run::of(command).await;
        assert_eq!(output.status, Some(1), "{output}");
        for told in told {
            assert!(output.shown().contains(told), "{told}: {output}");
        }
        assert!(site.files().is_empty() && site.flexorch.submitted_keys().is_empty());
    };
    let mut nobody = site.command(&["backfill"]);
    nobody.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    refused(nobody, &["no AWS credentials"]).await;
    let mut down = site.command(&["backfill"]);
    down.env("FLEXORCH_BASE_URL", "http://127.0.0.1:1/v1");
    refused(down, &["usage/rate-limits", "FLEXORCH_BASE_URL"]).await;
    site.put_secret(&json!({"region": "us-east-1"}));
    refused(site.command(&["backfill"]), &["PermanentRedirect", "another region", "`region`"]).await;
    site.put_secret(&json!({"bucket": "no-such-bucket"}));
    refused(site.command(&["backfill"]), &["NoSuchBucket", "arn:aws:s3:::no-such-bucket"]).await;
    site.put_secret(&json!({}));
    site.buckets.set_fault(Some(AwsFault::AccessDenied));
    refused(site.command(&["backfill"]), &["s3:ListBucket on arn:aws:s3:::my-documents"]).await;
    site.buckets.set_fault(None);
    site.queues.set_fault(Some(AwsFault::AccessDenied));
    let url = site.queues.url("retry");
    refused(site.command(&["backfill", "--via", "queue", "--queue", &url]), &["sqs:SendMessage", &url]).await;
    site.run(&["backfill", "--via", "api", "--queue", &url]).await.says(2, &["--via api"]);
    site.run(&["backfill", "--via", "queue"]).await.says(2, &["--queue"]);
    let fifo = format!("{url}.fifo");
    site.run(&["backfill", "--queue", &fifo]).await.says(2, &["FIFO"]);
    site.run(&["backfill", "--queue", "retry"]).await.says(2, &["ARN", "sqs.eu-west-1.amazonaws.com"]);
    assert!(site.files().is_empty());
    site.put_secret(&json!({"bucket": null}));
    refused(site.command(&["backfill"]), &["names no bucket"]).await;
}

#[tokio::test]
async fn a_key_that_flexorch_refuses_from_the_start_leaves_no_journal() {
    let site = Site::start().await;
    site.fill(numbered(10));
    site.flexorch.revoke_key(API_KEY);
    let output = site.run(&["backfill", "--requests-per-minute", "600"]).await;
    assert_eq!(output.status, Some(1));
    assert!(output.shown().contains("valid `api_key`"), "{output}");
    assert!(site.files().is_empty());
}

#[tokio::test]
async fn via_the_queue_the_function_reads_the_same_keys() {
    let site = Site::start().await;
    let mut names = numbered(230);
    names.push("in/請求書 a+b%41.pdf".to_owned());
    site.fill(names.clone());
    site.queues.fail_next(1, AwsFault::PartialFailure);
    let url = site.queues.url("retry");
    let output = site.run(&["backfill", "--queue", &url, "--json"]).await;
    assert_eq!(output.status, Some(0), "{output}");
    assert_eq!(output.json()["summary"]["forwarded"], 231);
    assert!(site.flexorch.requests().is_empty());
    let messages = site.queues.messages("retry");
    assert_eq!(messages.len(), 24);
    let bodies = messages.into_iter().map(|message| serde_json::from_str::<Value>(&message.body).unwrap());
    let records: Vec<_> = bodies.enumerate().map(|(number, body)| sqs_record(number, &body)).collect();
    std::fs::write(site.folder.path().join("event.json"), json!({"Records": records}).to_string()).unwrap();
    let mut function = site.program(PROGRAM);
    function.args(["invoke", "event.json"]).env("CONNECTOR_SECRET_IDS", SECRET);
    Run::of(function).await.ok();
    names.sort();
    assert_eq!(site.submitted_keys(), names);
}

/// A message of the function's queue, as Lambda delivers it.
fn sqs_record(number: usize, body: &Value) -> Value {
    json!({
        "messageId": format!("m-{number}"), "receiptHandle": format!("handle-{number}"), "body": body.to_string(),
        "attributes": {"ApproximateReceiveCount": "1"}, "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:retry", "awsRegion": REGION,
    })
}

#[tokio::test]
async fn a_bucket_of_any_size_takes_the_same_memory() {
    let site = Site::start().await;
    let mut peaks = Vec::new();
    for number in [2_000, 100_000] {
        site.fill(numbered(number));
        let mut running = Running::start(site.command(&["backfill", "--json", "--restart", "--journal", "j.jsonl"]));
        let mut peak = 0;
        while !running.has_ended() {
            peak = running.peak_memory().unwrap_or(peak);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let output = running.finish().await;
        assert_eq!(output.status, Some(0), "{output}");
        assert_eq!(output.json()["summary"]["forwarded"], number);
        peaks.push(peak);
    }
    let [small, large] = peaks[..] else { panic!("two runs") };
    assert!(small > 1_000 && large < small + 8 * 1024, "{small} KiB for 2,000 objects, {large} KiB for 100,000");
    assert!(Path::new(&site.folder.path().join("j.jsonl")).exists());
}
