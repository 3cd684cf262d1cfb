//! What is between the bucket and FlexOrch, read: the function, its queues, and how uploads are told.

use super::super::arn::{Arn, region_of};
use super::super::aws_failure::AwsFailure;
use super::super::notification::{Destination, Service};
use super::aws::Aws;
use super::check::{Check, Next, skipped};
use super::commands::Commands;
use super::function::{self, Function};
use super::letters::{self, Letter};
use super::mapping::{self, Mapping};
use super::name;
use super::notification::{self, Notifications, Rule};
use super::object::{self, Circumstances};
use super::queue::{self, Queue};
use super::subject::Subject;
use super::told::Scene;
use crate::management::RateLimits;
use flexorch_s3_ingester::model::connector::Connector;
use flexorch_s3_ingester::model::object::ObjectKey;

/// What a question brought; `None`: it was not asked.
type Answer<T> = Option<Result<T, AwsFailure>>;

/// All that was read.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    /// The function's name, and whether the bucket led to it.
    named: Option<(String, bool)>,
    function: Answer<Option<Function>>,
    policy: Answer<Option<String>>,
    on_failure: Answer<Option<String>>,
    mappings: Answer<Vec<Mapping>>,
    notifications: Answer<Notifications>,
    rules: Answer<Vec<Rule>>,
    retry: Answer<Option<Queue>>,
    dead: Answer<Option<Queue>>,
    letters: Answer<Vec<Letter>>,
    /// Bucket, key, and what S3 shows of it.
    object: Option<(String, ObjectKey, object::Seen)>,
}

/// What to look at.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    /// The bucket's region.
    pub region: Option<&'a str>,
    /// The function's name or ARN.
    pub function: Option<&'a str>,
    /// An object's key.
    pub key: Option<ObjectKey>,
    pub bucket_is_there: bool,
}

impl Delivery {
    /// Reads everything, from the bucket's notifications and the function to the dead letters.
    pub(super) async fn read(aws: &Aws<'_>, subject: &Subject, asked: Asked<'_>) -> Self {
        let mut delivery = Self::default();
        if let Some(bucket) = subject.bucket.as_deref().filter(|_| asked.bucket_is_there) {
            delivery.notifications = Some(Notifications::read(aws, bucket, asked.region).await);
            if let Some(key) = asked.key {
                let seen = object::read(aws, bucket, &key, asked.region).await;
                delivery.object = Some((bucket.to_owned(), key, seen));
            }
        }
        delivery.named = match asked.function {
            Some(name) => Some((name.to_owned(), false)),
            None => delivery.follow_bucket(aws).await.map(|name| (name, true)),
        };
        if let Some((name, _)) = &delivery.named {
            delivery.function = Some(Function::read(aws, name).await);
        }
        let Some(Ok(Some(function))) = &delivery.function else { return delivery };
        let (policy, on_failure, mappings, rules) = tokio::join!(
            function::policy(aws, function),
            function::on_failure(aws, function),
            mapping::read(aws, function),
            notification::rules(aws, Destination { service: Service::Function, arn: function.arn.clone() })
        );
        delivery.rules = Some(rules);
        (delivery.policy, delivery.on_failure, delivery.mappings) = (Some(policy), Some(on_failure), Some(mappings));
        let Some(queue) = delivery.mapping().map(|mapping| mapping.queue.clone()) else { return delivery };
        let (rules, retry) = tokio::join!(notification::rules(aws, to_queue(&queue)), Queue::read(aws, &queue));
        delivery.retry = Some(retry);
        match (&mut delivery.rules, rules) {
            (Some(Ok(all)), Ok(rules)) => all.extend(rules),
            (all, Err(failure)) => *all = Some(Err(failure)),
            _ => {}
        }
        let Some(Ok(Some(retry))) = &delivery.retry else { return delivery };
        let Some((dead, _)) = retry.redrive() else { return delivery };
        delivery.dead = Some(Queue::read(aws, &dead).await);
        // With a dead-letter queue of its own a look could move a message on.
        if let Some(Ok(Some(dead))) = &delivery.dead
            && dead.redrive().is_none()
        {
            delivery.letters = Some(letters::peek(aws, dead).await);
        }
        delivery
    }

