//! Reads what is between the bucket and FlexOrch, link by link, and reports each check as soon as it is known.

use futures_util::future::join_all;
use jiff::Timestamp;

use super::aws::Aws;
use super::bucket;
use super::check::{Check, Fix, Status, Unknown, skipped, without};
use super::commands::Commands;
use super::dead_letters::{self, DeadLetter};
use super::exports::Watched;
use super::find::{Found, Search};
use super::flexorch::{Answers, FlexOrchFacts, WebhookFacts};
use super::function::{self, Function};
use super::mapping::{self, Mapping};
use super::name;
use super::notification::{self, Notifications, Rule};
use super::object::{self, ObjectContext};
use super::own_queue::{Evidence, OwnQueue};
use super::queue::{self, Queue};
use super::report::Report;
use super::secret::SecretState;
use super::settings;
use super::subject::Subject;
use super::subscriptions::Subscriptions;
use super::tracking::{self, Current, Tracked};
use super::waiting;
use crate::aws_failure::AwsFailure;
use crate::connector_secret::SecretStore;
use crate::notification::{Destination, Service};
use flexorch_s3_ingester::model::arn::region_of;
use flexorch_s3_ingester::model::connector::Connector;
use flexorch_s3_ingester::model::object::ObjectKey;
use flexorch_s3_ingester::model::settings::DEAD_LETTER_QUEUE_URL;

/// What was read, or why it could not be.
type Read<T> = Result<T, AwsFailure>;

/// What to check.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) aws: &'a Aws<'a>,
    pub(crate) secret: &'a SecretState,
    pub(crate) subject: &'a Subject,
    /// The configured region.
    pub(crate) home: &'a str,
    /// FlexOrch's address.
    pub(crate) address: &'a str,
    /// The function's name or ARN.
    pub(crate) function: Option<&'a str>,
    pub(crate) key: Option<&'a ObjectKey>,
    /// The current time.
    pub(crate) now: Timestamp,
    pub(crate) secrets: &'a SecretStore,
    /// Builds commands for the configured region.
    pub(crate) commands: &'a Commands,
    /// Builds commands for the secret's region.
    pub(crate) of_secret: &'a Commands,
    pub(crate) report: &'a Report,
}

/// The bucket's side: its notifications and the requested object; `None` for what was not read.
struct Source {
    notifications: Option<Read<Notifications>>,
    object: Option<object::HeadResult>,
}

/// The function and everything that leads to it.
struct Chain {
    function: Function,
    policy: Read<Option<String>>,
    own: OwnQueue,
    rules: Read<Vec<Rule>>,
    on_failure: Read<Option<String>>,
    /// The function's own queue; `None` if it is not known.
    retry: Option<Read<Option<Queue>>>,
    dead: Option<Queue>,
    letters: Option<Read<Vec<DeadLetter>>>,
    /// What records the documents' results; `None`: nothing does.
    tracking: Option<Tracked>,
}

