//! What the worker makes of the plans that it hears.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lvs_core::custody::Custody;
use lvs_core::epoch::SeenEpochs;
use lvs_core::node_plan::{NodePlan, PlannedService};
use lvs_core::node_report::NodeReport;
use lvs_core::reason::Reason;
use tokio::sync::watch;

use super::example::{Director, plan};
use crate::run::announcer::Announcer;
use crate::run::ledger::Ledger;
use crate::run::look::News;
use crate::run::pass::Engine;
use crate::run::worker::{Wake, Worker};
use crate::state::plan_copy;

fn worker(copy: PathBuf, reports: watch::Sender<Option<NodeReport>>) -> Worker<Director> {
    Worker {
        engine: Engine::new(Director::new(), Ledger::supposed(Custody::default())),
        node: "director-1".into(),
        copy,
        plan: None,
        news: News::Everything,
        seen: SeenEpochs::default(),
        troubles: Vec::new(),
        reports,
        health: Arc::default(),
        announcer: Announcer::default(),
        known: NodeReport::default(),
        refused: None,
        failing: None,
        unpublished: true,
    }
}

/// A worker of director-1, told these plans in turn. Yields its report after each, and whether the copy on disk is of
/// the last.
fn told(plans: &[NodePlan]) -> (Vec<NodeReport>, Option<NodePlan>) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("plan.json");
    let (reports, reported) = watch::channel(None);
    let mut worker = worker(copy.clone(), reports);
    let mut heard = Vec::new();
    for plan in plans {
        worker.hear(Wake::Plan(Box::new(plan.clone())));
        worker.round();
        heard.push(reported.borrow().clone().unwrap());
    }
    let kept = plan_copy::read(&copy, &"director-1".into()).unwrap();
    (heard, kept.map(|kept| kept.plan))
}

fn reasons(report: &NodeReport) -> Vec<Reason> {
    report.node.troubles.iter().map(|trouble| trouble.reason).collect()
}

#[test]
fn a_followed_plan_lies_on_disk() {
    let (reports, kept) = told(&[plan()]);
    assert_eq!(reasons(&reports[0]), []);
    assert_eq!(kept, Some(plan()));
}

#[test]
fn a_plan_of_a_lower_epoch_is_refused_and_said_until_a_good_one_comes() {
    let stale = NodePlan::empty(plan().epoch - 1, &plan().lineage);
    let (reports, kept) = told(&[plan(), stale, plan()]);
    assert_eq!(reasons(&reports[1]), [Reason::StalePlan]);
    assert_eq!(reports[1].services, reports[0].services);
    assert_eq!(reasons(&reports[2]), []);
    assert_eq!(kept, Some(plan()));
}

#[test]
fn an_incomplete_plan_takes_nothing_away_and_does_not_reach_the_disk() {
    let mut incomplete = NodePlan { complete: false, ..NodePlan::empty(plan().epoch, &plan().lineage) };
    let other = lvs_core::names::ServiceName::new("default", "other");
    incomplete.services.insert(other.clone(), PlannedService::idle("uid-other").into());
    let (reports, kept) = told(&[plan(), incomplete]);
    assert_eq!(reasons(&reports[1]), [Reason::IncompletePlan]);
    assert!(reports[1].services.contains_key(&other));
    let held = |report: &NodeReport| {
        let web = lvs_core::names::ServiceName::new("default", "web");
        report.services.get(&web).is_some_and(|service| service.vips.values().all(|vip| vip.held))
    };
    assert!(held(&reports[0]) && held(&reports[1]), "{reports:?}");
    assert_eq!(kept, Some(plan()));
}

#[test]
fn an_empty_plan_of_the_next_epoch_leaves_the_node_clean() {
    let (reports, kept) = told(&[plan(), NodePlan::empty(plan().epoch + 1, &plan().lineage)]);
    assert!(!reports[0].node.clean && reports[1].node.clean);
    assert_eq!(kept.map(|kept| kept.services.len()), Some(0));
}

#[test]
fn a_plan_that_differs_by_its_epoch_alone_is_reported_on() {
    let next = NodePlan { epoch: plan().epoch + 1, ..plan() };
    let (reports, _) = told(&[plan(), next]);
    assert_eq!(reports[1].node.epoch, plan().epoch + 1);
    assert_eq!(reports[1].services, reports[0].services);
}

#[test]
fn another_weight_is_followed_and_reported_on() {
    let mut next = plan();
    let name = next.services.keys().next().unwrap().clone();
    let part = next.part_mut(&name).unwrap();
    part.revision.number += 1;
    part.form.as_mut().unwrap().real_servers.values_mut().for_each(|server| server.weight = 7);
    let (reports, kept) = told(&[plan(), next.clone()]);
    assert!(reports[1].services[&name].applied);
    assert_eq!(reports[1].services[&name].revision.number, 2);
    assert_eq!(kept, Some(next));
}

#[test]
fn a_worker_that_is_told_to_stop_changes_nothing_any_more() {
    let (reports, reported) = watch::channel(None);
    let (wake, wakes) = std::sync::mpsc::channel();
    let mut worker = worker("/nonexistent/plan.json".into(), reports);
    worker.plan = Some(plan());
    worker.engine.stop.store(true, Ordering::Relaxed);
    wake.send(Wake::Kernel).unwrap();
    worker.run(&wakes);
    assert_eq!(*reported.borrow(), None);
}

#[test]
fn an_agent_that_cannot_read_its_kernel_says_so_under_its_plans_lineage() {
    let folder = tempfile::tempdir().unwrap();
    let (reports, reported) = watch::channel(None);
    let mut worker = worker(folder.path().join("plan.json"), reports);
    worker.engine.host.unreadable = true;
    worker.hear(Wake::Plan(Box::new(plan())));
    worker.round();
    let report = reported.borrow().clone().unwrap();
    assert_eq!(reasons(&report), [Reason::KernelRefused]);
    // The operator hears nobody who follows somebody else's plans.
    assert_eq!((report.node.lineage, report.services.len()), (plan().lineage, 0));
}
