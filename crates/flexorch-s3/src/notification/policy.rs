//! Whether the policy of a function or a queue lets a service in, and that policy with a statement more or less. The other statements
//! stay byte for byte.
//!
//! Not IAM's whole evaluation: what such policies are written with for notifications (S3 User Guide, "Granting permissions to publish
//! event notification messages to a destination").

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use wildmatch::WildMatch;

use super::digest;

/// A service that wants something of a function or a queue, on behalf of a bucket or a rule.
#[derive(Debug, Clone)]
pub(in super::super) struct Visitor {
    /// Such as `s3.amazonaws.com`.
    pub service: &'static str,
    /// The bucket's or rule's ARN.
    pub source: String,
    /// The account that this is in; `None`: it is not known.
    pub account: Option<String>,
    /// What the service wants to do, `sqs:SendMessage` or `lambda:InvokeFunction`.
    pub action: &'static str,
    /// The ARN of what it wants to do it to.
    pub resource: String,
}

impl Visitor {
    /// The statement that lets it in, without an id.
    pub(in super::super) fn statement(&self) -> Value {
        let mut condition = json!({"ArnEquals": {"aws:SourceArn": self.source}});
        if let Some(account) = &self.account {
            condition["StringEquals"] = json!({"aws:SourceAccount": account});
        }
        json!({
            "Effect": "Allow",
            "Principal": {"Service": self.service},
            "Action": self.action,
            "Resource": self.resource,
            "Condition": condition,
        })
    }
}

/// The id of the statement that lets a bucket in. Letters and digits alone: SQS takes no others everywhere.
pub(in super::super) fn own_statement_id(visitor: &Visitor) -> String {
    format!("FlexorchS3{}", digest(&[&visitor.source, &visitor.resource]))
}

/// A resource-based policy.
#[derive(Debug, Default)]
pub(in super::super) struct Policy {
    fields: IndexMap<String, Box<RawValue>>,
    statements: Vec<Box<RawValue>>,
}

impl Policy {
    /// Reads a policy's JSON; none is one without statements.
    ///
    /// # Errors
    /// Where it is no policy.
    pub(in super::super) fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let not_a_policy = |error: serde_json::Error| format!("its policy cannot be read: {error}");
        let fields: IndexMap<String, Box<RawValue>> = serde_json::from_str(text).map_err(not_a_policy)?;
        let statements = match fields.get("Statement").map(|raw| raw.get()) {
            None => Vec::new(),
            Some(list) if list.starts_with('[') => serde_json::from_str(list).map_err(not_a_policy)?,
            // A single statement needs no list.
            Some(one) => vec![serde_json::from_str(one).map_err(not_a_policy)?],
        };
        Ok(Self { fields, statements })
    }

    /// The JSON; empty where no statement is left, which takes a policy away.
    ///
    /// # Errors
    /// Never for what JSON can hold.
    pub(in super::super) fn to_text(&self) -> serde_json::Result<String> {
        if self.statements.is_empty() {
            return Ok(String::new());
        }
        let mut fields = self.fields.clone();
        if fields.is_empty() {
            fields.insert("Version".to_owned(), serde_json::value::to_raw_value("2012-10-17")?);
        }
        fields.insert("Statement".to_owned(), serde_json::value::to_raw_value(&self.statements)?);
        serde_json::to_string(&fields)
    }

    /// Whether a statement of this id is there.
    pub(in super::super) fn has(&self, id: &str) -> bool {
        self.statements.iter().any(|statement| is_called(statement, id))
    }

    /// The policy without the statement of this id.
    pub(in super::super) fn without(mut self, id: &str) -> Self {
        self.statements.retain(|statement| !is_called(statement, id));
        self
    }

    /// The policy with a statement of this id that lets the visitor in, in the place of what had that id.
    ///
    /// # Errors
    /// Never for what JSON can hold.
    pub(in super::super) fn with(self, id: &str, visitor: &Visitor) -> serde_json::Result<Self> {
        let mut statement = visitor.statement();
        statement["Sid"] = id.into();
        let mut policy = self.without(id);
        policy.statements.push(serde_json::value::to_raw_value(&statement)?);
        Ok(policy)
    }

    /// Whether a statement lets the visitor in for sure. One with conditions that are not understood here does not count: another
    /// statement does no harm. Denials are S3's to find, which tries the destination when a notification is written.
    pub(in super::super) fn lets_in(&self, visitor: &Visitor) -> bool {
        self.statements().any(|statement| statement.effect == "Allow" && statement.is_about(visitor) == Fit::Yes)
    }

    /// Whether the visitor comes in as far as can be seen here: a statement lets it in, perhaps under conditions that are not
    /// understood, and none keeps it out for sure.
    pub(in super::super) fn seems_to_let_in(&self, visitor: &Visitor) -> bool {
        let most = |effect: &str| {
            let fits = self.statements().filter(|statement| statement.effect == effect);
            fits.map(|statement| statement.is_about(visitor)).max().unwrap_or(Fit::No)
        };
        most("Allow") >= Fit::Perhaps && most("Deny") < Fit::Yes
    }

    fn statements(&self) -> impl Iterator<Item = Statement> {
        self.statements.iter().filter_map(|raw| serde_json::from_str(raw.get()).ok())
    }
}

