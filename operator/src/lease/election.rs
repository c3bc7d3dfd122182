//! Who leads: a state machine over what a Lease says and how much time has passed, without a clock or a client.
//!
//! The rules are those of client-go's leader election. A holder's lease has expired when its record has not changed
//! for its duration *by our own monotonic clock*, counted from when we first saw that record: wall clocks are never
//! compared, so a skewed one cannot make two leaders. Every write is bound to the resource version that was read.

use std::time::Duration;

use lvs_core::time::Monotonic;

/// How long a lease is good for after its last renewal.
pub(crate) const LEASE_DURATION: Duration = Duration::from_secs(15);
/// A leader that could not renew for this long stops writing.
pub(crate) const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// How often the lease is read and renewed.
pub(crate) const RETRY_PERIOD: Duration = Duration::from_secs(2);

/// What stands in a Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Who holds it; empty where it was released.
    pub(crate) holder: String,
    /// How long it is good for after a renewal.
    pub(crate) duration: Duration,
    /// How often the holder has changed.
    pub(crate) transitions: u64,
    /// When it was last renewed, as the holder wrote it. Only compared for being the same.
    pub(crate) renewed: String,
}

/// A Lease as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// What stands in it.
    pub(crate) record: Record,
    /// Which version of the object that was.
    pub(crate) resource_version: String,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Somebody else leads.
    Follow {
        /// Who.
        holder: String,
    },
    /// Write a record, for which the Lease must not have changed since: `None`, it must not exist.
    Claim {
        /// The resource version that was read.
        over: Option<String>,
        /// How often the holder will have changed then.
        transitions: u64,
    },
}

/// One candidate's view.
#[derive(Clone, Debug)]
pub(crate) struct Election {
    identity: String,
    /// The record last seen of another holder, and since when it has not changed.
    observed: Option<(Record, Monotonic)>,
}

impl Election {
    /// A candidate by a name that no other has, in any process that ever runs.
    pub(crate) fn new(identity: String) -> Self {
        Self { identity, observed: None }
    }

