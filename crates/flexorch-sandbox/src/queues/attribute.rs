//! Message attributes: their rules, which of them a receiver gets, and their MD5. Pure.

use std::collections::BTreeMap;

use aws_smithy_types::base64;
use md5::{Digest, Md5};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{super::hex, check::check_text, error::SqsError};

/// The most attributes of one message.
const MOST: usize = 10;

/// The most characters of a name, and of a data type.
const LONGEST_NAME: usize = 256;

/// An attribute in a call.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct AttributeInput {
    data_type: Option<String>,
    string_value: Option<String>,
    binary_value: Option<String>,
}

impl AttributeInput {
    /// Returns the bytes that it adds to a batch's size, without its name.
    pub(super) fn size(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        // Four characters of Base64 are three bytes.
        length(&self.data_type) + length(&self.string_value) + length(&self.binary_value) / 4 * 3
    }
}

/// All attributes of a message, sorted by name, which is the order in their MD5.
pub(super) type Attributes = BTreeMap<String, Attribute>;

/// A valid attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attribute {
    /// `String`, `Number` or `Binary`, and a label of the sender's after a dot.
    data_type: String,
    value: AttributeValue,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum AttributeValue {
    Text(String),
    Binary(Vec<u8>),
}

impl Attribute {
    /// Returns the bytes that it adds to its message's size, without its name.
    pub(super) fn size(&self) -> usize {
        self.data_type.len() + self.bytes().len()
    }

    /// Returns the value as text: the Base64 of binary data.
    pub(super) fn text(&self) -> String {
        match &self.value {
            AttributeValue::Text(text) => text.clone(),
            AttributeValue::Binary(bytes) => base64::encode(bytes),
        }
    }

    fn bytes(&self) -> &[u8] {
        match &self.value {
            AttributeValue::Text(text) => text.as_bytes(),
            AttributeValue::Binary(bytes) => bytes,
        }
    }

    fn json(&self) -> Value {
        let field = match self.value {
            AttributeValue::Text(_) => "StringValue",
            AttributeValue::Binary(_) => "BinaryValue",
        };
        json!({"DataType": self.data_type, field: self.text()})
    }
}

/// Parses a message's attributes (SQS API Reference, `MessageAttributeValue`).
pub(super) fn read(inputs: BTreeMap<String, AttributeInput>) -> Result<Attributes, SqsError> {
    if inputs.len() > MOST {
        let count = inputs.len();
        let message = format!("Number of message attributes [{count}] exceeds the allowed maximum [{MOST}].");
        return Err(SqsError::invalid(message));
    }
    inputs
        .into_iter()
        .map(|(name, input)| {
            check_name(&name)?;
            let attribute = read_one(&name, input)?;
            Ok((name, attribute))
        })
        .collect()
}

fn check_name(name: &str) -> Result<(), SqsError> {
    let is_of_aws = ["aws.", "amazon."].iter().any(|prefix| name.to_ascii_lowercase().starts_with(prefix));
    let has_stray_dot = name.starts_with('.') || name.ends_with('.') || name.contains("..");
    let has_other_characters = name.contains(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '.'));
    if name.is_empty() || name.len() > LONGEST_NAME || is_of_aws || has_stray_dot || has_other_characters {
        return Err(SqsError::invalid(format!("The message attribute name '{name}' is invalid.")));
    }
    Ok(())
}

fn read_one(name: &str, input: AttributeInput) -> Result<Attribute, SqsError> {
    let wrong = |what: &str| SqsError::invalid(format!("The message attribute '{name}' {what}."));
    let data_type = input.data_type.unwrap_or_default();
    check_text(&data_type)?;
    let kind = data_type.split('.').next().unwrap_or_default();
    if data_type.is_empty() {
        return Err(wrong("must contain a non-empty message attribute type"));
    }
    if data_type.len() > LONGEST_NAME {
        return Err(wrong("has a message attribute type that is longer than 256 bytes"));
    }
    let is_empty = || {
        let what = format!("must contain a non-empty message attribute value for message attribute type '{kind}'");
        wrong(&what)
    };
    let value = match kind {
        "String" | "Number" => {
            let text = input.string_value.filter(|text| !text.is_empty()).ok_or_else(is_empty)?;
            check_text(&text)?;
            if kind == "Number" && !text.parse::<f64>().is_ok_and(f64::is_finite) {
                return Err(wrong("must contain a number"));
            }
            AttributeValue::Text(text)
        }
        "Binary" => {
            let text = input.binary_value.filter(|text| !text.is_empty()).ok_or_else(is_empty)?;
            AttributeValue::Binary(base64::decode(text).map_err(|_| SqsError::serialization())?)
        }
        _ => {
            return Err(wrong(
                "has an invalid message attribute type, the set of supported types is [String, Number, Binary]",
            ));
        }
    };
    Ok(Attribute { data_type, value })
}

