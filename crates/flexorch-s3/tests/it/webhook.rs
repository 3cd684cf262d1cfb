//! `flexorch-s3 webhook …`, against a FlexOrch that keeps its webhooks' secrets for the tests to see.

use std::process::Command;
use std::sync::{Arc, Mutex};

use flexorch_sandbox::secrets_manager::SecretsFault;
use flexorch_sandbox::stub::{Stub, StubRequest};
use serde_json::{Value, json};

use crate::support::account::Account;
use crate::support::records::{Archive, CONNECTOR, SIGNING, STACK};
use crate::support::run::{Run, Running};
use crate::support::surroundings::REGION;

/// The outcomes function's URL.
const URL: &str = "https://abc.lambda-url.eu-west-1.on.aws/";

/// FlexOrch's webhooks.
#[derive(Default)]
struct State {
    /// As they are listed.
    webhooks: Vec<Value>,
    /// Their signing secrets.
    secrets: Vec<(String, String)>,
    created: usize,
    /// FlexOrch makes the signing secrets itself.
    makes_secrets: bool,
    /// A creation has its effect, and then a response that does not say so.
    loses_responses: bool,
    /// A URL may be registered once.
    is_unique: bool,
    /// `DELETE` does not find what `GET` lists.
    hides_from_delete: bool,
}

struct FlexOrch {
    state: Arc<Mutex<State>>,
    stub: Stub,
}

impl FlexOrch {
    async fn start() -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        let stub = Stub::routed(move |request| respond(&mut shared.lock().unwrap(), request)).await.unwrap();
        Self { state, stub }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    /// The only webhook with the URL: its id and its signing secret.
    #[track_caller]
    fn only(&self) -> (String, String) {
        let state = self.state.lock().unwrap();
        let ids: Vec<_> = state.webhooks.iter().filter(|webhook| webhook["url"] == URL).map(id_of).collect();
        let [id] = &ids[..] else { panic!("{ids:?}") };
        let secret = state.secrets.iter().find(|(of, _)| of == id).unwrap().1.clone();
        (id.clone(), secret)
    }

    fn ids(&self) -> Vec<String> {
        self.state.lock().unwrap().webhooks.iter().map(id_of).collect()
    }
}

fn id_of(webhook: &Value) -> String {
    webhook["id"].as_str().unwrap().to_owned()
}

fn respond(state: &mut State, request: &StubRequest) -> (u16, &'static str, String) {
    let json = |status: u16, body: Value| (status, "application/json", body.to_string());
    // As sent: an id keeps its unreserved characters.
    let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    match (request.method.as_str(), &parts[..]) {
        ("GET", ["v1", "webhooks"]) => json(200, json!({"data": {"items": state.webhooks}, "error": null})),
        ("POST", ["v1", "webhooks"]) => {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            assert_eq!(body["events"], json!(["job.completed", "job.failed"]));
            if state.is_unique && state.webhooks.iter().any(|webhook| webhook["url"] == body["url"]) {
                return json(409, json!({"error": {"code": "CONFLICT", "message": "the URL is registered already"}}));
            }
            state.created += 1;
            let id = format!("wh_{}", state.created);
            let given = body["secret"].as_str().unwrap().to_owned();
            let secret = if state.makes_secrets { format!("whsec_made_by_flexorch_{id}") } else { given };
            state.secrets.push((id.clone(), secret.clone()));
            let webhook = json!({"id": id, "url": body["url"], "events": body["events"], "active": true});
            state.webhooks.push(webhook.clone());
            if state.loses_responses {
                return json(502, json!({"error": {"code": "BAD_GATEWAY", "message": "lost"}}));
            }
            let mut shown = webhook;
            if state.makes_secrets {
                shown["secret"] = secret.into();
            }
            json(201, json!({"data": shown, "error": null}))
        }
        ("DELETE", ["v1", "webhooks", id]) => {
            let before = state.webhooks.len();
            state.webhooks.retain(|webhook| webhook["id"] != **id || state.hides_from_delete);
            match state.webhooks.len() < before {
                true => (204, "application/json", String::new()),
                false => json(404, json!({"error": {"code": "NOT_FOUND", "message": "no such webhook"}})),
            }
        }
        other => panic!("not known: {other:?}"),
    }
}

