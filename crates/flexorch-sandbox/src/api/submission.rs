//! The body of `POST /data-process/async`: parsed strictly for the API, and leniently for the log and the faults.

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::{form, response::ApiError};

/// The document types that FlexOrch publishes, in lower case.
const SUPPORTED_EXTENSIONS: [&str; 13] =
    [".pdf", ".docx", ".txt", ".xlsx", ".html", ".htm", ".eml", ".msg", ".xml", ".jpg", ".jpeg", ".png", ".tiff"];

/// Returns whether FlexOrch accepts a file of this name.
pub(crate) fn is_supported(key: &str) -> bool {
    let name = key.rsplit('/').next().unwrap_or(key).to_ascii_lowercase();
    SUPPORTED_EXTENSIONS.iter().any(|extension| name.ends_with(extension))
}

/// Object keys to process, from one connector.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Submission {
    pub(crate) connector: String,
    pub(crate) keys: Vec<String>,
}

/// The body of a submission: unchanged, parsed leniently, and parsed strictly.
#[derive(Clone, Debug)]
pub(crate) struct ParsedBody {
    /// The JSON body, the form's fields as an object, or the text if it is neither.
    pub(crate) body: Value,
    /// `source.connector_id` with its JSON type, or null.
    pub(crate) connector_id: Value,
    /// The JSON text of `source.connector_id`: a number in a `Value` may lose digits.
    pub(crate) connector_id_text: String,
    /// Those of `source.keys` that are text.
    pub(crate) keys: Vec<String>,
    /// The submission, or the reason why it is refused.
    pub(crate) submission: Result<Submission, ApiError>,
}

impl ParsedBody {
    /// Returns the connector as text, whatever its JSON type.
    pub(crate) fn connector(&self) -> Option<String> {
        connector_as_text(&self.connector_id_text)
    }
}

/// Parses a body of this `Content-Type`.
pub(crate) fn parse(content_type: &str, bytes: &[u8]) -> ParsedBody {
    let (body, fields) = fields(content_type, bytes);
    let source = fields.as_ref().ok().and_then(|fields| fields.get("source")).cloned().unwrap_or(Value::Null);
    let keys = source["keys"]
        .as_array()
        .map_or_else(Vec::new, |keys| keys.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    let connector_id_text = connector_id_text(&body, bytes).unwrap_or_default();
    ParsedBody {
        body,
        connector_id: source["connector_id"].clone(),
        keys,
        submission: fields.and_then(|fields| submission(&fields, &connector_id_text)),
        connector_id_text,
    }
}

/// Returns the JSON text of `source.connector_id`. A form's `source` is text that holds JSON.
fn connector_id_text(body: &Value, bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Outer<'a> {
        #[serde(borrow)]
        source: &'a RawValue,
    }
    #[derive(Deserialize)]
    struct Source<'a> {
        #[serde(borrow)]
        connector_id: &'a RawValue,
    }
    let source = match body.get("source") {
        Some(Value::String(text)) => text.as_str(),
        _ => serde_json::from_slice::<Outer<'_>>(bytes).ok()?.source.get(),
    };
    Some(serde_json::from_str::<Source<'_>>(source).ok()?.connector_id.get().to_owned())
}

/// Returns the body unchanged, and its fields with `source` and `pipeline_config` as JSON, from either encoding.
fn fields(content_type: &str, bytes: &[u8]) -> (Value, Result<Map<String, Value>, ApiError>) {
    let text = || Value::String(String::from_utf8_lossy(bytes).into_owned());
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let fields: Map<String, Value> = form::decode(&String::from_utf8_lossy(bytes))
            .into_iter()
            .map(|(name, value)| (name, Value::String(value)))
            .collect();
        return (Value::Object(fields.clone()), with_json_fields_parsed(fields));
    }
    if media_type.eq_ignore_ascii_case("multipart/form-data") {
        let message = "The sandbox accepts no uploads: send object keys, as JSON or as a form with the field source.";
        return (Value::Null, Err(ApiError::missing_input(message)));
    }
    let is_json = media_type.eq_ignore_ascii_case("application/json")
        || (media_type.starts_with("application/") && media_type.ends_with("+json"));
    if !is_json {
        let message =
            format!("No files and no source: Content-Type {media_type:?} is neither application/json nor a form.");
        return (text(), Err(ApiError::missing_input(message)));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(fields)) => (Value::Object(fields.clone()), Ok(fields)),
        Ok(other) => (other, Err(ApiError::validation("The body must be a JSON object."))),
        Err(error) => (text(), Err(ApiError::validation(format!("The body is not JSON: {error}.")))),
    }
}

fn with_json_fields_parsed(mut fields: Map<String, Value>) -> Result<Map<String, Value>, ApiError> {
    for name in ["source", "pipeline_config"] {
        let Some(Value::String(text)) = fields.get(name) else {
            continue;
        };
        let value = serde_json::from_str(text)
            .map_err(|error| ApiError::validation(format!("{name} is not JSON: {error}.")))?;
        fields.insert(name.to_owned(), value);
    }
    Ok(fields)
}

