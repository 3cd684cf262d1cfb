//! Small lenient JSON readers that the sources share. They never fail on parts that are not needed.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::ops::ControlFlow;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::model::object::EventTime;

/// The most field names of an unknown event that an error names.
const NAMES_SHOWN: usize = 20;

/// The JSON type of a payload.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shape {
    NotJson,
    Object,
    Other(&'static str),
}

/// Determines the JSON type of a payload.
pub(super) fn shape(payload: &str) -> Shape {
    if serde_json::from_str::<IgnoredAny>(payload).is_err() {
        return Shape::NotJson;
    }
    match payload.trim_start().as_bytes().first() {
        Some(b'{') => Shape::Object,
        Some(b'[') => Shape::Other("array"),
        Some(b'"') => Shape::Other("string"),
        Some(b't' | b'f') => Shape::Other("boolean"),
        Some(b'n') => Shape::Other("null"),
        _ => Shape::Other("number"),
    }
}

/// Returns the names of an object's fields, in their order, for an error message: names are not contents.
pub(super) fn field_names(object: &str) -> String {
    struct Names;
    impl<'de> Visitor<'de> for Names {
        type Value = (Vec<String>, usize);
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let (mut names, mut others) = (Vec::new(), 0);
            while let Some((name, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                if names.len() < NAMES_SHOWN {
                    names.push(short(&name));
                } else {
                    others += 1;
                }
            }
            Ok((names, others))
        }
    }
    let (mut names, others) = serde_json::Deserializer::from_str(object).deserialize_map(Names).unwrap_or_default();
    if others > 0 {
        names.push(format!("and {others} more"));
    }
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Shortens a name for a message and escapes characters that could break a line.
fn short(name: &str) -> String {
    name.chars().take(60).flat_map(char::escape_debug).collect()
}

/// Returns the text of a JSON string; `None` for any other JSON type.
pub(super) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let json = raw.get();
    // Most strings have no escapes and can be borrowed.
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str::<String>(json).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// Returns the text of a JSON string without spare capacity; `None` for an empty string and for any other JSON type.
pub(super) fn short_text(raw: &RawValue) -> Option<Box<str>> {
    text(raw).filter(|text| !text.is_empty()).map(|text| text.into_owned().into_boxed_str())
}

/// Returns a whole number from a JSON number or a string of digits; `None` for anything else.
pub(super) fn whole_number(raw: &RawValue) -> Option<u64> {
    match raw.get().parse() {
        Ok(number) => Some(number),
        Err(_) => text(raw)?.parse().ok(),
    }
}

/// Returns the RFC 3339 timestamp in a JSON string; `None` for anything else.
pub(super) fn event_time(raw: &RawValue) -> Option<EventTime> {
    text(raw)?.parse().ok()
}

/// Returns the list of an object whose only field is `Records`, judged by the beginning and the end of the object's text. The list
/// itself is not checked: it may be any text that begins with `[` and ends with `]`, and has to be read to its end.
pub(super) fn only_records(object: &str) -> Option<&str> {
    let trim = |text| str::trim_matches(text, [' ', '\t', '\n', '\r']);
    let fields = trim(object).strip_prefix('{')?.strip_suffix('}')?;
    let list = trim(trim(trim(fields).strip_prefix("\"Records\"")?).strip_prefix(':')?);
    (list.starts_with('[') && list.ends_with(']')).then_some(list)
}

/// Returns a JSON list's text from its first item on; `None` for an empty list.
pub(super) fn from_first_item(list: &str) -> Result<Option<&str>, NotAList> {
    let items = list.strip_prefix('[').ok_or(NotAList)?.trim_start();
    Ok((!items.starts_with(']')).then_some(items))
}

/// Calls `visit` for each field of the JSON object at the start of `text` until it breaks; the rest is not read.
///
/// # Errors
/// [`NotAnObject`] if `text` does not start with an object.
pub(super) fn visit_fields<'a>(
    text: &'a str,
    visit: impl FnMut(&str, &'a RawValue) -> ControlFlow<()>,
) -> Result<(), NotAnObject> {
    #[derive(Deserialize)]
    struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
    struct Visit<'s, F>(F, &'s mut ControlFlow<()>);
    impl<'de, F: FnMut(&str, &'de RawValue) -> ControlFlow<()>> Visitor<'de> for Visit<'_, F> {
        type Value = ();
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some((name, value)) = map.next_entry::<Name<'de>, &RawValue>()? {
                *self.1 = (self.0)(&name.0, value);
                if self.1.is_break() {
                    break;
                }
            }
            Ok(())
        }
    }
    let mut state = ControlFlow::Continue(());
    let parsed = serde_json::Deserializer::from_str(text).deserialize_map(Visit(visit, &mut state));
    // After a break the parser reports the missing end of the object.
    if parsed.is_ok() || state.is_break() { Ok(()) } else { Err(NotAnObject) }
}

