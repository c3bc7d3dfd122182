//! Writing what the node says of itself to where the plan comes from.

mod api;
mod folder;
mod pace;

use std::time::Duration;

use lvs_core::names::NodeName;
use lvs_core::node_report::NodeReport;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::plan_source::Source;
use crate::plan_source::seen::Seen;
use pace::Pace;

/// After a failure the next try comes after this, then after twice as long, up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest wait after a failure.
const LONGEST: Duration = Duration::from_secs(30);
/// Where nothing happens, what is written is compared this often with what should be.
const COMPARE: Duration = Duration::from_mins(1);

/// Where reports go.
pub enum Sink {
    /// Into the status of the node's objects.
    Api(api::Sink),
    /// Into a file of the folder.
    Folder(folder::Sink),
    /// Nowhere: the plan comes from a file.
    None,
}

impl Sink {
    /// Where the reports on plans of a source go.
    #[must_use]
    pub fn of(source: &Source, node: &NodeName) -> Self {
        match source {
            Source::Api(clients) => Self::Api(api::Sink::new(clients.unary.clone(), node)),
            Source::Folder(folder) => Self::Folder(folder::Sink::new(folder, node)),
            Source::File(_) | Source::Given(_) => Self::None,
        }
    }

    /// Writes what differs from what is there. Whether anything did.
    async fn write(&mut self, seen: &Seen, report: &NodeReport) -> anyhow::Result<bool> {
        match self {
            Self::Api(sink) => sink.write(seen, report).await,
            Self::Folder(sink) => sink.write(seen, report),
            Self::None => Ok(false),
        }
    }
}

/// Writes each report, the latest where they come faster than they may be written. Without a NodePlan there is nothing
/// to report on, and nothing is written.
pub async fn write(
    mut sink: Sink,
    mut seen: watch::Receiver<Option<Seen>>,
    mut reports: watch::Receiver<Option<NodeReport>>,
) {
    let started = Instant::now();
    let mut pace = Pace::new(Duration::ZERO);
    let mut wait_after_failure = SHORTEST;
    loop {
        if let Some(wait) = pace.wait(started.elapsed()) {
            tokio::time::sleep(wait).await;
            continue;
        }
        let now = seen.borrow_and_update().clone();
        let report = reports.borrow_and_update().clone();
        if let (Some(now), Some(report)) = (now.filter(|now| now.node_plan.is_some()), report) {
            match sink.write(&now, &report).await {
                Ok(written) => {
                    wait_after_failure = SHORTEST;
                    if written {
                        pace.spend(started.elapsed());
                    }
                }
                Err(error) => {
                    tracing::warn!("the report cannot be written: {error:#}");
                    tokio::time::sleep(wait_after_failure).await;
                    wait_after_failure = (2 * wait_after_failure).min(LONGEST);
                    continue;
                }
            }
        }
        tokio::select! {
            changed = seen.changed() => if changed.is_err() { return },
            changed = reports.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(COMPARE) => {}
        }
    }
}
