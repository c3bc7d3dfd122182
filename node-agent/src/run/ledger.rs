//! Custody as a pass uses it: on disk for this node, in memory only for a node that is supposed.

use lvs_core::custody::{Custody, Record};

use crate::custody::{Error, Journal};

/// What is ours, and where that is written down.
#[derive(Debug, Default)]
pub struct Ledger {
    journal: Option<Journal>,
    custody: Custody,
}

impl Ledger {
    /// The journal of this node, with what it says is ours.
    #[must_use]
    pub fn on_disk((journal, custody): (Journal, Custody)) -> Self {
        Self { journal: Some(journal), custody }
    }

    /// Custody of a node that is only supposed; nothing is written.
    #[must_use]
    pub fn supposed(custody: Custody) -> Self {
        Self { journal: None, custody }
    }

    /// What is ours.
    #[must_use]
    pub fn custody(&self) -> &Custody {
        &self.custody
    }

    /// Takes records in; those of this node are on disk when this returns.
    ///
    /// # Errors
    /// Where the disk refuses; then none of the records counts.
    pub fn append(&mut self, records: &[Record]) -> Result<(), Error> {
        if let Some(journal) = &mut self.journal {
            journal.append(records)?;
        }
        self.custody.record_all(records);
        if let Some(journal) = &mut self.journal {
            journal.compact(&self.custody);
        }
        Ok(())
    }
}

#[cfg(test)]
impl Ledger {
    /// From now on every write to disk fails.
    pub(super) fn refuse_writes(&mut self) {
        self.journal.as_mut().unwrap().refuse_writes();
    }
}
