//! One pass: from what is, by what is wanted, to what is reported.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use lvs_core::kernel::{Kernel, Op};
use lvs_core::local::{Local, Probe};
use lvs_core::names::ServiceName;
use lvs_core::node_plan::{NodePlan, PlannedService};
use lvs_core::node_report::{NodeReport, Trouble};
use lvs_core::reason::Reason;
use lvs_core::time::Monotonic;
use lvs_core::wanted::{Hold, Phase, Scope, Wanted};

use super::backoff::Backoff;
use super::host::Host;
use super::ledger::Ledger;
use super::phase::{Hands, Progress};

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
    probes: BTreeMap<IpAddr, Probe>,
    backoff: Backoff,
}

/// What is, what is wanted, and what is left to do.
#[derive(Debug)]
pub struct View {
    /// The kernel.
    pub kernel: Kernel,
    /// The local facts.
    pub local: Local,
    /// The kernel as it should be.
    pub wanted: Wanted,
    /// What is left to do.
    pub phases: Vec<Phase>,
    /// What is held.
    pub holds: Vec<Hold>,
    /// When to look again, as far as the plan's own timing goes.
    pub due: Option<Monotonic>,
}

/// What came of a pass.
#[derive(Debug)]
pub struct Outcome {
    /// The node after it.
    pub view: View,
    /// What was tried, what failed, and when the next try is due.
    pub progress: Progress,
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
        let (probes, backoff) = (BTreeMap::new(), Backoff::default());
        Self { host, ledger, stop: Arc::default(), probes, backoff }
    }

    /// What failed under another plan is tried again at once.
    pub fn plan_changed(&mut self) {
        self.backoff.forget();
    }

    /// Brings the node as near to the plan as it goes now.
    ///
    /// # Errors
    /// [`PassError`]; whatever was done until then is complete in itself.
    pub fn pass(&mut self, plan: &NodePlan) -> Result<Outcome, PassError> {
        let mut tried = Vec::new();
        for _ in 0..ROUNDS {
            let view = self.look(plan)?;
            let mut progress = self.act(&view)?;
            tried.append(&mut progress.tried);
            let probed = self.probe(&view.wanted);
            if !progress.changed && !probed {
                progress.tried = tried;
                return Ok(Outcome { view, progress });
            }
        }
        // Somebody else keeps changing what we change: say how it stands now, and go on with the next pass.
        let view = self.look(plan)?;
        let due = Some(self.host.now());
        Ok(Outcome { view, progress: Progress { tried, due, ..Progress::default() } })
    }

    /// Sees what is, and concludes what is wanted and left to do.
    ///
    /// # Errors
    /// [`PassError::Observe`].
    pub fn look(&mut self, plan: &NodePlan) -> Result<View, PassError> {
        let (kernel, mut local) = self.host.observe(plan).map_err(PassError::Observe)?;
        // A probe says nothing of a time after which somebody else was to have the VIP.
        self.probes.retain(|vip, _| attracts(plan, *vip));
        local.ours = self.ledger.custody().addresses();
        local.probes.extend(self.probes.iter().map(|(vip, probe)| (*vip, probe.clone())));
        let (wanted, due) = lvs_core::render::render(plan, &local, self.host.now());
        let (phases, holds) =
            lvs_core::diff::diff(&wanted, &kernel, self.ledger.custody(), &Scope::Everything);
        Ok(View { kernel, local, wanted, phases, holds, due })
    }

    /// The report on an outcome.
    #[must_use]
    pub fn report(&self, plan: &NodePlan, outcome: &Outcome) -> NodeReport {
        let View { kernel, local, wanted, holds, .. } = &outcome.view;
        let failures = &outcome.progress.failures;
        let mut report =
            lvs_core::report::report(plan, local, wanted, kernel, self.ledger.custody(), holds, failures);
        for op in &outcome.progress.undone {
            accuse(&mut report, plan, wanted, op);
        }
        report
    }

    fn act(&mut self, view: &View) -> Result<Progress, PassError> {
        if view.phases.is_empty() {
            return Ok(Progress::default());
        }
        let Self { host, ledger, backoff, stop, .. } = self;
        Hands { host, ledger, backoff, stop }.work(view)
    }

    /// Makes the probes that are due. Whether there were any.
    fn probe(&mut self, wanted: &Wanted) -> bool {
        if wanted.probes.is_empty() {
            return false;
        }
        let outcomes = self.host.probe(&wanted.probes);
        let at = self.host.now();
        self.probes.extend(outcomes.into_iter().map(|(vip, outcome)| (vip, Probe { at, outcome })));
        true
    }
}

fn attracts(plan: &NodePlan, vip: IpAddr) -> bool {
    plan.services.values().any(|part| part.vips.get(&vip).is_some_and(|planned| planned.attract))
}

/// Says of the services that an operation is for, else of the node, that somebody else keeps undoing it.
fn accuse(report: &mut NodeReport, plan: &NodePlan, wanted: &Wanted, op: &Op) {
    let message =
        format!("somebody else keeps undoing this, which is therefore done more and more rarely: {op}");
    let trouble = Trouble::new(Reason::ForeignChange, message);
    let owner = op.virtual_server().and_then(|key| wanted.owners.get(&key));
    let concerned = |name: &ServiceName, part: &PlannedService| match owner {
        Some(owner) => owner == name,
        None => op.vip().is_some_and(|vip| part.vips.contains_key(&vip)),
    };
    let mut of_node = true;
    for (name, _) in plan.services.iter().filter(|(name, part)| concerned(name, part)) {
        if let Some(service) = report.services.get_mut(name) {
            service.troubles.insert(trouble.clone());
            of_node = false;
        }
    }
    if of_node {
        report.node.troubles.insert(trouble);
    }
}
