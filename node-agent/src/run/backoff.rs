//! When an operation that failed, or that somebody else keeps undoing, is tried again.
//!
//! A plan that changed is tried at once: whoever edits a service wants to see what comes of it.

use std::collections::BTreeMap;

use lvs_core::kernel::{Op, Refusal};
use lvs_core::time::Monotonic;

/// The longest wait, in milliseconds.
const LONGEST: u64 = 60_000;
/// The longest wait for an operation that makes a node safer (hiding ARP, taking a VIP away), in milliseconds:
/// within a second, because until then two nodes may answer for one VIP.
const LONGEST_FOR_SAFETY: u64 = 500;
/// An operation that nobody has undone for this long has a fresh start, in milliseconds.
const FORGIVEN: u64 = 600_000;

/// What has been tried under the present plan.
///
/// What succeeds on IPVS's table in the first run over a plan is not noted one by one: with a large table that would
/// cost as much as doing it. Where such an operation has to be done again, somebody has undone it.
#[derive(Debug, Default)]
pub struct Backoff {
    attempts: BTreeMap<Op, Attempt>,
    /// When the first run under the plan has ended.
    begun: Option<Monotonic>,
}

/// The attempts at one operation.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    /// Failures in a row.
    failed: u32,
    /// Successes, each but the first after somebody had undone the one before.
    succeeded: u32,
    last: Monotonic,
    not_before: Monotonic,
    refusal: Option<Refusal>,
}

/// An operation that has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// When it is tried again.
    pub until: Monotonic,
    /// What the kernel said last; `None` where it succeeded and was undone by somebody else.
    pub refusal: Option<Refusal>,
}

impl Backoff {
    /// Why an operation is not tried now, where it has to wait.
    #[must_use]
    pub fn waiting(&self, op: &Op, now: Monotonic) -> Option<Waiting> {
        let attempt = self.attempts.get(op).filter(|attempt| now < attempt.not_before)?;
        Some(Waiting { until: attempt.not_before, refusal: attempt.refusal })
    }

    /// Takes note of an attempt: what the kernel said, `None` for success.
    pub fn note(&mut self, op: &Op, refusal: Option<Refusal>, now: Monotonic) {
        if refusal.is_none() && self.begun.is_none() && op.virtual_server().is_some() {
            return;
        }
        let before = self.attempts.get(op).copied().or_else(|| self.unnoted(op));
        let before = before.filter(|before| now - before.last < FORGIVEN);
        let fresh = Attempt { failed: 0, succeeded: 0, last: now, not_before: now, refusal: None };
        let mut attempt = before.unwrap_or(fresh);
        let wait = if refusal.is_some() {
            attempt.failed = attempt.failed.saturating_add(1);
            doubled(attempt.failed)
        } else {
            attempt.failed = 0;
            attempt.succeeded = attempt.succeeded.saturating_add(1);
            doubled(attempt.succeeded.saturating_sub(1)).min(longest_after_success(op))
        };
        attempt.last = now;
        attempt.not_before = now + wait;
        attempt.refusal = refusal;
        self.attempts.insert(*op, attempt);
    }

    /// The success in the first run that was not noted.
    fn unnoted(&self, op: &Op) -> Option<Attempt> {
        let at = self.begun.filter(|_| op.virtual_server().is_some())?;
        Some(Attempt { failed: 0, succeeded: 1, last: at, not_before: at, refusal: None })
    }

    /// A run over all phases has ended.
    pub fn ran(&mut self, now: Monotonic) {
        self.begun.get_or_insert(now);
    }

    /// Forgets everything: the plan has changed.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

/// 0, then 1, 2, 4 … 60 seconds, in milliseconds.
fn doubled(times: u32) -> u64 {
    match times {
        0 => 0,
        _ => 1000_u64
            .checked_shl(times - 1)
            .filter(|wait| *wait >> (times - 1) == 1000)
            .unwrap_or(LONGEST)
            .min(LONGEST),
    }
}

fn longest_after_success(op: &Op) -> u64 {
    match op {
        Op::SetArp(..) | Op::RemoveAddress(_) => LONGEST_FOR_SAFETY,
        _ => LONGEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remove_virtual_server() -> Op {
        Op::RemoveVirtualServer("TCP 192.168.10.40:80".parse().unwrap())
    }

    /// The waits after attempts that each come as soon as they may.
    fn waits(op: &Op, refusal: Option<Refusal>, attempts: usize) -> Vec<u64> {
        let mut backoff = Backoff::default();
        let mut now = Monotonic(5);
        let mut waits = Vec::new();
        for _ in 0..attempts {
            backoff.note(op, refusal, now);
            backoff.ran(now);
            let until = backoff.waiting(op, now).map_or(now, |waiting| waiting.until);
            waits.push(until - now);
            now = until;
        }
        waits
    }

    #[test]
    fn an_operation_that_fails_waits_twice_as_long_each_time() {
        let waits = waits(&remove_virtual_server(), Some(Refusal::NoScheduler), 80);
        assert_eq!(waits[..8], [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        assert!(waits[8..].iter().all(|wait| *wait == 60_000));
    }

    #[test]
    fn the_first_undoing_by_somebody_else_is_repaired_at_once_a_further_one_later() {
        assert_eq!(waits(&remove_virtual_server(), None, 4), [0, 1000, 2000, 4000]);
    }

    #[test]
    fn of_what_was_done_in_the_first_run_the_second_undoing_is_repaired_later_too() {
        let mut backoff = Backoff::default();
        backoff.note(&remove_virtual_server(), None, Monotonic(0));
        backoff.ran(Monotonic(0));
        assert_eq!(backoff.waiting(&remove_virtual_server(), Monotonic(0)), None);
        backoff.note(&remove_virtual_server(), None, Monotonic(5));
        let waiting = backoff.waiting(&remove_virtual_server(), Monotonic(6));
        assert_eq!(waiting, Some(Waiting { until: Monotonic(1005), refusal: None }));
    }

    #[test]
    fn hiding_arp_never_waits_long() {
        let op =
            Op::SetArp("eth0".parse().unwrap(), lvs_core::kernel::ArpSettings { ignore: 1, announce: 2 });
        assert_eq!(waits(&op, None, 5), [0, 500, 500, 500, 500]);
    }

    #[test]
    fn a_changed_plan_is_tried_at_once() {
        let mut backoff = Backoff::default();
        backoff.note(&remove_virtual_server(), Some(Refusal::NoIpvs), Monotonic(0));
        assert_eq!(
            backoff.waiting(&remove_virtual_server(), Monotonic(999)),
            Some(Waiting { until: Monotonic(1000), refusal: Some(Refusal::NoIpvs) })
        );
        backoff.forget();
        assert_eq!(backoff.waiting(&remove_virtual_server(), Monotonic(999)), None);
    }

    #[test]
    fn ten_quiet_minutes_are_a_fresh_start() {
        let mut backoff = Backoff::default();
        for second in 0..5 {
            backoff.note(&remove_virtual_server(), None, Monotonic(second * 1000));
        }
        backoff.note(&remove_virtual_server(), None, Monotonic(700_000));
        assert_eq!(backoff.waiting(&remove_virtual_server(), Monotonic(700_000)), None);
    }
}
