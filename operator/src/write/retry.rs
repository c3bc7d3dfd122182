//! What could not be written is tried again, less and less often, and said once.

use std::collections::BTreeMap;

use lvs_core::time::Monotonic;

/// Milliseconds from the first failure to the next try; doubled each time, up to the longest.
const FIRST: u64 = 500;
const LONGEST: u64 = 30_000;

/// What failed last, by what it is about.
#[derive(Debug, Default)]
pub(super) struct Retries(BTreeMap<String, Failed>);

#[derive(Debug)]
struct Failed {
    error: String,
    pause: u64,
    again: Monotonic,
}

impl Retries {
    /// Whether something may be tried now.
    ///
    /// # Errors
    /// When it may, where it failed a short time ago.
    pub(super) fn may(&self, what: &str, now: Monotonic) -> Result<(), Monotonic> {
        self.0.get(what).filter(|failed| failed.again > now).map_or(Ok(()), |failed| Err(failed.again))
    }

    /// Takes note of a failure. Returns when to try again, and whether the error is a new one.
    pub(super) fn failed(&mut self, what: String, error: String, now: Monotonic) -> (Monotonic, bool) {
        let before = self.0.remove(&what);
        let new = before.as_ref().is_none_or(|before| before.error != error);
        let pause = before.map_or(FIRST, |before| (before.pause * 2).min(LONGEST));
        let again = now + pause;
        self.0.insert(what, Failed { error, pause, again });
        (again, new)
    }

    /// Takes note of a success.
    pub(super) fn succeeded(&mut self, what: &str) {
        self.0.remove(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_tried_less_and_less_often_and_said_once() {
        let mut retries = Retries::default();
        let mut now = Monotonic(0);
        let mut pauses = Vec::new();
        for turn in 0..9 {
            assert_eq!(retries.may("plan", now), Ok(()));
            let (again, new) = retries.failed("plan".to_owned(), "refused".to_owned(), now);
            assert_eq!(new, turn == 0);
            assert_eq!(retries.may("plan", now), Err(again));
            assert_eq!(retries.may("another", now), Ok(()));
            pauses.push(again - now);
            now = again;
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        assert!(retries.failed("plan".to_owned(), "no answer".to_owned(), now).1);
        retries.succeeded("plan");
        assert_eq!(retries.may("plan", now), Ok(()));
    }
}
