//! Addresses: families, prefixes, ranges, MAC addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{InvalidKey, as_text};

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Family {
    /// IPv4, `AF_INET`.
    IPv4,
    /// IPv6, `AF_INET6`.
    IPv6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::IPv4 } else { Self::IPv6 }
    }

    /// The prefix length of a single address: 32 or 128.
    #[must_use]
    pub fn host_length(self) -> u8 {
        match self {
            Self::IPv4 => 32,
            Self::IPv6 => 128,
        }
    }
}

/// A transport protocol that IPVS balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TCP, IP protocol 6.
    Tcp,
    /// UDP, IP protocol 17.
    Udp,
    /// SCTP, IP protocol 132.
    Sctp,
}

impl Protocol {
    /// The name as users write it: `TCP`, `UDP`, `SCTP`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for Protocol {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        match text {
            "TCP" => Ok(Self::Tcp),
            "UDP" => Ok(Self::Udp),
            "SCTP" => Ok(Self::Sctp),
            _ => Err(InvalidKey { text: text.to_owned(), wanted: "TCP, UDP or SCTP" }),
        }
    }
}

/// A network in CIDR notation; a bare address reads as a network of that one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// An address of the network (host bits are kept as written).
    pub address: IpAddr,
    /// 0 to 32 for IPv4, 0 to 128 for IPv6.
    pub length: u8,
}

impl Prefix {
    /// Whether an address lies in the network; never across families.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        if Family::of(self.address) != Family::of(address) {
            return false;
        }
        let shift = u32::from(Family::of(address).host_length().saturating_sub(self.length));
        let (network, candidate) = (bits(self.address), bits(address));
        // A shift by the whole width is what a prefix length of 0 means.
        network.checked_shr(shift).unwrap_or(0) == candidate.checked_shr(shift).unwrap_or(0)
    }
}

/// The address as a number, IPv4 in the low 32 bits.
#[must_use]
pub fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.length)
    }
}

impl FromStr for Prefix {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let wrong = || InvalidKey {
            text: text.to_owned(),
            wanted: "an address or a network such as 192.168.10.0/24",
        };
        let (address, length) =
            text.split_once('/').map_or((text, None), |(left, right)| (left, Some(right)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let host = Family::of(address).host_length();
        let length = length.map_or(Ok(host), str::parse).map_err(|_| wrong())?;
        if length > host { Err(wrong()) } else { Ok(Self { address, length }) }
    }
}

/// Addresses of a pool: a network (`192.168.10.64/28`), an address, or a range (`192.168.10.64-192.168.10.95`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressRange {
    /// A network in CIDR notation.
    Network(Prefix),
    /// From the first to the last address, both included, of one family.
    Span(IpAddr, IpAddr),
}

impl AddressRange {
    /// Whether the range holds an address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match self {
            Self::Network(prefix) => prefix.contains(address),
            Self::Span(first, last) => {
                Family::of(*first) == Family::of(address) && (*first..=*last).contains(&address)
            }
        }
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(prefix) => write!(formatter, "{prefix}"),
            Self::Span(first, last) => write!(formatter, "{first}-{last}"),
        }
    }
}

impl FromStr for AddressRange {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let Some((first, last)) = text.split_once('-') else { return text.parse().map(Self::Network) };
        match (first.parse::<IpAddr>(), last.parse::<IpAddr>()) {
            (Ok(first), Ok(last)) if Family::of(first) == Family::of(last) && first <= last => {
                Ok(Self::Span(first, last))
            }
            _ => Err(InvalidKey {
                text: text.to_owned(),
                wanted: "FIRST-LAST of one family, FIRST not above LAST",
            }),
        }
    }
}

/// An Ethernet address, written `02:00:c0:a8:0a:15`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, rest @ ..] = self.0;
        write!(formatter, "{first:02x}")?;
        rest.iter().try_for_each(|byte| write!(formatter, ":{byte:02x}"))
    }
}

impl FromStr for MacAddress {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let wrong =
            || InvalidKey { text: text.to_owned(), wanted: "six pairs of hexadecimal digits with colons" };
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() { Err(wrong()) } else { Ok(Self(bytes)) }
    }
}

as_text!(Prefix, AddressRange, MacAddress);

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_prefix_holds_its_own_and_no_other() {
        let network: Prefix = "192.168.10.0/24".parse().unwrap();
        assert!(network.contains(address("192.168.10.40")));
        assert!(!network.contains(address("192.168.11.40")));
        assert!(!network.contains(address("::ffff:192.168.10.40")));
        assert!("0.0.0.0/0".parse::<Prefix>().unwrap().contains(address("8.8.8.8")));
        assert!("::/0".parse::<Prefix>().unwrap().contains(address("fd00::1")));
        assert!("fd00::/64".parse::<Prefix>().unwrap().contains(address("fd00::40")));
        assert!(!"fd00::1".parse::<Prefix>().unwrap().contains(address("fd00::2")));
    }

    #[test]
    fn a_range_includes_both_ends() {
        let range: AddressRange = "192.168.10.64-192.168.10.95".parse().unwrap();
        for (text, inside) in [
            ("192.168.10.63", false),
            ("192.168.10.64", true),
            ("192.168.10.95", true),
            ("192.168.10.96", false),
        ] {
            assert_eq!(range.contains(address(text)), inside, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in
            ["", "1.2.3", "1.2.3.4/33", "::/129", "1.2.3.4/", "1.2.3.4/x", "1.2.3.4-1.2.3.3", "1.2.3.4-::1"]
        {
            assert!(text.parse::<AddressRange>().is_err(), "{text}");
        }
        for text in ["", "02:00:c0:a8:0a", "02:00:c0:a8:0a:15:00", "2:0:c0:a8:a:15", "0g:00:c0:a8:0a:15"] {
            assert!(text.parse::<MacAddress>().is_err(), "{text}");
        }
    }
}
