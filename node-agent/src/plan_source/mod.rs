//! Where the plan comes from: an API server, a folder that stands in for one, or a file.

pub mod api;
pub mod folder;
pub mod mirror;
pub mod once;
pub mod seen;
pub mod text;

use std::path::{Path, PathBuf};

use lvs_core::names::NodeName;
use lvs_core::node_plan::NodePlan;
use tokio::sync::watch;

use crate::arguments::{NodeChoice, PlanOrigin};
use crate::memory;
use api::Clients;
use seen::Seen;

/// A plan source that can be followed.
pub enum Source {
    /// An API server.
    Api(Clients),
    /// A folder.
    Folder(PathBuf),
    /// A file, which is read again when it changes.
    File(PathBuf),
    /// What stood on standard input.
    Given(Box<Seen>),
}

impl Source {
    /// The source that the command line names, and the node whose plan it is to show.
    ///
    /// # Errors
    /// Where there is no such source. That it does not answer yet is no error.
    pub async fn open(origin: &PlanOrigin, choice: &NodeChoice) -> anyhow::Result<(Self, NodeName)> {
        if let Some(file) = &origin.plan {
            let (node, seen) = once::from_file(file, choice, None)?;
            once::require_this_host(origin, choice, &node)?;
            let given = file == Path::new("-");
            return Ok((if given { Self::Given(Box::new(seen)) } else { Self::File(file.clone()) }, node));
        }
        let node = choice.named_or_host()?;
        match &origin.folder {
            Some(folder) => {
                folder::require(folder)?;
                Ok((Self::Folder(folder.clone()), node))
            }
            None => Ok((Self::Api(Clients::infer().await?), node)),
        }
    }

    /// Follows the node's objects from now on; the channel holds `None` until the source has spoken.
    #[must_use]
    pub fn follow(&self, node: NodeName) -> watch::Receiver<Option<Seen>> {
        let (sender, receiver) = watch::channel(None);
        match self {
            Self::Api(clients) => drop(tokio::spawn(api::follow(clients.clone(), node, sender))),
            Self::Folder(folder) => drop(tokio::spawn(folder::follow(folder.clone(), node, sender))),
            Self::File(file) => drop(tokio::spawn(folder::follow_file(file.clone(), None, node, sender))),
            Self::Given(seen) => drop(sender.send_replace(Some((**seen).clone()))),
        }
        receiver
    }
}

/// The plans that the seen objects make, one after another, each handed to `take`; returns when `take` says so or
/// nobody shows anything any more.
///
/// A plan of several objects is written one by one, so that for a moment they do not fit together. That moment is waited
/// for; what stays incomplete is handed on as that, so that it is reported.
pub async fn plans(mut seen: watch::Receiver<Option<Seen>>, mut take: impl FnMut(NodePlan) -> bool) {
    let mut patient_until = None;
    loop {
        let plan = seen.borrow_and_update().as_ref().and_then(Seen::plan);
        if let Some((plan, faults)) = plan {
            let now = tokio::time::Instant::now();
            let until = *patient_until.get_or_insert(now + INCOMPLETE);
            if !plan.complete && now < until {
                match tokio::time::timeout_at(until, seen.changed()).await {
                    Ok(Err(_)) => return,
                    Ok(Ok(())) | Err(_) => continue,
                }
            }
            for fault in faults {
                tracing::error!("the plan is incomplete, so that nothing is removed: {fault}");
            }
            if !take(plan) {
                return;
            }
            memory::give_back();
        }
        patient_until = None;
        if seen.changed().await.is_err() {
            return;
        }
    }
}

/// How long the objects of a plan may take to fit together.
const INCOMPLETE: std::time::Duration = std::time::Duration::from_secs(2);

#[cfg(test)]
mod tests;
