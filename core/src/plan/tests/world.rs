//! A small cluster whose agents do what their plans say, each in its own time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::agent::Agent;
use crate::cluster::{
    Cluster, ConnectionThresholds, Group, GroupSpec, Node, Pool, PortSpec, RealServerSpec, RealServerTarget,
    Service, ServiceSpec,
};
use crate::forwarding::Forwarding;
use crate::ipvs::{ForwardingMethod, VirtualServerKey};
use crate::marking::Marking;
use crate::names::{NodeName, ServiceName};
use crate::node_plan::{NodePlan, Revision};
use crate::plan::{Plan, plan};
use crate::scheduling::Scheduling;
use crate::selector::Selector;
use crate::time::Time;

/// The nodes.
pub(super) const NODES: [&str; 4] = ["a", "b", "c", "d"];

/// The cluster, its agents, and the time.
pub(super) struct World {
    pub(super) cluster: Cluster,
    pub(super) agents: BTreeMap<NodeName, Agent>,
    pub(super) now: Time,
    /// How services that are applied are forwarded.
    pub(super) forwarding: Forwarding,
    pub(super) last: Plan,
}

pub(super) fn vip(number: u8) -> IpAddr {
    IpAddr::from([192, 168, 10, number])
}

fn rip(number: usize) -> IpAddr {
    IpAddr::from([192, 168, 10, 10 + u8::try_from(number).unwrap()])
}

/// Each service has a port of its own, so that two can share a VIP.
fn port(service: &str) -> u16 {
    match service {
        "web" => 80,
        "shop" => 443,
        _ => 8080,
    }
}

fn key(service: &str, vip: IpAddr) -> VirtualServerKey {
    VirtualServerKey::Tuple { protocol: crate::network::Protocol::Tcp, address: vip, port: port(service) }
}

pub(super) fn service_name(name: &str) -> ServiceName {
    ServiceName::new("default", name)
}

impl World {
    /// Nodes `a` to `d` with agents, `a` and `b` directors of group `edge`, whose pool holds 192.168.10.40 to .49.
    pub(super) fn new() -> Self {
        let mut world = Self {
            cluster: Cluster { epoch: 1, complete: true, ..Cluster::default() },
            agents: BTreeMap::new(),
            now: Time(0),
            forwarding: Forwarding::DirectRouting,
            last: Plan::default(),
        };
        for (number, name) in NODES.into_iter().enumerate() {
            let address = rip(number);
            let node = Node {
                internal_ips: [address].into(),
                ready: Some(true),
                boot_id: Some("0".into()),
                ..Node::default()
            };
            world.cluster.nodes.insert(name.into(), node);
            world.agents.insert(name.into(), Agent::new(address));
        }
        world.direct("a", true);
        world.direct("b", true);
        let pool = Pool { addresses: vec!["192.168.10.40-192.168.10.49".parse().unwrap()], interface: None };
        let node_selector =
            Selector { labels: [("director".to_owned(), "yes".to_owned())].into(), ..Selector::default() };
        let spec = GroupSpec {
            node_selector,
            pools: [("public".into(), pool)].into(),
            allowed_real_servers: None,
            timeouts: None,
            ipvs_sysctls: BTreeMap::new(),
        };
        let group = Group {
            created: Time(0),
            generation: 1,
            force_move: BTreeMap::new(),
            allow_arp_silence: BTreeSet::new(),
            spec: Ok(spec),
        };
        world.cluster.groups.insert("edge".into(), group);
        world
    }

    /// Makes a node a director, or no director.
    pub(super) fn direct(&mut self, node: &str, yes: bool) {
        let Some(node) = self.cluster.nodes.get_mut(&NodeName::from(node)) else { return };
        if yes {
            node.labels.insert("director".to_owned(), "yes".to_owned());
        } else {
            node.labels.remove("director");
        }
    }

    /// Applies a VirtualService with these VIPs and real servers.
    pub(super) fn apply(&mut self, name: &str, vips: &[u8], real_servers: &[&str]) {
        let entry = |node: &&str| {
            let target = RealServerTarget::Node((*node).into());
            (
                (*node).to_owned(),
                RealServerSpec { target, weight: 1, thresholds: None, forwarding: None, port: None },
            )
        };
        let spec = ServiceSpec {
            vips: vips.iter().map(|number| vip(*number)).collect(),
            ports: [(format!("TCP {}", port(name)).parse().unwrap(), PortSpec::default())].into(),
            marking: Marking::Absent,
            scheduling: Scheduling::by("rr".parse().unwrap()),
            thresholds: ConnectionThresholds::default(),
            forwarding: self.forwarding,
            real_servers: real_servers.iter().map(entry).collect(),
        };
        let created =
            self.cluster.services.get(&service_name(name)).map_or(self.now, |service| service.created);
        let uid = name.to_owned();
        let service =
            Service { uid, created, generation: 1, adopt: false, zero_counters: None, spec: Ok(spec) };
        self.cluster.services.insert(service_name(name), service);
    }

    /// Deletes a VirtualService.
    pub(super) fn delete(&mut self, name: &str) {
        self.cluster.services.remove(&service_name(name));
    }

