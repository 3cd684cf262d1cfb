//! Ctrl-C and SIGTERM: the first ends a run in order, the second ends the process.

use anyhow::{Context as _, Result, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

use crate::output::{Output, confirm};

/// Tells whether the run is to end.
#[derive(Debug, Clone)]
pub(crate) struct Stop(watch::Receiver<u8>);

impl Stop {
    /// Listens from now on: the signals no longer end the process.
    pub(crate) fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen to signals");
        let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        let (sender, receiver) = watch::channel(0_u8);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                sender.send_modify(|signals| *signals = signals.saturating_add(1));
            }
        });
        Ok(Self(receiver))
    }

    /// Returns whether there was a signal.
    pub(crate) fn is_requested(&self) -> bool {
        *self.0.borrow() > 0
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
        let mut receiver = self.0.clone();
        if receiver.wait_for(|seen| *seen >= signals).await.is_err() {
            // The listener is gone, so there will be no signal.
            std::future::pending::<()>().await;
        }
    }
}
