//! One operation on a kernel.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{AddressAttributes, AddressKey, ArpSettings};
use crate::custody::Item;
use crate::ipvs::{
    DestinationKey, DestinationSettings, ForwardingMethod, Timeouts, Tunnel, VirtualServerKey,
    VirtualServerSettings,
};
use crate::names::LinkName;
use crate::packet_rule::{Described, PacketRuleKey, PacketRuleSettings};
use crate::sysctl::Sysctl;
use crate::tunnel::{GuePort, TunnelDevice};

/// One change of a kernel. It holds no heap data, so that a batch of many costs one allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Op {
    /// Sets both ARP settings of a link (never of `all`).
    SetArp(LinkName, ArpSettings),
    /// Adds an address to a link.
    AddAddress(AddressKey, AddressAttributes),
    /// Gives an address other attributes.
    SetAddress(AddressKey, AddressAttributes),
    /// Removes an address from a link.
    RemoveAddress(AddressKey),
    /// Adds a virtual service without destinations (`ipvsadm -A`).
    AddVirtualServer(VirtualServerKey, VirtualServerSettings),
    /// Gives a virtual service other settings (`-E`).
    SetVirtualServer(VirtualServerKey, VirtualServerSettings),
    /// Removes a virtual service with whatever destinations it has (`-D`).
    RemoveVirtualServer(VirtualServerKey),
    /// Adds a destination (`-a`).
    AddDestination(VirtualServerKey, DestinationKey, DestinationSettings),
    /// Gives a destination other settings (`-e`).
    SetDestination(VirtualServerKey, DestinationKey, DestinationSettings),
    /// Removes a destination (`-d`).
    RemoveDestination(VirtualServerKey, DestinationKey),
    /// Zeroes the counters of a virtual service and of its destinations (`-Z`).
    ZeroCounters(VirtualServerKey),
    /// Sets IPVS's timeouts (`--set`).
    SetTimeouts(Timeouts),
    /// Sets a sysctl (`sysctl -w`).
    SetSysctl(Sysctl, i32),
    /// Adds a tunnel device as it is to be: up, filtered loosely, with [`DUMMY_ADDRESS`](crate::tunnel::DUMMY_ADDRESS).
    AddTunnel(LinkName, TunnelDevice),
    /// Makes a tunnel device what it is to be.
    SetTunnel(LinkName, TunnelDevice),
    /// Removes a tunnel device with its addresses.
    RemoveTunnel(LinkName),
    /// Takes GUE in at a UDP port (`ip fou add`).
    OpenGuePort(GuePort),
    /// Takes it in no more (`ip fou del`).
    CloseGuePort(GuePort),
    /// Adds a rule for packets.
    AddPacketRule(PacketRuleKey, PacketRuleSettings),
    /// Gives a rule another value, and sees to it that packets get to it.
    SetPacketRule(PacketRuleKey, PacketRuleSettings),
    /// Removes a rule for packets.
    RemovePacketRule(PacketRuleKey),
    /// Has IPv4 packets forwarded that come in on a link and are for others, or not.
    SetForwarding(LinkName, bool),
}

impl Op {
    /// The thing in the kernel that the operation changes.
    #[must_use]
    pub fn item(&self) -> Item {
        match self {
            Self::SetArp(link, _) => Item::Arp(*link),
            Self::AddAddress(key, _) | Self::SetAddress(key, _) | Self::RemoveAddress(key) => {
                Item::Address(*key)
            }
            Self::AddVirtualServer(key, _)
            | Self::SetVirtualServer(key, _)
            | Self::RemoveVirtualServer(key) => Item::VirtualServer(*key),
            Self::AddDestination(key, destination, _)
            | Self::SetDestination(key, destination, _)
            | Self::RemoveDestination(key, destination) => Item::Destination(*key, *destination),
            Self::ZeroCounters(key) => Item::Counters(*key),
            Self::SetTimeouts(_) => Item::Timeouts,
            Self::SetSysctl(sysctl, _) => Item::Sysctl(*sysctl),
            Self::AddTunnel(link, _) | Self::SetTunnel(link, _) | Self::RemoveTunnel(link) => {
                Item::Tunnel(*link)
            }
            Self::OpenGuePort(port) | Self::CloseGuePort(port) => Item::GuePort(*port),
            Self::AddPacketRule(key, _) | Self::SetPacketRule(key, _) | Self::RemovePacketRule(key) => {
                Item::PacketRule(*key)
            }
            Self::SetForwarding(link, _) => Item::Forwarding(*link),
        }
    }

