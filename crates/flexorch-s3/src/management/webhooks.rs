//! FlexOrch's webhooks: where it delivers how jobs ended, and which of them export datasets into a bucket.

use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{CallError, Management, Repeatable};
use flexorch_s3_ingester::flexorch::client::segment;
use flexorch_s3_ingester::flexorch::response::ApiError;
use flexorch_s3_ingester::model::credentials::ConnectorId;
use flexorch_s3_ingester::redaction;

/// The events that say how a job ended.
pub(crate) const JOB_EVENTS: [&str; 2] = ["job.completed", "job.failed"];

/// A webhook. Its signing secret is never listed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Webhook {
    /// Its id, a number or text, as text.
    pub(crate) id: String,
    /// Where it delivers to; empty if the response does not say.
    pub(crate) url: String,
    /// What it delivers.
    pub(crate) events: Vec<String>,
    /// Whether it is enabled.
    pub(crate) active: bool,
    /// When it was created, as FlexOrch writes it.
    pub(crate) created_at: Option<String>,
    #[serde(skip)]
    pub(crate) export: Option<AutoExport>,
}

/// A webhook that exports datasets into a bucket.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AutoExport {
    /// The webhook's id.
    pub(crate) webhook: String,
    /// The connector that the datasets are written through; `None` if the response does not name it.
    pub(crate) connector: Option<ConnectorId>,
    /// The file format, such as `xlsx`; `None` if the response does not name it.
    pub(crate) format: Option<String>,
    /// What the exports' keys start with.
    pub(crate) prefix: String,
}

/// A webhook that was just created.
#[derive(Debug)]
pub(crate) struct CreatedWebhook {
    /// Its id, as text.
    pub(crate) id: String,
    /// The signing secret, if the response has one: FlexOrch may make it itself (FlexOrch's SDKs).
    pub(crate) secret: Option<SecretString>,
}

/// FlexOrch's own default (FlexOrch documentation, "Webhooks").
const DEFAULT_PREFIX: &str = "exports/";

impl Webhook {
    pub(crate) fn delivers_to(&self, url: &Url) -> bool {
        Url::parse(&self.url).is_ok_and(|own| own == *url)
    }

    /// Returns whether it reports how every job ended.
    pub(crate) fn reports_jobs(&self) -> bool {
        self.active && JOB_EVENTS.iter().all(|event| self.events.iter().any(|own| own == event))
    }
}

impl Management {
    /// Lists the webhooks: `GET /webhooks`.
    ///
    /// # Errors
    /// [`CallError`], also if the response is not a list.
    pub(crate) async fn webhooks(&self) -> Result<Vec<Webhook>, CallError> {
        let payload = self.get("webhooks").await?;
        read(&payload.0).ok_or_else(|| self.unreadable("GET", "webhooks"))
    }

    /// Registers a webhook for the results of jobs: `POST /webhooks`. Without a response, it may have been registered nevertheless.
    ///
    /// # Errors
    /// [`CallError`], also if the response names no id.
    pub(crate) async fn create_webhook(&self, url: &Url, secret: &SecretString) -> Result<CreatedWebhook, CallError> {
        let body = json!({"url": url.as_str(), "events": JOB_EVENTS, "secret": secret.expose_secret()});
        let payload = self.call(Method::POST, "webhooks", Some(body), Repeatable::OnlyIfRefused).await?;
        created(&payload.0).ok_or_else(|| self.unreadable("POST", "webhooks"))
    }

    /// Deletes a webhook, if it exists: `DELETE /webhooks/{id}`.
    ///
    /// # Errors
    /// [`CallError`], also if FlexOrch does not find a webhook that it lists.
    pub(crate) async fn delete_webhook(&self, id: &str) -> Result<(), CallError> {
        match self.delete(&format!("webhooks/{}", segment(id))).await {
            Err(error) if error.is_not_found() => match self.webhooks().await {
                Ok(webhooks) if webhooks.iter().all(|webhook| webhook.id != id) => Ok(()),
                Ok(_) => {
                    let message = format!("{}; but GET /webhooks still lists it", error.error);
                    Err(CallError { error: ApiError::transport(message), ..error })
                }
                Err(_) => Err(error),
            },
            result => result,
        }
    }
}

