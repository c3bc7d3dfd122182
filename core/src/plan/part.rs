//! The part of one service on each node that it concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::draft::{Form, Place};
use super::holder::{Holding, released};
use super::past::Past;
use crate::cluster::Cluster;
use crate::flat_map::FlatMap;
use crate::forwarding::{Forwarding, Reception};
use crate::names::{Feature, NodeName, RealServerKey, ServiceName};
use crate::network::Family;
use crate::node_plan::{PlannedRealServer, PlannedService, PlannedVip, Revision, ServiceForm};
use crate::redirection::Redirection;
use crate::scheduling::UdpScheduling;

/// The parts of a service, those included that only ask a node to leave. A node that has acknowledged that it left
/// has none any more.
pub(super) fn parts(
    cluster: &Cluster,
    past: &Past<'_>,
    service: &Service<'_>,
    servers: &FlatMap<RealServerKey, PlannedRealServer>,
    holders: &BTreeMap<IpAddr, Holding>,
) -> BTreeMap<NodeName, PlannedService> {
    let Service { name: service, draft, mark } = *service;
    let writer = Writer { past, service, draft, mark, servers, holders };
    let mut nodes: BTreeSet<&NodeName> = past.parts(service).map(|(node, _)| node).collect();
    nodes.extend(draft.into_iter().flat_map(|draft| draft.vips.values()).flat_map(|place| &place.directors));
    nodes.extend(servers.values().filter_map(|server| server.node.as_ref()));
    let there = nodes.into_iter().filter(|node| cluster.nodes.contains_key(*node));
    there.filter_map(|node| Some((node.clone(), writer.part(node)?))).collect()
}

/// A service as it is to be.
pub(super) struct Service<'a> {
    /// Its name.
    pub(super) name: &'a ServiceName,
    /// The form in force; `None` where it is to leave.
    pub(super) draft: Option<&'a Form>,
    /// Its firewall mark, where the form has one.
    pub(super) mark: Option<u32>,
}

struct Writer<'a> {
    past: &'a Past<'a>,
    service: &'a ServiceName,
    draft: Option<&'a Form>,
    mark: Option<u32>,
    servers: &'a FlatMap<RealServerKey, PlannedRealServer>,
    holders: &'a BTreeMap<IpAddr, Holding>,
}

