//! Reads and checks what is between the bucket and FlexOrch: the function, its queues, and the notifications.

use super::aws::Aws;
use super::check::{Check, Fix, skipped};
use super::commands::Commands;
use super::dead_letters::{self, DeadLetter};
use super::function::{self, Function};
use super::mapping::{self, Mapping};
use super::name;
use super::notification::{self, Notifications, Rule};
use super::object::{self, ObjectContext};
use super::queue::{self, Queue};
use super::subject::Subject;
use super::subscriptions::Subscriptions;
use crate::aws_failure::AwsFailure;
use crate::management::RateLimits;
use crate::notification::{Destination, Service};
use flexorch_s3_ingester::model::arn::{QueueArn, region_of};
use flexorch_s3_ingester::model::connector::Connector;
use flexorch_s3_ingester::model::object::ObjectKey;

/// The result of a call; `None` if it was not made.
type Response<T> = Option<Result<T, AwsFailure>>;

/// Everything that was read.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    /// The function's name, and whether it was found through the bucket.
    named: Option<(String, bool)>,
    function: Response<Option<Function>>,
    policy: Response<Option<String>>,
    on_failure: Response<Option<String>>,
    mappings: Response<Vec<Mapping>>,
    notifications: Response<Notifications>,
    rules: Response<Vec<Rule>>,
    retry: Response<Option<Queue>>,
    dead: Response<Option<Queue>>,
    letters: Response<Vec<DeadLetter>>,
    /// Bucket and key of the object, and the object in S3.
    object: Option<(String, ObjectKey, object::HeadResult)>,
}

/// What to check.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// The bucket's region.
    pub(crate) region: Option<&'a str>,
    /// The function's name or ARN.
    pub(crate) function: Option<&'a str>,
    /// An object's key.
    pub(crate) key: Option<ObjectKey>,
    pub(crate) bucket_exists: bool,
}

