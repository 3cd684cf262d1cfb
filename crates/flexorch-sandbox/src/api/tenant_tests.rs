use std::time::Duration;

use serde_json::{json, to_value};

use super::super::super::{
    fault::{Faults, Seen},
    options::SandboxOptions,
};
use super::*;

const NOW: Moment = Moment::from_epoch(Duration::from_secs(1_700_000_000));

struct Bench {
    tenant: Tenant,
    rules: Rules,
    ids: Ids,
}

impl Bench {
    fn new(options: &SandboxOptions) -> Self {
        Self { tenant: Tenant::default(), rules: Rules::from(options), ids: Ids::new() }
    }

    fn submit(&mut self, keys: &[&str]) -> Result<Value, ApiError> {
        self.submit_to("42", keys, &FileFaults::default())
    }

    fn submit_to(&mut self, connector: &str, keys: &[&str], faults: &FileFaults) -> Result<Value, ApiError> {
        let submission =
            Submission { connector: connector.to_owned(), keys: keys.iter().map(|&key| key.to_owned()).collect() };
        self.tenant
            .submit(&submission, &self.rules, faults, &mut self.ids, NOW)
            .map(|submitted| to_value(submitted).unwrap())
    }

    fn create(&mut self) -> String {
        let config = json!({"bucket": "b", "access_key_id": "a", "secret_access_key": "s"});
        let body = json!({"type": "s3", "name": "n", "config": config});
        let new = serde_json::from_value(body).unwrap();
        let connector = self.tenant.create_connector(new, &mut self.ids, NOW);
        connector.unwrap()["id"].to_string()
    }
}

#[test]
fn every_key_is_accounted_for_by_its_whole_name() {
    let mut bench = Bench::new(&SandboxOptions::default());
    let response = bench.submit(&["a/b.pdf", "c.exe", "d.PNG"]).unwrap();
    assert_eq!(
        response,
        json!({
            "accepted": 2,
            "rejected": [{"filename": "c.exe", "error": "UNSUPPORTED_FILE"}],
            "jobs": [
                {"filename": "a/b.pdf", "job_id": "j-1", "status": "queued", "document_id": "doc-1"},
                {"filename": "d.PNG", "job_id": "j-2", "status": "queued", "document_id": "doc-2"},
            ],
        })
    );
}

#[test]
fn a_request_of_which_every_file_is_rejected_is_accepted_with_no_jobs() {
    let mut bench = Bench::new(&SandboxOptions::default());
    let response = bench.submit(&["c.exe"]).unwrap();
    assert_eq!((&response["accepted"], &response["jobs"]), (&json!(0), &json!([])));
}

#[test]
fn a_known_key_gets_its_job_back_and_says_so_in_the_documented_shape_when_it_is_alone() {
    let mut bench = Bench::new(&SandboxOptions::default());
    bench.submit(&["a.pdf"]).unwrap();
    let alone = bench.submit(&["a.pdf"]).unwrap();
    assert_eq!(alone["is_duplicate"], true);
    assert_eq!(alone["existing_job_id"], "j-1");
    assert_eq!(alone["existing_document_id"], "doc-1");
    assert_eq!(alone["jobs"][0]["job_id"], "j-1");
    let among_others = bench.submit(&["b.pdf", "a.pdf"]).unwrap();
    assert_eq!(among_others["is_duplicate"], Value::Null);
    assert_eq!(among_others["jobs"][0]["is_duplicate"], Value::Null);
    assert_eq!(among_others["jobs"][1]["is_duplicate"], true);
    assert_eq!(among_others["jobs"][1]["job_id"], "j-1");
}

#[test]
fn the_same_key_of_another_connector_is_another_document() {
    let mut bench = Bench::new(&SandboxOptions::default());
    bench.submit(&["a.pdf"]).unwrap();
    let other = bench.submit_to("43", &["a.pdf"], &FileFaults::default());
    assert_eq!(other.unwrap()["jobs"][0]["job_id"], "j-2");
}

#[test]
fn credits_are_spent_on_new_documents_alone_and_a_request_that_does_not_fit_is_refused_whole() {
    let mut bench = Bench::new(&SandboxOptions { monthly_credits: Some(2), ..SandboxOptions::default() });
    bench.submit(&["a.pdf", "bad.exe"]).unwrap();
    let error = bench.submit(&["b.pdf", "c.pdf"]).unwrap_err();
    assert_eq!((error.status, error.code.as_str()), (429, "QUOTA_EXCEEDED"));
    assert!(bench.submit(&["b.pdf", "a.pdf"]).is_ok());
    assert!(bench.submit(&["a.pdf"]).is_ok());
    assert!(bench.submit(&["c.pdf"]).is_err());
}

#[test]
fn more_keys_than_one_request_may_hold_are_a_validation_error() {
    let mut bench = Bench::new(&SandboxOptions { max_keys_per_request: 1, ..SandboxOptions::default() });
    assert_eq!(bench.submit(&["a.pdf", "b.pdf"]).unwrap_err().status, 422);
}

#[test]
fn an_unknown_connector_is_taken_where_connectors_are_open_but_a_deleted_one_is_not() {
    let none = FileFaults::default();
    let mut open = Bench::new(&SandboxOptions::default());
    let id = open.create();
    assert_eq!(id, "42");
    assert!(open.submit_to("42", &["a.pdf"], &none).is_ok());
    assert_ne!(open.tenant.connector("42").unwrap().show()["last_used_at"], Value::Null);
    open.tenant.connector("42").unwrap().active = false;
    assert_eq!(open.submit_to("42", &["b.pdf"], &none).unwrap_err().status, 404);
    assert!(open.submit_to("c-7", &["a.pdf"], &none).is_ok());
    assert!(open.tenant.connector("c-7").is_err());

    let mut closed = Bench::new(&SandboxOptions { open_connectors: false, ..SandboxOptions::default() });
    assert_eq!(closed.submit_to("42", &["a.pdf"], &none).unwrap_err().code, "NOT_FOUND");
}

#[test]
fn faults_reject_files_and_make_jobs_fail() {
    let faults = ["reject=*.big.pdf,code=FILE_TOO_LARGE", "fail-job=*.enc.pdf"];
    let faults = Faults::new(0, faults.iter().map(|text| text.parse().unwrap()).collect());
    let keys = ["a.big.pdf", "b.enc.pdf"];
    let verdict = faults.decide(&Seen {
        method: "POST",
        path: "/v1/data-process/async",
        connector: None,
        keys: &keys.map(str::to_owned),
    });
    let mut bench = Bench::new(&SandboxOptions::default());
    let response = bench.submit_to("42", &keys, &verdict.files).unwrap();
    assert_eq!(response["rejected"][0]["error"], "FILE_TOO_LARGE");
    let later = NOW + Duration::from_secs(9);
    assert_eq!(bench.tenant.poll_job("j-1", later).unwrap()["status"], "failed");
}

#[test]
fn jobs_are_listed_newest_first_and_by_the_page() {
    let mut bench = Bench::new(&SandboxOptions::default());
    bench.submit(&["a.pdf", "b.pdf", "c.pdf"]).unwrap();
    let page = bench.tenant.jobs.page(2, 2, NOW);
    assert_eq!(page["total"], 3);
    assert_eq!(page["items"][0]["job_id"], "j-1");
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
}
