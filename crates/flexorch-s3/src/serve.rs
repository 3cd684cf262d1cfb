//! `flexorch-s3 sandbox`: runs the sandbox until it is interrupted.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde::de::IgnoredAny;
use serde_json::{Map, json};

use crate::args::SandboxCommand;
use crate::context::Context as Options;
use crate::exit::Exit;
use crate::input;
use crate::text::escaped;
use flexorch_sandbox::buckets::Buckets;
use flexorch_sandbox::dynamodb::DynamoDb;
use flexorch_sandbox::eventbridge::EventBridge;
use flexorch_sandbox::queues::Queues;
use flexorch_sandbox::secrets_manager::SecretsManager;
use flexorch_sandbox::services::REGION;
use flexorch_sandbox::{Sandbox, SandboxError, SandboxOptions, WebhookOptions};

/// Runs the sandbox until Ctrl-C or SIGTERM.
pub(crate) async fn run(command: SandboxCommand, options: &Options) -> Result<Exit> {
    // Before the base URL is printed: its reader may stop the program immediately.
    let stop = options.stop();
    let mut secrets = Vec::new();
    for (name, file) in command.secrets {
        let json = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read the secret from {}", file.display()))?;
        // Served nevertheless: what happens to a malformed secret may be what is rehearsed.
        if let Err(error) = input::parse::<IgnoredAny>(&json, &file.display().to_string(), "JSON") {
            options.output.progress(format_args!("{}, and is served unchanged", escaped(&error.to_string())));
        }
        secrets.push((name, json));
    }
    let output = options.output;
    let options = SandboxOptions {
        port: command.port,
        plan: command.plan,
        requests_per_minute: (!command.unlimited).then_some(command.requests_per_minute),
        monthly_credits: command.credits,
        max_keys_per_request: command.max_keys,
        open_connectors: !command.strict_connectors,
        job_time: command.job_seconds.map(Duration::from_secs),
        recognize_documents: !command.changed_content,
        webhooks: WebhookOptions {
            secrets: command.webhook_secrets,
            lose: command.lose_webhooks,
            ..WebhookOptions::default()
        },
        latency: command.latency,
        faults: command.faults.into_iter().chain(command.failing_jobs).collect(),
        seed: command.seed,
    };
    let sandbox = Sandbox::start(options).await.context("cannot start the sandbox")?;
    let secrets_manager = start(command.secrets_manager, "Secrets Manager", SecretsManager::start).await?;
    if let Some(secrets_manager) = &secrets_manager {
        secrets.into_iter().for_each(|(name, json)| secrets_manager.put(name, json));
    }
    let s3 = start(command.s3, "S3", Buckets::start).await?;
    for (s3, bucket) in s3.iter().flat_map(|s3| command.buckets.iter().map(move |bucket| (s3, bucket))) {
        let (now, objects) = (SystemTime::now(), 1..=command.objects);
        s3.create(bucket, REGION);
        s3.put_many(bucket, objects.map(|number| (format!("invoices/{number:06}.pdf"), 24_576, now)));
    }
    let sqs = start(command.sqs, "SQS", Queues::start).await?;
    let queues: Vec<_> = sqs.iter().flat_map(|sqs| command.queues.iter().map(|name| sqs.create(name))).collect();
    let dynamodb = start(command.dynamodb, "DynamoDB", DynamoDb::start).await?;
    for (dynamodb, table) in dynamodb.iter().flat_map(|db| command.records_tables.iter().map(move |table| (db, table)))
    {
        dynamodb.create_records_table(table).with_context(|| format!("cannot create the table {table}"))?;
    }
    let eventbridge = start(command.eventbridge, "EventBridge", EventBridge::start).await?;
    let endpoints = [
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", secrets_manager.as_ref().map(SecretsManager::endpoint_url)),
        ("AWS_ENDPOINT_URL_S3", s3.as_ref().map(Buckets::endpoint_url)),
        ("AWS_ENDPOINT_URL_SQS", sqs.as_ref().map(Queues::endpoint_url)),
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.as_ref().map(DynamoDb::endpoint_url)),
        ("AWS_ENDPOINT_URL_EVENTBRIDGE", eventbridge.as_ref().map(EventBridge::endpoint_url)),
    ];
    // Scripts read the base URL from the first line.
    output.line(sandbox.base_url())?;
    output.line(format_args!("admin: {} (requests, faults, jobs, deliveries, state)", sandbox.admin_url()))?;
    for (variable, url) in &endpoints {
        if let Some(url) = url {
            output.line(format_args!("{variable}={url}"))?;
        }
    }
    for queue in &queues {
        output.line(format_args!("queue: {queue}"))?;
    }
    output.line("Any API key that starts with dfx_ is accepted, each as a tenant of its own. Press Ctrl-C to stop.")?;
    let environment: Map<_, _> =
        endpoints.into_iter().filter_map(|(variable, url)| Some((variable.to_owned(), url?.into()))).collect();
    output.document(&json!({
        "base_url": sandbox.base_url(),
        "admin_url": sandbox.admin_url(),
        "environment": environment,
        "queues": queues,
    }))?;
    stop.requested().await;
    sandbox.shutdown().await;
    Ok(Exit::Success)
}

/// Starts a service of the sandbox, if it has a port.
async fn start<S>(
    port: Option<u16>,
    name: &str,
    start: impl AsyncFnOnce(u16) -> Result<S, SandboxError>,
) -> Result<Option<S>> {
    match port {
        Some(port) => start(port).await.map(Some).with_context(|| format!("cannot start the sandbox's {name}")),
        None => Ok(None),
    }
}
