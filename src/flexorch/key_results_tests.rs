use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Each key's result in short: its job's id, or what it is.
fn short(result: &SubmissionResult) -> Vec<&str> {
    result
        .per_key
        .iter()
        .map(|result| match result {
            KeyResult::Accepted { job_id, duplicate: false } => job_id.as_ref().map_or("accepted", JobId::as_str),
            KeyResult::Accepted { duplicate: true, .. } => "duplicate",
            KeyResult::Rejected { code, .. } => code,
            KeyResult::NotNow { .. } => "not now",
            KeyResult::Unaccounted => "unaccounted",
            KeyResult::Ambiguous => "ambiguous",
        })
        .collect()
}

/// Asserts the results, and whether there is a note.
#[track_caller]
fn assert_reads(keys: &[&str], data: &Value, expected: &[&str], noted: bool) {
    let result = read_results(keys, data);
    assert_eq!(short(&result), expected, "{data}");
    assert_eq!(result.note.is_some(), noted, "{data}: {:?}", result.note);
}

fn refused(name: &str) -> Value {
    json!({"filename": name, "error": "UNSUPPORTED_FILE"})
}

fn accepted_as(name: &str, job: &str) -> Value {
    json!({"filename": name, "job_id": job, "status": "queued"})
}

// Step 1: names that refer to one key.

#[test]
fn jobs_and_refusals_are_matched_by_whole_key() {
    let data = json!({"accepted": 1, "rejected": [refused("x/bad.exe")],
        "jobs": [{"filename": "x/a.pdf", "job_id": 7, "status": "queued"}]});
    assert_reads(&["x/a.pdf", "x/bad.exe"], &data, &["7", "UNSUPPORTED_FILE"], false);
}

#[test]
fn a_base_name_matches_if_it_is_unique_in_the_request() {
    let data = json!({"rejected": [refused("bad.exe")], "jobs": [accepted_as("a.pdf", "j")]});
    assert_reads(&["x/a.pdf", "y/bad.exe"], &data, &["j", "UNSUPPORTED_FILE"], false);
}

#[test]
fn a_key_that_is_named_as_accepted_and_as_refused_is_ambiguous_and_alone_it_is_refused() {
    let data = json!({"rejected": [refused("a.pdf")], "jobs": [accepted_as("a.pdf", "1"), accepted_as("b.pdf", "2")]});
    assert_reads(&["a.pdf", "b.pdf"], &data, &["ambiguous", "2"], false);
    assert_reads(&["a.pdf"], &data, &["UNSUPPORTED_FILE"], false);
}

#[test]
fn an_entry_of_a_job_that_failed_is_no_job() {
    for (entry, expected) in [
        (json!({"filename": "a", "job_id": 1, "error": "UNSUPPORTED_FILE"}), "UNSUPPORTED_FILE"),
        (json!({"filename": "a", "job_id": 1, "error": "it broke"}), "REJECTED"),
        (json!({"filename": "a", "status": "rejected", "reason": "unsupported_file"}), "UNSUPPORTED_FILE"),
        (json!({"filename": "a", "status": "failed"}), "unaccounted"),
        (json!({"filename": "a", "success": false, "code": "QUOTA_EXCEEDED"}), "not now"),
        // The job exists; its own status does not matter.
        (json!({"filename": "a", "job_id": "j", "status": "failed"}), "j"),
        (json!({"filename": "a", "job_id": "j", "error": null, "errors": []}), "j"),
        (json!({"filename": "a", "job_id": "j", "is_duplicate": true}), "duplicate"),
    ] {
        assert_reads(&["a"], &json!({ "jobs": [entry] }), &[expected], false);
    }
}

#[test]
fn a_refusal_for_a_temporary_reason_is_no_rejection() {
    for code in ["QUOTA_EXCEEDED", "quota_exceeded"] {
        let data = json!({"jobs": [], "rejected": [{"filename": "a", "error": {"code": code, "message": "m"}}]});
        assert_reads(&["a"], &data, &["not now"], false);
    }
}

#[test]
fn a_refusal_may_be_a_name_alone() {
    assert_reads(
        &["README", "b"],
        &json!({"rejected": ["README"], "jobs": [accepted_as("b", "1")]}),
        &["REJECTED", "1"],
        false,
    );
}

// Step 2: names that may refer to several keys.

