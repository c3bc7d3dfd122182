//! Routes: next hops, the links of the default routes, and the way to one address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lvs_core::local::Path;
use lvs_core::names::LinkName;
use lvs_core::network::Family;
use netlink_packet_core::{DecodeError, DefaultNla};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{RouteHeader, RouteType};
use nix::errno::Errno;

use super::error::{Cause, Error};
use super::link::Links;
use super::rtnetlink::{ASK, Bytes, DUMP, address, attributes, behind, message, u32};
use super::socket::Socket;

// linux/rtnetlink.h, linux/nexthop.h
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const RTM_NEWNEXTHOP: u16 = 104;
const RTM_GETNEXTHOP: u16 = 106;
const ROUTE_HEADER_LENGTH: usize = 12;
/// Of `struct rtnexthop` and of `struct nhmsg`.
const NEXT_HOP_HEADER_LENGTH: usize = 8;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const NHA_GATEWAY: u16 = 6;

/// What the routes of a node say that matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Routes {
    /// Next hops of all routes in all tables.
    pub(super) gateways: BTreeSet<IpAddr>,
    /// The links of the main table's default routes, IPv4 before IPv6, the preferred one first.
    pub(super) default_links: Vec<LinkName>,
}

impl Routes {
    pub(super) fn read(socket: &mut Socket, links: &Links) -> Result<Self, Error> {
        let mut routes = Self::default();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let header = RouteHeader { address_family: family, ..RouteHeader::default() };
            let mut found = socket.dump(
                "reading the routes",
                &|sequence, buffer| message(RTM_GETROUTE, DUMP, sequence, &[&header], buffer),
                &mut |kind, payload| {
                    if kind == RTM_NEWROUTE { Route::parse(payload).map(Some) } else { Ok(None) }
                },
            )?;
            // Stable: among equals the kernel's own order stands.
            found.sort_by_key(|route| route.priority);
            for route in found {
                routes.gateways.extend(route.hops.iter().filter_map(|hop| hop.gateway));
                let links = route.hops.iter().filter_map(|hop| links.name(hop.link?));
                for link in links.filter(|_| route.is_default) {
                    if !routes.default_links.contains(&link) {
                        routes.default_links.push(link);
                    }
                }
            }
        }
        routes.gateways.extend(next_hop_objects(socket)?);
        Ok(routes)
    }
}

/// Gateways of next hop objects (`ip nexthop`): with `nexthop_compat_mode=0` the routes do not tell them.
fn next_hop_objects(socket: &mut Socket) -> Result<Vec<IpAddr>, Error> {
    // `struct nhmsg`, all 0 in a request for everything.
    let header = Bytes(&[0; NEXT_HOP_HEADER_LENGTH]);
    let gateways = socket.dump(
        "reading the next hops",
        &|sequence, buffer| message(RTM_GETNEXTHOP, DUMP, sequence, &[&header], buffer),
        &mut |kind, payload| {
            let mut gateway = None;
            for attribute in attributes(behind(payload, NEXT_HOP_HEADER_LENGTH)) {
                if let (NHA_GATEWAY, value) = attribute?
                    && kind == RTM_NEWNEXTHOP
                {
                    gateway = Some(address(value)?);
                }
            }
            Ok(gateway)
        },
    );
    match gateways {
        // Linux before 5.3 has none.
        Err(Error { cause: Cause::Refused { errno: Errno::EOPNOTSUPP, .. }, .. }) => Ok(Vec::new()),
        other => other,
    }
}

/// How the kernel would route to each of these addresses; those that it has no route to are left out.
pub(super) fn paths(
    socket: &mut Socket,
    links: &Links,
    targets: &[IpAddr],
) -> Result<BTreeMap<IpAddr, Path>, Error> {
    let mut paths = BTreeMap::new();
    for target in targets {
        if let Some(hop) = next_hop(socket, *target)?
            && let Some(link) = hop.link.and_then(|index| links.name(index))
        {
            paths.insert(*target, Path { link, gateway: hop.gateway });
        }
    }
    Ok(paths)
}

fn next_hop(socket: &mut Socket, target: IpAddr) -> Result<Option<Hop>, Error> {
    let (family, octets) = match target {
        IpAddr::V4(v4) => (AddressFamily::Inet, v4.octets().to_vec()),
        IpAddr::V6(v6) => (AddressFamily::Inet6, v6.octets().to_vec()),
    };
    let header = RouteHeader {
        address_family: family,
        destination_prefix_length: Family::of(target).host_length(),
        ..RouteHeader::default()
    };
    let destination = DefaultNla::new(RTA_DST, octets);
    let mut found = None;
    let asked = socket.ask(
        "asking for a route",
        &|sequence, buffer| message(RTM_GETROUTE, ASK, sequence, &[&header, &destination], buffer),
        &mut |kind, payload| {
            if kind == RTM_NEWROUTE {
                found = Route::parse(payload)?.hops.into_iter().next();
            }
            Ok(())
        },
    );
    match asked {
        // Whatever the error (ENETUNREACH, EHOSTUNREACH, EACCES of a `prohibit` route, …): there is no way.
        Err(Error { cause: Cause::Refused { .. }, .. }) => Ok(None),
        other => other.map(|()| found),
    }
}

