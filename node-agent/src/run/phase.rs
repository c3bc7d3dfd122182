//! Doing one phase: custody before, operations, custody after.

use lvs_core::custody::{Item, Record};
use lvs_core::kernel::{Op, Refusal};
use lvs_core::time::Monotonic;
use lvs_core::wanted::{Failure, Phase, PhaseName};

use super::backoff::{Backoff, Waiting};
use super::host::Host;
use super::ledger::Ledger;
use crate::crash_point;
use crate::custody::Error;

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

/// What became of a plan's phases so far.
#[derive(Debug, Default)]
pub struct Progress {
    /// Every operation that was tried.
    pub tried: Vec<Tried>,
    /// Operations that failed, that wait for their next try, or that depend on one of these.
    pub failures: Vec<Failure>,
    /// When the first of those that wait is due.
    pub due: Option<Monotonic>,
    /// Whether anything was changed, in the kernel or in custody.
    pub changed: bool,
}

impl Progress {
    /// Does one phase as far as it goes.
    ///
    /// # Errors
    /// Where custody cannot be written; then no operation was done whose custody is not on disk.
    pub fn execute(
        &mut self,
        phase: &Phase,
        host: &mut impl Host,
        ledger: &mut Ledger,
        backoff: &mut Backoff,
    ) -> Result<(), Error> {
        let now = host.now();
        let ops = self.admitted(&phase.ops, backoff, now);
        let before = records_for(&phase.before, &phase.ops, &ops);
        let earlier: Vec<Record> = before.iter().map(|record| ledger.custody().standing(record.item())).collect();
        self.append(ledger, &before)?;
        let mut succeeded = Vec::with_capacity(ops.len());
        let mut put_back = Vec::new();
        for batch in ops.chunks(crash_point::batch_size()) {
            crash_point::pass();
            let refused = host.apply(batch);
            crash_point::pass();
            for (place, op) in batch.iter().enumerate() {
                let refusal = refused.iter().find(|(at, _)| *at == place).map(|(_, refusal)| *refusal);
                backoff.note(op, refusal, now);
                self.tried.push(Tried { phase: phase.name, op: *op, refusal });
                match refusal {
                    None => succeeded.push(*op),
                    Some(refusal) => {
                        self.failures.push(Failure { op: *op, refusal: Some(refusal) });
                        if certain(refusal) {
                            put_back.extend(earlier.iter().filter(|record| concerns(op, &record.item())));
                        }
                    }
                }
            }
        }
        self.changed |= !succeeded.is_empty();
        let mut after = records_for(&phase.after, &phase.ops, &succeeded);
        after.extend(put_back);
        self.append(ledger, &after)
    }

    fn append(&mut self, ledger: &mut Ledger, records: &[Record]) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        self.changed = true;
        ledger.append(records)
    }

    /// The operations that go ahead now; the others become failures.
    fn admitted(&mut self, ops: &[Op], backoff: &Backoff, now: Monotonic) -> Vec<Op> {
        let mut admitted = Vec::with_capacity(ops.len());
        for op in ops {
            if lvs_core::diff::blocked(op, &self.failures) {
                self.failures.push(Failure { op: *op, refusal: None });
            } else if let Some(Waiting { until, refusal }) = backoff.waiting(op, now) {
                self.failures.push(Failure { op: *op, refusal });
                self.due = Some(self.due.map_or(until, |due| due.min(until)));
            } else {
                admitted.push(*op);
            }
        }
        admitted
    }
}

/// The records that stand for operations of `done`, and those that stand for no operation of the phase at all (an
/// entry that is taken over as it is).
fn records_for(records: &[Record], phase: &[Op], done: &[Op]) -> Vec<Record> {
    let stands = |record: &&Record| {
        let item = record.item();
        let of_none = || !phase.iter().any(|op| concerns(op, &item));
        done.iter().any(|op| concerns(op, &item)) || of_none()
    };
    records.iter().filter(stands).copied().collect()
}

/// Whether an operation changes an item; a virtual service takes its destinations along when it goes.
fn concerns(op: &Op, item: &Item) -> bool {
    match (op, item) {
        (Op::RemoveVirtualServer(key), Item::Destination(server, _)) => key == server,
        _ => Item::of(op) == *item,
    }
}

/// Whether a refusal says for certain that nothing has changed.
fn certain(refusal: Refusal) -> bool {
    !matches!(refusal, Refusal::Other(_))
}
