//! Removes secrets from text before it is shortened, logged, returned or sent on.
//!
//! FlexOrch and AWS may repeat what they were sent in their messages. Every secret that this process reads is therefore
//! registered here and removed at the edges: `flexorch` removes them from each response before anything else reads it,
//! [`telemetry`] from each log line, [`handler`] from what the function returns, and [`aws::sqs`] from the attributes of dead
//! letters.
//!
//! [`telemetry`]: crate::telemetry
//! [`handler`]: crate::handler
//! [`aws::sqs`]: crate::aws::sqs

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::config::variable;
use crate::model::connector::without_byte_order_mark;

/// The text that replaces a secret.
pub const REDACTED: &str = "[redacted]";

/// Shorter texts, in bytes, are not registered: removing them would garble ordinary words. FlexOrch's own keys begin with `dfx_`.
const SHORTEST: usize = 4;

/// Shorter AWS credentials, in bytes, are placeholders of local emulators (`test`, `minioadmin`) and no secrets. AWS's own have
/// at least 16 characters (IAM API Reference, "AccessKey").
const SHORTEST_OF_AWS: usize = 12;

/// The fields of a connector's secret that hold a secret; the last two are the names of FlexOrch's SDKs.
const SECRET_FIELDS: [&str; 5] =
    ["api_key", "aws_access_key_id", "aws_secret_access_key", "access_key_id", "secret_access_key"];

static KNOWN: LazyLock<RwLock<Arc<Redactor>>> = LazyLock::new(RwLock::default);

/// Registers a secret until the process ends.
pub fn register(secret: &str) {
    if secret.len() < SHORTEST || known().holds(secret) {
        return;
    }
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    Arc::make_mut(&mut known).add(secret);
}

/// Registers an AWS access key's id or secret, or a session token, unless it is an emulator's placeholder.
pub fn register_aws(credential: &str) {
    if credential.len() >= SHORTEST_OF_AWS {
        register(credential);
    }
}

/// Registers the credentials in the text of a connector's secret, even if the text does not describe a connector.
pub fn register_connector_secret(text: &str) {
    let Ok(Value::Object(fields)) = serde_json::from_str(without_byte_order_mark(text)) else { return };
    for name in SECRET_FIELDS {
        let Some(secret) = fields.get(name).and_then(Value::as_str).map(str::trim) else { continue };
        if name == "api_key" { register(secret) } else { register_aws(secret) }
    }
}

/// Registers the AWS credentials and the proxies' passwords of this process's environment.
pub(crate) fn register_environment() {
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
        variable(name).iter().for_each(|credential| register_aws(credential));
    }
    // reqwest reads each in upper and in lower case.
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        for name in [name.to_owned(), name.to_lowercase()] {
            variable(&name).and_then(|proxy| password_of(&proxy)).iter().flatten().for_each(|secret| register(secret));
        }
    }
}

/// Returns the password in a proxy's address, as it is written and decoded.
fn password_of(proxy: &str) -> Option<[String; 2]> {
    // Without a scheme it is an HTTP proxy.
    let url = if proxy.contains("://") { Url::parse(proxy) } else { Url::parse(&format!("http://{proxy}")) };
    let url = url.ok()?;
    let password = url.password()?;
    let decoded = percent_encoding::percent_decode_str(password).decode_utf8_lossy().into_owned();
    Some([password.to_owned(), decoded])
}

/// Returns a redactor of the secrets that are registered so far.
#[must_use]
pub fn known() -> Arc<Redactor> {
    Arc::clone(&KNOWN.read().unwrap_or_else(PoisonError::into_inner))
}

/// Removes the registered secrets from text.
#[must_use]
pub fn redacted(text: &str) -> String {
    known().redact(text).into_owned()
}

