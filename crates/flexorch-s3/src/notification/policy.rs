//! Decides whether the policy of a function or queue allows a service, and adds or removes a statement. The other statements stay
//! unchanged, byte for byte.
//!
//! This is not IAM's whole evaluation: it covers what policies for notifications use (S3 User Guide, "Granting permissions to publish
//! event notification messages to a destination").

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use wildmatch::WildMatch;

use super::own::digest;

/// A service that acts on a function or queue on behalf of a bucket or rule.
#[derive(Debug, Clone)]
pub(crate) struct Grantee {
    /// Such as `s3.amazonaws.com`.
    pub(crate) service: &'static str,
    /// The bucket's or rule's ARN.
    pub(crate) source: String,
    /// The account of the source, if known.
    pub(crate) account: Option<String>,
    /// The action that it needs, `sqs:SendMessage` or `lambda:InvokeFunction`.
    pub(crate) action: &'static str,
    /// The ARN of the function or queue.
    pub(crate) resource: String,
}

impl Grantee {
    /// Returns the statement that allows it, without a statement id.
    pub(crate) fn statement(&self) -> Value {
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

/// Returns the id of the statement that `attach` adds. SQS does not accept other characters than letters and digits everywhere.
pub(crate) fn own_statement_id(grantee: &Grantee) -> String {
    format!("FlexorchS3{}", digest(&[&grantee.source, &grantee.resource]))
}

/// A text that is not a policy.
#[derive(Debug, thiserror::Error)]
#[error("cannot parse the resource policy")]
pub(crate) struct PolicyError(#[from] serde_json::Error);

/// A resource-based policy.
#[derive(Debug, Default)]
pub(crate) struct Policy {
    fields: IndexMap<String, Box<RawValue>>,
    statements: Vec<Box<RawValue>>,
}

impl Policy {
    /// Parses a policy's JSON. Empty text is a policy without statements.
    pub(crate) fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let fields: IndexMap<String, Box<RawValue>> = serde_json::from_str(text)?;
        let statements = match fields.get("Statement").map(|raw| raw.get()) {
            None => Vec::new(),
            Some(list) if list.starts_with('[') => serde_json::from_str(list)?,
            // A single statement may stand without a list.
            Some(one) => vec![serde_json::from_str(one)?],
        };
        Ok(Self { fields, statements })
    }

    /// Returns the JSON. Without statements it is empty, which removes a policy.
    pub(crate) fn to_text(&self) -> serde_json::Result<String> {
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

    /// Returns whether there is a statement with this id.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.statements.iter().any(|statement| is_called(statement, id))
    }

    /// Removes the statement with this id.
    pub(crate) fn without(mut self, id: &str) -> Self {
        self.statements.retain(|statement| !is_called(statement, id));
        self
    }

    /// Adds a statement that allows the grantee. It replaces a statement with the same id.
    pub(crate) fn with(self, id: &str, grantee: &Grantee) -> serde_json::Result<Self> {
        let mut statement = grantee.statement();
        statement["Sid"] = id.into();
        let mut policy = self.without(id);
        policy.statements.push(serde_json::value::to_raw_value(&statement)?);
        Ok(policy)
    }

    /// Returns whether a statement certainly allows the grantee. A statement with unknown conditions does not count: adding another
    /// one does no harm. Deny statements are left to S3, which tries the destination when a notification is written.
    pub(crate) fn allows(&self, grantee: &Grantee) -> bool {
        self.statements().any(|statement| statement.effect == "Allow" && statement.matches(grantee) == Fit::Yes)
    }

    /// Returns whether the policy appears to allow the grantee: a statement allows it, perhaps under unknown conditions, and none
    /// certainly denies it.
    pub(crate) fn appears_to_allow(&self, grantee: &Grantee) -> bool {
        let most = |effect: &str| {
            let fits = self.statements().filter(|statement| statement.effect == effect);
            fits.map(|statement| statement.matches(grantee)).max().unwrap_or(Fit::No)
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

/// The parts of a statement that matter here (IAM User Guide, "IAM JSON policy element reference").
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

/// Whether a statement, or a part of one, applies to a grantee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    No,
    /// It depends on something that is not evaluated here.
    Perhaps,
    Yes,
}

impl From<bool> for Fit {
    fn from(fits: bool) -> Self {
        if fits { Self::Yes } else { Self::No }
    }
}

impl Statement {
    fn matches(&self, grantee: &Grantee) -> Fit {
        let names_service = match &self.principal {
            Value::String(anybody) => anybody == "*",
            Value::Object(kinds) => kinds.iter().any(|(kind, who)| match kind.as_str() {
                "Service" => texts(who).any(|service| service == grantee.service),
                "AWS" => texts(who).any(|who| who == "*"),
                _ => false,
            }),
            _ => false,
        };
        let names_action =
            texts(&self.action).any(|action| matches_wildcard(&action.to_lowercase(), &grantee.action.to_lowercase()));
        let resource = match &self.resource {
            Value::Null => Fit::Perhaps,
            resource => texts(resource).any(|resource| matches_wildcard(resource, &grantee.resource)).into(),
        };
        let conditions = self.condition.iter().flat_map(|(operator, keys)| {
            let operator = operator.strip_suffix("IfExists").unwrap_or(operator);
            keys.iter().map(move |(key, values)| condition_holds(operator, key, values, grantee))
        });
        conditions.chain([resource, names_service.into(), names_action.into()]).min().unwrap_or(Fit::No)
    }
}

fn condition_holds(operator: &str, key: &str, values: &Value, grantee: &Grantee) -> Fit {
    let actual = match key.to_ascii_lowercase().as_str() {
        "aws:sourcearn" => Some(&grantee.source),
        "aws:sourceaccount" => grantee.account.as_ref(),
        // AWS services use TLS.
        "aws:securetransport" if operator == "Bool" && is_false(values) => return Fit::No,
        _ => None,
    };
    let Some(actual) = actual else { return Fit::Perhaps };
    match operator {
        "ArnEquals" | "ArnLike" | "StringLike" => texts(values).any(|pattern| matches_wildcard(pattern, actual)).into(),
        "StringEquals" => texts(values).any(|text| text == actual).into(),
        _ => Fit::Perhaps,
    }
}

fn is_false(value: &Value) -> bool {
    *value == false || value == "false" || value.as_array().is_some_and(|values| values.iter().all(is_false))
}

/// Returns the texts of a value, which is a text or a list of texts.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let list = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter_map(Value::as_str)
}

/// Returns whether a text matches a pattern in which `*` is any text and `?` any character, as in IAM and EventBridge.
pub(crate) fn matches_wildcard(pattern: &str, text: &str) -> bool {
    WildMatch::new(pattern).matches(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: &str = "arn:aws:sqs:eu-west-1:123456789012:retry";

    fn grantee() -> Grantee {
        Grantee {
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
    fn adding_and_removing_a_statement_leaves_the_others_byte_for_byte() {
        let before = r#"{"Version":"2012-10-17","Id":"x","Statement":[{"Sid":"TlsOnly", "Effect":"Deny","Principal":"*","Action":"sqs:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}},{"Effect":"Allow","n":1.50}]}"#;
        let id = own_statement_id(&grantee());
        let after = Policy::parse(before).unwrap().with(&id, &grantee()).unwrap();
        assert!(after.has(&id) && after.allows(&grantee()));
        let text = after.to_text().unwrap();
        assert!(text.starts_with(before.trim_end_matches("]}")), "{text}");
        let twice = Policy::parse(&text).unwrap().with(&id, &grantee()).unwrap().to_text().unwrap();
        assert_eq!(twice, text);
        assert_eq!(Policy::parse(&text).unwrap().without(&id).to_text().unwrap(), before);
    }

    #[test]
    fn a_policy_can_be_added_to_a_queue_without_one_and_removed_again() {
        let policy = Policy::parse("").unwrap().with("Own", &grantee()).unwrap();
        let text = policy.to_text().unwrap();
        assert!(
            text.starts_with(r#"{"Version":"2012-10-17","Statement":[{"#) && text.contains(r#""Sid":"Own""#),
            "{text}"
        );
        assert_eq!(policy.without("Own").to_text().unwrap(), "");
        assert!(Policy::parse("[]").is_err());
    }

    #[test]
    fn a_statement_that_allows_s3_is_recognized() {
        let s3 = json!({"Service": "s3.amazonaws.com"});
        for statement in [
            json!({"Effect": "Allow", "Principal": s3, "Action": "SQS:SendMessage", "Resource": QUEUE}),
            json!([{"Effect": "Allow", "Principal": "*", "Action": ["sqs:ReceiveMessage", "sqs:*"], "Resource": "*",
                    "Condition": {"ArnLike": {"AWS:SourceArn": "arn:aws:s3:*:*:docs"}}}]),
            json!({"Effect": "Allow", "Principal": {"Service": ["sns.amazonaws.com", "s3.amazonaws.com"]}, "Action": "*", "Resource": [QUEUE],
                   "Condition": {"StringEquals": {"aws:SourceAccount": ["1", "123456789012"], "aws:SourceArn": "arn:aws:s3:::docs"}}}),
        ] {
            assert!(policy_of(statement.clone()).allows(&grantee()), "{statement}");
        }
    }

    #[test]
    fn a_statement_that_allows_others_or_s3_only_perhaps_does_not_count() {
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
            assert!(!policy_of(statement.clone()).allows(&grantee()), "{statement}");
        }
    }

    fn s3_seems_to_send(statements: Value) -> bool {
        policy_of(statements).appears_to_allow(&Grantee { account: None, ..grantee() })
    }

    fn allow(condition: Value) -> Value {
        json!({"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": QUEUE,
               "Condition": condition})
    }

    #[test]
    fn the_templates_policy_allows_its_bucket_and_no_other() {
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
    fn an_unknown_condition_may_allow_but_does_not_deny() {
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
    fn a_policy_without_statements_allows_nothing() {
        for text in ["", "{}", "{\"Statement\": 5}"] {
            assert!(!Policy::parse(text).unwrap().appears_to_allow(&grantee()), "{text}");
        }
    }
}