/// A route, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
struct Route {
    /// Whether it is a default route of the main table.
    is_default: bool,
    /// The lower, the better.
    priority: u32,
    hops: Vec<Hop>,
}

/// One way out of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Hop {
    link: Option<u32>,
    gateway: Option<IpAddr>,
}

impl Route {
    fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        let header = RouteHeader::parse(payload)?;
        let (mut table, mut priority) = (u32::from(header.table), 0);
        let (mut hop, mut hops) = (Hop::default(), Vec::new());
        for attribute in attributes(behind(payload, ROUTE_HEADER_LENGTH)) {
            match attribute? {
                (RTA_TABLE, value) => table = u32(value)?,
                (RTA_PRIORITY, value) => priority = u32(value)?,
                (RTA_OIF, value) => hop.link = Some(u32(value)?),
                (RTA_MULTIPATH, value) => hops = multipath(value)?,
                (kind, value) => hop.read_gateway(kind, value)?,
            }
        }
        if hop != Hop::default() {
            hops.push(hop);
        }
        let is_default = header.destination_prefix_length == 0
            && header.kind == RouteType::Unicast
            && table == u32::from(RouteHeader::RT_TABLE_MAIN);
        Ok(Self { is_default, priority, hops })
    }
}

impl Hop {
    fn read_gateway(&mut self, kind: u16, value: &[u8]) -> Result<(), DecodeError> {
        match kind {
            RTA_GATEWAY => self.gateway = Some(address(value)?),
            // `struct rtvia`: an IPv4 route by a gateway with an IPv6 address; 16 bits of family come first.
            RTA_VIA => self.gateway = Some(address(behind(value, 2))?),
            _ => {}
        }
        Ok(())
    }
}

/// Reads a list of `struct rtnexthop`: 16 bits of length, 8 of flags, 8 of weight, 32 of link, then attributes.
fn multipath(mut list: &[u8]) -> Result<Vec<Hop>, DecodeError> {
    let mut hops = Vec::new();
    while let [low, high, _, _, link @ ..] = list {
        let length = usize::from(u16::from_ne_bytes([*low, *high]));
        let (Some(index), Some(entry)) = (link.get(..4), list.get(..length.max(NEXT_HOP_HEADER_LENGTH)))
        else {
            return Err(DecodeError::from("a next hop is cut short"));
        };
        let mut hop = Hop { link: Some(u32(index)?), gateway: None };
        for attribute in attributes(&entry[NEXT_HOP_HEADER_LENGTH..]) {
            let (kind, value) = attribute?;
            hop.read_gateway(kind, value)?;
        }
        hops.push(hop);
        list = behind(list, entry.len().next_multiple_of(4));
    }
    Ok(hops)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(link: u32, gateway: Option<[u8; 4]>) -> Hop {
        Hop { link: Some(link), gateway: gateway.map(IpAddr::from) }
    }

    /// `ip route add default via 192.168.10.1 dev eth0 metric 50`
    #[test]
    fn a_default_route_is_known_by_its_table_and_its_empty_prefix() {
        let mut bytes = b"\x02\0\0\0\xfe\x03\0\x01\0\0\0\0\
            \x08\0\x0f\0\xfe\0\0\0\x08\0\x06\0\x32\0\0\0\
            \x08\0\x05\0\xc0\xa8\x0a\x01\x08\0\x04\0\x02\0\0\0"
            .to_vec();
        let hops = vec![hop(2, Some([192, 168, 10, 1]))];
        let expected = Route { is_default: true, priority: 50, hops };
        assert_eq!(Route::parse(&bytes).unwrap(), expected);
        // RTA_TABLE beats the header, whose table has 8 bits only.
        bytes[16] = 77;
        assert!(!Route::parse(&bytes).unwrap().is_default);
        bytes[16] = 254;
        bytes[1] = 8;
        assert!(!Route::parse(&bytes).unwrap().is_default);
    }

    /// `ip route add 10.0.0.0/8 nexthop via 10.1.0.1 dev eth0 nexthop dev eth1`
    #[test]
    fn every_next_hop_of_several_counts() {
        let bytes = b"\x02\x08\0\0\xfe\x03\0\x01\0\0\0\0\
            \x1c\0\x09\0\
            \x10\0\0\0\x02\0\0\0\x08\0\x05\0\x0a\x01\0\x01\
            \x08\0\0\0\x03\0\0\0";
        let route = Route::parse(bytes).unwrap();
        assert_eq!(route.hops, [hop(2, Some([10, 1, 0, 1])), hop(3, None)]);
    }

    /// `ip route add 10.7.0.0/16 via inet6 fd00::9 dev eth0`
    #[test]
    fn a_gateway_may_be_of_the_other_family() {
        let bytes = b"\x02\x10\0\0\xfe\x03\0\x01\0\0\0\0\
            \x16\0\x12\0\x0a\0\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x09\0\0";
        let gateway = Some("fd00::9".parse().unwrap());
        assert_eq!(Route::parse(bytes).unwrap().hops, [Hop { link: None, gateway }]);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = Route::parse(&bytes);
            let _ = multipath(&bytes);
        }
    }
}
