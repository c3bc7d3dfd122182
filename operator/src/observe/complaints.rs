//! What is wrong with what was read: said once, and again only after it was right.

use std::collections::BTreeSet;

/// What was said.
#[derive(Debug, Default)]
pub(crate) struct Complaints(BTreeSet<String>);

impl Complaints {
    /// Says what is new.
    pub(crate) fn tell(&mut self, complaints: BTreeSet<String>) {
        for complaint in complaints.difference(&self.0) {
            tracing::error!("{complaint}");
        }
        self.0 = complaints;
    }
}