    /// The function that the bucket leads to, where it leads to one.
    async fn follow_bucket(&self, aws: &Aws<'_>) -> Option<String> {
        let Some(Ok(notifications)) = &self.notifications else { return None };
        match notifications.destinations().as_slice() {
            [Destination { service: Service::Function, arn }] => Some(arn.clone()),
            [Destination { service: Service::Queue, arn }] => function::fed_by(aws, arn).await.ok().flatten(),
            _ => None,
        }
    }

    /// The mapping of the retry queue: of the one that the bucket tells, or that of the on-failure destination, or else the first.
    fn mapping(&self) -> Option<&Mapping> {
        let Some(Ok(mappings)) = &self.mappings else { return None };
        if let Some(Ok(notifications)) = &self.notifications {
            let told = notifications.destinations();
            let is_told = |mapping: &&Mapping| told.contains(&&to_queue(&mapping.queue));
            if let Some(mapping) = mappings.iter().find(is_told) {
                return Some(mapping);
            }
        }
        let failed = match &self.on_failure {
            Some(Ok(destination)) => destination.as_deref(),
            _ => None,
        };
        mappings.iter().find(|mapping| Some(mapping.queue.as_str()) == failed).or_else(|| mappings.first())
    }

    /// A queue that the function should read, where it reads none.
    fn unread(&self) -> Option<&str> {
        let failed = match &self.on_failure {
            Some(Ok(destination)) => {
                destination.as_deref().filter(|arn| Arn::parse(arn).is_some_and(|arn| arn.service == "sqs"))
            }
            _ => None,
        };
        let Some(Ok(notifications)) = &self.notifications else { return failed };
        let mut told = notifications.entries.iter().map(|entry| &entry.destination);
        told.find(|to| to.service == Service::Queue).map(|queue| queue.arn.as_str()).or(failed)
    }

    /// Judges what was read.
    pub(super) fn checks(
        &self,
        subject: &Subject,
        address: &str,
        rate: Option<&RateLimits>,
        commands: &Commands,
    ) -> Vec<Check> {
        let after = [
            &[name::SETTINGS][..],
            &name::OF_SETTINGS,
            &[
                name::NOTIFICATION,
                name::PERMISSION,
                name::BATCHES,
                name::PACE,
                name::RETRY_QUEUE,
                name::DEAD_LETTER_QUEUE,
            ],
            &[name::WAITING, name::LETTERS],
        ]
        .concat();
        let without = |first: Check, why: &str| {
            let mut checks = vec![first];
            checks.extend(skipped(&after, why));
            checks
        };
        let unnamed = || function::unnamed(commands, &subject.secret);
        let (function, found_by_bucket) = match (&self.named, &self.function) {
            (Some((_, found_by_bucket)), Some(Ok(Some(function)))) => (function, *found_by_bucket),
            (Some((name, _)), Some(Ok(None))) => {
                let found = format!("there is no function {name:?} in this region and account");
                return without(Check::failed(name::FUNCTION, found, unnamed()), "there is no such function");
            }
            (_, Some(Err(failure))) => {
                let check = Check::could_not_look(name::FUNCTION, failure, commands);
                return without(check, "the function could not be looked at");
            }
            _ => {
                let why = match &self.notifications {
                    Some(Err(failure)) => format!("the bucket cannot be followed to it ({})", failure.hint()),
                    _ => "the bucket does not lead to it".to_owned(),
                };
                let found = format!("not named, and {why}: what is between bucket and FlexOrch was not looked at");
                return without(Check::warning(name::FUNCTION, found, unnamed()), "no function was named");
            }
        };
        let commands = &function.region().map_or_else(|| commands.clone(), |region| commands.in_region(region));
        let how_found = if found_by_bucket { " (found by the bucket's notification)" } else { "" };
        let mut checks = function::checks(function, how_found, subject, address, commands);
        checks.extend(self.told(function, subject, commands));
        checks.extend(self.queues(function, rate, commands));
        checks
    }

