//! Partial safety: stopped after any step, or refused any set of operations, a node is safe, and goes on from there.

use lvs_core::node_plan::NodePlan;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::node::{Fault, Node};
use crate::world::world;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// `Node::assert_safe` runs after every step of what is tried here.
    #[test]
    fn a_node_is_safe_whatever_goes_wrong(world in world(), faults in vec(fault(), 3)) {
        let mut node = Node::new(&world);
        for (plan, fault) in world.plans.iter().zip(&faults) {
            node.suffer(plan, fault);
        }
        for plan in &world.plans {
            node.settle(plan);
        }
    }

    #[test]
    fn an_interrupted_node_is_emptied_as_it_was_found(world in world(), faults in vec(fault(), 4)) {
        let mut node = Node::new(&world);
        let nothing = NodePlan::empty(1, "lineage");
        for (plan, fault) in world.plans.iter().chain([&nothing]).zip(&faults) {
            node.suffer(plan, fault);
        }
        node.settle(&nothing);
        prop_assert_eq!(&node.kernel, &node.expected_in_the_end());
        prop_assert!(node.custody.is_clean());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Killed after each step in turn: none is left out by chance.
    #[test]
    fn a_node_killed_at_every_step_goes_on(world in world()) {
        let mut settled = Node::new(&world);
        let nothing = NodePlan::empty(1, "lineage");
        for plan in world.plans.iter().chain([&nothing]) {
            for stop_after in 0.. {
                let mut node = settled.clone();
                let killed = node.suffer(plan, &Fault { stop_after: Some(stop_after), refused: Vec::new() });
                node.settle(&nothing);
                prop_assert_eq!(&node.kernel, &node.expected_in_the_end());
                if !killed {
                    break;
                }
            }
            settled.settle(plan);
        }
    }
}

fn fault() -> impl Strategy<Value = Fault> {
    let stop = (0..40_usize).prop_map(|step| Fault { stop_after: Some(step), refused: Vec::new() });
    let refuse =
        vec(prop::bool::weighted(0.3), 0..40).prop_map(|refused| Fault { stop_after: None, refused });
    let both = (0..40_usize, vec(any::<bool>(), 0..40))
        .prop_map(|(step, refused)| Fault { stop_after: Some(step), refused });
    prop_oneof![stop, refuse, both]
}