fn is_called(statement: &RawValue, id: &str) -> bool {
    serde_json::from_str::<Statement>(statement.get()).is_ok_and(|statement| statement.sid.as_deref() == Some(id))
}

/// What matters of a statement (IAM User Guide, "IAM JSON policy element reference").
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Statement {
    sid: Option<String>,
    effect: String,
    principal: Value,
    action: Value,
    resource: Value,
    condition: IndexMap<String, IndexMap<String, Value>>,
}

/// Whether a statement, or a part of one, is about a visitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    No,
    /// It says something that is not understood here.
    Perhaps,
    Yes,
}

impl From<bool> for Fit {
    fn from(fits: bool) -> Self {
        if fits { Self::Yes } else { Self::No }
    }
}

impl Statement {
    fn is_about(&self, visitor: &Visitor) -> Fit {
        let names_service = match &self.principal {
            Value::String(anybody) => anybody == "*",
            Value::Object(kinds) => kinds.iter().any(|(kind, who)| match kind.as_str() {
                "Service" => texts(who).any(|service| service == visitor.service),
                "AWS" => texts(who).any(|who| who == "*"),
                _ => false,
            }),
            _ => false,
        };
        let names_action =
            texts(&self.action).any(|action| is_like(&action.to_lowercase(), &visitor.action.to_lowercase()));
        let resource = match &self.resource {
            Value::Null => Fit::Perhaps,
            resource => texts(resource).any(|resource| is_like(resource, &visitor.resource)).into(),
        };
        let conditions = self.condition.iter().flat_map(|(operator, keys)| {
            let operator = operator.strip_suffix("IfExists").unwrap_or(operator);
            keys.iter().map(move |(key, values)| condition_holds(operator, key, values, visitor))
        });
        conditions.chain([resource, names_service.into(), names_action.into()]).min().unwrap_or(Fit::No)
    }
}

fn condition_holds(operator: &str, key: &str, values: &Value, visitor: &Visitor) -> Fit {
    let actual = match key.to_ascii_lowercase().as_str() {
        "aws:sourcearn" => Some(&visitor.source),
        "aws:sourceaccount" => visitor.account.as_ref(),
        // Services speak TLS.
        "aws:securetransport" if operator == "Bool" && is_false(values) => return Fit::No,
        _ => None,
    };
    let Some(actual) = actual else { return Fit::Perhaps };
    match operator {
        "ArnEquals" | "ArnLike" | "StringLike" => texts(values).any(|pattern| is_like(pattern, actual)).into(),
        "StringEquals" => texts(values).any(|text| text == actual).into(),
        _ => Fit::Perhaps,
    }
}

fn is_false(value: &Value) -> bool {
    *value == false || value == "false" || value.as_array().is_some_and(|values| values.iter().all(is_false))
}

/// A text, or a list of them.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let list = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter_map(Value::as_str)
}

