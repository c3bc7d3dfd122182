//! Passes over a supposed node that misbehaves.

mod example;
mod worker;

use std::sync::atomic::Ordering;

use lvs_core::custody::Custody;
use lvs_core::kernel::{Op, Refusal};
use lvs_core::local::ProbeOutcome;
use lvs_core::node_plan::NodePlan;
use lvs_core::reason::Reason;
use lvs_core::wanted::PhaseName;

use super::ledger::Ledger;
use super::look::News;
use super::pass::{Engine, Outcome, PassError};
use example::{Director, local, plan};

fn engine() -> Engine<Director> {
    Engine::new(Director::new(), Ledger::supposed(Custody::default()))
}

fn pass(engine: &mut Engine<Director>, plan: &NodePlan) -> Outcome {
    engine.pass(plan).unwrap()
}

/// The addition of the example's virtual server.
fn add_virtual_server() -> Op {
    let mut engine = engine();
    let added = pass(&mut engine, &plan());
    added.tried().find(|tried| matches!(tried.op, Op::AddVirtualServer(..))).unwrap().op
}

#[test]
fn one_pass_makes_a_director_probe_included_and_the_next_does_nothing() {
    let mut engine = engine();
    let outcome = pass(&mut engine, &plan());
    assert_eq!(outcome.outstanding.failures, []);
    assert_eq!(engine.view.phases, []);
    let uplink = "eth0 192.168.10.40/32".parse().unwrap();
    assert!(engine.host.node.kernel.addresses.contains_key(&uplink));
    let last = outcome.tried().last().unwrap();
    assert_eq!(last.phase, PhaseName::Attract, "the VIP comes to the uplink after everything else");
    let again = pass(&mut engine, &plan());
    assert_eq!(again.tried().count(), 0);
    let report = engine.report(&plan(), &again);
    let service = report.services.values().next().unwrap();
    assert!(service.applied && service.vips.values().all(|vip| vip.held), "{report:?}");
}

#[test]
fn what_a_pass_did_before_its_probe_is_not_done_again_after_it() {
    let mut engine = engine();
    let mut standby = plan();
    let part = standby.part_mut(&"default/web".parse().unwrap()).unwrap();
    part.vips.values_mut().for_each(|vip| vip.attract = false);
    part.form.as_mut().unwrap().real_servers.remove(&"node/rs-2".parse().unwrap());
    pass(&mut engine, &standby);
    // A destination more in a virtual server that stays, and a probe.
    let outcome = engine.follow(&plan(), News::Plan).unwrap();
    assert_eq!(outcome.outstanding.failures, []);
    let added =
        |op: &&Op| matches!(op, Op::AddDestination(_, key, _) if key.to_string() == "192.168.10.11:80");
    assert_eq!(engine.host.applied.iter().filter(added).count(), 1);
}

#[test]
fn an_empty_plan_brings_the_node_back_to_how_it_was_found() {
    let mut engine = engine();
    let found = engine.host.node.kernel.clone();
    pass(&mut engine, &plan());
    assert_ne!(engine.host.node.kernel, found);
    let outcome = pass(&mut engine, &NodePlan::empty(4, "test"));
    assert_eq!(engine.host.node.kernel, found);
    assert!(engine.ledger.custody().is_clean());
    assert!(engine.report(&NodePlan::empty(4, "test"), &outcome).node.clean);
}

#[test]
fn a_vip_that_a_stranger_has_is_not_attracted_and_not_announced() {
    let mut engine = engine();
    engine.host.probed = ProbeOutcome::InUse { mac: "02:00:00:00:00:99".parse().unwrap() };
    let outcome = pass(&mut engine, &plan());
    let attracted = |op: &Op| matches!(op, Op::AddAddress(key, _) if key.link.as_str() == "eth0");
    assert!(!engine.host.applied.iter().any(attracted));
    let mut announcer = super::announcer::Announcer::default();
    announcer.announce(&engine.view, &mut engine.host);
    assert_eq!(engine.host.announced, []);
    let report = engine.report(&plan(), &outcome);
    let reasons: Vec<Reason> = report
        .services
        .values()
        .flat_map(|service| &service.troubles)
        .map(|trouble| trouble.reason)
        .collect();
    assert_eq!(reasons, [Reason::AddressInUse]);
    // Once the stranger has gone the probe that is due finds that out.
    engine.host.probed = ProbeOutcome::Clean;
    engine.host.now = engine.view.due.unwrap();
    pass(&mut engine, &plan());
    assert!(engine.host.applied.iter().any(attracted));
}

#[test]
fn an_operation_that_fails_is_not_tried_again_until_it_is_due_or_the_plan_changes() {
    let added = add_virtual_server();
    let mut engine = engine();
    engine.host.refused.insert(added, Refusal::NoScheduler);
    let outcome = pass(&mut engine, &plan());
    let tries = |engine: &Engine<Director>| engine.host.applied.iter().filter(|op| **op == added).count();
    assert_eq!(tries(&engine), 1);
    assert!(!outcome.outstanding.failures.is_empty());
    let due = outcome.outstanding.due.unwrap();
    assert_eq!(due - engine.host.now, 1000);
    assert_eq!(pass(&mut engine, &plan()).tried().count(), 0);
    assert_eq!(tries(&engine), 1);
    engine.plan_changed();
    pass(&mut engine, &plan());
    assert_eq!(tries(&engine), 2);
    engine.host.refused.clear();
    engine.host.now = due;
    assert_eq!(pass(&mut engine, &plan()).outstanding.failures, []);
}

