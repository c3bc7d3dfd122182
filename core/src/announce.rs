//! When a held VIP is announced: often at first, because a neighbour may miss a frame, then once a minute.

/// When a VIP is announced after it came to the uplink, in milliseconds; then every [`PERIOD`].
const FIRST: [u64; 5] = [0, 100, 500, 1000, 5000];
/// The period after that, in milliseconds.
const PERIOD: u64 = 60_000;

/// Whether an announcement of a VIP is due, and in how many milliseconds the next one is.
///
/// Both arguments are milliseconds since the VIP came to the uplink, or since the agent started where it was there
/// already: `held_for_ms` now, and `last_sent_at_ms` at the last announcement, `None` where there was none yet.
/// Announcements that were missed are made up for by a single one.
#[must_use]
pub fn due(held_for_ms: u64, last_sent_at_ms: Option<u64>) -> (bool, u64) {
    let due = last_sent_at_ms.is_none_or(|sent| sent < latest(held_for_ms));
    (due, next(held_for_ms) - held_for_ms)
}

/// The latest moment of the schedule up to `elapsed`.
fn latest(elapsed: u64) -> u64 {
    let first = FIRST.into_iter().rfind(|moment| *moment <= elapsed).unwrap_or(0);
    first.max(elapsed / PERIOD * PERIOD)
}

/// The first moment of the schedule after `elapsed`.
fn next(elapsed: u64) -> u64 {
    let periodic = (elapsed / PERIOD).saturating_add(1).saturating_mul(PERIOD);
    FIRST.into_iter().find(|moment| *moment > elapsed).unwrap_or(periodic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_asks_when_told_announces_by_the_schedule() {
        let (mut now, mut last, mut sent) = (0, None, Vec::new());
        while sent.len() < 8 {
            let (due, wait) = due(now, last);
            if due {
                last = Some(now);
                sent.push(now);
            }
            now += wait;
        }
        assert_eq!(sent, [0, 100, 500, 1000, 5000, 60_000, 120_000, 180_000]);
    }

    #[test]
    fn missed_announcements_are_made_up_for_by_one() {
        assert_eq!(due(800, Some(0)), (true, 200));
        assert_eq!(due(800, Some(800)), (false, 200));
        assert_eq!(due(400_000, None), (true, 20_000));
    }

    proptest::proptest! {
        #[test]
        fn a_wait_never_ends_before_it_begins(held in 0..u64::MAX - PERIOD, last in proptest::option::of(0..u64::MAX)) {
            let (_, wait) = due(held, last);
            proptest::prop_assert!((1..=PERIOD).contains(&wait));
        }
    }
}
