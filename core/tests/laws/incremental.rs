//! What is concluded from a change alone is what is concluded from the whole.

use std::collections::BTreeSet;
use std::sync::Arc;

use lvs_core::addresses::Addresses;
use lvs_core::diff::{diff, diff_servers};
use lvs_core::node_plan::{NodePlan, PlannedService, Revision};
use lvs_core::render::{Before, changed_parts, other_forms};
use lvs_core::report;
use lvs_core::wanted::Scope;
use proptest::prelude::*;

use crate::node::{Node, rendered};
use crate::world::{OWN_MARKS, world};

/// How one service's form is to change.
#[derive(Clone, Debug)]
struct Edit {
    service: prop::sample::Index,
    real_server: prop::sample::Index,
    weight: u32,
    what: u8,
}

fn edit() -> impl Strategy<Value = Edit> {
    (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..9_u32, 0..6_u8)
        .prop_map(|(service, real_server, weight, what)| Edit { service, real_server, weight, what })
}

/// The plan after an edit, and what of it was otherwise before.
fn edited(plan: &NodePlan, edit: &Edit) -> Option<(NodePlan, Before)> {
    let name = edit.service.get(&plan.services.keys().collect::<Vec<_>>().clone()).to_owned().clone();
    let before = plan.services[&name].clone();
    let mut part: PlannedService = (*before).clone();
    let form = part.form.as_mut()?;
    let key = (!form.real_servers.is_empty())
        .then(|| (*edit.real_server.get(&form.real_servers.keys().collect::<Vec<_>>())).clone());
    match (edit.what, key) {
        (0, _) => form.scheduling.scheduler = "sh".parse().unwrap(),
        (1, Some(key)) => _ = form.real_servers.remove(&key),
        (2, Some(key)) => form.real_servers.get_mut(&key)?.admitted = Addresses::default(),
        (5, _) => {
            let [one, other] = OWN_MARKS;
            form.mark = match form.mark {
                None => Some(100),
                Some(100) => Some(101),
                Some(mark) if mark == one => Some(other),
                Some(mark) if mark == other => Some(one),
                Some(_) => None,
            };
        }
        (3, _) => form.ports = form.ports.iter().take(1).copied().collect(),
        (_, Some(key)) => form.real_servers.get_mut(&key)?.weight = edit.weight,
        _ => {}
    }
    part.revision = Revision::after(Some(&before), &part);
    let mut edited = plan.clone();
    edited.services.insert(name.clone(), Arc::new(part));
    let changed = changed_parts(plan, &edited).unwrap();
    assert_eq!(changed.get(&name), (edited.services[&name] != before).then_some(&before));
    assert!(changed.len() <= 1);
    Some((edited, changed))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Over a node that has come to rest: what the forms alone lead to is wanted, left to do, held and reported as from
    /// scratch.
    #[test]
    fn another_form_costs_no_more_than_itself_and_leads_to_the_same(world in world(), edits in prop::collection::vec(edit(), 1..4)) {
        let mut node = Node::new(&world);
        for plan in world.plans.iter().filter(|plan| !plan.services.is_empty()) {
            let mut plan = plan.clone();
            for edit in &edits {
                let view = node.settle(&plan);
                let mut reported = node.report(&plan, &view);
                let Some((next, before)) = edited(&plan, edit) else { continue };
                let mut wanted = view.wanted.clone();
                let Some(keys) = other_forms(&next, &view.local, &before, &mut wanted) else {
                    prop_assert_eq!(&wanted, &view.wanted);
                    plan = next;
                    continue;
                };
                prop_assert_eq!(&wanted, &rendered(&next, &view.local, node.now));
                let (whole, holds) = diff(&wanted, &node.kernel, &node.custody, &Scope::Everything);
                if let Some(phases) = diff_servers(&wanted, &node.kernel, &node.custody, keys, &view.holds) {
                    prop_assert_eq!(phases, whole);
                    prop_assert_eq!(&holds, &view.holds);
                }
                let view = node.settle(&next);
                let services: BTreeSet<_> = before.keys().cloned().collect();
                if node.failures.is_empty() && report::update(
                    &mut reported, &next, &view.wanted, &node.kernel, &node.custody, &view.holds, &services,
                ) {
                    prop_assert_eq!(&reported, &node.report(&next, &view));
                }
                plan = next;
            }
        }
    }
}
