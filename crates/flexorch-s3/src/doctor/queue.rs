//! Reads and checks the retry queue and the dead-letter queue: their settings, and how many messages wait in them.

use std::collections::HashMap;

use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};

use super::aws::Aws;
use super::check::{Check, Fix};
use super::commands::{Commands, quoted};
use super::function::Function;
use super::name;
use crate::aws_failure::AwsFailure;
use crate::stack::{self, Owner};
use flexorch_s3_ingester::model::arn::{QueueArn, queue_name};
use flexorch_s3_ingester::model::settings;

/// Lambda Developer Guide, "Using Lambda with Amazon SQS": the visibility timeout is six times the function's.
pub(crate) const VISIBILITY_TIMES_TIMEOUT: u64 = 6;
/// A short outage uses up fewer receives than this (Lambda Developer Guide, same page).
const FEW_RECEIVES: u64 = 5;

/// A queue and its attributes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    pub(crate) arn: String,
    pub(crate) url: String,
    attributes: HashMap<String, String>,
    /// The stack that it belongs to, if any.
    pub(crate) owner: Owner,
}

impl Queue {
    /// Reads a queue. Returns `None` if it does not exist.
    pub(crate) async fn read(aws: &Aws<'_>, arn: &str) -> Result<Option<Self>, AwsFailure> {
        let action = "sqs:GetQueueAttributes";
        let parsed = QueueArn::parse(arn).map_err(|error| AwsFailure::not_an_arn(&error, action))?;
        let url = aws.queue_url(&parsed);
        let request = aws
            .sqs(Some(parsed.region))
            .get_queue_attributes()
            .queue_url(&url)
            .attribute_names(QueueAttributeName::All)
            .send();
        let client = aws.sqs(Some(parsed.region));
        let owner = aws.within_time("sqs:ListQueueTags", arn, stack::of_queue(&client, &url, arn));
        let (response, owner) = tokio::join!(aws.call_optional(action, arn, request), owner);
        // The owner matters only for advice.
        let owner = owner.and_then(|owner| owner).unwrap_or_default();
        Ok(response?.map(|response| {
            let attributes = response.attributes.unwrap_or_default();
            let attributes = attributes.into_iter().map(|(name, value)| (name.as_str().to_owned(), value)).collect();
            Self { arn: arn.to_owned(), url, attributes, owner }
        }))
    }

    pub(crate) fn name(&self) -> &str {
        queue_name(&self.arn)
    }

    fn number(&self, attribute: &str) -> u64 {
        self.attributes.get(attribute).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// Returns the numbers of visible, invisible (in flight or deferred) and delayed messages.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        (
            self.number("ApproximateNumberOfMessages"),
            self.number("ApproximateNumberOfMessagesNotVisible"),
            self.number("ApproximateNumberOfMessagesDelayed"),
        )
    }

    /// Returns the number of all messages.
    pub(crate) fn all(&self) -> u64 {
        let (visible, hidden, delayed) = self.counts();
        visible + hidden + delayed
    }

    /// Returns the ARN of its dead-letter queue, and after how many receives a message is moved there.
    pub(crate) fn redrive(&self) -> Option<(String, u64)> {
        let policy: Value = serde_json::from_str(self.attributes.get("RedrivePolicy")?).ok()?;
        let receives = &policy["maxReceiveCount"];
        let receives = receives.as_u64().or_else(|| receives.as_str()?.parse().ok()).unwrap_or_default();
        Some((policy["deadLetterTargetArn"].as_str()?.to_owned(), receives))
    }

    pub(crate) fn policy(&self) -> Option<&str> {
        self.attributes.get("Policy").map(String::as_str).filter(|policy| !policy.is_empty())
    }

    /// Returns its visibility timeout in seconds.
    pub(crate) fn visibility(&self) -> u64 {
        self.number("VisibilityTimeout")
    }

    pub(crate) fn set(&self, attributes: &Value, commands: &Commands) -> String {
        commands.aws(format_args!(
            "sqs set-queue-attributes --queue-url {} --attributes {}",
            quoted(&self.url),
            quoted(&attributes.to_string())
        ))
    }

    /// Builds a command that adds a statement to its policy.
    pub(crate) fn allow_command(&self, statement: &Value, commands: &Commands) -> String {
        let url = quoted(&self.url);
        let read = commands.aws(format_args!(
            "sqs get-queue-attributes --queue-url {url} --attribute-names Policy --query Attributes --output json"
        ));
        let empty = json!({"Version": "2012-10-17", "Statement": []}).to_string();
        let filter = format!(
            "{{Policy: ((. // {{}}).Policy // {} | fromjson | .Statement += [{statement}] | tojson)}}",
            Value::from(empty)
        );
        commands.aws(format_args!(
            "sqs set-queue-attributes --queue-url {url} --attributes \"$({read} | jq -c {})\"",
            quoted(&filter)
        ))
    }
}