    /// The operator plans and writes.
    pub(super) fn operate(&mut self) -> bool {
        self.now.0 += 1;
        let (next, _) = plan(&self.cluster, self.now);
        for gone in &next.remove {
            self.cluster.previous.remove(gone);
            self.cluster.reports.remove(gone);
        }
        let changed = self.cluster.previous != next.nodes;
        self.cluster.previous.clone_from(&next.nodes);
        self.last = next;
        changed
    }

    /// An agent takes its plan, in whatever state it is written now, and does what it says.
    pub(super) fn take(&mut self, node: &str) {
        let name = NodeName::from(node);
        let others: Vec<&Agent> =
            self.agents.iter().filter(|(other, _)| **other != name).map(|(_, agent)| agent).collect();
        let taken: BTreeSet<IpAddr> =
            (40..50).map(vip).filter(|vip| others.iter().any(|agent| agent.held(*vip))).collect();
        let plan = self.cluster.previous.get(&name);
        if let Some(agent) = self.agents.get_mut(&name) {
            agent.work(plan, |vip| taken.contains(&vip));
        }
    }

    /// An agent reports.
    pub(super) fn report(&mut self, node: &str) {
        let name = NodeName::from(node);
        let report = self.agents.get_mut(&name).filter(|agent| agent.awake).and_then(Agent::report);
        if let Some(report) = report {
            self.cluster.reports.insert(name, report);
        }
    }

    /// A node reboots.
    pub(super) fn reboot(&mut self, node: &str) {
        let name = NodeName::from(node);
        if let (Some(agent), Some(node)) = (self.agents.get_mut(&name), self.cluster.nodes.get_mut(&name)) {
            agent.reboot();
            node.boot_id = Some(agent.boot());
        }
    }

    /// The nodes to which a director's kernel sends a service's VIP.
    pub(super) fn destinations(&self, director: &str, service: &str, number: u8) -> Vec<String> {
        let rips = self.agents[&NodeName::from(director)].destinations(&key(service, vip(number)));
        let named = |rip: &IpAddr| {
            (0..4).find(|number| self::rip(*number) == *rip).map(|number| NODES[number].to_owned())
        };
        rips.iter().filter_map(named).collect()
    }

    /// Everybody does its part until nothing changes.
    pub(super) fn settle(&mut self) {
        for _ in 0..64 {
            let changed = self.operate();
            let before = self.cluster.reports.clone();
            for node in NODES {
                self.take(node);
                self.report(node);
                self.assert_safe();
            }
            if !changed && before == self.cluster.reports {
                return;
            }
        }
        panic!("the conversation does not end: {:#?}", self.last);
    }

    /// What must hold at every moment.
    pub(super) fn assert_safe(&self) {
        for number in 40..50 {
            let vip = vip(number);
            let held = self.agents.iter().filter(|(_, agent)| agent.held(vip)).map(|(name, _)| name);
            // That a probe would keep a second one from it is no reason to plan one.
            let planned =
                self.last.nodes.iter().filter(|(_, plan)| attracts(plan, vip)).map(|(name, _)| name);
            let holders: BTreeSet<&NodeName> = held.chain(planned).collect();
            assert!(holders.len() <= 1, "{vip} is held, or is to be held, by {holders:?}");
            for service in ["web", "shop", "other"] {
                self.assert_destinations(service, number);
            }
        }
    }

    fn assert_destinations(&self, service: &str, number: u8) {
        for director in NODES {
            for destination in self.destinations(director, service, number) {
                let server = &self.agents[&NodeName::from(destination.as_str())];
                // A node that has just rebooted is found out by its boot id; until then its packets are lost.
                let bound = !server.awake || server.bound(vip(number));
                let sender = &self.agents[&NodeName::from(director)];
                let by = sender.settings(&key(service, vip(number)), server.rip());
                if by.is_some_and(|by| by.method == ForwardingMethod::Masquerade) {
                    let translated = sender.kernel.packet_rules.keys().any(|key| key.address == server.rip());
                    let replies = translated || !sender.held(vip(number)) || server.replies_by(sender.rip());
                    assert!(replies, "{destination} has no way back by {director}, which sends it {service}");
                    continue;
                }
                let taken_in = !server.awake || by.is_none_or(|by| server.takes_in(by));
                assert!(
                    taken_in,
                    "{director} sends {service} by a tunnel that {destination} does not take in"
                );
                assert!(
                    bound,
                    "{director} sends {service} {number} to {destination}, which has not bound it"
                );
                let sends_on = !self.destinations(&destination, service, number).is_empty();
                let loops = destination != director && sends_on && !server.held(vip(number));
                assert!(!loops, "{director} sends {service} {number} to {destination}, which sends it on");
            }
        }
    }

    /// The revision of a service's part on a node.
    pub(super) fn revision(&self, service: &str, node: &str) -> Option<Revision> {
        let plan = self.last.nodes.get(&NodeName::from(node))?;
        plan.services.get(&service_name(service)).map(|part| part.revision)
    }

    /// The node that holds a VIP.
    pub(super) fn holder(&self, number: u8) -> Option<String> {
        self.agents.iter().find(|(_, agent)| agent.held(vip(number))).map(|(name, _)| name.0.clone())
    }
}

fn attracts(plan: &NodePlan, vip: IpAddr) -> bool {
    plan.services.values().any(|part| part.vips.get(&vip).is_some_and(|duty| duty.attract))
}
