//! The function or queue to notify, and its policy.

use anyhow::{Context as _, Result, bail};
use aws_sdk_sqs::types::QueueAttributeName;
use wildmatch::WildMatch;

use super::bucket::Bucket;
use crate::aws_failure::{AwsFailure, optional};
use crate::context::Context;
use crate::notification::{self, Grantee, Policy, Service, own_statement_id};
use crate::stack::{self, Owner};
use crate::text::escaped;
use flexorch_s3_ingester::config::Config;
use flexorch_s3_ingester::model::arn::{ArnError, FunctionArn, QueueArn};

/// A function or queue, which may not exist: see [`Destination::access`].
pub(crate) struct Destination {
    pub(crate) service: Service,
    /// Its ARN, with a function's alias or version.
    pub(crate) arn: String,
    region: String,
    account: String,
    lambda: aws_sdk_lambda::Client,
    sqs: aws_sdk_sqs::Client,
}

/// Who may use a destination.
pub(crate) struct Access {
    pub(crate) policy: Policy,
    queue_url: String,
    kms_key: Option<String>,
}

impl Destination {
    pub(crate) async fn either(
        function: Option<&str>,
        queue: Option<&str>,
        bucket: &Bucket,
        context: &Context,
    ) -> Result<Option<Self>> {
        let (service, name) = match (function, queue) {
            (Some(function), _) => (Service::Function, function),
            (None, Some(queue)) => (Service::Queue, queue),
            (None, None) => return Ok(None),
        };
        Self::named(service, name, bucket, context).await.map(Some)
    }

    /// Finds a destination by its ARN, a function's name or a queue's URL.
    ///
    /// # Errors
    /// If there is none of this name, or S3 cannot notify it for this bucket.
    async fn named(service: Service, name: &str, bucket: &Bucket, context: &Context) -> Result<Self> {
        let arn = match service {
            _ if name.starts_with("arn:") => name.to_owned(),
            Service::Queue => arn_of_queue(name, bucket, context).await?,
            _ => arn_of_function(name, bucket, context).await?,
        };
        let destination = Self::from_arn(service, &arn, context).await?;
        let region = &destination.region;
        if *region != bucket.region {
            bail!(
                "the {} is in {region}, but bucket {:?} is in {}: S3 notifies only destinations in the bucket's region. Deploy there, or \
                 forward the events with EventBridge (--eventbridge)",
                service.name(),
                bucket.name,
                bucket.region
            );
        }
        if service == Service::Queue && arn.ends_with(".fifo") {
            bail!(
                "{arn} is a FIFO queue, which S3 cannot notify: use a standard queue, or EventBridge (--eventbridge)"
            );
        }
        Ok(destination)
    }

    pub(crate) async fn from_arn(service: Service, arn: &str, context: &Context) -> Result<Self> {
        let (region, account) = match service {
            Service::Queue => QueueArn::parse(arn).map(|queue| (queue.region, queue.account)),
            _ => FunctionArn::parse(arn).map(|function| (function.region, function.account)),
        }
        .map_err(|error| ArnError { text: escaped(&error.text), ..error })?;
        let sdk = context.aws_in(region).await?;
        let (lambda, sqs) = (aws_sdk_lambda::Client::new(&sdk), aws_sdk_sqs::Client::new(&sdk));
        let [region, account] = [region, account].map(str::to_owned);
        Ok(Self { service, arn: arn.to_owned(), region, account, lambda, sqs })
    }

    /// Returns it as a notification names it.
    pub(crate) fn as_notified(&self) -> notification::Destination {
        notification::Destination { service: self.service, arn: self.arn.clone() }
    }

    /// Returns S3 on behalf of the bucket, whose account is taken to be the destination's.
    pub(crate) fn grantee(&self, bucket: &Bucket) -> Grantee {
        Grantee {
            service: "s3.amazonaws.com",
            source: bucket.arn(),
            account: Some(self.account.clone()),
            action: if self.service == Service::Queue { "sqs:SendMessage" } else { "lambda:InvokeFunction" },
            resource: self.arn.clone(),
        }
    }

