//! How the bucket tells of uploads: what it is set up to tell the function or its queue, and which EventBridge rules pass it on.

use aws_sdk_eventbridge::types::RuleState;

use super::super::arn::{self, region_of};
use super::super::aws_failure::{AwsFailure, FailureKind};
use super::super::bucket;
use super::super::notification::{Configuration, Destination, Filter, Notification, Service};
use super::aws::{Aws, ask, ask_for, within_time};
use super::pattern::passage;
use super::reach::Reach;

/// What of the bucket's configuration is about uploads.
#[derive(Debug, Clone, Default)]
pub(super) struct Notifications {
    pub entries: Vec<Notification>,
    /// Whether it tells EventBridge everything.
    pub eventbridge: bool,
}

/// An EventBridge rule that has the queue or the function for its target.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub name: String,
    pub arn: String,
    pub enabled: bool,
    pub pattern: String,
    /// What it sends to.
    pub to: Destination,
}

impl Notifications {
    /// Reads the bucket's configuration.
    pub(super) async fn read(aws: &Aws<'_>, bucket: &str, region: Option<&str>) -> Result<Self, AwsFailure> {
        let (action, resource) = ("s3:GetBucketNotification", arn::of_bucket(bucket, region));
        let client = aws.s3(region);
        let xml = within_time(action, &resource, bucket::notifications_of(&client, bucket)).await??;
        let configuration = Configuration::glean(&xml).map_err(|error| {
            let words = format!("S3's answer is no notification configuration: {error}");
            AwsFailure { action, resource, kind: FailureKind::Refused, words }
        })?;
        Ok(Self::of(&configuration))
    }

    /// What of a configuration is about uploads.
    pub(super) fn of(configuration: &Configuration) -> Self {
        Self {
            entries: configuration.notifications().filter(|found| is_of_uploads(found)).cloned().collect(),
            eventbridge: configuration.has_event_bridge(),
        }
    }

    /// The functions and queues that are told of uploads, each once.
    pub(super) fn destinations(&self) -> Vec<&Destination> {
        let mut all: Vec<&Destination> = Vec::new();
        for entry in &self.entries {
            if entry.destination.service != Service::Topic && !all.contains(&&entry.destination) {
                all.push(&entry.destination);
            }
        }
        all
    }
}

/// The kinds of uploads (S3 User Guide, "Supported event types").
const KINDS: [&str; 4] = ["Put", "Post", "Copy", "CompleteMultipartUpload"];

fn is_of_uploads(notification: &Notification) -> bool {
    notification.events.iter().any(|event| event.starts_with("s3:ObjectCreated:"))
}

/// What of a connector's prefix a filter lets through. Whoever wrote it may not have known that S3 wants some characters encoded, so
/// it is read both ways.
fn reach(filter: &Filter, prefix: &str) -> Reach {
    match Reach::of_prefix(&filter.prefix, prefix) {
        Reach::Nothing => Reach::of_prefix(&filter.written_prefix(), prefix),
        reach => reach,
    }
}

/// The rules that have this target, in its region.
pub(super) async fn rules(aws: &Aws<'_>, to: Destination) -> Result<Vec<Rule>, AwsFailure> {
    let target = &to.arn;
    let events = aws.events(region_of(target));
    let question = events.list_rule_names_by_target().target_arn(target).send();
    let names = ask("events:ListRuleNamesByTarget", target, question).await?;
    let mut rules = Vec::new();
    for name in names.rule_names() {
        let question = events.describe_rule().name(name).send();
        let Some(found) = ask_for("events:DescribeRule", name, question).await? else { continue };
        let Some(pattern) = found.event_pattern else { continue };
        rules.push(Rule {
            name: name.clone(),
            arn: found.arn.unwrap_or_default(),
            enabled: found.state.is_none_or(|state| state != RuleState::Disabled),
            pattern,
            to: to.clone(),
        });
    }
    Ok(rules)
}

impl By<'_> {
    /// What is told.
    pub(super) fn to(&self) -> &Destination {
        match self {
            Self::Bucket(entry) => &entry.destination,
            Self::Rule(rule) => &rule.to,
        }
    }
}

/// A way by which uploads are told, as far as the bucket and its rules are concerned.
#[derive(Debug, Clone)]
pub(super) struct Way<'a> {
    pub by: By<'a>,
    pub reach: Reach,
    /// Kinds of uploads that are not told.
    pub missing: Vec<&'static str>,
    /// Ends that keys must have, one of them; none for any.
    pub suffixes: Vec<String>,
    /// Conditions that are not understood here.
    pub unclear: Vec<String>,
}

/// Who tells.
#[derive(Debug, Clone, Copy)]
pub(super) enum By<'a> {
    /// S3 itself.
    Bucket(&'a Notification),
    /// An EventBridge rule.
    Rule(&'a Rule),
}

/// The ways of a bucket's uploads to one of these destinations, whether or not they are open.
pub(super) fn ways<'a>(
    notifications: &'a Notifications,
    rules: &'a [Rule],
    bucket: &str,
    prefix: &str,
    leads_here: impl Fn(&Destination) -> bool,
) -> Vec<Way<'a>> {
    let direct = notifications.entries.iter().filter(|entry| leads_here(&entry.destination)).map(|entry| Way {
        by: By::Bucket(entry),
        reach: reach(&entry.filter, prefix),
        missing: KINDS.into_iter().filter(|kind| !entry.tells_of_created(kind)).collect(),
        suffixes: if entry.filter.suffix.is_empty() { Vec::new() } else { vec![entry.filter.suffix.clone()] },
        unclear: Vec::new(),
    });
    let by_rule = rules.iter().filter_map(|rule| {
        let found = passage(&rule.pattern, bucket, prefix)?;
        let (suffixes, unclear) = (found.suffixes, found.unclear);
        Some(Way { by: By::Rule(rule), reach: found.reach, missing: Vec::new(), suffixes, unclear })
    });
    direct.chain(by_rule).collect()
}

impl Way<'_> {
    /// Whether anything goes along it.
    pub(super) fn is_open(&self, notifications: &Notifications) -> bool {
        self.reach != Reach::Nothing
            && match self.by {
                By::Bucket(_) => true,
                By::Rule(rule) => rule.enabled && notifications.eventbridge,
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
        let notifications = Notifications::of(&Configuration::glean(xml).unwrap());
        let filter = &notifications.entries[0].filter;
        assert_eq!(reach(filter, "a b/"), Reach::All);
        assert_eq!(reach(filter, "a+b/"), Reach::All);
        assert_eq!(reach(filter, "a/"), Reach::Nothing);
    }
}
