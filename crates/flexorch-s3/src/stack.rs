//! CloudFormation stacks: which one owns a function or queue, and what that means for a change of it.

use std::collections::HashMap;

use crate::aws_failure::AwsFailure;
use flexorch_s3_ingester::model::settings;

/// The tag that CloudFormation sets on a stack's resources (AWS CloudFormation User Guide, "Resource tags").
const TAG: &str = "aws:cloudformation:stack-name";

/// The template's parameters for the function's settings. A setting that is not here has none.
const PARAMETERS: [(&str, &str); 16] = [
    (settings::CONNECTOR_SECRET_IDS, "ConnectorSecretArns"),
    (settings::FLEXORCH_BASE_URL, "FlexOrchBaseUrl"),
    (settings::KEY_PREFIXES, "KeyPrefixes"),
    (settings::KEY_SUFFIXES, "KeySuffixes"),
    (settings::KEY_EXCLUDES, "KeyExcludes"),
    (settings::MAX_OBJECT_BYTES, "MaxObjectBytes"),
    (settings::MAX_KEYS_PER_REQUEST, "MaxKeysPerRequest"),
    (settings::SECRET_CACHE_TTL_SECONDS, "SecretCacheTtlSeconds"),
    (settings::REQUEST_TIMEOUT_MS, "RequestTimeoutMs"),
    (settings::MAX_CONCURRENT_REQUESTS, "MaxConcurrentRequests"),
    (settings::REQUESTS_PER_MINUTE, "ProcessRequestsPerMinute"),
    (settings::MAX_ATTEMPTS, "MaxAttempts"),
    (settings::DEADLINE_MARGIN_MS, "DeadlineMarginMs"),
    (settings::RENEW_AFTER_RECEIVES, "RenewAfterReceives"),
    (settings::LOCALE, "Locale"),
    (settings::PIPELINE_CONFIG, "PipelineConfig"),
];

/// Who owns a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Owner {
    Stack(String),
    NoStack,
    /// Its tags could not be read.
    #[default]
    Unknown,
}

impl Owner {
    /// Reads the owner from a resource's tags.
    pub(crate) fn of(tags: &HashMap<String, String>) -> Self {
        tags.get(TAG).map_or(Self::NoStack, |stack| Self::Stack(stack.clone()))
    }

    /// Returns the stack's name, if a stack owns it.
    pub(crate) fn stack(&self) -> Option<&str> {
        match self {
            Self::Stack(name) => Some(name),
            _ => None,
        }
    }

    /// Adds how to make a change last if a stack owns the resource. `parameter` is the template's parameter for it, if there is one.
    pub(crate) fn advice(&self, action: &str, parameter: Option<&str>) -> String {
        match (self, parameter) {
            (Self::Stack(stack), Some(parameter)) => format!(
                "{action}, and also set the parameter {parameter} of stack {stack} and run `sam deploy`: otherwise its next deployment may \
                 undo this"
            ),
            (Self::Stack(stack), None) => format!(
                "{action}; it belongs to stack {stack}: if its template says otherwise, change the template and run `sam deploy` too"
            ),
            (Self::Unknown, Some(parameter)) => {
                format!("{action}; if a stack owns it, also set its parameter {parameter} and run `sam deploy`")
            }
            (Self::Unknown, None) | (Self::NoStack, _) => action.to_owned(),
        }
    }
}

/// Returns the template's parameter for one of the function's settings.
pub(crate) fn parameter_of(variable: &str) -> Option<&'static str> {
    PARAMETERS.iter().find(|(name, _)| *name == variable).map(|(_, parameter)| *parameter)
}

pub(crate) async fn of_queue(sqs: &aws_sdk_sqs::Client, url: &str, arn: &str) -> Result<Owner, AwsFailure> {
    let answer = sqs.list_queue_tags().queue_url(url).send().await;
    let answer = answer.map_err(|error| AwsFailure::new(&error, "sqs:ListQueueTags", arn))?;
    Ok(answer.tags().map_or(Owner::NoStack, Owner::of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_is_the_templates_for_its_setting() {
        let template = include_str!("../../../template.yaml");
        let settings = template.split("Variables:").nth(1).unwrap().split("EventInvokeConfig:").next().unwrap();
        for (variable, parameter) in PARAMETERS {
            let value = settings.split(&format!(" {variable}: ")).nth(1).unwrap_or_else(|| panic!("{variable}"));
            let value = value.split(": ").next().unwrap();
            assert!(value.contains(parameter), "{variable}: {value}");
        }
        for (_, parameter) in PARAMETERS {
            assert!(template.contains(&format!("\n  {parameter}:\n    Type: ")), "{parameter}");
        }
    }

    #[test]
    fn the_owner_is_a_stack_only_if_its_tag_says_so() {
        let tags = |tags: &[(&str, &str)]| {
            Owner::of(&tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        };
        assert_eq!(tags(&[("team", "documents"), (TAG, "ingest")]), Owner::Stack("ingest".into()));
        assert_eq!(tags(&[("team", "documents")]), Owner::NoStack);
    }

    #[test]
    fn advice_names_parameter_and_deployment_if_a_stack_owns_or_may_own_the_resource() {
        let advice = |owner: Owner| owner.advice("add the prefix", parameter_of("KEY_PREFIXES"));
        for owner in [Owner::Stack("ingest".into()), Owner::Unknown] {
            let text = advice(owner);
            assert!(text.contains("KeyPrefixes") && text.contains("sam deploy"), "{text}");
        }
        assert_eq!(advice(Owner::NoStack), "add the prefix");
    }
}
