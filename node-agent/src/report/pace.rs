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

    /// How long to wait until one more may be written; `None` for not at all.
    pub(super) fn wait(&mut self, now: Duration) -> Option<Duration> {
        while self.allowance < BURST && now.saturating_sub(self.topped_up) >= PERIOD {
            self.allowance += 1;
            self.topped_up += PERIOD;
        }
        (self.allowance == 0).then(|| PERIOD.saturating_sub(now.saturating_sub(self.topped_up)))
    }

    /// Takes note of one that was written.
    pub(super) fn spend(&mut self, now: Duration) {
        if self.allowance == BURST {
            self.topped_up = now;
        }
        self.allowance = self.allowance.saturating_sub(1);
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
            assert_eq!(pace.wait(at(100)), None);
            pace.spend(at(100));
        }
        assert_eq!(pace.wait(at(100)), Some(at(1000)));
        assert_eq!(pace.wait(at(600)), Some(at(500)));
        assert_eq!(pace.wait(at(1100)), None);
        pace.spend(at(1100));
        assert_eq!(pace.wait(at(1100)), Some(at(1000)));
    }

    #[test]
    fn quiet_time_fills_the_allowance_and_no_more() {
        let at = Duration::from_secs;
        let mut pace = Pace::new(at(0));
        for _ in 0..5 {
            assert_eq!(pace.wait(at(1000)), None);
            pace.spend(at(1000));
        }
        assert!(pace.wait(at(1000)).is_some());
        assert_eq!(pace.wait(at(1003)), None);
    }
}