/// Removes a set of secrets from text, ignoring ASCII case.
#[derive(Clone)]
pub struct Redactor {
    /// Longest first, so that a secret that is a prefix of another does not leave the rest of it behind.
    secrets: Vec<SecretString>,
    /// The bytes that a secret begins with, in both cases.
    first: [bool; 256],
    /// The bytes that follow them.
    second: [bool; 256],
}

impl Default for Redactor {
    fn default() -> Self {
        Self { secrets: Vec::new(), first: [false; 256], second: [false; 256] }
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").field("secrets", &self.secrets.len()).finish_non_exhaustive()
    }
}

impl Redactor {
    /// A redactor of these secrets.
    #[must_use]
    pub fn of(secrets: &[&str]) -> Self {
        let mut redactor = Self::default();
        secrets.iter().filter(|secret| secret.len() >= SHORTEST).for_each(|secret| redactor.add(secret));
        redactor
    }

    fn holds(&self, secret: &str) -> bool {
        self.secrets.iter().any(|held| held.expose_secret() == secret)
    }

    fn add(&mut self, secret: &str) {
        // Also as written in a JSON string, and in JSON inside a JSON string: both differ only for a key with `"` or `\`.
        let escaped = in_json(secret);
        let escaped_twice = in_json(&escaped);
        for form in [secret, &escaped, &escaped_twice] {
            if self.holds(form) {
                continue;
            }
            for (bytes, byte) in [(&mut self.first, form.as_bytes()[0]), (&mut self.second, form.as_bytes()[1])] {
                bytes[usize::from(byte.to_ascii_lowercase())] = true;
                bytes[usize::from(byte.to_ascii_uppercase())] = true;
            }
            self.secrets.push(SecretString::from(form));
        }
        self.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose_secret().len()));
    }

    /// Returns the range of the first secret at or after `from`.
    fn find(&self, text: &[u8], from: usize) -> Option<Range<usize>> {
        let tail = text.get(from..)?;
        let starts = tail.iter().zip(tail.iter().skip(1)).enumerate();
        starts
            .filter(|(_, (first, second))| self.first[usize::from(**first)] && self.second[usize::from(**second)])
            .find_map(|(start, _)| {
                let length =
                    self.secrets.iter().map(|secret| secret.expose_secret().as_bytes()).find_map(|secret| {
                        let here = tail[start..].get(..secret.len())?;
                        here.eq_ignore_ascii_case(secret).then_some(secret.len())
                    })?;
                Some(from + start..from + start + length)
            })
    }

    /// Whether a JSON text may hold a secret. A text with escapes may: they can hide it.
    #[must_use]
    pub(crate) fn may_be_in_json(&self, json: &[u8]) -> bool {
        !self.secrets.is_empty() && (json.contains(&b'\\') || self.find(json, 0).is_some())
    }

    /// Removes the secrets from text.
    #[must_use]
    pub(crate) fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.secrets.is_empty() {
            return Cow::Borrowed(text);
        }
        let (mut clean, mut rest) = (String::new(), 0);
        while let Some(found) = self.find(text.as_bytes(), rest) {
            clean.push_str(&text[rest..found.start]);
            clean.push_str(REDACTED);
            rest = found.end;
        }
        if rest == 0 {
            return Cow::Borrowed(text);
        }
        clean.push_str(&text[rest..]);
        Cow::Owned(clean)
    }

    /// Removes the secrets from every text, number and field name of a JSON value.
    pub fn redact_json(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(clean) = self.redact(text) {
                    *text = clean;
                }
            }
            Value::Number(number) => {
                if let Cow::Owned(clean) = self.redact(&number.to_string()) {
                    *value = Value::String(clean);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact_json(item)),
            Value::Object(fields) => {
                if fields.keys().any(|name| matches!(self.redact(name), Cow::Owned(_))) {
                    let renamed = std::mem::take(fields).into_iter();
                    *fields =
                        renamed.map(|(name, value)| (self.redact(&name).into_owned(), value)).collect::<Map<_, _>>();
                }
                fields.values_mut().for_each(|value| self.redact_json(value));
            }
            Value::Null | Value::Bool(_) => {}
        }
    }
}

