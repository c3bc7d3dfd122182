//! Where a plan ends up if every agent does as it is told and says so.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Plan, plan};
use crate::cluster::Cluster;
use crate::names::{BootId, NodeName};
use crate::network::{Family, Prefix};
use crate::node_plan::{NodePlan, PlannedService};
use crate::node_report::{NodeReport, ReportedLink, ServiceReport, VipReport};
use crate::time::Time;

/// Longer than any conversation between plan and reports: a move in which both directors are real servers takes eight.
const MOST_STEPS: usize = 32;

/// The plan that stays the same once every agent has reported success. Facts that nodes have reported are kept; a node
/// without a report is supposed to have its `InternalIPs`, and routes by all others.
#[must_use]
pub fn settled(cluster: &Cluster, now: Time) -> Plan {
    let mut cluster = cluster.clone();
    let mut next = plan(&cluster, now).0;
    for _ in 0..MOST_STEPS {
        cluster.reports = successes(&cluster, &next.nodes);
        cluster.previous.clone_from(&next.nodes);
        let following = plan(&cluster, now).0;
        if following == next {
            break;
        }
        next = following;
    }
    next
}

/// What every node would report once its plan is in place.
fn successes(cluster: &Cluster, plans: &BTreeMap<NodeName, NodePlan>) -> BTreeMap<NodeName, NodeReport> {
    let success = |(node, plan): (&NodeName, &NodePlan)| {
        let mut report = cluster.reports.get(node).cloned().unwrap_or_else(|| supposed(cluster, node));
        let present = cluster.nodes.get(node).and_then(|node| node.boot_id.clone());
        report.node.boot_id = present.unwrap_or_else(|| BootId::from("supposed"));
        report.node.lineage.clone_from(&plan.lineage);
        report.node.epoch = plan.epoch;
        report.node.clean = plan.services.is_empty();
        report.services = plan.services.iter().map(|(name, part)| (name.clone(), done(part))).collect();
        (node.clone(), report)
    };
    plans.iter().map(success).collect()
}

/// What a node would report of itself that has said nothing yet.
fn supposed(cluster: &Cluster, node: &NodeName) -> NodeReport {
    let own = cluster.nodes.get(node).map(|node| node.internal_ips.clone()).unwrap_or_default();
    let all = cluster.nodes.values().flat_map(|node| &node.internal_ips);
    let host = |address: &IpAddr| Prefix { address: *address, length: Family::of(*address).host_length() };
    let link = ReportedLink { addresses: own.iter().map(host).collect(), ..ReportedLink::default() };
    let mut report = NodeReport::default();
    report.node.gateways = all.filter(|address| !own.contains(*address)).copied().collect();
    report.node.links = "supposed".parse().map(|name| (name, link)).into_iter().collect();
    report
}

fn done(part: &PlannedService) -> ServiceReport {
    let vips = part.vips.iter().map(|(vip, duty)| {
        let report =
            VipReport { bound: duty.accept, hidden: true, held: duty.attract, forwarding: duty.forward };
        (*vip, report)
    });
    ServiceReport {
        revision: part.revision,
        applied: true,
        vips: vips.collect(),
        receives: part.receive.clone(),
        redirects: part.redirect.clone(),
        counters_zeroed: None,
        troubles: BTreeSet::new(),
    }
}