    /// Returns the `KEY_EXCLUDES` of the function, or of the one that reads the queue: none if its settings cannot be read, which
    /// `attach` does not need.
    pub(crate) async fn key_excludes(&self) -> Vec<WildMatch> {
        let function = match self.service {
            Service::Queue => self.reader().await.unwrap_or_default(),
            _ => self.arn.clone(),
        };
        let Ok(FunctionArn { unqualified: function, qualifier, .. }) = FunctionArn::parse(&function) else {
            return Vec::new();
        };
        let request = self.lambda.get_function_configuration().function_name(function);
        let answer = request.set_qualifier(qualifier.map(str::to_owned)).send().await;
        let variables = answer.ok().and_then(|answer| answer.environment?.variables).unwrap_or_default();
        let config = Config::from_lookup(|name| Ok(variables.get(name).cloned()));
        config.map(|config| config.scope.key_excludes).unwrap_or_default()
    }

    /// Returns the ARN of the function that reads the queue, if there is one and it can be seen.
    async fn reader(&self) -> Option<String> {
        let answer = self.lambda.list_event_source_mappings().event_source_arn(&self.arn).send().await.ok()?;
        answer.event_source_mappings?.into_iter().find_map(|mapping| mapping.function_arn)
    }

    /// Reads the policy. Returns `None` if there is no such function or queue.
    pub(crate) async fn access(&self) -> Result<Option<Access>> {
        match self.service {
            Service::Queue => self.queue_access().await,
            _ => self.function_access().await,
        }
    }

    async fn function_access(&self) -> Result<Option<Access>> {
        let FunctionArn { unqualified: function, qualifier, .. } = FunctionArn::parse(&self.arn)?;
        let qualifier = qualifier.map(str::to_owned);
        let answer = self.lambda.get_policy().function_name(function).set_qualifier(qualifier.clone()).send().await;
        let answer = answer.map_err(|error| AwsFailure::new(&error, "lambda:GetPolicy", &self.arn));
        let text = match optional(answer)? {
            Some(answer) => answer.policy().unwrap_or_default().to_owned(),
            // Lambda's response is the same for a function without a policy and for no function.
            None => {
                let request = self.lambda.get_function_configuration().function_name(function);
                let answer = request.set_qualifier(qualifier).send().await;
                let action = "lambda:GetFunctionConfiguration";
                if optional(answer.map_err(|error| AwsFailure::new(&error, action, &self.arn)))?.is_none() {
                    return Ok(None);
                }
                String::new()
            }
        };
        Ok(Some(Access { policy: self.parse(&text)?, queue_url: String::new(), kms_key: None }))
    }

    async fn queue_access(&self) -> Result<Option<Access>> {
        let QueueArn { name, account, .. } = QueueArn::parse(&self.arn)?;
        let found = self.sqs.get_queue_url().queue_name(name).queue_owner_aws_account_id(account).send().await;
        let found = found.map_err(|error| AwsFailure::new(&error, "sqs:GetQueueUrl", &self.arn));
        let Some(found) = optional(found)? else { return Ok(None) };
        let url = found.queue_url().unwrap_or_default().to_owned();
        let names = [QueueAttributeName::Policy, QueueAttributeName::KmsMasterKeyId];
        let request = self.sqs.get_queue_attributes().queue_url(&url).set_attribute_names(Some(names.to_vec()));
        let answer =
            request.send().await.map_err(|error| AwsFailure::new(&error, "sqs:GetQueueAttributes", &self.arn))?;
        let value =
            |name| answer.attributes().and_then(|all| all.get(&name)).filter(|value| !value.is_empty()).cloned();
        let text = value(QueueAttributeName::Policy).unwrap_or_default();
        Ok(Some(Access {
            policy: self.parse(&text)?,
            queue_url: url,
            kms_key: value(QueueAttributeName::KmsMasterKeyId),
        }))
    }

    fn parse(&self, policy: &str) -> Result<Policy> {
        Policy::parse(policy).with_context(|| format!("the policy of {} cannot be used", self.arn))
    }

    /// Adds a statement that allows the grantee.
    pub(crate) async fn grant(&self, grantee: &Grantee) -> Result<()> {
        let id = own_statement_id(grantee);
        // Read again, so that statements that others added meanwhile are kept.
        let access = self.access().await?.with_context(|| format!("{} no longer exists", self.arn))?;
        if self.service == Service::Queue {
            return self.set_policy(&access.queue_url, &access.policy.with(&id, grantee)?).await;
        }
        if access.policy.has(&id) {
            self.revoke(&id).await?;
        }
        let FunctionArn { unqualified: function, qualifier, .. } = FunctionArn::parse(&self.arn)?;
        let qualifier = qualifier.map(str::to_owned);
        let request = self
            .lambda
            .add_permission()
            .function_name(function)
            .set_qualifier(qualifier)
            .statement_id(id)
            .action(grantee.action)
            .principal(grantee.service)
            .source_arn(&grantee.source)
            .set_source_account(grantee.account.clone());
        request.send().await.map_err(|error| AwsFailure::new(&error, "lambda:AddPermission", &self.arn))?;
        Ok(())
    }

