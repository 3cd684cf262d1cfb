//! Checks whether the bucket's uploads are delivered to the function or its queue, and whether their policies allow it. Pure.

use serde_json::json;

use super::check::{Check, Fix, Unknown, without};
use super::commands::{Commands, quoted};
use super::coverage::Coverage;
use super::function::Function;
use super::name;
use super::notification::{Notifications, Rule, Sender, Subscription, subscriptions};
use super::own_queue::OwnQueue;
use super::queue::Queue;
use crate::aws_failure::AwsFailure;
use crate::notification::{Destination, Grantee, Policy, Service};
use flexorch_s3_ingester::model::arn::{self, account_of, queue_name, region_of};
use flexorch_s3_ingester::model::settings;

/// Everything that decides whether uploads are delivered, as far as it could be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subscriptions<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) prefix: &'a str,
    pub(crate) notifications: &'a Notifications,
    /// The rules whose target is the function or one of its queues.
    pub(crate) rules: Result<&'a [Rule], &'a AwsFailure>,
    pub(crate) function: &'a Function,
    /// The function's policy.
    pub(crate) policy: Result<Option<&'a str>, &'a AwsFailure>,
    pub(crate) own: &'a OwnQueue,
    /// The function's own queue; `None` if it does not exist or is not known.
    pub(crate) queue: Result<Option<&'a Queue>, &'a AwsFailure>,
    pub(crate) commands: &'a Commands,
}

