//! Checks the connector's secret: can it be read, and does it describe a connector?

use super::aws::Aws;
use super::check::{Check, Fix, without};
use super::commands::{Commands, quoted};
use super::name;
use crate::aws_failure::{AwsFailure, FailureKind};
use crate::connector_secret::{ReadError, SecretDocument, SecretStore};
use flexorch_s3_ingester::model::arn::account_of;

/// Credentials that only the creation of the connector needs.
const LEFTOVERS: [&str; 2] = ["aws_access_key_id", "aws_secret_access_key"];

/// The secret, or why there is none.
#[derive(Debug)]
pub(crate) enum SecretState {
    /// Its fields, which may be incomplete.
    Read(SecretDocument),
    /// It does not exist.
    Absent,
    /// It is not a JSON object.
    Malformed,
    /// It could not be read, so nothing is known about it.
    Unread(AwsFailure),
}

impl SecretState {
    /// Returns its fields, if they could be read.
    pub(crate) fn document(&self) -> Option<&SecretDocument> {
        match self {
            Self::Read(document) => Some(document),
            _ => None,
        }
    }
}

pub(crate) async fn check(
    aws: &Aws<'_>,
    store: &SecretStore,
    id: &str,
    commands: &Commands,
) -> (Vec<Check>, SecretState) {
    let after = [name::FIELDS, name::PAUSE];
    let read = aws.within_time("secretsmanager:GetSecretValue", id, store.read(id)).await;
    match read.unwrap_or_else(|failure| Err(failure.into())) {
        Ok(secret) => {
            let account = account_of(&secret.arn).map(|account| format!(", account {account}")).unwrap_or_default();
            let first = Check::well(name::SECRET, format!("{id} can be read{account}"));
            (vec![first, fields(&secret, commands), pause(&secret, commands)], SecretState::Read(secret))
        }
        Err(ReadError::Aws(failure)) if failure.kind != FailureKind::NotFound => {
            let check = Check::could_not_check(name::SECRET, &failure, commands);
            (check.then_skip(&after, &without(&failure)), SecretState::Unread(failure))
        }
        Err(error @ (ReadError::Absent { .. } | ReadError::Aws(_))) => {
            let found = match &error {
                ReadError::Absent { id, region } => format!("there is no secret {id:?} in {region}"),
                other => other.to_string(),
            };
            let next = Fix::new(
                "select another region with --region or pass the whole ARN; to list the secrets of this region",
                commands.aws("secretsmanager list-secrets --query 'SecretList[].Name'"),
            );
            let checks = Check::failed(name::SECRET, found, next).then_skip(&after, "there is no secret");
            (checks, SecretState::Absent)
        }
        Err(error @ (ReadError::Binary(_) | ReadError::NotAnObject { .. })) => {
            let found = match &error {
                ReadError::NotAnObject { line, column, .. } => {
                    format!("not a JSON object (line {line}, column {column})")
                }
                _ => "binary, not text".to_owned(),
            };
            let empty = commands
                .aws(format_args!("secretsmanager put-secret-value --secret-id {} --secret-string '{{}}'", quoted(id)));
            let fill = commands.own(format_args!("connector create --secret {}", quoted(id)));
            let next =
                Fix::new("replace it; its value stays available as version AWSPREVIOUS", format!("{empty} && {fill}"));
            let checks = vec![
                Check::well(name::SECRET, format!("{id} can be read")),
                Check::failed(name::FIELDS, found, next),
                Check::skipped(name::PAUSE, "the secret is not a JSON object"),
            ];
            (checks, SecretState::Malformed)
        }
    }
}

/// Checks whether the connector is paused, as the function decides it.
fn pause(secret: &SecretDocument, commands: &Commands) -> Check {
    let connector = match secret.as_connector() {
        Ok(connector) => connector,
        Err(_) => return Check::skipped(name::PAUSE, "the secret does not describe a connector"),
    };
    match connector.paused {
        None => Check::well(name::PAUSE, "the connector is not paused"),
        Some(reason) => Check::warning(
            name::PAUSE,
            format!("the connector is paused ({reason}): its uploads wait, and none is submitted"),
            Fix::new(
                "when the pause is over, resume it",
                commands.own(format_args!("resume --secret {}", quoted(&secret.id))),
            ),
        ),
    }
}

fn fields(secret: &SecretDocument, commands: &Commands) -> Check {
    let create = commands.own(format_args!("connector create --secret {}", quoted(&secret.id)));
    let has = |field: &'static str| secret.text(field).is_ok_and(|text| text.is_some());
    if secret.is_empty() {
        return Check::failed(
            name::FIELDS,
            "the secret is empty",
            Fix::new(
                "create the connector; the command prompts for missing fields and writes them into the secret",
                create,
            ),
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
        let found = format!("the secret lacks {}", missing.join(" and "));
        return Check::failed(
            name::FIELDS,
            found,
            Fix::new("the command prompts for missing fields and writes them into the secret", create),
        );
    }
    if let Err(error) = secret.as_connector() {
        let read = commands.aws(format_args!(
            "secretsmanager get-secret-value --secret-id {} --query SecretString --output text",
            quoted(&secret.id)
        ));
        let next = Fix::new(
            "correct the field; to show the types of the fields without their values",
            format!("{read} | jq -c 'map_values(type)'"),
        );
        return Check::failed(name::FIELDS, error.to_string(), next);
    }
    let leftovers: Vec<_> = LEFTOVERS.into_iter().filter(|field| has(field)).collect();
    if !leftovers.is_empty() {
        let filter: Vec<_> = leftovers.iter().map(|field| format!(".{field}")).collect();
        return Check::warning(
            name::FIELDS,
            format!("complete, but {} is no longer needed now that the connector exists", leftovers.join(" and ")),
            Fix::new(
                "remove it, so that the function cannot read it",
                commands.change_secret(&secret.id, &format!("del({})", filter.join(", "))),
            ),
        );
    }
    if !has("bucket") {
        return Check::warning(
            name::FIELDS,
            "the secret names no bucket: objects of any bucket are sent to this connector",
            Fix::new("write the connector's bucket into it", create),
        );
    }
    Check::well(name::FIELDS, "complete")
}
