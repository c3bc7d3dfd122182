//! Nothing is lost between a value and its objects, whether they go as JSON or as YAML.

use lvs_core::names::NodeName;
use lvs_core::node_plan::NodePlan as Plan;
use lvs_crds::{NodePlan, NodePlanSlice, StatusOnly, plan, report};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

use crate::worlds;

fn node() -> NodeName {
    NodeName::from("director-1")
}

fn by_json<T: Serialize + DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

fn by_yaml<T: Serialize + DeserializeOwned>(value: &T) -> T {
    serde_saphyr::from_str(&serde_saphyr::to_string(value).unwrap()).unwrap()
}

fn assembled(plan: &NodePlan, slices: &[NodePlanSlice]) -> Plan {
    let (plan, faults) = plan::assemble(plan, slices);
    assert_eq!(faults, []);
    plan
}

proptest! {
    #[test]
    fn a_plan_comes_back(plan in worlds::plan()) {
        let (object, slices) = plan::split(&node(), &plan);
        prop_assert_eq!(&assembled(&object, &slices), &plan);
        let through_json: Vec<_> = slices.iter().map(by_json).collect();
        prop_assert_eq!(&assembled(&by_json(&object), &through_json), &plan);
        let through_yaml: Vec<_> = slices.iter().map(by_yaml).collect();
        prop_assert_eq!(&assembled(&by_yaml(&object), &through_yaml), &plan);
    }

    #[test]
    fn a_report_comes_back((plan, report) in worlds::plan_with_report()) {
        let (_, slices) = plan::split(&node(), &plan);
        let (of_node, of_slices) = report::split(&node(), &report, &slices);
        let of_node: StatusOnly<NodePlan> = by_yaml(&of_node);
        let of_slices: Vec<StatusOnly<NodePlanSlice>> = of_slices.iter().map(by_json).collect();
        let back = report::assemble(Some(&of_node.status), of_slices.iter().map(|slice| &slice.status));
        prop_assert_eq!(back, Some(report));
    }
}

#[test]
fn a_large_plan_has_several_slices_of_bounded_size() {
    for services in [1, 500, 3_000] {
        let plan = worlds::large_plan(services);
        let (object, slices) = plan::split(&node(), &plan);
        assert_eq!(assembled(&object, &slices), plan);
        let whole = serde_json::to_string(&plan.services).unwrap().len();
        assert_eq!(slices.len() > 1, whole > 256 * 1024, "{services} services in {} slices", slices.len());
        for slice in &slices {
            let size = serde_json::to_string(&slice.spec.services).unwrap().len();
            assert!(size <= 256 * 1024, "{services} services: {size} bytes");
        }
    }
}

#[test]
fn a_plan_without_services_has_no_slice() {
    let (object, slices) = plan::split(&node(), &Plan::empty(7, "uid"));
    assert_eq!((object.spec.slices.len(), slices.len()), (0, 0));
    assert_eq!(assembled(&object, &slices), Plan::empty(7, "uid"));
}

#[test]
fn one_changed_service_changes_one_slice() {
    let plan = worlds::large_plan(3_000);
    let mut edited = plan.clone();
    Arc::make_mut(edited.services.values_mut().next().unwrap()).uid =
        "11111111-1111-1111-1111-111111111111".to_owned();
    let (_, before) = plan::split(&node(), &plan);
    let (_, after) = plan::split(&node(), &edited);
    let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count();
    assert_eq!((before.len() == after.len(), changed), (true, 1));
}