#[test]
fn a_refused_key_reported_by_its_base_name_never_rejects_the_key_of_that_name() {
    let keys = ["a.pdf", "x/a.pdf"];
    for data in [
        json!({"accepted": 1, "rejected": [refused("a.pdf")], "jobs": [accepted_as("a.pdf", "1")]}),
        json!({"accepted": 1, "rejected": [refused("a.pdf")], "jobs": []}),
        json!({"accepted": 1, "rejected": [refused("a.pdf")], "job_ids": ["1"]}),
        json!({"rejected": [refused("a.pdf")]}),
    ] {
        assert_reads(&keys, &data, &["ambiguous", "ambiguous"], false);
    }
}

#[test]
fn a_name_means_the_key_that_no_other_name_means() {
    let keys = ["x/a.pdf", "a.pdf"];
    let data = json!({"jobs": [accepted_as("a.pdf", "root"), accepted_as("x/a.pdf", "deep")]});
    assert_reads(&keys, &data, &["deep", "root"], false);
    let data = json!({"rejected": [refused("a.pdf")], "jobs": [accepted_as("x/a.pdf", "deep")]});
    assert_reads(&keys, &data, &["deep", "UNSUPPORTED_FILE"], false);
    let data = json!({"rejected": [refused("x/a.pdf")], "jobs": [accepted_as("a.pdf", "root")]});
    assert_reads(&keys, &data, &["UNSUPPORTED_FILE", "root"], false);
}

#[test]
fn keys_of_a_shared_name_are_settled_if_there_are_as_many_results_of_one_kind() {
    let keys = ["a.exe", "x/a.exe", "y/a.exe"];
    let data = json!({"rejected": [refused("a.exe"), refused("a.exe"), refused("a.exe")], "jobs": []});
    assert_reads(&keys, &data, &["UNSUPPORTED_FILE"; 3], false);
    let data = json!({"jobs": [accepted_as("a.exe", "1"), accepted_as("a.exe", "2"), accepted_as("a.exe", "3")]});
    assert_reads(&keys, &data, &["1", "2", "3"], false);
    let data =
        json!({"rejected": [refused("y/a.exe")], "jobs": [accepted_as("a.exe", "1"), accepted_as("a.exe", "2")]});
    assert_reads(&keys, &data, &["1", "2", "UNSUPPORTED_FILE"], false);
}

#[test]
fn keys_of_a_shared_name_are_ambiguous_if_only_one_is_refused() {
    let data = json!({"rejected": [refused("x.pdf")], "jobs": [accepted_as("x.pdf", "1"), accepted_as("y.pdf", "2")]});
    assert_reads(&["a/x.pdf", "b/x.pdf", "y.pdf"], &data, &["ambiguous", "ambiguous", "2"], false);
}

#[test]
fn keys_of_a_shared_name_are_ambiguous_if_one_is_not_now_and_one_is_rejected() {
    let not_now = json!({"filename": "x.pdf", "error": "QUOTA_EXCEEDED"});
    let data = json!({"rejected": [refused("x.pdf"), not_now], "jobs": []});
    assert_reads(&["a/x.pdf", "b/x.pdf"], &data, &["ambiguous", "ambiguous"], false);
}

#[test]
fn keys_of_a_shared_name_are_ambiguous_if_there_are_fewer_jobs_even_without_a_refusal() {
    let data = json!({"accepted": 2, "jobs": [accepted_as("x.pdf", "1"), accepted_as("y.pdf", "2")]});
    assert_reads(&["a/x.pdf", "b/x.pdf", "y.pdf"], &data, &["ambiguous", "ambiguous", "2"], false);
}

#[test]
fn a_name_too_many_contradicts_the_others() {
    let data =
        json!({"rejected": [refused("a.pdf")], "jobs": [accepted_as("x/a.pdf", "1"), accepted_as("y/a.pdf", "2")]});
    assert_reads(&["x/a.pdf", "y/a.pdf"], &data, &["ambiguous", "ambiguous"], false);
}

// Step 3: refusals under unknown names.

#[test]
fn a_refusal_under_a_name_of_flexorchs_own_making_holds_for_the_only_open_key() {
    let data = json!({"jobs": [accepted_as("a.pdf", "1")], "job_ids": ["1"], "rejected": [refused("b_c.exe")]});
    assert_reads(&["a.pdf", "b c.exe"], &data, &["1", "UNSUPPORTED_FILE"], true);
}