impl Delivery {
    /// Reads everything, from the bucket's notifications and the function to the dead letters.
    pub(crate) async fn read(aws: &Aws<'_>, subject: &Subject, request: Request<'_>) -> Self {
        let mut delivery = Self::default();
        if let Some(bucket) = subject.bucket.as_deref().filter(|_| request.bucket_exists) {
            delivery.notifications = Some(Notifications::read(aws, bucket, request.region).await);
            if let Some(key) = request.key {
                let head = object::read(aws, bucket, &key, request.region).await;
                delivery.object = Some((bucket.to_owned(), key, head));
            }
        }
        delivery.named = match request.function {
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
        // If the queue has its own dead-letter queue, receiving a message could move it there.
        if let Some(Ok(Some(dead))) = &delivery.dead
            && dead.redrive().is_none()
        {
            delivery.letters = Some(dead_letters::peek(aws, dead).await);
        }
        delivery
    }

    /// Finds the function that the bucket notifies, if it notifies one.
    async fn follow_bucket(&self, aws: &Aws<'_>) -> Option<String> {
        let Some(Ok(notifications)) = &self.notifications else { return None };
        match notifications.destinations().as_slice() {
            [Destination { service: Service::Function, arn }] => Some(arn.clone()),
            [Destination { service: Service::Queue, arn }] => function::fed_by(aws, arn).await.ok().flatten(),
            _ => None,
        }
    }

    /// Returns the mapping of the retry queue: the queue that the bucket notifies, else the on-failure destination, else the first.
    fn mapping(&self) -> Option<&Mapping> {
        let Some(Ok(mappings)) = &self.mappings else { return None };
        if let Some(Ok(notifications)) = &self.notifications {
            let destinations = notifications.destinations();
            let is_notified = |mapping: &&Mapping| destinations.contains(&&to_queue(&mapping.queue));
            if let Some(mapping) = mappings.iter().find(is_notified) {
                return Some(mapping);
            }
        }
        let failed = match &self.on_failure {
            Some(Ok(destination)) => destination.as_deref(),
            _ => None,
        };
        mappings.iter().find(|mapping| Some(mapping.queue.as_str()) == failed).or_else(|| mappings.first())
    }

    /// Returns the queue that the function should read, if it reads none.
    fn unread(&self) -> Option<&str> {
        let failed = match &self.on_failure {
            Some(Ok(destination)) => destination.as_deref().filter(|arn| QueueArn::parse(arn).is_ok()),
            _ => None,
        };
        let Some(Ok(notifications)) = &self.notifications else { return failed };
        let mut destinations = notifications.entries.iter().map(|entry| &entry.destination);
        destinations.find(|to| to.service == Service::Queue).map(|queue| queue.arn.as_str()).or(failed)
    }

    /// Checks what was read.
    pub(crate) fn checks(
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
            &[name::WAITING, name::DEAD_LETTERS],
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
                let check = Check::could_not_check(name::FUNCTION, failure, commands);
                return without(check, "the function could not be checked");
            }
            _ => {
                let why = match &self.notifications {
                    Some(Err(failure)) => format!("it could not be found through the bucket ({})", failure.hint()),
                    _ => "the bucket's notifications do not lead to one function".to_owned(),
                };
                let found = format!("not named, and {why}: everything between the bucket and FlexOrch was skipped");
                return without(Check::warning(name::FUNCTION, found, unnamed()), "no function was named");
            }
        };
        let commands = &function.region().map_or_else(|| commands.clone(), |region| commands.in_region(region));
        let how_found = if found_by_bucket { " (found by the bucket's notification)" } else { "" };
        let mut checks = function::checks(function, how_found, subject, address, commands);
        checks.extend(self.notifications(function, subject, commands));
        checks.extend(self.queues(function, rate, commands));
        checks
    }

    fn notifications(&self, function: &Function, subject: &Subject, commands: &Commands) -> Vec<Check> {
        let both = [name::NOTIFICATION, name::PERMISSION];
        let (Some(bucket), Some(prefix)) = (&subject.bucket, &subject.prefix) else {
            return skipped(&both, "the connector's bucket is unknown");
        };
        let notifications = match &self.notifications {
            None => return skipped(&both, "the bucket could not be checked"),
            Some(Err(failure)) => {
                let mut checks = vec![Check::could_not_check(name::NOTIFICATION, failure, commands)];
                checks.extend(skipped(&both[1..], "the bucket's notifications are unknown"));
                return checks;
            }
            Some(Ok(notifications)) => notifications,
        };
        let mut unknown = Vec::new();
        let mut known =
            |failure: &AwsFailure, check: &'static str| unknown.push(Check::could_not_check(check, failure, commands));
        let rules = match &self.rules {
            Some(Ok(rules)) => rules.as_slice(),
            // If S3 notifies directly, no rule is needed.
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
                    .chain(rules.iter().map(|rule| &rule.target))
                    .any(|to| to.service == Service::Function) =>
            {
                known(failure, name::PERMISSION);
                None
            }
            _ => None,
        };
        let queue = found(&self.retry);
        let subscriptions = Subscriptions { bucket, prefix, notifications, rules, function, policy, queue, commands };
        let mut checks = Vec::new();
        for (name, checked) in
            [(both[0], subscriptions.check_notification()), (both[1], subscriptions.check_permission())]
        {
            let position = unknown.iter().position(|check| check.check == name);
            checks.push(position.map_or(checked, |position| unknown.remove(position)));
        }
        if subscriptions.is_direct() {
            checks.push(match &self.on_failure {
                Some(Err(failure)) => Check::could_not_check(name::FAILED_NOTIFICATIONS, failure, commands),
                Some(Ok(destination)) => subscriptions.check_failed_notifications(destination.as_deref()),
                None => subscriptions.check_failed_notifications(None),
            });
        }
        checks
    }

    /// Checks the requested object.
    pub(crate) fn object_checks(
        &self,
        subject: &Subject,
        connector: Option<&Connector>,
        commands: &Commands,
    ) -> Vec<Check> {
        let Some((bucket, key, head)) = &self.object else { return Vec::new() };
        let function = found(&self.function);
        let commands =
            &function.and_then(Function::region).map_or_else(|| commands.clone(), |region| commands.in_region(region));
        let config = function.and_then(|function| function.config().ok());
        let subscriptions = match (function, &self.notifications, &self.rules, &subject.prefix) {
            (Some(function), Some(Ok(notifications)), Some(Ok(rules)), Some(prefix)) => {
                let queue = found(&self.retry);
                Some(Subscriptions { bucket, prefix, notifications, rules, function, policy: None, queue, commands })
            }
            _ => None,
        };
        let context = ObjectContext {
            connector,
            scope: config.as_ref().map(|config| &config.scope),
            function: function.map(|function| function.name.as_str()),
            retry: found(&self.retry),
            dead: found(&self.dead),
            letters: self.letters.as_ref().and_then(|letters| letters.as_deref().ok()),
            commands,
        };
        object::checks(head, bucket, key, subscriptions.as_ref(), context)
    }

    fn queues(&self, function: &Function, rate: Option<&RateLimits>, commands: &Commands) -> Vec<Check> {
        let after = [name::PACE, name::RETRY_QUEUE, name::DEAD_LETTER_QUEUE, name::WAITING, name::DEAD_LETTERS];
        let mut checks = Vec::new();
        let mappings = match &self.mappings {
            Some(Ok(mappings)) => mappings,
            Some(Err(failure)) => {
                checks.push(Check::could_not_check(name::BATCHES, failure, commands));
                checks.extend(skipped(&after, "the function's queues are unknown"));
                return checks;
            }
            None => return checks,
        };
        checks.push(mapping::batches(mappings, self.mapping(), self.unread(), function, commands));
        let Some(mapping) = self.mapping() else {
            checks.extend(skipped(&after, "the function reads no queue"));
            return checks;
        };
        checks.push(mapping::pace(mapping, function, rate, commands));
        let commands = &region_of(&mapping.queue).map_or_else(|| commands.clone(), |region| commands.in_region(region));
        let retry = match &self.retry {
            Some(Ok(Some(queue))) => queue,
            other => {
                checks.push(unread_queue(name::RETRY_QUEUE, &mapping.queue, other.as_ref(), commands));
                checks.extend(skipped(&after[2..], "the retry queue is unknown"));
                return checks;
            }
        };
        checks.push(queue::retry(retry, function, commands));
        let Some((dead_arn, _)) = retry.redrive() else {
            checks.extend(skipped(&[name::DEAD_LETTER_QUEUE], "the retry queue has none"));
            checks.push(queue::waiting(retry, function, rate, commands));
            checks.extend(skipped(&[name::DEAD_LETTERS], "there is no dead-letter queue"));
            return checks;
        };
        let dead = match &self.dead {
            Some(Ok(Some(dead))) => {
                checks.push(dead_letter_queue(dead, function, commands));
                Some(dead)
            }
            other => {
                checks.push(unread_queue(name::DEAD_LETTER_QUEUE, &dead_arn, other.as_ref(), commands));
                None
            }
        };
        checks.push(queue::waiting(retry, function, rate, commands));
        checks.push(match (dead, &self.letters) {
            (None, _) => Check::skipped(name::DEAD_LETTERS, "the dead-letter queue is unknown"),
            (Some(_), Some(Err(failure))) => Check::could_not_check(name::DEAD_LETTERS, failure, commands),
            (Some(dead), Some(Ok(letters))) => dead_letters::check(dead, &retry.arn, Some(letters), commands),
            (Some(dead), None) => dead_letters::check(dead, &retry.arn, None, commands),
        });
        checks
    }
}

