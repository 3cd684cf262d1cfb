//! The sandbox as a command: it runs until it is interrupted.

use anyhow::{Context, Result};
use serde_json::json;

use super::EXIT_OK;
use super::args::SandboxCommand;
use super::context::Context as Options;
use super::interruption::Interruption;
use super::sandbox::secrets_manager::SecretsManagerOptions;
use super::sandbox::{Sandbox, SandboxOptions};

/// Runs the sandbox until Ctrl-C or SIGTERM.
pub(super) async fn run(command: SandboxCommand, options: &Options) -> Result<u8> {
    // Before anything is printed: whoever reads the base URL may end the program at once.
    let mut interruption = Interruption::listen()?;
    let mut secrets = Vec::new();
    for (name, file) in command.secrets {
        let json = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read the secret's file {}", file.display()))?;
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
        latency: command.latency,
        faults: command.faults,
        seed: command.seed,
        secrets_manager: command.secrets_manager.map(|port| SecretsManagerOptions { port, secrets }),
    };
    let sandbox = Sandbox::start(options).await.context("the sandbox cannot start")?;
    let secrets_manager = sandbox.secrets_manager().map(|secrets| secrets.endpoint_url());
    // The base URL first and alone on its line: scripts read it from there.
    output.line(sandbox.base_url())?;
    output.line(format_args!("admin: {} (requests, faults, state)", sandbox.admin_url()))?;
    if let Some(url) = &secrets_manager {
        output.line(format_args!("AWS_ENDPOINT_URL_SECRETS_MANAGER={url}"))?;
    }
    output.line("Any key that starts with dfx_ is a tenant. Ctrl-C stops it.")?;
    output.document(&json!({
        "base_url": sandbox.base_url(),
        "admin_url": sandbox.admin_url(),
        "secrets_manager_url": secrets_manager,
    }))?;
    interruption.next().await;
    sandbox.shutdown().await;
    Ok(EXIT_OK)
}
