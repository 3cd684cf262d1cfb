//! Whether the bucket's uploads reach the function or its queue, and whether those let them in. Pure.

use serde_json::json;

use super::super::arn::{self, account_of, region_of};
use super::super::notification::{Destination, Policy, Service, Visitor};
use super::check::{Check, Next};
use super::commands::{Commands, quoted};
use super::function::Function;
use super::mapping::queue_name;
use super::name;
use super::notification::{By, Notifications, Rule, Way, ways};
use super::queue::Queue;
use super::reach::Reach;

/// All that the judgement takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'a> {
    pub bucket: &'a str,
    pub prefix: &'a str,
    pub notifications: &'a Notifications,
    pub rules: &'a [Rule],
    pub function: &'a Function,
    /// The function's policy.
    pub policy: Option<&'a str>,
    pub queue: Option<&'a Queue>,
    pub commands: &'a Commands,
}

impl<'a> Scene<'a> {
    /// The ways of the bucket's uploads to this function, open or not.
    pub(super) fn ways(&self) -> Vec<Way<'a>> {
        ways(self.notifications, self.rules, self.bucket, self.prefix, |to| match to.service {
            Service::Function => self.function.is(&to.arn),
            Service::Queue => self.queue.is_some_and(|queue| queue.arn == to.arn),
            Service::Topic => false,
        })
    }

    fn source(&self) -> String {
        arn::of_bucket(self.bucket, self.function.region())
    }

    /// Whether the function is started for each upload, with no queue before it.
    pub(super) fn is_direct(&self) -> bool {
        self.ways().iter().any(|way| way.by.to().service == Service::Function)
    }

    /// The command that sets the notification up: in the shape that the rest of the chain is prepared for.
    pub(super) fn attach(&self) -> String {
        let s3_sends = |queue: &&Queue| lets_in(queue.policy(), &to_queue(S3, self.source(), queue));
        let prefix = if self.prefix.is_empty() { String::new() } else { format!(" --prefix {}", quoted(self.prefix)) };
        let to = match self.queue {
            // Of EventBridge, rules choose the keys.
            _ if !self.rules.is_empty() => "--eventbridge".to_owned(),
            Some(queue) if s3_sends(&queue) => format!("--queue {}{prefix}", quoted(&queue.arn)),
            _ => format!("--function {}{prefix}", quoted(&self.function.arn)),
        };
        self.commands.own(format_args!("attach --bucket {} {to}", quoted(self.bucket)))
    }

    /// Whether uploads are told.
    pub(super) fn notification(&self) -> Check {
        let ways = self.ways();
        let open: Vec<_> = ways.iter().filter(|way| way.is_open(self.notifications)).collect();
        if open.is_empty() {
            return self.untold(&ways);
        }
        let reach = open.iter().map(|way| way.reach.clone()).fold(Reach::Nothing, Reach::or);
        let by: Vec<_> = open.iter().map(|way| self.by(way)).collect();
        let mut gaps = Vec::new();
        if let Reach::Part(prefixes) = &reach {
            gaps.push(format!("only of keys under {}; the connector reads {:?}", prefixes.join(", "), self.prefix));
        }
        let missing: Vec<_> =
            open[0].missing.iter().filter(|kind| open.iter().all(|way| way.missing.contains(kind))).collect();
        if !missing.is_empty() {
            let kinds: Vec<_> = missing.iter().map(|kind| format!("s3:ObjectCreated:{kind}")).collect();
            gaps.push(format!("not of {}", kinds.join(", ")));
        }
        let unclear: Vec<_> = open.iter().flat_map(|way| way.unclear.clone()).collect();
        if !unclear.is_empty() {
            gaps.push(format!("perhaps not of all: doctor does not understand {}", unclear.join(", ")));
        }
        let any_end = open.iter().any(|way| way.suffixes.is_empty());
        let suffixes: Vec<_> = open.iter().flat_map(|way| way.suffixes.clone()).collect();
        let ends = if any_end { String::new() } else { format!(", only of keys that end in {}", suffixes.join(", ")) };
        let wanted: Vec<_> =
            self.function.setting("KEY_SUFFIXES").unwrap_or_default().split(',').map(str::trim).collect();
        let is_told = |end: &&&str| !suffixes.iter().any(|told| end.to_lowercase().ends_with(&told.to_lowercase()));
        if !any_end && let Some(end) = wanted.iter().filter(|end| !end.is_empty()).find(is_told) {
            gaps.push(format!("not of keys that end in {end}, which KEY_SUFFIXES lets through"));
        }
        let found = format!("{} is told{ends} ({})", self.told(&open), by.join(", "));
        match gaps.is_empty() {
            true => Check::well(name::NOTIFICATION, found),
            false => Check::warning(
                name::NOTIFICATION,
                format!("{found}: {}", gaps.join("; ")),
                Next::new("if that is not meant, widen it", self.attach()),
            ),
        }
    }

    fn told(&self, open: &[&Way<'_>]) -> String {
        let is_function = |way: &&&Way<'_>| way.by.to().service == Service::Function;
        match open.iter().filter(is_function).count() {
            0 => self.queue.map_or("the queue", |queue| queue.name()).to_owned(),
            _ => "the function".to_owned(),
        }
    }

    /// Who tells, in words.
    pub(super) fn by(&self, way: &Way<'_>) -> String {
        match way.by {
            By::Bucket(entry) if entry.filter.prefix.is_empty() => format!("by {}, of all keys", self.bucket),
            By::Bucket(entry) => format!("by {}, of keys under {}", self.bucket, entry.filter.prefix),
            By::Rule(rule) => format!("by the rule {}", rule.name),
        }
    }

    /// Nothing tells of what the connector reads: the nearest cause first.
    fn untold(&self, ways: &[Way<'_>]) -> Check {
        let attach = || Next::new("set it up", self.attach());
        let rule = ways.iter().find_map(|way| match way.by {
            By::Rule(rule) if way.reach != Reach::Nothing => Some(rule),
            _ => None,
        });
        if let Some(rule) = rule {
            if !self.notifications.eventbridge {
                let found =
                    format!("{} does not tell EventBridge, and the rule {} waits for it", self.bucket, rule.name);
                return Check::failed(name::NOTIFICATION, found, attach());
            }
            let commands =
                rule_region(rule).map_or_else(|| self.commands.clone(), |region| self.commands.in_region(region));
            return Check::failed(
                name::NOTIFICATION,
                format!("the rule {} is disabled", rule.name),
                Next::new(
                    "switch it on",
                    commands.aws(format_args!("events enable-rule --name {}", quoted(&rule.name))),
                ),
            );
        }
        if !ways.is_empty() {
            let of: Vec<_> = ways.iter().map(|way| self.by(way)).collect();
            let found =
                format!("nothing tells of keys under {:?}, which the connector reads ({})", self.prefix, of.join(", "));
            return Check::failed(name::NOTIFICATION, found, attach());
        }
        let mut told = self.notifications.entries.iter().map(|entry| &entry.destination);
        if let Some(Destination { arn: topic, .. }) = told.find(|to| to.service == Service::Topic) {
            return Check::warning(
                name::NOTIFICATION,
                format!("{} tells the topic {topic}: doctor does not follow it", self.bucket),
                Next::new(
                    "see whether the function or its queue is subscribed",
                    self.commands.aws(format_args!("sns list-subscriptions-by-topic --topic-arn {}", quoted(topic))),
                ),
            );
        }
        Check::failed(
            name::NOTIFICATION,
            format!("{} tells neither the function nor its queue of uploads", self.bucket),
            attach(),
        )
    }

    /// Whether those that are told let it in.
    pub(super) fn permission(&self) -> Check {
        let ways: Vec<_> = self.ways().into_iter().filter(|way| way.is_open(self.notifications)).collect();
        if ways.is_empty() {
            return Check::skipped(name::PERMISSION, "nobody is told");
        }
        for way in &ways {
            if let Some(refused) = self.refused(way) {
                return refused;
            }
        }
        Check::well(name::PERMISSION, format!("{} lets it in", self.told(&ways.iter().collect::<Vec<_>>())))
    }

    fn refused(&self, way: &Way<'_>) -> Option<Check> {
        let (source, service) = match way.by {
            By::Bucket(_) => (self.source(), S3),
            By::Rule(rule) => (rule.arn.clone(), "events.amazonaws.com"),
        };
        if way.by.to().service == Service::Function {
            let (action, resource) = ("lambda:InvokeFunction", self.function.arn.clone());
            let wanted = Visitor { service, source: source.clone(), account: None, action, resource };
            if lets_in(self.policy, &wanted) {
                return None;
            }
            let account = account_of(&self.function.arn).unwrap_or_default();
            let add = self.commands.aws(format_args!(
                "lambda add-permission --function-name {} --statement-id notifications-of-{} --action lambda:InvokeFunction --principal \
                 {service} --source-arn {source} --source-account {account}",
                quoted(&self.function.name),
                self.bucket.replace('.', "-"),
            ));
            let found = format!("the function's policy does not let {source} start it");
            return Some(Check::failed(name::PERMISSION, found, Next::new("let it", add)));
        }
        let queue = self.queue?;
        let wanted = to_queue(service, source.clone(), queue);
        if lets_in(queue.policy(), &wanted) {
            return None;
        }
        let found = format!("the policy of {} does not let {source} send to it", queue.name());
        Some(Check::failed(
            name::PERMISSION,
            found,
            Next::new("let it", queue.admit(&wanted.statement(), self.commands)),
        ))
    }

    /// Where the function is started for each upload: what becomes of a notification that it fails on.
    pub(super) fn failed_notifications(&self, destination: Option<&str>) -> Check {
        let Some(queue) = self.queue else {
            return Check::skipped(name::FAILED_NOTIFICATIONS, "the retry queue is not known");
        };
        match destination {
            Some(arn) if arn == queue.arn => Check::well(name::FAILED_NOTIFICATIONS, format!("go to {}", queue.name())),
            other => {
                let found = match other {
                    None => "are lost: Lambda has no destination for them".to_owned(),
                    Some(arn) => format!("go to {}, not to {}", queue_name(arn), queue.name()),
                };
                let set = json!({"OnFailure": {"Destination": queue.arn}}).to_string();
                Check::failed(
                    name::FAILED_NOTIFICATIONS,
                    found,
                    Next::new(
                        "send them there",
                        self.commands.aws(format_args!(
                            "lambda put-function-event-invoke-config --function-name {} --maximum-retry-attempts 0 --destination-config {}",
                            quoted(&self.function.name),
                            quoted(&set)
                        )),
                    ),
                )
            }
        }
    }
}

/// S3, as policies name it.
const S3: &str = "s3.amazonaws.com";

/// A message from a service, whose account is not known here.
fn to_queue(service: &'static str, source: String, queue: &Queue) -> Visitor {
    Visitor { service, source, account: None, action: "sqs:SendMessage", resource: queue.arn.clone() }
}

/// A policy that cannot be read lets nobody in.
fn lets_in(policy: Option<&str>, visitor: &Visitor) -> bool {
    policy.and_then(|text| Policy::parse(text).ok()).is_some_and(|policy| policy.seems_to_let_in(visitor))
}

fn rule_region(rule: &Rule) -> Option<&str> {
    region_of(&rule.arn)
}

#[cfg(test)]
mod tests {
    use super::super::super::notification::{Configuration, Filter, Notification};
    use super::super::check::Status;
    use super::*;

    const FUNCTION: &str = "arn:aws:lambda:eu-west-1:123456789012:function:f";

    /// The checks of a bucket `docs`, whose connector reads `in/`.
    fn look(notifications: Notifications, rules: &[Rule], policy: Option<&str>) -> (Check, Check) {
        let mut function = Function::default();
        (function.name, function.arn) = ("f".into(), FUNCTION.into());
        let commands = Commands::default();
        let scene = Scene {
            bucket: "docs",
            prefix: "in/",
            notifications: &notifications,
            rules,
            function: &function,
            policy,
            queue: None,
            commands: &commands,
        };
        (scene.notification(), scene.permission())
    }

    fn function(arn: &str) -> Destination {
        Destination { service: Service::Function, arn: arn.to_owned() }
    }

    fn entry(to: Destination, prefix: &str) -> Notification {
        Notification::own(to, Filter { prefix: prefix.into(), suffix: String::new() })
    }

    fn told(to: Destination, prefixes: &[&str]) -> Notifications {
        let entries = prefixes.iter().map(|prefix| entry(to.clone(), prefix)).collect();
        Notifications { entries, eventbridge: false }
    }

    #[test]
    fn several_narrow_filters_are_said_together() {
        let (notification, _) = look(told(function(FUNCTION), &["in/a/", "in/b/"]), &[], None);
        assert_eq!(notification.status, Status::Warning);
        assert!(notification.found.contains("only of keys under in/a/, in/b/"), "{}", notification.found);
        let (notification, _) = look(told(function(FUNCTION), &["in/a/", "i"]), &[], None);
        assert_eq!(notification.status, Status::Well);
    }

    #[test]
    fn a_filter_that_is_percent_encoded_is_read_as_s3_means_it() {
        for (written, status) in [("in%2F", Status::Well), ("out%2F", Status::Failed), ("i", Status::Well)] {
            let xml = format!(
                "<NotificationConfiguration><CloudFunctionConfiguration><CloudFunction>{FUNCTION}</CloudFunction>\
                 <Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>Prefix</Name><Value>{written}</Value></FilterRule>\
                 </S3Key></Filter></CloudFunctionConfiguration></NotificationConfiguration>"
            );
            let (notification, _) = look(Notifications::of(&Configuration::glean(&xml).unwrap()), &[], None);
            assert_eq!(notification.status, status, "{}", notification.found);
        }
    }

    #[test]
    fn another_function_or_a_topic_is_not_this_function() {
        let (notification, permission) = look(told(function(&format!("{FUNCTION}2")), &[""]), &[], None);
        assert_eq!((notification.status, permission.status), (Status::Failed, Status::Skipped));
        let arn = "arn:aws:sns:eu-west-1:123456789012:uploads".to_owned();
        let (notification, _) = look(told(Destination { service: Service::Topic, arn }, &[""]), &[], None);
        assert_eq!(notification.status, Status::Warning);
        assert!(notification.command.unwrap().contains("sns list-subscriptions-by-topic"));
    }

    #[test]
    fn a_rule_may_start_the_function_itself_where_its_policy_lets_it() {
        let arn = "arn:aws:events:eu-west-1:123456789012:rule/uploads";
        let rule = Rule {
            name: "uploads".into(),
            arn: arn.into(),
            enabled: true,
            pattern: r#"{"source":["aws.s3"],"detail-type":["Object Created"]}"#.into(),
            to: function(FUNCTION),
        };
        let eventbridge = || Notifications { entries: Vec::new(), eventbridge: true };
        let (notification, permission) = look(eventbridge(), std::slice::from_ref(&rule), None);
        assert_eq!((notification.status, permission.status), (Status::Well, Status::Failed));
        assert!(permission.command.unwrap().contains(&format!("--principal events.amazonaws.com --source-arn {arn}")));
        let policy = json!({"Statement": [{"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"},
            "Action": "lambda:InvokeFunction", "Resource": FUNCTION, "Condition": {"ArnLike": {"AWS:SourceArn": arn}}}]});
        let (_, permission) = look(eventbridge(), &[rule], Some(&policy.to_string()));
        assert_eq!(permission.status, Status::Well);
    }
}
