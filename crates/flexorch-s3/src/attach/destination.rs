//! The function or queue that is told, and whether it lets S3 in.

use anyhow::{Context as _, Result, anyhow, bail};
use aws_config::{Region, SdkConfig};
use aws_sdk_sqs::types::QueueAttributeName;

use super::super::arn::Arn;
use super::super::aws_failure::{AwsFailure, if_there};
use super::super::context::Context;
use super::super::notification::{self, Policy, Service, Visitor, own_statement_id};
use super::super::table::shown;
use super::bucket::Bucket;

/// A function or a queue. Whether it is there is for `access` to say.
pub(super) struct Destination {
    /// What it is.
    pub service: Service,
    /// Its ARN, with a function's alias or version.
    pub arn: String,
    region: String,
    account: String,
    /// A queue's name; `function:NAME`, with an alias or a version where it has one.
    resource: String,
    lambda: aws_sdk_lambda::Client,
    sqs: aws_sdk_sqs::Client,
}

/// What lets others in.
pub(super) struct Access {
    /// The policy.
    pub policy: Policy,
    queue_url: String,
    kms_key: Option<String>,
}

impl Destination {
    /// The one that was named, if one was.
    ///
    /// # Errors
    /// As [`Destination::named`].
    pub(super) async fn either(
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

    /// A destination by its ARN, a function's name or a queue's URL, where it can be told by this bucket.
    ///
    /// # Errors
    /// Where the name means nothing, or S3 could not tell it.
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
                "the {} is in {region}, but bucket {:?} is in {}: S3 tells only of what is in its own region. Deploy there, or let \
                 EventBridge carry the events over (--eventbridge)",
                service.name(),
                bucket.name,
                bucket.region
            );
        }
        if service == Service::Queue && arn.ends_with(".fifo") {
            bail!("{arn} is a FIFO queue, which S3 cannot tell: take a standard queue, or EventBridge (--eventbridge)");
        }
        Ok(destination)
    }

    /// A destination by its ARN.
    ///
    /// # Errors
    /// Where it is no ARN of this service.
    pub(super) async fn from_arn(service: Service, arn: &str, context: &Context) -> Result<Self> {
        let (prefix, form) = match service {
            Service::Queue => ("sqs", "arn:aws:sqs:REGION:ACCOUNT:NAME"),
            _ => ("lambda", "arn:aws:lambda:REGION:ACCOUNT:function:NAME"),
        };
        let parts = Arn::parse(arn)
            .filter(|parts| parts.service == prefix && !parts.region.is_empty() && !parts.account.is_empty())
            .filter(|parts| service == Service::Queue || parts.resource.starts_with("function:"))
            .ok_or_else(|| anyhow!("{:?} is no {}'s ARN, which has the form {form}", shown(arn), service.name()))?;
        let sdk = in_region(context.aws().await?, parts.region);
        let (lambda, sqs) = (aws_sdk_lambda::Client::new(&sdk), aws_sdk_sqs::Client::new(&sdk));
        let [region, account, resource] = [parts.region, parts.account, parts.resource].map(str::to_owned);
        Ok(Self { service, arn: arn.to_owned(), region, account, resource, lambda, sqs })
    }

    /// As notifications name it.
    pub(super) fn told(&self) -> notification::Destination {
        notification::Destination { service: self.service, arn: self.arn.clone() }
    }

    /// S3, as it comes here from the bucket. Its account is taken to be the destination's own.
    pub(super) fn visitor(&self, bucket: &Bucket) -> Visitor {
        Visitor {
            service: "s3.amazonaws.com",
            source: bucket.arn(),
            account: Some(self.account.clone()),
            action: if self.service == Service::Queue { "sqs:SendMessage" } else { "lambda:InvokeFunction" },
            resource: self.arn.clone(),
        }
    }

    /// Who is let in; `None` where there is no such function or queue.
    ///
    /// # Errors
    /// What AWS said, and the permission that it takes.
    pub(super) async fn access(&self) -> Result<Option<Access>> {
        match self.service {
            Service::Queue => self.queue_access().await,
            _ => self.function_access().await,
        }
    }

    async fn function_access(&self) -> Result<Option<Access>> {
        let (function, qualifier) = self.function();
        let answer = self.lambda.get_policy().function_name(&function).set_qualifier(qualifier.clone()).send().await;
        let answer = answer.map_err(|error| AwsFailure::new(&error, "lambda:GetPolicy", &self.arn));
        let text = match if_there(answer)? {
            Some(answer) => answer.policy().unwrap_or_default().to_owned(),
            // A function without a policy and no function at all are told apart by nothing else.
            None => {
                let request = self.lambda.get_function_configuration().function_name(&function);
                let answer = request.set_qualifier(qualifier).send().await;
                let action = "lambda:GetFunctionConfiguration";
                if if_there(answer.map_err(|error| AwsFailure::new(&error, action, &self.arn)))?.is_none() {
                    return Ok(None);
                }
                String::new()
            }
        };
        Ok(Some(Access { policy: self.parse(&text)?, queue_url: String::new(), kms_key: None }))
    }

    async fn queue_access(&self) -> Result<Option<Access>> {
        let (name, account) = (&self.resource, &self.account);
        let found = self.sqs.get_queue_url().queue_name(name).queue_owner_aws_account_id(account).send().await;
        let found = found.map_err(|error| AwsFailure::new(&error, "sqs:GetQueueUrl", &self.arn));
        let Some(found) = if_there(found)? else { return Ok(None) };
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
        Policy::parse(policy).map_err(|why| anyhow!("{}: {}", self.arn, shown(&why)))
    }

    /// Lets the visitor in, under a statement id of its own.
    ///
    /// # Errors
    /// What AWS said, and the permission that it takes.
    pub(super) async fn grant(&self, visitor: &Visitor) -> Result<()> {
        let id = own_statement_id(visitor);
        // Read afresh: what others added since must not be lost.
        let access = self.access().await?.with_context(|| format!("{} is gone", self.arn))?;
        if self.service == Service::Queue {
            return self.set_policy(&access.queue_url, &access.policy.with(&id, visitor)?).await;
        }
        if access.policy.has(&id) {
            self.revoke(&id).await?;
        }
        let (function, qualifier) = self.function();
        let request = self
            .lambda
            .add_permission()
            .function_name(function)
            .set_qualifier(qualifier)
            .statement_id(id)
            .action(visitor.action)
            .principal(visitor.service)
            .source_arn(&visitor.source)
            .set_source_account(visitor.account.clone());
        request.send().await.map_err(|error| AwsFailure::new(&error, "lambda:AddPermission", &self.arn))?;
        Ok(())
    }

    /// Takes a statement away; fine where it is gone.
    ///
    /// # Errors
    /// What AWS said, and the permission that it takes.
    pub(super) async fn revoke(&self, id: &str) -> Result<()> {
        if self.service == Service::Queue {
            return match self.access().await? {
                Some(access) if access.policy.has(id) => {
                    self.set_policy(&access.queue_url, &access.policy.without(id)).await
                }
                _ => Ok(()),
            };
        }
        let (function, qualifier) = self.function();
        let request = self.lambda.remove_permission().function_name(function).set_qualifier(qualifier).statement_id(id);
        let answer = request.send().await;
        if_there(answer.map_err(|error| AwsFailure::new(&error, "lambda:RemovePermission", &self.arn)))?;
        Ok(())
    }

    async fn set_policy(&self, url: &str, policy: &Policy) -> Result<()> {
        let request =
            self.sqs.set_queue_attributes().queue_url(url).attributes(QueueAttributeName::Policy, policy.to_text()?);
        request.send().await.map_err(|error| AwsFailure::new(&error, "sqs:SetQueueAttributes", &self.arn))?;
        Ok(())
    }

    /// The function's ARN without its alias or version, and that.
    fn function(&self) -> (String, Option<String>) {
        let mut resource = self.resource.splitn(3, ':').skip(2);
        match resource.next() {
            Some(qualifier) => (
                self.arn.strip_suffix(&format!(":{qualifier}")).unwrap_or(&self.arn).to_owned(),
                Some(qualifier.to_owned()),
            ),
            None => (self.arn.clone(), None),
        }
    }
}

