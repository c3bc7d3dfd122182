//! Whether a manifest can be accepted, and what form it gives.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::draft::{Form, Place};
use super::real_server;
use crate::cluster::{Cluster, GroupSpec, Service};
use crate::names::{GroupName, NodeName};
use crate::network::Prefix;
use crate::node_report::Trouble;
use crate::reason::Reason;
use crate::verdict::Judgement;

/// What acceptance asks of the whole cluster, looked up once.
pub(super) struct Index<'a> {
    /// The cluster.
    pub(super) cluster: &'a Cluster,
    /// Groups that can be read, each with its directors.
    pub(super) groups: BTreeMap<&'a GroupName, (&'a GroupSpec, BTreeSet<NodeName>)>,
    /// Whose each address of a node is: InternalIPs and reported addresses (host addresses on links left out, since
    /// such a one may be a VIP that somebody bound by hand).
    pub(super) node_addresses: BTreeMap<IpAddr, &'a NodeName>,
    gateways: BTreeMap<IpAddr, &'a NodeName>,
}

impl<'a> Index<'a> {
    /// Looks everything up.
    pub(super) fn of(cluster: &'a Cluster) -> Self {
        let readable =
            cluster.groups.iter().filter_map(|(name, group)| Some((name, group.spec.as_ref().ok()?)));
        let groups = readable.map(|(name, spec)| (name, (spec, directors(cluster, spec)))).collect();
        let mut index = Self { cluster, groups, node_addresses: BTreeMap::new(), gateways: BTreeMap::new() };
        for (name, report) in cluster.reports.iter().filter(|(name, _)| cluster.nodes.contains_key(*name)) {
            let on_links = report.node.links.values().flat_map(|link| &link.addresses);
            let own = on_links.filter(|prefix| !is_host(prefix)).map(|prefix| (prefix.address, name));
            index.node_addresses.extend(own);
            index.gateways.extend(report.node.gateways.iter().map(|gateway| (*gateway, name)));
        }
        for (name, node) in &cluster.nodes {
            index.node_addresses.extend(node.internal_ips.iter().map(|address| (*address, name)));
        }
        index
    }

    /// The form that a manifest gives, and whether every reference was found.
    pub(super) fn accept(&self, service: &Service) -> Result<(Form, Judgement), Trouble> {
        let spec = service.spec.as_ref().map_err(Clone::clone)?;
        let mut vips = BTreeMap::new();
        for vip in &spec.vips {
            self.check_vip(*vip)?;
            vips.insert(*vip, self.place(*vip)?);
        }
        let (real_servers, troubles) = real_server::resolve(self, spec, &vips)?;
        let resolved = resolved(missing_directors(&vips).into_iter().chain(troubles).collect());
        let form = Form {
            uid: service.uid.clone(),
            vips,
            ports: spec.ports.keys().copied().collect(),
            marking: spec.marking,
            scheduling: spec.scheduling.clone(),
            adopt: service.adopt,
            zero_counters: service.zero_counters.clone(),
            real_servers,
        };
        Ok((form, resolved))
    }

    fn check_vip(&self, vip: IpAddr) -> Result<(), Trouble> {
        let what = match (self.node_addresses.get(&vip), self.gateways.get(&vip)) {
            (Some(node), _) => format!("an address of Node {node}"),
            (None, Some(node)) => format!("a gateway of Node {node}"),
            (None, None) => return Ok(()),
        };
        Err(Trouble::new(
            Reason::AddressOfNode,
            format!("{vip} is {what}; a VIP must be an address that no host has."),
        ))
    }

