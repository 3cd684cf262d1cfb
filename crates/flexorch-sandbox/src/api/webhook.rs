//! Webhooks: where FlexOrch reports what happened to jobs, and which datasets it exports.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::super::{clock::Moment, hex, options::WebhookSecrets};
use super::response::ApiError;

/// The events that a webhook can subscribe to.
const EVENTS: [&str; 4] = ["job.completed", "job.failed", "dataset.ready", "quota.warning"];

/// The body of `POST /webhooks`. It has no `Debug` because it may hold the signing secret.
#[derive(Deserialize)]
pub(crate) struct NewWebhook {
    #[serde(default)]
    url: Value,
    #[serde(default)]
    events: Value,
    #[serde(default)]
    secret: Value,
    #[serde(default)]
    auto_export: Value,
}

/// The secret that deliveries are signed with. It is shown once, if FlexOrch made it, and never if the caller gave it.
#[derive(Clone)]
struct SigningSecret(String);

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret")
    }
}

/// A webhook of one tenant.
#[derive(Clone, Debug)]
pub(crate) struct Webhook {
    pub(crate) id: u64,
    url: String,
    events: Vec<String>,
    secret: SigningSecret,
    /// `connector_id`, `format` and `prefix`, as they were given.
    auto_export: Option<Map<String, Value>>,
    created: Moment,
}

/// A delivery to make: its body, signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) webhook: u64,
    pub(crate) url: String,
    pub(crate) event: String,
    pub(crate) job_id: String,
    pub(crate) body: String,
    /// Hexadecimal HMAC-SHA256 of the body.
    pub(crate) signature: String,
}

impl Webhook {
    /// Checks a new webhook, and returns it with its representation, which alone has the secret that was made for it.
    pub(crate) fn create(
        id: u64,
        new: NewWebhook,
        secrets: WebhookSecrets,
        now: Moment,
    ) -> Result<(Self, Value), ApiError> {
        let url = new.url.as_str().filter(|url| url.starts_with("https://") || url.starts_with("http://"));
        let url = url.ok_or_else(|| ApiError::validation("url must be an HTTP URL."))?;
        let events: Vec<String> = serde_json::from_value(new.events).unwrap_or_default();
        if events.is_empty() || events.iter().any(|event| !EVENTS.contains(&event.as_str())) {
            let message = format!("events must be a list of {}.", EVENTS.join(", "));
            return Err(ApiError::validation(message));
        }
        let given = match new.secret {
            Value::Null => None,
            Value::String(secret) if !secret.is_empty() => Some(secret),
            _ => return Err(ApiError::validation("secret must be text.")),
        };
        let auto_export = match new.auto_export {
            Value::Null => None,
            Value::Object(export) if export.contains_key("connector_id") => Some(export),
            _ => return Err(ApiError::validation("auto_export must be an object with a connector_id.")),
        };
        let (secret, made) = match (secrets, given) {
            (WebhookSecrets::Either | WebhookSecrets::Given, Some(secret)) => (secret, false),
            (WebhookSecrets::Given, None) => return Err(ApiError::validation("secret is missing.")),
            (WebhookSecrets::Either, None) | (WebhookSecrets::Made, _) => {
                (format!("whsec_{:032x}", fastrand::u128(..)), true)
            }
        };
        let (url, secret) = (url.to_owned(), SigningSecret(secret));
        let webhook = Self { id, url, events, secret, auto_export, created: now };
        let mut shown = webhook.show();
        if made {
            shown["secret"] = webhook.secret.0.as_str().into();
        }
        Ok((webhook, shown))
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

    /// Returns the delivery of an event, if the webhook subscribes to it.
    pub(crate) fn notice(&self, event: &str, payload: &Value, now: Moment) -> Option<Notice> {
        if !self.events.iter().any(|wanted| wanted == event) {
            return None;
        }
        let mut payload = payload.clone();
        payload["timestamp"] = now.whole_second().rfc3339().replace(".000Z", "Z").into();
        let body = payload.to_string();
        Some(Notice {
            webhook: self.id,
            url: self.url.clone(),
            event: event.to_owned(),
            job_id: payload["job_id"].as_str().unwrap_or_default().to_owned(),
            signature: sign(&self.secret, body.as_bytes())?,
            body,
        })
    }
}

/// Returns the hexadecimal HMAC-SHA256 of a body; HMAC takes keys of any length.
fn sign(secret: &SigningSecret, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.0.as_bytes()).ok()?;
    mac.update(body);
    Some(hex::encode(&mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Moment = Moment::from_epoch(Duration::from_millis(1_705_314_600_250));

    fn create(secrets: WebhookSecrets, secret: &Value) -> Result<(Webhook, Value), ApiError> {
        let body = json!({"url": "http://127.0.0.1:1/hook", "events": ["job.completed"], "secret": secret});
        Webhook::create(1, serde_json::from_value(body).unwrap(), secrets, NOW)
    }

    #[test]
    fn a_signature_is_the_hexadecimal_hmac_sha256_of_the_body() {
        // RFC 4231, test case 2.
        let signature = sign(&SigningSecret("Jefe".to_owned()), b"what do ya want for nothing?").unwrap();
        assert_eq!(signature, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn a_secret_is_kept_if_it_is_given_and_shown_once_if_it_is_made() {
        let (given, shown) = create(WebhookSecrets::Either, &json!("whsec_hidden")).unwrap();
        assert_eq!((given.secret.0.as_str(), shown.get("secret")), ("whsec_hidden", None));
        assert!(!format!("{given:?}").contains("hidden"));
        for (secrets, secret) in [(WebhookSecrets::Either, Value::Null), (WebhookSecrets::Made, json!("whsec_hidden"))]
        {
            let (made, shown) = create(secrets, &secret).unwrap();
            assert_eq!(shown["secret"], made.secret.0);
            assert!(made.secret.0.len() >= 32 && !made.secret.0.contains("hidden"));
            assert_eq!(made.show().get("secret"), None);
        }
        assert_eq!(create(WebhookSecrets::Given, &Value::Null).unwrap_err().status, 422);
        assert_eq!(create(WebhookSecrets::Either, &json!(7)).unwrap_err().status, 422);
    }

    #[test]
    fn a_notice_is_made_for_the_events_that_were_asked_for() {
        let (webhook, _) = create(WebhookSecrets::Given, &json!("s")).unwrap();
        let payload = json!({"event": "job.completed", "job_id": "j-1"});
        let notice = webhook.notice("job.completed", &payload, NOW).unwrap();
        let body: Value = serde_json::from_str(&notice.body).unwrap();
        assert_eq!((notice.job_id.as_str(), &body["timestamp"]), ("j-1", &json!("2024-01-15T10:30:00Z")));
        assert_eq!(webhook.notice("job.failed", &payload, NOW), None);
    }
}
