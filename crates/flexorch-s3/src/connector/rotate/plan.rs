//! What a rotation is going to do, and what speaks against it. Nothing is changed here.

use anyhow::{Result, anyhow, bail};
use aws_sdk_secretsmanager::Client;

use super::iam::{Key, MOST_KEYS, ending};
use crate::aws_failure::AwsFailure;
use crate::connector::view::place;
use crate::connector_secret::SecretDocument;
use crate::context::Context;
use crate::management::ConnectorView;
use crate::region::in_region;
use crate::text::escaped;
use flexorch_s3_ingester::model::arn::region_of;

/// The tag of everything that a CloudFormation stack creates.
const STACK_TAG: &str = "aws:cloudformation:stack-name";

/// What precedes the end of the access key's id in a connector's name.
const KEY_MARK: &str = " (key ...";

/// Why a rotation cannot begin. Nothing was changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum Obstacle {
    /// The user has as many keys as IAM allows.
    #[error(
        "IAM user {user:?} has two access keys already, and IAM allows no third: {}; nothing was created. If an earlier rotation was \
         interrupted, run the command where its journal is, or select it with --journal: it continues. Otherwise delete the key that \
         nothing uses: `aws iam get-access-key-last-used --access-key-id {example}` says when it was used, and `aws iam \
         delete-access-key --user-name {user} --access-key-id {example}` deletes it",
        listed(.keys)
    )]
    TooManyKeys {
        user: String,
        keys: Vec<Key>,
        /// The key to delete, as far as is known.
        example: String,
    },
    /// The named key is not the user's.
    #[error(
        "IAM user {user:?} has no access key {id}: {}. Correct --old-access-key-id or --user; nothing was created",
        if .keys.is_empty() { "it has none".to_owned() } else { format!("it has {}", listed(.keys)) }
    )]
    NotTheUsers { user: String, id: String, keys: Vec<Key> },
}

fn listed(keys: &[Key]) -> String {
    keys.iter().map(described).collect::<Vec<_>>().join(" and ")
}

fn described(key: &Key) -> String {
    let created = key.created.map(|date| format!("created {}, ", date.strftime("%F"))).unwrap_or_default();
    format!("{} ({created}{})", key.id, if key.active { "active" } else { "inactive" })
}

/// Who names the access key that the old connector uses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'a> {
    /// The operator.
    pub(super) told: Option<&'a str>,
    /// The secret, and FlexOrch.
    pub(super) recorded: [Option<&'a str>; 2],
}

/// Returns the access key to delete in the end, if it is known and the user's. Fails if there is no room for another key.
pub(super) fn old_key(user: &str, named: Named<'_>, keys: &[Key]) -> Result<Option<String>, Obstacle> {
    let has = |id: &str| keys.iter().any(|key| key.id == id);
    if let Some(id) = named.told.filter(|id| !has(id)) {
        return Err(Obstacle::NotTheUsers { user: user.to_owned(), id: id.to_owned(), keys: keys.to_vec() });
    }
    let known = named.told.into_iter().chain(named.recorded.into_iter().flatten()).find(|id| has(id));
    if keys.len() >= MOST_KEYS {
        // The key that the connector uses is not the one to delete now.
        let example = keys.iter().find(|key| known.is_some_and(|known| known != key.id));
        let example = example.map_or_else(|| "ID".to_owned(), |key| key.id.clone());
        return Err(Obstacle::TooManyKeys { user: user.to_owned(), keys: keys.to_vec(), example });
    }
    Ok(known.map(str::to_owned))
}

/// What the new connector reads: the same as the old one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    pub(super) bucket: String,
    pub(super) region: String,
    pub(super) prefix: String,
    /// The old connector's name, without what an earlier rotation added.
    name: String,
}

