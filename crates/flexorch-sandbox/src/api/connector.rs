//! Connectors: the buckets that FlexOrch would read documents from.

use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    super::{clock::Moment, options::Plan},
    ids::Ids,
    response::ApiError,
    schedule::{MAX_SCHEDULES, NewSchedule, Schedule},
};

/// The configuration that is kept and shown. Credentials are kept apart, and the rest is dropped after the check.
const KEPT_CONFIG: [&str; 4] = ["bucket", "region", "prefix", "endpoint_url"];

/// The spellings of the two credentials: first that of the connector's page, then that of the SDKs' examples.
const CREDENTIALS: [[&str; 2]; 2] =
    [["aws_access_key_id", "access_key_id"], ["aws_secret_access_key", "secret_access_key"]];

/// The body of `POST /connectors`. It has no `Debug` because it holds credentials.
#[derive(Deserialize)]
pub(crate) struct NewConnector {
    #[serde(default)]
    name: Value,
    #[serde(default, rename = "type")]
    kind: Value,
    #[serde(default)]
    config: Value,
}

/// Why FlexOrch cannot read a connector's bucket: the message of its test.
pub(crate) type Unreadable = String;

/// The access key that a connector reads its bucket with. It is never shown.
#[derive(Clone)]
struct Credentials {
    access_key_id: String,
    secret_access_key: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// A connector of one tenant.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    id: u64,
    schedules: Vec<Schedule>,
    name: String,
    config: Map<String, Value>,
    credentials: Credentials,
    /// A deleted connector stays, inactive and hidden, so that its id is known to be deleted.
    pub(crate) active: bool,
    created: Moment,
    last_tested: Option<Moment>,
    last_used: Option<Moment>,
}

impl Connector {
    /// Checks a new connector.
    pub(crate) fn create(id: u64, new: NewConnector, now: Moment) -> Result<Self, ApiError> {
        let name = new
            .name
            .as_str()
            .filter(|name| !name.trim().is_empty())
            .ok_or_else(|| ApiError::validation("name must be text."))?;
        match new.kind.as_str() {
            Some("s3") => {}
            Some(other) => {
                let message = format!("The sandbox has only s3 connectors, not {other:?}.");
                return Err(ApiError::validation(message));
            }
            None => return Err(ApiError::validation("type must be text, such as s3.")),
        }
        let Value::Object(config) = new.config else {
            return Err(ApiError::validation("config must be an object."));
        };
        let given = |field: &str| config.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        if given("bucket").is_none() {
            return Err(ApiError::validation("config.bucket is missing."));
        }
        let [access_key_id, secret_access_key] = CREDENTIALS.map(|spellings| {
            let found = spellings.iter().find_map(|field| given(field)).map(str::to_owned);
            found.ok_or_else(|| ApiError::validation(format!("config.{} is missing.", spellings[0])))
        });
        let credentials = Credentials { access_key_id: access_key_id?, secret_access_key: secret_access_key? };
        let config = config.into_iter().filter(|(field, _)| KEPT_CONFIG.contains(&field.as_str())).collect();
        Ok(Self {
            id,
            schedules: Vec::new(),
            name: name.to_owned(),
            config,
            credentials,
            active: true,
            created: now,
            last_tested: None,
            last_used: None,
        })
    }

