//! The links of the network namespace, each with its ARP settings.

use std::collections::{BTreeMap, BTreeSet};

use lvs_core::kernel::ArpSettings;
use lvs_core::local::Link;
use lvs_core::names::LinkName;
use lvs_core::network::MacAddress;
use lvs_core::tunnel::TunnelDevice;
use netlink_packet_core::{DecodeError, DefaultNla};
use netlink_packet_route::link::{LinkFlags, LinkHeader, LinkLayerType};

use super::arp_settings;
use super::error::Error;
use super::rtnetlink::{DUMP, attributes, behind, message};
use super::socket::Socket;
use super::sysctl;
use super::tunnel;

// linux/rtnetlink.h, linux/if_link.h
const RTM_GETLINK: u16 = 18;
pub(super) const RTM_SETLINK: u16 = 19;
pub(super) const RTM_NEWLINK: u16 = 16;
const LINK_HEADER_LENGTH: usize = 16;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
pub(super) const IFLA_AF_SPEC: u16 = 26;
const IFLA_EXT_MASK: u16 = 29;
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;

/// The links by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    /// The links; their addresses are read elsewhere.
    pub(super) found: BTreeMap<LinkName, Found>,
    /// Links whose names are not printable ASCII, which nothing here can be said about.
    pub(super) left_out: BTreeSet<String>,
    by_index: BTreeMap<u32, LinkName>,
}

/// A link as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) link: Link,
    /// Its own ARP settings; none where it takes no part in IPv4.
    pub(super) arp: Option<ArpSettings>,
    /// Its own `forwarding` of IPv6; none where it takes no part in IPv6.
    pub(super) ipv6_forwarding: Option<i32>,
    /// Whether IPv4 packets that come in on it and are for others are forwarded.
    pub(super) forwarding: bool,
    /// The tunnel that it is the end of.
    pub(super) tunnel: Option<TunnelDevice>,
}

impl Links {
    pub(super) fn read(socket: &mut Socket) -> Result<Self, Error> {
        let mask = DefaultNla::new(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS.to_ne_bytes().to_vec());
        let entries = socket.dump(
            "reading the links",
            &|sequence, buffer| {
                message(RTM_GETLINK, DUMP, sequence, &[&LinkHeader::default(), &mask], buffer);
            },
            &mut |kind, payload| if kind == RTM_NEWLINK { parse(payload).map(Some) } else { Ok(None) },
        )?;
        let mut links = Self::default();
        for (name, found) in entries {
            match name.parse::<LinkName>() {
                Ok(name) => {
                    links.by_index.insert(found.link.index, name);
                    links.found.insert(name, found);
                }
                Err(_) => {
                    links.left_out.insert(format!("link {name:?}: its name is not printable ASCII"));
                }
            }
        }
        Ok(links)
    }

    /// The name of the link with this index.
    pub(super) fn name(&self, index: u32) -> Option<LinkName> {
        self.by_index.get(&index).copied()
    }

    /// The MAC addresses of all links: whoever answers from one of these is this node itself.
    pub(super) fn own_macs(&self) -> BTreeSet<MacAddress> {
        self.found.values().filter_map(|found| found.link.mac).collect()
    }
}

/// Reads one link: its name, and what was found.
fn parse(payload: &[u8]) -> Result<(String, Found), DecodeError> {
    let header = LinkHeader::parse(payload)?;
    let (mut name, mut mac, mut conf, mut ends) = (String::new(), None, None, None);
    let mut ipv6_forwarding = None;
    for attribute in attributes(behind(payload, LINK_HEADER_LENGTH)) {
        match attribute? {
            (IFLA_IFNAME, value) => {
                name = String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned();
            }
            // Other link layers have addresses of other kinds, some of the same length.
            (IFLA_ADDRESS, value) if header.link_layer_type == LinkLayerType::Ether => {
                mac = value.try_into().ok().map(MacAddress);
            }
            (IFLA_AF_SPEC, value) => {
                conf = arp_settings::parse(value)?;
                ipv6_forwarding = sysctl::ipv6_forwarding(value)?;
            }
            (IFLA_LINKINFO, value) => ends = tunnel::parse(value)?,
            _ => {}
        }
    }
    let flags = header.flags;
    let link = Link {
        index: header.index,
        mac,
        up: flags.contains(LinkFlags::Up),
        loopback: flags.contains(LinkFlags::Loopback),
        arp: !flags.intersects(LinkFlags::Loopback | LinkFlags::Noarp | LinkFlags::Pointopoint),
        addresses: BTreeSet::new(),
    };
    let rp_filter = conf.map_or(0, |conf| conf.rp_filter);
    let tunnel = ends.map(|ends| ends.device(link.up, rp_filter));
    let forwarding = conf.is_some_and(|conf| conf.forwarding);
    let arp = conf.map(|conf| conf.arp);
    Ok((name, Found { link, arp, ipv6_forwarding, forwarding, tunnel }))
}

