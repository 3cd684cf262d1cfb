//! FlexOrch's webhooks, as far as they write into a bucket.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{CallError, Management};
use flexorch_s3_ingester::model::credentials::ConnectorId;

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

/// FlexOrch's own default (FlexOrch documentation, "Webhooks").
const DEFAULT_PREFIX: &str = "exports/";

impl Management {
    /// Lists the webhooks that export datasets: `GET /webhooks`.
    ///
    /// # Errors
    /// [`CallError`], also if the response is not a list.
    pub(crate) async fn auto_exports(&self) -> Result<Vec<AutoExport>, CallError> {
        let payload = self.get("webhooks").await?;
        read(&payload.0).ok_or_else(|| self.unreadable("GET", "webhooks"))
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
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    auto_export: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct ExportIds<'a> {
    #[serde(borrow)]
    connector_id: Option<&'a RawValue>,
}

/// Reads the webhooks that export, from a bare list or one in an object; nothing at all is an empty list. Returns `None` for any other
/// shape.
fn read(json: &RawValue) -> Option<Vec<AutoExport>> {
    let json = json.get();
    if json == "null" {
        return Some(Vec::new());
    }
    let items = serde_json::from_str(json).or_else(|_| serde_json::from_str(json).map(|list: List<'_>| list.items));
    Some(items.ok()?.into_iter().filter_map(export_of).collect())
}

/// Returns what a webhook exports, if it is enabled and exports anything.
fn export_of(webhook: &RawValue) -> Option<AutoExport> {
    let fields: Value = serde_json::from_str(webhook.get()).ok()?;
    let ids: Ids<'_> = serde_json::from_str(webhook.get()).unwrap_or_default();
    let export = fields.get("auto_export").filter(|export| !matches!(export, Value::Null | Value::Bool(false)))?;
    let is_off = |value: &Value| ["active", "enabled"].iter().any(|field| value[*field] == Value::Bool(false));
    if is_off(&fields) || is_off(export) {
        return None;
    }
    let of_export: ExportIds<'_> =
        ids.auto_export.and_then(|export| serde_json::from_str(export.get()).ok()).unwrap_or_default();
    let text = |field: &str| export[field].as_str().map(str::to_owned);
    Some(AutoExport {
        webhook: ids.id.map_or_else(|| "without id".to_owned(), |id| id.get().trim_matches('"').to_owned()),
        connector: of_export.connector_id.and_then(ConnectorId::from_json),
        format: text("format"),
        prefix: text("prefix").unwrap_or_else(|| DEFAULT_PREFIX.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exports(json: &str) -> Option<Vec<AutoExport>> {
        read(&RawValue::from_string(json.to_owned()).unwrap())
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
}
