//! What IPVS calls a virtual service and a destination, as values.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::inline::InlineName;
use crate::names::{InvalidKey, SchedulerName, address_schema, as_text};
use crate::network::{Family, Protocol};

/// The identity of an IPVS virtual service. Written `TCP 192.168.10.40:80`, `TCP [fd00::40]:80` or `FWM 7 IPv4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VirtualServerKey {
    /// A protocol, a VIP and a port; port 0 stands for all ports.
    Tuple {
        /// The transport protocol.
        protocol: Protocol,
        /// The VIP.
        address: IpAddr,
        /// 1 to 65535, or 0 for all ports.
        port: u16,
    },
    /// A firewall mark.
    Mark {
        /// The family of the packets that carry the mark.
        family: Family,
        /// 1 to 2^32 − 1.
        mark: u32,
    },
}

impl VirtualServerKey {
    /// The VIP, where the identity has one.
    #[must_use]
    pub fn vip(&self) -> Option<IpAddr> {
        match self {
            Self::Tuple { address, .. } => Some(*address),
            Self::Mark { .. } => None,
        }
    }

    /// The port of the service; 0 for a mark.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Tuple { port, .. } => *port,
            Self::Mark { .. } => 0,
        }
    }

    /// The identities that a VIP can have, as one range of keys per protocol.
    #[must_use]
    pub fn of_vip(address: IpAddr) -> [RangeInclusive<Self>; 3] {
        [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].map(|protocol| {
            let key = |port| Self::Tuple { protocol, address, port };
            key(0)..=key(u16::MAX)
        })
    }

    /// The address family.
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Self::Tuple { address, .. } => Family::of(*address),
            Self::Mark { family, .. } => *family,
        }
    }
}

/// The settings of a virtual service, in the kernel's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VirtualServerSettings {
    /// The scheduler; `none` where the kernel has none set.
    pub scheduler: SchedulerName,
    /// `IP_VS_SVC_F_*` of `linux/ip_vs.h` without PERSISTENT (0x1, see `persistence`) and HASHED (0x2, the kernel's own).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub flags: u32,
    /// Persistence, where it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<Persistence>,
    /// The persistence engine (`sip`), where one is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence_engine: Option<InlineName>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands skip_serializing_if a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Persistence of a virtual service: clients of one network stay with one real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Persistence {
    /// How long a client stays with its real server after its last connection, in seconds.
    pub timeout_seconds: u32,
    /// The prefix length of the client's network: 1 to 32 for IPv4, 1 to 128 for IPv6.
    pub prefix_length: u8,
}

/// The identity of a destination in its virtual service, written `192.168.10.10:80`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationKey {
    /// RIP, the real server's own address.
    pub address: IpAddr,
    /// The port; for direct routing always that of the service.
    pub port: u16,
}

/// How a director forwards a packet to a real server (`IP_VS_CONN_F_*` of `linux/ip_vs.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ForwardingMethod {
    /// NAT, `-m`.
    Masquerade,
    /// A local process.
    LocalNode,
    /// Encapsulation, `-i`.
    Tunnel,
    /// A new destination MAC address and nothing else, `-g`.
    DirectRouting,
    /// Past IPVS.
    Bypass,
    /// A method that this version does not know; the kernel's number.
    Other(u8),
}

/// The settings of a destination, in the kernel's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DestinationSettings {
    /// How packets get there.
    pub method: ForwardingMethod,
    /// 0 to 2^31 − 1; 0 quiesces: no new connections, those that are there go on.
    pub weight: u32,
    /// Above this many connections the destination gets no new ones; 0 for no limit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub upper_threshold: u32,
    /// Below this many it gets new ones again; 0 for three quarters of the upper one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lower_threshold: u32,
    /// The tunnel, for [`ForwardingMethod::Tunnel`] only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<Tunnel>,
}

