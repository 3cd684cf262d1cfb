//! Which of a connector's objects the pattern of an EventBridge rule matches. Pure.
//!
//! Amazon EventBridge User Guide, "Comparison operators for use in event patterns"; S3 User Guide, "EventBridge event message
//! structure".

use serde_json::{Map, Value};

use super::coverage::Coverage;
use crate::notification::matches_wildcard;
use flexorch_s3_ingester::model::arn;

/// Which of a bucket's new objects a pattern matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PatternMatch {
    /// Which keys under the connector's prefix.
    pub(crate) coverage: Coverage,
    /// Suffixes of which the keys must have one; none for any.
    pub(crate) suffixes: Vec<String>,
    /// Parts of the pattern that are not evaluated here.
    pub(crate) unclear: Vec<String>,
}

/// Evaluates a pattern. Returns `None` if it does not match new objects of the bucket at all.
pub(crate) fn match_pattern(pattern: &str, bucket: &str, prefix: &str) -> Option<PatternMatch> {
    let pattern: Value = serde_json::from_str(pattern).ok()?;
    let pattern = pattern.as_object()?;
    let mut found = PatternMatch { coverage: Coverage::All, suffixes: Vec::new(), unclear: Vec::new() };
    for (field, value) in pattern {
        match field.as_str() {
            "source" if !matches_any(value, "aws.s3") => return None,
            "detail-type" if !matches_any(value, "Object Created") => return None,
            "source" | "detail-type" => {}
            "detail" => read_detail(value.as_object()?, bucket, prefix, &mut found)?,
            "resources" if !matches_any(value, &arn::of_bucket(bucket, None)) => return None,
            "resources" => {}
            other => found.unclear.push(other.to_owned()),
        }
    }
    Some(found)
}

fn read_detail(detail: &Map<String, Value>, bucket: &str, prefix: &str, found: &mut PatternMatch) -> Option<()> {
    for (field, value) in detail {
        match field.as_str() {
            "bucket" => {
                if let Some(name) = value.get("name")
                    && !matches_any(name, bucket)
                {
                    return None;
                }
            }
            "object" => {
                for (field, value) in value.as_object()? {
                    match field.as_str() {
                        "key" => read_key(value, prefix, found),
                        other => found.unclear.push(format!("detail.object.{other}")),
                    }
                }
            }
            other => found.unclear.push(format!("detail.{other}")),
        }
    }
    Some(())
}

/// Evaluates the alternatives for a key, of which any may match.
fn read_key(alternatives: &Value, prefix: &str, found: &mut PatternMatch) {
    let alternatives = alternatives.as_array().map(Vec::as_slice).unwrap_or_default();
    let (mut coverage, mut suffixes, mut unclear) = (Coverage::Nothing, Vec::new(), Vec::new());
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
        coverage = coverage.or(Coverage::of_prefix(starts, prefix));
        match ends {
            "" => has_any_end = true,
            ends => suffixes.push(ends.to_owned()),
        }
    }
    found.coverage = match (coverage, unclear.is_empty()) {
        // Unknown parts may match.
        (Coverage::Nothing, false) => Coverage::All,
        (coverage, _) => coverage,
    };
    found.unclear.append(&mut unclear);
    if !has_any_end {
        found.suffixes = suffixes;
    }
}

/// Returns whether one of the alternatives matches a text.
fn matches_any(alternatives: &Value, text: &str) -> bool {
    alternatives.as_array().is_some_and(|alternatives| {
        alternatives.iter().any(|alternative| {
            let of = |operator: &str| alternative.get(operator).and_then(Value::as_str);
            alternative == text
                || of("prefix").is_some_and(|starts| text.starts_with(starts))
                || of("suffix").is_some_and(|ends| text.ends_with(ends))
                || of("wildcard").is_some_and(|wildcard| matches_wildcard(&wildcard.replace('?', "\u{0}"), text))
                || of("equals-ignore-case").is_some_and(|other| other.eq_ignore_ascii_case(text))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(detail: Value) -> Option<PatternMatch> {
        let pattern = json!({"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": detail});
        match_pattern(&pattern.to_string(), "docs", "invoices/")
    }

    fn of_key(alternatives: Value) -> PatternMatch {
        read(json!({"bucket": {"name": ["docs"]}, "object": {"key": alternatives}})).unwrap()
    }

    #[test]
    fn the_templates_patterns_are_evaluated() {
        let all = read(json!({"bucket": {"name": ["docs"]}})).unwrap();
        assert_eq!(all, PatternMatch { coverage: Coverage::All, suffixes: Vec::new(), unclear: Vec::new() });
        assert_eq!(of_key(json!([{"prefix": "invoices/"}])).coverage, Coverage::All);
        assert_eq!(
            of_key(json!([{"prefix": "invoices/2026/"}])).coverage,
            Coverage::Part(vec!["invoices/2026/".to_owned()])
        );
        assert_eq!(of_key(json!([{"prefix": "drafts/"}])).coverage, Coverage::Nothing);
        let both = of_key(json!([{"wildcard": "invoices/*.pdf"}]));
        assert_eq!((both.coverage, both.suffixes), (Coverage::All, vec![".pdf".to_owned()]));
        let suffix = of_key(json!([{"suffix": ".pdf"}, {"suffix": ".docx"}]));
        assert_eq!((suffix.coverage, suffix.suffixes.len()), (Coverage::All, 2));
    }

    #[test]
    fn a_rule_for_something_else_matches_nothing() {
        assert_eq!(read(json!({"bucket": {"name": ["other"]}})), None);
        for pattern in [
            json!({"source": ["aws.ec2"]}),
            json!({"source": ["aws.s3"], "detail-type": ["Object Deleted"]}),
            json!({"resources": ["arn:aws:s3:::other"]}),
            json!([]),
        ] {
            assert_eq!(match_pattern(&pattern.to_string(), "docs", ""), None, "{pattern}");
        }
        assert_eq!(match_pattern("no JSON", "docs", ""), None);
    }

    #[test]
    fn unknown_parts_are_reported_and_not_taken_for_broken() {
        let odd = of_key(json!([{"anything-but": {"prefix": "tmp/"}}]));
        assert_eq!((odd.coverage, odd.unclear.len()), (Coverage::All, 1));
        let reason = read(json!({"reason": ["PutObject"]})).unwrap();
        assert_eq!(reason.unclear, ["detail.reason"]);
    }

    #[test]
    fn a_bucket_may_be_matched_by_a_prefix() {
        assert!(read(json!({"bucket": {"name": [{"prefix": "do"}]}})).is_some());
        assert!(read(json!({"bucket": {"name": [{"wildcard": "d*s"}]}})).is_some());
        assert!(read(json!({"bucket": {"name": [{"wildcard": "d?cs"}]}})).is_none());
    }
}
