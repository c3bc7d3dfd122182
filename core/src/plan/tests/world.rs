//! A small cluster whose agents do what their plans say, each in its own time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::cluster::{
    Cluster, Group, GroupSpec, Node, Pool, RealServerSpec, RealServerTarget, Service, ServiceSpec,
};
use crate::names::{BootId, NodeName, RealServerKey, ServiceName};
use crate::node_plan::{NodePlan, PlannedService, Revision, StageName};
use crate::node_report::{NodeReport, ServiceReport, VipReport};
use crate::plan::{Plan, plan};
use crate::selector::Selector;
use crate::time::Time;

/// What a simulated node has done.
#[derive(Clone, Debug, Default)]
pub(super) struct Agent {
    /// Its boot.
    pub(super) boot: u32,
    /// Whether it has applied anything since that boot.
    pub(super) awake: bool,
    /// The plan that it took last, which also lies on its disk.
    pub(super) plan: Option<NodePlan>,
}

impl Agent {
    fn duties(&self) -> impl Iterator<Item = (&ServiceName, &PlannedService)> {
        self.plan.iter().filter(|_| self.awake).flat_map(|plan| &plan.services)
    }

    /// Whether the VIP is on `lo`.
    pub(super) fn bound(&self, vip: IpAddr) -> bool {
        self.duties().any(|(_, part)| part.vips.get(&vip).is_some_and(|duty| duty.accept))
    }

    /// Whether the VIP is on the uplink.
    pub(super) fn held(&self, vip: IpAddr) -> bool {
        self.duties().any(|(_, part)| part.vips.get(&vip).is_some_and(|duty| duty.attract))
    }

    /// The nodes to which it forwards a service's VIP.
    pub(super) fn destinations(&self, service: &ServiceName, vip: IpAddr) -> BTreeSet<NodeName> {
        let part = self.duties().find(|(name, _)| *name == service).map(|(_, part)| part);
        let forwards = part.filter(|part| part.vips.get(&vip).is_some_and(|duty| duty.forward));
        let servers =
            forwards.and_then(|part| part.form.as_ref()).into_iter().flat_map(|form| &form.real_servers);
        let sending = servers.filter(|(_, server)| {
            matches!(server.stage.name, StageName::Serving | StageName::Quiesced)
                && server.admitted.contains(&vip)
        });
        let nodes = sending.filter_map(|(key, _)| match key {
            RealServerKey::Node(node) => Some(node.clone()),
            RealServerKey::Foreign(_) => None,
        });
        nodes.collect()
    }

    fn forwards(&self, service: &ServiceName, vip: IpAddr) -> bool {
        let parts = self.duties().filter(|(name, _)| *name == service);
        parts.filter_map(|(_, part)| part.vips.get(&vip)).any(|duty| duty.forward)
    }

    fn report(&self) -> NodeReport {
        let mut report = NodeReport::default();
        report.node.boot_id = BootId(self.boot.to_string());
        let Some(plan) = &self.plan else { return report };
        report.node.lineage.clone_from(&plan.lineage);
        report.node.clean = plan.services.is_empty();
        for (name, part) in self.duties() {
            let vip_report = |vip: &IpAddr| VipReport {
                bound: self.bound(*vip),
                hidden: true,
                held: self.held(*vip),
                forwarding: self.forwards(name, *vip),
            };
            let vips = part.vips.keys().map(|vip| (*vip, vip_report(vip))).collect();
            let service =
                ServiceReport { revision: part.revision, applied: true, vips, troubles: BTreeSet::new() };
            report.services.insert(name.clone(), service);
        }
        report
    }
}

/// The cluster, its agents, and the time.
pub(super) struct World {
    pub(super) cluster: Cluster,
    pub(super) agents: BTreeMap<NodeName, Agent>,
    pub(super) now: Time,
    pub(super) last: Plan,
}

pub(super) fn vip(number: u8) -> IpAddr {
    IpAddr::from([192, 168, 10, number])
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
            last: Plan::default(),
        };
        for (number, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
            let address = IpAddr::from([192, 168, 10, 10 + u8::try_from(number).unwrap()]);
            let node = Node {
                internal_ips: [address].into(),
                ready: Some(true),
                boot_id: Some("0".into()),
                ..Node::default()
            };
            world.cluster.nodes.insert(name.into(), node);
            world.agents.insert(name.into(), Agent { awake: true, ..Agent::default() });
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
            ((*node).to_owned(), RealServerSpec { target, weight: 1 })
        };
        let spec = ServiceSpec {
            vips: vips.iter().map(|number| vip(*number)).collect(),
            ports: [("TCP 80".parse().unwrap(), None)].into(),
            scheduler: "rr".parse().unwrap(),
            persistence: None,
            real_servers: real_servers.iter().map(entry).collect(),
        };
        let created =
            self.cluster.services.get(&service_name(name)).map_or(self.now, |service| service.created);
        let uid = name.to_owned();
        let service = Service { uid, created, generation: 1, adopt: false, spec: Ok(spec) };
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
        let Some(agent) = self.agents.get_mut(&NodeName::from(node)) else { return };
        agent.awake = true;
        if let Some(plan) = self.cluster.previous.get(&NodeName::from(node)) {
            agent.plan = Some(plan.clone());
        }
    }

    /// An agent reports.
    pub(super) fn report(&mut self, node: &str) {
        let name = NodeName::from(node);
        if let Some(agent) = self.agents.get(&name).filter(|agent| agent.awake) {
            self.cluster.reports.insert(name, agent.report());
        }
    }

    /// A node reboots: its kernel forgets, its disk does not.
    pub(super) fn reboot(&mut self, node: &str) {
        let name = NodeName::from(node);
        if let (Some(agent), Some(node)) = (self.agents.get_mut(&name), self.cluster.nodes.get_mut(&name)) {
            agent.boot += 1;
            agent.awake = false;
            node.boot_id = Some(BootId(agent.boot.to_string()));
        }
    }

    /// Everybody does its part until nothing changes.
    pub(super) fn settle(&mut self) {
        for _ in 0..64 {
            let changed = self.operate();
            let before = self.cluster.reports.clone();
            for node in ["a", "b", "c", "d"] {
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
            let holders: Vec<&NodeName> =
                self.agents.iter().filter(|(_, agent)| agent.held(vip)).map(|(name, _)| name).collect();
            assert!(holders.len() <= 1, "{vip} is held by {holders:?}");
            for service in ["web", "shop"].map(service_name) {
                self.assert_destinations(&service, vip);
            }
        }
    }

    fn assert_destinations(&self, service: &ServiceName, vip: IpAddr) {
        for (director, agent) in &self.agents {
            for destination in agent.destinations(service, vip) {
                let server = &self.agents[&destination];
                // A node that has just rebooted is found out by its boot id; until then its packets are lost.
                let bound = !server.awake || server.bound(vip);
                assert!(bound, "{director} sends {service} {vip} to {destination}, which has not bound it");
                let loops = destination != *director && server.forwards(service, vip) && !server.held(vip);
                assert!(!loops, "{director} sends {service} {vip} to {destination}, which sends it on");
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
