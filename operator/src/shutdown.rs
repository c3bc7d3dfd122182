//! The end of the process: on SIGTERM or SIGINT, and within a deadline whatever else hangs.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// From the signal to the end. Less than any grace period that a pod would be given.
const DEADLINE: Duration = Duration::from_secs(8);

/// Says whether the process is to end.
#[derive(Clone, Debug)]
pub(crate) struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    /// Starts to listen for the signals.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let (sender, receiver) = watch::channel(false);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => tracing::info!("SIGTERM: ends"),
                _ = interrupt.recv() => tracing::info!("SIGINT: ends"),
            }
            sender.send_replace(true);
            // A thread, so that not even a blocked runtime can hold the process up.
            std::thread::spawn(|| {
                std::thread::sleep(DEADLINE);
                tracing::warn!("something hangs: ends without it");
                std::process::exit(0);
            });
            sender.closed().await;
        });
        Ok(Self(receiver))
    }

    /// Whether the process is to end.
    pub(crate) fn requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the process is to end.
    pub(crate) async fn wait(&mut self) {
        // The sender lives until every receiver is gone, so there is no error to meet.
        let _ = self.0.wait_for(|requested| *requested).await;
    }
}
