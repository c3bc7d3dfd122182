//! The difference in some virtual servers, where nothing else follows from it.

use std::collections::BTreeSet;

use super::diff;
use crate::custody::{Custody, Item};
use crate::ipvs::VirtualServerKey;
use crate::kernel::Kernel;
use crate::wanted::{Hold, Part, Phase, Scope, Wanted};

/// The phases that make some virtual servers what is wanted, after something about them alone has changed: what
/// [`diff`] would make of everything, where nothing was left to do before. `holds` are those of then.
///
/// `None` where one of them is or was held. Then more than itself may follow: a VIP whose only virtual server is somebody
/// else's is not held by this node.
#[must_use]
pub fn diff_servers(
    wanted: &Wanted,
    have: &Kernel,
    owned: &Custody,
    servers: BTreeSet<VirtualServerKey>,
    holds: &[Hold],
) -> Option<Vec<Phase>> {
    let held = |hold: &Hold| match hold.item {
        Item::VirtualServer(key) | Item::Destination(key, _) => servers.contains(&key),
        _ => false,
    };
    if holds.iter().any(held) {
        return None;
    }
    let (phases, holds) = diff(wanted, have, owned, &Scope::Part(Part { vips: BTreeSet::new(), servers }));
    holds.is_empty().then_some(phases)
}