/// A tunnel to a destination (`IP_VS_CONN_F_TUNNEL_TYPE_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tunnel {
    /// 0 ipip, 1 GUE, 2 GRE.
    pub kind: u8,
    /// The UDP port of GUE.
    pub port: u16,
    /// 0 no checksum, 1 checksum, 2 remote checksum.
    pub flags: u16,
}

/// IPVS's connection timeouts of a network namespace, in seconds (`ipvsadm --set`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// An established TCP connection without packets.
    pub tcp_seconds: u32,
    /// A TCP connection after a FIN.
    pub tcp_fin_seconds: u32,
    /// A UDP flow without packets.
    pub udp_seconds: u32,
}

/// A key as it stands in a message to a person.
impl fmt::Display for VirtualServerKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tuple { protocol, address, port } => {
                write!(formatter, "{protocol} {}", SocketAddr::new(*address, *port))
            }
            Self::Mark { family, mark } => write!(formatter, "FWM {mark} {family:?}"),
        }
    }
}

impl FromStr for VirtualServerKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let wrong =
            || InvalidKey { text: text.to_owned(), wanted: "PROTOCOL ADDRESS:PORT or FWM MARK FAMILY" };
        let (kind, rest) = text.split_once(' ').ok_or_else(wrong)?;
        if kind == "FWM" {
            let (mark, family) = rest.split_once(' ').ok_or_else(wrong)?;
            let family = match family {
                "IPv4" => Family::IPv4,
                "IPv6" => Family::IPv6,
                _ => return Err(wrong()),
            };
            return Ok(Self::Mark { family, mark: mark.parse().map_err(|_| wrong())? });
        }
        let protocol = kind.parse()?;
        let socket: SocketAddr = rest.parse().map_err(|_| wrong())?;
        Ok(Self::Tuple { protocol, address: socket.ip(), port: socket.port() })
    }
}

impl fmt::Display for DestinationKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port).fmt(formatter)
    }
}

impl FromStr for DestinationKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let socket: SocketAddr =
            text.parse().map_err(|_| InvalidKey { text: text.to_owned(), wanted: "ADDRESS:PORT" })?;
        Ok(Self { address: socket.ip(), port: socket.port() })
    }
}

as_text!(VirtualServerKey, DestinationKey);

/// A port of a VirtualService, written `TCP 80`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortKey {
    /// The transport protocol.
    pub protocol: Protocol,
    /// 1 to 65535.
    pub port: u16,
}

impl fmt::Display for PortKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.protocol, self.port)
    }
}

impl FromStr for PortKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let wrong = || InvalidKey { text: text.to_owned(), wanted: "PROTOCOL PORT" };
        let (protocol, port) = text.split_once(' ').ok_or_else(wrong)?;
        Ok(Self { protocol: protocol.parse()?, port: port.parse().map_err(|_| wrong())? })
    }
}

as_text!(PortKey);

/// The schema of a map from addresses to something.
pub(crate) fn address_list_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let items = address_schema(generator);
    schemars::json_schema!({"type": "array", "items": items})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_what_they_write() {
        for text in [
            "TCP 192.168.10.40:80",
            "UDP [fd00::40]:53",
            "SCTP 10.0.0.1:0",
            "FWM 7 IPv4",
            "FWM 4294967295 IPv6",
        ] {
            assert_eq!(text.parse::<VirtualServerKey>().unwrap().to_string(), text);
        }
        for text in ["192.168.10.10:80", "[fd00::10]:80"] {
            assert_eq!(text.parse::<DestinationKey>().unwrap().to_string(), text);
        }
        assert_eq!("TCP 80".parse::<PortKey>().unwrap().to_string(), "TCP 80");
    }

    #[test]
    fn half_a_key_is_refused() {
        for text in ["", "TCP", "TCP 192.168.10.40", "ICMP 1.2.3.4:0", "FWM 7", "FWM x IPv4", "FWM 7 IPv5"] {
            assert!(text.parse::<VirtualServerKey>().is_err(), "{text}");
        }
    }
}
