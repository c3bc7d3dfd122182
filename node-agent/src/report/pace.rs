//! How often a report may be written: one a second, five in a row. Of those that have to wait the latest wins.

use std::time::Duration;

/// How many may be written in a row.
const BURST: u32 = 5;
/// One more may be written after each of these.
const PERIOD: Duration = Duration::from_secs(1);

/// What is left of the allowance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    allowance: u32,
    /// When the allowance was last topped up, on the caller's clock.
    topped_up: Duration,
}

impl Pace {
    /// A full allowance at a moment of the caller's clock.
    #[must_use]
    pub(super) fn new(now: Duration) -> Self {
        Self { allowance: BURST, topped_up: now }
    }

    /// Uses up one of the allowance, or says how long to wait for it.
    ///
    /// # Errors
    /// The time to wait, where nothing is left.
    pub(super) fn spend(&mut self, now: Duration) -> Result<(), Duration> {
        while self.allowance < BURST && now.saturating_sub(self.topped_up) >= PERIOD {
            self.allowance += 1;
            self.topped_up += PERIOD;
        }
        if self.allowance == BURST {
            self.topped_up = now;
        }
        if self.allowance == 0 {
            return Err(PERIOD - now.saturating_sub(self.topped_up));
        }
        self.allowance -= 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_at_once_then_one_a_second() {
        let at = Duration::from_millis;
        let mut pace = Pace::new(at(0));
        for _ in 0..5 {
            assert_eq!(pace.spend(at(100)), Ok(()));
        }
        assert_eq!(pace.spend(at(100)), Err(at(1000)));
        assert_eq!(pace.spend(at(600)), Err(at(500)));
        assert_eq!(pace.spend(at(1100)), Ok(()));
        assert_eq!(pace.spend(at(1100)), Err(at(1000)));
    }

    #[test]
    fn quiet_time_fills_the_allowance_and_no_more() {
        let at = Duration::from_secs;
        let mut pace = Pace::new(at(0));
        for _ in 0..5 {
            assert_eq!(pace.spend(at(1000)), Ok(()));
        }
        assert!(pace.spend(at(1000)).is_err());
        assert_eq!(pace.spend(at(1003)), Ok(()));
    }
}
