//! The outputs of a CloudFormation stack.

use std::collections::HashMap;

use aws_config::SdkConfig;

use crate::aws_failure::AwsFailure;
use crate::region::in_region;
use flexorch_s3_ingester::model::arn::region_of;

/// The outputs of a stack, as `template.yaml` names them.
#[derive(Debug, Clone)]
pub(crate) struct Outputs {
    /// The stack, as it was named.
    pub(crate) stack: String,
    values: HashMap<String, String>,
}

pub(crate) mod output {
    pub(crate) const BUCKET_NAME: &str = "BucketName";
    pub(crate) const CONNECTOR_SECRET_ARNS: &str = "ConnectorSecretArns";
    pub(crate) const RECORDS_TABLE: &str = "RecordsTable";
    pub(crate) const RETRY_QUEUE_URL: &str = "RetryQueueUrl";
    pub(crate) const WEBHOOK_SECRET_ARN: &str = "WebhookSecretArn";
    pub(crate) const WEBHOOK_URL: &str = "WebhookUrl";
}

impl Outputs {
    /// Reads the outputs of a stack, which is named by its name or ARN.
    ///
    /// # Errors
    /// If it does not exist, or `cloudformation:DescribeStacks` is missing.
    pub(crate) async fn read(sdk: &SdkConfig, stack: &str) -> Result<Self, AwsFailure> {
        let client = aws_sdk_cloudformation::Client::new(&in_region(sdk, region_of(stack)));
        let answer = client.describe_stacks().stack_name(stack).send().await;
        let answer = answer
            .map_err(|error| AwsFailure::new(&error, "cloudformation:DescribeStacks", format!("stack {stack}")))?;
        let outputs = answer.stacks.unwrap_or_default().into_iter().flat_map(|stack| stack.outputs.unwrap_or_default());
        let values = outputs.filter_map(|output| Some((output.output_key?, output.output_value?)));
        Ok(Self { stack: stack.to_owned(), values: values.collect() })
    }

    /// Returns an output, unless it is missing or empty.
    pub(crate) fn get(&self, output: &str) -> Option<&str> {
        self.values.get(output).map(|value| value.trim()).filter(|value| !value.is_empty())
    }
}
