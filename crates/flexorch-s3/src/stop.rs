//! Ctrl-C and SIGTERM. They end a command, with the exit status of an interruption, unless it ends in order itself: then the first one asks
//! it to, and the second one ends the process.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

use crate::exit::Exit;
use crate::output::{Output, confirm};

/// Tells whether the command is to end.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    signals: watch::Receiver<u8>,
    /// Whether the command ends in order itself.
    in_order: Arc<AtomicBool>,
}

impl Stop {
    /// Listens from now on. Until [`in_order`](Self::in_order), a signal ends the process.
    pub(crate) fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen to signals");
        let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        let (sender, signals) = watch::channel(0_u8);
        let in_order = Arc::new(AtomicBool::new(false));
        let is_in_order = Arc::clone(&in_order);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if !is_in_order.load(Ordering::Relaxed) {
                    // Here, and not where the command runs: it may wait for an answer on the terminal.
                    let _ = writeln!(anstream::stderr().lock(), "\ninterrupted");
                    std::process::exit(Exit::Interrupted as i32);
                }
                sender.send_modify(|signals| *signals = signals.saturating_add(1));
            }
        });
        Ok(Self { signals, in_order })
    }

    /// Has the signals only counted from now on: the command ends in order itself.
    pub(crate) fn in_order(&self) -> &Self {
        self.in_order.store(true, Ordering::Relaxed);
        self
    }

    /// Returns whether there was a signal.
    pub(crate) fn is_requested(&self) -> bool {
        *self.signals.borrow() > 0
    }

    /// Waits for something that may be abandoned. Returns `None` after a signal.
    pub(crate) async fn unless_requested<T>(&self, something: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            result = something => Some(result),
            () = self.requested() => None,
        }
    }

    /// Waits for the first signal.
    pub(crate) async fn requested(&self) {
        self.after(1).await;
    }

    /// Waits for the second signal.
    pub(crate) async fn insisted(&self) {
        self.after(2).await;
    }

    /// Asks as [`confirm`] does, on a separate thread, which ends with the process: Ctrl-C must not wait for an answer. Returns `false` after a
    /// signal.
    pub(crate) async fn confirm(
        &self,
        yes: bool,
        question: String,
        unchanged: &'static str,
        output: Output,
    ) -> Result<bool> {
        let (sender, receiver) = oneshot::channel();
        std::thread::spawn(move || {
            // Nothing receives the answer after a signal.
            let _ = sender.send(confirm(yes, &question, unchanged));
        });
        match self.unless_requested(receiver).await {
            Some(answer) => answer.map_err(|_| anyhow!("cannot ask"))?.map(|()| true),
            None => {
                output.progress(format!("\ninterrupted; {unchanged}"));
                Ok(false)
            }
        }
    }

    /// Waits for so many signals.
    pub(crate) async fn after(&self, signals: u8) {
        let mut receiver = self.signals.clone();
        if receiver.wait_for(|seen| *seen >= signals).await.is_err() {
            // The listener is gone, so there will be no signal.
            std::future::pending::<()>().await;
        }
    }
}