/// What names a link in a request. With index 0 beside it the kernel finds the link by this, so that none that took over
/// an index is ever meant.
pub(super) fn by_name(link: LinkName) -> DefaultNla {
    let mut name = link.as_str().as_bytes().to_vec();
    name.push(0);
    DefaultNla::new(IFLA_IFNAME, name)
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::Emitable as _;

    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let attribute = DefaultNla::new(kind, value.to_vec());
        let mut bytes = vec![0; attribute.buffer_len()];
        attribute.emit(&mut bytes);
        bytes
    }

    /// A link as `ip link show` gets it: `struct ifinfomsg`, then attributes.
    fn message(link_layer_type: u16, flags: u32, attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![0, 0];
        bytes.extend_from_slice(&link_layer_type.to_ne_bytes());
        bytes.extend_from_slice(&7_u32.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend(attributes.concat());
        bytes
    }

    /// `IFLA_AF_SPEC` with 33 IPv4 settings of which each has its own number as its value.
    fn settings() -> Vec<u8> {
        let values: Vec<u8> = (1..=33_u32).flat_map(u32::to_ne_bytes).collect();
        attribute(IFLA_AF_SPEC, &attribute(2, &attribute(1, &values)))
    }

    #[test]
    fn a_link_is_read_with_its_arp_settings() {
        const ETHERNET: u16 = 1;
        // IFF_UP, IFF_BROADCAST, IFF_RUNNING, IFF_MULTICAST
        let bytes = message(
            ETHERNET,
            0x1043,
            &[attribute(IFLA_IFNAME, b"eth0\0"), attribute(IFLA_ADDRESS, &[2, 0, 0, 0, 0, 1]), settings()],
        );
        let (name, found) = parse(&bytes).unwrap();
        assert_eq!(name, "eth0");
        let mac = Some(MacAddress([2, 0, 0, 0, 0, 1]));
        let link = Link { index: 7, mac, up: true, loopback: false, arp: true, addresses: BTreeSet::new() };
        let arp = Some(ArpSettings { ignore: 19, announce: 18 });
        assert_eq!(found, Found { link, arp, ipv6_forwarding: None, forwarding: true, tunnel: None });
    }

    #[test]
    fn links_that_resolve_no_addresses_are_told_apart() {
        const LOOPBACK: u16 = 772;
        const TUNNEL: u16 = 768;
        let name = attribute(IFLA_IFNAME, b"x\0");
        // IFF_LOOPBACK, IFF_NOARP, IFF_POINTOPOINT
        for (kind, flags) in [(LOOPBACK, 0x9), (TUNNEL, 0x81), (TUNNEL, 0x11)] {
            let found = parse(&message(kind, flags, std::slice::from_ref(&name))).unwrap().1;
            assert!(!found.link.arp, "{flags:#x}");
            assert_eq!(found.arp, None);
        }
        // Four bytes that are no MAC address, and six that are none either.
        for value in [&[10, 0, 0, 1][..], &[0; 6]] {
            let bytes = message(TUNNEL, 0x1, &[name.clone(), attribute(IFLA_ADDRESS, value)]);
            assert_eq!(parse(&bytes).unwrap().1.link.mac, None);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = parse(&bytes);
            let _ = arp_settings::parse(&bytes);
            let _ = sysctl::ipv6_forwarding(&bytes);
        }
    }
}