/// A list of webhooks, by the names that it may have.
#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow, alias = "webhooks")]
    items: Vec<&'a RawValue>,
}

/// The ids as they are written, because a number in a `Value` may lose digits.
#[derive(Default, Deserialize)]
struct Ids<'a> {
    #[serde(borrow, alias = "webhook_id")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    auto_export: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct ExportIds<'a> {
    #[serde(borrow)]
    connector_id: Option<&'a RawValue>,
}

impl Ids<'_> {
    fn read(webhook: &RawValue) -> Ids<'_> {
        serde_json::from_str(webhook.get()).unwrap_or_default()
    }

    fn text(&self) -> Option<String> {
        Some(ConnectorId::from_json(self.id?)?.to_string())
    }
}

/// Reads the response to a creation: the webhook, or an object around it.
fn created(json: &RawValue) -> Option<CreatedWebhook> {
    #[derive(Deserialize)]
    struct Around<'a> {
        #[serde(borrow)]
        webhook: Option<&'a RawValue>,
    }
    let around: Option<Around<'_>> = serde_json::from_str(json.get()).ok();
    let webhook = around.and_then(|around| around.webhook).unwrap_or(json);
    let secret = |json: &RawValue| {
        let fields: Value = serde_json::from_str(json.get()).ok()?;
        let text = ["secret", "signing_secret"].into_iter().find_map(|field| fields[field].as_str());
        text.map(str::trim).filter(|text| !text.is_empty()).map(|text| {
            redaction::register(text);
            SecretString::from(text)
        })
    };
    Some(CreatedWebhook { id: Ids::read(webhook).text()?, secret: secret(webhook).or_else(|| secret(json)) })
}

