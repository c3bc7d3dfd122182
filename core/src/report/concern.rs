//! Whom an item of a kernel concerns.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::custody::Item;
use crate::names::ServiceName;
use crate::node_plan::PlannedService;
use crate::wanted::Wanted;

/// Whom an item concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Concern<'a> {
    /// The service that wants it.
    Owner(&'a ServiceName),
    /// The services that use a tunnel or a packet rule.
    Users(&'a BTreeSet<ServiceName>),
    /// Whoever has the VIP.
    Vip(IpAddr),
    /// Everybody with an IPv4 VIP on the node: a link that does not hide keeps each of them from coming.
    EveryIpv4Vip,
    /// The node.
    Node,
}

impl<'a> Concern<'a> {
    pub(super) fn of(item: &Item, wanted: &'a Wanted) -> Self {
        let owner = match item {
            Item::VirtualServer(key) | Item::Destination(key, _) | Item::Counters(key) => {
                wanted.owners.get(key)
            }
            _ => None,
        };
        if let Some(users) = wanted.users.get(item) {
            return Self::Users(users);
        }
        match (owner, item.vip()) {
            (Some(owner), _) => Self::Owner(owner),
            (None, Some(vip)) => Self::Vip(vip),
            (None, None) if matches!(item, Item::Arp(_)) => Self::EveryIpv4Vip,
            (None, None) => Self::Node,
        }
    }

    /// Whether it is a service by itself, or by a VIP that its part names.
    pub(super) fn is(self, name: &ServiceName, part: &PlannedService) -> bool {
        match self {
            Self::Owner(owner) => owner == name,
            Self::Users(users) => users.contains(name),
            Self::Vip(vip) => part.vips.contains_key(&vip),
            Self::EveryIpv4Vip => {
                let mut duties = part.vips.iter().filter(|(vip, _)| vip.is_ipv4());
                duties.any(|(_, duty)| duty.accept || duty.attract)
            }
            Self::Node => false,
        }
    }
}
