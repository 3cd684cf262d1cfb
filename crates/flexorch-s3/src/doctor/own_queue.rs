//! Decides which queue is the function's own: the one that it reads, or else the one that it should read. No other queue is ever
//! proposed for a change, because the function would delete the messages of whoever owns it.

use super::aws::Aws;
use super::check::Unknown;
use super::commands::Commands;
use super::function::Function;
use super::mapping::Mapping;
use crate::aws_failure::AwsFailure;
use crate::stack;
use crate::tracking::queue_arn;
use flexorch_s3_ingester::model::arn::QueueArn;
use flexorch_s3_ingester::model::settings;

/// The function's own queue, as far as it is known.
#[derive(Debug, Clone)]
pub(crate) struct OwnQueue {
    /// The queue's ARN; `None` if there is none, or none is known.
    arn: Option<String>,
    /// The ARNs of all queues that the function reads.
    read: Vec<String>,
    /// The mapping through which the function reads it; `None` if the function reads no queue.
    mapping: Result<Option<Mapping>, AwsFailure>,
    /// Why the function may have another queue that is not known.
    doubt: Option<AwsFailure>,
}

/// What shows which queue the function should read, if it reads none.
#[derive(Debug, Clone)]
pub(crate) struct Evidence {
    /// The function's on-failure destination.
    pub(crate) on_failure: Result<Option<String>, AwsFailure>,
    /// The queues whose dead-letter queue is the function's `DEAD_LETTER_QUEUE_URL`.
    pub(crate) sources: Result<Vec<String>, AwsFailure>,
    /// The queues that the bucket notifies and the function's stack owns.
    pub(crate) of_stack: Result<Vec<String>, AwsFailure>,
}

impl OwnQueue {
    /// Decides by the function's mappings, else by the evidence. `is_notified` prefers one of several queues.
    pub(crate) fn decide(
        mappings: &Result<Vec<Mapping>, AwsFailure>,
        evidence: &Evidence,
        is_notified: impl Fn(&str) -> bool,
    ) -> Self {
        let failed_to = evidence.on_failure.as_ref().ok().and_then(|destination| destination.as_deref());
        let mapping = match mappings {
            Ok(mappings) => {
                let notified = mappings.iter().find(|mapping| is_notified(&mapping.queue));
                let on_failure = || mappings.iter().find(|mapping| Some(mapping.queue.as_str()) == failed_to);
                Ok(notified.or_else(on_failure).or_else(|| mappings.first()).cloned())
            }
            Err(failure) => Err(failure.clone()),
        };
        if let Ok(Some(mapping)) = mapping {
            let read = mappings.iter().flatten().map(|mapping| mapping.queue.clone()).collect();
            return Self { arn: Some(mapping.queue.clone()), read, mapping: Ok(Some(mapping)), doubt: None };
        }
        let arn = evidence.candidate(is_notified);
        let doubt = match &mapping {
            Err(failure) => Some(failure.clone()),
            Ok(_) if arn.is_none() => evidence.gap().cloned(),
            Ok(_) => None,
        };
        Self { arn, read: Vec::new(), mapping, doubt }
    }

    /// Returns whether this is the function's queue, or another that it reads.
    pub(crate) fn is(&self, arn: &str) -> bool {
        self.arn() == Some(arn) || self.read.iter().any(|read| read == arn)
    }

    /// Returns how many queues the function reads, as far as is known.
    pub(crate) fn number_read(&self) -> usize {
        self.read.len()
    }

    pub(crate) fn arn(&self) -> Option<&str> {
        self.arn.as_deref()
    }

    /// Returns the mapping through which the function reads it.
    pub(crate) fn mapping(&self, commands: &Commands) -> Result<Option<&Mapping>, Unknown> {
        self.mapping.as_ref().map(Option::as_ref).map_err(|failure| Unknown::because(failure, commands))
    }

    /// Returns whether the function certainly reads no queue.
    pub(crate) fn is_unread(&self) -> bool {
        matches!(self.mapping, Ok(None))
    }

    /// Returns why the function may have another queue that is not known.
    pub(crate) fn doubt(&self) -> Option<&AwsFailure> {
        self.doubt.as_ref()
    }
}

impl Evidence {
    /// Reads the evidence. The on-failure destination, which is read in any case, is enough; a function that reads a queue needs none.
    pub(crate) async fn read(
        aws: &Aws<'_>,
        function: &Function,
        on_failure: Result<Option<String>, AwsFailure>,
        reads_a_queue: bool,
        notified: &[&str],
    ) -> Self {
        let mut evidence = Self { on_failure, sources: Ok(Vec::new()), of_stack: Ok(Vec::new()) };
        if reads_a_queue || evidence.failed_to().is_some() {
            return evidence;
        }
        if let Some(url) = function.setting(settings::DEAD_LETTER_QUEUE_URL) {
            evidence.sources = sources(aws, url, function).await;
        }
        if let Some(stack) = function.owner.stack() {
            evidence.of_stack = of_stack(aws, stack, notified).await;
        }
        evidence
    }

    fn failed_to(&self) -> Option<&str> {
        let destination = self.on_failure.as_ref().ok()?.as_deref()?;
        QueueArn::parse(destination).is_ok().then_some(destination)
    }

