//! The node's own addresses and networks, indexed once for all VIPs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::kernel::AddressKey;
use crate::local::Local;
use crate::names::LinkName;
use crate::network::{Family, Prefix, bits};
use crate::node_plan::NodePlan;
use crate::node_report::Trouble;
use crate::reason::Reason;

/// What of a node's links matters for VIPs.
#[derive(Debug)]
pub(super) struct Node<'a> {
    local: &'a Local,
    /// The loopback link.
    pub(super) loopback: Option<LinkName>,
    /// The uplink that the Node's annotation names.
    uplink: Option<LinkName>,
    /// Every address that is not ours, by address.
    own: BTreeMap<IpAddr, Vec<(LinkName, Prefix)>>,
    /// The networks of the links that are no loopback, the narrowest first.
    networks: Vec<(LinkName, Prefix)>,
}

impl<'a> Node<'a> {
    pub(super) fn new(plan: &NodePlan, local: &'a Local) -> Self {
        let mut own = BTreeMap::<IpAddr, Vec<(LinkName, Prefix)>>::new();
        let mut networks = Vec::new();
        for (name, link) in &local.links {
            for prefix in &link.addresses {
                let key = AddressKey { link: *name, address: prefix.address, prefix_length: prefix.length };
                if !local.ours.contains(&key) {
                    own.entry(prefix.address).or_default().push((*name, *prefix));
                }
                if !link.loopback && !key.is_host() {
                    networks.push((*name, *prefix));
                }
            }
        }
        networks.sort_by_key(|(_, prefix)| std::cmp::Reverse(prefix.length));
        let loopback = local.links.iter().find(|(_, link)| link.loopback).map(|(name, _)| *name);
        Self { local, loopback, uplink: plan.settings.uplink, own, networks }
    }

    /// The link that a VIP is held on: what the Node's annotation names, else what the pool names, else the link whose
    /// network holds the VIP, else the default route's.
    ///
    /// # Errors
    /// `UnknownInterface` where the named link does not exist, `NoUplink` where none leads to the VIP's network.
    pub(super) fn uplink(&self, vip: IpAddr, interface: Option<LinkName>) -> Result<LinkName, Trouble> {
        if let Some(name) = self.uplink.or(interface) {
            return if self.local.links.get(&name).is_some_and(|link| !link.loopback) {
                Ok(name)
            } else {
                Err(Trouble::new(
                    Reason::UnknownInterface,
                    format!(
                        "VIP {vip}: node {} has no link {name} that could be its uplink",
                        self.local.node
                    ),
                ))
            };
        }
        let holds = |(_, prefix): &&(LinkName, Prefix)| prefix.address != vip && prefix.contains(vip);
        let direct = self.networks.iter().find(holds).map(|(name, _)| *name);
        let default =
            || self.local.default_links.iter().find(|name| self.local.links.contains_key(*name)).copied();
        direct.or_else(default).ok_or_else(|| {
            Trouble::new(
                Reason::NoUplink,
                format!(
                    "VIP {vip}: no link of node {} is in its network and there is no default route; name the \
                     interface in the pool or in the Node's annotation lvs-operator.io/uplink",
                    self.local.node
                ),
            )
        })
    }

    /// Why a VIP cannot be one: it is an address of this node, a gateway, or the API server. One that is ours, or that
    /// stands as a single address on `lo` or on the uplink, is no address of the node.
    pub(super) fn address_of_node(&self, vip: IpAddr, uplink: Option<LinkName>) -> Option<Trouble> {
        let own = self.own.get(&vip).into_iter().flatten().find(|(link, prefix)| {
            let host = prefix.length == Family::of(vip).host_length();
            !(host && (Some(*link) == self.loopback || Some(*link) == uplink))
        });
        let what = if let Some((link, prefix)) = own {
            format!("the address {prefix} of link {link}")
        } else if self.local.gateways.contains(&vip) {
            "the next hop of a route".to_owned()
        } else if self.local.api_servers.contains(&vip) {
            "the API server's address".to_owned()
        } else {
            return None;
        };
        let node = &self.local.node;
        Some(Trouble::new(
            Reason::AddressOfNode,
            format!("VIP {vip} is {what} on node {node}: choose another VIP"),
        ))
    }

    /// The IPv4 addresses that fall silent once ARP is hidden, apart from planned VIPs and allowed ones: with
    /// `arp_ignore` 1 a link answers only for its own addresses, so one that sits on another link, but in this link's
    /// network, is answered for no more.
    pub(super) fn silenced(&self, plan: &NodePlan) -> Option<Trouble> {
        // Hidden already for everything, and not by us.
        if matches!(self.local.arp_all.ignore, 1 | 2 | 8) {
            return None;
        }
        let planned: BTreeSet<&IpAddr> = plan.services.values().flat_map(|part| part.vips.keys()).collect();
        let silenced = self.own.iter().find_map(|(address, places)| {
            let (at, _) = places.first()?;
            let (link, _) = self.networks.iter().find(|(link, network)| {
                self.local.links.get(link).is_some_and(|link| link.arp)
                    && network.contains(*address)
                    && !is_network_number(network, *address)
                    && places.iter().all(|(place, _)| place != link)
            })?;
            let allowed = plan.settings.allow_arp_silence.contains(address) || planned.contains(address);
            (address.is_ipv4() && !allowed).then_some((address, at, link))
        });
        silenced.map(|(address, at, link)| {
            Trouble::new(
                Reason::AddressSilenced,
                format!(
                    "hiding ARP on {link} of node {} would silence {address}, which sits on {at}: move it to {link}, or \
                     name it in the DirectorGroup's annotation lvs-operator.io/allow-arp-silence",
                    self.local.node
                ),
            )
        })
    }

    /// Whether the node has a single address (/32 or /128) on a link.
    pub(super) fn has_host_address(&self, link: LinkName, address: IpAddr) -> bool {
        let prefix = Prefix { address, length: Family::of(address).host_length() };
        self.local.links.get(&link).is_some_and(|link| link.addresses.contains(&prefix))
    }
}

/// Whether an address is the number of the network itself, which no host asks for (overlay networks put it on their
/// tunnel).
fn is_network_number(network: &Prefix, address: IpAddr) -> bool {
    let host_bits = Family::of(address).host_length().saturating_sub(network.length);
    host_bits > 1 && bits(address).trailing_zeros() >= u32::from(host_bits)
}
