//! Core's values to the family's messages and back.
//!
//! Back means one form for what is the same: the kernel's own flag HASHED is dropped, persistence is a flag with a
//! time-out and a netmask only where it is on, and a tunnel belongs to tunnelling only.

use std::net::Ipv4Addr;
use std::num::NonZeroU32;

use lvs_core::inline::InlineName;
use lvs_core::ipvs::{
    DestinationKey, DestinationSettings, ForwardingMethod, Persistence, Timeouts, Tunnel, VirtualServerKey,
    VirtualServerSettings,
};
use lvs_core::kernel::Op;
use lvs_core::network::{Family, Protocol};
use netlink_packet_ipvs as wire;
use netlink_packet_ipvs::{AddressFamily, Netmask, Request, ServiceFlags, ServiceIdentity};

/// The request that carries out an operation; none where the operation is not about IPVS, or where a part of it is
/// none that the family has (a mark of 0).
pub(super) fn request(op: &Op) -> Option<Request> {
    Some(match op {
        Op::AddVirtualServer(key, settings) => Request::NewService(service(key, settings)?),
        Op::SetVirtualServer(key, settings) => Request::SetService(service(key, settings)?),
        Op::RemoveVirtualServer(key) => Request::DelService(identity(key)?),
        Op::AddDestination(key, destination, settings) => {
            Request::NewDest(identity(key)?, destination_request(*destination, settings))
        }
        Op::SetDestination(key, destination, settings) => {
            Request::SetDest(identity(key)?, destination_request(*destination, settings))
        }
        Op::RemoveDestination(key, destination) => {
            Request::DelDest(identity(key)?, destination_identity(*destination))
        }
        Op::ZeroCounters(key) => Request::Zero(Some(identity(key)?)),
        Op::SetTimeouts(timeouts) => Request::SetConfig(wire::Timeouts {
            tcp: Some(timeouts.tcp_seconds),
            tcp_fin: Some(timeouts.tcp_fin_seconds),
            udp: Some(timeouts.udp_seconds),
        }),
        Op::SetArp(..)
        | Op::AddAddress(..)
        | Op::SetAddress(..)
        | Op::RemoveAddress(_)
        | Op::SetSysctl(..)
        | Op::AddTunnel(..)
        | Op::SetTunnel(..)
        | Op::RemoveTunnel(_)
        | Op::OpenGuePort(_)
        | Op::CloseGuePort(_)
        | Op::AddPacketRule(..)
        | Op::SetPacketRule(..)
        | Op::RemovePacketRule(_)
        | Op::SetForwarding(..) => return None,
    })
}

/// The identity of a service on the wire; none for a mark of 0.
pub(super) fn identity(key: &VirtualServerKey) -> Option<ServiceIdentity> {
    Some(match key {
        VirtualServerKey::Tuple { protocol, address, port } => ServiceIdentity::Tuple {
            protocol: match protocol {
                Protocol::Tcp => TCP,
                Protocol::Udp => UDP,
                Protocol::Sctp => SCTP,
            },
            address: *address,
            port: *port,
        },
        VirtualServerKey::Mark { family, mark } => {
            let family = match family {
                Family::IPv4 => AddressFamily::Ipv4,
                Family::IPv6 => AddressFamily::Ipv6,
            };
            ServiceIdentity::FirewallMark { family, mark: NonZeroU32::new(*mark)? }
        }
    })
}

// Assigned internet protocol numbers.
const TCP: u16 = 6;
const UDP: u16 = 17;
const SCTP: u16 = 132;

fn service(key: &VirtualServerKey, settings: &VirtualServerSettings) -> Option<wire::Service> {
    let identity = identity(key)?;
    let persistent =
        if settings.persistence.is_some() { ServiceFlags::PERSISTENT } else { ServiceFlags::NONE };
    let engine = settings.persistence_engine.map(|name| name.as_str().parse());
    Some(wire::Service {
        identity,
        scheduler: settings.scheduler.as_str().parse().ok()?,
        flags: ServiceFlags(settings.flags) | persistent,
        flags_mask: ServiceFlags::ALL,
        timeout: settings.persistence.map_or(0, |persistence| persistence.timeout_seconds),
        netmask: settings.persistence.map_or_else(
            || Netmask::single_address(identity.family()),
            |persistence| netmask(persistence.prefix_length, identity.family()),
        ),
        persistence_engine: engine.transpose().ok()?,
    })
}

fn netmask(prefix_length: u8, family: AddressFamily) -> Netmask {
    match family {
        AddressFamily::Ipv4 => {
            let host_bits = 32_u32.saturating_sub(u32::from(prefix_length));
            Netmask::Ipv4(Ipv4Addr::from(u32::MAX.checked_shl(host_bits).unwrap_or(0)))
        }
        AddressFamily::Ipv6 => Netmask::Ipv6PrefixLength(u32::from(prefix_length)),
    }
}

