//! What `diff` finds for some VIPs is what it finds for them in everything.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lvs_core::diff::diff;
use lvs_core::kernel::Op;
use lvs_core::wanted::{Part, PhaseName, Scope};
use proptest::prelude::*;
use proptest::sample::subsequence;

use crate::node::{Fault, Node};
use crate::world::{VIPS, address, world};

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_scope_is_a_part_of_the_whole(world in world(), some in subsequence(&VIPS[..], 0..=VIPS.len()), step in 0..30_usize) {
        let mut node = Node::new(&world);
        let vips: BTreeSet<IpAddr> = some.into_iter().map(address).collect();
        let scope = Scope::Part(Part { vips: vips.clone(), servers: BTreeSet::new() });
        for plan in &world.plans {
            let view = node.view(plan);
            let (phases, holds) = diff(&view.wanted, &node.kernel, &node.custody, &scope);
            let of_vips = |op: &Op| op.vip().is_some_and(|vip| vips.contains(&vip));
            let part: Vec<(PhaseName, Op)> = phases
                .iter()
                .flat_map(|phase| phase.ops.iter().map(|op| (phase.name, *op)))
                .filter(|(name, _)| *name != PhaseName::Hide)
                .collect();
            let whole: Vec<(PhaseName, Op)> = view.phases
                .iter()
                .flat_map(|phase| phase.ops.iter().map(|op| (phase.name, *op)))
                .filter(|(_, op)| of_vips(op))
                .collect();
            prop_assert_eq!(part, whole);
            prop_assert!(holds.iter().all(|hold| view.holds.contains(hold)));
            node.suffer(plan, &Fault { stop_after: Some(step), refused: Vec::new() });
        }
    }
}
