//! What a function's settings and triggers lead to: the receipts queue, the outcomes function that reads it, and that function's table.

use std::collections::HashMap;

use anyhow::{Result, anyhow};
use aws_config::SdkConfig;
use aws_sdk_lambda::Client;

use crate::aws_failure::{AwsFailure, optional};
use crate::region::in_region;
use crate::text::escaped;
use flexorch_outcomes::config::variable::{RECORDS_TABLE, WEBHOOK_SECRET_ID};
use flexorch_s3_ingester::model::arn::{FunctionArn, QueueArn, region_of};
use flexorch_s3_ingester::model::settings::{CONNECTOR_SECRET_IDS, RECEIPTS_QUEUE_URL};

/// The ingester, if the outcomes function was not named itself, and the outcomes function.
#[derive(Debug)]
pub(crate) struct Chain {
    client: Client,
    ingester: Option<Lambda>,
    outcomes: Lambda,
}

/// A function's settings.
#[derive(Debug, Clone)]
struct Lambda {
    name: String,
    arn: String,
    variables: HashMap<String, String>,
}

impl Lambda {
    async fn read(client: &Client, name: &str) -> Result<Self> {
        let action = "lambda:GetFunctionConfiguration";
        let found = client.get_function_configuration().function_name(name).send().await;
        let found = found.map_err(|error| AwsFailure::new(&error, action, escaped(name)))?;
        if let Some(error) = found.environment().and_then(|environment| environment.error()) {
            let code = error.error_code().unwrap_or("no code");
            return Err(anyhow!("Lambda does not return the variables of function {} ({code})", escaped(name)));
        }
        Ok(Self {
            name: found.function_name.unwrap_or_else(|| name.to_owned()),
            arn: found.function_arn.unwrap_or_default(),
            variables: found.environment.and_then(|environment| environment.variables).unwrap_or_default(),
        })
    }

    fn setting(&self, variable: &str) -> Option<&str> {
        self.variables.get(variable).map(|value| value.trim()).filter(|value| !value.is_empty())
    }
}

impl Chain {
    /// Follows a function: the ingester, or the outcomes function itself.
    ///
    /// # Errors
    /// If a call fails, or the function has no tracking.
    pub(crate) async fn follow(sdk: &SdkConfig, name: &str) -> Result<Self> {
        let client = Client::new(&in_region(sdk, region_of(name)));
        let named = Lambda::read(&client, name).await?;
        if named.setting(RECORDS_TABLE).is_some() {
            return Ok(Self { client, ingester: None, outcomes: named });
        }
        let shown = escaped(&named.name);
        let Some(queue) = named.setting(RECEIPTS_QUEUE_URL) else {
            return Err(anyhow!(
                "function {shown} has neither {RECEIPTS_QUEUE_URL} nor {RECORDS_TABLE}, so its documents are not tracked: deploy the \
                 template with Tracking=true"
            ));
        };
        let queue = queue_arn(queue, &named.arn).ok_or_else(|| {
            anyhow!("{RECEIPTS_QUEUE_URL} of function {shown} is {queue:?}, which is not a queue's URL")
        })?;
        let mappings = client.list_event_source_mappings().event_source_arn(&queue).into_paginator().items().send();
        let mappings: Result<Vec<_>, _> = mappings.collect().await;
        let mappings =
            mappings.map_err(|error| AwsFailure::new(&error, "lambda:ListEventSourceMappings", queue.as_str()))?;
        for arn in mappings.into_iter().filter_map(|mapping| mapping.function_arn) {
            let outcomes = Lambda::read(&client, &arn).await?;
            if outcomes.setting(RECORDS_TABLE).is_some() {
                return Ok(Self { client, ingester: Some(named), outcomes });
            }
        }
        Err(anyhow!(
            "no function with {RECORDS_TABLE} reads {queue}, the receipts of {shown}: deploy the template again"
        ))
    }

    /// Returns the table's name.
    pub(crate) fn table(&self) -> &str {
        self.outcomes.setting(RECORDS_TABLE).unwrap_or_default()
    }

    /// Returns the region of the outcomes function, which is its table's.
    pub(crate) fn region(&self) -> Option<&str> {
        region_of(&self.outcomes.arn)
    }

    /// Returns the name of the outcomes function.
    pub(crate) fn outcomes(&self) -> &str {
        &self.outcomes.name
    }

    /// Returns the secrets of the connectors.
    pub(crate) fn connector_secrets(&self) -> Vec<String> {
        let ids = self.outcomes.setting(CONNECTOR_SECRET_IDS);
        let ids = ids.or_else(|| self.ingester.as_ref()?.setting(CONNECTOR_SECRET_IDS));
        split(ids.unwrap_or_default())
    }

    /// Returns the secret with the signing secret.
    pub(crate) fn webhook_secret(&self) -> Option<&str> {
        self.outcomes.setting(WEBHOOK_SECRET_ID)
    }

    /// Asks for the URL of the outcomes function; `None` if it has none.
    ///
    /// # Errors
    /// If the call fails.
    pub(crate) async fn url(&self) -> Result<Option<String>, AwsFailure> {
        let name = &self.outcomes.name;
        let answer = self.client.get_function_url_config().function_name(name).send().await;
        let answer = answer.map_err(|error| AwsFailure::new(&error, "lambda:GetFunctionUrlConfig", name));
        Ok(optional(answer)?.map(|found| found.function_url))
    }

    /// Asks which queues the ingester reads, by their ARNs; none if it is not known.
    ///
    /// # Errors
    /// If the call fails.
    pub(crate) async fn ingesters_queues(&self) -> Result<Vec<String>, AwsFailure> {
        let Some(ingester) = &self.ingester else { return Ok(Vec::new()) };
        let pages = self.client.list_event_source_mappings().function_name(&ingester.name).into_paginator();
        let mappings: Result<Vec<_>, _> = pages.items().send().collect().await;
        let mappings = mappings
            .map_err(|error| AwsFailure::new(&error, "lambda:ListEventSourceMappings", ingester.name.as_str()))?;
        let arns = mappings.into_iter().filter_map(|mapping| mapping.event_source_arn);
        Ok(arns.filter(|arn| QueueArn::parse(arn).is_ok()).collect())
    }
}

/// Splits a list of secrets.
pub(crate) fn split(ids: &str) -> Vec<String> {
    ids.split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect()
}

/// Returns the ARN of a queue with this URL, which is in the region and partition of a function.
pub(crate) fn queue_arn(url: &str, function_arn: &str) -> Option<String> {
    let function = FunctionArn::parse(function_arn).ok()?;
    let partition = function_arn.split(':').nth(1)?;
    let mut path = url.trim_end_matches('/').rsplit('/');
    let name = path.next().filter(|name| !name.is_empty())?;
    let account =
        path.next().filter(|account| account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some(format!("arn:{partition}:sqs:{}:{account}:{name}", function.region))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queues_arn_follows_from_its_url_and_the_functions_region() {
        let function = "arn:aws-cn:lambda:cn-north-1:123456789012:function:ingest";
        let arn = queue_arn("https://sqs.cn-north-1.amazonaws.com.cn/210987654321/receipts", function);
        assert_eq!(arn.as_deref(), Some("arn:aws-cn:sqs:cn-north-1:210987654321:receipts"));
        assert_eq!(queue_arn("https://example.com/receipts", function), None);
    }
}