    /// The VIP that the operation is about, where it is about one.
    #[must_use]
    pub fn vip(&self) -> Option<IpAddr> {
        match self {
            Self::AddAddress(key, _) | Self::SetAddress(key, _) | Self::RemoveAddress(key) => {
                Some(key.address)
            }
            Self::AddPacketRule(key, _) | Self::SetPacketRule(key, _) | Self::RemovePacketRule(key) => {
                key.vip()
            }
            _ => self.virtual_server().and_then(|key| key.vip()),
        }
    }

    /// The virtual service that the operation is about, where it is about one.
    #[must_use]
    pub fn virtual_server(&self) -> Option<VirtualServerKey> {
        match self {
            Self::AddVirtualServer(key, _)
            | Self::SetVirtualServer(key, _)
            | Self::RemoveVirtualServer(key)
            | Self::AddDestination(key, ..)
            | Self::SetDestination(key, ..)
            | Self::RemoveDestination(key, _)
            | Self::ZeroCounters(key) => Some(*key),
            _ => None,
        }
    }
}

/// As a person would say it, in the words of `ip` and `ipvsadm`.
impl fmt::Display for Op {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetArp(link, arp) => {
                write!(
                    formatter,
                    "set ARP of {link} to arp_ignore {} arp_announce {}",
                    arp.ignore, arp.announce
                )
            }
            Self::AddAddress(key, _) => write!(formatter, "add address {key}"),
            Self::SetAddress(key, _) => write!(formatter, "change address {key}"),
            Self::RemoveAddress(key) => write!(formatter, "remove address {key}"),
            Self::AddVirtualServer(key, settings) => {
                write!(formatter, "add virtual server {key} {}", settings.scheduler)?;
                persistence(formatter, settings)
            }
            Self::SetVirtualServer(key, settings) => {
                write!(formatter, "change virtual server {key} {}", settings.scheduler)?;
                persistence(formatter, settings)
            }
            Self::RemoveVirtualServer(key) => write!(formatter, "remove virtual server {key}"),
            Self::AddDestination(key, destination, settings) => {
                write!(formatter, "add real server {destination} weight {} to {key}", settings.weight)?;
                way(formatter, settings)
            }
            Self::SetDestination(key, destination, settings) => {
                write!(formatter, "change real server {destination} of {key} to weight {}", settings.weight)?;
                way(formatter, settings)
            }
            Self::RemoveDestination(key, destination) => {
                write!(formatter, "remove real server {destination} from {key}")
            }
            Self::ZeroCounters(key) => write!(formatter, "zero the counters of {key}"),
            Self::AddTunnel(link, device) => write!(formatter, "add {} device {link}", device.kind),
            Self::SetTunnel(link, device) => write!(formatter, "change {} device {link}", device.kind),
            Self::RemoveTunnel(link) => write!(formatter, "remove tunnel device {link}"),
            Self::OpenGuePort(port) => write!(formatter, "take GUE in at {port}"),
            Self::CloseGuePort(port) => write!(formatter, "take GUE in no more at {port}"),
            Self::AddPacketRule(key, settings) => {
                write!(formatter, "add packet rule {}", Described(*key, *settings))
            }
            Self::SetPacketRule(key, settings) => {
                write!(formatter, "change packet rule to {}", Described(*key, *settings))
            }
            Self::RemovePacketRule(key) => write!(formatter, "remove packet rule {key}"),
            Self::SetSysctl(sysctl, value) => write!(formatter, "set {sysctl} to {value}"),
            Self::SetForwarding(link, on) => {
                write!(formatter, "turn IPv4 forwarding of {link} {}", if *on { "on" } else { "off" })
            }
            Self::SetTimeouts(timeouts) => write!(
                formatter,
                "set IPVS timeouts to tcp {} tcpfin {} udp {}",
                timeouts.tcp_seconds, timeouts.tcp_fin_seconds, timeouts.udp_seconds
            ),
        }
    }
}

/// How packets get there, where that is not by direct routing.
fn way(formatter: &mut fmt::Formatter<'_>, settings: &DestinationSettings) -> fmt::Result {
    match (settings.method, settings.tunnel) {
        (ForwardingMethod::DirectRouting, _) => Ok(()),
        (ForwardingMethod::Tunnel, Some(Tunnel { kind: 1, port, .. })) => {
            write!(formatter, " by GUE to port {port}")
        }
        (ForwardingMethod::Tunnel, Some(Tunnel { kind: 2, .. })) => formatter.write_str(" by GRE"),
        (ForwardingMethod::Tunnel, _) => formatter.write_str(" by IPIP"),
        (ForwardingMethod::Masquerade, _) => formatter.write_str(" by masquerading"),
        (other, _) => write!(formatter, " by {other:?}"),
    }
}

fn persistence(formatter: &mut fmt::Formatter<'_>, settings: &VirtualServerSettings) -> fmt::Result {
    match settings.persistence {
        Some(persistence) => write!(formatter, " persistent {}", persistence.timeout_seconds),
        None => Ok(()),
    }
}
