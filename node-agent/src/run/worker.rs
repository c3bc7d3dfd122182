//! The thread that owns the kernel: it waits for a reason to look, makes a pass, announces, reports.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use lvs_core::epoch::SeenEpochs;
use lvs_core::names::NodeName;
use lvs_core::node_plan::NodePlan;
use lvs_core::node_report::{NodeReport, Trouble};
use lvs_core::reason::Reason;
use lvs_core::render::{Before, changed_parts};
use lvs_core::time::Monotonic;
use tokio::sync::watch;

use super::announcer::Announcer;
use super::health::Health;
use super::host::Host;
use super::look::News;
use super::pass::{Engine, Outcome, PassError};
use crate::memory;
use crate::state::plan_copy::{self, PlanCopy};

/// The whole kernel is looked at this often even where nothing seems to happen, in milliseconds: changes of the IPVS
/// table are announced by nobody.
const AUDIT: u64 = 2000;
/// The shortest time between two passes, in milliseconds: somebody who keeps changing the kernel gets no more of the
/// processor than this.
const PAUSE: u64 = 50;

/// More operations than this are counted in the log and not told one by one.
const MANY: usize = 256;

/// A reason to look.
#[derive(Debug)]
pub enum Wake {
    /// The plan source speaks.
    Plan(Box<NodePlan>),
    /// Links, addresses or routes have changed.
    Kernel,
    /// The agent is being stopped.
    Stop,
}

/// What the thread works with.
#[derive(Debug)]
pub struct Worker<H> {
    /// What makes the node as the plan wants it.
    pub engine: Engine<H>,
    /// The node.
    pub node: NodeName,
    /// Where the last good plan lies.
    pub copy: PathBuf,
    /// The plan in force.
    pub plan: Option<NodePlan>,
    /// What has changed since the last pass.
    pub news: News,
    /// The highest epochs seen.
    pub seen: SeenEpochs,
    /// What is wrong with the agent itself and part of each report.
    pub troubles: Vec<Trouble>,
    /// Where the latest report goes.
    pub reports: watch::Sender<Option<NodeReport>>,
    /// What the kubelet is told.
    pub health: Arc<Health>,
    /// What is announced.
    pub announcer: Announcer,
    /// What was last known of the node: the base of a report while its kernel cannot be read.
    pub known: NodeReport,
    /// A plan that was refused since the one in force arrived.
    pub refused: Option<Trouble>,
    /// Why the last pass was impossible.
    pub failing: Option<String>,
    /// Whether what is to be said has changed by anything but a pass.
    pub unpublished: bool,
}

impl<H: Host> Worker<H> {
    /// Works until it is told to stop, or until nobody is left to tell it anything.
    pub fn run(mut self, wakes: &Receiver<Wake>) {
        let mut due = self.engine.host.now();
        loop {
            let wait = Duration::from_millis(due - self.engine.host.now());
            match wakes.recv_timeout(wait) {
                Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(wake) => self.hear(wake),
                Err(RecvTimeoutError::Timeout) => {}
            }
            while let Ok(wake) = wakes.try_recv() {
                match wake {
                    Wake::Stop => return,
                    wake => self.hear(wake),
                }
            }
            if self.engine.stop.load(Ordering::Relaxed) {
                return;
            }
            let now = self.engine.host.now();
            due = self.round().unwrap_or(now + AUDIT).clamp(now + PAUSE, now + AUDIT);
            std::thread::sleep(Duration::from_millis(PAUSE));
        }
    }

    /// Takes a plan in, unless its epoch forbids that.
    pub(super) fn hear(&mut self, wake: Wake) {
        let Wake::Plan(mut plan) = wake else { return };
        if let Some(before) = self.plan.as_ref().filter(|_| !plan.complete) {
            complete_from(&mut plan, before);
        }
        let changed = self.plan.as_ref().and_then(|before| changed_parts(before, &plan));
        let same_epoch = self.plan.as_ref().is_some_and(|before| before.epoch == plan.epoch);
        if same_epoch && changed.as_ref().is_some_and(Before::is_empty) {
            self.unpublished |= self.refused.take().is_some();
            return;
        }
        if let Err(trouble) = self.seen.admit(&plan) {
            if self.refused.as_ref() != Some(&trouble) {
                tracing::error!(reason = %trouble.reason, "{}", trouble.message);
            }
            self.refused = Some(trouble);
            self.unpublished = true;
            return;
        }
        self.refused = None;
        // Also of a plan that only has another epoch the node has to say that it follows it.
        self.unpublished = true;
        tracing::info!(
            epoch = plan.epoch,
            lineage = plan.lineage,
            services = plan.services.len(),
            complete = plan.complete,
            "following a new plan"
        );
        self.engine.plan_changed();
        let news = changed.map_or(News::Plan, News::Forms);
        self.news = std::mem::replace(&mut self.news, News::Audit).and(news);
        // Only a whole plan is good enough to start from. It is kept before it is followed.
        if plan.complete {
            self.keep_copy(&plan);
        }
        self.plan = Some(*plan);
    }

