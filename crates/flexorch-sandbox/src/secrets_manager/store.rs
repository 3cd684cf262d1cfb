//! The secrets: versions, stages, and how a secret is named. Pure.

use std::{collections::BTreeMap, fmt};

use aws_smithy_types::base64;
use serde_json::{Map, Value, json};

use crate::aws::{error::AwsError, signature::ACCOUNT};
use crate::clock::Moment;

/// The suffix of a secret's name in its ARN. The real one is random; this is the documentation's.
const SUFFIX: &str = "-AbCdEf";

/// Returns the error for a secret that does not exist.
pub(super) fn not_found() -> AwsError {
    AwsError::client("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

/// The state of Secrets Manager: all secrets, by name.
#[derive(Debug, Default)]
pub struct Store {
    secrets: BTreeMap<String, Secret>,
    versions_made: u64,
}

#[derive(Debug)]
struct Secret {
    created: Moment,
    tags: BTreeMap<String, String>,
    /// Oldest first: the last is AWSCURRENT, the one before it AWSPREVIOUS.
    versions: Vec<Version>,
}

struct Version {
    id: String,
    secret_string: String,
    /// Base64, as in the API; then there is no string.
    secret_binary: Option<String>,
    created: Moment,
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({})", self.id)
    }
}

/// Returns the ARN of a secret in a region.
pub(super) fn arn(name: &str, region: &str) -> String {
    format!("arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:{name}{SUFFIX}")
}

impl Store {
    /// Returns the name of the secret that an id refers to in a region: a name, an ARN, or an ARN without its suffix.
    pub(super) fn resolve(&self, id: &str, region: &str) -> Option<&str> {
        let found = |name: &str| self.secrets.get_key_value(name).map(|(name, _)| name.as_str());
        if !id.starts_with("arn:") {
            return found(id);
        }
        let rest = id.strip_prefix(&format!("arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:"))?;
        // A name may itself end like a suffix, so the whole rest is tried too.
        rest.strip_suffix(SUFFIX).and_then(found).or_else(|| found(rest))
    }

    /// Creates a secret, or adds a new current version.
    pub(super) fn set(&mut self, name: String, secret_string: String, now: Moment) {
        let id = self.new_version_id();
        self.add(name, Version { id, secret_string, secret_binary: None, created: now });
    }

    /// Creates a secret of bytes, or adds a new current version.
    pub(super) fn set_binary(&mut self, name: String, bytes: &[u8], now: Moment) {
        let (id, secret_binary) = (self.new_version_id(), Some(base64::encode(bytes)));
        self.add(name, Version { id, secret_string: String::new(), secret_binary, created: now });
    }

    fn add(&mut self, name: String, version: Version) {
        let created = version.created;
        let secret = self.secrets.entry(name).or_insert_with(|| Secret::new(created));
        secret.versions.push(version);
    }

    /// Deletes a secret with all its versions.
    pub(super) fn delete(&mut self, name: &str) {
        self.secrets.remove(name);
    }

    /// Creates a secret without a version.
    pub(super) fn create_empty(&mut self, name: String, now: Moment) {
        self.secrets.entry(name).or_insert_with(|| Secret::new(now));
    }

    /// Sets a tag of a secret, if it exists.
    pub(super) fn tag(&mut self, name: &str, key: &str, value: &str) {
        if let Some(secret) = self.secrets.get_mut(name) {
            secret.tags.insert(key.to_owned(), value.to_owned());
        }
    }

    /// Returns the values of a secret's versions, oldest first.
    pub(super) fn versions(&self, name: &str) -> Vec<String> {
        let versions = self.secrets.get(name).map(|secret| secret.versions.as_slice()).unwrap_or_default();
        versions.iter().map(|version| version.secret_string.clone()).collect()
    }

    /// `GetSecretValue`.
    pub(super) fn get_value(
        &self,
        name: &str,
        region: &str,
        version_id: Option<&str>,
        stage: Option<&str>,
    ) -> Result<Value, AwsError> {
        let secret = self.secret(name)?;
        let fits = |(at, version): &(usize, &Version)| {
            version_id.is_none_or(|id| version.id == id)
                && match (version_id, stage) {
                    (Some(_), None) => true,
                    (_, stage) => secret.stage(*at) == Some(stage.unwrap_or("AWSCURRENT")),
                }
        };
        let (at, version) = secret.versions.iter().enumerate().find(fits).ok_or_else(|| {
            let message = match version_id {
                Some(id) => format!("Secrets Manager can't find the specified secret value for VersionId: {id}"),
                None => {
                    let stage = stage.unwrap_or("AWSCURRENT");
                    format!("Secrets Manager can't find the specified secret value for staging label: {stage}")
                }
            };
            AwsError::client("ResourceNotFoundException", message)
        })?;
        let (field, value) = match &version.secret_binary {
            Some(binary) => ("SecretBinary", binary),
            None => ("SecretString", &version.secret_string),
        };
        Ok(json!({
            "ARN": arn(name, region),
            "Name": name,
            "VersionId": version.id,
            field: value,
            "VersionStages": secret.stages(at),
            "CreatedDate": version.created.epoch_seconds(),
        }))
    }

    /// `DescribeSecret`.
    pub(super) fn describe(&self, name: &str, region: &str) -> Result<Value, AwsError> {
        let secret = self.secret(name)?;
        let stages: Map<String, Value> = secret
            .versions
            .iter()
            .enumerate()
            .filter(|(at, _)| secret.stage(*at).is_some())
            .map(|(at, version)| (version.id.clone(), json!(secret.stages(at))))
            .collect();
        let changed = secret.versions.last().map_or(secret.created, |version| version.created);
        Ok(json!({
            "ARN": arn(name, region),
            "Name": name,
            "CreatedDate": secret.created.epoch_seconds(),
            "LastChangedDate": changed.epoch_seconds(),
            "VersionIdsToStages": stages,
            "Tags": secret.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect::<Vec<_>>(),
        }))
    }

    /// `CreateSecret`. The `token` is the client's idempotency token and becomes the version's id.
    pub(super) fn create(
        &mut self,
        name: &str,
        region: &str,
        secret_string: Option<String>,
        token: Option<&str>,
        now: Moment,
    ) -> Result<Value, AwsError> {
        if self.secrets.contains_key(name) {
            let message = format!("The operation failed because the secret {name} already exists.");
            return Err(AwsError::client("ResourceExistsException", message));
        }
        let empty = Secret::new(now);
        self.secrets.insert(name.to_owned(), empty);
        match secret_string {
            Some(secret_string) => self.put_value(name, region, secret_string, token, now),
            None => Ok(json!({"ARN": arn(name, region), "Name": name})),
        }
    }

    /// `PutSecretValue`. The same token with the same contents repeats a call.
    pub(super) fn put_value(
        &mut self,
        name: &str,
        region: &str,
        secret_string: String,
        token: Option<&str>,
        now: Moment,
    ) -> Result<Value, AwsError> {
        let generated = self.new_version_id();
        let id = token.map_or(generated, str::to_owned);
        let secret = self.secrets.get_mut(name).ok_or_else(not_found)?;
        let again = secret.versions.iter().position(|version| version.id == id);
        let at = match again {
            Some(at) if secret.versions[at].secret_string == secret_string => at,
            Some(_) => {
                let message = "A version with this ClientRequestToken has other contents.";
                return Err(AwsError::client("ResourceExistsException", message));
            }
            None => {
                secret.versions.push(Version { id: id.clone(), secret_string, secret_binary: None, created: now });
                secret.versions.len() - 1
            }
        };
        Ok(json!({
            "ARN": arn(name, region),
            "Name": name,
            "VersionId": id,
            "VersionStages": secret.stages(at),
        }))
    }

    fn secret(&self, name: &str) -> Result<&Secret, AwsError> {
        self.secrets.get(name).ok_or_else(not_found)
    }

    /// Returns an id in the form of a UUID: the SDKs expect at least 32 characters.
    fn new_version_id(&mut self) -> String {
        self.versions_made += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.versions_made)
    }
}

