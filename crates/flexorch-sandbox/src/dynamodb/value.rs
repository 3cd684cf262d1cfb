//! Attribute values: their JSON, their order, their size. Pure.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use aws_smithy_types::base64;
use serde_json::{Map, Number as JsonNumber, Value as Json, json};

use super::error::DynamoError;
use super::number::Number;

/// An item: its attributes by name.
pub(crate) type Item = BTreeMap<String, Value>;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// `S`.
    Text(String),
    /// `N`.
    Number(Number),
    /// `B`.
    Binary(Vec<u8>),
    /// `BOOL`.
    Bool(bool),
    /// `NULL`.
    Null,
    /// `L`.
    List(Vec<Self>),
    /// `M`.
    Map(Item),
    /// `SS`, `NS` or `BS`: the type's name and its members, sorted.
    Set(&'static str, Vec<Self>),
}

impl Value {
    /// Parses a value in DynamoDB's JSON, `{"S": "text"}`.
    pub(crate) fn parse(json: &Json) -> Result<Self, DynamoError> {
        let object = json.as_object().filter(|object| object.len() == 1);
        let Some((kind, value)) = object.and_then(|object| object.iter().next()) else {
            return Err(DynamoError::validation(
                "Supplied AttributeValue must contain exactly one of the supported datatypes",
            ));
        };
        let wrong = || DynamoError::serialization();
        Ok(match kind.as_str() {
            "S" => Self::Text(value.as_str().ok_or_else(wrong)?.to_owned()),
            "N" => Self::Number(Number::parse(value.as_str().ok_or_else(wrong)?)?),
            "B" => Self::Binary(value.as_str().and_then(|text| base64::decode(text).ok()).ok_or_else(wrong)?),
            "BOOL" => Self::Bool(value.as_bool().ok_or_else(wrong)?),
            "NULL" => value.as_bool().filter(|null| *null).map(|_| Self::Null).ok_or_else(wrong)?,
            "L" => Self::List(value.as_array().ok_or_else(wrong)?.iter().map(Self::parse).collect::<Result<_, _>>()?),
            "M" => Self::Map(parse_item(value.as_object().ok_or_else(wrong)?)?),
            "SS" => Self::set("SS", "S", value)?,
            "NS" => Self::set("NS", "N", value)?,
            "BS" => Self::set("BS", "B", value)?,
            _ => return Err(wrong()),
        })
    }

    fn set(kind: &'static str, member: &str, json: &Json) -> Result<Self, DynamoError> {
        let members = json.as_array().ok_or_else(DynamoError::serialization)?;
        let mut members: Vec<_> =
            members.iter().map(|value| Self::parse(&json!({ member: value }))).collect::<Result<_, _>>()?;
        members.sort_by(Self::order);
        if members.is_empty() {
            return Err(DynamoError::validation(
                "One or more parameter values were invalid: An string set  may not be empty",
            ));
        }
        if members.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(DynamoError::validation(
                "One or more parameter values were invalid: Input collection contains duplicates.",
            ));
        }
        Ok(Self::Set(kind, members))
    }

    /// Returns the value in DynamoDB's JSON.
    pub(crate) fn json(&self) -> Json {
        let value = match self {
            Self::Text(text) => json!(text),
            Self::Number(number) => json!(number.to_string()),
            Self::Binary(bytes) => json!(base64::encode(bytes)),
            Self::Bool(value) => json!(value),
            Self::Null => json!(true),
            Self::List(values) => values.iter().map(Self::json).collect(),
            Self::Map(item) => item_json(item),
            Self::Set(_, members) => {
                members.iter().filter_map(|member| member.json().get(member.kind()).cloned()).collect()
            }
        };
        json!({ self.kind(): value })
    }

    /// Returns the value in plain JSON: text for `S` and `B`, a number for `N`. A number that JSON's readers would round stays text.
    pub(crate) fn plain(&self) -> Json {
        match self {
            Self::Number(number) => {
                let text = number.to_string();
                let json = text.parse::<i64>().map(JsonNumber::from).ok();
                let json = json.or_else(|| text.parse().ok().and_then(JsonNumber::from_f64));
                json.map_or_else(|| json!(text), Json::Number)
            }
            Self::Binary(bytes) => json!(base64::encode(bytes)),
            Self::Text(text) => json!(text),
            Self::Bool(value) => json!(value),
            Self::Null => Json::Null,
            Self::List(values) | Self::Set(_, values) => values.iter().map(Self::plain).collect(),
            Self::Map(item) => plain_item(item),
        }
    }

    /// Returns the value that plain JSON stands for; `None` for a number that DynamoDB does not have.
    pub(crate) fn from_plain(json: &Json) -> Option<Self> {
        Some(match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => Self::Number(Number::parse(&number.to_string()).ok()?),
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
            Self::Binary(_) => "B",
            Self::Bool(_) => "BOOL",
            Self::Null => "NULL",
            Self::List(_) => "L",
            Self::Map(_) => "M",
            Self::Set(kind, _) => kind,
        }
    }

    /// Compares values of the same type that have an order: text and bytes by their bytes, numbers by their size.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
            (Self::Number(a), Self::Number(b)) => Some(a.cmp(b)),
            (Self::Binary(a), Self::Binary(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// Returns a total order: by type, then by [`Value::compare`]. Values without an order count as equal.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        self.kind().cmp(other.kind()).then_with(|| self.compare(other).unwrap_or(Ordering::Equal))
    }

    /// Returns its size in bytes, about as DynamoDB counts (Developer Guide, "DynamoDB item sizes and formats").
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Number(number) => number.size(),
            Self::Binary(bytes) => bytes.len(),
            Self::Bool(_) | Self::Null => 1,
            Self::List(values) => 3 + values.iter().map(|value| 1 + value.size()).sum::<usize>(),
            Self::Map(item) => 3 + item.len() + item_size(item),
            Self::Set(_, members) => members.iter().map(Self::size).sum(),
        }
    }
}

/// Parses an item in DynamoDB's JSON.
pub(crate) fn parse_item(fields: &Map<String, Json>) -> Result<Item, DynamoError> {
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

/// Returns the item that a plain JSON object stands for.
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
        let all = json!({
            "text": {"S": "é"}, "number": {"N": "-1.5"}, "bytes": {"B": "AAE="}, "yes": {"BOOL": true}, "nothing": {"NULL": true},
            "list": {"L": [{"S": "a"}, {"N": "1"}]}, "map": {"M": {"a": {"S": ""}}},
            "texts": {"SS": ["a", "b"]}, "numbers": {"NS": ["1", "20"]}, "blobs": {"BS": ["AA==", "AQ=="]},
        });
        let item = parse_item(all.as_object().unwrap()).unwrap();
        assert_eq!(item_json(&item), all);
        let plain = plain_item(&item);
        assert_eq!(
            (&plain["number"], &plain["list"], &plain["nothing"]),
            (&json!(-1.5), &json!(["a", 1]), &Json::Null)
        );
    }

    #[test]
    fn a_value_has_one_type_of_its_own() {
        for wrong in [
            json!({}),
            json!({"S": "a", "N": "1"}),
            json!({"S": 1}),
            json!({"N": 1}),
            json!({"N": "one"}),
            json!({"X": "a"}),
            json!({"NULL": false}),
            json!({"SS": []}),
            json!({"NS": ["1", "1.0"]}),
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
    }
}