/// The error of JSON that is not an object.
#[derive(Debug)]
pub(super) struct NotAnObject;

/// The error of JSON that is not a list.
#[derive(Debug)]
pub(super) struct NotAList;

/// Calls `each` with every item of a JSON list, one at a time and without keeping them. An item that is not a `T` ends it
/// with an error, as does text after the list; every item is a `&RawValue`.
pub(super) fn for_each_item<'a, T: Deserialize<'a>>(
    list: &'a str,
    each: impl FnMut(T),
) -> Result<(), serde_json::Error> {
    struct Each<T, F>(F, PhantomData<T>);
    impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for Each<T, F> {
        type Value = ();
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list")
        }
        fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
            while let Some(item) = seq.next_element()? {
                (self.0)(item);
            }
            Ok(())
        }
    }
    let mut json = serde_json::Deserializer::from_str(list);
    json.deserialize_seq(Each(each, PhantomData))?;
    json.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_names_hold_no_contents_and_no_line_breaks() {
        assert_eq!(field_names(r#"{"a":"secret","b\nc":{"d":1}}"#), r"a, b\nc");
        assert_eq!(field_names("{}"), "none");
    }

    #[test]
    fn a_list_is_read_from_its_first_item_on() {
        assert_eq!(from_first_item("[ {} ,1]").unwrap(), Some("{} ,1]"));
        assert_eq!(from_first_item("[ ]").unwrap(), None);
        assert!(from_first_item("7").is_err());
    }

    #[test]
    fn the_list_of_an_object_with_one_field_needs_no_parser_to_be_found() {
        for object in [r#"{"Records":[1,{"a":[]}]}"#, "\r\n{ \"Records\"\t: [1,{\"a\":[]}] }\n"] {
            assert_eq!(only_records(object), Some(r#"[1,{"a":[]}]"#), "{object:?}");
        }
        for other in [
            "",
            "{}",
            r#"{"Records":7}"#,
            r#"{"Records":[]"#,
            r#"{"Record":[]}"#,
            r#"{"a":1,"Records":[]}"#,
            r#"[{"Records":[]}]"#,
        ] {
            assert_eq!(only_records(other), None, "{other}");
        }
        // What follows the list is noticed when it is read.
        let more = only_records(r#"{"Records":[1],"more":[2]}"#).unwrap();
        assert!(for_each_item(more, |_: u8| {}).is_err());
        assert!(for_each_item("[1, 2]", |_: u8| {}).is_ok());
    }

    #[test]
    fn fields_are_visited_until_the_visitor_breaks() {
        let seen_until = |text: &str, last: &str| {
            let mut seen = Vec::new();
            visit_fields(text, |name, value| {
                seen.push(format!("{name}={}", value.get()));
                if name == last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .map(|()| seen.join(" "))
        };
        assert_eq!(seen_until(r#"{"a":[1,{}],"b\u0063":"x"},{"d":2}]"#, "none").unwrap(), r#"a=[1,{}] bc="x""#);
        assert_eq!(seen_until(r#"{"a":1,"b":2,"c":3}"#, "b").unwrap(), "a=1 b=2");
        assert_eq!(seen_until("{}", "a").unwrap(), "");
        for other in ["[]", "7,{}]", "null", "\"x\""] {
            assert!(seen_until(other, "a").is_err(), "{other}");
        }
    }

    #[test]
    fn text_is_unescaped() {
        let raw: &RawValue = serde_json::from_str(r#""a\"\u00fc""#).unwrap();
        assert_eq!(text(raw).unwrap(), "a\"ü");
        let raw: &RawValue = serde_json::from_str("17").unwrap();
        assert_eq!(text(raw), None);
        assert_eq!(whole_number(raw), Some(17));
    }
}
