//! Attribute values: their JSON, their order, their size. Pure.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::error;
use crate::aws::error::AwsError;

/// An item: its attributes by name.
pub(crate) type Item = BTreeMap<String, Value>;

/// The value of an attribute. The sandbox does not have bytes, sets, null, and numbers with a fraction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// `S`.
    Text(String),
    /// `N`. DynamoDB has 38 digits (Developer Guide, "Naming rules and data types"), which fit.
    Number(i128),
    /// `BOOL`.
    Bool(bool),
    /// `L`.
    List(Vec<Self>),
    /// `M`.
    Map(Item),
}

/// The largest number, and its negation the smallest: 38 digits.
const MOST: i128 = 10_i128.pow(38) - 1;

impl Value {
    /// Parses a value in DynamoDB's JSON, `{"S": "text"}`.
    pub(crate) fn parse(json: &Json) -> Result<Self, AwsError> {
        let object = json.as_object().filter(|object| object.len() == 1);
        let Some((kind, value)) = object.and_then(|object| object.iter().next()) else {
            return Err(error::validation(
                "Supplied AttributeValue must contain exactly one of the supported datatypes",
            ));
        };
        let wrong = error::serialization;
        Ok(match kind.as_str() {
            "S" => Self::Text(value.as_str().ok_or_else(wrong)?.to_owned()),
            "N" => Self::number(value.as_str().ok_or_else(wrong)?)?,
            "BOOL" => Self::Bool(value.as_bool().ok_or_else(wrong)?),
            "L" => Self::List(value.as_array().ok_or_else(wrong)?.iter().map(Self::parse).collect::<Result<_, _>>()?),
            "M" => Self::Map(parse_item(value.as_object().ok_or_else(wrong)?)?),
            "B" | "NULL" | "SS" | "NS" | "BS" => {
                return Err(error::validation(format!("The sandbox has no values of type {kind}")));
            }
            _ => return Err(wrong()),
        })
    }

    fn number(text: &str) -> Result<Self, AwsError> {
        let number = text.parse().ok().filter(|number| (-MOST..=MOST).contains(number)).map(Self::Number);
        number.ok_or_else(|| {
            let message = "is not a number of at most 38 digits; the sandbox has no fractions and exponents";
            error::validation(format!("The parameter cannot be converted to a numeric value: {text} {message}"))
        })
    }

    /// Returns the value in DynamoDB's JSON.
    pub(crate) fn json(&self) -> Json {
        let value = match self {
            Self::Text(text) => json!(text),
            Self::Number(number) => json!(number.to_string()),
            Self::Bool(value) => json!(value),
            Self::List(values) => values.iter().map(Self::json).collect(),
            Self::Map(item) => item_json(item),
        };
        json!({ self.kind(): value })
    }

    /// Returns the value in plain JSON. A number beyond 64 bits, which readers of JSON may round, is text.
    pub(crate) fn plain(&self) -> Json {
        match self {
            Self::Text(text) => json!(text),
            Self::Number(number) => i64::try_from(*number).map_or_else(|_| json!(number.to_string()), Json::from),
            Self::Bool(value) => json!(value),
            Self::List(values) => values.iter().map(Self::plain).collect(),
            Self::Map(item) => plain_item(item),
        }
    }

    /// Returns the value that plain JSON represents; `None` if the sandbox does not have it.
    pub(crate) fn from_plain(json: &Json) -> Option<Self> {
        Some(match json {
            Json::Null => return None,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => Self::number(&number.to_string()).ok()?,
            Json::String(text) => Self::Text(text.clone()),
            Json::Array(values) => Self::List(values.iter().map(Self::from_plain).collect::<Option<_>>()?),
            Json::Object(fields) => Self::Map(item_from_plain(fields)?),
        })
    }

    /// Returns the type's name: `S`, `N`, …
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "S",
            Self::Number(_) => "N",
            Self::Bool(_) => "BOOL",
            Self::List(_) => "L",
            Self::Map(_) => "M",
        }
    }

    /// Returns the text; `None` for another type.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Compares two texts by their bytes, or two numbers. Values of other types are equal or have no order.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Number(a), Self::Number(b)) => Some(a.cmp(b)),
            (a, b) => (a == b).then_some(Ordering::Equal),
        }
    }

    /// Returns its size in bytes, about as DynamoDB counts (Developer Guide, "DynamoDB item sizes and formats").
    fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Number(number) => 1 + number.to_string().len().div_ceil(2),
            Self::Bool(_) => 1,
            Self::List(values) => 3 + values.iter().map(|value| 1 + value.size()).sum::<usize>(),
            Self::Map(item) => 3 + item.len() + item_size(item),
        }
    }
}

/// Parses an item in DynamoDB's JSON.
pub(crate) fn parse_item(fields: &Map<String, Json>) -> Result<Item, AwsError> {
    fields.iter().map(|(name, value)| Ok((name.clone(), Value::parse(value)?))).collect()
}

/// Returns an item in DynamoDB's JSON.
pub(crate) fn item_json(item: &Item) -> Json {
    Json::Object(item.iter().map(|(name, value)| (name.clone(), value.json())).collect())
}

/// Returns an item in plain JSON.
pub(crate) fn plain_item(item: &Item) -> Json {
    Json::Object(item.iter().map(|(name, value)| (name.clone(), value.plain())).collect())
}

/// Returns the item that a plain JSON object represents; `None` if the sandbox does not have a value in it.
pub(crate) fn item_from_plain(fields: &Map<String, Json>) -> Option<Item> {
    fields.iter().map(|(name, value)| Some((name.clone(), Value::from_plain(value)?))).collect()
}

/// Returns an item's size in bytes.
pub(crate) fn item_size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value.size()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_parsed_and_written_unchanged() {
        let most = "9".repeat(38);
        let all = json!({
            "text": {"S": "é"}, "number": {"N": "-15"}, "large": {"N": most}, "yes": {"BOOL": true},
            "list": {"L": [{"S": "a"}, {"N": "1"}]}, "map": {"M": {"a": {"S": ""}}},
        });
        let item = parse_item(all.as_object().unwrap()).unwrap();
        assert_eq!(item_json(&item), all);
        let plain = json!({"text": "é", "number": -15, "large": most, "yes": true, "list": ["a", 1], "map": {"a": ""}});
        assert_eq!(plain_item(&item), plain);
    }

    #[test]
    fn a_value_has_one_type_and_is_of_it() {
        for wrong in [
            json!({}),
            json!({"S": "a", "N": "1"}),
            json!({"S": 1}),
            json!({"N": 1}),
            json!({"N": "one"}),
            json!({"N": "1.5"}),
            json!({"N": "9".repeat(39)}),
            json!({"X": "a"}),
            json!({"SS": ["a"]}),
            json!("a"),
        ] {
            assert!(Value::parse(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_compare_by_size_text_by_bytes_and_types_not_at_all() {
        let order = |a: Json, b: Json| Value::from_plain(&a).unwrap().compare(&Value::from_plain(&b).unwrap());
        assert_eq!(order(json!(9), json!(10)), Some(Ordering::Less));
        assert_eq!(order(json!("9"), json!("10")), Some(Ordering::Greater));
        assert_eq!(order(json!("a"), json!("é")), Some(Ordering::Less));
        assert_eq!(order(json!(1), json!("1")), None);
        assert_eq!(order(json!(true), json!(false)), None);
        assert_eq!(order(json!(true), json!(true)), Some(Ordering::Equal));
    }
}