fn to_queue(arn: &str) -> Destination {
    Destination { service: Service::Queue, arn: arn.to_owned() }
}

/// Returns what was read, if it exists.
fn found<T>(response: &Response<Option<T>>) -> Option<&T> {
    match response {
        Some(Ok(Some(found))) => Some(found),
        _ => None,
    }
}

/// Returns the check of a queue that could not be read.
fn unread_queue(
    check: &'static str,
    arn: &str,
    response: Option<&Result<Option<Queue>, AwsFailure>>,
    commands: &Commands,
) -> Check {
    match response {
        Some(Err(failure)) => Check::could_not_check(check, failure, commands),
        _ => Check::failed(
            check,
            format!("there is no queue {arn}"),
            Fix::new(
                "deploy the template again (`sam deploy`); to list the queues of this region",
                commands.aws("sqs list-queues"),
            ),
        ),
    }
}

/// Checks whether the function sends rejected objects to the retry queue's dead-letter queue.
fn dead_letter_queue(dead: &Queue, function: &Function, commands: &Commands) -> Check {
    let set = || commands.set_variable(&function.name, "DEAD_LETTER_QUEUE_URL", &dead.url);
    match function.setting("DEAD_LETTER_QUEUE_URL") {
        None => Check::warning(
            name::DEAD_LETTER_QUEUE,
            format!("{} exists, but DEAD_LETTER_QUEUE_URL is not set: rejected objects are only logged", dead.name()),
            Fix::new("set it", set()),
        ),
        Some(url) if url.rsplit('/').next() != Some(dead.name()) => Check::warning(
            name::DEAD_LETTER_QUEUE,
            format!(
                "the retry queue's is {}, but DEAD_LETTER_QUEUE_URL is {url}: only the former was checked",
                dead.name()
            ),
            Fix::new("use the same queue for both", set()),
        ),
        Some(_) => Check::well(name::DEAD_LETTER_QUEUE, format!("{} exists", dead.name())),
    }
}