#[test]
fn unknown_refusals_leave_the_open_keys_ambiguous_unless_there_are_as_many() {
    let keys = ["a b.exe", "c d.exe"];
    assert_reads(&keys, &json!({"rejected": [refused("a_b.exe")]}), &["ambiguous", "ambiguous"], true);
    let data = json!({"rejected": [refused("a_b.exe"), refused("c_d.exe")]});
    assert_reads(&keys, &data, &["UNSUPPORTED_FILE", "UNSUPPORTED_FILE"], true);
    let data = json!({"rejected": [refused("a_b.exe")], "jobs": [accepted_as("c_d.exe", "1")]});
    assert_reads(&keys, &data, &["ambiguous", "ambiguous"], true);
}

#[test]
fn a_lone_key_is_not_rejected_under_another_name_if_the_response_counts_a_job() {
    for data in [
        json!({"accepted": 1, "rejected": [refused("other.exe")]}),
        json!({"job_ids": ["1"], "rejected": [refused("other.exe")]}),
        json!({"jobs": [accepted_as("another.pdf", "1")], "rejected": [refused("other.exe")]}),
    ] {
        assert_reads(&["a.pdf"], &data, &["unaccounted"], true);
    }
}

// Step 4: keys that no name refers to. Each row of the table, in its order; then responses that lead to each row.

#[test]
fn open_keys_are_settled_by_the_table() {
    use AcceptedCount as Count;
    use JobList as List;
    use UnnamedJobs as Jobs;
    const COUNTS: [Count; 4] = [Count::Absent, Count::Zero, Count::Fewer, Count::All];
    const LISTS: [List; 3] = [List::Absent, List::NamesNone, List::NamesOthers];
    for count in COUNTS {
        for list in LISTS {
            assert_eq!(open_keys(Jobs::AsMany, list, count), OpenKeys::AcceptedInOrder);
            assert_eq!(open_keys(Jobs::More, list, count), OpenKeys::Accepted);
            let fewer = if count == Count::All { OpenKeys::Accepted } else { OpenKeys::AcceptedWithWarning };
            assert_eq!(open_keys(Jobs::Fewer, list, count), fewer);
        }
        assert_eq!(open_keys(Jobs::None, List::NamesOthers, count), OpenKeys::Unaccounted);
        let unlisted = if count == Count::All { OpenKeys::Accepted } else { OpenKeys::Unaccounted };
        assert_eq!(open_keys(Jobs::None, List::NamesNone, count), unlisted);
        let unsaid = match count {
            Count::All => OpenKeys::Accepted,
            Count::Zero => OpenKeys::Unaccounted,
            Count::Absent | Count::Fewer => OpenKeys::AcceptedWithWarning,
        };
        assert_eq!(open_keys(Jobs::None, List::Absent, count), unsaid);
    }
}

#[test]
fn as_many_unnamed_jobs_as_open_keys_are_theirs_in_order() {
    assert_reads(&["a", "b"], &json!({"job_ids": ["job_1", "job_2"], "status": "queued"}), &["job_1", "job_2"], false);
    assert_reads(&["a"], &json!({"job_id": 5, "status": "queued"}), &["5"], false);
    assert_reads(&["a", "b"], &json!({"jobs": [{"job_id": 1}, {"job_id": 2}]}), &["1", "2"], false);
    let data = json!({"jobs": [accepted_as("b", "1")], "job_ids": ["1", "2"]});
    assert_reads(&["a", "b"], &data, &["2", "1"], false);
}

#[test]
fn a_known_duplicate_is_accepted() {
    let data = json!({"is_duplicate": true, "existing_document_id": 1, "existing_job_id": 9});
    assert_reads(&["a"], &data, &["duplicate"], false);
}

#[test]
fn more_unnamed_jobs_than_open_keys_are_a_job_for_each() {
    assert_reads(&["a", "b"], &json!({"job_ids": ["1", "2", "3"]}), &["accepted", "accepted"], false);
}

#[test]
fn fewer_unnamed_jobs_than_open_keys_are_accepted_with_a_warning_unless_the_number_says_all() {
    assert_reads(&["a", "b"], &json!({"job_ids": ["one"]}), &["accepted", "accepted"], true);
    assert_reads(&["a", "b"], &json!({"job_id": "one"}), &["accepted", "accepted"], true);
    assert_reads(&["a", "b"], &json!({"job_ids": ["one"], "accepted": 2}), &["accepted", "accepted"], false);
}