impl Request<'_> {
    /// Checks everything from the bucket to the dead letters. `flexorch` is awaited for the checks that need FlexOrch's responses.
    pub(crate) async fn run(&self, flexorch: Answers) {
        let (source, region) = self.source().await;
        let found = self.find(&source, region.as_deref()).await;
        let subject =
            self.subject.in_commands_for(found.as_ref().ok().and_then(|found| found.function.region()), self.home);
        Request { subject: &subject, ..*self }.follow(&source, found, flexorch).await;
    }

    async fn follow(&self, source: &Source, found: Result<Found, Check>, mut flexorch: Answers) {
        let chain = match found {
            Ok(found) => Some(self.chain(source, found).await),
            Err(check) => {
                let why = match check.status() {
                    Status::Failed => "there is no such function",
                    _ => "the function could not be checked",
                };
                self.report.add([check]);
                self.report.add(skipped(&name::of_function(), why));
                None
            }
        };
        let facts = flexorch.facts().await;
        self.conclude(source, chain.as_ref(), &facts);
        self.conclude_webhooks(source, chain.as_ref(), &flexorch.webhooks().await);
    }

    /// Checks the bucket, and reads its notifications and the object.
    async fn source(&self) -> (Source, Option<String>) {
        let (bucket, region) = bucket::check(self.aws, self.subject, self.home, self.of_secret).await;
        // A caller that may not list a bucket may still read its notifications.
        let is_there = !matches!(bucket.status(), Status::Failed | Status::Skipped);
        self.report.add([bucket]);
        let region = region.or_else(|| self.subject.region.clone());
        let Some(bucket) = self.subject.bucket.as_deref().filter(|_| is_there) else {
            return (Source { notifications: None, object: None }, region);
        };
        let (notifications, object) = tokio::join!(Notifications::read(self.aws, bucket, region.as_deref()), async {
            match self.key {
                Some(key) => Some(object::read(self.aws, bucket, key, region.as_deref()).await),
                None => None,
            }
        });
        (Source { notifications: Some(notifications), object }, region)
    }

    async fn find(&self, source: &Source, region: Option<&str>) -> Result<Found, Check> {
        let search = Search {
            aws: self.aws,
            subject: self.subject,
            notifications: source.notifications(),
            region: region.unwrap_or(self.home),
            commands: self.commands,
        };
        match self.function {
            Some(name) => search.named(name).await,
            None => search.unnamed().await,
        }
    }

    /// Reads and checks the function, and everything that leads to it.
    async fn chain(&self, source: &Source, Found { function, how }: Found) -> Chain {
        let commands = &self.commands_for(function.region());
        self.report.add([function::state(&function, how, commands)]);
        self.report.add(settings::checks(&function, self.subject, self.address, commands));
        let tracked = function.clone();
        let (mut chain, tracking) =
            tokio::join!(self.links(source, function, commands), self.tracking(&tracked, commands));
        chain.tracking = tracking;
        chain
    }

    /// Reads and checks what leads to the function, and its dead letters.
    async fn links(&self, source: &Source, function: Function, commands: &Commands) -> Chain {
        let (policy, on_failure, mappings, rules) = tokio::join!(
            function::policy(self.aws, &function),
            function::on_failure(self.aws, &function),
            mapping::read(self.aws, &function),
            notification::rules(self.aws, to(Service::Function, &function.arn))
        );
        let (own, rules) = self.own_queue(source, &function, &on_failure, &mappings, rules).await;
        let retry = match own.arn() {
            Some(arn) => Some(Queue::read(self.aws, arn).await),
            None => None,
        };
        let mut chain =
            Chain { function, policy, own, rules, on_failure, retry, dead: None, letters: None, tracking: None };
        self.report.add(self.notification_checks(source, &chain, commands));
        self.report.add(chain.retry_checks(commands));
        self.dead_letters(&mut chain).await;
        chain
    }

    /// Decides which queue is the function's own, with the rules that deliver to the function or one of its queues.
    async fn own_queue(
        &self,
        source: &Source,
        function: &Function,
        on_failure: &Read<Option<String>>,
        mappings: &Read<Vec<Mapping>>,
        rules: Read<Vec<Rule>>,
    ) -> (OwnQueue, Read<Vec<Rule>>) {
        let notified: Vec<&str> = source.notified_queues();
        let has_mapping = mappings.as_ref().is_ok_and(|mappings| !mappings.is_empty());
        let evidence = Evidence::read(self.aws, function, on_failure.clone(), has_mapping, &notified).await;
        // Without the rules' part, to know whose rules to read.
        let by_bucket = OwnQueue::decide(mappings, &evidence, |queue| notified.contains(&queue));
        let queues: Vec<&str> = match mappings {
            Ok(mappings) if has_mapping => mappings.iter().map(|mapping| mapping.queue.as_str()).collect(),
            _ => by_bucket.arn().into_iter().collect(),
        };
        let of_queues = queues.iter().map(|queue| notification::rules(self.aws, to(Service::Queue, queue)));
        let of_queues: Read<Vec<Vec<Rule>>> = join_all(of_queues).await.into_iter().collect();
        let rules = rules.and_then(|mut all| {
            all.extend(of_queues?.into_iter().flatten());
            Ok(all)
        });
        let has_rule =
            |queue: &str| rules.as_ref().is_ok_and(|rules| rules.iter().any(|rule| rule.target.arn == queue));
        let own = OwnQueue::decide(mappings, &evidence, |queue| notified.contains(&queue) || has_rule(queue));
        (own, rules)
    }

    /// Reads and checks what records the documents' results.
    async fn tracking(&self, function: &Function, commands: &Commands) -> Option<Tracked> {
        tracking::Request { of: *self, function, commands }.run().await
    }

    fn notification_checks(&self, source: &Source, chain: &Chain, commands: &Commands) -> Vec<Check> {
        let both = [name::NOTIFICATION, name::PERMISSION];
        let subscriptions = match (self.subscriptions(source, chain, commands), &source.notifications) {
            (Some(subscriptions), _) => subscriptions,
            (None, Some(Err(failure))) => {
                let skipped = Check::skipped(name::PERMISSION, without(failure));
                return vec![Check::could_not_check(name::NOTIFICATION, failure, commands), skipped];
            }
            (None, None) if self.subject.bucket.is_some() => return skipped(&both, "the bucket could not be checked"),
            (None, _) => return skipped(&both, &self.subject.lacks("bucket")),
        };
        let mut checks = vec![
            Check::decided(name::NOTIFICATION, subscriptions.check_notification()),
            Check::decided(name::PERMISSION, subscriptions.check_permission()),
        ];
        if subscriptions.is_direct() {
            let destination = chain.on_failure.as_ref().map(Option::as_deref);
            checks.push(Check::decided(
                name::FAILED_NOTIFICATIONS,
                subscriptions.check_failed_notifications(destination),
            ));
        }
        checks
    }

    fn subscriptions<'a>(
        &'a self,
        source: &'a Source,
        chain: &'a Chain,
        commands: &'a Commands,
    ) -> Option<Subscriptions<'a>> {
        Some(Subscriptions {
            bucket: self.subject.bucket.as_deref()?,
            prefix: self.subject.prefix.as_deref()?,
            notifications: source.notifications()?,
            rules: chain.rules.as_deref(),
            function: &chain.function,
            policy: chain.policy.as_ref().map(Option::as_deref),
            own: &chain.own,
            queue: chain.retry.as_ref().map_or(Ok(None), |retry| retry.as_ref().map(Option::as_ref)),
            commands,
        })
    }

    /// Reads and checks the dead-letter queue of the retry queue.
    async fn dead_letters(&self, chain: &mut Chain) {
        let both = [name::DEAD_LETTER_QUEUE, name::DEAD_LETTERS];
        let retry = match chain.queue() {
            Ok(retry) => retry,
            Err(why) => return self.report.add(skipped(&both, &why.to_string())),
        };
        let commands = &self.commands_for(region_of(&retry.arn));
        let Some((arn, _)) = retry.redrive() else {
            return self.report.add(skipped(&both, "the retry queue has no dead-letter queue"));
        };
        let dead = match Queue::read(self.aws, &arn).await {
            Ok(Some(dead)) => dead,
            other => {
                self.report.add([unread_queue(name::DEAD_LETTER_QUEUE, &arn, &other, commands)]);
                let why =
                    other.err().map_or_else(|| "there is no dead-letter queue".to_owned(), |error| without(&error));
                return self.report.add(skipped(&both[1..], &why));
            }
        };
        self.report.add([dead_letter_queue(&dead, &chain.function, commands)]);
        // If the queue has its own dead-letter queue, receiving a message could move it there.
        let letters = match dead.redrive() {
            None => Some(dead_letters::peek(self.aws, &dead).await),
            Some(_) => None,
        };
        let redrive = dead_letters::redrive(&dead, retry, &chain.function, None, commands);
        self.report.add([match &letters {
            Some(Err(failure)) => Check::could_not_check(name::DEAD_LETTERS, failure, commands),
            Some(Ok(letters)) => dead_letters::check(&dead, Some(letters), redrive),
            None => dead_letters::check(&dead, None, redrive),
        }]);
        (chain.dead, chain.letters) = (Some(dead), letters);
    }

    /// Reports the checks that need both sides, apart from the webhooks.
    fn conclude(&self, source: &Source, chain: Option<&Chain>, flexorch: &FlexOrchFacts) {
        let commands = &self.commands_for(chain.and_then(|chain| chain.function.region()));
        if let Some(chain) = chain {
            self.report.add([match chain.queue() {
                Ok(retry) => waiting::check(retry, &chain.function, flexorch, &self.subject.secret, commands),
                Err(why) => Check::skipped(name::WAITING, why.to_string()),
            }]);
            if flexorch.complete || flexorch.rate.is_some() {
                self.report.add([chain.pace(flexorch, commands)]);
            }
        }
        if let Some(key) = self.key {
            self.report.add(self.object_checks(key, source, chain, flexorch));
            if let Some(tracked) = chain.and_then(|chain| chain.tracking.as_ref()) {
                self.report.add([tracked.object(key, source.current(), self.subject, commands)]);
            }
        }
    }

    /// Returns the connector that the secret describes, which suggested commands name as the subject does.
    fn connector(&self) -> Option<Connector> {
        let connector = self.secret.document()?.as_connector().ok()?;
        Some(Connector { secret_id: self.subject.secret.as_str().into(), ..connector })
    }

    /// Reports the checks that need FlexOrch's webhooks.
    fn conclude_webhooks(&self, source: &Source, chain: Option<&Chain>, webhooks: &WebhookFacts) {
        let commands = &self.commands_for(chain.and_then(|chain| chain.function.region()));
        let connector = self.connector();
        let subscriptions = chain.and_then(|chain| self.subscriptions(source, chain, commands));
        let watched = Watched {
            connector: connector.as_ref(),
            function: chain.map(|chain| &chain.function),
            subscriptions,
            address: self.address,
        };
        self.report.add([webhooks.exports.check(watched, commands)]);
        if let Some(tracked) = chain.and_then(|chain| chain.tracking.as_ref()) {
            self.report.add([tracked.conclude(webhooks, self.subject, commands)]);
        }
    }

    fn object_checks(
        &self,
        key: &ObjectKey,
        source: &Source,
        chain: Option<&Chain>,
        flexorch: &FlexOrchFacts,
    ) -> Vec<Check> {
        let commands = &self.commands_for(chain.and_then(|chain| chain.function.region()));
        let connector = self.connector();
        let subscriptions = chain.and_then(|chain| self.subscriptions(source, chain, commands));
        let (Some(head), Some(bucket)) = (&source.object, self.subject.bucket.as_deref()) else {
            return skipped(&name::OF_OBJECT, &self.subject.lacks("bucket"));
        };
        let config = chain.and_then(|chain| chain.function.config().ok());
        let context = ObjectContext {
            connector: connector.as_ref(),
            scope: config.as_ref().map(|config| &config.scope),
            function: chain.map(|chain| &chain.function),
            retry: chain.and_then(|chain| chain.queue().ok()),
            dead: chain.and_then(|chain| chain.dead.as_ref()),
            letters: chain.and_then(|chain| chain.letters.as_ref()?.as_deref().ok()),
            record: chain.and_then(|chain| chain.tracking.as_ref()?.record(source.current())),
            block: flexorch.block.as_ref(),
            commands,
        };
        object::checks(head, bucket, key, subscriptions.as_ref(), context)
    }

    fn commands_for(&self, region: Option<&str>) -> Commands {
        region.map_or_else(|| self.commands.clone(), |region| self.commands.in_region(region))
    }
}

