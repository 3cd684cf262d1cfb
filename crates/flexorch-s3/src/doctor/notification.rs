//! Reads how a bucket's uploads are notified: its notification configuration, and EventBridge rules.

use aws_sdk_eventbridge::operation::describe_rule::DescribeRuleOutput;
use aws_sdk_eventbridge::types::RuleState;

use super::aws::Aws;
use super::coverage::Coverage;
use super::pattern::match_pattern;
use crate::aws_failure::{AwsFailure, FailureKind};
use crate::bucket;
use crate::notification::{Configuration, Destination, Filter, Notification, Service};
use flexorch_s3_ingester::model::arn::{self, region_of};

/// The part of a bucket's configuration that matters for uploads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notifications {
    pub(crate) entries: Vec<Notification>,
    /// Whether EventBridge is enabled.
    pub(crate) eventbridge: bool,
}

/// An EventBridge rule whose target is the queue or the function.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) enabled: bool,
    pub(crate) pattern: String,
    pub(crate) target: Destination,
}

impl Notifications {
    /// Reads the bucket's configuration.
    pub(crate) async fn read(aws: &Aws<'_>, bucket: &str, region: Option<&str>) -> Result<Self, AwsFailure> {
        let (action, resource) = ("s3:GetBucketNotification", arn::of_bucket(bucket, region));
        let client = aws.s3(region);
        let xml = aws.within_time(action, &resource, bucket::notifications_of(&client, bucket)).await??;
        let configuration = Configuration::parse_lenient(&xml).map_err(|error| {
            let cause = format!("S3's response is not a notification configuration: {error}");
            AwsFailure { action, resource, kind: FailureKind::Refused, cause }
        })?;
        Ok(Self::of(&configuration))
    }

    /// Selects the part of a configuration that matters for uploads.
    pub(crate) fn of(configuration: &Configuration) -> Self {
        Self {
            entries: configuration.notifications().filter(|found| is_of_uploads(found)).cloned().collect(),
            eventbridge: configuration.has_event_bridge(),
        }
    }

    /// Returns the functions and queues that are notified of uploads, each once.
    pub(crate) fn destinations(&self) -> Vec<&Destination> {
        let mut all: Vec<&Destination> = Vec::new();
        for entry in &self.entries {
            if entry.destination.service != Service::Topic && !all.contains(&&entry.destination) {
                all.push(&entry.destination);
            }
        }
        all
    }
}

/// The operations that create objects (S3 User Guide, "Supported event types").
const OPERATIONS: [&str; 4] = ["Put", "Post", "Copy", "CompleteMultipartUpload"];

fn is_of_uploads(notification: &Notification) -> bool {
    notification.events.iter().any(|event| event.starts_with("s3:ObjectCreated:"))
}

/// Returns which keys under a connector's prefix a filter matches. Its author may not have known that S3 wants some characters
/// encoded, so it is read both ways.
fn coverage(filter: &Filter, prefix: &str) -> Coverage {
    match Coverage::of_prefix(&filter.prefix, prefix) {
        Coverage::Nothing => Coverage::of_prefix(&filter.written_prefix(), prefix),
        coverage => coverage,
    }
}

/// Reads the rules that have this target, in its region, as far as they select events.
pub(crate) async fn rules(aws: &Aws<'_>, to: Destination) -> Result<Vec<Rule>, AwsFailure> {
    let found = rules_of(aws, &to.arn).await?.into_iter().filter_map(|rule| {
        Some(Rule {
            name: rule.name.unwrap_or_default(),
            arn: rule.arn.unwrap_or_default(),
            enabled: rule.state.is_none_or(|state| state != RuleState::Disabled),
            pattern: rule.event_pattern?,
            target: to.clone(),
        })
    });
    Ok(found.collect())
}