#[test]
fn keys_that_a_list_with_names_leaves_out_are_unaccounted_whatever_the_number_says() {
    for data in [
        json!({"accepted": 1, "jobs": [accepted_as("a", "1")], "rejected": []}),
        json!({"accepted": 2, "jobs": [accepted_as("a", "1")]}),
        json!({"accepted": [accepted_as("a", "1")], "rejected": []}),
    ] {
        assert_reads(&["a", "b"], &data, &["1", "unaccounted"], true);
    }
}

#[test]
fn a_list_without_names_is_not_filled_in_if_the_number_says_all() {
    assert_reads(&["a", "b"], &json!({"accepted": 2, "jobs": []}), &["accepted", "accepted"], false);
    let data = json!({"accepted": 1, "jobs": [], "rejected": [refused("b")]});
    assert_reads(&["a", "b"], &data, &["accepted", "UNSUPPORTED_FILE"], false);
}

#[test]
fn the_number_may_be_about_ambiguous_keys() {
    let keys = ["a/x.pdf", "b/x.pdf", "y.pdf"];
    let data = |accepted: u64| json!({"accepted": accepted, "jobs": [], "rejected": [refused("x.pdf")]});
    assert_reads(&keys, &data(1), &["ambiguous", "ambiguous", "unaccounted"], true);
    assert_reads(&keys, &data(2), &["ambiguous", "ambiguous", "accepted"], false);
}

#[test]
fn an_empty_list_accounts_for_no_key() {
    for data in [
        json!({"jobs": [], "rejected": []}),
        json!({"jobs": [], "accepted": 0, "rejected": []}),
        json!({"job_ids": []}),
        json!([]),
    ] {
        assert_reads(&["a", "b"], &data, &["unaccounted", "unaccounted"], true);
    }
    let data = json!({"jobs": [], "rejected": [refused("b")]});
    assert_reads(&["a", "b"], &data, &["unaccounted", "UNSUPPORTED_FILE"], true);
}

#[test]
fn without_a_list_the_number_decides_and_without_a_number_there_is_a_warning() {
    assert_reads(&["a", "b"], &json!({"accepted": 2}), &["accepted", "accepted"], false);
    assert_reads(&["a", "b"], &json!({"accepted": 0}), &["unaccounted", "unaccounted"], true);
    assert_reads(&["a", "b"], &json!({"accepted": 1}), &["accepted", "accepted"], true);
    assert_reads(&["a", "b"], &json!({"rejected": [refused("b")]}), &["accepted", "UNSUPPORTED_FILE"], true);
}

#[test]
fn an_unknown_shape_is_accepted_with_a_note_that_names_its_fields() {
    let result = read_results(&["a"], &json!({"ticket": 1, "when": "later"}));
    assert_eq!(short(&result), ["accepted"]);
    assert!(result.note.unwrap().contains("ticket, when"));
    assert_eq!(short(&read_results(&["a"], &json!("ok"))), ["accepted"]);
}

#[test]
fn every_key_has_a_result_whatever_the_response_is() {
    for data in [
        json!(null),
        json!([]),
        json!({"jobs": 5}),
        json!({"jobs": [null, 3, {"filename": 7}]}),
        json!({"rejected": ["z", {}]}),
    ] {
        assert_eq!(read_results(&["a", "b", "c"], &data).per_key.len(), 3, "{data}");
    }
}

// What FlexOrch did, and how it may say so.

/// A key, what FlexOrch did with it, and how many of its last path segments it is reported with.
#[derive(Debug, Clone)]
struct Reported {
    key: String,
    rejected: bool,
    segments: usize,
}

/// How the response names the accepted keys.
#[derive(Debug, Clone, Copy)]
enum Jobs {
    Named,
    Counted,
    CountedWithEmptyList,
    Ids,
    Absent,
}