    fn told(&self, function: &Function, subject: &Subject, commands: &Commands) -> Vec<Check> {
        let both = [name::NOTIFICATION, name::PERMISSION];
        let (Some(bucket), Some(prefix)) = (&subject.bucket, &subject.prefix) else {
            return skipped(&both, "the connector's bucket is not known");
        };
        let notifications = match &self.notifications {
            None => return skipped(&both, "the bucket could not be looked at"),
            Some(Err(failure)) => {
                let mut checks = vec![Check::could_not_look(name::NOTIFICATION, failure, commands)];
                checks.extend(skipped(&both[1..], "the bucket's notifications are not known"));
                return checks;
            }
            Some(Ok(notifications)) => notifications,
        };
        let mut unknown = Vec::new();
        let mut known =
            |failure: &AwsFailure, check: &'static str| unknown.push(Check::could_not_look(check, failure, commands));
        let rules = match &self.rules {
            Some(Ok(rules)) => rules.as_slice(),
            // Where S3 tells by itself, no rule is needed.
            Some(Err(failure)) if notifications.destinations().is_empty() => {
                known(failure, name::NOTIFICATION);
                &[]
            }
            _ => &[],
        };
        let policy = match &self.policy {
            Some(Ok(policy)) => policy.as_deref(),
            Some(Err(failure))
                if notifications
                    .destinations()
                    .into_iter()
                    .chain(rules.iter().map(|rule| &rule.to))
                    .any(|to| to.service == Service::Function) =>
            {
                known(failure, name::PERMISSION);
                None
            }
            _ => None,
        };
        let queue = found(&self.retry);
        let scene = Scene { bucket, prefix, notifications, rules, function, policy, queue, commands };
        let mut checks = Vec::new();
        for (name, judged) in [(both[0], scene.notification()), (both[1], scene.permission())] {
            let position = unknown.iter().position(|check| check.check == name);
            checks.push(position.map_or(judged, |position| unknown.remove(position)));
        }
        if scene.is_direct() {
            checks.push(match &self.on_failure {
                Some(Err(failure)) => Check::could_not_look(name::FAILED_NOTIFICATIONS, failure, commands),
                Some(Ok(destination)) => scene.failed_notifications(destination.as_deref()),
                None => scene.failed_notifications(None),
            });
        }
        checks
    }

    /// Follows the object that was asked for.
    pub(super) fn object_checks(
        &self,
        subject: &Subject,
        connector: Option<&Connector>,
        commands: &Commands,
    ) -> Vec<Check> {
        let Some((bucket, key, seen)) = &self.object else { return Vec::new() };
        let function = found(&self.function);
        let commands =
            &function.and_then(Function::region).map_or_else(|| commands.clone(), |region| commands.in_region(region));
        let config = function.and_then(|function| function.config().ok());
        let scene = match (function, &self.notifications, &self.rules, &subject.prefix) {
            (Some(function), Some(Ok(notifications)), Some(Ok(rules)), Some(prefix)) => {
                let queue = found(&self.retry);
                Some(Scene { bucket, prefix, notifications, rules, function, policy: None, queue, commands })
            }
            _ => None,
        };
        let around = Circumstances {
            connector,
            scope: config.as_ref().map(|config| &config.scope),
            function: function.map(|function| function.name.as_str()),
            retry: found(&self.retry),
            dead: found(&self.dead),
            letters: self.letters.as_ref().and_then(|letters| letters.as_deref().ok()),
            commands,
        };
        object::checks(seen, bucket, key, scene.as_ref(), around)
    }

