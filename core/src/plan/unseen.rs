//! What an incomplete snapshot may hide: then no plan is made, because absence would be taken for an intent.

use std::collections::BTreeSet;
use std::fmt;

use crate::cluster::Cluster;
use crate::names::{GroupName, NodeName};

/// Nodes and groups that the previous plans speak of, and that may stand in a manifest which cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// Nodes; without them their plans would be removed, and VIPs would move away from them.
    pub nodes: BTreeSet<NodeName>,
    /// Groups; without them their settings would be given back.
    pub groups: BTreeSet<GroupName>,
}

/// Why nothing must be decided from a snapshot; `None` where it is complete, or shows all that the plans speak of.
#[must_use]
pub fn unseen(cluster: &Cluster) -> Option<Unseen> {
    if cluster.complete {
        return None;
    }
    let parts = cluster.previous.values().flat_map(|plan| plan.services.values());
    let groups = parts.flat_map(|part| part.vips.values()).map(|duty| &duty.group);
    let unseen = Unseen {
        nodes: cluster.previous.keys().filter(|node| !cluster.nodes.contains_key(*node)).cloned().collect(),
        groups: groups.filter(|group| !cluster.groups.contains_key(*group)).cloned().collect(),
    };
    (!unseen.nodes.is_empty() || !unseen.groups.is_empty()).then_some(unseen)
}

impl fmt::Display for Unseen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = self.nodes.iter().map(|node| format!("Node {node}"));
        let groups = self.groups.iter().map(|group| format!("DirectorGroup {group}"));
        let all: Vec<String> = nodes.chain(groups).collect();
        write!(
            formatter,
            "not every manifest can be read, and {} may stand in one that cannot: plans stay as they are until it can",
            all.join(", ")
        )
    }
}