fn reported(labels: impl Strategy<Value = usize>) -> impl Strategy<Value = Vec<Reported>> {
    // Few folders and names, so that endings are shared.
    let key = proptest::sample::select(
        ["", "x/", "y/", "x/x/", "x/y/", "y/x/", "y/y/"]
            .iter()
            .flat_map(|folder| ["a.pdf", "b.pdf"].map(|name| format!("{folder}{name}")))
            .collect::<Vec<_>>(),
    );
    let entry = (key, any::<bool>(), labels).prop_map(|(key, rejected, segments)| Reported { key, rejected, segments });
    proptest::collection::vec(entry, 1..8).prop_map(|mut entries| {
        let mut seen = HashSet::new();
        entries.retain(|entry| seen.insert(entry.key.clone()));
        entries
    })
}

fn jobs() -> impl Strategy<Value = Jobs> {
    proptest::sample::select(vec![Jobs::Named, Jobs::Counted, Jobs::CountedWithEmptyList, Jobs::Ids, Jobs::Absent])
}

/// The response, its entries in the order of `shuffled`.
fn response(entries: &[Reported], shuffled: &[Reported], jobs: Jobs) -> Value {
    let name = |entry: &Reported| {
        let segments: Vec<_> = entry.key.split('/').collect();
        segments[segments.len() - entry.segments.clamp(1, segments.len())..].join("/")
    };
    let accepted: Vec<_> = shuffled.iter().filter(|entry| !entry.rejected).collect();
    let rejected: Vec<_> = shuffled.iter().filter(|entry| entry.rejected).map(|entry| refused(&name(entry))).collect();
    let ids = || entries.iter().filter(|entry| !entry.rejected).map(|entry| format!("job of {}", entry.key));
    let mut data = json!({ "rejected": rejected });
    match jobs {
        Jobs::Named => {
            data["jobs"] =
                accepted.iter().map(|entry| accepted_as(&name(entry), &format!("job of {}", entry.key))).collect();
        }
        Jobs::Counted => data["accepted"] = accepted.len().into(),
        Jobs::CountedWithEmptyList => {
            data["accepted"] = accepted.len().into();
            data["jobs"] = json!([]);
        }
        Jobs::Ids => data["job_ids"] = ids().collect(),
        Jobs::Absent => {}
    }
    data
}

fn read(entries: &[Reported], data: &Value) -> Vec<KeyResult> {
    read_results(&entries.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), data).per_key
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn however_flexorch_names_the_keys_no_accepted_one_is_rejected_and_no_rejected_one_accepted(
        (entries, shuffled) in reported(1..4usize).prop_flat_map(|entries| (Just(entries.clone()), Just(entries).prop_shuffle())),
        jobs in jobs(),
    ) {
        let data = response(&entries, &shuffled, jobs);
        for (entry, result) in entries.iter().zip(read(&entries, &data)) {
            match result {
                KeyResult::Accepted { .. } => prop_assert!(!entry.rejected, "{entry:?} of {data}"),
                KeyResult::Rejected { .. } => prop_assert!(entry.rejected, "{entry:?} of {data}"),
                KeyResult::NotNow { .. } => prop_assert!(false, "{entry:?} of {data}"),
                // Ambiguous keys are submitted again, alone, and then have a result.
                KeyResult::Ambiguous | KeyResult::Unaccounted => {
                    let alone = std::slice::from_ref(entry);
                    let data = response(alone, alone, Jobs::Named);
                    match &read(alone, &data)[0] {
                        KeyResult::Accepted { .. } => prop_assert!(!entry.rejected, "{entry:?} alone"),
                        KeyResult::Rejected { .. } => prop_assert!(entry.rejected, "{entry:?} alone"),
                        other => prop_assert!(false, "{entry:?} alone: {other:?}"),
                    }
                }
            }
        }
    }

    #[test]
    fn whole_keys_leave_nothing_open_and_give_each_key_its_own_job(
        (entries, shuffled) in reported(Just(9)).prop_flat_map(|entries| (Just(entries.clone()), Just(entries).prop_shuffle())),
    ) {
        let data = response(&entries, &shuffled, Jobs::Named);
        for (entry, result) in entries.iter().zip(read(&entries, &data)) {
            match result {
                KeyResult::Accepted { job_id, .. } => {
                    prop_assert!(!entry.rejected);
                    prop_assert_eq!(job_id, Some(JobId::from(format!("job of {}", entry.key))));
                }
                KeyResult::Rejected { .. } => prop_assert!(entry.rejected),
                other => prop_assert!(false, "{entry:?}: {other:?} of {data}"),
            }
        }
    }
}