/// Returns text as it is written between the quotes of a JSON string.
fn in_json(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_secret_is_removed_wherever_it_stands_and_in_any_case() {
        let redactor = Redactor::of(&["dfx_abc", "dfx_abcdef"]);
        for (text, clean) in [
            ("dfx_abc", "[redacted]"),
            ("dfx_abcdef", "[redacted]"),
            ("ü dfx_abc, DFX_ABCDEFG and dfx_dfx_abc.", "ü [redacted], [redacted]G and dfx_[redacted]."),
            ("dfx_abdfx_ab", "dfx_abdfx_ab"),
            ("", ""),
            ("d", "d"),
        ] {
            assert_eq!(redactor.redact(text), clean, "{text}");
        }
        assert_eq!(Redactor::default().redact("dfx_abc"), "dfx_abc");
    }

    #[test]
    fn a_secret_is_removed_from_texts_numbers_and_field_names_of_json() {
        let redactor = Redactor::of(&["dfx_abc", "12345678"]);
        let mut value = json!({"dfx_abc": [{"id": "x dfx_abc"}, 12_345_678], "n": 1.5, "b": true, "z": null});
        redactor.redact_json(&mut value);
        assert_eq!(
            value,
            json!({"[redacted]": [{"id": "x [redacted]"}, "[redacted]"], "n": 1.5, "b": true, "z": null})
        );
    }

    #[test]
    fn a_json_text_is_searched_closely_only_if_it_may_hold_a_secret() {
        let redactor = Redactor::of(&["dfx_abc"]);
        assert!(!redactor.may_be_in_json(br#"{"data":{"job_ids":["dfx_1","j"]}}"#));
        assert!(redactor.may_be_in_json(br#"{"x":"Dfx_abc"}"#));
        assert!(redactor.may_be_in_json(br#"{"x":"\u0064fx_abc"}"#));
        assert!(!Redactor::default().may_be_in_json(br#"{"x":"\u0064fx_abc"}"#));
    }

    #[test]
    fn a_key_with_quotes_is_found_in_json_and_in_json_inside_json() {
        let key = r#"dfx_a"b\c"#;
        let redactor = Redactor::of(&[key]);
        let once = json!({ "key": key }).to_string();
        let twice = json!({ "inner": once }).to_string();
        for text in [key.to_owned(), once, twice] {
            let clean = redactor.redact(&text).into_owned();
            assert!(clean.contains(REDACTED) && !clean.contains("dfx_a"), "{text}: {clean}");
        }
    }

    #[test]
    fn the_secrets_of_a_connector_are_registered_even_if_it_is_malformed() {
        register_connector_secret("\u{feff}{\"api_key\": \"dfx_registered_2\"}");
        register_connector_secret(
            r#"{"api_key": " dfx_registered_1 ", "aws_access_key_id": "AKIAREGISTERED00", "aws_secret_access_key": "test"}"#,
        );
        register_connector_secret("not JSON");
        let text = "dfx_registered_1 AKIAREGISTERED00 test dfx_registered_2";
        assert_eq!(redacted(text), "[redacted] [redacted] test [redacted]");
    }

    #[test]
    fn a_proxys_password_is_read_as_it_stands_and_decoded() {
        for proxy in ["http://user:p%40ss@proxy:3128", "user:p%40ss@proxy:3128", "socks5://user:p%40ss@proxy"] {
            assert_eq!(password_of(proxy).unwrap(), ["p%40ss", "p@ss"], "{proxy}");
        }
        assert_eq!(password_of("http://proxy:3128"), None);
        assert_eq!(password_of(":::"), None);
    }

    #[test]
    fn a_redactor_cannot_be_printed() {
        assert!(!format!("{:?}", Redactor::of(&["dfx_abc"])).contains("abc"));
    }
}