    /// Returns the queue that the function should read. Of several that could be, only one that the bucket notifies.
    fn candidate(&self, is_notified: impl Fn(&str) -> bool) -> Option<String> {
        if let Some(destination) = self.failed_to() {
            return Some(destination.to_owned());
        }
        [&self.sources, &self.of_stack].into_iter().flatten().find_map(|queues| {
            let notified: Vec<_> = queues.iter().filter(|queue| is_notified(queue)).collect();
            match (queues.as_slice(), notified.as_slice()) {
                ([only], _) => Some(only.clone()),
                (_, [only]) => Some((*only).clone()),
                _ => None,
            }
        })
    }

    /// Returns the first failure to read a part of it.
    fn gap(&self) -> Option<&AwsFailure> {
        let failures = [self.on_failure.as_ref().err(), self.sources.as_ref().err(), self.of_stack.as_ref().err()];
        failures.into_iter().flatten().next()
    }
}

/// Reads the queues whose dead-letter queue this is.
async fn sources(aws: &Aws<'_>, dead_letter_url: &str, function: &Function) -> Result<Vec<String>, AwsFailure> {
    let sqs = aws.sqs(function.region());
    let request = sqs.list_dead_letter_source_queues().queue_url(dead_letter_url).send();
    let answer = aws.call("sqs:ListDeadLetterSourceQueues", dead_letter_url, request).await?;
    // They are in the region of their dead-letter queue (SQS Developer Guide, "Using dead-letter queues").
    Ok(answer.queue_urls().iter().filter_map(|url| queue_arn(url, &function.arn)).collect())
}

/// Returns those of the notified queues that the stack owns.
async fn of_stack(aws: &Aws<'_>, stack: &str, notified: &[&str]) -> Result<Vec<String>, AwsFailure> {
    let mut own = Vec::new();
    for arn in notified {
        let Ok(queue) = QueueArn::parse(arn) else { continue };
        let (sqs, url) = (aws.sqs(Some(queue.region)), aws.queue_url(&queue));
        let owner = aws.within_time("sqs:ListQueueTags", arn, stack::of_queue(&sqs, &url, arn)).await??;
        if owner.stack() == Some(stack) {
            own.push((*arn).to_owned());
        }
    }
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const RETRY: &str = "arn:aws:sqs:eu-west-1:123456789012:retry";
    const ORDERS: &str = "arn:aws:sqs:eu-west-1:123456789012:orders";

    fn failure(action: &'static str) -> AwsFailure {
        AwsFailure::timed_out(Duration::ZERO, action, "x")
    }

    fn mapping(queue: &str) -> Mapping {
        let mut mapping = Mapping::default();
        queue.clone_into(&mut mapping.queue);
        mapping
    }

    fn nothing() -> Evidence {
        Evidence { on_failure: Ok(None), sources: Ok(Vec::new()), of_stack: Ok(Vec::new()) }
    }

    #[test]
    fn a_queue_that_the_function_reads_is_its_own_and_of_several_the_notified_one() {
        let own = OwnQueue::decide(&Ok(vec![mapping(ORDERS), mapping(RETRY)]), &nothing(), |queue| queue == RETRY);
        assert_eq!((own.arn(), own.doubt().is_none(), own.is_unread()), (Some(RETRY), true, false));
    }

    #[test]
    fn if_it_reads_none_its_own_is_what_its_destination_its_dead_letter_queue_or_its_stack_shows() {
        let queues = || Ok(vec![RETRY.to_owned()]);
        for evidence in [
            Evidence { on_failure: Ok(Some(RETRY.to_owned())), ..nothing() },
            Evidence { sources: queues(), ..nothing() },
            Evidence { of_stack: queues(), ..nothing() },
        ] {
            let own = OwnQueue::decide(&Ok(Vec::new()), &evidence, |queue| queue == ORDERS);
            assert_eq!((own.arn(), own.is_unread()), (Some(RETRY), true), "{evidence:?}");
        }
    }

    #[test]
    fn a_notified_queue_alone_is_not_its_own() {
        let own = OwnQueue::decide(&Ok(Vec::new()), &nothing(), |queue| queue == ORDERS);
        assert_eq!((own.arn(), own.doubt().is_none()), (None, true));
        let topic = Evidence { on_failure: Ok(Some("arn:aws:sns:eu-west-1:1:t".into())), ..nothing() };
        assert_eq!(OwnQueue::decide(&Ok(Vec::new()), &topic, |_| true).arn(), None);
        let shared = Evidence { sources: Ok(vec![RETRY.into(), ORDERS.into()]), ..nothing() };
        assert_eq!(OwnQueue::decide(&Ok(Vec::new()), &shared, |_| false).arn(), None);
    }

    #[test]
    fn what_could_not_be_read_leaves_a_doubt() {
        let denied = failure("lambda:ListEventSourceMappings");
        let own = OwnQueue::decide(&Err(denied), &nothing(), |_| false);
        assert!(own.mapping(&Commands::default()).is_err() && !own.is_unread());
        assert_eq!(own.doubt().unwrap().action, "lambda:ListEventSourceMappings");
        let unread = Evidence { sources: Err(failure("sqs:ListDeadLetterSourceQueues")), ..nothing() };
        let own = OwnQueue::decide(&Ok(Vec::new()), &unread, |_| false);
        assert_eq!(own.doubt().unwrap().action, "sqs:ListDeadLetterSourceQueues");
    }
}
