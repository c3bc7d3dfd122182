//! What an incomplete plan and a stale report come to.

use lvs_core::names::{BootId, NodeName};
use lvs_core::node_report::{NodeFacts, NodeReport, ServiceReport};
use lvs_crds::plan::{self, Fault};
use lvs_crds::{AsWritten, NodePlan, NodePlanSlice, NodePlanSliceStatus, report};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::worlds;

fn split() -> (NodePlan, Vec<NodePlanSlice>) {
    plan::split(&NodeName::from("director-1"), &worlds::large_plan(3_000))
}

fn edited(slice: &NodePlanSlice, edit: impl FnOnce(&mut Value)) -> NodePlanSlice {
    let mut value = serde_json::to_value(slice).unwrap();
    edit(value["spec"]["services"].as_object_mut().unwrap().values_mut().next().unwrap());
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_missing_slice_makes_a_plan_incomplete_and_the_rest_is_there() {
    let (object, mut slices) = split();
    let gone = slices.remove(1);
    let (plan, faults) = plan::assemble(&object, &slices);
    assert!(!plan.complete);
    assert_eq!(faults, [Fault::Missing(gone.metadata.name.unwrap())]);
    assert_eq!(plan.services.len(), 3_000 - gone.spec.services.len());
}

#[test]
fn an_altered_slice_makes_a_plan_incomplete() {
    let (object, slices) = split();
    let edits: [fn(&mut Value); 3] = [
        |service| service["uid"] = json!("another"),
        |service| _ = service.as_object_mut().unwrap().remove("requires"),
        // What a newer operator may write and an API server with an older schema would drop.
        |service| service["somethingNew"] = json!(1),
    ];
    for edit in edits {
        let mut slices = slices.clone();
        slices[0] = edited(&slices[0], edit);
        let (plan, faults) = plan::assemble(&object, &slices);
        assert!(!plan.complete);
        assert_eq!(faults, [Fault::Differs(slices[0].metadata.name.clone().unwrap())]);
        assert_eq!(plan.services.len(), 3_000);
    }
}

#[test]
fn a_slice_of_an_earlier_plan_makes_a_plan_incomplete() {
    let (object, _) = split();
    let mut before = worlds::large_plan(3_000);
    before.services.values_mut().for_each(|service| Arc::make_mut(service).revision.number += 1);
    let (_, slices) = plan::split(&NodeName::from("director-1"), &before);
    assert!(!plan::assemble(&object, &slices).0.complete);
}

#[test]
fn a_slice_that_the_plan_does_not_name_is_passed_over() {
    let (object, mut slices) = split();
    let mut more = slices[0].clone();
    more.metadata.name = Some("director-1.999".to_owned());
    slices.push(more);
    let (plan, faults) = plan::assemble(&object, &slices);
    assert!(plan.complete && faults.is_empty());
}

#[test]
fn a_service_of_a_newer_operator_is_left_out_and_named() {
    let (mut object, mut slices) = split();
    slices[0] = edited(&slices[0], |service| service["vips"] = json!({"10.0.0.1": {"posture": "Anycast"}}));
    // The newer operator has hashed what it wrote.
    object.spec.slices[0].hash = plan::hash(&slices[0].spec.services);
    let (plan, faults) = plan::assemble(&object, &slices);
    assert!(!plan.complete);
    assert_eq!(plan.services.len(), 2_999);
    assert!(
        matches!(&faults[..], [Fault::Unreadable { error, .. }] if error.contains("accept")),
        "{faults:?}"
    );
}

#[test]
fn unknown_fields_of_a_newer_operator_are_part_of_the_hash_and_no_fault() {
    let (mut object, mut slices) = split();
    slices[0] = edited(&slices[0], |service| service["somethingNew"] = json!({"b": 1, "a": [true, null]}));
    object.spec.slices[0].hash = plan::hash(&slices[0].spec.services);
    let read: NodePlanSlice = serde_json::from_str(&serde_json::to_string(&slices[0]).unwrap()).unwrap();
    slices[0] = read;
    let (plan, faults) = plan::assemble(&object, &slices);
    assert!(plan.complete, "{faults:?}");
}

#[test]
fn the_uid_of_a_stored_plan_is_its_lineage() {
    let (mut object, slices) = split();
    assert_eq!(plan::assemble(&object, &slices).0.lineage, "large");
    object.metadata.uid = Some("7f0b".to_owned());
    assert_eq!(plan::assemble(&object, &slices).0.lineage, "7f0b");
}

fn report_of(boot: &str) -> NodeReport {
    let plan = worlds::large_plan(3_000);
    let of = |service: &lvs_core::node_plan::PlannedService| ServiceReport {
        counters_zeroed: None,
        revision: service.revision,
        applied: true,
        vips: [].into(),
        receives: [].into(),
        redirects: [].into(),
        troubles: [].into(),
    };
    let services = plan.services.iter().map(|(name, service)| (name.clone(), of(service))).collect();
    let node = NodeFacts { boot_id: BootId::from(boot), ..NodeFacts::default() };
    NodeReport { node, services }
}

#[test]
fn reports_of_an_earlier_boot_count_as_absent() {
    let (_, slices) = split();
    let node = NodeName::from("director-1");
    let (_, old) = report::split(&node, &report_of("before"), &slices);
    let (of_node, new) = report::split(&node, &report_of("after"), &slices);
    // After the reboot the first slice was reported again, the others not yet.
    let statuses = std::iter::once(&new[0].status).chain(old[1..].iter().map(|slice| &slice.status));
    let report = report::assemble(Some(&of_node.status), statuses).unwrap();
    assert_eq!(report.services.len(), slices[0].spec.services.len());
}

#[test]
fn a_report_that_cannot_be_read_counts_as_absent() {
    let (_, slices) = split();
    let (of_node, mut of_slices) = report::split(&NodeName::from("director-1"), &report_of("now"), &slices);
    let status = &mut of_slices[0].status;
    let name = status.services.keys().next().unwrap().clone();
    let newer =
        json!({"revision": "1-0", "applied": true, "troubles": [{"reason": "SomethingNew", "message": ""}]});
    status.services.insert(name, serde_json::from_value(newer).unwrap());
    let statuses: Vec<&NodePlanSliceStatus> = of_slices.iter().map(|slice| &slice.status).collect();
    assert_eq!(report::assemble(Some(&of_node.status), statuses).unwrap().services.len(), 2_999);
    assert_eq!(report::assemble(None, []), None);
    let nonsense: AsWritten<NodeFacts> = serde_json::from_value(json!({"epoch": "three"})).unwrap();
    assert_eq!(report::assemble(Some(&nonsense), []), None);
}
