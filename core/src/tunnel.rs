//! The receiving ends of tunnels in a real server's kernel.
//!
//! A device of ours takes in what is sent to one address of the node (`local ADDRESS remote any`). So it leaves alone the
//! device that each module brings along (`tunl0`, `sit0`, …), and what others do with that one.
//!
//! The kernel drops a packet that has come out of a tunnel where its source would not be answered through the tunnel
//! (reverse path filtering), unless the filter is off or loose, and a loose one asks for a link that has an IPv4 address.
//! The filter in force is the greater of the link's and that of `all`, so that a loose one on the link (2) holds
//! whatever `all` is. Both can be had by rtnetlink.

use std::fmt;
use std::hash::Hasher as _;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use crate::forwarding::{Reception, TunnelType};
use crate::kernel::{AddressAttributes, AddressKey, Kernel};
use crate::names::LinkName;
use crate::network::Family;

/// A loose reverse path filter (`rp_filter` of Documentation/networking/ip-sysctl.rst).
pub const LOOSE: u32 = 2;

/// The IPv4 address of our tunnel devices: one that never is a destination (RFC 7600, the IPv4 dummy address).
pub const DUMMY_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 0, 8));

/// The address of a tunnel device of ours.
#[must_use]
pub fn dummy_address(link: LinkName) -> (AddressKey, AddressAttributes) {
    let host = AddressAttributes { scope: 254, no_dad: false, preferred_seconds: None, valid_seconds: None };
    (AddressKey::host(link, DUMMY_ADDRESS), host)
}

/// A kind of tunnel device, by rtnetlink's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TunnelKind {
    /// IPv4 in IPv4.
    Ipip,
    /// IPv6 in IPv4.
    Sit,
    /// Both in IPv6.
    Ip6tnl,
    /// GRE in IPv4.
    Gre,
    /// GRE in IPv6.
    Ip6gre,
}

impl TunnelKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Ipip, Self::Sit, Self::Ip6tnl, Self::Gre, Self::Ip6gre];

    /// The name that rtnetlink knows it by (`IFLA_INFO_KIND`).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ipip => "ipip",
            Self::Sit => "sit",
            Self::Ip6tnl => "ip6tnl",
            Self::Gre => "gre",
            Self::Ip6gre => "ip6gre",
        }
    }

    /// The kernel module that has it.
    #[must_use]
    pub fn module(self) -> &'static str {
        match self {
            Self::Ipip => "ipip",
            Self::Sit => "sit",
            Self::Ip6tnl => "ip6_tunnel",
            Self::Gre => "ip_gre",
            Self::Ip6gre => "ip6_gre",
        }
    }

    /// The first letters of the name of a link of ours.
    fn prefix(self) -> [u8; 7] {
        match self {
            Self::Ipip => *b"lvs-ip-",
            Self::Sit => *b"lvs-si-",
            Self::Ip6tnl => *b"lvs-i6-",
            Self::Gre => *b"lvs-gr-",
            Self::Ip6gre => *b"lvs-g6-",
        }
    }
}

impl fmt::Display for TunnelKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// A tunnel device, as far as it matters for taking packets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TunnelDevice {
    /// Its kind.
    pub kind: TunnelKind,
    /// The address of the node that it takes packets for; `None` for any.
    pub local: Option<IpAddr>,
    /// The sender that it takes packets from; `None` for any.
    pub remote: Option<IpAddr>,
    /// Whether it takes GRE with a checksum; else it takes what has none.
    pub checksum: bool,
    /// Whether it is up.
    pub up: bool,
    /// Its own `net.ipv4.conf.LINK.rp_filter`: 0 off, 1 strict, 2 loose.
    pub rp_filter: u32,
    /// Whether it has an IPv4 address.
    pub addressed: bool,
}

impl TunnelDevice {
    /// A device of ours that takes in everything of its kind that is sent to an address of the node.
    #[must_use]
    pub fn receiving(kind: TunnelKind, local: IpAddr, checksum: bool) -> Self {
        let (local, remote) = (Some(local), None);
        Self { kind, local, remote, checksum, up: true, rp_filter: LOOSE, addressed: true }
    }

    /// Whether packets of a kind from anywhere to an address come to this device, if to no other.
    #[must_use]
    pub fn catches(&self, kind: TunnelKind, address: IpAddr) -> bool {
        let here = self.local.is_none_or(|local| local == address);
        self.up && self.kind == kind && here && self.remote.is_none()
    }

    /// Whether IPv4 packets that come out of it are kept, with `rp_filter` of `all`.
    #[must_use]
    pub fn keeps_ipv4(&self, all: u32) -> bool {
        match self.rp_filter.max(all) {
            0 => true,
            1 => false,
            _ => self.addressed,
        }
    }
}

/// The device that a reception needs: its kind, and whether of GRE with a checksum.
#[must_use]
pub fn device(reception: &Reception) -> TunnelDevice {
    let kind = match (reception.tunnel, Family::of(reception.address), reception.carries) {
        (TunnelType::Gre, Family::IPv4, _) => TunnelKind::Gre,
        (TunnelType::Gre, Family::IPv6, _) => TunnelKind::Ip6gre,
        (_, Family::IPv6, _) => TunnelKind::Ip6tnl,
        (_, Family::IPv4, Family::IPv4) => TunnelKind::Ipip,
        (_, Family::IPv4, Family::IPv6) => TunnelKind::Sit,
    };
    TunnelDevice::receiving(kind, reception.address, reception.checksum)
}

/// The name of our device of a kind for an address: of an IPv4 address its digits, of an IPv6 address some of a hash.
#[must_use]
pub fn link_name(kind: TunnelKind, local: IpAddr) -> LinkName {
    let digits = match local {
        IpAddr::V4(v4) => u32::from(v4),
        IpAddr::V6(v6) => {
            let mut hasher = SipHasher13::new();
            hasher.write(&v6.octets());
            // The lower half is as good as any.
            u32::try_from(hasher.finish() & u64::from(u32::MAX)).unwrap_or_default()
        }
    };
    LinkName::numbered(kind.prefix(), digits)
}

/// A UDP port at which the kernel takes GUE in, on all addresses of a family (`ip fou add port PORT gue`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GuePort {
    /// The family of the datagrams.
    pub family: Family,
    /// 1 to 65535.
    pub port: u16,
}

impl fmt::Display for GuePort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} port {}", self.family, self.port)
    }
}

/// The port that a reception needs, where it needs one.
#[must_use]
pub fn gue_port(reception: &Reception) -> Option<GuePort> {
    reception.port.map(|port| GuePort { family: Family::of(reception.address), port })
}

impl Kernel {
    /// The device that takes in what is sent to an address: one for just that address before one for any.
    #[must_use]
    pub fn catcher(&self, kind: TunnelKind, address: IpAddr) -> Option<(LinkName, &TunnelDevice)> {
        let mut catching: Vec<_> =
            self.tunnels.iter().filter(|(_, device)| device.catches(kind, address)).collect();
        catching.sort_by_key(|(_, device)| device.local.is_none());
        catching.first().map(|(name, device)| (**name, *device))
    }

    /// Whether packets of a tunnel are taken in, and kept.
    #[must_use]
    pub fn receives(&self, reception: &Reception) -> bool {
        let needed = device(reception);
        let listens = gue_port(reception).is_none_or(|port| self.gue_ports.contains(&port));
        let Some((_, device)) = self.catcher(needed.kind, reception.address) else { return false };
        let kept = reception.carries == Family::IPv6 || device.keeps_ipv4(self.rp_filter_all);
        listens && device.checksum == needed.checksum && kept
    }
}

#[cfg(test)]
mod tests;
