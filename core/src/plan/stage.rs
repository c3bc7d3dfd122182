//! Where each real server of a service is between coming and going.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::draft::{Form, WantedRealServer};
use super::past::Past;
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
    let reachable =
        |vip: &&IpAddr| wanted.addresses.iter().any(|address| Family::of(*address) == Family::of(**vip));
    let vips = draft.vips.keys().filter(reachable).copied();
    let (node, admitted): (Option<NodeName>, BTreeSet<IpAddr>) = match key {
        RealServerKey::Foreign(_) => (None, vips.collect()),
        RealServerKey::Node(node) => {
            (Some(node.clone()), vips.filter(|vip| admitted(past, service, node, *vip, previous)).collect())
        }
    };
    let stage = if admitted.is_empty() { StageName::Pending } else { StageName::Serving };
    PlannedRealServer {
        entry: wanted.entry.clone(),
        node,
        addresses: wanted.addresses.clone(),
        weight: wanted.weight,
        thresholds: wanted.thresholds,
        stage: Stage::of(stage),
        admitted,
    }
}

/// Whether directors may send to a node for a VIP: from its present boot it has reported the VIP bound and hidden.
///
/// Who is admitted stays so while its node is planned to accept the VIP without a gap, whichever revision it has
/// reported; who is new must have reported the very part that asked for it. A node that is also a standby director
/// must have reported that its entries are gone, else it would send the packets on.
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
