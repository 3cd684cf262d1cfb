//! What FlexOrch's pages and SDKs show of connectors, rates and schedules, read as leniently as they differ.

use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use flexorch_s3_ingester::model::credentials::ConnectorId;

/// A connector as FlexOrch shows it (FlexOrch documentation, "Amazon S3 connector"). What it does not show is `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConnectorView {
    /// Its id.
    pub id: ConnectorId,
    /// Its name.
    pub name: Option<String>,
    /// `s3`, for ours.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Whether it may be used.
    pub active: Option<bool>,
    /// The bucket that it reads.
    pub bucket: Option<String>,
    /// The bucket's region.
    pub region: Option<String>,
    /// The prefix that it reads.
    pub prefix: Option<String>,
    /// When it was made.
    pub created_at: Option<String>,
    /// When it was last tested.
    pub last_tested_at: Option<String>,
    /// When documents were last submitted through it.
    pub last_used_at: Option<String>,
}

impl ConnectorView {
    pub(super) fn from_json(json: &RawValue) -> Option<Self> {
        let value: Value = serde_json::from_str(json.get()).ok()?;
        // From the text: a number in a `Value` may lose digits.
        let identified: Identified<'_> = serde_json::from_str(json.get()).ok()?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let config = value.get("config").unwrap_or(&Value::Null);
        Some(Self {
            id: ConnectorId::from_json(identified.id?)?,
            name: text(&value["name"]),
            kind: text(&value["type"]),
            active: value["active"].as_bool(),
            bucket: text(&config["bucket"]),
            region: text(&config["region"]),
            prefix: text(&config["prefix"]),
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

/// The two AWS credentials that FlexOrch reads the bucket with. They cannot be printed.
#[derive(Debug, Clone)]
pub struct AwsCredentials {
    /// The access key's id.
    pub access_key_id: SecretString,
    /// The access key's secret part.
    pub secret_access_key: SecretString,
}

/// A connector to be made.
#[derive(Debug, Clone)]
pub struct NewConnector {
    /// What FlexOrch's pages will call it.
    pub name: String,
    /// The bucket that it is to read.
    pub bucket: String,
    /// The bucket's region.
    pub region: String,
    /// The prefix that it is to read; empty for the whole bucket.
    pub prefix: String,
    /// What FlexOrch reads the bucket with.
    pub credentials: AwsCredentials,
}

/// What a connector's test found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConnectorTest {
    /// Whether FlexOrch can read the bucket.
    pub success: bool,
    /// FlexOrch's words.
    pub message: String,
    /// Milliseconds that the bucket took to answer, where FlexOrch says so.
    pub latency_ms: Option<u64>,
}

/// The plan's rate, as `GET /usage/rate-limits` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RateLimits {
    /// The plan's name.
    pub plan: Option<String>,
    /// Requests a minute; `None`: no limit.
    pub per_minute: Option<u64>,
    /// Requests of the current minute.
    pub used: Option<u64>,
    /// Seconds until the current minute is over.
    pub reset_in_seconds: Option<u64>,
}

impl RateLimits {
    /// Reads the flat shape that the SDKs know, and the nested one of the documentation.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let nested = value.get("rate_limit").unwrap_or(&Value::Null);
        let number = |flat: &str, deep: &str| value[flat].as_u64().or_else(|| nested[deep].as_u64());
        let unlimited = value["unlimited"].as_bool().unwrap_or(false);
        let per_minute = number("limit", "rpm").filter(|_| !unlimited);
        if per_minute.is_none() && !unlimited {
            return None;
        }
        let window = value["window_seconds"].as_u64().filter(|seconds| *seconds > 0).unwrap_or(60);
        Some(Self {
            plan: value["plan"].as_str().map(str::to_owned),
            per_minute: per_minute.map(|limit| (limit * 60 / window).max(1)),
            used: number("used", "used"),
            reset_in_seconds: number("reset_in_seconds", "reset_in_seconds"),
        })
    }
}

/// A schedule of FlexOrch's Scheduled Sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its id, a number or text.
    pub id: Value,
    /// When it runs: five fields, in UTC.
    #[serde(default)]
    pub cron_expression: Option<String>,
    /// The prefix that it lists; `None`: the connector's.
    #[serde(default)]
    pub prefix_filter: Option<String>,
    /// Whether it runs.
    #[serde(default)]
    pub is_active: Option<bool>,
    /// When it last ran.
    #[serde(default)]
    pub last_run_at: Option<String>,
    /// When it runs next.
    #[serde(default)]
    pub next_run_at: Option<String>,
}

/// A run of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleRun {
    /// `completed`, `failed`, ….
    #[serde(default)]
    pub status: Option<String>,
    /// When it began.
    #[serde(default)]
    pub started_at: Option<String>,
    /// When it ended.
    #[serde(default)]
    pub completed_at: Option<String>,
    /// Objects that it listed.
    #[serde(default)]
    pub files_found: Option<u64>,
    /// Objects that it submitted.
    #[serde(default)]
    pub files_new: Option<u64>,
    /// Objects that had been submitted before.
    #[serde(default)]
    pub files_skipped: Option<u64>,
    /// Objects that could not be submitted.
    #[serde(default)]
    pub files_failed: Option<u64>,
    /// Why it failed.
    #[serde(default)]
    pub error_message: Option<String>,
}

/// A moment as FlexOrch writes it, for people: to the second.
#[must_use]
pub fn moment(text: &str) -> String {
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
        assert_eq!(RateLimits::from_json(&json!({"plan": "starter"})), None);
    }

    #[test]
    fn a_connector_may_have_an_id_of_either_type_and_no_configuration() {
        let read = |json| ConnectorView::from_json(serde_json::from_str(json).unwrap());
        let bare = read(r#"{"id": "c-1"}"#).unwrap();
        assert_eq!((bare.id.to_string().as_str(), bare.bucket), ("c-1", None));
        assert_eq!(read(r#"{"name": "no id"}"#), None);
        assert_eq!(read(r#"{"id": null}"#), None);
    }

    #[test]
    fn a_connectors_id_beyond_64_bits_is_read_and_written_digit_by_digit() {
        let json = r#"{"name": "n", "id": 123456789012345678901234567890}"#;
        let view = ConnectorView::from_json(serde_json::from_str(json).unwrap()).unwrap();
        assert!(serde_json::to_string(&view).unwrap().contains(r#""id":123456789012345678901234567890,"#));
    }
}
