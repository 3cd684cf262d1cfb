use super::*;
use crate::model::object::ObjectKey;
use proptest::prelude::*;

fn connector(secret: &str, bucket: Option<&str>, prefix: &str) -> Arc<Connector> {
    let bucket = serde_json::json!(bucket);
    let json = format!(r#"{{"api_key":"dfx_a","connector_id":1,"bucket":{bucket},"prefix":"{prefix}"}}"#);
    Arc::new(Connector::from_secret(secret, &json).unwrap())
}

fn object(bucket: &str, key: &str) -> S3Object {
    S3Object { size: Some(10), ..S3Object::new(bucket, ObjectKey::verbatim(key).unwrap()) }
}

fn go(object: &S3Object, connectors: &[Arc<Connector>]) -> Route {
    Router::new(connectors, &[], &Scope::default()).route(object)
}

fn claim(secret: &str, scope: ClaimScope) -> Claim {
    Claim { secret_id: secret.into(), scope, why: "why".into() }
}

fn part(bucket: Option<&str>, prefix: &str) -> ClaimScope {
    ClaimScope::Part(ReadScope { bucket: bucket.map(str::to_owned), prefix: prefix.to_owned() })
}

#[test]
fn the_longest_prefix_among_the_buckets_connectors_wins() {
    let connectors =
        [connector("a", Some("b"), ""), connector("b", Some("b"), "in/"), connector("c", Some("other"), "in/deep/")];
    assert_eq!(go(&object("b", "in/deep/x.pdf"), &connectors), Route::To(1));
    assert_eq!(go(&object("b", "out/x.pdf"), &connectors), Route::To(0));
    assert_eq!(go(&object("other", "in/deep/x.pdf"), &connectors), Route::To(2));
}

#[test]
fn a_connector_without_a_bucket_reads_any_and_yields_to_one_that_names_it() {
    let connectors = [connector("any", None, "in/"), connector("own", Some("b"), "in/")];
    assert_eq!(go(&object("b", "in/x"), &connectors), Route::To(1));
    assert_eq!(go(&object("else", "in/x"), &connectors), Route::To(0));
}

#[test]
fn an_object_of_a_bucket_that_no_connector_reads_is_sent_to_no_other() {
    let connectors = [connector("a", Some("b"), "")];
    assert_eq!(go(&object("stranger", "x"), &connectors), Route::Skip(SkipReason::NoConnector));
}

#[test]
fn an_object_under_no_connectors_prefix_is_out_of_prefix() {
    let connectors = [connector("a", Some("b"), "in/")];
    assert_eq!(go(&object("b", "out/x"), &connectors), Route::Skip(SkipReason::OutOfPrefix));
}

#[test]
fn a_claim_keeps_its_part_from_the_connectors_and_the_rest_is_routed() {
    let connectors = [connector("all", Some("docs"), ""), connector("deep", Some("docs"), "hr/open/")];
    let claims = [claim("hr", part(Some("docs"), "hr/"))];
    let scope = Scope { key_suffixes: vec![".pdf".into()], ..Scope::default() };
    let router = Router::new(&connectors, &claims, &scope);
    for (bucket, key, expected) in [
        ("docs", "hr/salaries.pdf", Route::Claimed(0)),
        ("docs", "hr/open/jobs.pdf", Route::To(1)),
        ("docs", "letters/a.pdf", Route::To(0)),
        ("stranger", "hr/salaries.pdf", Route::Undecided),
        ("docs", "hr/salaries.exe", Route::Skip(SkipReason::OutOfSuffix)),
        ("stranger", "x.exe", Route::Skip(SkipReason::OutOfSuffix)),
    ] {
        assert_eq!(router.route(&object(bucket, key)), expected, "{bucket}/{key}");
    }
}

#[test]
fn a_claim_to_everything_keeps_every_object_that_the_filters_do_not_exclude() {
    let connectors = [connector("a", Some("b"), "in/")];
    let claims = [claim("part", part(Some("b"), "in/")), claim("hidden", ClaimScope::Everything)];
    let scope = Scope { key_suffixes: vec![".pdf".into()], ..Scope::default() };
    let router = Router::new(&connectors, &claims, &scope);
    for (bucket, key) in [("b", "in/x.pdf"), ("b", "out/x.pdf"), ("stranger", "x.pdf")] {
        assert_eq!(router.route(&object(bucket, key)), Route::Claimed(1), "{bucket}/{key}");
    }
    assert_eq!(router.route(&object("b", "in/x.exe")), Route::Skip(SkipReason::OutOfSuffix));
    let removed = S3Object { change: Change::Other, ..object("b", "in/x.pdf") };
    assert_eq!(router.route(&removed), Route::Skip(SkipReason::NotCreated));
}

#[test]
fn a_claim_to_nothing_keeps_only_what_no_connector_reads() {
    let connectors = [connector("a", Some("b"), "in/")];
    let claims = [claim("gone", ClaimScope::Nothing)];
    let scope = Scope::default();
    let router = Router::new(&connectors, &claims, &scope);
    assert_eq!(router.route(&object("b", "in/x")), Route::To(0));
    assert_eq!(router.route(&object("b", "out/x")), Route::Undecided);
    assert_eq!(router.route(&object("stranger", "x")), Route::Undecided);
}

#[test]
fn of_a_claim_and_a_connector_with_equal_prefixes_the_one_that_names_the_bucket_wins_and_the_claim_if_both_do() {
    let scope = Scope::default();
    let route = |own: Option<&str>, claimed: Option<&str>| {
        let (connectors, claims) = ([connector("a", own, "p/")], [claim("c", part(claimed, "p/"))]);
        Router::new(&connectors, &claims, &scope).route(&object("b", "p/x"))
    };
    assert_eq!(route(Some("b"), None), Route::To(0));
    assert_eq!(route(None, Some("b")), Route::Claimed(0));
    assert_eq!(route(Some("b"), Some("b")), Route::Claimed(0));
    assert_eq!(route(None, None), Route::Claimed(0));
}

#[test]
fn two_connectors_of_one_scope_contest_its_objects_and_nothing_else() {
    let connectors = [
        connector("one", Some("b"), "p/"),
        connector("all", Some("b"), ""),
        connector("two", Some("b"), "p/"),
        connector("three", Some("b"), "p/"),
        connector("deep", Some("b"), "p/q/"),
    ];
    assert_eq!(go(&object("b", "p/x"), &connectors), Route::Contested(0, 2));
    assert_eq!(go(&object("b", "x"), &connectors), Route::To(1));
    assert_eq!(go(&object("b", "p/q/x"), &connectors), Route::To(4));
}

#[test]
fn a_paused_connectors_objects_wait_and_go_to_no_other() {
    let paused = r#"{"api_key":"dfx_a","connector_id":1,"bucket":"b","prefix":"p/","paused":true}"#;
    let connectors = [connector("all", Some("b"), ""), Arc::new(Connector::from_secret("paused", paused).unwrap())];
    assert_eq!(go(&object("b", "p/x"), &connectors), Route::Paused(1));
    assert_eq!(go(&object("b", "x"), &connectors), Route::To(0));
    let scope = Scope { max_object_bytes: Some(1), ..Scope::default() };
    let filtered = Router::new(&connectors, &[], &scope).route(&object("b", "p/x"));
    assert_eq!(filtered, Route::Skip(SkipReason::TooLarge));
    let twice = [Arc::clone(&connectors[1]), connector("other", Some("b"), "p/")];
    assert_eq!(go(&object("b", "p/x"), &twice), Route::Contested(0, 1));
}

#[test]
fn the_operators_filters_apply_after_the_choice() {
    let connectors = [connector("a", Some("b"), "")];
    let scope = Scope {
        key_prefixes: vec!["in/".into(), "scan/".into()],
        key_suffixes: vec![".pdf".into()],
        max_object_bytes: Some(100),
        ..Scope::default()
    };
    let go = |object: &S3Object| Router::new(&connectors, &[], &scope).route(object);
    assert_eq!(go(&object("b", "scan/X.PDF")), Route::To(0));
    assert_eq!(go(&object("b", "else/x.pdf")), Route::Skip(SkipReason::OutOfPrefix));
    assert_eq!(go(&object("b", "in/x.exe")), Route::Skip(SkipReason::OutOfSuffix));
    let sized = |size| S3Object { size, ..object("b", "in/x.pdf") };
    assert_eq!(go(&sized(Some(101))), Route::Skip(SkipReason::TooLarge));
    assert_eq!(go(&sized(Some(100))), Route::To(0));
    assert_eq!(go(&sized(None)), Route::To(0));
}

#[test]
fn what_was_not_created_and_folder_markers_are_skipped() {
    let connectors = [connector("a", None, "")];
    let removed = S3Object { change: Change::Other, ..object("b", "x") };
    assert_eq!(go(&removed, &connectors), Route::Skip(SkipReason::NotCreated));
    let marker = S3Object { size: Some(0), ..object("b", "in/") };
    assert_eq!(go(&marker, &connectors), Route::Skip(SkipReason::FolderMarker));
    let file = S3Object { size: Some(5), ..object("b", "in/") };
    assert_eq!(go(&file, &connectors), Route::To(0));
}

#[test]
fn two_connectors_of_one_bucket_and_prefix_are_a_conflict() {
    let one = [connector("a", Some("b"), "p/"), connector("c", Some("b"), "p/")];
    let error = check_distinct(&one).unwrap_err().to_string();
    assert!(error.contains("\"a\"") && error.contains("\"c\"") && error.contains("p/"), "{error}");
    assert!(check_distinct(&[connector("a", None, ""), connector("c", Some("b"), "")]).is_ok());
}

proptest! {
    #[test]
    fn a_route_always_leads_to_a_connector_of_the_bucket_whose_prefix_fits(
        prefixes in proptest::collection::vec(("[ab]{0,3}", proptest::option::of("[xy]")), 1..6),
        key in "[ab]{1,5}",
        bucket in "[xyz]",
    ) {
        let connectors: Vec<_> =
            prefixes.iter().map(|(prefix, bucket)| connector("s", bucket.as_deref(), prefix)).collect();
        let object = object(&bucket, &key);
        match go(&object, &connectors) {
            Route::To(at) => {
                let chosen = &connectors[at];
                prop_assert!(chosen.reads_bucket(&bucket) && key.starts_with(&chosen.prefix));
                for other in &connectors {
                    if other.reads_bucket(&bucket) && key.starts_with(&other.prefix) {
                        prop_assert!(other.prefix.len() <= chosen.prefix.len());
                    }
                }
            }
            Route::Skip(_) => {
                let takes = |connector: &Arc<Connector>| connector.reads_bucket(&bucket) && key.starts_with(&connector.prefix);
                prop_assert!(!connectors.iter().any(takes));
            }
            Route::Contested(first, second) => {
                prop_assert_eq!(connectors[first].read_scope(), connectors[second].read_scope());
            }
            Route::Undecided | Route::Claimed(_) => prop_assert!(false, "all connectors are known"),
            Route::Paused(_) => prop_assert!(false, "none is paused"),
        }
    }
}
