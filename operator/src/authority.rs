//! Whether this process may write, and under which epoch.

use tokio::sync::watch;
use tokio::time::Instant;

use crate::lease::Term;

/// What gives the right to write.
#[derive(Debug)]
pub(crate) enum Authority {
    /// The lock of a folder: as long as the process lives.
    Lock {
        /// The epoch, once a plan was made.
        epoch: Option<u64>,
    },
    /// The Lease: as long as its term runs.
    Lease {
        /// What is known of the term.
        term: watch::Receiver<Option<Term>>,
        /// What was made of it.
        reign: Option<Reign>,
    },
}

/// A leader's time under one number of transitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reign {
    transitions: u64,
    epoch: u64,
    /// When a plan of a higher epoch was seen, of another that leads or led. Only a renewal after that proves that this
    /// replica still does.
    doubted: Option<Instant>,
}

impl Authority {
    /// The lock of a folder.
    pub(crate) fn lock() -> Self {
        Self::Lock { epoch: None }
    }

    /// The Lease.
    pub(crate) fn lease(term: watch::Receiver<Option<Term>>) -> Self {
        Self::Lease { term, reign: None }
    }

    /// Whether this process may write at this moment.
    pub(crate) fn holds(&self) -> bool {
        match self {
            Self::Lock { .. } => true,
            Self::Lease { term, .. } => term.borrow().is_some_and(|term| term.runs()),
        }
    }

    /// Whether a term runs for which no epoch was chosen yet: then the plans have to be read afresh first, because
    /// the leader before may have written what the watch has not shown.
    pub(crate) fn is_new(&self) -> bool {
        let Self::Lease { term, reign } = self else { return false };
        let present = term.borrow().filter(Term::runs).map(|term| term.transitions);
        present.is_some_and(|transitions| reign.is_none_or(|reign| reign.transitions != transitions))
    }

    /// The epoch to write under; `None`: nothing may be written now. `highest` is that of the stored plans.
    pub(crate) fn epoch(&mut self, highest: u64) -> Option<u64> {
        match self {
            Self::Lock { epoch } => {
                let present = epoch.filter(|epoch| *epoch >= highest).unwrap_or(highest.saturating_add(1));
                *epoch = Some(present);
                Some(present)
            }
            Self::Lease { term, reign } => {
                let term = term.borrow().filter(Term::runs)?;
                let next = Reign::after(*reign, term, highest, Instant::now());
                *reign = Some(next);
                next.doubted.is_none().then_some(next.epoch)
            }
        }
    }

    /// Waits until the term begins or ends; for ever where there is none.
    pub(crate) async fn changed(&mut self) {
        if let Self::Lease { term, .. } = self {
            let before = term.borrow().map(|term| term.transitions);
            let other = |term: &Option<Term>| term.map(|term| term.transitions) != before;
            if term.wait_for(other).await.is_ok() {
                return;
            }
        }
        std::future::pending::<()>().await;
    }
}

impl Reign {
    /// The reign in a term that runs: the one that is, or a new one with an epoch above all that was ever written.
    fn after(before: Option<Self>, term: Term, highest: u64, now: Instant) -> Self {
        let begun =
            Self { transitions: term.transitions, epoch: highest.max(term.transitions) + 1, doubted: None };
        match before.filter(|reign| reign.transitions == term.transitions) {
            None => begun,
            Some(reign) if reign.epoch >= highest => reign,
            Some(Self { doubted: Some(since), .. }) if term.renewed > since => begun,
            Some(reign) => Self { doubted: reign.doubted.or(Some(now)), ..reign },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn term(transitions: u64, renewed: Instant) -> Term {
        Term { transitions, renewed }
    }

    #[test]
    fn a_folder_counts_from_what_it_finds() {
        let mut authority = Authority::lock();
        assert_eq!(authority.epoch(7), Some(8));
        assert_eq!(authority.epoch(8), Some(8));
        // Somebody restored older or newer files.
        assert_eq!(authority.epoch(2), Some(8));
        assert_eq!(authority.epoch(20), Some(21));
    }

    #[test]
    fn a_new_leader_is_above_the_transitions_and_above_every_plan() {
        let now = Instant::now();
        assert_eq!(Reign::after(None, term(3, now), 9, now).epoch, 10);
        assert_eq!(Reign::after(None, term(12, now), 9, now).epoch, 13);
        let before = Reign::after(None, term(3, now), 9, now);
        assert_eq!(Reign::after(Some(before), term(4, now), 10, now).epoch, 11);
        assert_eq!(Reign::after(Some(before), term(3, now), 10, now), before);
    }

    #[test]
    fn a_leader_that_sees_a_higher_epoch_writes_nothing_until_it_has_renewed() {
        let start = Instant::now();
        let later = start + Duration::from_secs(2);
        let reign = Reign::after(None, term(3, start), 9, start);
        let doubting = Reign::after(Some(reign), term(3, start), 15, later);
        assert_eq!(doubting.doubted, Some(later));
        assert_eq!(Reign::after(Some(doubting), term(3, start), 15, later), doubting);
        let renewed = Reign::after(Some(doubting), term(3, later + Duration::from_secs(1)), 15, later);
        assert_eq!((renewed.epoch, renewed.doubted), (16, None));
    }

    #[tokio::test]
    async fn a_follower_has_no_epoch_and_a_new_leader_reads_first() {
        let (sender, receiver) = watch::channel(None);
        let mut authority = Authority::lease(receiver);
        assert_eq!(authority.epoch(5), None);
        assert!(!authority.holds() && !authority.is_new());
        sender.send_replace(Some(term(1, Instant::now())));
        assert!(authority.holds() && authority.is_new());
        assert_eq!(authority.epoch(5), Some(6));
        assert!(!authority.is_new());
        sender.send_replace(None);
        assert!(!authority.holds());
        assert_eq!(authority.epoch(6), None);
    }
}
