//! Where each real server of a service is between coming and going.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::draft::{Form, WantedRealServer};
use super::past::Past;
use crate::addresses::Addresses;
use crate::forwarding::Forwarding;
use crate::names::{NodeName, RealServerKey, ServiceName};
use crate::network::Family;
use crate::node_plan::{PlannedRealServer, Stage, StageName};
use crate::time::Time;

/// How long a leaving real server stays quiesced, in seconds.
const DRAIN_SECONDS: u32 = 0;

/// The real servers of the next plan, and when the next drain ends.
pub(super) fn form(
    past: &Past<'_>,
    service: &ServiceName,
    draft: Option<&Form>,
    now: Time,
) -> (BTreeMap<RealServerKey, PlannedRealServer>, Option<Time>) {
    let previous = past.real_servers(service);
    let mut form = BTreeMap::new();
    let mut next: Option<Time> = None;
    if let Some(draft) = draft {
        for (key, wanted) in &draft.real_servers {
            form.insert(key.clone(), coming(past, service, draft, key, wanted, previous.get(key).copied()));
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

fn coming(
    past: &Past<'_>,
    service: &ServiceName,
    draft: &Form,
    key: &RealServerKey,
    wanted: &WantedRealServer,
    previous: Option<&PlannedRealServer>,
) -> PlannedRealServer {
    let way = Way { forwarding: wanted.forwarding, addresses: &wanted.addresses };
    let mut server = PlannedRealServer {
        entry: wanted.entry.clone(),
        node: None,
        addresses: wanted.addresses.clone(),
        weight: wanted.weight,
        thresholds: wanted.thresholds,
        forwarding: wanted.forwarding,
        stage: Stage::default(),
        admitted: way.reaches(draft).collect(),
    };
    if let RealServerKey::Node(node) = key {
        server.node = Some(node.clone());
        server.admitted = way.admitted(past, service, draft, node, previous);
        // Until the node is ready for another way, directors go on with the one that they have.
        let old = previous.map(|old| (old, Way { forwarding: old.forwarding, addresses: &old.addresses }));
        if let Some((old, old_way)) = old.filter(|(_, old_way)| *old_way != way) {
            let admitted = old_way.admitted(past, service, draft, node, previous);
            if !server.admitted.is_superset(&admitted) {
                server.forwarding = old.forwarding;
                server.addresses.clone_from(&old.addresses);
                server.admitted = admitted;
            }
        }
    }
    let nowhere = server.admitted.is_empty();
    server.stage = Stage::of(if nowhere { StageName::Pending } else { StageName::Serving });
    server
}

/// How directors send to a real server: the method, and its addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Way<'a> {
    forwarding: Forwarding,
    addresses: &'a Addresses,
}

impl<'a> Way<'a> {
    /// The VIPs for which it leads to the real server.
    fn reaches(self, draft: &'a Form) -> impl Iterator<Item = IpAddr> {
        let vips = draft.vips.keys().copied();
        vips.filter(move |vip| self.forwarding.address(self.addresses, Family::of(*vip)).is_some())
    }

    fn admitted(
        self,
        past: &Past<'_>,
        service: &ServiceName,
        draft: &'a Form,
        node: &NodeName,
        previous: Option<&PlannedRealServer>,
    ) -> Addresses {
        let same = |server: &&PlannedRealServer| {
            self == Way { forwarding: server.forwarding, addresses: &server.addresses }
        };
        let previous = previous.filter(same);
        self.reaches(draft)
            .filter(|vip| {
                admitted(past, service, node, *vip, previous) && self.is_open(past, service, node, *vip)
            })
            .collect()
    }

    /// Whether the node was told to take in the tunnel for a VIP, and has reported that it does.
    fn is_open(self, past: &Past<'_>, service: &ServiceName, node: &NodeName, vip: IpAddr) -> bool {
        let needed = self.forwarding.receptions(self.addresses, [Family::of(vip)]);
        let told = past.part(service, node).is_some_and(|part| part.receive.is_superset(&needed));
        let open =
            past.service_report(service, node).is_some_and(|report| report.receives.is_superset(&needed));
        told && open
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