    fn queues(&self, function: &Function, rate: Option<&RateLimits>, commands: &Commands) -> Vec<Check> {
        let after = [name::PACE, name::RETRY_QUEUE, name::DEAD_LETTER_QUEUE, name::WAITING, name::LETTERS];
        let mut checks = Vec::new();
        let mappings = match &self.mappings {
            Some(Ok(mappings)) => mappings,
            Some(Err(failure)) => {
                checks.push(Check::could_not_look(name::BATCHES, failure, commands));
                checks.extend(skipped(&after, "the function's queues are not known"));
                return checks;
            }
            None => return checks,
        };
        checks.push(mapping::batches(mappings, self.mapping(), self.unread(), function, commands));
        let Some(mapping) = self.mapping() else {
            checks.extend(skipped(&after, "the function has no queue"));
            return checks;
        };
        checks.push(mapping::pace(mapping, function, rate, commands));
        let commands = &region_of(&mapping.queue).map_or_else(|| commands.clone(), |region| commands.in_region(region));
        let retry = match &self.retry {
            Some(Ok(Some(queue))) => queue,
            other => {
                checks.push(absent(name::RETRY_QUEUE, &mapping.queue, other.as_ref(), commands));
                checks.extend(skipped(&after[2..], "the retry queue is not known"));
                return checks;
            }
        };
        checks.push(queue::retry(retry, function, commands));
        let Some((dead_arn, _)) = retry.redrive() else {
            checks.extend(skipped(&[name::DEAD_LETTER_QUEUE], "the retry queue names none"));
            checks.push(queue::waiting(retry, function, rate, commands));
            checks.extend(skipped(&[name::LETTERS], "there is no dead-letter queue"));
            return checks;
        };
        let dead = match &self.dead {
            Some(Ok(Some(dead))) => {
                checks.push(dead_letter_queue(dead, function, commands));
                Some(dead)
            }
            other => {
                checks.push(absent(name::DEAD_LETTER_QUEUE, &dead_arn, other.as_ref(), commands));
                None
            }
        };
        checks.push(queue::waiting(retry, function, rate, commands));
        checks.push(match (dead, &self.letters) {
            (None, _) => Check::skipped(name::LETTERS, "the dead-letter queue is not known"),
            (Some(_), Some(Err(failure))) => Check::could_not_look(name::LETTERS, failure, commands),
            (Some(dead), Some(Ok(letters))) => letters::check(dead, &retry.arn, Some(letters), commands),
            (Some(dead), None) => letters::check(dead, &retry.arn, None, commands),
        });
        checks
    }
}

fn to_queue(arn: &str) -> Destination {
    Destination { service: Service::Queue, arn: arn.to_owned() }
}

/// What is there, where it was asked for and answered.
fn found<T>(answer: &Answer<Option<T>>) -> Option<&T> {
    match answer {
        Some(Ok(Some(found))) => Some(found),
        _ => None,
    }
}

/// A queue that could not be read.
fn absent(
    check: &'static str,
    arn: &str,
    answer: Option<&Result<Option<Queue>, AwsFailure>>,
    commands: &Commands,
) -> Check {
    match answer {
        Some(Err(failure)) => Check::could_not_look(check, failure, commands),
        _ => Check::failed(
            check,
            format!("there is no queue {arn}"),
            Next::new(
                "deploy the template again: `sam deploy`; these are the queues of this region",
                commands.aws("sqs list-queues"),
            ),
        ),
    }
}

/// Whether what FlexOrch refuses goes where it can be redriven from.
fn dead_letter_queue(dead: &Queue, function: &Function, commands: &Commands) -> Check {
    let set = || commands.set_variable(&function.name, "DEAD_LETTER_QUEUE_URL", &dead.url);
    match function.setting("DEAD_LETTER_QUEUE_URL") {
        None => Check::warning(
            name::DEAD_LETTER_QUEUE,
            format!(
                "{} is there, but DEAD_LETTER_QUEUE_URL is not set: what FlexOrch refuses is logged and gone",
                dead.name()
            ),
            Next::new("let the function send it there", set()),
        ),
        Some(url) if url.rsplit('/').next() != Some(dead.name()) => Check::warning(
            name::DEAD_LETTER_QUEUE,
            format!(
                "the retry queue's is {}, and DEAD_LETTER_QUEUE_URL is {url}: only the former was looked at",
                dead.name()
            ),
            Next::new("have one of them", set()),
        ),
        Some(_) => Check::well(name::DEAD_LETTER_QUEUE, format!("{} is there", dead.name())),
    }
}