impl Source {
    fn notifications(&self) -> Option<&Notifications> {
        self.notifications.as_ref()?.as_ref().ok()
    }

    fn current(&self) -> Current<'_> {
        match &self.object {
            Some(Ok(Some(object))) => Current::Is(object),
            Some(Ok(None)) => Current::Absent,
            Some(Err(_)) | None => Current::Unknown,
        }
    }

    /// Returns the queues that the bucket notifies of uploads.
    fn notified_queues(&self) -> Vec<&str> {
        let destinations = self.notifications().map(Notifications::destinations).unwrap_or_default();
        destinations.into_iter().filter(|to| to.service == Service::Queue).map(|to| to.arn.as_str()).collect()
    }
}

/// Why there is no queue to check.
#[derive(Debug, thiserror::Error)]
enum NoQueue {
    #[error("{}", without(.0))]
    Unread(AwsFailure),
    #[error("the queue does not exist")]
    Absent,
    #[error("the function reads no queue")]
    NotNamed,
}

impl Chain {
    /// Returns the queue to check, or why it cannot be checked. Which queue the function reads is unknown without its mappings,
    /// whatever else shows which one it should read.
    fn queue(&self) -> Result<&Queue, NoQueue> {
        match (&self.retry, self.own.doubt()) {
            (_, Some(failure)) | (Some(Err(failure)), None) => Err(NoQueue::Unread(failure.clone())),
            (Some(Ok(Some(queue))), None) => Ok(queue),
            (Some(Ok(None)), None) => Err(NoQueue::Absent),
            (None, None) => Err(NoQueue::NotNamed),
        }
    }

