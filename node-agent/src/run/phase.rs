//! Doing the phases of a diff: for each, custody before, the operations, custody after.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use lvs_core::diff::Run;
use lvs_core::ipvs::VirtualServerKey;
use lvs_core::kernel::{Op, Refusal};
use lvs_core::time::Monotonic;
use lvs_core::wanted::{Phase, PhaseName};

use super::backoff::{Backoff, Waiting};
use super::host::Host;
use super::ledger::Ledger;
use super::look::View;
use super::pass::{Outstanding, PassError};

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

/// The operations of one phase that were tried.
#[derive(Debug)]
pub struct Batch {
    phase: PhaseName,
    ops: Vec<Op>,
    /// What was refused, by its place in `ops`.
    refused: BTreeMap<usize, Refusal>,
}

impl Batch {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.ops.len()
    }

    /// Each operation, and what the kernel said to it.
    pub fn tried(&self) -> impl Iterator<Item = Tried> {
        self.ops.iter().enumerate().map(|(place, op)| Tried {
            phase: self.phase,
            op: *op,
            refusal: self.refused.get(&place).copied(),
        })
    }

    /// The virtual servers that were changed, and whether anything else was.
    pub(super) fn touched(&self) -> (impl Iterator<Item = VirtualServerKey>, bool) {
        let servers = self.ops.iter().filter_map(Op::virtual_server);
        (servers, self.ops.iter().any(|op| op.virtual_server().is_none()))
    }
}

/// What became of a diff's phases.
#[derive(Debug, Default)]
pub struct Progress {
    /// Every operation that was tried.
    pub batches: Vec<Batch>,
    /// What could not be done.
    pub outstanding: Outstanding,
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
    /// Does the phases of a view, in order, and takes them out of it.
    ///
    /// # Errors
    /// Where custody cannot be written (then no operation was done whose custody is not on disk), and between two
    /// phases where the agent is being stopped.
    pub(super) fn work(mut self, view: &mut View) -> Result<Progress, PassError> {
        let mut progress = Progress::default();
        let phases = std::mem::take(&mut view.phases);
        let mut run = Run::new(&view.wanted, &view.kernel, self.ledger.custody(), &phases);
        for phase in phases {
            if self.stop.load(Ordering::Relaxed) {
                return Err(PassError::Stopped);
            }
            self.phase(phase, &mut run, &mut progress)?;
        }
        progress.outstanding.failures = run.failures().to_vec();
        Ok(progress)
    }

    fn phase(&mut self, mut phase: Phase, run: &mut Run, progress: &mut Progress) -> Result<(), PassError> {
        let now = self.host.now();
        let out = self.leave_out(&mut phase, run, progress, now);
        let before = run.before(&phase, &out);
        self.ledger.append(&before)?;
        let refused: BTreeMap<usize, Refusal> = self.host.apply(&phase.ops).into_iter().collect();
        for (place, op) in phase.ops.iter().enumerate() {
            let refusal = refused.get(&place).copied();
            self.backoff.note(op, refusal, now);
            if let (Some(_), Some(waiting)) = (refusal, self.backoff.waiting(op, now)) {
                progress.outstanding.wait_until(waiting.until);
            }
            run.tried(phase.name, op, refusal.map_or(Ok(()), Err));
        }
        let after = run.after(&phase);
        self.ledger.append(&after)?;
        progress.changed |= !(phase.ops.is_empty() && before.is_empty() && after.is_empty());
        if !phase.ops.is_empty() {
            let ops = std::mem::take(&mut phase.ops);
            progress.batches.push(Batch { phase: phase.name, ops, refused });
        }
        Ok(())
    }

    /// Takes out of a phase the operations that do not go ahead now, and notes them as failures.
    fn leave_out(
        &self,
        phase: &mut Phase,
        run: &mut Run,
        progress: &mut Progress,
        now: Monotonic,
    ) -> Vec<Op> {
        let mut out = Vec::new();
        phase.ops.retain(|op| {
            let ahead = self.goes_ahead(phase.name, op, run, progress, now);
            if !ahead {
                out.push(*op);
            }
            ahead
        });
        out
    }

    fn goes_ahead(
        &self,
        phase: PhaseName,
        op: &Op,
        run: &mut Run,
        progress: &mut Progress,
        now: Monotonic,
    ) -> bool {
        if !run.admits(phase, op) {
            run.left_out(phase, op, None);
            return false;
        }
        let Some(Waiting { until, refusal }) = self.backoff.waiting(op, now) else { return true };
        run.left_out(phase, op, refusal);
        progress.outstanding.wait_until(until);
        if refusal.is_none() {
            progress.outstanding.undone.push(*op);
        }
        false
    }
}
