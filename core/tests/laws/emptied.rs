//! Once everything has left, a node is as it was found.

use lvs_core::node_plan::NodePlan;
use proptest::prelude::*;

use crate::node::Node;
use crate::world::world;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn an_emptied_node_is_as_it_was_found(world in world()) {
        let mut node = Node::new(&world);
        for plan in &world.plans {
            node.settle(plan);
        }
        let nothing = NodePlan::empty(1, "lineage");
        let view = node.settle(&nothing);
        prop_assert_eq!(&node.kernel, &node.expected_in_the_end());
        prop_assert!(node.custody.is_clean());
        prop_assert!(node.report(&nothing, &view).node.clean);
    }
}
