//! How a director forwards a connection to a real server, for a user, for a plan and for the kernel.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::ipvs::{ForwardingMethod, Tunnel};
use crate::network::Family;

/// How a director forwards to a real server. Written `{method: Tunnel, tunnel: {type: GUE, port: 6080}}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub enum Forwarding {
    /// A new destination MAC address and nothing else (`ipvsadm -g`).
    #[default]
    DirectRouting,
    /// The packet within another one, to the real server's own address (`-i`).
    Tunnel(Encapsulation),
    /// Another destination address and port (`-m`). The reply has to come back by the director.
    Masquerade,
    /// The same, with the director's address as the source too, so that the reply comes back by itself.
    FullNat,
}

/// What a packet is put into on its way to a real server (`IP_VS_CONN_F_TUNNEL_TYPE_*` of `linux/ip_vs.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encapsulation {
    /// An IP header alone.
    Ipip,
    /// Generic UDP encapsulation.
    Gue {
        /// The UDP port at which the real server takes it, 1 to 65535.
        port: u16,
        /// Which checksum the datagram has.
        checksum: GueChecksum,
    },
    /// Generic routing encapsulation.
    Gre {
        /// Whether it has a checksum; a device at the other end takes either those that have one or those that have none.
        checksum: bool,
    },
}

/// The checksum of a GUE datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GueChecksum {
    /// None (`ipvsadm --tun-nocsum`).
    Absent,
    /// UDP's own (`--tun-csum`).
    Udp,
    /// That of the packet within, moved outwards (`--tun-remcsum`).
    Remote,
}

/// The methods by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Method {
    /// A new destination MAC address and nothing else.
    #[default]
    DirectRouting,
    /// The packet within another one, to the real server's own address.
    Tunnel,
    /// Another destination address and port.
    Masquerade,
    /// Another destination address and port, and the director's address as the source.
    #[serde(rename = "FullNAT")]
    FullNat,
}

/// The kinds of tunnels by name.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum TunnelType {
    /// An IP header alone.
    #[default]
    Ipip,
    /// Generic UDP encapsulation.
    Gue,
    /// Generic routing encapsulation.
    Gre,
}

/// The checksums by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TunnelChecksum {
    /// None.
    #[default]
    Absent,
    /// One of the outer packet.
    Outer,
    /// That of the packet within, moved outwards; of GUE only.
    Remote,
}

impl Encapsulation {
    /// An encapsulation by its parts; what the kind does not have is passed over.
    #[must_use]
    pub fn of(kind: TunnelType, port: u16, checksum: TunnelChecksum) -> Self {
        match kind {
            TunnelType::Ipip => Self::Ipip,
            TunnelType::Gue => Self::Gue {
                port,
                checksum: match checksum {
                    TunnelChecksum::Absent => GueChecksum::Absent,
                    TunnelChecksum::Outer => GueChecksum::Udp,
                    TunnelChecksum::Remote => GueChecksum::Remote,
                },
            },
            TunnelType::Gre => Self::Gre { checksum: checksum != TunnelChecksum::Absent },
        }
    }

    /// The kernel's settings of a destination.
    fn tunnel(self) -> Tunnel {
        let (kind, port, flags) = match self {
            Self::Ipip => (0, 0, 0),
            Self::Gue { port, checksum: GueChecksum::Absent } => (1, port, 0),
            Self::Gue { port, checksum: GueChecksum::Udp } => (1, port, 1),
            Self::Gue { port, checksum: GueChecksum::Remote } => (1, port, 2),
            Self::Gre { checksum } => (2, 0, u16::from(checksum)),
        };
        Tunnel { kind, port, flags }
    }
}

impl Forwarding {
    /// The kernel's method, and the tunnel where it is one.
    #[must_use]
    pub fn settings(self) -> (ForwardingMethod, Option<Tunnel>) {
        match self {
            Self::DirectRouting => (ForwardingMethod::DirectRouting, None),
            Self::Tunnel(encapsulation) => (ForwardingMethod::Tunnel, Some(encapsulation.tunnel())),
            Self::Masquerade | Self::FullNat => (ForwardingMethod::Masquerade, None),
        }
    }

