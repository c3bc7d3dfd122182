//! One pass: from what is, by what is wanted, to what is reported.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use lvs_core::kernel::Op;
use lvs_core::local::Probe;
use lvs_core::names::ServiceName;
use lvs_core::neighbour::Flush;
use lvs_core::node_plan::NodePlan;
use lvs_core::time::Monotonic;
use lvs_core::wanted::Failure;

use super::backoff::Backoff;
use super::host::Host;
use super::ledger::Ledger;
use super::look::{News, View};
use super::phase::{Batch, Hands, Progress, Tried};

/// How often one pass looks, acts and probes: operations, then probes, then what the probes allow, and once more for
/// what somebody else changed meanwhile. What is left then waits for the next pass.
const ROUNDS: usize = 4;

/// What makes a node as its plan wants it.
#[derive(Debug)]
pub struct Engine<H> {
    /// The node.
    pub host: H,
    /// What of it is ours.
    pub ledger: Ledger,
    /// Set from outside to end a pass before its next phase.
    pub stop: Arc<AtomicBool>,
    /// The node as it was last seen.
    pub view: View,
    /// Whether `view` can be relied on.
    pub(super) has_view: bool,
    /// That somebody has emptied the IPVS table.
    pub(super) flush: Option<Flush>,
    /// What could not be done so far.
    pub(super) outstanding: Outstanding,
    /// The services of which something has changed in the present pass, where not everything was concluded anew.
    pub(super) concerned: BTreeSet<ServiceName>,
    pub(super) probes: BTreeMap<IpAddr, Probe>,
    backoff: Backoff,
}

/// What could not be done under the present plan.
#[derive(Clone, Debug, Default)]
pub struct Outstanding {
    /// Operations that failed, that wait for their next try, or that were left out because of one of these.
    pub failures: Vec<Failure>,
    /// Operations that succeeded before, were undone by somebody else, and now wait for their next try.
    pub undone: Vec<Op>,
    /// When the first of those that wait is due.
    pub due: Option<Monotonic>,
}

impl Outstanding {
    pub(super) fn wait_until(&mut self, until: Monotonic) {
        self.due = Some(self.due.map_or(until, |due| due.min(until)));
    }
}

/// What came of a pass.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Every operation that was tried.
    pub batches: Vec<Batch>,
    /// What could not be done, this time and before.
    pub outstanding: Outstanding,
    /// The services of which anything can have changed; `None`: everything can have.
    pub concerned: Option<BTreeSet<ServiceName>>,
}

/// Why a pass ended early.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The agent is being stopped.
    #[error("stopped")]
    Stopped,
    /// The kernel could not be read.
    #[error("the kernel cannot be read")]
    Observe(#[source] anyhow::Error),
    /// Custody could not be written, so nothing may be done.
    #[error("nothing is changed, because what is ours cannot be written down")]
    Custody(#[from] crate::custody::Error),
}

impl<H: Host> Engine<H> {
    /// An engine that has tried nothing yet.
    pub fn new(host: H, ledger: Ledger) -> Self {
        Self {
            host,
            ledger,
            stop: Arc::default(),
            view: View::default(),
            has_view: false,
            flush: None,
            outstanding: Outstanding::default(),
            concerned: BTreeSet::new(),
            probes: BTreeMap::new(),
            backoff: Backoff::default(),
        }
    }

    /// What failed under another plan is tried again at once.
    pub fn plan_changed(&mut self) {
        self.backoff.forget();
        if self.outstanding.due.is_some() {
            self.outstanding.due = Some(self.host.now());
        }
    }

    /// Brings the node as near to the plan as it goes now, everything looked at.
    ///
    /// # Errors
    /// [`PassError`]; whatever was done until then is complete in itself.
    pub fn pass(&mut self, plan: &NodePlan) -> Result<Outcome, PassError> {
        self.follow(plan, News::Everything)
    }

    /// Brings the node as near to the plan as it goes now, after what is known to have changed.
    ///
    /// # Errors
    /// [`PassError`]; whatever was done until then is complete in itself, and the next pass must be told
    /// [`News::Everything`].
    pub fn follow(&mut self, plan: &NodePlan, mut news: News) -> Result<Outcome, PassError> {
        self.concerned.clear();
        let mut outcome = Outcome::default();
        let mut whole = false;
        for _ in 0..ROUNDS {
            let anew = self.look_for(plan, &news)?;
            whole |= anew;
            let progress = self.act();
            self.has_view = progress.is_ok();
            let progress = progress?;
            self.remember(&progress, anew);
            let probed = self.probe();
            news = done(&progress.batches, probed);
            outcome.batches.extend(progress.batches);
            if !progress.changed && !probed {
                return Ok(self.came_of(outcome, whole));
            }
        }
        // Somebody else keeps changing what we change: say how it stands now, and go on with the next pass.
        self.look_for(plan, &News::Plan)?;
        self.outstanding.due = Some(self.host.now());
        Ok(self.came_of(outcome, true))
    }

    fn came_of(&mut self, outcome: Outcome, whole: bool) -> Outcome {
        self.backoff.ran(self.host.now());
        let concerned = (!whole).then(|| self.concerned.clone());
        Outcome { outstanding: self.outstanding.clone(), concerned, ..outcome }
    }

    /// Does what is left to do, as far as nothing speaks against it now.
    ///
    /// # Errors
    /// [`PassError::Custody`], and [`PassError::Stopped`] between two phases.
    pub fn act(&mut self) -> Result<Progress, PassError> {
        if self.view.phases.is_empty() {
            return Ok(Progress::default());
        }
        let Self { host, ledger, backoff, stop, view, .. } = self;
        let progress = Hands { host, ledger, backoff, stop }.work(view)?;
        self.backoff.ran(self.host.now());
        Ok(progress)
    }

    /// Keeps in mind what could not be done: of a look at everything that is all there is.
    fn remember(&mut self, progress: &Progress, whole: bool) {
        let outstanding = &mut self.outstanding;
        if whole {
            *outstanding = Outstanding::default();
        }
        let Outstanding { failures, undone, due } = &progress.outstanding;
        let new = failures.iter().filter(|failure| !outstanding.failures.contains(failure));
        let new: Vec<Failure> = new.cloned().collect();
        outstanding.failures.extend(new);
        let new: Vec<Op> = undone.iter().filter(|op| !outstanding.undone.contains(op)).copied().collect();
        outstanding.undone.extend(new);
        if let Some(due) = due {
            outstanding.wait_until(*due);
        }
    }

    /// Makes the probes that are due. Whether there were any.
    fn probe(&mut self) -> bool {
        if self.view.wanted.probes.is_empty() {
            return false;
        }
        let outcomes = self.host.probe(&self.view.wanted.probes);
        let at = self.host.now();
        self.probes.extend(outcomes.into_iter().map(|(vip, outcome)| (vip, Probe { at, outcome })));
        true
    }
}

/// What has changed by operations. Where VIPs were probed besides, the local facts are other ones too.
fn done(batches: &[Batch], probed: bool) -> News {
    let (mut servers, mut network) = (BTreeSet::new(), probed);
    for batch in batches {
        let (of_batch, other) = batch.touched();
        servers.extend(of_batch);
        network |= other;
    }
    News::Done { servers, network }
}

impl Outcome {
    /// How many operations were tried.
    #[must_use]
    pub fn count(&self) -> usize {
        self.batches.iter().map(Batch::count).sum()
    }

    /// Every operation that was tried, and what the kernel said to it.
    pub fn tried(&self) -> impl Iterator<Item = Tried> {
        self.batches.iter().flat_map(Batch::tried)
    }
}