/// Reads webhooks from a bare list or one in an object; nothing at all is an empty list. Returns `None` for any other shape.
fn read(json: &RawValue) -> Option<Vec<Webhook>> {
    let json = json.get();
    if json == "null" {
        return Some(Vec::new());
    }
    let items = serde_json::from_str(json).or_else(|_| serde_json::from_str(json).map(|list: List<'_>| list.items));
    Some(items.ok()?.into_iter().filter_map(one).collect())
}

fn one(webhook: &RawValue) -> Option<Webhook> {
    let fields: Value = serde_json::from_str(webhook.get()).ok().filter(Value::is_object)?;
    let id = Ids::read(webhook).text().unwrap_or_else(|| "without id".to_owned());
    let text = |field: &str| fields[field].as_str().map(str::to_owned);
    let events = fields["events"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    Some(Webhook {
        url: text("url").unwrap_or_default(),
        events: events.collect(),
        active: !is_off(&fields),
        created_at: text("created_at"),
        export: export_of(webhook, &fields, &id),
        id,
    })
}

fn is_off(value: &Value) -> bool {
    ["active", "enabled", "is_active"].iter().any(|field| value[*field] == Value::Bool(false))
}

/// Returns what a webhook exports, if it is enabled and exports anything.
fn export_of(webhook: &RawValue, fields: &Value, id: &str) -> Option<AutoExport> {
    let export = fields.get("auto_export").filter(|export| !matches!(export, Value::Null | Value::Bool(false)))?;
    if is_off(fields) || is_off(export) {
        return None;
    }
    let of_export: ExportIds<'_> =
        Ids::read(webhook).auto_export.and_then(|export| serde_json::from_str(export.get()).ok()).unwrap_or_default();
    let text = |field: &str| export[field].as_str().map(str::to_owned);
    Some(AutoExport {
        webhook: id.to_owned(),
        connector: of_export.connector_id.and_then(ConnectorId::from_json),
        format: text("format"),
        prefix: text("prefix").unwrap_or_else(|| DEFAULT_PREFIX.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exports(json: &str) -> Option<Vec<AutoExport>> {
        let webhooks = read(&RawValue::from_string(json.to_owned()).unwrap())?;
        Some(webhooks.into_iter().filter_map(|webhook| webhook.export).collect())
    }

    #[test]
    fn webhooks_that_export_are_read_from_every_list() {
        let one = r#"{"id":"wh_1","url":"https://x","events":["job.completed"],
            "auto_export":{"connector_id":123456789012345678901,"format":"xlsx","prefix":"out/"}}"#;
        for list in [format!("[{one}]"), format!("{{\"items\":[{one}]}}"), format!("{{\"webhooks\":[{one}]}}")] {
            let [found] = exports(&list).unwrap().try_into().unwrap();
            let AutoExport { webhook, connector, format, prefix } = found;
            assert_eq!(connector.unwrap().to_string(), "123456789012345678901");
            assert_eq!((webhook.as_str(), format.as_deref(), prefix.as_str()), ("wh_1", Some("xlsx"), "out/"));
        }
        assert_eq!(exports("null"), Some(Vec::new()));
        assert_eq!(exports(r#"{"error":"?"}"#), None);
    }

    #[test]
    fn a_webhook_without_export_or_that_is_off_exports_nothing_and_one_without_a_prefix_has_the_default() {
        for webhook in [
            r#"{"id":1}"#,
            r#"{"id":1,"auto_export":null}"#,
            r#"{"id":1,"auto_export":false}"#,
            r#"{"id":1,"active":false,"auto_export":{"connector_id":1}}"#,
            r#"{"id":1,"auto_export":{"connector_id":1,"enabled":false}}"#,
        ] {
            assert_eq!(exports(&format!("[{webhook}]")), Some(Vec::new()), "{webhook}");
        }
        assert_eq!(exports(r#"[{"id":1,"auto_export":{"connector_id":1}}]"#).unwrap()[0].prefix, "exports/");
        assert_eq!(exports(r#"[{"id":1,"auto_export":true}]"#).unwrap()[0].connector, None);
    }

    #[test]
    fn a_created_webhook_may_have_a_secret_of_its_own_by_either_name_or_none() {
        let read = |json: &str| created(&RawValue::from_string(json.to_owned()).unwrap()).unwrap();
        for (json, secret) in [
            (r#"{"id": 7, "secret": "whsec_0123456789"}"#, Some("whsec_0123456789")),
            (r#"{"id": 7, "signing_secret": "whsec_0123456789"}"#, Some("whsec_0123456789")),
            (r#"{"webhook": {"id": 7}, "signing_secret": "whsec_0123456789"}"#, Some("whsec_0123456789")),
            (r#"{"id": "7", "secret": null}"#, None),
            (r#"{"id": 7, "secret": " "}"#, None),
        ] {
            let created = read(json);
            assert_eq!(
                (created.id.as_str(), created.secret.as_ref().map(|s| s.expose_secret())),
                ("7", secret),
                "{json}"
            );
        }
        assert!(created(&RawValue::from_string(r#"{"ok": true}"#.to_owned()).unwrap()).is_none());
    }

    #[test]
    fn a_webhook_reports_jobs_if_it_is_enabled_and_has_both_events() {
        for (webhook, reports) in [
            (r#"{"id":1,"url":"https://x","events":["job.failed","job.completed","quota.warning"]}"#, true),
            (r#"{"id":1,"url":"https://x","events":["job.failed"]}"#, false),
            (r#"{"id":1,"url":"https://x","events":["job.failed","job.completed"],"active":false}"#, false),
        ] {
            let list = read(&RawValue::from_string(format!("[{webhook}]")).unwrap()).unwrap();
            assert_eq!(list[0].reports_jobs(), reports, "{webhook}");
            assert!(list[0].delivers_to(&"https://x/".parse().unwrap()), "a root path may be left out");
        }
    }
}
