//! Checks the table of records: its keys, its indexes and its time to live.

use aws_sdk_dynamodb::types::{
    IndexStatus, KeySchemaElement, KeyType, ProjectionType, TableDescription, TableStatus, TimeToLiveStatus,
};

use super::super::aws::Aws;
use super::super::check::{Check, Fix, Unknown};
use super::super::commands::{Commands, quoted};
use super::super::function::Function;
use super::super::name;
use crate::text::counted;

/// The attribute after whose time an item is deleted.
const EXPIRY: &str = "expires_at";
const KEYS: [&str; 2] = ["document", "version"];
/// The indexes, with their keys.
pub(super) const INDEXES: [(&str, &[&str]); 2] = [("by-job", &["job_id"]), ("by-state", &["state", "changed_at"])];

pub(super) async fn check(aws: &Aws<'_>, table: &str, function: &Function, commands: &Commands) -> Check {
    Check::decided(name::RECORDS, decide(aws, table, function, commands).await)
}

async fn decide(aws: &Aws<'_>, table: &str, function: &Function, commands: &Commands) -> Result<Check, Unknown> {
    let client = aws_sdk_dynamodb::Client::new(&aws.config(function.region()));
    let resource = format!("table {table}");
    let request = client.describe_table().table_name(table).send();
    let described = aws.call_optional("dynamodb:DescribeTable", &resource, request).await;
    let described = described.map_err(|failure| Unknown::because(&failure, commands))?;
    let show = commands.aws(format_args!("dynamodb describe-table --table-name {}", quoted(table)));
    let Some(description) = described.and_then(|described| described.table) else {
        let list = commands.aws("dynamodb list-tables");
        let fix = Fix::new(function.owner.advice("create it again: deploy the template", None), list);
        return Ok(Check::failed(
            name::RECORDS,
            format!("there is no table {table}: receipts cannot be recorded"),
            fix,
        ));
    };
    if let Some(wrong) = wrong_shape(&description) {
        let fix = Fix::new("the outcomes function needs the table that the template creates; to show this one", show);
        return Ok(Check::failed(name::RECORDS, format!("{table}: {wrong}"), fix));
    }
    if let Some(busy) = busy(&description) {
        return Ok(Check::warning(
            name::RECORDS,
            format!("{table}: {busy}"),
            Fix::new("wait until it is active", show),
        ));
    }
    let request = client.describe_time_to_live().table_name(table).send();
    let expiry = aws.call("dynamodb:DescribeTimeToLive", &resource, request).await;
    let expiry = expiry.map_err(|failure| Unknown::because(&failure, commands))?.time_to_live_description;
    let is_on = expiry.is_some_and(|expiry| {
        let status = expiry.time_to_live_status();
        expiry.attribute_name() == Some(EXPIRY)
            && matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling))
    });
    if !is_on {
        let enable = commands.aws(format_args!(
            "dynamodb update-time-to-live --table-name {} --time-to-live-specification Enabled=true,AttributeName={EXPIRY}",
            quoted(table)
        ));
        let found = format!("{table}: its time to live is not {EXPIRY}, so no record is ever deleted");
        return Ok(Check::warning(name::RECORDS, found, Fix::new(function.owner.advice("enable it", None), enable)));
    }
    let items = description.item_count().unwrap_or_default();
    Ok(Check::well(
        name::RECORDS,
        format!("{table}: keys, indexes and time to live are right, about {}", counted(items, "record")),
    ))
}

/// Returns which key or index is not the one that is needed.
fn wrong_shape(table: &TableDescription) -> Option<String> {
    if !has_keys(table.key_schema(), &KEYS) {
        return Some(format!("its keys are not {}", KEYS.join(" and ")));
    }
    INDEXES.iter().find_map(|(name, keys)| {
        let index = table.global_secondary_indexes().iter().find(|index| index.index_name() == Some(*name));
        let Some(index) = index else { return Some(format!("it has no index {name}")) };
        if !has_keys(index.key_schema(), keys) {
            return Some(format!("the keys of its index {name} are not {}", keys.join(" and ")));
        }
        let projection = index.projection().and_then(|projection| projection.projection_type());
        (projection != Some(&ProjectionType::All)).then(|| format!("its index {name} does not project all attributes"))
    })
}

/// Returns whether a key schema has these attributes: the partition key, and the sort key if there are two.
fn has_keys(schema: &[KeySchemaElement], keys: &[&str]) -> bool {
    let of =
        |kind: &KeyType| schema.iter().find(|element| element.key_type() == kind).map(KeySchemaElement::attribute_name);
    of(&KeyType::Hash) == keys.first().copied() && of(&KeyType::Range) == keys.get(1).copied()
}

fn busy(table: &TableDescription) -> Option<String> {
    let status = table.table_status().filter(|status| !matches!(status, TableStatus::Active | TableStatus::Updating));
    if let Some(status) = status {
        return Some(format!("it is {}", status.as_str().to_lowercase()));
    }
    table.global_secondary_indexes().iter().find_map(|index| {
        let status = index.index_status().filter(|status| **status == IndexStatus::Creating)?;
        Some(format!("its index {} is {}", index.index_name().unwrap_or_default(), status.as_str().to_lowercase()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::types::{GlobalSecondaryIndexDescription, Projection};

    fn schema(keys: &[&str]) -> Vec<KeySchemaElement> {
        let kinds = [KeyType::Hash, KeyType::Range];
        let element = |(key, kind): (&&str, KeyType)| {
            KeySchemaElement::builder().attribute_name(*key).key_type(kind).build().unwrap()
        };
        keys.iter().zip(kinds).map(element).collect()
    }

    fn table(keys: &[&str], indexes: &[(&str, &[&str], ProjectionType)]) -> TableDescription {
        let index = |(name, keys, projection): &(&str, &[&str], ProjectionType)| {
            let projection = Projection::builder().projection_type(projection.clone()).build();
            let index = GlobalSecondaryIndexDescription::builder().index_name(*name).projection(projection);
            index.set_key_schema(Some(schema(keys))).build()
        };
        TableDescription::builder()
            .set_key_schema(Some(schema(keys)))
            .set_global_secondary_indexes(Some(indexes.iter().map(index).collect()))
            .build()
    }

    #[test]
    fn a_table_with_other_keys_or_indexes_is_named_with_what_is_wrong() {
        let all = ProjectionType::All;
        let by_job = ("by-job", &["job_id"][..], all.clone());
        let by_state = ("by-state", &["state", "changed_at"][..], all.clone());
        let right = [by_job.clone(), by_state.clone()];
        assert_eq!(wrong_shape(&table(&["document", "version"], &right)), None);
        for (table, words) in [
            (table(&["document"], &right), "its keys are not document and version"),
            (table(&["document", "version"], std::slice::from_ref(&by_job)), "no index by-state"),
            (
                table(&["document", "version"], &[by_job, ("by-state", &["state"], all)]),
                "the keys of its index by-state",
            ),
            (
                table(&["document", "version"], &[("by-job", &["job_id"], ProjectionType::KeysOnly), by_state]),
                "does not project all attributes",
            ),
        ] {
            let wrong = wrong_shape(&table).unwrap();
            assert!(wrong.contains(words), "{wrong}");
        }
    }
}