impl Target {
    /// Reads it from the secret; what the secret lacks, from the old connector.
    pub(super) fn of(secret: &SecretDocument, old: Option<&ConnectorView>) -> Result<Self> {
        let id = &secret.id;
        let from = |read: fn(&ConnectorView) -> &Option<String>| old.and_then(|view| read(view).clone());
        let missing =
            |field: &str| anyhow!("secret {id:?} lacks `{field}`: write it into the secret; nothing was changed");
        let there = from(|view| &view.bucket);
        let bucket = secret.text("bucket")?.or_else(|| there.clone()).ok_or_else(|| missing("bucket"))?;
        let prefix = secret.text("prefix")?.unwrap_or_default();
        if let Some(view) = old
            && there.is_some_and(|there| there != bucket || view.prefix.as_deref().unwrap_or_default() != prefix)
        {
            bail!(
                "secret {id:?} names connector {}, which reads {}, but the secret's bucket and prefix are s3://{}/{}: correct them; nothing \
                 was changed",
                view.id,
                place(view),
                escaped(&bucket),
                escaped(&prefix)
            );
        }
        let region = secret.text("region")?.or_else(|| from(|view| &view.region)).ok_or_else(|| missing("region"))?;
        let name = from(|view| &view.name).unwrap_or_else(|| format!("{bucket}/{prefix}"));
        Ok(Self { name: without_key(&name).to_owned(), bucket, region, prefix })
    }

    /// Returns the name of a connector that uses this access key. It differs from key to key, so that a connector whose creation was not
    /// confirmed is recognized by it.
    pub(super) fn name_with(&self, key: &str) -> String {
        format!("{}{KEY_MARK}{})", self.name, ending(key))
    }
}

fn without_key(name: &str) -> &str {
    let base = name.strip_suffix(')').and_then(|name| name.rsplit_once(KEY_MARK));
    base.map_or(name, |(base, _)| base)
}

/// Returns the user that the guide creates for the stack that created the secret.
pub(super) async fn user_of_stack(secret: &SecretDocument, context: &Context) -> Result<String> {
    let client = Client::new(&in_region(context.aws().await?, region_of(&secret.arn)));
    let response = client.describe_secret().secret_id(&secret.arn).send().await;
    let response = response.map_err(|error| {
        let failure = AwsFailure::new(&error, "secretsmanager:DescribeSecret", &secret.arn);
        anyhow!("which IAM user does FlexOrch read the bucket with? Name it with --user ({failure})")
    })?;
    let stack = response.tags().iter().find(|tag| tag.key() == Some(STACK_TAG)).and_then(|tag| tag.value());
    stack.map(|stack| format!("{stack}-connector")).ok_or_else(|| {
        anyhow!(
            "which IAM user does FlexOrch read the bucket with? Secret {:?} belongs to no stack: name it with --user",
            secret.id
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(ids: &[&str]) -> Vec<Key> {
        ids.iter().map(|id| Key { id: (*id).to_owned(), active: true, created: None }).collect()
    }

    #[test]
    fn only_a_key_that_someone_names_and_that_is_the_users_is_to_be_deleted() {
        let find = |told, in_secret, at_flexorch, ids: &[&str]| {
            old_key("u", Named { told, recorded: [in_secret, at_flexorch] }, &keys(ids))
        };
        assert_eq!(find(None, None, None, &["A"]), Ok(None));
        assert_eq!(find(Some("A"), Some("B"), None, &["A"]), Ok(Some("A".to_owned())));
        assert_eq!(find(None, Some("A"), None, &["A"]), Ok(Some("A".to_owned())));
        assert_eq!(find(None, None, Some("A"), &["A"]), Ok(Some("A".to_owned())));
        assert_eq!(find(None, Some("GONE"), Some("AK**"), &["A"]), Ok(None));
        assert!(matches!(find(Some("B"), None, None, &["A"]), Err(Obstacle::NotTheUsers { .. })));
    }

    #[test]
    fn of_two_keys_the_one_that_the_connector_does_not_use_is_proposed_for_deletion() {
        let refusal =
            |told| old_key("u", Named { told, recorded: [None; 2] }, &keys(&["A", "B"])).unwrap_err().to_string();
        assert!(refusal(Some("A")).contains("--access-key-id B"), "{}", refusal(Some("A")));
        assert!(refusal(None).contains("A (active) and B (active)") && refusal(None).contains("--access-key-id ID"));
    }

    #[test]
    fn a_name_has_the_key_of_the_last_rotation_alone() {
        for name in ["docs/in/", "docs/in/ (key ...AAAA)"] {
            let target = Target {
                bucket: String::new(),
                region: String::new(),
                prefix: String::new(),
                name: without_key(name).to_owned(),
            };
            assert_eq!(target.name_with("AKIABBBB"), "docs/in/ (key ...BBBB)");
        }
        assert_eq!(without_key("a (key) b)"), "a (key) b)");
    }
}