    /// Returns the connector in the API's form.
    pub(crate) fn show(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "type": "s3",
            "active": self.active,
            "created_at": self.created.rfc3339(),
            "last_tested_at": self.last_tested.map(Moment::rfc3339),
            "last_used_at": self.last_used.map(Moment::rfc3339),
            "config": self.config,
        })
    }

    /// Returns whether FlexOrch can read its bucket. The sandbox reads none: it cannot if AWS does not accept the access key, or if the
    /// bucket's name contains `denied`, so that a failure can be rehearsed.
    pub(crate) fn readable(&self, accepts: impl FnOnce(&str, &str) -> bool) -> Result<(), Unreadable> {
        let bucket = self.config["bucket"].as_str().unwrap_or_default();
        if bucket.contains("denied") {
            return Err(format!("Access denied: the credentials lack s3:ListBucket on arn:aws:s3:::{bucket}."));
        }
        match accepts(&self.credentials.access_key_id, &self.credentials.secret_access_key) {
            true => Ok(()),
            false => Err("InvalidAccessKeyId: The AWS Access Key Id does not exist in AWS's records.".to_owned()),
        }
    }

    /// Returns the result of a test.
    pub(crate) fn test(&mut self, readable: Result<(), Unreadable>, now: Moment) -> Value {
        self.last_tested = Some(now);
        match readable {
            Ok(()) => json!({"success": true, "latency_ms": 42, "message": "Connection successful"}),
            Err(message) => json!({"success": false, "latency_ms": 38, "message": message}),
        }
    }

    /// Adds a schedule if the plan and the number of schedules allow it.
    pub(crate) fn add_schedule(
        &mut self,
        new: NewSchedule,
        plan: Plan,
        ids: &mut Ids,
        now: Moment,
    ) -> Result<Value, ApiError> {
        let schedule = Schedule::create(ids.next_schedule(), self.id, new, plan, now)?;
        if self.schedules.len() >= MAX_SCHEDULES {
            let message = format!("A connector has at most {MAX_SCHEDULES} schedules.");
            return Err(ApiError::validation(message));
        }
        let shown = schedule.show();
        self.schedules.push(schedule);
        Ok(shown)
    }

    /// Returns its schedules, oldest first.
    pub(crate) fn list_schedules(&self) -> Vec<Value> {
        self.schedules.iter().map(Schedule::show).collect()
    }

    /// Returns one of its schedules.
    pub(crate) fn schedule(&mut self, id: &str) -> Result<&mut Schedule, ApiError> {
        self.schedules
            .iter_mut()
            .find(|schedule| schedule.id.to_string() == id)
            .ok_or_else(|| ApiError::not_found(format_args!("Schedule {id:?}")))
    }

    /// Removes one of its schedules.
    pub(crate) fn delete_schedule(&mut self, id: &str) -> Result<(), ApiError> {
        let id = self.schedule(id)?.id;
        self.schedules.retain(|schedule| schedule.id != id);
        Ok(())
    }

    /// Records that keys were submitted to it.
    pub(crate) fn mark_used(&mut self, now: Moment) {
        self.last_used = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Moment = Moment::from_epoch(Duration::from_secs(1_700_000_000));

    fn create(body: Value) -> Result<Connector, ApiError> {
        Connector::create(42, serde_json::from_value(body).unwrap(), NOW)
    }

    fn config(bucket: &str) -> Value {
        json!({"bucket": bucket, "region": "eu-west-1", "prefix": "in/",
               "aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "very-secret"})
    }

    #[test]
    fn credentials_are_never_shown_and_the_rest_is() {
        let body = json!({"type": "s3", "name": "Docs", "config": config("docs")});
        let connector = create(body).unwrap();
        assert_eq!(connector.show()["config"], json!({"bucket": "docs", "region": "eu-west-1", "prefix": "in/"}));
        let everything = format!("{connector:?}");
        assert!(!everything.contains("AKIAEXAMPLE") && !everything.contains("very-secret"));
    }

    #[test]
    fn the_sdks_names_of_the_credentials_are_accepted_too() {
        let config = json!({"bucket": "docs", "access_key_id": "a", "secret_access_key": "b"});
        assert!(create(json!({"type": "s3", "name": "Docs", "config": config})).is_ok());
    }

    #[test]
    fn a_missing_field_is_named() {
        for (missing, body) in [
            ("name", json!({"type": "s3", "config": config("docs")})),
            ("type", json!({"name": "Docs", "config": config("docs")})),
            ("gcs", json!({"name": "Docs", "type": "gcs", "config": {}})),
            ("config", json!({"name": "Docs", "type": "s3"})),
            ("bucket", json!({"name": "D", "type": "s3", "config": config("")})),
            ("aws_access_key_id", json!({"name": "D", "type": "s3", "config": {"bucket": "b"}})),
            (
                "aws_secret_access_key",
                json!({"name": "D", "type": "s3", "config": {"bucket": "b", "access_key_id": "a"}}),
            ),
        ] {
            let error = create(body).unwrap_err();
            assert_eq!(error.code, "VALIDATION_ERROR");
            assert!(error.message.contains(missing), "{missing}: {}", error.message);
        }
    }

    #[test]
    fn a_test_fails_for_a_bucket_that_is_called_denied_and_for_an_access_key_that_aws_does_not_accept() {
        let test = |bucket| {
            let body = json!({"type": "s3", "name": "Docs", "config": config(bucket)});
            let mut connector = create(body).unwrap();
            let readable = connector.readable(|_, _| true);
            connector.test(readable, NOW)["success"].clone()
        };
        assert_eq!(test("docs"), true);
        assert_eq!(test("docs-denied"), false);
        let body = json!({"type": "s3", "name": "Docs", "config": config("docs")});
        let refused = create(body).unwrap().readable(|id, secret| (id, secret) != ("AKIAEXAMPLE", "very-secret"));
        assert!(refused.unwrap_err().contains("InvalidAccessKeyId"));
    }
}