impl<'a> Subscriptions<'a> {
    /// Returns the known subscriptions of the function and its queue, active or not.
    pub(crate) fn all(&self) -> Vec<Subscription<'a>> {
        let rules = self.rules.unwrap_or_default();
        subscriptions(self.notifications, rules, self.bucket, self.prefix, |destination| self.is_own(destination))
    }

    fn is_own(&self, destination: &Destination) -> bool {
        match destination.service {
            Service::Function => self.function.is(&destination.arn),
            Service::Queue => self.own.is(&destination.arn),
            Service::Topic => false,
        }
    }

    /// Returns why uploads may be delivered by something that is not known here.
    fn blind_spot(&self) -> Option<&'a AwsFailure> {
        let of_rules = self.rules.err().filter(|_| self.notifications.eventbridge);
        let is_other_queue = |to: &&Destination| to.service == Service::Queue && !self.is_own(to);
        let may_be_own = self.notifications.eventbridge || self.notifications.destinations().iter().any(is_other_queue);
        of_rules.or(self.own.doubt().filter(|_| may_be_own))
    }

    /// Returns whether any uploads are delivered, as far as is known.
    pub(crate) fn has_active(&self) -> bool {
        self.all().iter().any(|one| one.is_active(self.notifications))
    }

    /// Returns whether uploads of the key are delivered, as far as is known. `Err`: it could not be determined.
    pub(crate) fn deliver<'b>(&'b self, key: &'b str) -> Result<Option<Subscription<'b>>, &'b AwsFailure> {
        let of_key: Subscriptions<'b> = Subscriptions { prefix: key, ..*self };
        let ends = |one: &Subscription<'_>| {
            one.suffixes.is_empty() || one.suffixes.iter().any(|suffix| key.ends_with(suffix.as_str()))
        };
        let found = of_key.all().into_iter().find(|one| {
            // A filter that matches every key with this prefix matches the key.
            one.is_active(self.notifications) && one.coverage == Coverage::All && ends(one)
        });
        match (found, self.blind_spot()) {
            (None, Some(failure)) => Err(failure),
            (found, _) => Ok(found),
        }
    }

    fn source(&self) -> String {
        arn::of_bucket(self.bucket, self.function.region())
    }

    /// Returns whether the function is invoked for each upload, without a queue.
    pub(crate) fn is_direct(&self) -> bool {
        self.all().iter().any(|one| one.sender.destination().service == Service::Function)
    }

    /// Returns the command that adds the notification, to the destination whose policy and rules are prepared for it.
    pub(crate) fn attach_command(&self) -> String {
        let allows_s3 = |queue: &&Queue| appears_to_allow(queue.policy(), &sender_to(S3, self.source(), queue));
        let prefix = if self.prefix.is_empty() { String::new() } else { format!(" --prefix {}", quoted(self.prefix)) };
        let to = match self.queue.ok().flatten() {
            // With EventBridge, rules select the keys.
            _ if self.has_rule() => "--eventbridge".to_owned(),
            Some(queue) if allows_s3(&queue) => format!("--queue {}{prefix}", quoted(&queue.arn)),
            _ => format!("--function {}{prefix}", quoted(&self.function.arn)),
        };
        self.commands.own(format_args!("attach --bucket {} {to}", quoted(self.bucket)))
    }

    /// Returns whether a rule delivers to the function or one of its queues.
    fn has_rule(&self) -> bool {
        self.rules.is_ok_and(|rules| !rules.is_empty())
    }

    /// Returns the fix that adds the notification.
    pub(crate) fn attach(&self, action: &str) -> Fix {
        let action = match self.function.owner.stack() {
            // A stack whose rule selects the keys did not create the bucket.
            Some(stack) if !self.has_rule() => format!(
                "{action}; if stack {stack} created the bucket (Trigger Direct or Queue), set its parameter NotificationPrefix and run \
                 `sam deploy` instead"
            ),
            _ => action.to_owned(),
        };
        Fix::new(action, self.attach_command())
    }

    /// Checks whether uploads are delivered.
    pub(crate) fn check_notification(&self) -> Result<Check, Unknown> {
        let all = self.all();
        let active: Vec<_> = all.iter().filter(|one| one.is_active(self.notifications)).collect();
        if active.is_empty() {
            return self.explain_missing(&all);
        }
        let coverage = active.iter().map(|one| one.coverage.clone()).fold(Coverage::Nothing, Coverage::or);
        let senders: Vec<_> = active.iter().map(|one| self.sender(one)).collect();
        let mut gaps = Vec::new();
        if let Coverage::Part(prefixes) = &coverage {
            gaps.push(format!("only keys under {}; the connector reads {:?}", prefixes.join(", "), self.prefix));
        }
        let missing: Vec<_> =
            active[0].missing.iter().filter(|kind| active.iter().all(|one| one.missing.contains(kind))).collect();
        if !missing.is_empty() {
            let kinds: Vec<_> = missing.iter().map(|kind| format!("s3:ObjectCreated:{kind}")).collect();
            gaps.push(format!("not {}", kinds.join(", ")));
        }
        let unclear: Vec<_> = active.iter().flat_map(|one| one.unclear.clone()).collect();
        if !unclear.is_empty() {
            gaps.push(format!("perhaps not all: doctor does not evaluate {}", unclear.join(", ")));
        }
        let any_suffix = active.iter().any(|one| one.suffixes.is_empty());
        let suffixes: Vec<_> = active.iter().flat_map(|one| one.suffixes.clone()).collect();
        let ends =
            if any_suffix { String::new() } else { format!(", only keys that end with {}", suffixes.join(", ")) };
        let wanted: Vec<_> =
            self.function.setting(settings::KEY_SUFFIXES).unwrap_or_default().split(',').map(str::trim).collect();
        let is_missing =
            |end: &&&str| !suffixes.iter().any(|suffix| end.to_lowercase().ends_with(&suffix.to_lowercase()));
        if !any_suffix && let Some(end) = wanted.iter().filter(|end| !end.is_empty()).find(is_missing) {
            gaps.push(format!("not keys that end with {end}, which KEY_SUFFIXES includes"));
        }
        let found = format!("{} is notified{ends} ({})", self.receiver(&active), senders.join(", "));
        if gaps.is_empty() {
            return Ok(Check::well(name::NOTIFICATION, found));
        }
        // Something else may fill the gaps.
        if let Some(failure) = self.blind_spot() {
            return Err(Unknown::because(failure, self.commands));
        }
        Ok(Check::warning(
            name::NOTIFICATION,
            format!("{found}: {}", gaps.join("; ")),
            self.attach("if that is not intended, add a notification for all keys"),
        ))
    }

    fn receiver(&self, active: &[&Subscription<'_>]) -> String {
        let is_function = |one: &&&Subscription<'_>| one.sender.destination().service == Service::Function;
        match active.iter().filter(is_function).count() {
            0 => active.first().map_or("the queue", |one| queue_name(&one.sender.destination().arn)).to_owned(),
            _ => "the function".to_owned(),
        }
    }

    /// Describes what delivers uploads.
    pub(crate) fn sender(&self, subscription: &Subscription<'_>) -> String {
        match subscription.sender {
            Sender::Bucket(entry) if entry.filter.prefix.is_empty() => format!("by {}, all keys", self.bucket),
            Sender::Bucket(entry) => format!("by {}, keys under {}", self.bucket, entry.filter.prefix),
            Sender::Rule(rule) => format!("by the rule {}", rule.name),
        }
    }

    /// Fails the check, with the most likely cause.
    ///
    /// # Errors
    /// If something may deliver uploads that could not be read: another notification would then submit them twice.
    fn explain_missing(&self, all: &[Subscription<'_>]) -> Result<Check, Unknown> {
        if let Some(failure) = self.blind_spot() {
            return Err(Unknown::because(failure, self.commands));
        }
        if let Some(unread) = self.unread_queue() {
            return Ok(unread);
        }
        self.missing(all)
    }

    /// Fails the check if the function reads no queue, and the bucket notifies one that may have been meant for it.
    fn unread_queue(&self) -> Option<Check> {
        if !self.own.is_unread() || self.own.arn().is_some() {
            return None;
        }
        let destinations = self.notifications.destinations();
        let queues: Vec<_> = destinations.iter().filter(|to| to.service == Service::Queue).collect();
        let first = queues.first()?;
        let names: Vec<_> = queues.iter().map(|to| queue_name(&to.arn)).collect();
        Some(Check::failed(
            name::NOTIFICATION,
            format!(
                "{} notifies {}, which the function does not read; nothing shows that it is the function's",
                self.bucket,
                names.join(", ")
            ),
            Fix::new(
                "if another function reads it, see `flexorch-s3 attach --help`; to list who reads it",
                self.commands.aws(format_args!(
                    "lambda list-event-source-mappings --event-source-arn {} --query 'EventSourceMappings[].FunctionArn'",
                    quoted(&first.arn)
                )),
            ),
        ))
    }

    fn missing(&self, all: &[Subscription<'_>]) -> Result<Check, Unknown> {
        let attach = || self.attach("add the notification");
        let rule = all.iter().find_map(|one| match one.sender {
            Sender::Rule(rule) if one.coverage != Coverage::Nothing => Some(rule),
            _ => None,
        });
        if let Some(rule) = rule {
            if !self.notifications.eventbridge {
                let found = format!(
                    "EventBridge is not enabled for {}, but the rule {} expects its events",
                    self.bucket, rule.name
                );
                return Ok(Check::failed(name::NOTIFICATION, found, attach()));
            }
            let commands =
                rule_region(rule).map_or_else(|| self.commands.clone(), |region| self.commands.in_region(region));
            return Ok(Check::failed(
                name::NOTIFICATION,
                format!("the rule {} is disabled", rule.name),
                Fix::new("enable it", commands.aws(format_args!("events enable-rule --name {}", quoted(&rule.name)))),
            ));
        }
        if !all.is_empty() {
            let senders: Vec<_> = all.iter().map(|one| self.sender(one)).collect();
            let found = format!(
                "no notification matches keys under the connector's prefix {:?} ({})",
                self.prefix,
                senders.join(", ")
            );
            return Ok(Check::failed(name::NOTIFICATION, found, attach()));
        }
        let mut destinations = self.notifications.entries.iter().map(|entry| &entry.destination);
        if let Some(Destination { arn: topic, .. }) = destinations.find(|to| to.service == Service::Topic) {
            return Err(Unknown::new(
                format!("{} notifies the topic {topic}, whose subscriptions doctor does not check", self.bucket),
                Fix::new(
                    "check whether the function or its queue is subscribed",
                    self.commands.aws(format_args!("sns list-subscriptions-by-topic --topic-arn {}", quoted(topic))),
                ),
            ));
        }
        Ok(Check::failed(
            name::NOTIFICATION,
            format!("{} notifies neither the function nor its queue of uploads", self.bucket),
            attach(),
        ))
    }

    /// Checks whether the policies allow the notifications.
    pub(crate) fn check_permission(&self) -> Result<Check, Unknown> {
        let active: Vec<_> = self.all().into_iter().filter(|one| one.is_active(self.notifications)).collect();
        if active.is_empty() {
            let why = self.blind_spot().map_or_else(|| "there is no notification".to_owned(), without);
            return Ok(Check::skipped(name::PERMISSION, why));
        }
        let mut unknown = None;
        for one in &active {
            match self.refused(one) {
                Ok(Some(refused)) => return Ok(refused),
                Ok(None) => {}
                Err(failure) => unknown = Some(Unknown::because(failure, self.commands)),
            }
        }
        unknown.map_or_else(
            || {
                let receiver = self.receiver(&active.iter().collect::<Vec<_>>());
                Ok(Check::well(name::PERMISSION, format!("the policy of {receiver} allows it")))
            },
            Err,
        )
    }

    fn refused(&self, subscription: &Subscription<'_>) -> Result<Option<Check>, &'a AwsFailure> {
        let (source, service) = match subscription.sender {
            Sender::Bucket(_) => (self.source(), S3),
            Sender::Rule(rule) => (rule.arn.clone(), "events.amazonaws.com"),
        };
        if subscription.sender.destination().service == Service::Function {
            let (action, resource) = ("lambda:InvokeFunction", self.function.arn.clone());
            let wanted = Grantee { service, source: source.clone(), account: None, action, resource };
            if appears_to_allow(self.policy?, &wanted) {
                return Ok(None);
            }
            let account = account_of(&self.function.arn).unwrap_or_default();
            let add = self.commands.aws(format_args!(
                "lambda add-permission --function-name {} --statement-id notifications-of-{} --action lambda:InvokeFunction --principal \
                 {service} --source-arn {source} --source-account {account}",
                quoted(&self.function.name),
                self.bucket.replace('.', "-"),
            ));
            let found = format!("the function's policy does not allow {source} to invoke it");
            let action = self.function.owner.advice("allow it", Some("Trigger (and BucketName)"));
            return Ok(Some(Check::failed(name::PERMISSION, found, Fix::new(action, add))));
        }
        // A queue that does not exist has its own check; the policies of other queues that the function reads are not checked.
        let Some(queue) = self.queue?.filter(|queue| queue.arn == subscription.sender.destination().arn) else {
            return Ok(None);
        };
        let wanted = sender_to(service, source.clone(), queue);
        if appears_to_allow(queue.policy(), &wanted) {
            return Ok(None);
        }
        let found = format!("the policy of {} does not allow {source} to send to it", queue.name());
        let action = queue.owner.advice("allow it", Some("BucketName (and Trigger)"));
        Ok(Some(Check::failed(
            name::PERMISSION,
            found,
            Fix::new(action, queue.allow_command(&wanted.statement(), self.commands)),
        )))
    }

    /// Checks where notifications go that the function fails on, if it is invoked directly.
    pub(crate) fn check_failed_notifications(
        &self,
        destination: Result<Option<&str>, &AwsFailure>,
    ) -> Result<Check, Unknown> {
        let destination = destination.map_err(|failure| Unknown::because(failure, self.commands))?;
        let Some(own) = self.own.arn() else {
            let why = self.own.doubt().map_or_else(|| "the function has no retry queue".to_owned(), without);
            return Ok(Check::skipped(name::FAILED_NOTIFICATIONS, why));
        };
        let found = match destination {
            Some(arn) if arn == own => {
                return Ok(Check::well(name::FAILED_NOTIFICATIONS, format!("sent to {}", queue_name(own))));
            }
            None => "lost: the function has no on-failure destination".to_owned(),
            Some(arn) => format!("sent to {}, not to {}", queue_name(arn), queue_name(own)),
        };
        let set = json!({"OnFailure": {"Destination": own}}).to_string();
        Ok(Check::failed(
            name::FAILED_NOTIFICATIONS,
            found,
            Fix::new(
                self.function.owner.advice("set the on-failure destination", None),
                self.commands.aws(format_args!(
                    "lambda put-function-event-invoke-config --function-name {} --maximum-retry-attempts 0 --destination-config {}",
                    quoted(&self.function.name),
                    quoted(&set)
                )),
            ),
        ))
    }
}

/// S3's service principal.
const S3: &str = "s3.amazonaws.com";

/// Returns a service that sends messages to a queue. Its account is unknown here.
fn sender_to(service: &'static str, source: String, queue: &Queue) -> Grantee {
    Grantee { service, source, account: None, action: "sqs:SendMessage", resource: queue.arn.clone() }
}

/// Returns whether a policy appears to allow a service. A policy that cannot be parsed allows nothing.
fn appears_to_allow(policy: Option<&str>, grantee: &Grantee) -> bool {
    policy.and_then(|text| Policy::parse(text).ok()).is_some_and(|policy| policy.appears_to_allow(grantee))
}

fn rule_region(rule: &Rule) -> Option<&str> {
    region_of(&rule.arn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Status;
    use crate::doctor::own_queue::Evidence;
    use crate::notification::{Configuration, Filter, Notification};

    const FUNCTION: &str = "arn:aws:lambda:eu-west-1:123456789012:function:f";

    /// The checks of a bucket `docs`, whose connector reads `in/`.
    fn look(notifications: Notifications, rules: &[Rule], policy: Option<&str>) -> (Check, Check) {
        let mut function = Function::default();
        (function.name, function.arn) = ("f".into(), FUNCTION.into());
        let commands = Commands::default();
        let nothing = Evidence { on_failure: Ok(None), sources: Ok(Vec::new()), of_stack: Ok(Vec::new()) };
        let own = OwnQueue::decide(&Ok(Vec::new()), &nothing, |_| false);
        let subscriptions = Subscriptions {
            bucket: "docs",
            prefix: "in/",
            notifications: &notifications,
            rules: Ok(rules),
            function: &function,
            policy: Ok(policy),
            own: &own,
            queue: Ok(None),
            commands: &commands,
        };
        (
            Check::decided(name::NOTIFICATION, subscriptions.check_notification()),
            Check::decided(name::PERMISSION, subscriptions.check_permission()),
        )
    }

    fn function(arn: &str) -> Destination {
        Destination { service: Service::Function, arn: arn.to_owned() }
    }

    fn entry(to: Destination, prefix: &str) -> Notification {
        Notification::own(to, Filter { prefix: prefix.into(), suffix: String::new() })
    }

    fn notifying(to: Destination, prefixes: &[&str]) -> Notifications {
        let entries = prefixes.iter().map(|prefix| entry(to.clone(), prefix)).collect();
        Notifications { entries, eventbridge: false }
    }

    #[test]
    fn several_narrow_filters_are_reported_together() {
        let (notification, _) = look(notifying(function(FUNCTION), &["in/a/", "in/b/"]), &[], None);
        assert_eq!(notification.status(), Status::Warning);
        assert!(notification.found.contains("only keys under in/a/, in/b/"), "{}", notification.found);
        let (notification, _) = look(notifying(function(FUNCTION), &["in/a/", "i"]), &[], None);
        assert_eq!(notification.status(), Status::Well);
    }

    #[test]
    fn a_percent_encoded_filter_is_decoded() {
        for (written, status) in [("in%2F", Status::Well), ("out%2F", Status::Failed), ("i", Status::Well)] {
            let xml = format!(
                "<NotificationConfiguration><CloudFunctionConfiguration><CloudFunction>{FUNCTION}</CloudFunction>\
                 <Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>Prefix</Name><Value>{written}</Value></FilterRule>\
                 </S3Key></Filter></CloudFunctionConfiguration></NotificationConfiguration>"
            );
            let (notification, _) = look(Notifications::of(&Configuration::parse_lenient(&xml).unwrap()), &[], None);
            assert_eq!(notification.status(), status, "{}", notification.found);
        }
    }

    #[test]
    fn another_function_or_a_topic_is_not_this_function() {
        let (notification, permission) = look(notifying(function(&format!("{FUNCTION}2")), &[""]), &[], None);
        assert_eq!((notification.status(), permission.status()), (Status::Failed, Status::Skipped));
        let arn = "arn:aws:sns:eu-west-1:123456789012:uploads".to_owned();
        let (notification, _) = look(notifying(Destination { service: Service::Topic, arn }, &[""]), &[], None);
        assert_eq!(notification.status(), Status::Unknown);
        assert!(notification.command.unwrap().contains("sns list-subscriptions-by-topic"));
    }

    #[test]
    fn a_rule_may_invoke_the_function_if_its_policy_allows_it() {
        let arn = "arn:aws:events:eu-west-1:123456789012:rule/uploads";
        let rule = Rule {
            name: "uploads".into(),
            arn: arn.into(),
            enabled: true,
            pattern: r#"{"source":["aws.s3"],"detail-type":["Object Created"]}"#.into(),
            target: function(FUNCTION),
        };
        let eventbridge = || Notifications { entries: Vec::new(), eventbridge: true };
        let (notification, permission) = look(eventbridge(), std::slice::from_ref(&rule), None);
        assert_eq!((notification.status(), permission.status()), (Status::Well, Status::Failed));
        assert!(permission.command.unwrap().contains(&format!("--principal events.amazonaws.com --source-arn {arn}")));
        let policy = json!({"Statement": [{"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"},
            "Action": "lambda:InvokeFunction", "Resource": FUNCTION, "Condition": {"ArnLike": {"AWS:SourceArn": arn}}}]});
        let (_, permission) = look(eventbridge(), &[rule], Some(&policy.to_string()));
        assert_eq!(permission.status(), Status::Well);
    }
}