/// A stack with a webhook, and FlexOrch.
struct Office {
    archive: Archive,
    flexorch: FlexOrch,
}

impl Office {
    async fn open() -> Self {
        Self { archive: Archive::open().await, flexorch: FlexOrch::start().await }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.archive.command(arguments);
        command.env("FLEXORCH_BASE_URL", format!("{}/v1", self.flexorch.stub.url()));
        command
    }

    /// Runs a command with `--stack`. Its output holds no signing secret.
    async fn run(&self, action: &str, more: &[&str]) -> Run {
        let run = Run::of(self.command(&[&["webhook", action, "--stack", STACK, "-vv"], more].concat())).await;
        let stored = self.archive.secrets.versions(SIGNING);
        let stored = stored
            .iter()
            .filter_map(|text| serde_json::from_str::<Value>(text).ok()?["signing_secret"].as_str().map(str::to_owned));
        let made = self.flexorch.state.lock().unwrap().secrets.clone().into_iter().map(|(_, secret)| secret);
        for secret in stored.chain(made) {
            assert!(!run.shown().contains(&secret), "a signing secret is printed:\n{run}");
        }
        run
    }

    /// There is one webhook with the URL, its signing secret is stored, and its id is known.
    #[track_caller]
    fn has_converged(&self) {
        let (id, secret) = self.flexorch.only();
        assert_eq!(self.archive.signing(), json!({"signing_secret": secret, "webhooks": [id]}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_random_secret_is_stored_before_the_webhook_is_registered_and_a_second_run_changes_nothing() {
    let office = Office::open().await;
    office
        .run("create", &[])
        .await
        .says(0, &["webhook wh_1 registered", "job.completed and job.failed", URL, "a new one, generated at random"]);
    office.has_converged();
    let versions: Vec<Value> =
        office.archive.secrets.versions(SIGNING).iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    assert_eq!(versions[1]["webhooks"], json!([]), "the first version has the secret and no webhook");
    let again = office.run("create", &["--json"]).await;
    assert_eq!(again.json()["created"], json!(false), "{again}");
    assert_eq!(office.archive.secrets.versions(SIGNING).len(), versions.len());
    office.has_converged();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_flexorch_makes_is_the_one_that_is_stored() {
    let office = Office::open().await;
    office.flexorch.change(|state| state.makes_secrets = true);
    let run = office.run("create", &["--json"]).await;
    assert_eq!(run.json()["signing_secret"]["origin"], json!("flexorch"), "{run}");
    office.has_converged();
    assert_eq!(office.archive.signing()["signing_secret"], json!("whsec_made_by_flexorch_wh_1"));
    office.run("create", &[]).await.says(0, &["is registered already"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_stored_already_is_used() {
    let office = Office::open().await;
    office.archive.secrets.put(SIGNING, r#"{"signing_secret":"chosen-by-hand-0123","note":"mine"}"#);
    office.run("create", &[]).await.says(0, &["as before"]);
    assert_eq!(office.flexorch.only().1, "chosen-by-hand-0123");
    let stored = office.archive.secrets.versions(SIGNING);
    assert_eq!(stored.last().unwrap(), r#"{"signing_secret":"chosen-by-hand-0123","note":"mine","webhooks":["wh_1"]}"#);
    office
        .run("create", &["--new-signing-secret", "--yes"])
        .await
        .says(0, &["webhook wh_2 registered", "deleted: wh_1"]);
    assert_ne!(office.flexorch.only().1, "chosen-by-hand-0123");
    assert_eq!(office.archive.signing()["signing_secret"], json!(office.flexorch.only().1));
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_it_ends_the_next_run_converges() {
    for makes_secrets in [false, true] {
        let office = Office::open().await;
        office.flexorch.change(|state| state.makes_secrets = makes_secrets);
        // The secret cannot be stored: nothing is registered.
        office.archive.secrets.set_operation_fault("PutSecretValue", Some(SecretsFault::AccessDenied));
        office.run("create", &[]).await.says(1, &["secretsmanager:PutSecretValue"]);
        assert_eq!(office.flexorch.ids(), [""; 0]);
        office.archive.secrets.set_operation_fault("PutSecretValue", None);
        // It is registered, and the response is lost, as if the process had been killed.
        office.flexorch.change(|state| state.loses_responses = true);
        office.run("create", &[]).await.says(1, &["it is not known whether the webhook was registered"]);
        assert_eq!(office.flexorch.ids(), ["wh_1"]);
        office.flexorch.change(|state| state.loses_responses = false);
        // Nothing shows that its secret is the stored one, so it is replaced, and not without a question.
        office.run("create", &[]).await.says(1, &["Replace webhook wh_1 ", "is not known to be its own.", "--yes"]);
        assert_eq!(office.flexorch.ids(), ["wh_1"]);
        office.run("create", &["--yes"]).await.says(0, &["webhook wh_2 registered", "deleted: wh_1"]);
        office.has_converged();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_whose_secret_cannot_be_stored_does_not_stay_registered() {
    let office = Office::open().await;
    office.archive.secrets.put(SIGNING, r#"{"signing_secret":"chosen-by-hand-0123"}"#);
    office.flexorch.change(|state| state.makes_secrets = true);
    office.archive.secrets.set_operation_fault("PutSecretValue", Some(SecretsFault::AccessDenied));
    office.run("create", &[]).await.says(1, &["could not be stored; the webhook was deleted again"]);
    assert_eq!(office.flexorch.ids(), [""; 0]);
    office.archive.secrets.set_operation_fault("PutSecretValue", None);
    office.run("create", &[]).await.ok();
    office.has_converged();
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_left_alone_and_one_that_flexorch_allows_once_is_replaced() {
    let office = Office::open().await;
    office.flexorch.change(|state| {
        state.is_unique = true;
        state.webhooks.push(json!({"id": "theirs", "url": "https://example.com/", "events": ["job.failed"]}));
        state
            .webhooks
            .push(json!({"id": "old", "url": URL.trim_end_matches('/'), "events": ["job.completed", "job.failed"]}));
        state.webhooks.push(json!({"id": "older", "url": URL, "events": ["job.completed"]}));
    });
    office.run("create", &["--yes"]).await.says(0, &["registered", "deleted: old, older"]);
    assert_eq!(office.flexorch.ids(), ["theirs", "wh_1"]);
    office.has_converged();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_exports_datasets_is_not_deleted_for_another() {
    let office = Office::open().await;
    let export = json!({"connector_id": 42, "format": "xlsx"});
    office.flexorch.change(|state| {
        state.webhooks.push(
            json!({"id": "exporting", "url": URL, "events": ["job.completed", "job.failed"], "auto_export": export}),
        );
    });
    let delete = "run `flexorch-s3 webhook delete exporting --stack ingest`; nothing was changed";
    office.run("create", &["--yes"]).await.says(1, &["webhook exporting", "auto_export", delete]);
    assert_eq!(office.flexorch.ids(), ["exporting"]);
    assert_eq!(office.archive.signing(), json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn list_shows_the_stacks_and_delete_removes_it_or_the_named_one() {
    let office = Office::open().await;
    office.run("list", &[]).await.says(0, &["no webhooks", "run `flexorch-s3 webhook create --stack ingest`"]);
    office.flexorch.change(|state| {
        state.webhooks.push(json!({"id": "theirs", "url": "https://example.com/\u{1b}", "events": ["job.failed"]}));
    });
    office.run("create", &[]).await.ok();
    office.run("list", &[]).await.says(0, &["theirs", "https://example.com/\\u{1b}", "wh_1", URL, "the stack's\n"]);
    let listed = office.run("list", &["--json"]).await.json();
    let own = |id: &str| {
        let webhooks = listed["webhooks"].as_array().unwrap();
        let webhook = webhooks.iter().find(|webhook| webhook["id"] == id).unwrap();
        (webhook["own"].clone(), webhook["signing_secret_stored"].clone())
    };
    assert_eq!((own("wh_1"), own("theirs")), ((json!(true), json!(true)), (json!(false), json!(false))));
    office.run("delete", &[]).await.says(1, &["Delete webhook wh_1", "--yes"]);
    office
        .run("delete", &["--yes"])
        .await
        .says(0, &["webhook wh_1 deleted", "run `flexorch-s3 webhook create --stack ingest`", "sweep"]);
    assert_eq!(
        (office.flexorch.ids(), office.archive.signing()["webhooks"].clone()),
        (vec!["theirs".to_owned()], json!([]))
    );
    office.run("delete", &["--yes"]).await.says(0, &["nothing to delete"]);
    office.run("delete", &["wh_9", "--yes"]).await.says(1, &["no webhook wh_9"]);
    office.run("delete", &["theirs", "--yes"]).await.ok();
    assert_eq!(office.flexorch.ids(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_still_listed_is_not_reported_as_deleted() {
    let office = Office::open().await;
    office.run("create", &[]).await.ok();
    office.flexorch.change(|state| state.hides_from_delete = true);
    let run = office.run("delete", &["--yes"]).await;
    run.says(1, &["DELETE /webhooks/wh_1: 404 NOT_FOUND: no such webhook; but GET /webhooks still lists it"]);
    assert!(!run.out.contains("deleted"), "{run}");
    assert_eq!(office.archive.signing()["webhooks"], json!(["wh_1"]));
}

/// Runs `webhook list` with a FlexOrch that responds to everything with this.
async fn list_with(status: u16, media_type: &'static str, body: &'static str) -> Run {
    let archive = Archive::open().await;
    let flexorch = Stub::start(move |_, _| (status, media_type, body.to_owned())).await.unwrap();
    let mut command = archive.command(&["webhook", "list", "--stack", STACK]);
    command.env("FLEXORCH_BASE_URL", format!("{}/v1", flexorch.url()));
    Run::of(command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_list_is_read_and_a_page_of_a_proxy_is_reported_with_its_own_status() {
    let one = r#"[{"id": "wh_7", "url": "https://x.example/", "events": ["job.failed"]}]"#;
    list_with(200, "application/json", one).await.says(0, &["wh_7", "https://x.example/"]);
    let run = list_with(200, "text/html", "<html>maintenance</html>").await;
    run.says(1, &["the response, with status 200, is not JSON"]);
    assert!(!run.err.contains("503"), "{run}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_question_gives_the_reason_that_is_true() {
    let office = Office::open().await;
    office.run("create", &[]).await.ok();
    let new = office.run("create", &["--new-signing-secret"]).await;
    new.says(1, &["Replace webhook wh_1 ", "A new signing secret is generated."]);
    office.flexorch.change(|state| state.webhooks[0]["active"] = false.into());
    office
        .run("create", &[])
        .await
        .says(1, &["Replace webhook wh_1 ", "It is disabled, or does not report job.completed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signing_secret_that_cannot_be_read_has_a_way_out() {
    let office = Office::open().await;
    for text in ["junk", r#"{"signing_secret": 12345678}"#] {
        office.archive.secrets.put(SIGNING, text);
        let run = office.run("create", &[]).await;
        run.says(1, &["or empty it with `aws secretsmanager put-secret-value --secret-id", "generates one"]);
    }
    assert_eq!(office.flexorch.ids(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_without_a_webhook_leads_to_those_that_were_left_behind() {
    let office = Office::open().await;
    for action in ["list", "delete"] {
        let command = office.command(&["webhook", action, "--stack", "without-tracking", "--secret", CONNECTOR]);
        Run::of(command).await.says(1, &["`flexorch-s3 webhook list --secret flexorch/invoices`"]);
    }
    let command = office.command(&["webhook", "create", "--stack", "nothing", "--secret", CONNECTOR]);
    Run::of(command).await.says(1, &["stack nothing does not exist here"]);
    let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:gone-AbCdEf";
    let run = Run::of(office.command(&["webhook", "list", "--secret", arn])).await;
    run.says(1, &["check the ARN and its account (--profile)"]);
    assert!(!run.err.contains("pass the whole ARN"), "{run}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interruption_has_its_exit_status_in_every_command() {
    let archive = Archive::open().await;
    // It accepts a connection, and never responds.
    let flexorch = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut command = archive.command(&["webhook", "list", "--stack", STACK]);
    command.env("FLEXORCH_BASE_URL", format!("http://{}/v1", flexorch.local_addr().unwrap()));
    let running = Running::start(command);
    let _connection = flexorch.accept().await.unwrap();
    running.signal("-INT");
    let run = running.finish().await;
    run.says(130, &["interrupted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_or_a_url_takes_the_place_of_a_stack() {
    let office = Office::open().await;
    let account = Account::start().await;
    let arn = office.archive.secrets.arn(SIGNING, REGION);
    account.create_function(
        "outcomes",
        &[("RECORDS_TABLE", "records"), ("WEBHOOK_SECRET_ID", &arn), ("CONNECTOR_SECRET_IDS", CONNECTOR)],
    );
    account.set_url("outcomes", URL);
    let mut command = office.command(&["webhook", "create", "--function", "outcomes"]);
    command.env("AWS_ENDPOINT_URL_LAMBDA", account.url());
    Run::of(command).await.says(0, &["webhook wh_1 registered"]);
    office.has_converged();
    let url = ["webhook", "create", "--url", URL, "--secret", CONNECTOR];
    Run::of(office.command(&url)).await.says(2, &["--url needs --signing-secret", "nothing was registered"]);
    let whole = [&url[..], &["--signing-secret", SIGNING]].concat();
    Run::of(office.command(&whole)).await.says(0, &["is registered already"]);
    let missing = [&url[..], &["--signing-secret", "nothing"]].concat();
    Run::of(office.command(&missing)).await.says(1, &["aws secretsmanager create-secret --name nothing"]);
    let without = ["webhook", "create", "--secret", CONNECTOR];
    Run::of(office.command(&without)).await.says(2, &["specify the webhook's URL"]);
    let plain = ["webhook", "create", "--url", "http://example.com/", "--secret", CONNECTOR];
    Run::of(office.command(&plain)).await.says(2, &["expected an https URL"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandboxs_flexorch_has_the_webhook_then() {
    let archive = Archive::open().await;
    archive.run(&["webhook", "create", "--stack", STACK]).await.says(0, &["registered", URL]);
    let stored = archive.signing();
    assert!(stored["signing_secret"].as_str().is_some_and(|secret| secret.len() >= 32), "{}", stored["webhooks"]);
    archive.run(&["webhook", "create", "--stack", STACK]).await.says(0, &["is registered already"]);
    archive.run(&["webhook", "list", "--stack", STACK]).await.says(0, &[URL, "the stack's"]);
    archive.run(&["webhook", "delete", "--stack", STACK, "--yes"]).await.says(0, &["deleted"]);
    archive.run(&["webhook", "list", "--stack", STACK]).await.says(0, &["no webhooks"]);
    assert_eq!(archive.signing()["signing_secret"], stored["signing_secret"]);
}
