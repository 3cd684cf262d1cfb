//! The sandbox as a command: it runs until it is interrupted.

use std::io::Write;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::EXIT_OK;
use super::args::SandboxCommand;
use super::sandbox::secrets_manager::SecretsManagerOptions;
use super::sandbox::{Sandbox, SandboxOptions};

/// Runs the sandbox until Ctrl-C or SIGTERM.
pub(super) async fn run(command: SandboxCommand) -> Result<u8> {
    // Before anything is printed: whoever reads the base URL may end the program at once.
    let interruption = Interruption::listen().context("signals cannot be listened to")?;
    let mut secrets = Vec::new();
    for (name, file) in command.secrets {
        let json = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read the secret's file {}", file.display()))?;
        secrets.push((name, json));
    }
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
    let mut out = std::io::stdout();
    // The base URL first and alone on its line: scripts read it from there.
    writeln!(out, "{}", sandbox.base_url())?;
    writeln!(out, "admin: {} (requests, faults, state)", sandbox.admin_url())?;
    if let Some(secrets) = sandbox.secrets_manager() {
        writeln!(out, "AWS_ENDPOINT_URL_SECRETS_MANAGER={}", secrets.endpoint_url())?;
    }
    writeln!(out, "Any key that starts with dfx_ is a tenant. Ctrl-C stops it.")?;
    out.flush()?;
    interruption.wait().await;
    sandbox.shutdown().await;
    Ok(EXIT_OK)
}

/// Ctrl-C and SIGTERM, listened to from the moment it is made.
struct Interruption {
    interrupt: Signal,
    terminate: Signal,
}

impl Interruption {
    fn listen() -> Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn wait(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
