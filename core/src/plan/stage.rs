//! Where each real server of a service is between coming and going.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::draft::{Form, WantedRealServer};
use super::holder::Holding;
use super::past::Past;
use super::return_path;
use crate::addresses::Addresses;
use crate::flat_map::FlatMap;
use crate::forwarding::Forwarding;
use crate::names::{NodeName, RealServerKey, ServiceName};
use crate::network::Family;
use crate::node_plan::{PlannedRealServer, Stage, StageName};
use crate::redirection::{LocalPorts, Redirection, redirects_all};
use crate::time::Time;

/// How long a leaving real server stays quiesced, in seconds.
const DRAIN_SECONDS: u32 = 0;

/// The real servers of the next plan, and when the next drain ends.
pub(super) fn form(
    past: &Past<'_>,
    service: &ServiceName,
    draft: Option<&Form>,
    holders: &BTreeMap<IpAddr, Holding>,
    now: Time,
) -> (FlatMap<RealServerKey, PlannedRealServer>, Option<Time>) {
    let previous = past.real_servers(service);
    let mut form = FlatMap::new();
    let mut next: Option<Time> = None;
    if let Some(draft) = draft {
        for (key, wanted) in &draft.real_servers {
            let judge = Judge { past, service, draft, holders };
            form.insert(key.clone(), judge.coming(key, wanted, previous.get(key).copied()));
        }
    }
    for (key, server) in previous {
        if form.contains_key(key) {
            continue;
        }
        let Some(stage) = going(past, service, server.stage, draft.is_some(), now) else { continue };
        if let (StageName::Quiesced, Some(since)) = (stage.name, stage.since) {
            next = [next, Some(since.plus_seconds(DRAIN_SECONDS))].into_iter().flatten().min();
        }
        form.insert(key.clone(), PlannedRealServer { stage, ..server.clone() });
    }
    (form, next)
}

/// What admission goes by.
struct Judge<'a> {
    past: &'a Past<'a>,
    service: &'a ServiceName,
    draft: &'a Form,
    holders: &'a BTreeMap<IpAddr, Holding>,
}

impl Judge<'_> {
    fn coming(
        &self,
        key: &RealServerKey,
        wanted: &WantedRealServer,
        previous: Option<&PlannedRealServer>,
    ) -> PlannedRealServer {
        let way = Way { forwarding: wanted.forwarding, addresses: &wanted.addresses, ports: &wanted.ports };
        let mut server = PlannedRealServer {
            entry: wanted.entry.clone(),
            node: None,
            addresses: wanted.addresses.clone(),
            weight: wanted.weight,
            thresholds: wanted.thresholds,
            forwarding: wanted.forwarding,
            ports: wanted.ports.clone(),
            stage: Stage::default(),
            admitted: self.reached(way).collect(),
        };
        if let RealServerKey::Node(node) = key {
            server.node = Some(node.clone());
            server.admitted = self.admitted(way, node, previous);
            // Until the node is ready for another way, directors go on with the one that they have.
            let old = previous.map(|old| (old, Way::of(old)));
            if let Some((old, old_way)) = old.filter(|(_, old_way)| *old_way != way) {
                let admitted = self.admitted(old_way, node, previous);
                if !server.admitted.is_superset(&admitted) {
                    server.forwarding = old.forwarding;
                    server.addresses.clone_from(&old.addresses);
                    server.ports.clone_from(&old.ports);
                    server.admitted = admitted;
                }
            }
        }
        let nowhere = server.admitted.is_empty();
        server.stage = Stage::of(if nowhere { StageName::Pending } else { StageName::Serving });
        server
    }

    /// The VIPs for which a way leads to the real server.
    fn reached(&self, way: Way<'_>) -> impl Iterator<Item = IpAddr> {
        let vips = self.draft.vips.keys().copied();
        vips.filter(move |vip| way.forwarding.address(way.addresses, Family::of(*vip)).is_some())
    }

    fn admitted(&self, way: Way<'_>, node: &NodeName, previous: Option<&PlannedRealServer>) -> Addresses {
        let Self { past, service, holders, .. } = self;
        // Which port it listens on is no other way to the real server.
        let same = |server: &&PlannedRealServer| {
            (server.forwarding, &server.addresses) == (way.forwarding, way.addresses)
        };
        let previous = previous.filter(same);
        self.reached(way)
            .filter(|vip| match way.forwarding {
                Forwarding::FullNat => past.report(node).is_some(),
                Forwarding::Masquerade => return_path::exists(past, holders, node, *vip),
                Forwarding::DirectRouting | Forwarding::Tunnel(_) => {
                    admitted(past, service, node, *vip, previous) && self.is_open(way, node, *vip)
                }
            })
            .collect()
    }

    /// Whether the node was told to take in the tunnel for a VIP and to redirect its ports, and has reported that it does.
    fn is_open(&self, way: Way<'_>, node: &NodeName, vip: IpAddr) -> bool {
        let (part, report) =
            (self.past.part(self.service, node), self.past.service_report(self.service, node));
        let (Some(part), Some(report)) = (part, report) else { return false };
        let tunnel = way.forwarding.receptions(way.addresses, [Family::of(vip)]);
        let redirections = || Redirection::needed(way.forwarding, way.ports, vip);
        part.receive.is_superset(&tunnel)
            && report.receives.is_superset(&tunnel)
            && redirects_all(&part.redirect, redirections())
            && redirects_all(&report.redirects, redirections())
    }
}

