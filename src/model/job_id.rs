//! The id of a FlexOrch job.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Number, Value};

/// The id of a job: FlexOrch names it by a string or by a number, and a receipt repeats it as received. Everything else uses its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobId {
    text: String,
    is_number: bool,
}

impl JobId {
    /// Returns the id in a JSON string or number; `None` for anything else.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self { text: text.clone(), is_number: false }),
            Value::Number(number) => Some(Self { text: number.to_string(), is_number: true }),
            _ => None,
        }
    }

    /// Returns the id's text, without the quotes of JSON.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl From<String> for JobId {
    fn from(text: String) -> Self {
        Self { text, is_number: false }
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.text.parse::<Number>() {
            Ok(number) if self.is_number => number.serialize(serializer),
            _ => self.text.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_id_is_written_as_it_was_received() {
        for json in ["7", "-7", "18446744073709551615", "1.5", "\"7\"", "\"job_1\"", "\"\"", "\"a\\\"b\""] {
            let id = JobId::from_json(&serde_json::from_str(json).unwrap()).unwrap();
            assert_eq!(serde_json::to_string(&id).unwrap(), json);
        }
        assert_eq!(JobId::from_json(&json!(7)).unwrap().as_str(), JobId::from_json(&json!("7")).unwrap().as_str());
        assert_eq!(
            [json!(null), json!(true), json!([1]), json!({})].map(|value| JobId::from_json(&value)),
            [const { None }; 4]
        );
    }
}