impl Access {
    /// What is to be seen to where the queue is encrypted with a KMS key (S3 User Guide, "Granting permissions to publish event
    /// notification messages to a destination").
    pub(super) fn key_note(&self) -> Option<String> {
        let key = self.kms_key.as_deref()?;
        Some(match key.ends_with("alias/aws/sqs") {
            true => format!(
                "the queue is encrypted with {key}, AWS's own key for SQS, which lets no S3 in: take SSE-SQS or a key of yours"
            ),
            false => format!(
                "the queue is encrypted with the KMS key {}: its key policy must allow s3.amazonaws.com kms:GenerateDataKey and kms:Decrypt",
                shown(key)
            ),
        })
    }
}

async fn arn_of_function(name: &str, bucket: &Bucket, context: &Context) -> Result<String> {
    let lambda = aws_sdk_lambda::Client::new(&in_region(context.aws().await?, &bucket.region));
    let answer = lambda.get_function_configuration().function_name(name).send().await;
    let answer = answer.map_err(|error| AwsFailure::new(&error, "lambda:GetFunctionConfiguration", name))?;
    answer.function_arn().map(str::to_owned).with_context(|| format!("Lambda gives no ARN for {name:?}"))
}

async fn arn_of_queue(url: &str, bucket: &Bucket, context: &Context) -> Result<String> {
    if !url.starts_with("http") {
        bail!("--queue is {url:?}, but must be the queue's ARN or URL");
    }
    let sqs = aws_sdk_sqs::Client::new(&in_region(context.aws().await?, &bucket.region));
    let answer = sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::QueueArn).send().await;
    let answer = answer.map_err(|error| AwsFailure::new(&error, "sqs:GetQueueAttributes", url))?;
    let arn = answer.attributes().and_then(|all| all.get(&QueueAttributeName::QueueArn));
    arn.cloned().with_context(|| format!("SQS gives no ARN for {url}"))
}

fn in_region(sdk: &SdkConfig, region: &str) -> SdkConfig {
    sdk.to_builder().region(Region::new(region.to_owned())).build()
}
