//! Which director holds each VIP: a sticky, deterministic choice that moves only after the old holder has let go.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use siphasher::sip::SipHasher13;

use super::draft::{Draft, Place};
use super::past::Past;
use crate::cluster::Cluster;
use crate::names::{NodeName, ServiceName};
use crate::reason::Reason;

/// Where a VIP is and where it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Holding {
    /// The director that holds it, or is to hold it next.
    pub(super) desired: Option<NodeName>,
    /// The one director whose plan may attract it now.
    pub(super) attractor: Option<NodeName>,
    /// Whether `desired` has reported that it holds the VIP.
    pub(super) arrived: bool,
    /// Why it is not simply held.
    pub(super) trouble: Option<(Reason, String)>,
}

impl Holding {
    /// The director by which packets for the VIP come in now, or will.
    pub(super) fn director(&self) -> Option<&NodeName> {
        self.attractor.as_ref().or(self.desired.as_ref())
    }
}

/// The holding of every VIP that is in force.
pub(super) fn holders(
    cluster: &Cluster,
    past: &Past<'_>,
    drafts: &BTreeMap<ServiceName, Draft>,
) -> BTreeMap<IpAddr, Holding> {
    let held = held_by_report(cluster);
    let mut places: BTreeMap<IpAddr, (&Place, Vec<&ServiceName>)> = BTreeMap::new();
    for (name, draft) in drafts {
        for (vip, place) in draft.in_force.iter().flat_map(|form| &form.vips) {
            places.entry(*vip).or_insert_with(|| (place, Vec::new())).1.push(name);
        }
    }
    let nobody = BTreeSet::new();
    places
        .into_iter()
        .map(|(vip, (place, services))| {
            let held = held.get(&vip).unwrap_or(&nobody);
            let choice = Choice { cluster, past, vip, place, services, held };
            (vip, choice.holding())
        })
        .collect()
}

/// Who has ever reported to hold each VIP and not reported otherwise since, from whichever boot: that a node has
/// rebooted proves nothing, because an agent attracts from its disk copy.
fn held_by_report(cluster: &Cluster) -> BTreeMap<IpAddr, BTreeSet<&NodeName>> {
    let mut held: BTreeMap<IpAddr, BTreeSet<&NodeName>> = BTreeMap::new();
    for (node, report) in cluster.reports.iter().filter(|(node, _)| cluster.nodes.contains_key(*node)) {
        for (vip, _) in report.services.values().flat_map(|service| &service.vips).filter(|(_, vip)| vip.held)
        {
            held.entry(*vip).or_default().insert(node);
        }
    }
    held
}

struct Choice<'a> {
    cluster: &'a Cluster,
    past: &'a Past<'a>,
    vip: IpAddr,
    place: &'a Place,
    services: Vec<&'a ServiceName>,
    held: &'a BTreeSet<&'a NodeName>,
}

impl<'a> Choice<'a> {
    fn holding(&self) -> Holding {
        if let Some(sticky) = self.attracting().find(|node| self.place.directors.contains(*node)) {
            return self.stay(sticky);
        }
        let leaving = self.attracting().next();
        let Some(next) = self.eligible() else { return self.nobody(leaving) };
        let others = self.present().into_iter().filter(|node| *node != next);
        let others: Vec<&NodeName> = others.collect();
        if let Some(old) = leaving.filter(|_| !self.programmed(next)) {
            let message =
                format!("{} moves from {old} to {next}: {next} has not programmed it yet.", self.vip);
            return self.moving(next, Some(old), (Reason::HolderMoving, message));
        }
        if let Some(old) = others.first() {
            return self.moving(next, None, self.waiting_for(old, next));
        }
        let trouble = (!self.arrived(next)).then(|| {
            (Reason::HolderPending, format!("{next} has not reported yet that it holds {}.", self.vip))
        });
        Holding {
            desired: Some(next.clone()),
            attractor: Some(next.clone()),
            arrived: self.arrived(next),
            trouble,
        }
    }

    fn stay(&self, holder: &NodeName) -> Holding {
        let trouble = if self.past.alive(holder) {
            (!self.arrived(holder)).then(|| {
                (Reason::HolderPending, format!("{holder} has not reported yet that it holds {}.", self.vip))
            })
        } else {
            Some(self.unreachable(holder))
        };
        let name = Some(holder.clone());
        Holding { desired: name.clone(), attractor: name, arrived: self.arrived(holder), trouble }
    }