fn submission(fields: &Map<String, Value>, connector_id: &str) -> Result<Submission, ApiError> {
    let source = match fields.get("source") {
        None | Some(Value::Null) => {
            let message = "Provide source with a connector_id and keys.";
            return Err(ApiError::missing_input(message));
        }
        Some(source) => source.as_object().ok_or_else(|| ApiError::validation("source must be an object."))?,
    };
    let connector = connector_as_text(connector_id)
        .ok_or_else(|| ApiError::validation("source.connector_id must be a number or text."))?;
    let keys = keys(source.get("keys"))?;
    if !matches!(fields.get("pipeline_config"), None | Some(Value::Null | Value::Object(_))) {
        return Err(ApiError::validation("pipeline_config must be an object."));
    }
    if !matches!(fields.get("locale"), None | Some(Value::Null | Value::String(_))) {
        return Err(ApiError::validation("locale must be text."));
    }
    Ok(Submission { connector, keys })
}

fn keys(value: Option<&Value>) -> Result<Vec<String>, ApiError> {
    let listed = value
        .and_then(Value::as_array)
        .filter(|keys| !keys.is_empty())
        .ok_or_else(|| ApiError::validation("source.keys must list one object key at least."))?;
    let mut seen = std::collections::HashSet::new();
    listed
        .iter()
        .map(|key| {
            let key = key
                .as_str()
                .filter(|key| !key.is_empty())
                .ok_or_else(|| ApiError::validation("Each of source.keys must be an object key."))?;
            if !seen.insert(key) {
                let message = format!("source.keys names {key:?} more than once.");
                return Err(ApiError::validation(message));
            }
            Ok(key.to_owned())
        })
        .collect()
}

/// Returns a connector's JSON as text: `42` and `"42"` are the same.
fn connector_as_text(json: &str) -> Option<String> {
    match json.as_bytes().first()? {
        b'0'..=b'9' => Some(json.to_owned()),
        _ => serde_json::from_str::<String>(json).ok().filter(|text| !text.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse_json(body: &Value) -> ParsedBody {
        parse("application/json", body.to_string().as_bytes())
    }

    fn code(body: &Value) -> String {
        let error = parse_json(body).submission.unwrap_err();
        format!("{} {}", error.status, error.code)
    }

    #[test]
    fn json_and_the_sdks_form_say_the_same() {
        let expected = Submission { connector: "42".to_owned(), keys: vec!["jan/a b+é.pdf".to_owned()] };
        let source = json!({"connector_id": 42, "keys": ["jan/a b+é.pdf"]});
        let json = parse_json(&json!({ "source": source }));
        assert_eq!(json.submission, Ok(expected.clone()));
        assert_eq!(json.connector_id, json!(42));

        let form = b"locale=und&source=%7B%22connector_id%22%3A+%2242%22%2C+%22keys%22%3A+%5B%22jan%2Fa+b%2B%C3%A9.pdf%22%5D%7D";
        let form = parse("application/x-www-form-urlencoded; charset=utf-8", form);
        assert_eq!(form.submission, Ok(expected));
        assert_eq!(form.connector_id, json!("42"));
        assert_eq!(form.body["locale"], "und");
    }

    #[test]
    fn a_missing_source_is_a_400_and_a_wrong_one_a_422() {
        let keys = |keys: Value| json!({"source": {"connector_id": 1, "keys": keys}});
        assert_eq!(code(&json!({})), "400 MISSING_INPUT");
        assert_eq!(code(&json!({"source": null})), "400 MISSING_INPUT");
        for wrong in [
            json!([]),
            json!({"source": "text"}),
            json!({"source": {"keys": ["a.pdf"]}}),
            json!({"source": {"connector_id": {}, "keys": ["a.pdf"]}}),
            json!({"source": {"connector_id": 1}}),
            keys(json!([])),
            keys(json!("a.pdf")),
            keys(json!([1])),
            keys(json!([""])),
            keys(json!(["a.pdf", "b.pdf", "a.pdf"])),
            json!({"source": {"connector_id": 1, "keys": ["a.pdf"]}, "pipeline_config": "x"}),
            json!({"source": {"connector_id": 1, "keys": ["a.pdf"]}, "locale": 3}),
        ] {
            assert_eq!(code(&wrong), "422 VALIDATION_ERROR", "{wrong}");
        }
    }

    #[test]
    fn a_body_that_is_neither_json_nor_a_form_is_refused_and_kept_for_the_log() {
        let parse_text = |content_type| parse(content_type, b"{oops");
        assert_eq!(parse_text("application/json").submission.unwrap_err().status, 422);
        assert_eq!(parse_text("application/json").body, json!("{oops"));
        assert_eq!(parse_text("").submission.unwrap_err().code, "MISSING_INPUT");
        let upload = parse_text("multipart/form-data; boundary=x");
        assert_eq!(upload.submission.unwrap_err().status, 400);
        let form = parse("application/x-www-form-urlencoded", b"source=%7Boops");
        assert_eq!(form.submission.unwrap_err().status, 422);
    }

    #[test]
    fn keys_are_kept_for_the_log_even_if_the_request_is_refused() {
        let refused = parse_json(&json!({"source": {"keys": ["a.pdf", "a.pdf"]}}));
        assert_eq!(refused.keys, ["a.pdf", "a.pdf"]);
        assert_eq!(refused.connector(), None);
    }

    #[test]
    fn the_published_types_are_supported_in_any_case_and_no_others() {
        for key in ["a.PDF", "x/b.tiff", "c.tar.docx", ".pdf"] {
            assert!(is_supported(key), "{key}");
        }
        for key in ["a.csv", "a.exe", "folder.pdf/", "pdf", "a.tif", ""] {
            assert!(!is_supported(key), "{key}");
        }
    }
}