/// Checks the retry queue's settings.
pub(crate) fn retry(queue: &Queue, function: &Function, commands: &Commands) -> Check {
    let visibility = queue.number("VisibilityTimeout");
    let timeout = u64::from(function.timeout);
    let wanted = timeout * VISIBILITY_TIMES_TIMEOUT;
    let lengthen = Fix::new(
        queue
            .owner
            .advice(&format!("set it to {VISIBILITY_TIMES_TIMEOUT} times the function's timeout"), Some("Timeout")),
        queue.set(&json!({"VisibilityTimeout": wanted.to_string()}), commands),
    );
    let seen = format!("{}: visibility timeout {visibility} s", queue.name());
    if visibility < timeout {
        return Check::failed(
            name::RETRY_QUEUE,
            format!("{seen}, shorter than the function's timeout of {timeout} s"),
            lengthen,
        );
    }
    let Some((dead, receives)) = queue.redrive() else {
        let named = function.setting(settings::DEAD_LETTER_QUEUE_URL).and_then(|url| url.rsplit('/').next());
        let next = match named {
            Some(dead) => {
                let target =
                    QueueArn::parse(&queue.arn).map_or_else(|_| dead.to_owned(), |arn| arn.sibling(dead).to_string());
                let policy = json!({"deadLetterTargetArn": target, "maxReceiveCount": "120"}).to_string();
                Fix::new(
                    queue.owner.advice("set its redrive policy", None),
                    queue.set(&json!({"RedrivePolicy": policy}), commands),
                )
            }
            None => Fix::new(
                "create one, and set the queue's redrive policy and DEAD_LETTER_QUEUE_URL; the template does all of this",
                commands.aws(format_args!(
                    "sqs create-queue --queue-name {}",
                    quoted(&format!("{}-dead-letters", queue.name()))
                )),
            ),
        };
        return Check::failed(
            name::RETRY_QUEUE,
            format!("{} has no dead-letter queue: messages that keep failing are deleted in the end", queue.name()),
            next,
        );
    };
    if receives < FEW_RECEIVES {
        let policy = json!({"deadLetterTargetArn": dead, "maxReceiveCount": "120"}).to_string();
        return Check::warning(
            name::RETRY_QUEUE,
            format!(
                "{}: a message is moved to the dead-letter queue after {receives} receives, within minutes of an outage",
                queue.name()
            ),
            Fix::new(
                queue.owner.advice("120 receives last through an outage of a day", Some("MaxReceiveCount")),
                queue.set(&json!({"RedrivePolicy": policy}), commands),
            ),
        );
    }
    if visibility < wanted {
        return Check::warning(
            name::RETRY_QUEUE,
            format!("{seen}; with the function's timeout of {timeout} s, some objects may be submitted twice"),
            lengthen,
        );
    }
    Check::well(name::RETRY_QUEUE, format!("{seen}, dead letter after {receives} receives"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::doctor::check::Status;

    pub(in crate::doctor) fn queue(attributes: &[(&str, &str)]) -> Queue {
        let usual = [
            ("VisibilityTimeout", "180"),
            ("RedrivePolicy", r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:1:dead","maxReceiveCount":"120"}"#),
        ];
        let attributes = usual.iter().chain(attributes).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Queue {
            arn: "arn:aws:sqs:eu-west-1:1:retry".into(),
            url: "http://q/1/retry".into(),
            attributes: attributes.collect(),
            owner: Owner::NoStack,
        }
    }

    pub(in crate::doctor) fn function() -> Function {
        let mut function = Function::default();
        function.timeout = 30;
        function
    }

    fn status(attributes: &[(&str, &str)]) -> Status {
        retry(&queue(attributes), &function(), &Commands::default()).status()
    }

    #[test]
    fn the_visibility_timeout_is_long_enough_and_there_are_enough_receives() {
        assert_eq!(status(&[]), Status::Well);
        assert_eq!(status(&[("VisibilityTimeout", "179")]), Status::Warning);
        assert_eq!(status(&[("VisibilityTimeout", "29")]), Status::Failed);
        assert_eq!(status(&[("RedrivePolicy", "")]), Status::Failed);
        let few = r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:1:dead","maxReceiveCount":3}"#;
        assert_eq!(status(&[("RedrivePolicy", few)]), Status::Warning);
    }
}