    /// Removes a statement, if it exists.
    pub(crate) async fn revoke(&self, id: &str) -> Result<()> {
        if self.service == Service::Queue {
            return match self.access().await? {
                Some(access) if access.policy.has(id) => {
                    self.set_policy(&access.queue_url, &access.policy.without(id)).await
                }
                _ => Ok(()),
            };
        }
        let FunctionArn { unqualified: function, qualifier, .. } = FunctionArn::parse(&self.arn)?;
        let qualifier = qualifier.map(str::to_owned);
        let request = self.lambda.remove_permission().function_name(function).set_qualifier(qualifier).statement_id(id);
        let answer = request.send().await;
        optional(answer.map_err(|error| AwsFailure::new(&error, "lambda:RemovePermission", &self.arn)))?;
        Ok(())
    }

    /// Checks whether its policy may be changed here. Returns a warning if that could not be determined.
    ///
    /// # Errors
    /// If a stack owns a queue: the next deployment of its template would undo the change, and uploads would be lost from then on.
    pub(crate) async fn check_owner(&self) -> Result<Option<String>> {
        if self.service != Service::Queue {
            return Ok(None);
        }
        let arn = &self.arn;
        let owner = match self.access().await? {
            Some(access) => stack::of_queue(&self.sqs, &access.queue_url, arn).await,
            None => return Ok(None),
        };
        match owner {
            Ok(Owner::Stack(stack)) => bail!(
                "the policy of {arn} does not allow S3 to send for this bucket, and the queue belongs to stack {stack}, whose next \
                 deployment may undo a change here: set the stack's parameters Trigger and BucketName and run `sam deploy`, or add --force. \
                 Nothing was changed"
            ),
            Ok(_) => Ok(None),
            Err(failure) => Ok(Some(format!(
                "could not check whether a stack owns the queue, which would undo the change of its policy ({failure})"
            ))),
        }
    }

    async fn set_policy(&self, url: &str, policy: &Policy) -> Result<()> {
        let request =
            self.sqs.set_queue_attributes().queue_url(url).attributes(QueueAttributeName::Policy, policy.to_text()?);
        request.send().await.map_err(|error| AwsFailure::new(&error, "sqs:SetQueueAttributes", &self.arn))?;
        Ok(())
    }
}

impl Access {
    /// Returns a warning if the queue is encrypted with a KMS key, whose policy must allow S3 (S3 User Guide, "Granting permissions to
    /// publish event notification messages to a destination").
    pub(crate) fn kms_note(&self) -> Option<String> {
        let key = self.kms_key.as_deref()?;
        Some(match key.ends_with("alias/aws/sqs") {
            true => format!(
                "the queue is encrypted with {key}, the AWS managed key for SQS, which S3 cannot use: use SSE-SQS or your own key"
            ),
            false => format!(
                "the queue is encrypted with the KMS key {}: its key policy must allow s3.amazonaws.com kms:GenerateDataKey and kms:Decrypt",
                escaped(key)
            ),
        })
    }
}

async fn arn_of_function(name: &str, bucket: &Bucket, context: &Context) -> Result<String> {
    let lambda = aws_sdk_lambda::Client::new(&context.aws_in(&bucket.region).await?);
    let answer = lambda.get_function_configuration().function_name(name).send().await;
    let answer = answer.map_err(|error| AwsFailure::new(&error, "lambda:GetFunctionConfiguration", name))?;
    answer.function_arn().map(str::to_owned).with_context(|| format!("Lambda returned no ARN for {name:?}"))
}

async fn arn_of_queue(url: &str, bucket: &Bucket, context: &Context) -> Result<String> {
    if !url.starts_with("http") {
        bail!("--queue {url:?} is not a queue's ARN or URL");
    }
    let sqs = aws_sdk_sqs::Client::new(&context.aws_in(&bucket.region).await?);
    let answer = sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::QueueArn).send().await;
    let answer = answer.map_err(|error| AwsFailure::new(&error, "sqs:GetQueueAttributes", url))?;
    let arn = answer.attributes().and_then(|all| all.get(&QueueAttributeName::QueueArn));
    arn.cloned().with_context(|| format!("SQS returned no ARN for {url}"))
}