    /// Checks how the function reads its queue, and the queue's settings.
    fn retry_checks(&self, commands: &Commands) -> Vec<Check> {
        let queue = match (self.queue(), &self.retry, self.own.arn()) {
            (Ok(retry), ..) => queue::retry(retry, &self.function, commands),
            (Err(_), Some(other), Some(arn)) if self.own.doubt().is_none() => {
                unread_queue(name::RETRY_QUEUE, arn, other, commands)
            }
            (Err(why), ..) => Check::skipped(name::RETRY_QUEUE, why.to_string()),
        };
        vec![Check::decided(name::BATCHES, self.batches(commands)), queue]
    }

    fn batches(&self, commands: &Commands) -> Result<Check, Unknown> {
        let own = &self.own;
        Ok(match own.mapping(commands)? {
            Some(mapping) => mapping::batches(mapping, own.number_read(), &self.function, commands),
            None => mapping::absent(own.arn(), &self.function, commands),
        })
    }

    fn pace(&self, flexorch: &FlexOrchFacts, commands: &Commands) -> Check {
        match (self.own.mapping(commands), self.own.doubt()) {
            (Ok(Some(mapping)), _) => mapping::pace(mapping, &self.function, flexorch.rate.as_ref(), commands),
            (_, Some(failure)) => Check::skipped(name::PACE, without(failure)),
            (_, None) => Check::skipped(name::PACE, "the function reads no queue"),
        }
    }
}

