//! How the bucket tells of uploads: what it is set up to tell the function or its queue, and which EventBridge rules pass it on.

use aws_sdk_eventbridge::types::RuleState;
use aws_sdk_s3::types::{FilterRuleName, NotificationConfigurationFilter};

use super::super::arn::region_of;
use super::super::aws_failure::AwsFailure;
use super::aws::{Aws, ask, ask_for};
use super::pattern::passage;
use super::reach::Reach;
use crate::object::ObjectKey;

/// Where a notification goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Destination {
    /// A function, by its ARN.
    Function(String),
    /// A queue, by its ARN.
    Queue(String),
    /// A topic, by its ARN.
    Topic(String),
}

/// One entry of the bucket's configuration.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub to: Destination,
    /// Such as `s3:ObjectCreated:*`.
    pub events: Vec<String>,
    pub prefix: String,
    pub suffix: String,
}

/// The bucket's configuration.
#[derive(Debug, Clone, Default)]
pub(super) struct Notifications {
    pub entries: Vec<Entry>,
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
        let question = aws.s3(region).get_bucket_notification_configuration().bucket(bucket).send();
        let answer = ask("s3:GetBucketNotification", &format!("arn:aws:s3:::{bucket}"), question).await?;
        let entry =
            |to: Destination, events: &[aws_sdk_s3::types::Event], filter: Option<&NotificationConfigurationFilter>| {
                let rules = filter.and_then(|filter| filter.key()).map(|key| key.filter_rules()).unwrap_or_default();
                let value = |name: &FilterRuleName| {
                    let rule = rules.iter().find(|rule| {
                        // S3 answers `Prefix` for what was written as `prefix`.
                        rule.name().is_some_and(|given| given.as_str().eq_ignore_ascii_case(name.as_str()))
                    });
                    rule.and_then(|rule| rule.value()).unwrap_or_default().to_owned()
                };
                let events = events.iter().map(|event| event.as_str().to_owned()).collect();
                Entry { to, events, prefix: value(&FilterRuleName::Prefix), suffix: value(&FilterRuleName::Suffix) }
            };
        let functions = answer.lambda_function_configurations().iter().map(|found| {
            entry(Destination::Function(found.lambda_function_arn().to_owned()), found.events(), found.filter())
        });
        let queues = answer
            .queue_configurations()
            .iter()
            .map(|found| entry(Destination::Queue(found.queue_arn().to_owned()), found.events(), found.filter()));
        let topics = answer
            .topic_configurations()
            .iter()
            .map(|found| entry(Destination::Topic(found.topic_arn().to_owned()), found.events(), found.filter()));
        Ok(Self {
            entries: functions.chain(queues).chain(topics).filter(Entry::is_of_uploads).collect(),
            eventbridge: answer.event_bridge_configuration().is_some(),
        })
    }

    /// The functions and queues that are told of uploads, each once.
    pub(super) fn destinations(&self) -> Vec<&Destination> {
        let mut all: Vec<&Destination> = Vec::new();
        for entry in &self.entries {
            if !matches!(entry.to, Destination::Topic(_)) && !all.contains(&&entry.to) {
                all.push(&entry.to);
            }
        }
        all
    }
}

/// The kinds of uploads (S3 User Guide, "Supported event types").
const KINDS: [&str; 4] = ["Put", "Post", "Copy", "CompleteMultipartUpload"];

impl Entry {
    fn is_of_uploads(&self) -> bool {
        self.events.iter().any(|event| event.starts_with("s3:ObjectCreated:"))
    }

    /// Whether it tells of uploads of this kind.
    fn tells_of(&self, kind: &str) -> bool {
        self.events
            .iter()
            .any(|event| event == "s3:ObjectCreated:*" || event.strip_prefix("s3:ObjectCreated:") == Some(kind))
    }

    /// S3 wants some characters of a filter percent-encoded (S3 User Guide, "Configuring event notifications using object key name
    /// filtering"), so it is read both ways.
    fn reach(&self, prefix: &str) -> Reach {
        let plain = Reach::of_prefix(&self.prefix, prefix);
        match (&plain, ObjectKey::from_form_encoded(&self.prefix)) {
            (Reach::Nothing, Ok(decoded)) => Reach::of_prefix(decoded.as_str(), prefix),
            _ => plain,
        }
    }
}

/// The rules that have this target, in its region.
pub(super) async fn rules(aws: &Aws<'_>, to: Destination) -> Result<Vec<Rule>, AwsFailure> {
    let (Destination::Function(target) | Destination::Queue(target) | Destination::Topic(target)) = &to;
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
            Self::Bucket(entry) => &entry.to,
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
    Bucket(&'a Entry),
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
    let direct = notifications.entries.iter().filter(|entry| leads_here(&entry.to)).map(|entry| Way {
        by: By::Bucket(entry),
        reach: entry.reach(prefix),
        missing: KINDS.into_iter().filter(|kind| !entry.tells_of(kind)).collect(),
        suffixes: if entry.suffix.is_empty() { Vec::new() } else { vec![entry.suffix.clone()] },
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
