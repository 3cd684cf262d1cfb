//! FlexOrch's requests and responses for connectors, rates and schedules, in all shapes that its documentation and SDKs have.

use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use flexorch_s3_ingester::model::credentials::ConnectorId;

/// A connector as FlexOrch returns it (FlexOrch documentation, "Amazon S3 connector"). Missing fields are `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ConnectorView {
    pub(crate) id: ConnectorId,
    pub(crate) name: Option<String>,
    /// Its type, such as `s3`.
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    /// Whether it may be used.
    pub(crate) active: Option<bool>,
    pub(crate) bucket: Option<String>,
    /// The bucket's region.
    pub(crate) region: Option<String>,
    pub(crate) prefix: Option<String>,
    /// The id of the access key that it uses, if FlexOrch shows it. It is never printed.
    #[serde(skip)]
    pub(crate) access_key_id: Option<String>,
    pub(crate) created_at: Option<String>,
    pub(crate) last_tested_at: Option<String>,
    /// When documents were last submitted through it.
    pub(crate) last_used_at: Option<String>,
}

impl ConnectorView {
    pub(crate) fn from_json(json: &RawValue) -> Result<Self, UnknownShape> {
        let value: Value = serde_json::from_str(json.get()).map_err(|_| UnknownShape)?;
        // From the text: a number in a `Value` may lose digits.
        let identified: Identified<'_> = serde_json::from_str(json.get()).map_err(|_| UnknownShape)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let config = value.get("config").unwrap_or(&Value::Null);
        Ok(Self {
            id: identified.id.and_then(ConnectorId::from_json).ok_or(UnknownShape)?,
            name: text(&value["name"]),
            kind: text(&value["type"]),
            active: value["active"].as_bool(),
            bucket: text(&config["bucket"]),
            region: text(&config["region"]),
            prefix: text(&config["prefix"]),
            access_key_id: text(&config["aws_access_key_id"]).or_else(|| text(&config["access_key_id"])),
            created_at: text(&value["created_at"]),
            last_tested_at: text(&value["last_tested_at"]),
            last_used_at: text(&value["last_used_at"]),
        })
    }
}

#[derive(Deserialize)]
struct Identified<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

/// A response of an unknown shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the response has an unknown shape")]
pub(crate) struct UnknownShape;

/// The AWS credentials with which FlexOrch reads the bucket. They cannot be printed.
#[derive(Debug, Clone)]
pub(crate) struct AwsCredentials {
    pub(crate) access_key_id: SecretString,
    /// The access key's secret part.
    pub(crate) secret_access_key: SecretString,
}

#[derive(Debug, Clone)]
pub(crate) struct NewConnector {
    /// Its name at FlexOrch.
    pub(crate) name: String,
    pub(crate) bucket: String,
    /// The bucket's region.
    pub(crate) region: String,
    /// The prefix that it reads; empty for the whole bucket.
    pub(crate) prefix: String,
    /// The credentials with which FlexOrch reads the bucket.
    pub(crate) credentials: AwsCredentials,
}

/// The result of a connector's test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ConnectorTest {
    /// Whether FlexOrch can read the bucket.
    pub(crate) success: bool,
    /// FlexOrch's message.
    pub(crate) message: String,
    /// How many milliseconds the bucket took to respond, if known.
    pub(crate) latency_ms: Option<u64>,
}

/// The plan's rate, as `GET /usage/rate-limits` returns it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RateLimits {
    pub(crate) plan: Option<String>,
    /// Requests per minute; `None`: no limit.
    pub(crate) per_minute: Option<u64>,
    /// Requests of the current minute.
    pub(crate) used: Option<u64>,
    /// Seconds until the current minute is over.
    pub(crate) reset_in_seconds: Option<u64>,
}

