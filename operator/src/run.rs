//! `run`: watch, decide, write, for ever.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lvs_core::plan::unseen;
use lvs_core::time::{Monotonic, Time};
use tokio::time::{Instant, sleep, sleep_until};

use crate::authority::Authority;
use crate::change::{Change, changes};
use crate::clock;
use crate::decide::{Decision, decide};
use crate::departures::Departures;
use crate::health::Health;
use crate::memory::Memory;
use crate::observe::Observe;
use crate::shutdown::Shutdown;
use crate::snapshot::Snapshot;
use crate::write::Write;

/// After a change so long is waited for more of the same edit.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// But never longer than this after the first.
const LONGEST_DEBOUNCE: Duration = Duration::from_millis(200);
/// However quiet it is, everything is compared anew so often: a watch can lose an event.
const RESYNC: Duration = Duration::from_mins(3);
/// What was written is an input of the next decision, which may want more, also where no watch tells.
const AFTER_WRITES: Duration = Duration::from_secs(1);
/// After the plans of the leader before could not be read.
const RETRY: Duration = Duration::from_secs(2);

/// The loop's parts.
#[derive(Debug)]
pub(crate) struct Loop {
    /// The only reader.
    pub(crate) observe: Observe,
    /// The only writer.
    pub(crate) write: Write,
    /// Whether anything may be written.
    pub(crate) authority: Authority,
    /// What is told of it.
    pub(crate) health: Arc<Health>,
    /// What this leader wrote.
    pub(crate) memory: Memory,
    /// Services that are known to leave.
    pub(crate) departures: Departures,
    /// Why nothing was decided the last time, so that it is said once.
    pub(crate) held: Option<String>,
}

impl Loop {
    /// Goes round until told to stop.
    pub(crate) async fn run(mut self, mut stop: Shutdown) {
        let mut wake = Instant::now();
        loop {
            tokio::select! {
                () = stop.wait() => return,
                () = self.observe.changed() => {
                    tokio::select! {
                        () = self.settle() => {}
                        () = stop.wait() => return,
                    }
                }
                () = self.authority.changed() => {}
                () = sleep_until(wake) => {}
            }
            tokio::select! {
                () = stop.wait() => return,
                pause = self.round() => wake = Instant::now() + pause,
            }
        }
    }

    /// Waits until an edit of several objects is likely to be complete.
    async fn settle(&mut self) {
        let end = Instant::now() + LONGEST_DEBOUNCE;
        loop {
            tokio::select! {
                () = sleep(DEBOUNCE) => return,
                () = sleep_until(end) => return,
                () = self.observe.changed() => {}
            }
        }
    }

    /// Observes, decides and writes once. Returns for how long it may be quiet.
    async fn round(&mut self) -> Duration {
        self.health.beat.store(clock::now().0 / 1000, Ordering::Relaxed);
        let Some(mut snapshot) = self.observe.snapshot(&self.memory) else { return RESYNC };
        if self.authority.is_new() {
            if let Err(error) = self.observe.refresh().await {
                tracing::warn!("cannot read the plans of the leader before: {error:#}");
                return RETRY;
            }
            self.memory.clear();
            let Some(fresh) = self.observe.snapshot(&self.memory) else { return RESYNC };
            snapshot = fresh;
        }
        self.health.ready.store(true, Ordering::Relaxed);
        let epoch = self.authority.epoch(snapshot.highest_epoch());
        self.health.leads.store(epoch.is_some(), Ordering::Relaxed);
        snapshot.cluster.epoch = epoch.unwrap_or_else(|| snapshot.highest_epoch());
        if epoch.is_some() {
            self.memory.learn(&snapshot);
        } else {
            self.memory.clear();
        }
        if self.is_held(&snapshot) {
            return RESYNC;
        }
        let now = clock::now();
        let decision = decide(&snapshot, now);
        self.tell(&decision);
        let pause = until(decision.next, now).min(RESYNC);
        if epoch.is_none() {
            self.departures.clear();
            // A leader that doubts itself looks again after the next renewal.
            return if self.authority.holds() { pause.min(AFTER_WRITES) } else { pause };
        }
        let gone = self.observe.gone();
        for news in self.departures.news(&snapshot.cluster, &decision.plan, gone) {
            tracing::info!("{news}");
        }
        self.apply(&changes(&snapshot, &decision)).await.min(pause)
    }

    /// Writes. Returns for how long it may be quiet then.
    async fn apply(&mut self, changes: &[Change]) -> Duration {
        let outcome = self.write.apply(changes, &self.authority).await;
        self.health.writes.fetch_add(outcome.written, Ordering::Relaxed);
        self.health.failures.fetch_add(u64::try_from(outcome.failed.len()).unwrap_or(0), Ordering::Relaxed);
        self.observe.written(outcome.objects);
        changes
            .iter()
            .filter(|change| outcome.done.contains(&change.to_string()))
            .for_each(|change| self.memory.wrote(change));
        let wait = |at: Monotonic| Duration::from_millis(at - clock::monotonic());
        let again = outcome.again.map_or(RESYNC, wait);
        if outcome.written > 0 { again.min(AFTER_WRITES) } else { again }
    }

    fn is_held(&mut self, snapshot: &Snapshot) -> bool {
        let why = unseen(&snapshot.cluster).map(|unseen| unseen.to_string());
        if let Some(why) = why.as_ref().filter(|why| self.held.as_ref() != Some(why)) {
            tracing::error!("{why}");
        }
        self.held = why;
        self.held.is_some()
    }

    fn tell(&self, decision: &Decision) {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let refused = decision.plan.verdicts.values().filter(|verdict| !verdict.accepted.holds).count();
        self.health.plans.fetch_add(1, Ordering::Relaxed);
        self.health.services.store(count(decision.plan.verdicts.len()), Ordering::Relaxed);
        self.health.refused.store(count(refused), Ordering::Relaxed);
        self.health.nodes.store(count(decision.plan.nodes.len()), Ordering::Relaxed);
    }
}

/// From now to a moment of the wall clock. At least a little, so that a moment that stays in the past does not spin.
fn until(moment: Option<Time>, now: Time) -> Duration {
    let milliseconds = |moment: Time| u64::try_from(moment.0.saturating_sub(now.0)).unwrap_or(0);
    moment.map_or(RESYNC, |moment| Duration::from_millis(milliseconds(moment).max(100)))
}
