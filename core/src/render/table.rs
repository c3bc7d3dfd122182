//! The IPVS table that a service wants.

use std::collections::BTreeMap;
use std::net::IpAddr;

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

/// A service's entry for one VIP and port, without those that direct routing does not reach.
pub(super) fn virtual_server(form: &ServiceForm, vip: IpAddr, port: PortKey, local: &Local) -> VirtualServer {
    let family = Family::of(vip);
    let settings = form.scheduling.settings(port, family);
    let mut destinations = BTreeMap::<DestinationKey, DestinationSettings>::new();
    for (rip, server, weight) in admitted(form, vip) {
        if comes_back(rip, server, local).is_some() {
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
        let key = DestinationKey { address: rip, port: port.port };
        // Of two real servers with one address the one with the greater weight counts.
        let there = destinations.entry(key).or_insert(settings);
        there.weight = there.weight.max(weight);
    }
    VirtualServer { settings, destinations }
}

/// The real servers of a VIP that direct routing does not reach, because a gateway lies before them.
pub(super) fn behind_gateways(form: &ServiceForm, vip: IpAddr, local: &Local) -> Vec<Trouble> {
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

/// The RIPs that have an entry for a VIP, with the weight in the kernel.
fn admitted(form: &ServiceForm, vip: IpAddr) -> impl Iterator<Item = (IpAddr, &PlannedRealServer, u32)> {
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