impl RateLimits {
    /// Reads the flat shape of the SDKs, or the nested one of the documentation.
    pub(crate) fn from_json(value: &Value) -> Result<Self, UnknownShape> {
        let nested = value.get("rate_limit").unwrap_or(&Value::Null);
        let number = |flat: &str, deep: &str| value[flat].as_u64().or_else(|| nested[deep].as_u64());
        let unlimited = value["unlimited"].as_bool().unwrap_or(false);
        let per_minute = number("limit", "rpm").filter(|_| !unlimited);
        if per_minute.is_none() && !unlimited {
            return Err(UnknownShape);
        }
        let window = value["window_seconds"].as_u64().filter(|seconds| *seconds > 0).unwrap_or(60);
        Ok(Self {
            plan: value["plan"].as_str().map(str::to_owned),
            per_minute: per_minute.map(|limit| (limit * 60 / window).max(1)),
            used: number("used", "used"),
            reset_in_seconds: number("reset_in_seconds", "reset_in_seconds"),
        })
    }
}

impl RateLimits {
    /// Returns whether the current minute has room for another request, as far as is known.
    pub(crate) fn has_room(&self) -> bool {
        self.per_minute.zip(self.used).is_none_or(|(limit, used)| used < limit)
    }
}

/// A schedule of FlexOrch's Scheduled Sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Schedule {
    /// Its id, a number or text.
    pub(crate) id: Value,
    /// When it runs: five fields, in UTC.
    pub(crate) cron_expression: Option<String>,
    /// The prefix that it lists; `None`: the connector's.
    pub(crate) prefix_filter: Option<String>,
    pub(crate) is_active: Option<bool>,
    /// When it last ran.
    pub(crate) last_run_at: Option<String>,
    pub(crate) next_run_at: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ScheduleRun {
    /// `completed`, `failed`, ….
    pub(crate) status: Option<String>,
    /// When it began.
    pub(crate) started_at: Option<String>,
    /// When it ended.
    pub(crate) completed_at: Option<String>,
    /// Objects that it listed.
    pub(crate) files_found: Option<u64>,
    /// Objects that it submitted.
    pub(crate) files_new: Option<u64>,
    /// Objects that had been submitted before.
    pub(crate) files_skipped: Option<u64>,
    /// Objects that could not be submitted.
    pub(crate) files_failed: Option<u64>,
    /// Why it failed.
    pub(crate) error_message: Option<String>,
}

/// Formats FlexOrch's timestamps for people, to the second. Returns other text unchanged.
pub(crate) fn moment(text: &str) -> String {
    text.parse::<Timestamp>().map_or_else(|_| text.to_owned(), |time| time.strftime("%F %T UTC").to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rates_are_read_from_both_shapes() {
        let flat = json!({"plan": "starter", "unlimited": false, "limit": 60, "used": 12, "window_seconds": 60});
        let nested = json!({"plan": "starter", "rate_limit": {"rpm": 60, "used": 12, "reset_in_seconds": 34}});
        for shape in [flat, nested] {
            let rate = RateLimits::from_json(&shape).unwrap();
            assert_eq!((rate.per_minute, rate.used, rate.plan.as_deref()), (Some(60), Some(12), Some("starter")));
        }
        assert_eq!(RateLimits::from_json(&json!({"unlimited": true, "limit": null})).unwrap().per_minute, None);
        assert_eq!(RateLimits::from_json(&json!({"plan": "starter"})), Err(UnknownShape));
    }

    #[test]
    fn a_connector_may_have_an_id_of_either_type_and_no_configuration() {
        let read = |json| ConnectorView::from_json(serde_json::from_str(json).unwrap());
        let bare = read(r#"{"id": "c-1"}"#).unwrap();
        assert_eq!((bare.id.to_string().as_str(), bare.bucket), ("c-1", None));
        assert_eq!(read(r#"{"name": "no id"}"#), Err(UnknownShape));
        assert_eq!(read(r#"{"id": null}"#), Err(UnknownShape));
    }

    #[test]
    fn a_connectors_id_beyond_64_bits_is_read_and_written_digit_by_digit() {
        let json = r#"{"name": "n", "id": 123456789012345678901234567890}"#;
        let view = ConnectorView::from_json(serde_json::from_str(json).unwrap()).unwrap();
        assert!(serde_json::to_string(&view).unwrap().contains(r#""id":123456789012345678901234567890,"#));
    }
}
