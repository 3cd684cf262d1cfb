//! What a function's settings and triggers lead to: the receipts queue, the outcomes function that reads it, and that function's table.

use anyhow::{Result, anyhow};
use aws_config::SdkConfig;

use crate::aws_failure::{AwsFailure, optional};
use crate::deployed::Deployed;
use crate::text::escaped;
use flexorch_outcomes::config::variable::{RECORDS_TABLE, WEBHOOK_SECRET_ID};
use flexorch_s3_ingester::model::arn::{FunctionArn, region_of};
use flexorch_s3_ingester::model::settings::{CONNECTOR_SECRET_IDS, RECEIPTS_QUEUE_URL};

/// The ingester, if the outcomes function was not named itself, and the outcomes function.
#[derive(Debug)]
pub(crate) struct Chain {
    ingester: Option<Deployed>,
    outcomes: Deployed,
}

impl Chain {
    /// Follows a function: the ingester, or the outcomes function itself.
    pub(crate) async fn follow(sdk: &SdkConfig, name: &str) -> Result<Self> {
        let named = Deployed::read(sdk, name).await?.visible("")?;
        if named.setting(RECORDS_TABLE).is_some() {
            return Ok(Self { ingester: None, outcomes: named });
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
        for arn in named.readers_of(&queue).await? {
            let outcomes = Deployed::read(sdk, &arn).await?.visible("")?;
            if outcomes.setting(RECORDS_TABLE).is_some() {
                return Ok(Self { ingester: Some(named), outcomes });
            }
        }
        Err(anyhow!(
            "no function with {RECORDS_TABLE} reads {queue}, the receipts of {shown}: deploy the template again"
        ))
    }

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
    pub(crate) async fn url(&self) -> Result<Option<String>, AwsFailure> {
        let name = &self.outcomes.name;
        let answer = self.outcomes.client.get_function_url_config().function_name(name).send().await;
        let answer = answer.map_err(|error| AwsFailure::new(&error, "lambda:GetFunctionUrlConfig", name));
        Ok(optional(answer)?.map(|found| found.function_url))
    }

    /// Asks which queues the ingester reads, by their ARNs; none if it is not known.
    pub(crate) async fn ingesters_queues(&self) -> Result<Vec<String>, AwsFailure> {
        match &self.ingester {
            Some(ingester) => ingester.queues().await,
            None => Ok(Vec::new()),
        }
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
