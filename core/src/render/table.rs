//! The IPVS table that a service wants.

use std::net::IpAddr;

use crate::flat_map::FlatMap;
use crate::forwarding::Forwarding;
use crate::ipvs::{DestinationKey, DestinationSettings, PortKey, VirtualServerKey};
use crate::kernel::VirtualServer;
use crate::local::Local;
use crate::network::Family;
use crate::node_plan::{PlannedRealServer, ServiceForm, StageName};
use crate::node_report::{NO_IPVS, Trouble};
use crate::reason::Reason;

/// Why nothing of a service's table can be wanted.
pub(super) fn missing(form: &ServiceForm, local: &Local) -> Option<Trouble> {
    if !local.ipvs {
        return Some(Trouble::new(Reason::IpvsMissing, NO_IPVS));
    }
    let scheduler = form.scheduling.scheduler;
    let lacks = !local.schedulers.is_empty() && !local.schedulers.contains(&scheduler);
    lacks.then(|| {
        let message = format!("the kernel has no scheduler {scheduler}: load the module ip_vs_{scheduler}");
        Trouble::new(Reason::SchedulerMissing, message)
    })
}

/// The identity of a service's entry for one VIP and port.
pub(crate) fn key(vip: IpAddr, port: PortKey) -> VirtualServerKey {
    VirtualServerKey::Tuple { protocol: port.protocol, address: vip, port: port.port }
}

/// The identities of a service's entries for one VIP.
pub(crate) fn keys(form: &ServiceForm, vip: IpAddr) -> impl Iterator<Item = VirtualServerKey> {
    let mark = form.mark.map(|mark| VirtualServerKey::Mark { family: Family::of(vip), mark });
    let ports = form.ports.iter().filter(|_| form.mark.is_none()).map(move |port| key(vip, *port));
    mark.into_iter().chain(ports)
}

/// A service's entry for one VIP and port, without those that direct routing does not reach, or whose replies would get
/// lost here.
pub(super) fn virtual_server(form: &ServiceForm, vip: IpAddr, port: PortKey, local: &Local) -> VirtualServer {
    let family = Family::of(vip);
    let settings = form.scheduling.settings(port, family);
    let servers = admitted(form, vip);
    VirtualServer {
        settings,
        destinations: destinations(servers, Some(port), form.real_servers.len(), local),
    }
}

/// Real servers, at most so many, as destinations of a port, or of a mark, without those that packets or replies do not
/// reach.
pub(super) fn destinations<'a>(
    servers: impl Iterator<Item = (IpAddr, &'a PlannedRealServer, u32)>,
    port: Option<PortKey>,
    most: usize,
    local: &Local,
) -> FlatMap<DestinationKey, DestinationSettings> {
    let mut destinations = FlatMap::<DestinationKey, DestinationSettings>::with_capacity(most);
    for (rip, server, weight) in servers {
        if comes_back(rip, server, local).is_some() || gets_lost(rip, server, local) {
            continue;
        }
        let (method, tunnel) = server.forwarding.settings();
        let settings = DestinationSettings {
            method,
            weight,
            upper_threshold: server.thresholds.upper,
            lower_threshold: server.thresholds.lower,
            tunnel,
        };
        // With the port of a mark, 0, a packet keeps the port that it came for.
        let key = DestinationKey { address: rip, port: port.map_or(0, |port| server.port(port)) };
        // Of two real servers with one address the one with the greater weight counts.
        let there = destinations.get_or_insert(key, settings);
        there.weight = there.weight.max(weight);
    }
    destinations
}

/// What is wrong with the real servers of a VIP.
pub(super) fn troubles(form: &ServiceForm, vip: IpAddr, local: &Local) -> Vec<Trouble> {
    behind_gateways(form, vip, local).into_iter().chain(unforwarded(form, vip, local)).collect()
}

/// The real servers of a VIP that direct routing does not reach, because a gateway lies before them.
fn behind_gateways(form: &ServiceForm, vip: IpAddr, local: &Local) -> Vec<Trouble> {
    let trouble = |(rip, server, _): (IpAddr, &PlannedRealServer, u32)| {
        let gateway = comes_back(rip, server, local)?;
        let message = format!(
            "real server {rip} is behind gateway {gateway} for node {}: direct routing needs it on the same network, \
             because the gateway would send the packet back; a tunnel needs no such thing",
            local.node
        );
        Some(Trouble::new(Reason::RealServerBehindGateway, message))
    };
    admitted(form, vip).filter_map(trouble).collect()
}

/// The real servers of a VIP whose replies this node would drop.
fn unforwarded(form: &ServiceForm, vip: IpAddr, local: &Local) -> Option<Trouble> {
    let mut lost = admitted(form, vip).filter(|(rip, server, _)| gets_lost(*rip, server, local));
    lost.next().map(|(rip, ..)| {
        let message = format!(
            "real server {rip} replies by node {}, which forwards no IPv6 packets of others: set \
             net.ipv6.conf.all.forwarding to 1 there. The agent does not, because the node would heed no router \
             advertisements any more",
            local.node
        );
        Trouble::new(Reason::Ipv6ForwardingOff, message)
    })
}

/// The RIPs that have an entry for a VIP, with the weight in the kernel.
pub(super) fn admitted(
    form: &ServiceForm,
    vip: IpAddr,
) -> impl Iterator<Item = (IpAddr, &PlannedRealServer, u32)> {
    let weight = |server: &PlannedRealServer| match server.stage.name {
        StageName::Serving => Some(server.weight),
        StageName::Quiesced => Some(0),
        StageName::Pending | StageName::Removed => None,
    };
    form.real_servers
        .values()
        .filter(move |server| server.admitted.contains(&vip))
        .filter_map(move |server| Some((server, weight(server)?)))
        .filter_map(move |(server, weight)| {
            let rip = server.forwarding.address(&server.addresses, Family::of(vip))?;
            Some((rip, server, weight))
        })
}

/// The gateway that would send a packet for a VIP back, because it does not see the real server's own address.
fn comes_back(rip: IpAddr, server: &PlannedRealServer, local: &Local) -> Option<IpAddr> {
    let direct = server.forwarding == Forwarding::DirectRouting;
    local.paths.get(&rip).filter(|_| direct).and_then(|path| path.gateway)
}

/// Whether this node would drop what a masqueraded real server replies.
fn gets_lost(rip: IpAddr, server: &PlannedRealServer, local: &Local) -> bool {
    server.forwarding.rewrites() && rip.is_ipv6() && !local.forwards_ipv6
}