impl Writer<'_> {
    fn part(&self, node: &NodeName) -> Option<PlannedService> {
        let previous = self.past.part(self.service, node);
        let mut vips = FlatMap::new();
        for (vip, place) in self.draft.into_iter().flat_map(|draft| &draft.vips) {
            let duty = self.duty(node, *vip, place, previous);
            if self.listed(node, *vip, &duty, previous) {
                vips.insert(*vip, duty);
            }
        }
        for (vip, duty) in previous.into_iter().flat_map(|part| &part.vips) {
            if !self.draft.is_some_and(|draft| draft.vips.contains_key(vip)) {
                let duty = self.departing(node, *vip, duty);
                if self.listed(node, *vip, &duty, previous) {
                    vips.insert(*vip, duty);
                }
            }
        }
        let uid = self.draft.map(|draft| &draft.uid).or_else(|| previous.map(|part| &part.uid))?;
        let mut part = PlannedService { vips, ..PlannedService::idle(uid) };
        part.form = self.form(node, &part, previous);
        part.receive = self.receive(node, &part, previous);
        part.redirect = self.redirect(node, &part, previous);
        let left = part.is_leaving()
            && previous
                .is_none_or(|previous| previous.is_leaving() && self.past.acknowledged(self.service, node));
        if left {
            return None;
        }
        part.requires = requires(&part);
        part.revision = Revision::after(previous, &part);
        Some(part)
    }

    /// The duty of a node for a VIP that is in force.
    fn duty(
        &self,
        node: &NodeName,
        vip: IpAddr,
        place: &Place,
        previous: Option<&PlannedService>,
    ) -> PlannedVip {
        let before = previous.and_then(|part| part.vips.get(&vip));
        let holding = self.holders.get(&vip);
        let attract = holding.is_some_and(|holding| holding.attractor.as_ref() == Some(node));
        let arrived = holding.is_some_and(|holding| holding.arrived);
        let held = before.is_some_and(|duty| duty.attract || duty.withdrawing);
        let is_director = place.directors.contains(node);
        // A holder that is no director any more stays ready until the next one has the VIP.
        let lingers = !is_director && held && (attract || !arrived);
        let directs = is_director || lingers;
        let serves = self.serves(node);
        let done = released(self.past, self.service, node, vip) && (is_director || arrived);
        PlannedVip {
            accept: directs || serves,
            attract,
            // A standby that is also a real server has no entries: it would send the holder's packets on.
            forward: directs && (!serves || attract),
            withdrawing: !attract && held && !done,
            group: place.group.clone(),
            pool: place.pool.clone(),
            interface: place.interface,
        }
    }

    /// The duty of a node for a VIP that leaves the service: a director lets go at once, a real server keeps the VIP
    /// until every director has reported that it sends nothing there any more.
    fn departing(&self, node: &NodeName, vip: IpAddr, before: &PlannedVip) -> PlannedVip {
        let held = before.attract || before.withdrawing;
        let only_serves = self.past.part(self.service, node).is_some_and(|part| part.form.is_none());
        PlannedVip {
            accept: before.accept && (only_serves || self.serves(node)) && !self.directors_let_go(vip),
            attract: false,
            forward: false,
            withdrawing: held && !released(self.past, self.service, node, vip),
            ..before.clone()
        }
    }

    /// Whether every director has acknowledged a part that forwards nothing for a VIP.
    fn directors_let_go(&self, vip: IpAddr) -> bool {
        self.past.parts(self.service).filter(|(_, part)| part.form.is_some()).all(|(node, part)| {
            let sends = part.vips.get(&vip).is_some_and(|duty| duty.forward || duty.attract);
            !sends && self.past.acknowledged(self.service, node)
        })
    }

    /// Whether a node has the VIPs as a real server: one that gets the packets as the client sent them. It keeps them when
    /// it is masqueraded from now on, until no director sends in the way of before any more.
    fn serves(&self, node: &NodeName) -> bool {
        let key = RealServerKey::Node(node.clone());
        let planned = self.servers.get(&key).map(|server| server.forwarding);
        let wanted =
            self.draft.and_then(|draft| draft.real_servers.get(&key)).map(|server| server.forwarding);
        let needs_vips = [planned, wanted].into_iter().flatten().any(|forwarding| !forwarding.rewrites());
        needs_vips || (planned.is_some() && self.lingers(node, &key))
    }

    /// Whether a node had the VIPs as a real server alone, and a director may still send to it there.
    fn lingers(&self, node: &NodeName, key: &RealServerKey) -> bool {
        let had = |part: &PlannedService| part.vips.values().any(|duty| duty.accept && !duty.forward);
        self.past.part(self.service, node).is_some_and(had)
            && self.past.parts(self.service).any(|(director, part)| {
                let Some(form) = &part.form else { return false };
                let as_it_is = form.real_servers.get(key).is_some_and(|server| !server.forwarding.rewrites());
                as_it_is || !self.past.acknowledged(self.service, director)
            })
    }

    /// What a real server redirects to ports of its own: what the manifest wants, else what it was told.
    fn redirect(
        &self,
        node: &NodeName,
        part: &PlannedService,
        previous: Option<&PlannedService>,
    ) -> BTreeSet<Redirection> {
        let key = RealServerKey::Node(node.clone());
        let accepted: Vec<IpAddr> =
            part.vips.iter().filter(|(_, duty)| duty.accept).map(|(vip, _)| *vip).collect();
        let needed = |forwarding: Forwarding, ports| -> Option<Vec<Redirection>> {
            let needed = accepted.iter().flat_map(move |vip| Redirection::needed(forwarding, ports, *vip));
            (!forwarding.rewrites()).then(|| needed.collect())
        };
        let wanted = self.draft.and_then(|draft| draft.real_servers.get(&key));
        let wanted = wanted.and_then(|server| needed(server.forwarding, &server.ports));
        let planned = self.servers.get(&key);
        let planned = || planned.and_then(|server| needed(server.forwarding, &server.ports));
        let before = || {
            let before = previous.into_iter().flat_map(|part| &part.redirect);
            before.filter(|redirection| accepted.contains(&redirection.vip)).copied().collect()
        };
        wanted.or_else(planned).unwrap_or_else(before).into_iter().collect()
    }

    /// The tunnels that a real server takes in: those by which it is sent to or is to be, and those of before until no
    /// director sends by them any more.
    fn receive(
        &self,
        node: &NodeName,
        part: &PlannedService,
        previous: Option<&PlannedService>,
    ) -> BTreeSet<Reception> {
        if part.is_leaving() {
            return BTreeSet::new();
        }
        let key = RealServerKey::Node(node.clone());
        let accepted = part.vips.iter().filter(|(_, duty)| duty.accept).map(|(vip, _)| Family::of(*vip));
        let families: BTreeSet<Family> = accepted.collect();
        let mut receive = BTreeSet::new();
        if let Some(server) = self.servers.get(&key) {
            receive.extend(server.forwarding.receptions(&server.addresses, families.iter().copied()));
        }
        if let Some(wanted) = self.draft.and_then(|draft| draft.real_servers.get(&key)) {
            receive.extend(wanted.forwarding.receptions(&wanted.addresses, families));
        }
        let before = previous.into_iter().flat_map(|part| &part.receive);
        receive.extend(before.filter(|reception| self.may_be_sent(&key, reception)));
        receive
    }

    /// Whether a director may still send to a real server by a tunnel of before.
    fn may_be_sent(&self, key: &RealServerKey, reception: &Reception) -> bool {
        self.past.parts(self.service).any(|(director, part)| {
            let Some(form) = &part.form else { return false };
            let families = part.vips.iter().filter(|(_, duty)| duty.forward).map(|(vip, _)| Family::of(*vip));
            let sends = form.real_servers.get(key).is_some_and(|server| {
                server.forwarding.receptions(&server.addresses, families).contains(reception)
            });
            sends || !self.past.acknowledged(self.service, director)
        })
    }

    /// Whether a VIP stands in the part: it has a duty, or its leaving is not acknowledged yet.
    fn listed(
        &self,
        node: &NodeName,
        vip: IpAddr,
        duty: &PlannedVip,
        previous: Option<&PlannedService>,
    ) -> bool {
        let Some(before) = previous.and_then(|part| part.vips.get(&vip)) else { return duty.has_duty() };
        let gone = !before.has_duty() && self.past.acknowledged(self.service, node);
        duty.has_duty() || duty.withdrawing || !gone
    }

    /// The form on a node that directs, or that did and has not acknowledged that its entries are gone.
    fn form(
        &self,
        node: &NodeName,
        part: &PlannedService,
        previous: Option<&PlannedService>,
    ) -> Option<ServiceForm> {
        let directs = |draft: &&Form| {
            draft.vips.iter().any(|(vip, place)| {
                place.directors.contains(node)
                    || part.vips.get(vip).is_some_and(|duty| duty.forward || duty.withdrawing)
            })
        };
        if let Some(draft) = self.draft.filter(directs) {
            return Some(ServiceForm {
                ports: draft.ports.clone(),
                mark: self.mark,
                scheduling: draft.scheduling.clone(),
                real_servers: self.servers.clone(),
                adopt: draft.adopt,
                zero_counters: draft.zero_counters.clone(),
            });
        }
        let before = previous?;
        let form = before.form.as_ref()?;
        let entries_gone =
            !before.vips.values().any(|duty| duty.forward) && self.past.acknowledged(self.service, node);
        let keeps = !entries_gone || part.is_leaving();
        keeps.then(|| ServiceForm { real_servers: self.servers.clone(), ..form.clone() })
    }
}

