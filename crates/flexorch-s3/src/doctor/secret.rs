//! The connector's secret: can it be read, and does it describe a connector?

use super::super::arn::account_of;
use super::super::aws_failure::FailureKind;
use super::super::connector_secret::{ReadError, SecretDocument, SecretStore};
use super::check::{Check, Next, skipped};
use super::commands::{Commands, quoted};
use super::name;

/// Credentials that only the connector's making needs.
const LEFTOVERS: [&str; 2] = ["aws_access_key_id", "aws_secret_access_key"];

/// Reads the secret.
pub(super) async fn look(store: &SecretStore, id: &str, commands: &Commands) -> (Vec<Check>, Option<SecretDocument>) {
    match store.read(id).await {
        Ok(secret) => {
            let account = account_of(&secret.arn).map(|account| format!(", account {account}")).unwrap_or_default();
            let mut checks = vec![Check::well(name::SECRET, format!("{id} can be read{account}"))];
            checks.push(fields(&secret, commands));
            (checks, Some(secret))
        }
        Err(ReadError::Aws(failure)) if failure.kind != FailureKind::NotFound => {
            let mut checks = vec![Check::could_not_look(name::SECRET, &failure, commands)];
            checks.extend(skipped(&[name::FIELDS], "the secret cannot be read"));
            (checks, None)
        }
        Err(error @ (ReadError::Absent { .. } | ReadError::Aws(_))) => {
            let found = match &error {
                ReadError::Absent { id, region } => format!("there is no secret {id:?} in {region}"),
                other => other.to_string(),
            };
            let next = Next::new(
                "name another region with --region or give the whole ARN; these are the secrets of this one",
                commands.aws("secretsmanager list-secrets --query 'SecretList[].Name'"),
            );
            let mut checks = vec![Check::failed(name::SECRET, found, next)];
            checks.extend(skipped(&[name::FIELDS], "there is no secret"));
            (checks, None)
        }
        Err(error @ (ReadError::Binary(_) | ReadError::NotAnObject { .. })) => {
            let found = match &error {
                ReadError::NotAnObject { line, column, .. } => {
                    format!("it holds no JSON object (line {line}, column {column})")
                }
                _ => "it holds bytes, not text".to_owned(),
            };
            let empty = commands
                .aws(format_args!("secretsmanager put-secret-value --secret-id {} --secret-string '{{}}'", quoted(id)));
            let fill = commands.own(format_args!("connector create --secret {}", quoted(id)));
            let next =
                Next::new("begin anew; what it holds stays as the version AWSPREVIOUS", format!("{empty} && {fill}"));
            (
                vec![Check::well(name::SECRET, format!("{id} can be read")), Check::failed(name::FIELDS, found, next)],
                None,
            )
        }
    }
}

/// What it holds, by name.
fn fields(secret: &SecretDocument, commands: &Commands) -> Check {
    let create = commands.own(format_args!("connector create --secret {}", quoted(&secret.id)));
    let has = |field: &str| secret.text(field).is_ok_and(|text| text.is_some());
    if secret.is_empty() {
        return Check::failed(
            name::FIELDS,
            "it is still empty",
            Next::new("make the connector; what is missing is asked for and written there", create),
        );
    }
    let mut missing = Vec::new();
    if matches!(secret.text("api_key"), Ok(None)) {
        missing.push("`api_key`");
    }
    if matches!(secret.connector_id(), Ok(None)) {
        missing.push("`connector_id`");
    }
    if !missing.is_empty() {
        let found = format!("it lacks {}", missing.join(" and "));
        return Check::failed(name::FIELDS, found, Next::new("what is missing is asked for and written there", create));
    }
    if let Err(error) = secret.as_connector() {
        let read = commands.aws(format_args!(
            "secretsmanager get-secret-value --secret-id {} --query SecretString --output text",
            quoted(&secret.id)
        ));
        let next = Next::new(
            "correct the field; these are the fields' types, without their values",
            format!("{read} | jq -c 'map_values(type)'"),
        );
        return Check::failed(name::FIELDS, error.to_string(), next);
    }
    let leftovers: Vec<_> = LEFTOVERS.into_iter().filter(|field| has(field)).collect();
    if !leftovers.is_empty() {
        let filter: Vec<_> = leftovers.iter().map(|field| format!(".{field}")).collect();
        return Check::warning(
            name::FIELDS,
            format!(
                "complete, with {} beside it, which nothing needs once the connector is made",
                leftovers.join(" and ")
            ),
            Next::new(
                "take them out, so that the function cannot read them",
                commands.change_secret(&secret.id, &format!("del({})", filter.join(", "))),
            ),
        );
    }
    if !has("bucket") {
        return Check::warning(
            name::FIELDS,
            "it names no bucket: objects of any bucket go to this connector",
            Next::new("write the connector's bucket into it", create),
        );
    }
    Check::well(name::FIELDS, "complete: API key, connector and what it reads")
}