    /// What a director's agent must be able to do, and for a tunnel a real server's too.
    #[must_use]
    pub fn feature(self) -> &'static str {
        match self {
            Self::DirectRouting => "DirectRouting",
            Self::Tunnel(_) => "Tunnel",
            Self::Masquerade => "Masquerade",
            Self::FullNat => "FullNAT",
        }
    }

    /// Whether the director writes the real server's address and port into the packet. Else the real server gets it as the
    /// client sent it, and must have the VIP.
    #[must_use]
    pub fn rewrites(self) -> bool {
        matches!(self, Self::Masquerade | Self::FullNat)
    }

    /// Whether the real server's address may be of another family than the VIP.
    #[must_use]
    pub fn crosses_families(self) -> bool {
        matches!(self, Self::Tunnel(_))
    }

    /// By which of its addresses a director reaches a real server for a VIP of a family: that of the family, else one of
    /// the other, where that can be.
    #[must_use]
    pub fn address(self, addresses: &[IpAddr], family: Family) -> Option<IpAddr> {
        let same = addresses.iter().find(|address| Family::of(**address) == family);
        same.or_else(|| addresses.first().filter(|_| self.crosses_families())).copied()
    }

    /// What a real server with these addresses has to take in, for VIPs of these families.
    #[must_use]
    pub fn receptions(
        self,
        addresses: &[IpAddr],
        families: impl IntoIterator<Item = Family>,
    ) -> BTreeSet<Reception> {
        let Self::Tunnel(encapsulation) = self else { return BTreeSet::new() };
        let (tunnel, port, checksum) = match encapsulation {
            Encapsulation::Ipip => (TunnelType::Ipip, None, false),
            Encapsulation::Gue { port, .. } => (TunnelType::Gue, Some(port), false),
            Encapsulation::Gre { checksum } => (TunnelType::Gre, None, checksum),
        };
        let reception = |carries| {
            let address = self.address(addresses, carries)?;
            Some(Reception { tunnel, port, checksum, address, carries })
        };
        families.into_iter().filter_map(reception).collect()
    }

    /// Whether this is what a real server has where nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The packets of a tunnel that a real server takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reception {
    /// The kind of tunnel.
    #[serde(rename = "type")]
    pub tunnel: TunnelType,
    /// The UDP port, of GUE only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Whether the packets have a checksum, of GRE only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub checksum: bool,
    /// The address of the real server that they are sent to.
    #[schemars(schema_with = "crate::names::address_schema")]
    pub address: IpAddr,
    /// The family of the packets within.
    pub carries: Family,
}

/// A forwarding method as it stands in a plan.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
struct Written {
    /// The method.
    method: Method,
    /// The tunnel, of that method only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tunnel: Option<WrittenTunnel>,
}

/// A tunnel as it stands in a plan.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
struct WrittenTunnel {
    /// The kind of tunnel.
    #[serde(rename = "type")]
    kind: TunnelType,
    /// The UDP port, of GUE only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// The checksum.
    #[serde(default)]
    checksum: TunnelChecksum,
}

impl From<Forwarding> for Written {
    fn from(forwarding: Forwarding) -> Self {
        let encapsulation = match forwarding {
            Forwarding::Tunnel(encapsulation) => encapsulation,
            Forwarding::DirectRouting => return Self { method: Method::DirectRouting, tunnel: None },
            Forwarding::Masquerade => return Self { method: Method::Masquerade, tunnel: None },
            Forwarding::FullNat => return Self { method: Method::FullNat, tunnel: None },
        };
        let (kind, port, checksum) = match encapsulation {
            Encapsulation::Ipip => (TunnelType::Ipip, None, TunnelChecksum::Absent),
            Encapsulation::Gue { port, checksum } => {
                let checksum = match checksum {
                    GueChecksum::Absent => TunnelChecksum::Absent,
                    GueChecksum::Udp => TunnelChecksum::Outer,
                    GueChecksum::Remote => TunnelChecksum::Remote,
                };
                (TunnelType::Gue, Some(port), checksum)
            }
            Encapsulation::Gre { checksum: false } => (TunnelType::Gre, None, TunnelChecksum::Absent),
            Encapsulation::Gre { checksum: true } => (TunnelType::Gre, None, TunnelChecksum::Outer),
        };
        Self { method: Method::Tunnel, tunnel: Some(WrittenTunnel { kind, port, checksum }) }
    }
}

impl From<Written> for Forwarding {
    fn from(written: Written) -> Self {
        match written.method {
            Method::DirectRouting => Self::DirectRouting,
            Method::Masquerade => Self::Masquerade,
            Method::FullNat => Self::FullNat,
            Method::Tunnel => {
                let tunnel = written.tunnel.unwrap_or_default();
                Self::Tunnel(Encapsulation::of(tunnel.kind, tunnel.port.unwrap_or(0), tunnel.checksum))
            }
        }
    }
}

impl JsonSchema for Forwarding {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Forwarding".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Written::json_schema(generator)
    }
}

/// As a person would say it.
impl fmt::Display for Forwarding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DirectRouting => formatter.write_str("direct routing"),
            Self::Tunnel(Encapsulation::Ipip) => formatter.write_str("an IPIP tunnel"),
            Self::Tunnel(Encapsulation::Gue { port, .. }) => {
                write!(formatter, "a GUE tunnel to port {port}")
            }
            Self::Tunnel(Encapsulation::Gre { .. }) => formatter.write_str("a GRE tunnel"),
            Self::Masquerade => formatter.write_str("masquerading"),
            Self::FullNat => formatter.write_str("full NAT"),
        }
    }
}

#[cfg(test)]
mod tests;