    /// This candidate's name.
    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    /// What to do about a Lease as it was just read; `None`: there is none.
    pub(crate) fn step(&mut self, seen: Option<&Seen>, now: Monotonic) -> Step {
        let Some(seen) = seen else {
            self.observed = None;
            return Step::Claim { over: None, transitions: 0 };
        };
        let record = &seen.record;
        let over = Some(seen.resource_version.clone());
        if record.holder == self.identity {
            self.observed = None;
            return Step::Claim { over, transitions: record.transitions };
        }
        let since = match &self.observed {
            Some((observed, since)) if observed == record => *since,
            _ => now,
        };
        self.observed = Some((record.clone(), since));
        let unchanged = Duration::from_millis(now - since);
        if record.holder.is_empty() || unchanged >= record.duration {
            return Step::Claim { over, transitions: record.transitions.saturating_add(1) };
        }
        Step::Follow { holder: record.holder.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1000;

    fn held_by(holder: &str, renewed: &str, transitions: u64) -> Seen {
        Seen {
            record: Record {
                holder: holder.to_owned(),
                duration: LEASE_DURATION,
                transitions,
                renewed: renewed.to_owned(),
            },
            resource_version: format!("version of {renewed}"),
        }
    }

    #[test]
    fn the_first_candidate_makes_the_lease() {
        let mut election = Election::new("a".to_owned());
        assert_eq!(election.step(None, Monotonic(0)), Step::Claim { over: None, transitions: 0 });
    }

    #[test]
    fn the_holder_renews_without_counting_a_transition() {
        let mut election = Election::new("a".to_owned());
        let step = election.step(Some(&held_by("a", "1", 4)), Monotonic(0));
        assert_eq!(step, Step::Claim { over: Some("version of 1".to_owned()), transitions: 4 });
    }

    #[test]
    fn a_released_lease_is_taken_at_once() {
        let mut election = Election::new("b".to_owned());
        let step = election.step(Some(&held_by("", "1", 4)), Monotonic(0));
        assert_eq!(step, Step::Claim { over: Some("version of 1".to_owned()), transitions: 5 });
    }

    #[test]
    fn expiry_counts_from_the_last_change_that_we_saw_whatever_the_clocks_say() {
        let mut election = Election::new("b".to_owned());
        let follow = Step::Follow { holder: "a".to_owned() };
        // The holder's clock is years behind: only that its record changes matters.
        for (at, renewed) in [(0, "1999"), (14, "1999"), (14, "2000"), (28, "2000")] {
            assert_eq!(election.step(Some(&held_by("a", renewed, 4)), Monotonic(at * SECOND)), follow);
        }
        let step = election.step(Some(&held_by("a", "2000", 4)), Monotonic(29 * SECOND));
        assert_eq!(step, Step::Claim { over: Some("version of 2000".to_owned()), transitions: 5 });
    }

    #[test]
    fn a_holder_that_lost_its_lease_follows() {
        let mut election = Election::new("a".to_owned());
        election.step(Some(&held_by("a", "1", 4)), Monotonic(0));
        let step = election.step(Some(&held_by("b", "2", 5)), Monotonic(SECOND));
        assert_eq!(step, Step::Follow { holder: "b".to_owned() });
    }

    /// A server that refuses a write over another version, and candidates of which any may be slow at any point.
    #[derive(Clone)]
    struct World {
        now: u64,
        version: u64,
        record: Option<Record>,
        candidates: [Candidate; 2],
    }

    #[derive(Clone)]
    struct Candidate {
        election: Election,
        /// A write that was decided on, and when its round began.
        pending: Option<(Step, u64)>,
        /// Until when it believes to lead.
        leads_until: u64,
    }

    impl World {
        fn new() -> Self {
            let candidate = |name: &str| Candidate {
                election: Election::new(name.to_owned()),
                pending: None,
                leads_until: 0,
            };
            Self { now: 0, version: 0, record: None, candidates: [candidate("a"), candidate("b")] }
        }

        fn read(&mut self, who: usize) {
            let seen =
                self.record.clone().map(|record| Seen { record, resource_version: self.version.to_string() });
            let step = self.candidates[who].election.step(seen.as_ref(), Monotonic(self.now));
            self.candidates[who].pending = Some((step, self.now));
        }

        fn write(&mut self, who: usize) {
            let Some((Step::Claim { over, transitions }, began)) = self.candidates[who].pending.take() else {
                return;
            };
            let present = self.record.as_ref().map(|_| self.version.to_string());
            if over != present {
                return;
            }
            self.version += 1;
            self.record = Some(Record {
                holder: self.candidates[who].election.identity().to_owned(),
                duration: LEASE_DURATION,
                transitions,
                renewed: self.now.to_string(),
            });
            let deadline = u64::try_from(RENEW_DEADLINE.as_millis()).unwrap();
            self.candidates[who].leads_until = began + deadline;
        }
    }

    /// Explores every order of reads, writes and pauses, and counts the take-overs that it met.
    fn explore(world: &World, depth: u32, takeovers: &mut u32) {
        let leaders = world.candidates.iter().filter(|candidate| candidate.leads_until > world.now).count();
        assert!(leaders <= 1, "two leaders at {}: {:?}", world.now, world.record);
        *takeovers += u32::from(world.record.as_ref().is_some_and(|record| record.transitions > 0));
        if depth == 0 {
            return;
        }
        for action in 0..5 {
            let mut next = world.clone();
            match action {
                0 | 1 => next.read(action),
                2 | 3 => next.write(action - 2),
                _ => next.now += 5 * SECOND,
            }
            explore(&next, depth - 1, takeovers);
        }
    }

    #[test]
    fn there_are_never_two_leaders_in_any_order_of_reads_writes_and_pauses() {
        let mut takeovers = 0;
        explore(&World::new(), 8, &mut takeovers);
        assert!(takeovers > 0, "no take-over was met, so nothing was proved");
    }
}
