//! Addresses as users write them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use kube::core::Rule;
use lvs_core::network::{AddressRange, Family, Prefix};

/// The longest text of an IPv6 address.
pub const LONGEST_ADDRESS: usize = 39;

const HOW: &str = "write an IPv4 address such as 192.168.10.40 or an IPv6 address such as 2001:db8::40";

/// Reads an address of a host: unicast, in its canonical form, so that one address has one spelling.
///
/// # Errors
///
/// A sentence that says what to write instead.
pub fn host(text: &str) -> Result<IpAddr, String> {
    let address = canonical(text)?;
    if is_global_unicast(address) {
        Ok(address)
    } else {
        Err(format!("{text} is no address of a single host that others can reach: {HOW}"))
    }
}

/// Reads an address in its canonical form; an IPv4 address in an IPv6 one and a zone are refused.
fn canonical(text: &str) -> Result<IpAddr, String> {
    if text.contains('%') {
        return Err(format!("{text:?} has a zone: write the address without it"));
    }
    let address: IpAddr = text.parse().map_err(|_| format!("{text:?} is no IP address: {HOW}"))?;
    if let IpAddr::V6(v6) = address
        && let Some(v4) = v6.to_ipv4_mapped()
    {
        return Err(format!("{text} is an IPv4 address in an IPv6 one: write {v4}"));
    }
    if address.to_string() == text {
        Ok(address)
    } else {
        Err(format!("{text} is not canonical: write {address}"))
    }
}

/// What Go's `net/netip` calls global unicast, and with it CEL's `ip.isGlobalUnicast`: neither unspecified, loopback,
/// multicast, link-local nor broadcast.
fn is_global_unicast(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast() || link_local)
}

/// Reads addresses with commas between them, as annotations hold them.
///
/// # Errors
///
/// The first that cannot be read.
pub fn list(text: &str) -> Result<BTreeSet<IpAddr>, String> {
    text.split(',').map(|part| host(part.trim())).collect()
}

/// Reads a network in CIDR notation, its host bits 0.
///
/// # Errors
///
/// A sentence that says what to write instead.
pub fn network(text: &str) -> Result<Prefix, String> {
    let (address, _) = text.split_once('/').ok_or_else(|| {
        format!("{text:?} has no prefix length: write a network such as 192.168.10.0/24, one address as 192.168.10.40/32")
    })?;
    canonical(address)?;
    let prefix: Prefix = text.parse().map_err(|error| format!("{error}"))?;
    let first = first_address(prefix);
    if first != prefix.address {
        return Err(format!("{text} has host bits: write {first}/{}", prefix.length));
    }
    if prefix.to_string() == text {
        Ok(prefix)
    } else {
        Err(format!("{text} is not canonical: write {prefix}"))
    }
}

/// Reads addresses of a pool: an address, a network or a range.
///
/// # Errors
///
/// A sentence that says what to write instead.
pub fn range(text: &str) -> Result<AddressRange, String> {
    if let Some((first, last)) = text.split_once('-') {
        let (first, last) = (host(first)?, host(last)?);
        if Family::of(first) != Family::of(last) || first > last {
            return Err(format!("{text}: write FIRST-LAST of one family, FIRST not above LAST"));
        }
        return Ok(AddressRange::Span(first, last));
    }
    let prefix = if text.contains('/') {
        network(text)?
    } else {
        let address = host(text)?;
        Prefix { address, length: Family::of(address).host_length() }
    };
    host(&prefix.address.to_string())?;
    Ok(AddressRange::Network(prefix))
}

fn first_address(prefix: Prefix) -> IpAddr {
    let host_bits = u32::from(Family::of(prefix.address).host_length() - prefix.length);
    match prefix.address {
        IpAddr::V4(v4) => IpAddr::V4((u32::from(v4) & u32::MAX.checked_shl(host_bits).unwrap_or(0)).into()),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & u128::MAX.checked_shl(host_bits).unwrap_or(0)).into()),
    }
}

/// Whether there is at most one address of each family.
#[must_use]
pub fn one_per_family(addresses: &BTreeSet<IpAddr>) -> bool {
    addresses.iter().filter(|address| address.is_ipv4()).count() <= 1
        && addresses.iter().filter(|address| address.is_ipv6()).count() <= 1
}

const HOST_MESSAGE: &str = "not the canonical address of a single host: write an IPv4 address such as 192.168.10.40 or \
    an IPv6 address such as 2001:db8::40, without zone or IPv4-mapped form";

/// CEL: what [`host`] checks, on a text.
#[must_use]
pub fn host_rule() -> Rule {
    Rule::new("isIP(self) && ip.isCanonical(self) && ip(self).isGlobalUnicast()").message(HOST_MESSAGE)
}

/// CEL: what [`host`] checks, on each text of a list.
#[must_use]
pub fn hosts_rule() -> Rule {
    Rule::new("self.all(text, isIP(text) && ip.isCanonical(text) && ip(text).isGlobalUnicast())")
        .message(HOST_MESSAGE)
}

/// CEL: what [`network`] checks, on each text of a list.
#[must_use]
pub fn networks_rule() -> Rule {
    Rule::new("self.all(text, isCIDR(text) && string(cidr(text).masked()) == text)")
        .message("not a network: write one such as 192.168.10.0/24 or 2001:db8::/64, host bits 0")
}

/// CEL: what [`range`] checks, on each text of a list. That the first of a range is not above the last is left to the
/// conversion: CEL cannot compare addresses. A range is cut with `substring`, because the API server reckons the cost
/// of walking what `split` gives as if each character made a part.
#[must_use]
pub fn ranges_rule() -> Rule {
    const RULE: &str = "self.all(text, text.contains('/') ? isCIDR(text) && string(cidr(text).masked()) == text && \
        cidr(text).ip().isGlobalUnicast() : text.contains('-') ? [text.substring(0, text.indexOf('-')), \
        text.substring(text.indexOf('-') + 1)].all(end, isIP(end) && ip.isCanonical(end) && \
        ip(end).isGlobalUnicast()) && ip(text.substring(0, text.indexOf('-'))).family() == \
        ip(text.substring(text.indexOf('-') + 1)).family() : isIP(text) && ip.isCanonical(text) && \
        ip(text).isGlobalUnicast())";
    Rule::new(RULE).message(
        "write an address (192.168.10.40), a network without host bits (192.168.10.64/28) or a range \
         (192.168.10.64-192.168.10.95)",
    )
}
