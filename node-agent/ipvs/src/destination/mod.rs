//! Destinations: the real servers behind a service, as the kernel names them.

use std::net::IpAddr;

use crate::{Stats32, Stats64};

pub(crate) mod wire;

/// A destination as it is created, changed and listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Destination {
    /// What the destination is known by within its service.
    pub identity: DestinationIdentity,
    /// How packets reach it.
    pub forwarding: ForwardingMethod,
    /// Its share of new connections, relative to the service's other destinations. 0 quiesces it: it gets no new
    /// connections and keeps those it has. The kernel refuses a negative weight with ERANGE.
    pub weight: i32,
    /// Connections at which it counts as overloaded and gets no new ones; 0 is no limit. Since Linux 6.12 at most
    /// `i32::MAX`.
    pub upper_threshold: u32,
    /// Connections below which an overloaded one gets new ones again; 0 is three quarters of the upper threshold.
    /// Above that one it is refused with ERANGE.
    pub lower_threshold: u32,
    /// How packets are wrapped where [`ForwardingMethod::Tunnel`] forwards.
    pub tunnel: Tunnel,
}

/// What a destination is known by within its service: the real server's address (RIP) and port.
///
/// Its family may differ from the service's only under [`ForwardingMethod::Tunnel`]. Under direct routing and
/// tunnelling the kernel takes any port and does not use it; give the service's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DestinationIdentity {
    /// The real server's address.
    pub address: IpAddr,
    /// The real server's port.
    pub port: u16,
}

/// How packets reach a real server (`IP_VS_CONN_F_FWD_MASK`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ForwardingMethod {
    /// Network address translation; the replies pass the director.
    Masquerade,
    /// To the director itself.
    Local,
    /// In an outer packet; see [`Tunnel`].
    Tunnel,
    /// With another destination MAC address and otherwise untouched.
    DirectRouting,
    /// To the address that the client asked for, past the service.
    Bypass,
    /// A number that has no name. The kernel keeps its lowest three bits.
    Other(u32),
}

impl From<u32> for ForwardingMethod {
    fn from(number: u32) -> Self {
        match number {
            0 => Self::Masquerade,
            1 => Self::Local,
            2 => Self::Tunnel,
            3 => Self::DirectRouting,
            4 => Self::Bypass,
            _ => Self::Other(number),
        }
    }
}

impl From<ForwardingMethod> for u32 {
    fn from(method: ForwardingMethod) -> Self {
        match method {
            ForwardingMethod::Masquerade => 0,
            ForwardingMethod::Local => 1,
            ForwardingMethod::Tunnel => 2,
            ForwardingMethod::DirectRouting => 3,
            ForwardingMethod::Bypass => 4,
            ForwardingMethod::Other(number) => number,
        }
    }
}

/// The outer packet around a tunnelled one. The default, IP in IP, is also what every kernel before 5.3 does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Tunnel {
    /// The kind of the outer packet.
    pub kind: TunnelType,
    /// The outer packet's UDP port, for [`TunnelType::GenericUdp`]; there the kernel refuses 0 with EINVAL.
    pub port: u16,
    /// Checksum of the outer packet (`IP_VS_TUNNEL_ENCAP_FLAG_*`): 0 none, 1 with, 2 remote checksum offload.
    pub flags: u16,
}

/// Kinds of tunnels (`IP_VS_CONN_F_TUNNEL_TYPE_*`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TunnelType {
    /// IP in IP.
    #[default]
    IpInIp,
    /// Generic UDP encapsulation (GUE).
    GenericUdp,
    /// Generic routing encapsulation (GRE).
    GenericRouting,
    /// A number that has no name, which the kernel takes all the same.
    Other(u8),
}

impl From<u8> for TunnelType {
    fn from(number: u8) -> Self {
        match number {
            0 => Self::IpInIp,
            1 => Self::GenericUdp,
            2 => Self::GenericRouting,
            _ => Self::Other(number),
        }
    }
}

impl From<TunnelType> for u8 {
    fn from(kind: TunnelType) -> Self {
        match kind {
            TunnelType::IpInIp => 0,
            TunnelType::GenericUdp => 1,
            TunnelType::GenericRouting => 2,
            TunnelType::Other(number) => number,
        }
    }
}

/// A destination as the kernel lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DestinationEntry {
    /// The destination.
    pub destination: Destination,
    /// Connections on which data flows; under direct routing, as far as the client's half shows it.
    pub active_connections: u32,
    /// Connections that are being opened or closed, and all of UDP's.
    pub inactive_connections: u32,
    /// Clients that persistence ties to it.
    pub persistent_connections: u32,
    /// Its counters.
    pub stats: Option<Stats32>,
    /// Its counters in 64 bits; absent before Linux 4.1.
    pub stats64: Option<Stats64>,
}
