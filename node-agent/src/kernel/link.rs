//! The links of the network namespace, each with its ARP settings.

use std::collections::{BTreeMap, BTreeSet};

use lvs_core::kernel::ArpSettings;
use lvs_core::local::Link;
use lvs_core::names::LinkName;
use lvs_core::network::MacAddress;
use netlink_packet_core::{DecodeError, DefaultNla};
use netlink_packet_route::link::{LinkFlags, LinkHeader, LinkLayerType};

use super::arp_settings;
use super::error::Error;
use super::rtnetlink::{DUMP, attributes, behind, message};
use super::socket::Socket;

// linux/rtnetlink.h, linux/if_link.h
const RTM_GETLINK: u16 = 18;
const RTM_NEWLINK: u16 = 16;
const LINK_HEADER_LENGTH: usize = 16;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
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
    let (mut name, mut mac, mut arp) = (String::new(), None, None);
    for attribute in attributes(behind(payload, LINK_HEADER_LENGTH)) {
        match attribute? {
            (IFLA_IFNAME, value) => {
                name = String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned();
            }
            // Other link layers have addresses of other kinds, some of the same length.
            (IFLA_ADDRESS, value) if header.link_layer_type == LinkLayerType::Ether => {
                mac = value.try_into().ok().map(MacAddress);
            }
            (IFLA_AF_SPEC, value) => arp = arp_settings::parse(value)?,
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
    Ok((name, Found { link, arp }))
}
