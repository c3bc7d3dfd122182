use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::DecodeError;

use crate::attribute;
use crate::writer::Writer;

/// The address family of a service or a destination, by its number in `linux/socket.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum AddressFamily {
    /// `AF_INET`.
    Ipv4 = 2,
    /// `AF_INET6`.
    Ipv6 = 10,
}

impl AddressFamily {
    /// The family that `address` belongs to.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    /// The number of `name`, an attribute that holds a family.
    pub(crate) fn parse(number: u16, name: &str) -> Result<Self, DecodeError> {
        match number {
            2 => Ok(Self::Ipv4),
            10 => Ok(Self::Ipv6),
            _ => Err(DecodeError::from(format!("{name}: {number} is neither AF_INET (2) nor AF_INET6 (10)"))),
        }
    }
}

/// The part of a client's address that persistence looks at: clients that differ only in other bits go to the same
/// real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Netmask {
    /// A mask over IPv4 addresses. The kernel takes any bit pattern.
    Ipv4(Ipv4Addr),
    /// A prefix length over IPv6 addresses, in bits. The kernel takes 1 to 128.
    Ipv6PrefixLength(u32),
}

impl Netmask {
    /// Every client address by itself: 255.255.255.255, or 128 bits.
    #[must_use]
    pub fn single_address(family: AddressFamily) -> Self {
        match family {
            AddressFamily::Ipv4 => Self::Ipv4(Ipv4Addr::BROADCAST),
            AddressFamily::Ipv6 => Self::Ipv6PrefixLength(128),
        }
    }

    /// The IPv4 mask is in network byte order, the IPv6 prefix length in the host's.
    pub(crate) fn parse(value: &[u8], family: AddressFamily, name: &str) -> Result<Self, DecodeError> {
        match family {
            AddressFamily::Ipv4 => attribute::array::<4>(value, name).map(|octets| Self::Ipv4(octets.into())),
            AddressFamily::Ipv6 => attribute::u32(value, name).map(Self::Ipv6PrefixLength),
        }
    }

    pub(crate) fn write(self, writer: &mut Writer<'_>, kind: u16) {
        match self {
            Self::Ipv4(mask) => writer.bytes(kind, &mask.octets()),
            Self::Ipv6PrefixLength(length) => writer.u32(kind, length),
        }
    }
}

/// An address of `family` out of the 16 bytes of `union nf_inet_addr`, where IPv4 takes the first four; an IPv4
/// address of four bytes is taken too, as the kernel takes it.
pub(crate) fn parse(value: &[u8], family: AddressFamily, name: &str) -> Result<IpAddr, DecodeError> {
    match (family, value) {
        (AddressFamily::Ipv4, &[a, b, c, d]) => Ok(Ipv4Addr::new(a, b, c, d).into()),
        (AddressFamily::Ipv4, _) => {
            attribute::array::<16>(value, name).map(|[a, b, c, d, ..]| Ipv4Addr::new(a, b, c, d).into())
        }
        (AddressFamily::Ipv6, _) => {
            attribute::array::<16>(value, name).map(|octets| Ipv6Addr::from(octets).into())
        }
    }
}

pub(crate) fn write(address: IpAddr, writer: &mut Writer<'_>, kind: u16) {
    let mut bytes = [0; 16];
    match address {
        IpAddr::V4(address) => bytes[..4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => bytes = address.octets(),
    }
    writer.bytes(kind, &bytes);
}