/// How directors send to a real server: the method, its addresses, and the ports that are others than the service's.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Way<'a> {
    forwarding: Forwarding,
    addresses: &'a Addresses,
    ports: &'a LocalPorts,
}

impl<'a> Way<'a> {
    fn of(server: &'a PlannedRealServer) -> Self {
        Self { forwarding: server.forwarding, addresses: &server.addresses, ports: &server.ports }
    }
}

/// Whether directors may send to a node for a VIP: from its present boot it has reported the VIP bound and hidden.
///
/// Who is admitted stays so while its node is planned to accept the VIP without a gap, whichever revision it has
/// reported; who is new, or is sent to in another way than before, must have reported the very part that asked for it. A
/// node that is also a standby director must have reported that its entries are gone, else it would send the packets on.
fn admitted(
    past: &Past<'_>,
    service: &ServiceName,
    node: &NodeName,
    vip: IpAddr,
    previous: Option<&PlannedRealServer>,
) -> bool {
    let Some(duty) = past.part(service, node).and_then(|part| part.vips.get(&vip)) else { return false };
    let Some(report) = past.vip_report(service, node, vip) else { return false };
    let standing = previous.is_some_and(|server| server.admitted.contains(&vip));
    let speaks_of_it = standing || past.reported(service, node);
    let loops = report.forwarding && !duty.attract;
    duty.accept && report.bound && report.hidden && speaks_of_it && !loops
}

/// The next stage of a real server that is wanted no more; `None` once every director has reported its entry gone.
fn going(
    past: &Past<'_>,
    service: &ServiceName,
    stage: Stage,
    service_stays: bool,
    now: Time,
) -> Option<Stage> {
    match stage.name {
        // A service that goes as a whole takes its VIP away first, so there is nothing to drain to.
        StageName::Serving if service_stays => Some(Stage::quiesced(now)),
        StageName::Quiesced if service_stays => {
            let since = stage.since.unwrap_or(now);
            let over = now >= since.plus_seconds(DRAIN_SECONDS);
            Some(if over { Stage::of(StageName::Removed) } else { Stage::quiesced(since) })
        }
        StageName::Removed if past.unacknowledged_directors(service).is_empty() => None,
        _ => Some(Stage::of(StageName::Removed)),
    }
}
