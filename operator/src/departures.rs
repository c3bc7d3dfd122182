//! Services that leave, said once when they begin to and once when they have.

use std::collections::{BTreeMap, BTreeSet};

use lvs_core::cluster::Cluster;
use lvs_core::names::{NodeName, ServiceName};
use lvs_core::plan::Plan;

/// The services that are known to be on their way out.
#[derive(Debug, Default)]
pub(crate) struct Departures(BTreeSet<ServiceName>);

impl Departures {
    /// What is new about services without a manifest. `gone` says what became of it.
    pub(crate) fn news(&mut self, cluster: &Cluster, plan: &Plan, gone: &str) -> Vec<String> {
        let leaving = leaving(cluster, plan);
        let begun = leaving.iter().filter(|(name, _)| !self.0.contains(*name));
        let mut news: Vec<String> = begun
            .map(|(name, nodes)| {
                let nodes: Vec<&str> = nodes.iter().map(|node| node.0.as_str()).collect();
                format!("VirtualService {name} {gone}: it leaves {}", nodes.join(", "))
            })
            .collect();
        // One whose manifest is there again, or may be, has not left.
        let done = self.0.iter().filter(|name| !leaving.contains_key(name) && is_gone(cluster, name));
        news.extend(done.map(|name| format!("VirtualService {name} has left every node")));
        self.0 = leaving.into_keys().collect();
        news
    }

    /// Forgets everything: another tells from now on.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

fn leaving(cluster: &Cluster, plan: &Plan) -> BTreeMap<ServiceName, BTreeSet<NodeName>> {
    let mut leaving: BTreeMap<ServiceName, BTreeSet<NodeName>> = BTreeMap::new();
    for (node, plan) in &plan.nodes {
        for name in plan.services.keys().filter(|name| is_gone(cluster, name)) {
            leaving.entry(name.clone()).or_default().insert(node.clone());
        }
    }
    leaving
}

fn is_gone(cluster: &Cluster, name: &ServiceName) -> bool {
    cluster.complete && !cluster.services.contains_key(name)
}

#[cfg(test)]
mod tests {
    use lvs_core::node_plan::{NodePlan, PlannedService};

    use super::*;

    fn plan(nodes: &[&str]) -> Plan {
        let mut plan = Plan::default();
        for node in nodes {
            let mut part = NodePlan::empty(1, "");
            part.services.insert(ServiceName::new("shop", "web"), PlannedService::idle("uid").into());
            plan.nodes.insert(NodeName::from(*node), part);
        }
        plan
    }

    #[test]
    fn a_service_that_leaves_is_told_of_twice() {
        let cluster = Cluster { complete: true, ..Cluster::default() };
        let mut departures = Departures::default();
        let mut news = |nodes: &[&str]| departures.news(&cluster, &plan(nodes), "was deleted");
        assert_eq!(news(&["a", "b"]), ["VirtualService shop/web was deleted: it leaves a, b"]);
        assert_eq!(news(&["a", "b"]), [""; 0]);
        assert_eq!(news(&["b"]), [""; 0]);
        assert_eq!(news(&[]), ["VirtualService shop/web has left every node"]);
        assert_eq!(news(&[]), [""; 0]);
    }

    #[test]
    fn a_service_that_may_stand_in_an_unreadable_manifest_has_not_left() {
        let mut cluster = Cluster { complete: true, ..Cluster::default() };
        let mut departures = Departures::default();
        departures.news(&cluster, &plan(&["a"]), "is gone");
        cluster.complete = false;
        assert_eq!(departures.news(&cluster, &plan(&[]), "is gone"), [""; 0]);
    }
}
