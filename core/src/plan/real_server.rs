//! Which hosts the entries of `spec.realServers` mean, and by which address a director reaches each.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::accept::{Index, is_host};
use super::draft::{Place, WantedRealServer};
use crate::addresses::Addresses;
use crate::cluster::{
    AllowedRealServers, PortSpec, RealServerSpec, RealServerTarget, ServiceSpec, ThresholdSplit,
};
use crate::forwarding::Forwarding;
use crate::ipvs::PortKey;
use crate::names::{NodeName, RealServerKey};
use crate::network::Family;
use crate::node_report::Trouble;
use crate::reason::Reason;
use crate::redirection::LocalPorts;

type Resolved = BTreeMap<RealServerKey, WantedRealServer>;

/// The real servers that a manifest wants. What one entry lacks is a trouble and the others go on; a foreign address
/// that a Node has refuses the manifest, because a node is to be written as one, and so does one that is a VIP.
pub(super) fn resolve(
    index: &Index<'_>,
    spec: &ServiceSpec,
    vips: &BTreeMap<IpAddr, Place>,
) -> Result<(Resolved, Vec<Trouble>), Trouble> {
    let (found, troubles) = (BTreeMap::new(), Vec::new());
    let mut resolver = Resolver { index, vips, spec, found, troubles };
    // Entries that name a node come first, because they beat selectors.
    let named = |entry: &RealServerSpec| matches!(entry.target, RealServerTarget::Node(_));
    let (first, then): (Vec<_>, Vec<_>) = spec.real_servers.iter().partition(|(_, entry)| named(entry));
    for (name, entry) in first.into_iter().chain(then) {
        match &entry.target {
            RealServerTarget::Node(node) => resolver.node(name, entry, node),
            RealServerTarget::Nodes(_) => resolver.selector(name, entry),
            RealServerTarget::Foreign(addresses) => resolver.foreign(name, entry, addresses)?,
        }
    }
    resolver.split_thresholds();
    Ok((resolver.found, resolver.troubles))
}

struct Resolver<'a, 'b> {
    index: &'a Index<'b>,
    vips: &'a BTreeMap<IpAddr, Place>,
    spec: &'a ServiceSpec,
    found: Resolved,
    troubles: Vec<Trouble>,
}

impl Resolver<'_, '_> {
    fn trouble(&mut self, reason: Reason, message: String) {
        self.troubles.push(Trouble::new(reason, message));
    }

    fn node(&mut self, name: &str, entry: &RealServerSpec, node: &NodeName) {
        if !self.index.cluster.nodes.contains_key(node) {
            let message = format!("realServers[{name}]: there is no Node {node}.");
            return self.trouble(Reason::NodeNotFound, message);
        }
        if let Some(other) = self.found.get(&RealServerKey::Node(node.clone())) {
            let message =
                format!("realServers[{name}]: Node {node} is realServers[{}] already.", other.entry);
            return self.trouble(Reason::DuplicateRealServer, message);
        }
        self.admit(name, entry, node);
    }

    fn selector(&mut self, name: &str, entry: &RealServerSpec) {
        let RealServerTarget::Nodes(selector) = &entry.target else { return };
        let nodes = self.index.cluster.nodes.iter();
        let matching: Vec<NodeName> =
            nodes.filter(|(_, node)| selector.matches(&node.labels)).map(|(name, _)| name.clone()).collect();
        if matching.is_empty() {
            self.trouble(
                Reason::NoNodeMatches,
                format!("realServers[{name}]: the nodeSelector matches no Node."),
            );
        }
        for node in matching {
            if !self.found.contains_key(&RealServerKey::Node(node.clone())) {
                self.admit(name, entry, &node);
            }
        }
    }

    fn admit(&mut self, name: &str, entry: &RealServerSpec, node: &NodeName) {
        if let Some(group) = self.forbidden(|allowed| self.allows_node(allowed, node), true) {
            let message = format!(
                "realServers[{name}]: DirectorGroup {group} does not allow Node {node} as a real server."
            );
            return self.trouble(Reason::RealServerNotAllowed, message);
        }
        let forwarding = self.forwarding(entry);
        let addresses = self.node_addresses(node, forwarding);
        if let Some((vip, family)) = self.out_of_reach(&addresses, forwarding) {
            let message = format!(
                "realServers[{name}]: Node {node} has no {family:?} address for {vip}; \
                 set annotation lvs-operator.io/real-server-addresses on the Node."
            );
            self.trouble(Reason::NoRealServerAddress, message);
        }
        let wanted = self.wanted(name, entry, addresses);
        self.found.insert(RealServerKey::Node(node.clone()), wanted);
    }

    /// How directors send to the hosts of an entry.
    fn forwarding(&self, entry: &RealServerSpec) -> Forwarding {
        entry.forwarding.unwrap_or(self.spec.forwarding)
    }

    /// A VIP for which a real server cannot be reached by any of its addresses.
    fn out_of_reach(&self, addresses: &[IpAddr], forwarding: Forwarding) -> Option<(IpAddr, Family)> {
        let mut vips = self.vips.keys().map(|vip| (*vip, Family::of(*vip)));
        vips.find(|(_, family)| forwarding.address(addresses, *family).is_none())
    }

    /// A real server with the limits of its entry, else the service's. A total is split when all are known.
    fn wanted(&self, name: &str, entry: &RealServerSpec, addresses: Addresses) -> WantedRealServer {
        let thresholds = entry.thresholds.unwrap_or(self.spec.thresholds.limits);
        let forwarding = self.forwarding(entry);
        let ports = self.ports(entry);
        WantedRealServer {
            entry: name.to_owned(),
            addresses,
            weight: entry.weight,
            thresholds,
            forwarding,
            ports,
        }
    }

