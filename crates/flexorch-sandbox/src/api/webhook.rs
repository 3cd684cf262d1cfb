//! Webhooks: where FlexOrch reports what became of jobs, and whether it exports datasets.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{super::clock::Moment, response::ApiError};

/// The events that a webhook may ask for.
const EVENTS: [&str; 4] = ["job.completed", "job.failed", "dataset.ready", "quota.warning"];

/// The body of `POST /webhooks`. It has no `Debug` because it may hold the signing secret.
#[derive(Deserialize)]
pub(crate) struct NewWebhook {
    #[serde(default)]
    url: Value,
    #[serde(default)]
    events: Value,
    #[serde(default)]
    auto_export: Value,
}

/// A webhook of one tenant.
#[derive(Clone, Debug)]
pub(crate) struct Webhook {
    pub(crate) id: u64,
    url: String,
    events: Vec<String>,
    /// `connector_id`, `format` and `prefix`, as they were given.
    auto_export: Option<Map<String, Value>>,
    created: Moment,
}

impl Webhook {
    /// Checks a new webhook.
    pub(crate) fn create(id: u64, new: NewWebhook, now: Moment) -> Result<Self, ApiError> {
        let url = new.url.as_str().filter(|url| url.starts_with("https://") || url.starts_with("http://"));
        let url = url.ok_or_else(|| ApiError::validation("url must be an HTTP URL."))?;
        let events: Vec<String> = serde_json::from_value(new.events).unwrap_or_default();
        if events.is_empty() || events.iter().any(|event| !EVENTS.contains(&event.as_str())) {
            let message = format!("events must be a list of {}.", EVENTS.join(", "));
            return Err(ApiError::validation(message));
        }
        let auto_export = match new.auto_export {
            Value::Null => None,
            Value::Object(export) if export.contains_key("connector_id") => Some(export),
            _ => return Err(ApiError::validation("auto_export must be an object with a connector_id.")),
        };
        Ok(Self { id, url: url.to_owned(), events, auto_export, created: now })
    }

    /// Returns the webhook in the API's form, without its signing secret.
    pub(crate) fn show(&self) -> Value {
        json!({
            "id": self.id,
            "url": self.url,
            "events": self.events,
            "auto_export": self.auto_export,
            "active": true,
            "created_at": self.created.rfc3339(),
        })
    }
}