/// Returns the attributes that a receiver asked for: by name, by `prefix.*`, or all (`All`, `.*`).
pub(super) fn chosen(attributes: &Attributes, asked: &[String]) -> Attributes {
    let is_asked = |name: &str| {
        asked.iter().any(|asked| {
            asked == "All"
                || asked == name
                || asked.strip_suffix(".*").is_some_and(|prefix| {
                    prefix.is_empty() || name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'))
                })
        })
    };
    attributes.iter().filter(|(name, _)| is_asked(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Returns the attributes as `ReceiveMessage` shows them.
pub(super) fn json(attributes: &Attributes) -> Value {
    attributes.iter().map(|(name, attribute)| (name.clone(), attribute.json())).collect::<Map<_, _>>().into()
}

/// Returns the MD5 of attributes (SQS Developer Guide, "Calculating the MD5 message digest for message attributes"); `None` if there are none.
pub(super) fn md5(attributes: &Attributes) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut digest = Md5::new();
    for (name, attribute) in attributes {
        let transport_type: u8 = match attribute.value {
            AttributeValue::Text(_) => 1,
            AttributeValue::Binary(_) => 2,
        };
        add_with_length(&mut digest, name.as_bytes());
        add_with_length(&mut digest, attribute.data_type.as_bytes());
        digest.update([transport_type]);
        add_with_length(&mut digest, attribute.bytes());
    }
    Some(hex::encode(&digest.finalize()))
}

fn add_with_length(digest: &mut Md5, bytes: &[u8]) {
    // A message's size limit keeps every length far below 2^32.
    digest.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    digest.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(data_type: &str, field: &str, value: &str) -> AttributeInput {
        serde_json::from_value(json!({"DataType": data_type, field: value})).unwrap()
    }

    fn one(name: &str, input: AttributeInput) -> Result<Attributes, SqsError> {
        read(BTreeMap::from([(name.to_owned(), input)]))
    }

    #[test]
    fn the_md5_is_over_lengths_names_types_and_values_in_order_of_name() {
        let attributes = read(BTreeMap::from([
            ("b".to_owned(), input("Binary", "BinaryValue", "AAEC")),
            ("a".to_owned(), input("String", "StringValue", "x")),
        ]));
        let bytes = b"\0\0\0\x01a\0\0\0\x06String\x01\0\0\0\x01x\0\0\0\x01b\0\0\0\x06Binary\x02\0\0\0\x03\0\x01\x02";
        assert_eq!(md5(&attributes.unwrap()), Some(hex::encode(&Md5::digest(bytes))));
        assert_eq!(md5(&Attributes::new()), None);
    }

    #[test]
    fn values_are_not_empty_and_fit_their_type() {
        for wrong in [
            input("String", "StringValue", ""),
            input("String", "BinaryValue", "AAEC"),
            input("Number", "StringValue", "one"),
            input("Date", "StringValue", "today"),
            input("", "StringValue", "x"),
            input("Binary", "BinaryValue", ""),
        ] {
            assert_eq!(one("a", wrong).unwrap_err().code, "InvalidParameterValue");
        }
        let controlled = one("a", input("String", "StringValue", "\u{1}"));
        assert_eq!(controlled.unwrap_err().code, "InvalidMessageContents");
        assert!(one("a", input("Number.count", "StringValue", "-1.5")).is_ok());
    }

    #[test]
    fn names_are_of_letters_and_there_are_ten_at_most() {
        for name in ["", "AWS.x", "amazon.x", ".x", "x.", "a..b", "a b", "é"] {
            assert!(one(name, input("String", "StringValue", "x")).is_err(), "{name}");
        }
        let many = |count| (0..count).map(|n| (format!("n{n}"), input("String", "StringValue", "x"))).collect();
        assert!(read(many(10)).is_ok());
        assert_eq!(read(many(11)).unwrap_err().code, "InvalidParameterValue");
    }

    #[test]
    fn a_receiver_gets_what_it_asks_for() {
        let input = |name: &str| (name.to_owned(), input("String", "StringValue", "x"));
        let attributes = read(["foo", "foo.a", "food"].map(input).into()).unwrap();
        let names = |asked: &str| chosen(&attributes, &[asked.to_owned()]).into_keys().collect::<Vec<_>>();
        assert_eq!(names("All").len(), 3);
        assert_eq!(names(".*").len(), 3);
        assert_eq!(names("foo"), ["foo"]);
        assert_eq!(names("foo.*"), ["foo.a"]);
        assert!(names("bar").is_empty());
    }
}
