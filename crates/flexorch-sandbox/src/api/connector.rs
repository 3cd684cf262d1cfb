//! Connectors: the buckets that FlexOrch would read documents from.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    super::{clock::Moment, options::Plan},
    ids::Ids,
    response::ApiError,
    schedule::{MAX_SCHEDULES, NewSchedule, Schedule},
};

/// The configuration that is kept and shown. The rest, such as credentials, is dropped after the check.
const KEPT_CONFIG: [&str; 4] = ["bucket", "region", "prefix", "endpoint_url"];

/// The spellings of the two credentials: first that of the connector's page, then that of the SDKs' examples.
const CREDENTIALS: [[&str; 2]; 2] =
    [["aws_access_key_id", "access_key_id"], ["aws_secret_access_key", "secret_access_key"]];

/// The body of `POST /connectors`. It has no `Debug` because it holds credentials, and it is dropped with the request.
#[derive(Deserialize)]
pub(crate) struct NewConnector {
    #[serde(default)]
    name: Value,
    #[serde(default, rename = "type")]
    kind: Value,
    #[serde(default)]
    config: Value,
}

/// A connector of one tenant, without its credentials.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    id: u64,
    schedules: Vec<Schedule>,
    name: String,
    config: Map<String, Value>,
    /// A deleted connector stays, inactive and hidden, so that its id is known to be deleted.
    pub(crate) active: bool,
    created: Moment,
    last_tested: Option<Moment>,
    last_used: Option<Moment>,
}

impl Connector {
    /// Checks a new connector and drops its credentials.
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
        let given = |field: &str| config.get(field).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        if !given("bucket") {
            return Err(ApiError::validation("config.bucket is missing."));
        }
        for spellings in CREDENTIALS {
            if !spellings.iter().any(|field| given(field)) {
                let message = format!("config.{} is missing.", spellings[0]);
                return Err(ApiError::validation(message));
            }
        }
        let config = config.into_iter().filter(|(field, _)| KEPT_CONFIG.contains(&field.as_str())).collect();
        Ok(Self {
            id,
            schedules: Vec::new(),
            name: name.to_owned(),
            config,
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

    /// Returns the result of a test. The sandbox reads no bucket: the test fails if the bucket's name contains `denied`, so that a
    /// failure can be rehearsed.
    pub(crate) fn test(&mut self, now: Moment) -> Value {
        self.last_tested = Some(now);
        let bucket = self.config["bucket"].as_str().unwrap_or_default();
        if bucket.contains("denied") {
            let message = format!("Access denied: the credentials lack s3:ListBucket on arn:aws:s3:::{bucket}.");
            return json!({"success": false, "latency_ms": 38, "message": message});
        }
        json!({"success": true, "latency_ms": 42, "message": "Connection successful"})
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
    fn credentials_are_dropped_and_the_rest_is_shown() {
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
    fn a_test_fails_for_a_bucket_that_is_called_denied() {
        let test = |bucket| {
            let body = json!({"type": "s3", "name": "Docs", "config": config(bucket)});
            create(body).unwrap().test(NOW)["success"].clone()
        };
        assert_eq!(test("docs"), true);
        assert_eq!(test("docs-denied"), false);
    }
}
