//! Finds the dead-letter queue, and the queue that its letters came from. Only these two are ever changed: a queue that is not a
//! dead-letter queue is refused.

use anyhow::{Context as _, Result, anyhow};

use super::queue::Queue;
use crate::args::{QueueName, QueueOption};
use crate::context::Context;
use crate::deployed::Deployed;
use crate::exit::WrongArgument;
use crate::output::{WARNING, styled};
use crate::text::escaped;
use flexorch_s3_ingester::model::arn::queue_name;
use flexorch_s3_ingester::model::settings;

/// The function's variable.
const VARIABLE: &str = settings::DEAD_LETTER_QUEUE_URL;

/// A dead-letter queue.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) queue: Queue,
    /// The function that names it, if it was found by one.
    function: Option<Deployed>,
}

impl Located {
    /// Finds the queue, and checks that it is a dead-letter queue.
    pub(crate) async fn find(option: &QueueOption, context: &Context) -> Result<Self> {
        let (name, function, origin) = match (&option.queue, &option.function) {
            (Some(queue), _) => (queue.clone(), None, "--queue".to_owned()),
            (None, typed) => {
                let typed = typed.as_deref().unwrap_or_default();
                let function = Deployed::read(context.aws().await?, typed).await?;
                let function = function.visible(": name the queue with --queue")?;
                (queue_of(&function, typed)?, Some(function), format!("{VARIABLE} of function {}", escaped(typed)))
            }
        };
        let queue = Queue::open(&name, context).await.with_context(|| origin.clone())?;
        // A function may name a queue that no redrive policy does, but not one that messages are processed from.
        let may_be_one = queue.redrive_policy().is_none();
        if function.is_some() && may_be_one {
            return Ok(Self { queue, function });
        }
        match queue.sources().await {
            Ok(sources) if sources.is_empty() => Err(WrongArgument(format!(
                "{origin}: {} is not a dead-letter queue: no queue's redrive policy names it{}",
                queue.arn,
                if function.is_none() { ". If only a function's settings name it, use --function" } else { "" }
            ))
            .into()),
            Ok(_) => Ok(Self { queue, function }),
            // The operator has named it, and sees the plan before anything is changed.
            Err(failure) if may_be_one => {
                let queue_arn = &queue.arn;
                let note = format!("whether {queue_arn} is a dead-letter queue could not be checked: {failure}");
                context.output.progress(styled(WARNING, note));
                Ok(Self { queue, function })
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// Finds the queue to send to: the named one, or the only one whose dead letters these are.
    pub(crate) async fn target(&self, named: Option<&QueueName>, context: &Context) -> Result<Queue> {
        let target = match named {
            Some(name) => Queue::open(name, context).await.context("--to")?,
            None => Queue::open(&self.source().await?, context).await?,
        };
        let (from, to) = (&self.queue, &target);
        let wrong = if from.arn == to.arn {
            Some("is the dead-letter queue itself")
        } else if to.is_fifo() && !from.is_fifo() {
            Some("is a FIFO queue, but the letters are from a standard queue")
        } else {
            None
        };
        match wrong {
            Some(wrong) => Err(WrongArgument(format!("--to: {} {wrong}; nothing was sent", to.arn)).into()),
            None => Ok(target),
        }
    }

    /// Returns the queue that the function reads, or the only one with this dead-letter queue.
    async fn source(&self) -> Result<QueueName> {
        let read = match &self.function {
            Some(function) => function.queues().await?,
            None => Vec::new(),
        };
        if let [only] = &read[..] {
            return Ok(QueueName::Arn(only.clone()));
        }
        let sources = self.queue.sources().await?;
        choose(&read, &sources).with_context(|| self.queue.name().to_owned())
    }
}

/// Chooses the queue to send to from the ARNs of those that the function reads and the URLs of those with this dead-letter queue.
fn choose(read: &[String], sources: &[String]) -> Result<QueueName, WrongArgument> {
    let name_of = |url: &str| url.rsplit('/').next().unwrap_or_default().to_owned();
    let both: Vec<_> = read.iter().filter(|arn| sources.iter().any(|url| name_of(url) == queue_name(arn))).collect();
    let why = match (&both[..], sources, read) {
        ([only], ..) => return Ok(QueueName::Arn((*only).clone())),
        ([], [only], []) => match only.parse() {
            Ok(name) => return Ok(name),
            Err(error) => format!("its source queue is {only:?}: {error}"),
        },
        ([], [], []) => "no queue's redrive policy names it".to_owned(),
        ([], several, []) => format!("it has several source queues: {}", several.join(", ")),
        ([], ..) => format!("the function reads several queues: {}", read.join(", ")),
        (several, ..) => {
            let names: Vec<_> = several.iter().map(|arn| arn.as_str()).collect();
            format!("the function reads several of its source queues: {}", names.join(", "))
        }
    };
    Err(WrongArgument(format!("{why}; name the queue to send to with --to (output RetryQueueUrl of the stack)")))
}

/// Returns the dead-letter queue that a function's settings name.
fn queue_of(function: &Deployed, typed: &str) -> Result<QueueName> {
    let Some(url) = function.setting(VARIABLE) else {
        return Err(anyhow!(
            "function {} has no {VARIABLE}: it only logs what FlexOrch rejects. If its queue has a dead-letter queue, name that with --queue",
            escaped(typed)
        ));
    };
    url.parse().map_err(|error| anyhow!("{VARIABLE} of function {} is {url:?}: {error}", escaped(typed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_go_to_the_only_queue_that_they_can_have_come_from() {
        let arn = |name: &str| format!("arn:aws:sqs:eu-west-1:123456789012:{name}");
        let url = |name: &str| format!("https://sqs.eu-west-1.amazonaws.com/123456789012/{name}");
        let chosen = |read: &[&str], sources: &[&str]| {
            let read: Vec<_> = read.iter().map(|name| arn(name)).collect();
            choose(&read, &sources.iter().map(|name| url(name)).collect::<Vec<_>>())
        };
        assert_eq!(chosen(&[], &["retry"]).unwrap(), url("retry").parse().unwrap());
        assert_eq!(chosen(&["retry", "other"], &["retry", "third"]).unwrap(), QueueName::Arn(arn("retry")));
        for (read, sources) in [
            (&[][..], &[][..]),
            (&[], &["retry", "other"]),
            (&["retry", "other"], &[]),
            (&["retry", "other"], &["third"]),
            (&["retry", "other"], &["retry", "other"]),
        ] {
            assert!(chosen(read, sources).is_err(), "{read:?} {sources:?}");
        }
    }
}