/// Reads the rules that have this target, in its region.
pub(crate) async fn rules_of(aws: &Aws<'_>, target: &str) -> Result<Vec<DescribeRuleOutput>, AwsFailure> {
    let events = aws_sdk_eventbridge::Client::new(&aws.config(region_of(target)));
    let request = events.list_rule_names_by_target().target_arn(target).send();
    let mut rules = Vec::new();
    for name in aws.call("events:ListRuleNamesByTarget", target, request).await?.rule_names() {
        let request = events.describe_rule().name(name).send();
        rules.extend(aws.call_optional("events:DescribeRule", name, request).await?);
    }
    Ok(rules)
}

impl Sender<'_> {
    /// Returns the resource that is notified.
    pub(crate) fn destination(&self) -> &Destination {
        match self {
            Self::Bucket(entry) => &entry.destination,
            Self::Rule(rule) => &rule.target,
        }
    }
}

/// A notification or rule that delivers a bucket's uploads to the function or its queue.
#[derive(Debug, Clone)]
pub(crate) struct Subscription<'a> {
    pub(crate) sender: Sender<'a>,
    pub(crate) coverage: Coverage,
    /// Operations whose objects are not notified.
    pub(crate) missing: Vec<&'static str>,
    /// Suffixes of which keys must have one; none for any.
    pub(crate) suffixes: Vec<String>,
    /// Conditions that are not evaluated here.
    pub(crate) unclear: Vec<String>,
}

/// What delivers uploads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sender<'a> {
    /// S3 itself.
    Bucket(&'a Notification),
    /// An EventBridge rule.
    Rule(&'a Rule),
}

/// Returns the subscriptions of a bucket's uploads, active or not.
pub(crate) fn subscriptions<'a>(
    notifications: &'a Notifications,
    rules: &'a [Rule],
    bucket: &str,
    prefix: &str,
    is_wanted: impl Fn(&Destination) -> bool,
) -> Vec<Subscription<'a>> {
    let direct = notifications.entries.iter().filter(|entry| is_wanted(&entry.destination)).map(|entry| Subscription {
        sender: Sender::Bucket(entry),
        coverage: coverage(&entry.filter, prefix),
        missing: OPERATIONS.into_iter().filter(|operation| !entry.matches_created(operation)).collect(),
        suffixes: if entry.filter.suffix.is_empty() { Vec::new() } else { vec![entry.filter.suffix.clone()] },
        unclear: Vec::new(),
    });
    let by_rule = rules.iter().filter_map(|rule| {
        let found = match_pattern(&rule.pattern, bucket, prefix)?;
        let (suffixes, unclear) = (found.suffixes, found.unclear);
        Some(Subscription {
            sender: Sender::Rule(rule),
            coverage: found.coverage,
            missing: Vec::new(),
            suffixes,
            unclear,
        })
    });
    direct.chain(by_rule).collect()
}

impl Subscription<'_> {
    /// Returns whether it delivers anything.
    pub(crate) fn is_active(&self, notifications: &Notifications) -> bool {
        self.coverage != Coverage::Nothing
            && match self.sender {
                Sender::Bucket(_) => true,
                Sender::Rule(rule) => rule.enabled && notifications.eventbridge,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_whose_author_did_not_encode_a_plus_is_taken_as_it_was_meant() {
        let xml = "<NotificationConfiguration><QueueConfiguration><Queue>arn:aws:sqs:eu-west-1:123456789012:q</Queue>\
                   <Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>prefix</Name><Value>a+b/</Value></FilterRule>\
                   </S3Key></Filter></QueueConfiguration></NotificationConfiguration>";
        let notifications = Notifications::of(&Configuration::parse_lenient(xml).unwrap());
        let filter = &notifications.entries[0].filter;
        assert_eq!(coverage(filter, "a b/"), Coverage::All);
        assert_eq!(coverage(filter, "a+b/"), Coverage::All);
        assert_eq!(coverage(filter, "a/"), Coverage::Nothing);
    }
}
