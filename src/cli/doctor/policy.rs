//! Whether a resource's policy lets a service in. Pure.
//!
//! Not IAM's whole evaluation: what the policies of functions and queues are written with for notifications (S3 User Guide,
//! "Granting permissions to publish event notification messages"). A condition that is not known here is taken to hold.

use serde_json::Value;

use super::super::sandbox::Glob;

/// Who wants what of what, and on whose behalf.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    /// Such as `s3.amazonaws.com`.
    pub service: &'a str,
    /// Such as `sqs:SendMessage`.
    pub action: &'a str,
    /// The function's or queue's ARN.
    pub resource: &'a str,
    /// The bucket's or rule's ARN.
    pub source: &'a str,
}

/// Whether the policy's text lets it in: something allows it and nothing denies it.
pub(super) fn lets_in(policy: &str, entry: Entry<'_>) -> bool {
    let Ok(policy) = serde_json::from_str::<Value>(policy) else { return false };
    let statements = many(&policy["Statement"]);
    let says = |effect: &str| {
        statements
            .iter()
            .any(|statement| statement["Effect"] == effect && is_about(statement, entry, effect == "Allow"))
    };
    says("Allow") && !says("Deny")
}

fn is_about(statement: &Value, entry: Entry<'_>, unknown_holds: bool) -> bool {
    let names = |field: &str, text: &str| {
        let patterns = many(&statement[field]);
        patterns.into_iter().filter_map(Value::as_str).any(|pattern| is_like(pattern, text))
    };
    let has_action = many(&statement["Action"])
        .into_iter()
        .filter_map(Value::as_str)
        .any(|pattern| is_like(&pattern.to_ascii_lowercase(), &entry.action.to_ascii_lowercase()));
    let has_resource = statement["Resource"].is_null() || names("Resource", entry.resource);
    has_action && has_resource && is_principal(&statement["Principal"], entry.service) && {
        let operators = statement["Condition"].as_object();
        operators.into_iter().flatten().all(|(operator, keys)| {
            keys.as_object()
                .into_iter()
                .flatten()
                .all(|(key, values)| holds(operator, key, values, entry, unknown_holds))
        })
    }
}

fn is_principal(principal: &Value, service: &str) -> bool {
    let in_list = |list: &Value, name: &str| many(list).into_iter().any(|value| value == name);
    principal == "*" || in_list(&principal["Service"], service) || in_list(&principal["AWS"], "*")
}

fn holds(operator: &str, key: &str, values: &Value, entry: Entry<'_>, unknown_holds: bool) -> bool {
    let operator = operator.trim_end_matches("IfExists");
    let values = many(values);
    let text = |pattern: &Value| pattern.as_str().map_or_else(|| pattern.to_string(), str::to_owned);
    match (operator, key.to_ascii_lowercase().as_str()) {
        ("ArnEquals" | "ArnLike" | "StringLike", "aws:sourcearn") => {
            values.iter().any(|pattern| is_like(&text(pattern), entry.source))
        }
        ("StringEquals", "aws:sourcearn") => values.iter().any(|value| text(value) == entry.source),
        // Services speak TLS.
        ("Bool", "aws:securetransport") => values.iter().any(|value| text(value) == "true"),
        _ => unknown_holds,
    }
}

/// A value, or the values of a list.
fn many(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().collect(),
        value => vec![value],
    }
}

/// Wildcards as IAM has them: `*` for any characters, `?` for one.
pub(super) fn is_like(pattern: &str, text: &str) -> bool {
    Glob::new(pattern).matches(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const QUEUE: &str = "arn:aws:sqs:eu-west-1:123456789012:retry";

    fn s3_sends(statements: Value) -> bool {
        let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        let source = "arn:aws:s3:::docs";
        lets_in(&policy, Entry { service: "s3.amazonaws.com", action: "sqs:SendMessage", resource: QUEUE, source })
    }

    fn allow(condition: Value) -> Value {
        json!({"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": QUEUE,
               "Condition": condition})
    }

    #[test]
    fn the_templates_policy_lets_its_bucket_in_and_no_other() {
        let tls = json!({"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": QUEUE,
                         "Condition": {"Bool": {"aws:SecureTransport": "false"}}});
        let of = |bucket: &str| {
            allow(json!({"ArnEquals": {"aws:SourceArn": format!("arn:aws:s3:::{bucket}")},
                         "StringEquals": {"aws:SourceAccount": "123456789012"}}))
        };
        assert!(s3_sends(json!([tls, of("docs")])));
        assert!(!s3_sends(json!([tls, of("other")])));
        assert!(!s3_sends(json!([tls])));
    }

    #[test]
    fn wildcards_lists_and_principals_mean_what_they_mean_to_iam() {
        assert!(s3_sends(json!(allow(json!({"ArnLike": {"aws:SourceArn": "arn:aws:s3:*:*:do?s"}})))));
        assert!(s3_sends(json!({"Effect": "Allow", "Principal": "*", "Action": ["sqs:Send*"], "Resource": "*"})));
        assert!(s3_sends(
            json!({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "SQS:SendMessage", "Resource": QUEUE})
        ));
        assert!(!s3_sends(
            json!({"Effect": "Allow", "Principal": {"Service": ["sns.amazonaws.com"]}, "Action": "sqs:*"})
        ));
        assert!(!s3_sends(
            json!({"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "arn:aws:sqs:x"})
        ));
    }

    #[test]
    fn a_denial_without_conditions_wins() {
        let deny = json!({"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"});
        assert!(!s3_sends(json!([allow(json!({})), deny])));
    }

    #[test]
    fn a_text_that_is_no_policy_lets_nobody_in() {
        let entry = Entry { service: "s3.amazonaws.com", action: "sqs:SendMessage", resource: QUEUE, source: "x" };
        assert!(!lets_in("", entry) && !lets_in("[]", entry) && !lets_in("{\"Statement\": 5}", entry));
    }
}