    /// Nobody can take the VIP: who has it keeps it.
    fn nobody(&self, leaving: Option<&NodeName>) -> Holding {
        let message = format!(
            "No director of DirectorGroup {} is ready and has reported, so nobody can hold {}.",
            self.place.group, self.vip
        );
        let reason = if self.place.directors.is_empty() { Reason::NoDirector } else { Reason::HolderPending };
        let arrived = leaving.is_some_and(|node| self.arrived(node));
        let name = leaving.cloned();
        Holding { desired: name.clone(), attractor: name, arrived, trouble: Some((reason, message)) }
    }

    fn moving(&self, next: &NodeName, attractor: Option<&NodeName>, trouble: (Reason, String)) -> Holding {
        let arrived = self.arrived(next);
        Holding {
            desired: Some(next.clone()),
            attractor: attractor.cloned(),
            arrived,
            trouble: Some(trouble),
        }
    }

    fn waiting_for(&self, old: &NodeName, next: &NodeName) -> (Reason, String) {
        if !self.past.alive(old) {
            return self.unreachable(old);
        }
        let message = format!("{} moves to {next}: {old} has not reported yet that it let go.", self.vip);
        (Reason::HolderMoving, message)
    }

    fn unreachable(&self, holder: &NodeName) -> (Reason, String) {
        let boot =
            self.cluster.reports.get(holder).map(|report| report.node.boot_id.0.as_str()).unwrap_or_default();
        let message = format!(
            "{holder} holds {} and is not ready. Once it is certain that its boot is over, annotate DirectorGroup {} \
             with lvs-operator.io/force-move={holder}={boot}.",
            self.vip, self.place.group
        );
        (Reason::HolderUnreachable, message)
    }

    /// Nodes whose previous plan attracts the VIP, in the order of their names.
    fn attracting(&self) -> impl Iterator<Item = &'a NodeName> {
        let duties = self.past.duties(self.vip).filter(|(node, _, duty)| duty.attract && !self.vouched(node));
        duties.map(|(node, ..)| node)
    }

    /// Nodes that may have the VIP on their uplink: planned to, withdrawing without having reported it, or reported.
    fn present(&self) -> BTreeSet<&'a NodeName> {
        let duties = self.past.duties(self.vip);
        let by_plan = duties.filter(|(node, service, duty)| {
            duty.attract || duty.withdrawing && !self.released(service, node)
        });
        let by_plan = by_plan.map(|(node, ..)| node);
        by_plan.chain(self.held.iter().copied()).filter(|node| !self.vouched(node)).collect()
    }

    fn released(&self, service: &ServiceName, node: &NodeName) -> bool {
        released(self.past, service, node, self.vip)
    }

    /// Whether somebody vouches that the boot in which a node held the VIP is over.
    fn vouched(&self, node: &NodeName) -> bool {
        let group = self.cluster.groups.get(&self.place.group);
        let Some(boot) = group.and_then(|group| group.force_move.get(node)) else { return false };
        let reported = self.cluster.reports.get(node).map(|report| &report.node.boot_id);
        let known = reported.or_else(|| self.cluster.nodes.get(node)?.boot_id.as_ref());
        known == Some(boot)
    }

    /// The director that takes the VIP where nobody has it: alive, heard of, and the lowest of a hash, so that VIPs
    /// spread over the directors and one director more or less moves few of them.
    fn eligible(&self) -> Option<&'a NodeName> {
        let able = |node: &&&NodeName| {
            self.past.alive(node) && self.past.report(node).is_some() && !self.vouched(node)
        };
        let directors: Vec<&NodeName> = self.place.directors.iter().collect();
        directors.iter().filter(able).min_by_key(|node| (weight(self.vip, node), **node)).copied()
    }

    /// Whether a director could forward the VIP's traffic from the first packet on.
    fn programmed(&self, node: &NodeName) -> bool {
        self.services.iter().all(|service| {
            let Some(duty) = self.past.part(service, node).and_then(|part| part.vips.get(&self.vip)) else {
                return false;
            };
            let report = self.past.vip_report(service, node, self.vip).unwrap_or_default();
            self.past.reported(service, node)
                && duty.accept
                && report.bound
                && (report.forwarding || !duty.forward)
        })
    }

    fn arrived(&self, node: &NodeName) -> bool {
        let report = self.past.report(node);
        report.is_some_and(|report| {
            report.services.values().any(|service| service.vips.get(&self.vip).is_some_and(|vip| vip.held))
        })
    }
}

/// Whether a node has reported, of the very part that let it withdraw, that the VIP is off its uplink.
pub(super) fn released(past: &Past<'_>, service: &ServiceName, node: &NodeName, vip: IpAddr) -> bool {
    past.reported(service, node) && !past.vip_report(service, node, vip).is_some_and(|report| report.held)
}

fn weight(vip: IpAddr, node: &NodeName) -> u64 {
    let mut hasher = SipHasher13::new();
    (vip, node).hash(&mut hasher);
    hasher.finish()
}
