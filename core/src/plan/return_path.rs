//! Whether the replies of a masqueraded real server come back by the director that can make them the VIP's again.
//!
//! What a client's address is nobody knows, so what can be known is this: where no route of the real server's node has an
//! address of the VIP's holder as its next hop, no reply comes back by it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::draft::{Form, WantedRealServer};
use super::holder::Holding;
use super::past::Past;
use crate::forwarding::Forwarding;
use crate::names::{NodeName, RealServerKey};
use crate::network::Family;
use crate::node_report::Trouble;
use crate::reason::Reason;

/// Whether a node has reported, from its present boot, a route by the director that holds the VIP or is to hold it next.
pub(super) fn exists(
    past: &Past<'_>,
    holders: &BTreeMap<IpAddr, Holding>,
    node: &NodeName,
    vip: IpAddr,
) -> bool {
    let Some(holder) = holders.get(&vip).and_then(Holding::director) else { return false };
    let Some(report) = past.report(node) else { return false };
    // Its own replies pass a director in any case.
    if holder == node {
        return true;
    }
    let next_hops = report.node.gateways.iter().filter(|hop| Family::of(**hop) == Family::of(vip));
    let holders = past.addresses(holder);
    next_hops.into_iter().any(|hop| holders.contains(hop))
}

/// What is said of each node of a service that is to be masqueraded and has no way back.
pub(super) fn troubles(
    past: &Past<'_>,
    holders: &BTreeMap<IpAddr, Holding>,
    form: &Form,
) -> BTreeMap<RealServerKey, Trouble> {
    let masqueraded =
        form.real_servers.iter().filter(|(_, wanted)| wanted.forwarding == Forwarding::Masquerade);
    let with_trouble = masqueraded
        .filter_map(|(key, wanted)| Some((key.clone(), trouble(past, holders, form, key, wanted)?)));
    with_trouble.collect()
}

fn trouble(
    past: &Past<'_>,
    holders: &BTreeMap<IpAddr, Holding>,
    form: &Form,
    key: &RealServerKey,
    wanted: &WantedRealServer,
) -> Option<Trouble> {
    let RealServerKey::Node(node) = key else { return None };
    // One that has not reported is waited for.
    past.report(node)?;
    let mut reached = form
        .vips
        .keys()
        .filter(|vip| wanted.forwarding.address(&wanted.addresses, Family::of(**vip)).is_some());
    let vip = reached.find(|vip| !exists(past, holders, node, **vip))?;
    let holder = holders.get(vip)?.director()?;
    let message = format!(
        "realServers[{}]: no route of Node {node} leads by {holder}, which holds {vip}, so that its replies would not \
         come back by it: give it a route to the clients by an address of {holder}, or write method FullNAT.",
        wanted.entry
    );
    Some(Trouble::new(Reason::NoReturnPath, message))
}