    /// The one pool that holds a VIP.
    fn place(&self, vip: IpAddr) -> Result<Place, Trouble> {
        let mut found = self.groups.iter().flat_map(|(group, (spec, directors))| {
            let holding = spec
                .pools
                .iter()
                .filter(move |(_, pool)| pool.addresses.iter().any(|range| range.contains(vip)));
            holding.map(move |(name, pool)| (*group, name, pool, directors))
        });
        let Some((group, name, pool, directors)) = found.next() else {
            return Err(Trouble::new(Reason::VipNotInPool, self.no_pool(vip)));
        };
        if let Some((other, other_name, ..)) = found.next() {
            let message = format!(
                "{vip} is in pool {name} of DirectorGroup {group} and in pool {other_name} of {other}; leave it in one."
            );
            return Err(Trouble::new(Reason::VipInSeveralPools, message));
        }
        let (group, pool_name) = (group.clone(), name.clone());
        Ok(Place { group, pool: pool_name, interface: pool.interface, directors: directors.clone() })
    }

    /// Why no pool holds a VIP. A group that cannot be read may have the pool that is missed.
    fn no_pool(&self, vip: IpAddr) -> String {
        let groups = self.cluster.groups.iter();
        let refused: Vec<&str> =
            groups.filter(|(_, group)| group.spec.is_err()).map(|(name, _)| name.0.as_str()).collect();
        if refused.is_empty() {
            return format!(
                "No pool of a DirectorGroup holds {vip}; add it to spec.pools[].addresses of one, or take a VIP from a pool."
            );
        }
        let (them, are) = (refused.join(", "), if refused.len() == 1 { "is" } else { "are" });
        format!(
            "No pool of an accepted DirectorGroup holds {vip}, and {them} {are} not accepted; \
             first correct what its Accepted condition names."
        )
    }

    /// The network that a VIP lies in, as a director of its group reports it.
    pub(super) fn network(&self, vip: IpAddr, place: &Place) -> Option<Prefix> {
        let reports = place.directors.iter().filter_map(|director| self.cluster.reports.get(director));
        let mut addresses =
            reports.flat_map(|report| report.node.links.values()).flat_map(|link| &link.addresses);
        addresses.find(|prefix| !is_host(prefix) && prefix.contains(vip)).copied()
    }

    /// The spec's group settings for the real servers of a VIP.
    pub(super) fn group(&self, place: &Place) -> Option<&'a GroupSpec> {
        self.groups.get(&place.group).map(|(spec, _)| *spec)
    }
}

/// A VIP whose group selects no node, so that nobody can hold it.
fn missing_directors(vips: &BTreeMap<IpAddr, Place>) -> Option<Trouble> {
    let (vip, place) = vips.iter().find(|(_, place)| place.directors.is_empty())?;
    let message = format!(
        "DirectorGroup {} selects no Node, so nobody can hold {vip}; label a Node as its nodeSelector says.",
        place.group
    );
    Some(Trouble::new(Reason::NoDirector, message))
}

/// At most this many troubles stand in a message.
const MOST_TROUBLES: usize = 4;

/// Whether every reference was found: the first trouble gives the reason, and no other is hidden behind it.
pub(super) fn resolved(troubles: Vec<Trouble>) -> Judgement {
    let Some(first) = troubles.first() else {
        return Judgement::yes(Reason::Resolved, "Every reference was found.");
    };
    let reason = first.reason;
    let more = troubles.len().saturating_sub(MOST_TROUBLES);
    let mut messages: Vec<String> =
        troubles.into_iter().take(MOST_TROUBLES).map(|trouble| trouble.message).collect();
    if more > 0 {
        messages.push(format!("And {more} more."));
    }
    Judgement::no(reason, messages.join(" "))
}

/// The nodes that a group selects.
pub(super) fn directors(cluster: &Cluster, spec: &GroupSpec) -> BTreeSet<NodeName> {
    let matching = cluster.nodes.iter().filter(|(_, node)| spec.node_selector.matches(&node.labels));
    matching.map(|(name, _)| name.clone()).collect()
}

/// Whether a prefix stands for one address only.
pub(super) fn is_host(prefix: &Prefix) -> bool {
    prefix.length == crate::network::Family::of(prefix.address).host_length()
}