/// What an agent must know to do its part.
fn requires(part: &PlannedService) -> BTreeSet<Feature> {
    let tunnel = (!part.receive.is_empty()).then(|| Feature::from("Tunnel"));
    let redirection = (!part.redirect.is_empty()).then(|| Feature::from("PortRedirection"));
    let own = tunnel.into_iter().chain(redirection);
    let Some(form) = part.form.as_ref().filter(|_| part.vips.values().any(|duty| duty.forward)) else {
        return own.collect();
    };
    let methods = form.real_servers.values().map(|server| server.forwarding.feature().into());
    let scheduling = &form.scheduling;
    let engine = scheduling.persistence.is_some_and(|persistence| persistence.engine.is_some());
    let wanted = [
        (scheduling.persistence.is_some(), "Persistence"),
        (engine, "PersistenceEngine"),
        (!scheduling.scheduler_flags.is_empty(), "SchedulerFlags"),
        (scheduling.udp_scheduling == UdpScheduling::PerPacket, "OnePacketScheduling"),
        (form.ports.iter().any(|port| port.port == 0), "AllPorts"),
        (form.mark.is_some(), "FirewallMarks"),
        (form.mark.is_some() && !form.ports.is_empty(), "PacketRules"),
        (form.real_servers.values().any(|server| !server.thresholds.is_none()), "ConnectionThresholds"),
    ];
    let wanted = wanted.into_iter().filter(|(wanted, _)| *wanted).map(|(_, feature)| feature.into());
    wanted.chain(methods).chain(own).collect()
}