    fn keep_copy(&self, plan: &NodePlan) {
        let copy = PlanCopy { node: self.node.clone(), plan: plan.clone(), seen: self.seen.clone() };
        if let Err(error) = plan_copy::write(&self.copy, &copy) {
            tracing::error!(
                path = %self.copy.display(), %error,
                "the plan cannot be kept on disk: a restart without its source would go on with an older one"
            );
        }
    }

    /// One pass, its announcements and its report. Yields when the next is due, where anything says that.
    pub(super) fn round(&mut self) -> Option<Monotonic> {
        // Without a plan nothing is known of what should be, so nothing is changed and nothing said.
        let Some(plan) = self.plan.take() else {
            self.health.came_round(true);
            return None;
        };
        let news = std::mem::replace(&mut self.news, News::Audit);
        let due = match self.engine.follow(&plan, news) {
            Ok(outcome) => self.conclude(&plan, &outcome),
            Err(PassError::Stopped) => None,
            Err(error) => {
                self.news = News::Everything;
                self.fail(&plan, &error.into());
                None
            }
        };
        self.plan = Some(plan);
        due
    }

    fn conclude(&mut self, plan: &NodePlan, outcome: &Outcome) -> Option<Monotonic> {
        log(outcome);
        self.failing = None;
        let announce = self.announcer.announce(&self.engine.view, &mut self.engine.host);
        let unchanged = outcome.concerned.as_ref().is_some_and(BTreeSet::is_empty);
        if !unchanged || self.unpublished {
            self.engine.report_again(&mut self.known, plan, outcome);
            let mut report = self.known.clone();
            report.node.troubles.extend(self.troubles.iter().chain(&self.refused).cloned());
            self.publish(report);
            self.unpublished = false;
        }
        if outcome.count() > MANY {
            memory::give_back();
        }
        self.health.came_round(true);
        [self.engine.view.due, outcome.outstanding.due, announce].into_iter().flatten().min()
    }

    /// Says that a pass was impossible, once for each different reason, beside what was last known of the node.
    fn fail(&mut self, plan: &NodePlan, error: &anyhow::Error) {
        let message = format!("{error:#}");
        if self.failing.as_ref() != Some(&message) {
            tracing::error!("{message}");
            self.failing = Some(message.clone());
        }
        self.health.came_round(false);
        self.unpublished = true;
        let mut report = self.known.clone();
        if report.node.lineage.is_empty() {
            // No pass has been possible yet. The operator hears only an agent that follows a plan of its own.
            report.node.lineage.clone_from(&plan.lineage);
        }
        report.node.troubles.extend(self.troubles.iter().cloned());
        report.node.troubles.insert(Trouble::new(Reason::KernelRefused, message));
        self.publish(report);
    }

    fn publish(&self, report: NodeReport) {
        self.reports.send_if_modified(|latest| {
            let modified = latest.as_ref() != Some(&report);
            if modified {
                log_new_troubles(latest.as_ref(), &report);
                *latest = Some(report);
            }
            modified
        });
    }
}

/// What an incomplete plan does not say stays as the plan before said it.
fn complete_from(plan: &mut NodePlan, before: &NodePlan) {
    if plan.lineage == before.lineage && plan.epoch >= before.epoch {
        for (name, part) in &before.services {
            plan.services.entry(name.clone()).or_insert_with(|| part.clone());
        }
    }
}

fn log(outcome: &Outcome) {
    let count = outcome.count();
    let many = count > MANY;
    if many {
        tracing::info!("{count} operations; those that were refused follow");
    }
    for tried in outcome.tried() {
        match tried.refusal {
            None if many => {}
            None => tracing::info!(phase = ?tried.phase, "{}", tried.op),
            Some(refusal) => tracing::error!(phase = ?tried.phase, ?refusal, "refused: {}", tried.op),
        }
    }
}

/// Says what the report complains of and the one before it did not.
fn log_new_troubles(before: Option<&NodeReport>, now: &NodeReport) {
    for trouble in &now.node.troubles {
        if !before.is_some_and(|before| before.node.troubles.contains(trouble)) {
            tracing::warn!(reason = %trouble.reason, "{}", trouble.message);
        }
    }
    for (service, of_service) in &now.services {
        let before = before.and_then(|before| before.services.get(service));
        for trouble in &of_service.troubles {
            if !before.is_some_and(|before| before.troubles.contains(trouble)) {
                tracing::warn!(%service, reason = %trouble.reason, "{}", trouble.message);
            }
        }
    }
}
