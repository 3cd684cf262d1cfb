//! A deployed function as commands need it: its settings, the queues that it reads, and the functions that read a queue.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Result, bail};
use aws_config::SdkConfig;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::types::{EnvironmentError, EventSourceMappingConfiguration};

use crate::aws_failure::AwsFailure;
use crate::region::in_region;
use crate::text::escaped;
use flexorch_s3_ingester::model::arn::{QueueArn, region_of};

/// A function's configuration in Lambda.
#[derive(Debug)]
pub(crate) struct Deployed {
    pub(crate) client: Client,
    /// The name or ARN by which it was read.
    typed: String,
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) timeout: Option<Duration>,
    variables: HashMap<String, String>,
    /// Why Lambda does not return the variables.
    pub(crate) hidden: Option<EnvironmentError>,
}

impl Deployed {
    /// Reads a function by its name or ARN.
    pub(crate) async fn read(sdk: &SdkConfig, name: &str) -> Result<Self, AwsFailure> {
        let client = Client::new(&in_region(sdk, region_of(name)));
        let found = client.get_function_configuration().function_name(name).send().await;
        let found = found.map_err(|error| AwsFailure::new(&error, "lambda:GetFunctionConfiguration", escaped(name)))?;
        let (variables, hidden) =
            found.environment.map(|environment| (environment.variables, environment.error)).unwrap_or_default();
        Ok(Self {
            client,
            typed: name.to_owned(),
            name: found.function_name.unwrap_or_else(|| name.to_owned()),
            arn: found.function_arn.unwrap_or_default(),
            timeout: found.timeout.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs),
            variables: variables.unwrap_or_default(),
            hidden,
        })
    }

    /// Returns it if Lambda returns its variables. `instead` ends the error, such as `: name the queue with --queue`.
    pub(crate) fn visible(self, instead: &str) -> Result<Self> {
        if let Some(error) = &self.hidden {
            let code = error.error_code().unwrap_or("no code");
            bail!("Lambda does not return the variables of function {} ({code}){instead}", escaped(&self.typed));
        }
        Ok(self)
    }

    /// Returns a variable without white space around it, unless it is empty.
    pub(crate) fn setting(&self, variable: &str) -> Option<&str> {
        self.variables.get(variable).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// Returns the ARNs of the queues that it reads.
    pub(crate) async fn queues(&self) -> Result<Vec<String>, AwsFailure> {
        let request = self.client.list_event_source_mappings().function_name(&self.typed);
        let mappings = mappings(request, &escaped(&self.typed)).await?;
        let arns = mappings.into_iter().filter_map(|mapping| mapping.event_source_arn);
        Ok(arns.filter(|arn| QueueArn::parse(arn).is_ok()).collect())
    }

    /// Returns the ARNs of the functions that read a queue.
    pub(crate) async fn readers_of(&self, queue: &str) -> Result<Vec<String>, AwsFailure> {
        let request = self.client.list_event_source_mappings().event_source_arn(queue);
        Ok(mappings(request, queue).await?.into_iter().filter_map(|mapping| mapping.function_arn).collect())
    }
}

async fn mappings(
    request: aws_sdk_lambda::operation::list_event_source_mappings::builders::ListEventSourceMappingsFluentBuilder,
    resource: &str,
) -> Result<Vec<EventSourceMappingConfiguration>, AwsFailure> {
    let mappings: Result<Vec<_>, _> = request.into_paginator().items().send().collect().await;
    mappings.map_err(|error| AwsFailure::new(&error, "lambda:ListEventSourceMappings", resource))
}