fn to(service: Service, arn: &str) -> Destination {
    Destination { service, arn: arn.to_owned() }
}

/// Returns the check of a queue that could not be read or does not exist.
pub(super) fn unread_queue(
    check: &'static str,
    arn: &str,
    response: &Read<Option<Queue>>,
    commands: &Commands,
) -> Check {
    match response {
        Err(failure) => Check::unknown(check, Unknown::because(failure, commands)),
        Ok(_) => Check::failed(
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
    let set = |action: &str| function.set(action, DEAD_LETTER_QUEUE_URL, &dead.url, commands);
    match function.setting(DEAD_LETTER_QUEUE_URL) {
        None => Check::warning(
            name::DEAD_LETTER_QUEUE,
            format!("{} exists, but DEAD_LETTER_QUEUE_URL is not set: rejected objects are only logged", dead.name()),
            set("set it"),
        ),
        Some(url) if url.rsplit('/').next() != Some(dead.name()) => Check::warning(
            name::DEAD_LETTER_QUEUE,
            format!(
                "the retry queue's is {}, but DEAD_LETTER_QUEUE_URL is {url}: only the former was checked",
                dead.name()
            ),
            set("use the same queue for both"),
        ),
        Some(_) => Check::well(name::DEAD_LETTER_QUEUE, format!("{} exists", dead.name())),
    }
}