/// Whether a text is like a pattern in which `*` is any text and `?` any character, as IAM and EventBridge have them.
pub(in super::super) fn is_like(pattern: &str, text: &str) -> bool {
    WildMatch::new(pattern).matches(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: &str = "arn:aws:sqs:eu-west-1:123456789012:retry";

    fn visitor() -> Visitor {
        Visitor {
            service: "s3.amazonaws.com",
            source: "arn:aws:s3:::docs".to_owned(),
            account: Some("123456789012".to_owned()),
            action: "sqs:SendMessage",
            resource: QUEUE.to_owned(),
        }
    }

    fn policy_of(statement: Value) -> Policy {
        Policy::parse(&json!({"Version": "2012-10-17", "Statement": statement}).to_string()).unwrap()
    }

    #[test]
    fn a_statement_more_and_less_leaves_the_others_byte_for_byte() {
        let before = r#"{"Version":"2012-10-17","Id":"x","Statement":[{"Sid":"TlsOnly", "Effect":"Deny","Principal":"*","Action":"sqs:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}},{"Effect":"Allow","n":1.50}]}"#;
        let id = own_statement_id(&visitor());
        let after = Policy::parse(before).unwrap().with(&id, &visitor()).unwrap();
        assert!(after.has(&id) && after.lets_in(&visitor()));
        let text = after.to_text().unwrap();
        assert!(text.starts_with(before.trim_end_matches("]}")), "{text}");
        let twice = Policy::parse(&text).unwrap().with(&id, &visitor()).unwrap().to_text().unwrap();
        assert_eq!(twice, text);
        assert_eq!(Policy::parse(&text).unwrap().without(&id).to_text().unwrap(), before);
    }

    #[test]
    fn a_queue_without_a_policy_gets_one_and_loses_it_again() {
        let policy = Policy::parse("").unwrap().with("Own", &visitor()).unwrap();
        let text = policy.to_text().unwrap();
        assert!(
            text.starts_with(r#"{"Version":"2012-10-17","Statement":[{"#) && text.contains(r#""Sid":"Own""#),
            "{text}"
        );
        assert_eq!(policy.without("Own").to_text().unwrap(), "");
        assert!(Policy::parse("[]").is_err());
    }

    #[test]
    fn what_lets_s3_in_is_seen() {
        let s3 = json!({"Service": "s3.amazonaws.com"});
        for statement in [
            json!({"Effect": "Allow", "Principal": s3, "Action": "SQS:SendMessage", "Resource": QUEUE}),
            json!([{"Effect": "Allow", "Principal": "*", "Action": ["sqs:ReceiveMessage", "sqs:*"], "Resource": "*",
                    "Condition": {"ArnLike": {"AWS:SourceArn": "arn:aws:s3:*:*:docs"}}}]),
            json!({"Effect": "Allow", "Principal": {"Service": ["sns.amazonaws.com", "s3.amazonaws.com"]}, "Action": "*", "Resource": [QUEUE],
                   "Condition": {"StringEquals": {"aws:SourceAccount": ["1", "123456789012"], "aws:SourceArn": "arn:aws:s3:::docs"}}}),
        ] {
            assert!(policy_of(statement.clone()).lets_in(&visitor()), "{statement}");
        }
    }

    #[test]
    fn what_lets_others_in_or_s3_only_perhaps_does_not_count() {
        let s3 = json!({"Service": "s3.amazonaws.com"});
        let allow = |condition: Value| json!({"Effect": "Allow", "Principal": s3, "Action": "sqs:SendMessage", "Resource": QUEUE, "Condition": condition});
        for statement in [
            json!({"Effect": "Deny", "Principal": s3, "Action": "sqs:SendMessage", "Resource": QUEUE}),
            json!({"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": QUEUE}),
            json!({"Effect": "Allow", "Principal": s3, "Action": "sqs:ReceiveMessage", "Resource": QUEUE}),
            json!({"Effect": "Allow", "Principal": s3, "Action": "sqs:SendMessage", "Resource": "arn:aws:sqs:eu-west-1:123456789012:other"}),
            allow(json!({"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::other"}})),
            allow(json!({"StringEquals": {"aws:SourceAccount": "999999999999"}})),
            allow(json!({"Bool": {"aws:SecureTransport": "true"}})),
            json!("no statement"),
        ] {
            assert!(!policy_of(statement.clone()).lets_in(&visitor()), "{statement}");
        }
    }
    fn s3_seems_to_send(statements: Value) -> bool {
        policy_of(statements).seems_to_let_in(&Visitor { account: None, ..visitor() })
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
        assert!(s3_seems_to_send(json!([tls, of("docs")])));
        assert!(!s3_seems_to_send(json!([tls, of("other")])));
        assert!(!s3_seems_to_send(json!([tls])));
    }

    #[test]
    fn wildcards_lists_and_principals_mean_what_they_mean_to_iam() {
        assert!(s3_seems_to_send(json!(allow(json!({"ArnLike": {"aws:SourceArn": "arn:aws:s3:*:*:do?s"}})))));
        assert!(s3_seems_to_send(
            json!({"Effect": "Allow", "Principal": "*", "Action": ["sqs:Send*"], "Resource": "*"})
        ));
        assert!(s3_seems_to_send(
            json!({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "SQS:SendMessage", "Resource": QUEUE})
        ));
        assert!(!s3_seems_to_send(
            json!({"Effect": "Allow", "Principal": {"Service": ["sns.amazonaws.com"]}, "Action": "sqs:*"})
        ));
        assert!(!s3_seems_to_send(
            json!({"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "arn:aws:sqs:x"})
        ));
    }

    #[test]
    fn a_condition_that_is_not_understood_may_hold_where_it_allows_and_keeps_nobody_out() {
        let odd = json!({"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}});
        assert!(s3_seems_to_send(allow(odd.clone())));
        let deny = json!({"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*", "Condition": odd});
        assert!(s3_seems_to_send(json!([allow(json!({})), deny])));
    }

    #[test]
    fn a_denial_without_conditions_wins() {
        let deny = json!({"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"});
        assert!(!s3_seems_to_send(json!([allow(json!({})), deny])));
    }

    #[test]
    fn a_policy_without_statements_lets_nobody_in() {
        for text in ["", "{}", "{\"Statement\": 5}"] {
            assert!(!Policy::parse(text).unwrap().seems_to_let_in(&visitor()), "{text}");
        }
    }
}