impl Secret {
    fn new(created: Moment) -> Self {
        Self { created, tags: BTreeMap::new(), versions: Vec::new() }
    }

    fn stage(&self, at: usize) -> Option<&'static str> {
        match self.versions.len() - at {
            1 => Some("AWSCURRENT"),
            2 => Some("AWSPREVIOUS"),
            _ => None,
        }
    }

    fn stages(&self, at: usize) -> Vec<&'static str> {
        self.stage(at).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Moment = Moment::from_epoch(Duration::from_secs(1_700_000_000));
    const REGION: &str = "eu-west-1";

    fn store() -> Store {
        let mut store = Store::default();
        store.set("flexorch/docs".to_owned(), "one".to_owned(), NOW);
        store
    }

    #[test]
    fn a_secret_is_found_by_name_and_by_arn_with_or_without_its_suffix_in_its_region_alone() {
        let store = store();
        let base = format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:flexorch/docs");
        for id in ["flexorch/docs", &base, &format!("{base}-AbCdEf"), &arn("flexorch/docs", REGION)] {
            assert_eq!(store.resolve(id, REGION), Some("flexorch/docs"), "{id}");
        }
        for id in ["other", &format!("{base}-zzzzzz"), "arn:aws:s3:::x"] {
            assert_eq!(store.resolve(id, REGION), None, "{id}");
        }
        assert_eq!(store.resolve(&base, "us-east-1"), None);
    }

    #[test]
    fn the_newest_version_is_current_and_the_one_before_it_previous() {
        let mut store = store();
        store.put_value("flexorch/docs", REGION, "two".to_owned(), Some("token"), NOW).unwrap();
        let get = |id, stage| {
            let value = store.get_value("flexorch/docs", REGION, id, stage);
            value.map(|value| value["SecretString"].clone())
        };
        assert_eq!(get(None, None).unwrap(), "two");
        assert_eq!(get(None, Some("AWSPREVIOUS")).unwrap(), "one");
        assert_eq!(get(Some("token"), None).unwrap(), "two");
        assert!(get(Some("token"), Some("AWSPREVIOUS")).is_err());
        assert!(get(None, Some("MINE")).is_err());
    }

    #[test]
    fn the_same_token_is_the_same_call_again_unless_the_contents_differ() {
        let mut store = store();
        let mut put = |text: &str| {
            store
                .put_value("flexorch/docs", REGION, text.to_owned(), Some("t"), NOW)
                .map(|value| value["VersionId"].clone())
        };
        assert_eq!(put("two").unwrap(), put("two").unwrap());
        assert_eq!(put("three").unwrap_err().shape, "ResourceExistsException");
        let described = store.describe("flexorch/docs", REGION).unwrap();
        assert_eq!(described["VersionIdsToStages"]["t"], json!(["AWSCURRENT"]));
    }

    #[test]
    fn a_secret_is_created_once() {
        let mut store = store();
        let created = store.create("new", REGION, Some("x".to_owned()), None, NOW);
        assert_eq!(created.unwrap()["Name"], "new");
        let again = store.create("new", REGION, None, None, NOW).unwrap_err();
        assert_eq!(again.shape, "ResourceExistsException");
    }
}
