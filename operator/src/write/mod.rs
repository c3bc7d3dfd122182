//! The only writer. It takes changes as they were decided and decides nothing but the order and the pace.

pub(crate) mod api;
mod events;
pub(crate) mod folder;
mod publish;
mod retry;

use std::collections::{BTreeMap, BTreeSet};

use lvs_core::names::{GroupName, ServiceName};
use lvs_core::time::Monotonic;
use lvs_crds::{DirectorGroup, NodePlan, NodePlanSlice, VirtualService};

use crate::authority::Authority;
use crate::change::Change;
use crate::clock;
use crate::observe::api::lenient::Lenient;
use crate::pace::Pace;
use api::ApiWriter;
use folder::FolderWriter;
use retry::Retries;

/// A status that changes again and again is written so often at once, and then once per period in milliseconds.
const STATUS_BURST: u64 = 5;
const STATUS_PERIOD: u64 = 1000;

/// The writer.
#[derive(Debug)]
pub(crate) struct Write {
    place: Place,
    pace: Pace<Paced>,
    retries: Retries,
}

/// Where to write.
#[derive(Debug)]
pub(crate) enum Place {
    /// An API server.
    Api(Box<ApiWriter>),
    /// A folder.
    Folder(FolderWriter),
}

/// What is written at a pace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Paced {
    Service(ServiceName),
    Group(GroupName),
}

/// What became of some changes.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Changes that were written.
    pub(crate) written: u64,
    /// Changes that could not be written, with the reason.
    pub(crate) failed: Vec<(String, String)>,
    /// What was not written because the right to write was lost.
    pub(crate) skipped: BTreeSet<String>,
    /// What was written whole.
    pub(crate) done: BTreeSet<String>,
    /// When what had to wait, or failed, may be written.
    pub(crate) again: Option<Monotonic>,
    /// The objects as they are stored now.
    pub(crate) objects: Vec<Written>,
}

/// An object as the API server handed it back.
#[derive(Clone, Debug)]
pub(crate) enum Written {
    /// A plan.
    Plan(NodePlan),
    /// A slice.
    Slice(NodePlanSlice),
    /// A plan that was deleted.
    PlanGone(String),
    /// A slice that was deleted.
    SliceGone(String),
    /// A service's status.
    Service(Lenient<VirtualService>),
    /// A group's status.
    Group(Lenient<DirectorGroup>),
}

impl Write {
    /// A writer to a place.
    pub(crate) fn new(place: Place) -> Self {
        Self { place, pace: Pace::new(STATUS_BURST, STATUS_PERIOD), retries: Retries::default() }
    }

    /// Writes what may be written now. One that fails does not keep the others from being written.
    pub(crate) async fn apply(&mut self, changes: &[Change], authority: &Authority) -> Outcome {
        let now = clock::monotonic();
        let mut outcome = Outcome::default();
        let mut due = Vec::new();
        for change in changes {
            match self.may(change, now) {
                Ok(()) => due.push(change),
                Err(at) => outcome.wait_until(at),
            }
        }
        match &mut self.place {
            Place::Api(api) => api.apply(&due, authority, &mut outcome).await,
            Place::Folder(folder) => folder.apply(&due, &mut outcome),
        }
        self.note(&due, &mut outcome);
        outcome
    }

    fn may(&mut self, change: &Change, now: Monotonic) -> Result<(), Monotonic> {
        self.retries.may(&change.to_string(), now)?;
        paced(change).map_or(Ok(()), |object| self.pace.take(object, now))
    }

    fn note(&mut self, due: &[&Change], outcome: &mut Outcome) {
        let failed: BTreeMap<String, String> = outcome.failed.iter().cloned().collect();
        let written = |what: &String| !failed.contains_key(what) && !outcome.skipped.contains(what);
        outcome.done = due.iter().map(ToString::to_string).filter(written).collect();
        for what in &outcome.done {
            self.retries.succeeded(what);
        }
        for (what, error) in failed {
            let (again, new) = self.retries.failed(what.clone(), error.clone(), clock::monotonic());
            outcome.wait_until(again);
            if new {
                tracing::warn!("cannot write {what}: {error}");
            } else {
                tracing::debug!("still cannot write {what}: {error}");
            }
        }
    }
}

impl Outcome {
    fn wait_until(&mut self, at: Monotonic) {
        self.again = Some(self.again.map_or(at, |earlier| earlier.min(at)));
    }
}

fn paced(change: &Change) -> Option<Paced> {
    match change {
        Change::ServiceStatus(change) => Some(Paced::Service(change.name.clone())),
        Change::GroupStatus { name, .. } => Some(Paced::Group(name.clone())),
        _ => None,
    }
}
