//! Doing the phases of a diff: for each, custody before, the operations, custody after.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use lvs_core::diff::Run;
use lvs_core::kernel::{Op, Refusal};
use lvs_core::time::Monotonic;
use lvs_core::wanted::{Failure, Phase, PhaseName};

use super::backoff::{Backoff, Waiting};
use super::host::Host;
use super::ledger::Ledger;
use super::pass::{PassError, View};

/// An operation that was tried, and what the kernel said.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tried {
    /// The phase.
    pub phase: PhaseName,
    /// The operation.
    pub op: Op,
    /// What the kernel said; `None` for success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
}

/// What became of a diff's phases.
#[derive(Debug, Default)]
pub struct Progress {
    /// Every operation that was tried.
    pub tried: Vec<Tried>,
    /// Operations that failed, that wait for their next try, or that were left out because of one of these.
    pub failures: Vec<Failure>,
    /// Operations that succeeded before, were undone by somebody else, and now wait for their next try.
    pub undone: Vec<Op>,
    /// When the first of those that wait is due.
    pub due: Option<Monotonic>,
    /// Whether anything was changed, in the kernel or in custody.
    pub changed: bool,
}

/// What phases are done with.
pub(super) struct Hands<'a, H> {
    pub(super) host: &'a mut H,
    pub(super) ledger: &'a mut Ledger,
    pub(super) backoff: &'a mut Backoff,
    pub(super) stop: &'a AtomicBool,
}

impl<H: Host> Hands<'_, H> {
    /// Does the phases of a view, in order.
    ///
    /// # Errors
    /// Where custody cannot be written (then no operation was done whose custody is not on disk), and between two
    /// phases where the agent is being stopped.
    pub(super) fn work(mut self, view: &View) -> Result<Progress, PassError> {
        let mut progress = Progress::default();
        let mut run = Run::new(&view.wanted, &view.kernel, self.ledger.custody(), &view.phases);
        for phase in &view.phases {
            if self.stop.load(Ordering::Relaxed) {
                return Err(PassError::Stopped);
            }
            self.phase(phase, &mut run, &mut progress)?;
        }
        progress.failures = run.failures().to_vec();
        Ok(progress)
    }

    fn phase(&mut self, phase: &Phase, run: &mut Run, progress: &mut Progress) -> Result<(), PassError> {
        let now = self.host.now();
        let ahead = self.ahead(phase, run, progress, now);
        let before = run.before(phase, &ahead);
        self.ledger.append(&before)?;
        let refused: BTreeMap<usize, Refusal> = self.host.apply(&ahead).into_iter().collect();
        for (place, op) in ahead.iter().enumerate() {
            let refusal = refused.get(&place).copied();
            self.backoff.note(op, refusal, now);
            run.tried(phase.name, op, refusal.map_or(Ok(()), Err));
            progress.tried.push(Tried { phase: phase.name, op: *op, refusal });
        }
        let after = run.after(phase);
        self.ledger.append(&after)?;
        progress.changed |= !(ahead.is_empty() && before.is_empty() && after.is_empty());
        Ok(())
    }

    /// The operations that go ahead now; the others are noted as failures.
    fn ahead(&self, phase: &Phase, run: &mut Run, progress: &mut Progress, now: Monotonic) -> Vec<Op> {
        let mut ahead = Vec::with_capacity(phase.ops.len());
        for op in &phase.ops {
            if !run.admits(phase.name, op) {
                run.left_out(phase.name, op, None);
            } else if let Some(Waiting { until, refusal }) = self.backoff.waiting(op, now) {
                run.left_out(phase.name, op, refusal);
                progress.due = Some(progress.due.map_or(until, |due| due.min(until)));
                if refusal.is_none() {
                    progress.undone.push(*op);
                }
            } else {
                ahead.push(*op);
            }
        }
        ahead
    }
}