#[test]
fn whatever_has_failed_is_tried_again_by_an_audit_once_it_is_due() {
    let tried: Vec<Op> = pass(&mut engine(), &plan()).tried().map(|tried| tried.op).collect();
    assert!(tried.iter().any(|op| op.virtual_server().is_none()));
    for op in tried {
        let mut engine = engine();
        engine.host.refused.insert(op, Refusal::Other(16));
        let outcome = engine.follow(&plan(), News::Plan).unwrap();
        let due = outcome.outstanding.due.unwrap();
        engine.host.refused.clear();
        engine.host.now = due;
        for _ in 0..2 {
            engine.follow(&plan(), News::Audit).unwrap();
            engine.host.now = engine.host.now + 1000;
        }
        let outcome = engine.follow(&plan(), News::Audit).unwrap();
        assert_eq!(outcome.outstanding.failures, [], "{op}");
        assert!(engine.report(&plan(), &outcome).services.values().all(|service| service.applied), "{op}");
    }
}

#[test]
fn somebody_who_keeps_undoing_us_is_named_and_not_fought_in_a_hot_loop() {
    let added = add_virtual_server();
    let mut engine = engine();
    engine.host.undone.insert(added);
    let mut outcome = pass(&mut engine, &plan());
    for _ in 0..20 {
        engine.host.now = engine.host.now + 50;
        outcome = pass(&mut engine, &plan());
    }
    let tries = engine.host.applied.iter().filter(|op| **op == added).count();
    assert!((2..=4).contains(&tries), "{tries} tries within a second");
    assert_eq!(outcome.outstanding.undone, [added]);
    let report = engine.report(&plan(), &outcome);
    let service = report.services.values().next().unwrap();
    let named = service.troubles.iter().find(|trouble| trouble.reason == Reason::ForeignChange).unwrap();
    assert!(named.message.contains("192.168.10.40:80"), "{named:?}");
}

#[test]
fn a_table_that_somebody_empties_is_set_up_again_at_once_and_the_flush_is_named() {
    let mut engine = engine();
    let link = engine.host.node.local.links.values().next().unwrap().clone();
    engine.host.node.local.links.insert("kube-ipvs0".parse().unwrap(), link);
    pass(&mut engine, &plan());
    let whole = engine.host.node.kernel.clone();
    let troubles = |engine: &Engine<Director>, outcome: &Outcome| {
        let troubles = engine.report(&plan(), outcome).node.troubles;
        troubles.into_iter().map(|trouble| (trouble.reason, trouble.message)).collect::<Vec<_>>()
    };
    engine.host.now = engine.host.now + 2000;
    engine.host.node.kernel.virtual_servers.clear();
    let outcome = engine.follow(&plan(), News::Audit).unwrap();
    assert_eq!(engine.host.node.kernel, whole);
    let [(second, _), (flushed, sentence)] = &troubles(&engine, &outcome)[..] else { panic!("two troubles") };
    assert_eq!((*second, *flushed), (Reason::SecondWriter, Reason::TableFlushed));
    assert!(sentence.contains("kube-proxy in its ipvs mode"), "{sentence}");
    // It is news for ten minutes.
    engine.host.now = engine.view.due.unwrap();
    let outcome = engine.follow(&plan(), News::Audit).unwrap();
    assert_eq!(troubles(&engine, &outcome).len(), 1);
}

#[test]
fn what_we_remove_ourselves_is_no_flush() {
    let mut engine = engine();
    pass(&mut engine, &plan());
    let outcome = engine.follow(&NodePlan::empty(4, "test"), News::Plan).unwrap();
    assert_eq!(engine.report(&plan(), &outcome).node.troubles, [].into());
    let outcome = engine.follow(&plan(), News::Plan).unwrap();
    assert_eq!(engine.report(&plan(), &outcome).node.troubles, [].into());
}

#[test]
fn an_agent_that_is_stopped_does_no_further_phase() {
    let mut engine = engine();
    engine.stop.store(true, Ordering::Relaxed);
    assert!(matches!(engine.pass(&plan()), Err(PassError::Stopped)));
    assert_eq!(engine.host.applied, []);
}

#[test]
fn without_custody_on_disk_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run/custody.jsonl");
    let ledger = Ledger::on_disk(
        crate::custody::Journal::open(
            &path,
            &crate::custody::Subject { boot_id: local().boot_id, network: None },
        )
        .unwrap(),
    );
    let mut engine = Engine::new(Director::new(), ledger);
    engine.ledger.refuse_writes();
    assert!(matches!(engine.pass(&plan()), Err(PassError::Custody(_))));
    assert_eq!(engine.host.applied, []);
}

#[test]
fn a_probe_is_forgotten_once_somebody_else_was_to_have_the_vip() {
    let mut engine = engine();
    pass(&mut engine, &plan());
    let mut standby = plan();
    for part in standby.services.values_mut() {
        std::sync::Arc::make_mut(part).vips.values_mut().for_each(|vip| vip.attract = false);
    }
    pass(&mut engine, &standby);
    engine.host.probed = ProbeOutcome::InUse { mac: "02:00:00:00:00:99".parse().unwrap() };
    pass(&mut engine, &plan());
    let uplink = "eth0 192.168.10.40/32".parse().unwrap();
    assert!(!engine.host.node.kernel.addresses.contains_key(&uplink));
}

#[test]
fn announcements_follow_the_schedule_for_as_long_as_the_vip_is_held() {
    let mut engine = engine();
    let mut announcer = super::announcer::Announcer::default();
    pass(&mut engine, &plan());
    for _ in 0..6 {
        let next = announcer.announce(&engine.view, &mut engine.host).unwrap();
        engine.host.now = next;
    }
    let first = engine.host.announced[0].0;
    let times: Vec<u64> = engine.host.announced.iter().map(|(at, _)| *at - first).collect();
    assert_eq!(times, [0, 100, 500, 1000, 5000, 60_000]);
}