fn destination_request(key: DestinationKey, settings: &DestinationSettings) -> wire::Destination {
    let tunnel = settings.tunnel.filter(|_| settings.method == ForwardingMethod::Tunnel);
    wire::Destination {
        identity: destination_identity(key),
        forwarding: match settings.method {
            ForwardingMethod::Masquerade => wire::ForwardingMethod::Masquerade,
            ForwardingMethod::LocalNode => wire::ForwardingMethod::Local,
            ForwardingMethod::Tunnel => wire::ForwardingMethod::Tunnel,
            ForwardingMethod::DirectRouting => wire::ForwardingMethod::DirectRouting,
            ForwardingMethod::Bypass => wire::ForwardingMethod::Bypass,
            ForwardingMethod::Other(number) => wire::ForwardingMethod::Other(u32::from(number)),
        },
        // Beyond 2^31 − 1 it reads as negative, which the kernel refuses as out of range.
        weight: settings.weight.cast_signed(),
        upper_threshold: settings.upper_threshold,
        lower_threshold: settings.lower_threshold,
        tunnel: tunnel.map_or_else(wire::Tunnel::default, |tunnel| wire::Tunnel {
            kind: tunnel.kind.into(),
            port: tunnel.port,
            flags: tunnel.flags,
        }),
    }
}

fn destination_identity(key: DestinationKey) -> wire::DestinationIdentity {
    wire::DestinationIdentity { address: key.address, port: key.port }
}

/// A service as core knows it, or why it has no form for it.
pub(super) fn virtual_server(
    entry: &wire::ServiceEntry,
) -> Result<(VirtualServerKey, VirtualServerSettings), String> {
    let service = &entry.service;
    let key = match service.identity {
        ServiceIdentity::Tuple { protocol, address, port } => {
            let protocol = match protocol {
                TCP => Protocol::Tcp,
                UDP => Protocol::Udp,
                SCTP => Protocol::Sctp,
                other => return Err(format!("IPVS service {address} port {port}: protocol {other}")),
            };
            VirtualServerKey::Tuple { protocol, address, port }
        }
        ServiceIdentity::FirewallMark { family, mark } => {
            let family = match family {
                AddressFamily::Ipv4 => Family::IPv4,
                AddressFamily::Ipv6 => Family::IPv6,
            };
            VirtualServerKey::Mark { family, mark: mark.get() }
        }
    };
    let name = |what: &str, name: String| {
        name.parse::<InlineName>().map_err(|error| format!("IPVS service {key}: {what}: {error}"))
    };
    let persistence = if service.flags.contains(ServiceFlags::PERSISTENT) {
        let prefix_length = prefix_length(service.netmask)
            .ok_or_else(|| format!("IPVS service {key}: its netmask {:?} is no prefix", service.netmask))?;
        Some(Persistence { timeout_seconds: service.timeout, prefix_length })
    } else {
        None
    };
    let engine = service.persistence_engine.filter(|engine| !engine.is_empty());
    let settings = VirtualServerSettings {
        scheduler: name("scheduler", service.scheduler.to_string())?,
        flags: service.flags.without(ServiceFlags::PERSISTENT | ServiceFlags::HASHED).0,
        persistence,
        persistence_engine: engine
            .map(|engine| name("persistence engine", engine.to_string()))
            .transpose()?,
    };
    Ok((key, settings))
}

fn prefix_length(netmask: Netmask) -> Option<u8> {
    match netmask {
        Netmask::Ipv4(mask) => {
            let bits = u32::from(mask);
            let ones = bits.leading_ones();
            (ones == bits.count_ones()).then(|| u8::try_from(ones).ok()).flatten()
        }
        Netmask::Ipv6PrefixLength(length) => u8::try_from(length).ok(),
    }
}

/// A destination as core knows it.
pub(super) fn destination(destination: &wire::Destination) -> (DestinationKey, DestinationSettings) {
    let method = match destination.forwarding {
        wire::ForwardingMethod::Masquerade => ForwardingMethod::Masquerade,
        wire::ForwardingMethod::Local => ForwardingMethod::LocalNode,
        wire::ForwardingMethod::Tunnel => ForwardingMethod::Tunnel,
        wire::ForwardingMethod::DirectRouting => ForwardingMethod::DirectRouting,
        wire::ForwardingMethod::Bypass => ForwardingMethod::Bypass,
        // The kernel keeps three bits.
        wire::ForwardingMethod::Other(number) => {
            ForwardingMethod::Other(u8::try_from(number & 7).unwrap_or(7))
        }
    };
    let tunnel = destination.tunnel;
    let key = DestinationKey { address: destination.identity.address, port: destination.identity.port };
    let settings = DestinationSettings {
        method,
        // The kernel refuses a negative weight, so that none is ever read.
        weight: u32::try_from(destination.weight).unwrap_or(0),
        upper_threshold: destination.upper_threshold,
        lower_threshold: destination.lower_threshold,
        tunnel: (method == ForwardingMethod::Tunnel).then(|| Tunnel {
            kind: tunnel.kind.into(),
            port: tunnel.port,
            flags: tunnel.flags,
        }),
    };
    (key, settings)
}

/// The timeouts; 0 for a protocol that the kernel was built without.
pub(super) fn timeouts(timeouts: wire::Timeouts) -> Timeouts {
    Timeouts {
        tcp_seconds: timeouts.tcp.unwrap_or(0),
        tcp_fin_seconds: timeouts.tcp_fin.unwrap_or(0),
        udp_seconds: timeouts.udp.unwrap_or(0),
    }
}

#[cfg(test)]
#[path = "translate_tests.rs"]
mod tests;