    /// The ports on which the hosts of an entry listen, where another than the service's.
    fn ports(&self, entry: &RealServerSpec) -> LocalPorts {
        let listens = |(key, port): (&PortKey, &PortSpec)| {
            let to = entry.port.or(port.target)?;
            (to != key.port).then_some((*key, to))
        };
        self.spec.ports.iter().filter_map(listens).collect()
    }

    /// Gives each real server without limits of its own its share of a total.
    fn split_thresholds(&mut self) {
        let spec = self.spec;
        if spec.thresholds.split != ThresholdSplit::ByWeight {
            return;
        }
        let shares = |server: &WantedRealServer| {
            spec.real_servers.get(&server.entry).is_some_and(|entry| entry.thresholds.is_none())
        };
        let of_all = self.found.values().filter(|server| shares(server));
        let of_all: u64 = of_all.map(|server| u64::from(server.weight)).sum();
        let total = spec.thresholds.limits;
        for server in self.found.values_mut().filter(|server| shares(server)) {
            server.thresholds = total.share(server.weight, of_all);
        }
    }

    fn foreign(&mut self, name: &str, entry: &RealServerSpec, addresses: &Addresses) -> Result<(), Trouble> {
        for address in addresses.iter() {
            if self.vips.contains_key(address) {
                let message = format!(
                    "realServers[{name}]: {address} is a VIP of this service, so it is no real server; \
                     write the host's own address."
                );
                return Err(Trouble::new(Reason::RealServerIsVip, message));
            }
            if let Some(node) = self.index.node_addresses.get(address) {
                let message = format!(
                    "realServers[{name}]: {address} is an address of Node {node}; use nodeName: {node}."
                );
                return Err(Trouble::new(Reason::ForeignAddressIsNode, message));
            }
        }
        let inside = |allowed: &AllowedRealServers| {
            addresses.iter().all(|address| allowed.cidrs.iter().any(|cidr| cidr.contains(*address)))
        };
        if let Some(group) = self.forbidden(inside, false) {
            let message = format!(
                "realServers[{name}]: DirectorGroup {group} does not allow these addresses; \
                 add their network to spec.allowedRealServers.cidrs."
            );
            self.trouble(Reason::RealServerNotAllowed, message);
            return Ok(());
        }
        if let Some((vip, family)) = self.out_of_reach(addresses, self.forwarding(entry)) {
            let message = format!(
                "realServers[{name}]: there is no {family:?} address for {vip}; write one in addresses too."
            );
            self.trouble(Reason::NoRealServerAddress, message);
        }
        let wanted = self.wanted(name, entry, addresses.clone());
        self.found.insert(RealServerKey::Foreign(name.to_owned()), wanted);
        Ok(())
    }

    /// The group of a VIP that does not allow a real server; `default` is what a group without a rule says.
    fn forbidden(&self, allows: impl Fn(&AllowedRealServers) -> bool, default: bool) -> Option<String> {
        let groups = self.vips.values().filter_map(|place| Some((place, self.index.group(place)?)));
        let mut refusing =
            groups.filter(|(_, group)| !group.allowed_real_servers.as_ref().map_or(default, &allows));
        refusing.next().map(|(place, _)| place.group.to_string())
    }

    fn allows_node(&self, allowed: &AllowedRealServers, node: &NodeName) -> bool {
        let labels = self.index.cluster.nodes.get(node).map(|node| &node.labels);
        let matches =
            |selector: &crate::selector::Selector| labels.is_some_and(|labels| selector.matches(labels));
        allowed.node_selector.as_ref().is_none_or(matches)
    }

    /// RIPs of a node, one per family of the VIPs. By tunnel one of the other family is as good, where the node has none
    /// of a VIP's, or where its annotation names that one only.
    fn node_addresses(&self, name: &NodeName, forwarding: Forwarding) -> Addresses {
        let annotated = self.index.cluster.nodes.get(name).map(|node| &node.real_server_addresses);
        if let Some(named) = annotated.filter(|named| !named.is_empty() && forwarding.crosses_families()) {
            return named.clone();
        }
        let families: BTreeSet<Family> = self.vips.keys().map(|vip| Family::of(*vip)).collect();
        let found = |families: &[Family]| -> Addresses {
            families.iter().filter_map(|family| self.node_address(name, *family)).collect()
        };
        let same = found(&families.into_iter().collect::<Vec<_>>());
        if same.is_empty() && forwarding.crosses_families() {
            return found(&[Family::IPv4, Family::IPv6]);
        }
        same
    }

    /// The annotation's address, else the one that the agent reports on the VIP's network, else the Node's InternalIP.
    fn node_address(&self, name: &NodeName, family: Family) -> Option<IpAddr> {
        let node = self.index.cluster.nodes.get(name)?;
        let of_family = |address: &&IpAddr| Family::of(**address) == family;
        if let Some(address) = node.real_server_addresses.iter().find(of_family) {
            return Some(*address);
        }
        let of_vip = self.vips.iter().find(|(vip, _)| Family::of(**vip) == family);
        let network = of_vip.and_then(|(vip, place)| self.index.network(*vip, place));
        let report = self.index.cluster.reports.get(name);
        let reported =
            report.into_iter().flat_map(|report| report.node.links.values()).flat_map(|link| &link.addresses);
        let on_network = |address: IpAddr| {
            !self.vips.contains_key(&address) && network.is_some_and(|network| network.contains(address))
        };
        let reported = reported
            .filter(|prefix| !is_host(prefix) && on_network(prefix.address))
            .map(|prefix| prefix.address);
        let internal = || {
            let candidates = || node.internal_ips.iter().filter(of_family);
            candidates().find(|address| on_network(**address)).or_else(|| candidates().next()).copied()
        };
        reported.min().or_else(internal)
    }
}
