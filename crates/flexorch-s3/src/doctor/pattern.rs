//! What of a connector's objects an EventBridge rule's pattern lets through. Pure.
//!
//! Amazon EventBridge User Guide, "Comparison operators for use in event patterns"; S3 User Guide, "EventBridge event message
//! structure".

use serde_json::{Map, Value};

use super::super::notification::is_like;
use super::reach::Reach;

/// What a rule's pattern lets through of a bucket's new objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Passage {
    /// Of the connector's prefix.
    pub reach: Reach,
    /// Ends that the keys must have, one of them; none for any.
    pub suffixes: Vec<String>,
    /// Parts of the pattern that are not understood here.
    pub unclear: Vec<String>,
}

/// Reads a pattern; `None` where it is not about the bucket's new objects at all.
pub(super) fn passage(pattern: &str, bucket: &str, prefix: &str) -> Option<Passage> {
    let pattern: Value = serde_json::from_str(pattern).ok()?;
    let pattern = pattern.as_object()?;
    let mut passage = Passage { reach: Reach::All, suffixes: Vec::new(), unclear: Vec::new() };
    for (field, value) in pattern {
        match field.as_str() {
            "source" if !takes(value, "aws.s3") => return None,
            "detail-type" if !takes(value, "Object Created") => return None,
            "source" | "detail-type" => {}
            "detail" => read_detail(value.as_object()?, bucket, prefix, &mut passage)?,
            "resources" if !takes(value, &format!("arn:aws:s3:::{bucket}")) => return None,
            "resources" => {}
            other => passage.unclear.push(other.to_owned()),
        }
    }
    Some(passage)
}

fn read_detail(detail: &Map<String, Value>, bucket: &str, prefix: &str, passage: &mut Passage) -> Option<()> {
    for (field, value) in detail {
        match field.as_str() {
            "bucket" => {
                if let Some(name) = value.get("name")
                    && !takes(name, bucket)
                {
                    return None;
                }
            }
            "object" => {
                for (field, value) in value.as_object()? {
                    match field.as_str() {
                        "key" => read_key(value, prefix, passage),
                        other => passage.unclear.push(format!("detail.object.{other}")),
                    }
                }
            }
            other => passage.unclear.push(format!("detail.{other}")),
        }
    }
    Some(())
}

/// The alternatives for a key: any of them may match.
fn read_key(alternatives: &Value, prefix: &str, passage: &mut Passage) {
    let alternatives = alternatives.as_array().map(Vec::as_slice).unwrap_or_default();
    let (mut reach, mut suffixes, mut unclear) = (Reach::Nothing, Vec::new(), Vec::new());
    let mut has_any_end = false;
    for alternative in alternatives {
        let of = |operator: &str| alternative.get(operator).and_then(Value::as_str);
        let (starts, ends) = if let Some(key) = alternative.as_str() {
            (key, "")
        } else if let Some(starts) = of("prefix") {
            (starts, "")
        } else if let Some(ends) = of("suffix") {
            ("", ends)
        } else if let Some((starts, ends)) = of("wildcard").and_then(|wildcard| wildcard.split_once('*'))
            && !ends.contains('*')
        {
            (starts, ends)
        } else {
            unclear.push(format!("detail.object.key {alternative}"));
            continue;
        };
        reach = reach.or(Reach::of_prefix(starts, prefix));
        match ends {
            "" => has_any_end = true,
            ends => suffixes.push(ends.to_owned()),
        }
    }
    passage.reach = match (reach, unclear.is_empty()) {
        // What is not understood may let it through.
        (Reach::Nothing, false) => Reach::All,
        (reach, _) => reach,
    };
    passage.unclear.append(&mut unclear);
    if !has_any_end {
        passage.suffixes = suffixes;
    }
}

/// Whether a list of alternatives takes a text.
fn takes(alternatives: &Value, text: &str) -> bool {
    alternatives.as_array().is_some_and(|alternatives| {
        alternatives.iter().any(|alternative| {
            let of = |operator: &str| alternative.get(operator).and_then(Value::as_str);
            alternative == text
                || of("prefix").is_some_and(|starts| text.starts_with(starts))
                || of("suffix").is_some_and(|ends| text.ends_with(ends))
                || of("wildcard").is_some_and(|wildcard| is_like(&wildcard.replace('?', "\u{0}"), text))
                || of("equals-ignore-case").is_some_and(|other| other.eq_ignore_ascii_case(text))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(detail: Value) -> Option<Passage> {
        let pattern = json!({"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": detail});
        passage(&pattern.to_string(), "docs", "invoices/")
    }

    fn of_key(alternatives: Value) -> Passage {
        read(json!({"bucket": {"name": ["docs"]}, "object": {"key": alternatives}})).unwrap()
    }

    #[test]
    fn the_templates_patterns_are_understood() {
        let all = read(json!({"bucket": {"name": ["docs"]}})).unwrap();
        assert_eq!(all, Passage { reach: Reach::All, suffixes: Vec::new(), unclear: Vec::new() });
        assert_eq!(of_key(json!([{"prefix": "invoices/"}])).reach, Reach::All);
        assert_eq!(of_key(json!([{"prefix": "invoices/2026/"}])).reach, Reach::Part(vec!["invoices/2026/".to_owned()]));
        assert_eq!(of_key(json!([{"prefix": "drafts/"}])).reach, Reach::Nothing);
        let both = of_key(json!([{"wildcard": "invoices/*.pdf"}]));
        assert_eq!((both.reach, both.suffixes), (Reach::All, vec![".pdf".to_owned()]));
        let suffix = of_key(json!([{"suffix": ".pdf"}, {"suffix": ".docx"}]));
        assert_eq!((suffix.reach, suffix.suffixes.len()), (Reach::All, 2));
    }

    #[test]
    fn a_rule_for_something_else_lets_nothing_through() {
        assert_eq!(read(json!({"bucket": {"name": ["other"]}})), None);
        for pattern in [
            json!({"source": ["aws.ec2"]}),
            json!({"source": ["aws.s3"], "detail-type": ["Object Deleted"]}),
            json!({"resources": ["arn:aws:s3:::other"]}),
            json!([]),
        ] {
            assert_eq!(passage(&pattern.to_string(), "docs", ""), None, "{pattern}");
        }
        assert_eq!(passage("no JSON", "docs", ""), None);
    }

    #[test]
    fn what_is_not_understood_is_said_and_not_taken_for_broken() {
        let odd = of_key(json!([{"anything-but": {"prefix": "tmp/"}}]));
        assert_eq!((odd.reach, odd.unclear.len()), (Reach::All, 1));
        let reason = read(json!({"reason": ["PutObject"]})).unwrap();
        assert_eq!(reason.unclear, ["detail.reason"]);
    }

    #[test]
    fn a_bucket_may_be_named_by_a_prefix() {
        assert!(read(json!({"bucket": {"name": [{"prefix": "do"}]}})).is_some());
        assert!(read(json!({"bucket": {"name": [{"wildcard": "d*s"}]}})).is_some());
        assert!(read(json!({"bucket": {"name": [{"wildcard": "d?cs"}]}})).is_none());
    }
}
