//! `flexorch-s3 connector rotate`.

use std::process::Command;
use std::time::Duration;

use flexorch_sandbox::SandboxOptions;
use flexorch_sandbox::aws_fault::AwsFault;
use flexorch_sandbox::iam::SECRET_PREFIX;
use flexorch_sandbox::stub::Stub;
use serde_json::json;

use crate::support::operator::{Operator, SECRET};
use crate::support::run::{Run, Running};
use crate::support::surroundings::{API_KEY, REGION};

const USER: &str = "docs-connector";
/// The journal that a rotation of the secret has by default.
const JOURNAL: &str = "flexorch-rotate-flexorch-invoices-AbCdEf.jsonl";

/// An operator whose connector 42 reads its bucket with the only access key of an IAM user.
struct Site {
    operator: Operator,
    old_key: String,
    /// The secret before the rotation.
    before: String,
}

impl Site {
    /// A site whose secret does not contain the access key, as the guide leaves it.
    async fn start() -> Self {
        Self::with("").await
    }

    /// A site whose secret contains the access key.
    async fn with_credentials() -> Self {
        Self::with(r#","aws_access_key_id":"KEY_ID", "aws_secret_access_key":"KEY_SECRET""#).await
    }

    async fn with(credentials: &str) -> Self {
        let options = SandboxOptions { requests_per_minute: None, ..SandboxOptions::default() };
        let operator = Operator::with(options).await;
        let (old_key, secret) = operator.iam.add_key(USER);
        operator.flexorch.check_access_keys(operator.iam.access_keys());
        let credentials = credentials.replace("KEY_ID", &old_key).replace("KEY_SECRET", &secret);
        let text = format!(
            r#"{{"note":{{"a" : 1.50}},"api_key":"{API_KEY}","bucket":"my-documents","region":"{REGION}","prefix":"invoices/"{credentials}}}"#
        );
        operator.secrets.put(SECRET, text);
        let create = operator.command(&["connector", "create", "--secret", SECRET, "--fields-from", "-"]);
        let fields = json!({"aws_access_key_id": old_key, "aws_secret_access_key": secret});
        Run::fed(create, &fields.to_string()).await.says(0, &["connector 42"]);
        let before = operator.secrets.versions(SECRET).pop().unwrap();
        Self { operator, old_key, before }
    }

    fn command(&self, options: &[&str]) -> Command {
        self.operator.command(&[&["connector", "rotate", "--secret", SECRET], options].concat())
    }

    /// Runs a rotation that does not ask and does not wait for functions, and watches it.
    async fn rotate(&self, options: &[&str]) -> Run {
        let known = ["--user", USER, "--old-access-key-id", &self.old_key, "--drain", "0s", "--yes"];
        self.watched(Run::of(self.command(&[&known, options].concat()))).await
    }

    /// Fails if the secret names a connector that does not work while something happens.
    async fn watched<T>(&self, happens: impl Future<Output = T>) -> T {
        tokio::select! {
            result = happens => result,
            () = async {
                loop {
                    let text = self.secret();
                    // The secret may be written, and the old connector deleted, between the two.
                    assert!(self.works() || text != self.secret(), "the secret names a connector that does not work: {text}");
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            } => unreachable!(),
        }
    }

    fn secret(&self) -> String {
        self.operator.secrets.versions(SECRET).pop().unwrap()
    }

    fn works(&self) -> bool {
        let id = self.operator.secret()["connector_id"].to_string();
        self.operator.flexorch.has_working_connector(API_KEY, &id)
    }

    fn keys(&self) -> Vec<String> {
        self.operator.iam.keys(USER)
    }

    async fn connectors(&self) -> Vec<String> {
        let listed = self.operator.run(&["connector", "list", "--secret", SECRET, "--json"]).await.json();
        listed["connectors"].as_array().unwrap().iter().map(|connector| connector["id"].to_string()).collect()
    }

    fn has_journal(&self) -> bool {
        self.operator.folder.path().join(JOURNAL).exists()
    }

    /// One connector and one access key are left, the secret names them, and the rotation has left no journal.
    #[track_caller]
    fn assert_rotated(&self, connectors: &[String]) {
        assert_eq!(connectors, [self.operator.secret()["connector_id"].to_string()]);
        assert_ne!(connectors, ["42"]);
        assert!(self.works());
        let keys = self.keys();
        assert!(keys.len() == 1 && keys[0] != self.old_key, "{keys:?}");
        assert!(!self.has_journal());
    }

    /// Nothing is left of a rotation.
    #[track_caller]
    fn assert_unchanged(&self, connectors: &[String]) {
        assert_eq!((self.secret(), self.keys()), (self.before.clone(), vec![self.old_key.clone()]));
        assert_eq!(connectors, ["42"]);
        assert!(!self.has_journal());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rotate_replaces_connector_and_key_and_changes_nothing_else_in_the_secret() {
    let site = Site::start().await;
    let run = site.rotate(&[]).await;
    run.says(
        0,
        &[
            "created",
            "FlexOrch can read the bucket",
            "connector_id written",
            "connector 42 deleted",
            "key …0001 deleted",
        ],
    );
    assert_eq!(site.secret(), site.before.replace(r#""connector_id":42"#, r#""connector_id":43"#));
    site.assert_rotated(&site.connectors().await);
    let shown = site.operator.run(&["connector", "show", "--secret", SECRET]).await;
    shown.says(0, &["my-documents/invoices/ (key ...0002)", "s3://my-documents/invoices/ in eu-west-1"]);
    site.operator.run(&["connector", "create", "--secret", SECRET]).await.says(0, &["connector 43", "is complete"]);
    // Once more.
    let key = site.keys().remove(0);
    let options = ["--user", USER, "--old-access-key-id", &key, "--drain", "0s", "--yes", "--json"];
    let run = site.watched(Run::of(site.command(&options))).await;
    let json = run.says(0, &[]).json();
    assert_eq!(json["state"], "finished");
    assert_eq!(json["new"], json!({"connector_id": 44, "access_key": "…0003"}));
    let old = json!({"connector_id": 43, "connector_deleted": true, "access_key": "…0002", "access_key_deleted": true});
    assert_eq!(json["old"], old);
    site.assert_rotated(&site.connectors().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_in_the_secret_name_the_old_key_and_are_replaced() {
    let site = Site::with_credentials().await;
    let run = site.watched(Run::of(site.command(&["--user", USER, "--drain", "0s", "--yes"]))).await;
    run.says(0, &["connector_id, aws_access_key_id, aws_secret_access_key written", "access key …0001 deleted"]);
    site.assert_rotated(&site.connectors().await);
    let secret = site.operator.secret();
    assert_eq!(secret["aws_access_key_id"], site.keys()[0]);
    assert_eq!(secret["aws_secret_access_key"], format!("{SECRET_PREFIX}{:021}", 2));
}

/// Where a process dies, or loses a response.
#[derive(Debug, Clone, Copy)]
enum Call {
    Iam(&'static str),
    PutSecretValue,
    /// A FlexOrch call, as a fault's filter.
    FlexOrch(&'static str),
}

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Accident {
    /// The process dies, and the call has no effect.
    DiesBefore,
    /// The process dies after the effect of the call.
    DiesAfter,
    /// The response is lost after the effect of the call.
    LosesResponse,
}

impl Call {
    fn prepare(self, site: &Site, accident: Accident) {
        let Site { operator, .. } = site;
        let fault = Some(match accident {
            Accident::DiesBefore => AwsFault::Hang,
            Accident::DiesAfter => AwsFault::HangAfterEffect,
            Accident::LosesResponse => AwsFault::BrokenOff,
        });
        match self {
            Self::Iam(operation) => operator.iam.set_operation_fault(operation, fault),
            Self::PutSecretValue => operator.secrets.set_operation_fault("PutSecretValue", fault),
            Self::FlexOrch(filter) => {
                let effect = match accident {
                    Accident::DiesBefore => "hang",
                    Accident::DiesAfter => "hang,processed",
                    Accident::LosesResponse => "reset,processed",
                };
                operator.flexorch.faults().add(format!("{effect},{filter}").parse().unwrap());
            }
        }
    }

    fn has_come(self, site: &Site) -> bool {
        let Site { operator, .. } = site;
        match self {
            Self::Iam(operation) => operator.iam.calls().iter().any(|call| call.operation == operation),
            // `connector create` has written it once.
            Self::PutSecretValue => {
                operator.secrets.calls().iter().filter(|call| call.operation == "PutSecretValue").count() == 2
            }
            Self::FlexOrch(_) => operator.flexorch.faults().list().iter().any(|fault| fault.applied > 0),
        }
    }

    /// Whether the call has had its effect.
    fn has_happened(self, site: &Site) -> bool {
        match self {
            Self::Iam("CreateAccessKey") => site.keys().len() == 2,
            Self::Iam("DeleteAccessKey") => site.keys().len() == 1,
            Self::PutSecretValue => site.secret() != site.before,
            Self::FlexOrch(filter) if filter.contains("DELETE") => {
                !site.operator.flexorch.has_working_connector(API_KEY, "42")
            }
            Self::FlexOrch("method=POST,path=/v1/connectors") => {
                site.operator.flexorch.has_working_connector(API_KEY, "43")
            }
            _ => true,
        }
    }

    fn end(self, site: &Site) {
        match self {
            Self::Iam(operation) => site.operator.iam.set_operation_fault(operation, None),
            Self::PutSecretValue => site.operator.secrets.set_operation_fault("PutSecretValue", None),
            Self::FlexOrch(_) => site.operator.flexorch.faults().clear(),
        }
    }
}

const CALLS: [Call; 6] = [
    Call::Iam("CreateAccessKey"),
    Call::FlexOrch("method=POST,path=/v1/connectors"),
    Call::FlexOrch("method=POST,path=*/test"),
    Call::PutSecretValue,
    Call::FlexOrch("method=DELETE,path=/v1/connectors/42"),
    Call::Iam("DeleteAccessKey"),
];

async fn until(what: &str, happened: impl Fn() -> bool) {
    let waiting = async {
        while !happened() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .unwrap_or_else(|_| panic!("it does not happen: {what}"));
}

/// Rotates with an accident at a call, runs the command again, and checks what is left.
async fn rotate_with(site: &Site, call: Call, accident: Accident) {
    let what = format!("{call:?} {accident:?}");
    call.prepare(site, accident);
    let options = ["--user", USER, "--old-access-key-id", &site.old_key, "--drain", "0s", "--yes"];
    let running = Running::start(site.command(&options));
    site.watched(async {
        if accident != Accident::LosesResponse {
            until(&what, || call.has_come(site)).await;
            if accident == Accident::DiesAfter {
                until(&what, || call.has_happened(site)).await;
            }
            running.signal("-KILL");
        }
        let run = running.finish().await;
        assert!(run.status != Some(0), "{what}: {run}");
        assert!(accident != Accident::LosesResponse || run.err.contains("run the same command again"), "{what}: {run}");
    })
    .await;
    call.end(site);
    // The journal knows user and key.
    let again = site.watched(Run::of(site.command(&["--user", USER, "--drain", "0s", "--yes"]))).await;
    assert_eq!(again.status, Some(0), "{what}: {again}");
    site.assert_rotated(&site.connectors().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_call_it_ends_with_one_working_connector_and_one_key() {
    for call in CALLS {
        for accident in [Accident::DiesBefore, Accident::DiesAfter] {
            rotate_with(&Site::start().await, call, accident).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_call_the_secret_ends_with_the_credentials_of_the_new_key() {
    for call in CALLS {
        let site = Site::with_credentials().await;
        rotate_with(&site, call, Accident::DiesAfter).await;
        let (secret, key) = (site.operator.secret(), site.keys().remove(0));
        assert_eq!(secret["aws_access_key_id"], key, "{call:?}");
        let number = key.trim_start_matches("AKIASANDBOX");
        assert_eq!(secret["aws_secret_access_key"], format!("{SECRET_PREFIX}{number:0>21}"), "{call:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_response_is_cleared_up_by_the_next_run() {
    for call in [CALLS[0], CALLS[1], CALLS[4]] {
        rotate_with(&Site::start().await, call, Accident::LosesResponse).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_new_connector_is_tested_until_its_key_works() {
    let site = Site::start().await;
    site.operator.iam.set_propagation(Duration::from_millis(1_500));
    let run = site.rotate(&[]).await;
    run.says(
        0,
        &["FlexOrch cannot read the bucket yet: InvalidAccessKeyId", "connector 43: FlexOrch can read the bucket"],
    );
    site.assert_rotated(&site.connectors().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn if_the_test_fails_for_good_connector_and_key_are_deleted_again() {
    let site = Site::start().await;
    site.operator.iam.set_propagation(Duration::from_secs(3600));
    let run = site.rotate(&["--test-for", "0s"]).await;
    run.says(1, &["InvalidAccessKeyId", "s3:ListBucket", "new connector 43 deleted again", "key …0002 deleted again"]);
    assert!(run.err.contains("secret \"flexorch/invoices\" is unchanged"), "{run}");
    site.assert_unchanged(&site.connectors().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn if_flexorch_refuses_the_connector_the_key_is_deleted_again() {
    let site = Site::start().await;
    let refused = "status=403,code=PLAN_UPGRADE_REQUIRED,message=no more connectors,method=POST,path=/v1/connectors";
    site.operator.flexorch.faults().add(refused.parse().unwrap());
    site.rotate(&[]).await.says(1, &["no more connectors", "plan does not allow this", "key …0002 deleted again"]);
    site.assert_unchanged(&site.connectors().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_two_keys_is_refused_before_anything_is_created() {
    let site = Site::start().await;
    let (other, _) = site.operator.iam.add_key(USER);
    site.operator.iam.set_active(&other, false);
    let run = site.rotate(&[]).await;
    run.says(
        1,
        &["two access keys already", "nothing was created", "--journal", &format!("{} (created ", site.old_key)],
    );
    run.says(1, &[", inactive)", &format!("delete-access-key --user-name {USER} --access-key-id {other}")]);
    assert_eq!((site.secret(), site.keys().len(), site.has_journal()), (site.before.clone(), 2, false));
    assert_eq!(site.connectors().await, ["42"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_nobody_names_is_never_deleted() {
    let site = Site::start().await;
    let run = site.watched(Run::of(site.command(&["--user", USER, "--drain", "0s", "--yes"]))).await;
    let add = format!("add --old-access-key-id {}", site.old_key);
    let delete = format!("aws iam delete-access-key --user-name {USER} --access-key-id {}", site.old_key);
    run.says(0, &["access key …0001 stays", &add, "…0001 of IAM user docs-connector is left", &delete]);
    assert_eq!(site.keys(), [site.old_key.as_str(), "AKIASANDBOX000000002"]);
    assert_eq!(site.connectors().await, ["43"]);

    let site = Site::start().await;
    let run = site.command(&["--user", USER, "--old-access-key-id", "AKIAOTHER", "--yes"]);
    Run::of(run).await.says(1, &["has no access key AKIAOTHER", &site.old_key, "nothing was created"]);
    site.assert_unchanged(&site.connectors().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_permission_is_named_and_the_rotation_continues_once_it_is_granted() {
    let site = Site::start().await;
    let denied = Some(AwsFault::AccessDenied);
    for operation in ["ListAccessKeys", "CreateAccessKey"] {
        site.operator.iam.set_operation_fault(operation, denied);
        site.rotate(&[]).await.says(1, &[&format!("needs iam:{operation} on user/docs-connector")]);
        site.operator.iam.set_operation_fault(operation, None);
        site.assert_unchanged(&site.connectors().await);
    }
    site.operator.secrets.set_operation_fault("PutSecretValue", denied);
    let run = site.rotate(&[]).await;
    run.says(
        1,
        &[
            "needs secretsmanager:PutSecretValue",
            "not yet written into the secret; connector 42 works as before",
            "run the same command again",
        ],
    );
    site.operator.secrets.set_operation_fault("PutSecretValue", None);
    site.operator.iam.set_operation_fault("DeleteAccessKey", denied);
    let run = site.rotate(&[]).await;
    run.says(1, &["Continuing the rotation of connector 42", "needs iam:DeleteAccessKey", "connector 42 is deleted"]);
    site.operator.iam.set_operation_fault("DeleteAccessKey", None);
    site.rotate(&[]).await.says(0, &["access key …0001 deleted"]);
    site.assert_rotated(&site.connectors().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_while_it_waits_it_says_where_it_stands_and_continues_from_there() {
    let site = Site::start().await;
    for signal in ["-INT", "-TERM"] {
        let options = ["--user", USER, "--old-access-key-id", &site.old_key, "--drain", "1h", "--yes"];
        let mut running = Running::start(site.command(&options));
        running.until_printed("until every running function has read the secret").await;
        running.signal(signal);
        let run = running.finish().await;
        let standing = "connector 42 and access key …0001 still work";
        run.says(
            130,
            &[
                "interrupted: connector 43 was written into the secret at",
                standing,
                "run the same command again",
                JOURNAL,
            ],
        );
    }
    assert!(site.works() && site.operator.flexorch.has_working_connector(API_KEY, "42"));
    let journal = std::fs::read_to_string(site.operator.folder.path().join(JOURNAL)).unwrap();
    assert!(!journal.contains(SECRET_PREFIX) && !journal.contains(API_KEY), "{journal}");
    // Both processes together have created one key and one connector.
    assert_eq!((site.keys().len(), site.connectors().await.len()), (2, 2));
    site.rotate(&[]).await.says(0, &["Continuing", "connector 42 deleted"]);
    site.assert_rotated(&site.connectors().await);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_is_its_owners_alone_and_of_one_rotation_and_process() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::start().await;
    let options = ["--user", USER, "--drain", "1h", "--yes"];
    let mut running = Running::start(site.command(&options));
    running.until_printed("until every running function has read the secret").await;
    let metadata = std::fs::metadata(site.operator.folder.path().join(JOURNAL)).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    Run::of(site.command(&options)).await.says(1, &["another rotation is running", JOURNAL]);
    running.signal("-INT");
    running.finish().await.says(130, &[]);
    let other_user = site.command(&["--user", "somebody", "--yes"]);
    Run::of(other_user).await.says(1, &["belongs to another rotation: IAM user docs-connector and not somebody"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_someone_changed_meanwhile_stops_the_rotation() {
    let site = Site::start().await;
    let mut running = Running::start(site.command(&["--user", USER, "--drain", "1h", "--yes"]));
    running.until_printed("until every running function has read the secret").await;
    running.signal("-INT");
    running.finish().await.says(130, &[]);
    // Someone goes back to the old connector.
    site.operator.secrets.put(SECRET, site.before.clone());
    site.rotate(&[]).await.says(1, &["names connector 42 instead of 43", "set `connector_id` to 43", "to undo it"]);
    assert!(site.operator.flexorch.has_working_connector(API_KEY, "42"));
    assert_eq!(site.keys().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_yes_it_shows_the_plan_and_asks_and_the_wait_follows_from_the_function() {
    let site = Site::start().await;
    site.operator.secrets.tag(SECRET, "aws:cloudformation:stack-name", "docs");
    let function = json!({"FunctionName": "ingest", "Timeout": 17,
                          "Environment": {"Variables": {"SECRET_CACHE_TTL_SECONDS": "43"}}});
    let lambda = Stub::start(move |_, _| (200, "application/json", function.to_string())).await.unwrap();
    let mut command = site.command(&["--function", "ingest", "--old-access-key-id", &site.old_key]);
    command.env("AWS_ENDPOINT_URL_LAMBDA", lambda.url());
    let plan = [
        "create an access key of IAM user docs-connector, who has 1 of 2",
        "create a connector that reads s3://my-documents/invoices/ in eu-west-1",
        "wait 1m until every running function has read it",
        "(SECRET_CACHE_TTL_SECONDS 43s + timeout 17s: function ingest)",
        "delete connector 42",
        "delete access key …0001",
        "Rotate the access key of connector 42? Cannot ask without a terminal: to confirm, add --yes",
    ];
    Run::of(command).await.says(1, &plan);
    Run::of(site.command(&[]))
        .await
        .says(1, &["wait 6m", "SECRET_CACHE_TTL_SECONDS 5m + timeout 1m: defaults; see --function"]);
    site.assert_unchanged(&site.connectors().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_user_or_a_connector_it_says_what_is_missing() {
    let site = Site::start().await;
    Run::of(site.command(&["--yes"])).await.says(1, &["which IAM user", "belongs to no stack", "--user"]);
    let nobody = site.command(&["--user", "nobody", "--yes"]);
    Run::of(nobody).await.says(1, &["iam:ListAccessKeys on user/nobody failed", "user/nobody does not exist here"]);
    site.assert_unchanged(&site.connectors().await);
    site.operator.secrets.put(SECRET, json!({"api_key": API_KEY}).to_string());
    let run = Run::of(site.command(&["--user", USER, "--yes"])).await;
    run.says(1, &["names no connector", "connector create"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_connectors_schedules_are_created_for_the_new_one() {
    let site = Site::start().await;
    let create = ["schedule", "create", "--cron", "0 2 * * *", "--secret", SECRET];
    site.operator.run(&create).await.says(0, &[]);
    site.rotate(&[]).await.says(0, &["schedules of connector 42 created for connector 43: 1"]);
    site.operator.run(&["schedule", "list", "--secret", SECRET]).await.says(0, &["0 2 * * *"]);
}
