//! Limits how often something is done per object: a few times at once, then once per period.

use std::collections::BTreeMap;

use lvs_core::time::Monotonic;

/// What each object has used of its allowance (the generic cell rate algorithm, ITU-T I.371).
#[derive(Clone, Debug)]
pub(crate) struct Pace<K> {
    /// Milliseconds by which an object may be ahead of its steady rate.
    tolerance: u64,
    /// Milliseconds that one costs.
    period: u64,
    /// When each object would be back at its steady rate.
    due: BTreeMap<K, Monotonic>,
}

impl<K: Ord> Pace<K> {
    /// At most `burst` (at least 1) at once, and one more for each `period` in milliseconds.
    pub(crate) fn new(burst: u64, period: u64) -> Self {
        Self { tolerance: burst.saturating_sub(1) * period, period, due: BTreeMap::new() }
    }

    /// Uses one up.
    ///
    /// # Errors
    /// The moment to try again, where the allowance is used up.
    pub(crate) fn take(&mut self, object: K, now: Monotonic) -> Result<(), Monotonic> {
        self.due.retain(|_, due| *due > now);
        let due = self.due.get(&object).copied().unwrap_or(now);
        if due - now > self.tolerance {
            return Err(Monotonic(due.0 - self.tolerance));
        }
        self.due.insert(object, due + self.period);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_per_period() {
        let mut pace = Pace::new(3, 1000);
        let start = Monotonic(50);
        for _ in 0..3 {
            assert_eq!(pace.take("a", start), Ok(()));
        }
        assert_eq!(pace.take("a", start), Err(start + 1000));
        assert_eq!(pace.take("b", start), Ok(()));
        assert_eq!(pace.take("a", start + 1000), Ok(()));
        assert_eq!(pace.take("a", start + 1000), Err(start + 2000));
    }

    #[test]
    fn what_rests_long_enough_is_forgotten() {
        let mut pace = Pace::new(3, 1000);
        for _ in 0..3 {
            assert_eq!(pace.take("a", Monotonic(0)), Ok(()));
        }
        assert_eq!(pace.take("b", Monotonic(3000)), Ok(()));
        assert_eq!(pace.due.len(), 1);
    }
}
