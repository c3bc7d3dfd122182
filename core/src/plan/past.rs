//! What is known of the nodes: their previous plans and what they have reported of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::cluster::Cluster;
use crate::names::{NodeName, RealServerKey, ServiceName};
use crate::node_plan::{PlannedRealServer, PlannedService, PlannedVip, StageName};
use crate::node_report::{NodeReport, ServiceReport, VipReport};

/// The previous parts, by service and by VIP, with the reports that speak of them.
pub(super) struct Past<'a> {
    cluster: &'a Cluster,
    parts: BTreeMap<&'a ServiceName, BTreeMap<&'a NodeName, &'a PlannedService>>,
    vips: BTreeMap<IpAddr, BTreeSet<(&'a NodeName, &'a ServiceName)>>,
}

impl<'a> Past<'a> {
    /// Indexes the previous plans. Parts of nodes whose Node object is gone count as acknowledged, so they are left out.
    pub(super) fn of(cluster: &'a Cluster) -> Self {
        let mut past = Self { cluster, parts: BTreeMap::new(), vips: BTreeMap::new() };
        let there = cluster.previous.iter().filter(|(node, _)| cluster.nodes.contains_key(*node));
        for (node, plan) in there {
            for (service, part) in &plan.services {
                past.parts.entry(service).or_default().insert(node, part);
                for vip in part.vips.keys() {
                    past.vips.entry(*vip).or_default().insert((node, service));
                }
            }
        }
        past
    }

    /// The previous parts of a service.
    pub(super) fn parts(
        &self,
        service: &ServiceName,
    ) -> impl Iterator<Item = (&'a NodeName, &'a PlannedService)> {
        self.parts.get(service).into_iter().flatten().map(|(node, part)| (*node, *part))
    }

    /// The previous part of a service on one node.
    pub(super) fn part(&self, service: &ServiceName, node: &NodeName) -> Option<&'a PlannedService> {
        self.parts.get(service)?.get(node).copied()
    }

    /// The marks of the previous plans, by service, also where the service is on its way out or its node gone.
    pub(super) fn marks(&self) -> BTreeSet<(&'a ServiceName, u32)> {
        let plans = self.cluster.previous.values().flat_map(|plan| &plan.services);
        plans.filter_map(|(name, part)| Some((name, part.form.as_ref()?.mark?))).collect()
    }

    /// Services of the previous plans that have no manifest any more.
    pub(super) fn departed(&self, cluster: &'a Cluster) -> impl Iterator<Item = &'a ServiceName> {
        self.parts
            .keys()
            .copied()
            .filter(|service| cluster.withdraw || !cluster.services.contains_key(*service))
    }

    /// Every previous (node, service, duty) for a VIP.
    pub(super) fn duties(
        &self,
        vip: IpAddr,
    ) -> impl Iterator<Item = (&'a NodeName, &'a ServiceName, &'a PlannedVip)> {
        let entries = self.vips.get(&vip).into_iter().flatten();
        entries.filter_map(move |(node, service)| {
            Some((*node, *service, self.part(service, node)?.vips.get(&vip)?))
        })
    }

    /// The report of a node, unless it comes from another boot than the Node's present one, or speaks of plans of
    /// another lineage.
    pub(super) fn report(&self, node: &NodeName) -> Option<&'a NodeReport> {
        let report = self.cluster.reports.get(node)?;
        let boot = self.cluster.nodes.get(node)?.boot_id.as_ref();
        let lineage = self.cluster.previous.get(node).map(|plan| &plan.lineage);
        let present = boot.is_none_or(|boot| *boot == report.node.boot_id);
        let ours = lineage.is_none_or(|lineage| *lineage == report.node.lineage);
        (present && ours).then_some(report)
    }

    /// The addresses of a node, as its agent last said; those of another boot too, because they mostly stay.
    pub(super) fn addresses(&self, node: &NodeName) -> BTreeSet<IpAddr> {
        let links = self.cluster.reports.get(node).into_iter().flat_map(|report| report.node.links.values());
        links.flat_map(|link| &link.addresses).map(|prefix| prefix.address).collect()
    }

    /// A node's valid report on one service.
    pub(super) fn service_report(&self, service: &ServiceName, node: &NodeName) -> Option<&'a ServiceReport> {
        self.report(node)?.services.get(service)
    }

    /// A node's valid report on one VIP of a service.
    pub(super) fn vip_report(
        &self,
        service: &ServiceName,
        node: &NodeName,
        vip: IpAddr,
    ) -> Option<VipReport> {
        self.service_report(service, node)?.vips.get(&vip).copied()
    }

    /// Whether a node has reported the very revision of its previous part.
    pub(super) fn reported(&self, service: &ServiceName, node: &NodeName) -> bool {
        let revision = self.part(service, node).map(|part| part.revision);
        revision.is_some() && self.service_report(service, node).map(|report| report.revision) == revision
    }

    /// Whether a node has reported that the very revision of its previous part is in place.
    pub(super) fn acknowledged(&self, service: &ServiceName, node: &NodeName) -> bool {
        self.reported(service, node)
            && self.service_report(service, node).is_some_and(|report| report.applied)
    }

    /// Nodes that had the service's IPVS entries, or were to have them, and have not acknowledged their present part.
    pub(super) fn unacknowledged_directors(&self, service: &ServiceName) -> BTreeSet<&'a NodeName> {
        self.parts(service)
            .filter(|(node, part)| part.form.is_some() && !self.acknowledged(service, node))
            .map(|(node, _)| node)
            .collect()
    }

    /// Whether a node is believed to be alive: its Node is there and not known to be unready.
    pub(super) fn alive(&self, node: &NodeName) -> bool {
        self.cluster.nodes.get(node).is_some_and(|node| node.ready.unwrap_or(true))
    }

    /// The real servers of the previous plans. Plans of several directors can differ where an operator stopped while
    /// it wrote; then the stage counts that sends the most.
    pub(super) fn real_servers(
        &self,
        service: &ServiceName,
    ) -> BTreeMap<&'a RealServerKey, &'a PlannedRealServer> {
        let mut merged: BTreeMap<&RealServerKey, &PlannedRealServer> = BTreeMap::new();
        let forms = self.parts(service).filter_map(|(_, part)| part.form.as_ref());
        for (key, server) in forms.flat_map(|form| &form.real_servers) {
            let kept = merged.entry(key).or_insert(server);
            if sends(server.stage.name) > sends(kept.stage.name) {
                *kept = server;
            }
        }
        merged
    }
}

fn sends(stage: StageName) -> u8 {
    match stage {
        StageName::Removed => 0,
        StageName::Pending => 1,
        StageName::Quiesced => 2,
        StageName::Serving => 3,
    }
}
