//! Addresses on links.

use std::net::IpAddr;

use lvs_core::kernel::{AddressAttributes, AddressKey};
use lvs_core::network::Family;
use netlink_packet_core::{DecodeError, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeader, AddressMessage, AddressScope, CacheInfo,
};
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;

use super::error::{Cause, Error};
use super::link::Links;
use super::rtnetlink::{ASK, DUMP, address, attributes, behind, message, u32};
use super::socket::Socket;

// linux/rtnetlink.h, linux/if_addr.h
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
const ADDRESS_HEADER_LENGTH: usize = 8;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;

/// A lifetime without end (`INFINITY_LIFE_TIME`).
const FOR_EVER: u32 = u32::MAX;

/// All addresses of these links. One of a link that has come since the links were read is left out.
pub(super) fn read(
    socket: &mut Socket,
    links: &Links,
) -> Result<Vec<(AddressKey, AddressAttributes)>, Error> {
    socket.dump(
        "reading the addresses",
        &|sequence, buffer| message(RTM_GETADDR, DUMP, sequence, &[&AddressHeader::default()], buffer),
        &mut |kind, payload| {
            if kind != RTM_NEWADDR {
                return Ok(None);
            }
            let Some(found) = parse(payload)? else { return Ok(None) };
            Ok(links.name(found.index).map(|link| {
                let key = AddressKey { link, address: found.address, prefix_length: found.prefix_length };
                (key, found.attributes)
            }))
        },
    )
}

/// Adds an address.
pub(super) fn add(
    socket: &mut Socket,
    key: &AddressKey,
    attributes: &AddressAttributes,
) -> Result<(), Error> {
    let body = body("adding an address", key, Some(attributes))?;
    let flags = ASK | NLM_F_CREATE | NLM_F_EXCL;
    socket.change("adding an address", &|sequence, buffer| {
        message(RTM_NEWADDR, flags, sequence, &[&body], buffer);
    })
}

/// Gives an address other attributes. The scope of an IPv4 address cannot be changed in place: where it differs the
/// address is removed and added.
pub(super) fn set(
    socket: &mut Socket,
    links: &Links,
    key: &AddressKey,
    attributes: &AddressAttributes,
) -> Result<(), Error> {
    const DOING: &str = "changing an address";
    // The kernel would add it where it is missing.
    let present = read(socket, links)?.into_iter().find(|(found, _)| found == key);
    let Some((_, present)) = present else {
        let cause = Cause::Refused { errno: Errno::EADDRNOTAVAIL, text: None };
        return Err(Error { doing: DOING, cause });
    };
    if present.scope != attributes.scope && Family::of(key.address) == Family::IPv4 {
        remove(socket, key)?;
        return add(socket, key, attributes);
    }
    let body = body(DOING, key, Some(attributes))?;
    let flags = ASK | NLM_F_REPLACE;
    socket.change(DOING, &|sequence, buffer| message(RTM_NEWADDR, flags, sequence, &[&body], buffer))
}

/// Removes an address.
pub(super) fn remove(socket: &mut Socket, key: &AddressKey) -> Result<(), Error> {
    let body = body("removing an address", key, None)?;
    socket.change("removing an address", &|sequence, buffer| {
        message(RTM_DELADDR, ASK, sequence, &[&body], buffer);
    })
}

/// What follows the netlink header of a request about an address.
fn body(
    doing: &'static str,
    key: &AddressKey,
    attributes: Option<&AddressAttributes>,
) -> Result<AddressMessage, Error> {
    let index = if_nametoindex(key.link.as_str())
        .map_err(|_| Error { doing, cause: Cause::NoLink(key.link.to_string()) })?;
    Ok(encode(index, key, attributes))
}

fn encode(index: u32, key: &AddressKey, attributes: Option<&AddressAttributes>) -> AddressMessage {
    let mut body = AddressMessage::default();
    body.header.family = match key.address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    body.header.prefix_len = key.prefix_length;
    body.header.index = index;
    body.attributes = vec![AddressAttribute::Local(key.address), AddressAttribute::Address(key.address)];
    let Some(attributes) = attributes else { return body };
    body.header.scope = AddressScope::from(attributes.scope);
    let flags = if attributes.no_dad { AddressFlags::Nodad } else { AddressFlags::empty() };
    body.attributes.push(AddressAttribute::Flags(flags));
    let mut lifetimes = CacheInfo::default();
    lifetimes.ifa_preferred = attributes.preferred_seconds.unwrap_or(FOR_EVER);
    lifetimes.ifa_valid = attributes.valid_seconds.unwrap_or(FOR_EVER);
    body.attributes.push(AddressAttribute::CacheInfo(lifetimes));
    body
}

/// An address as the kernel tells it.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    index: u32,
    address: IpAddr,
    prefix_length: u8,
    attributes: AddressAttributes,
}

/// Reads one address; none for another family than IPv4 and IPv6.
fn parse(payload: &[u8]) -> Result<Option<Found>, DecodeError> {
    let header = AddressHeader::parse(payload)?;
    if !matches!(header.family, AddressFamily::Inet | AddressFamily::Inet6) {
        return Ok(None);
    }
    let (mut local, mut peer, mut lifetimes) = (None, None, CacheInfo::default());
    (lifetimes.ifa_preferred, lifetimes.ifa_valid) = (FOR_EVER, FOR_EVER);
    let mut flags = AddressFlags::from_bits_retain(u32::from(header.flags.bits()));
    for attribute in attributes(behind(payload, ADDRESS_HEADER_LENGTH)) {
        match attribute? {
            (IFA_LOCAL, value) => local = Some(address(value)?),
            (IFA_ADDRESS, value) => peer = Some(address(value)?),
            (IFA_CACHEINFO, value) => lifetimes = CacheInfo::parse(value)?,
            (IFA_FLAGS, value) => flags = AddressFlags::from_bits_retain(u32(value)?),
            _ => {}
        }
    }
    // IFA_ADDRESS is the other end where there is one; only then an IPv6 address has IFA_LOCAL.
    let address = local.or(peer).ok_or_else(|| DecodeError::from("an address message holds no address"))?;
    let lasts = |seconds: u32| (seconds != FOR_EVER).then_some(seconds);
    let attributes = AddressAttributes {
        scope: header.scope.into(),
        no_dad: flags.contains(AddressFlags::Nodad),
        preferred_seconds: lasts(lifetimes.ifa_preferred),
        valid_seconds: lasts(lifetimes.ifa_valid),
    };
    Ok(Some(Found { index: header.index, address, prefix_length: header.prefix_len, attributes }))
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::Emitable as _;

    use super::*;

    fn emitted(key: &str, attributes: Option<&AddressAttributes>) -> Vec<u8> {
        let body = encode(1, &key.parse().unwrap(), attributes);
        let mut bytes = vec![0; body.buffer_len()];
        body.emit(&mut bytes);
        bytes
    }

    /// `ip address delete 192.168.10.40/32 dev lo`
    #[test]
    fn an_address_is_removed_by_both_its_ends() {
        let expected = b"\x02\x20\0\0\x01\0\0\0\x08\0\x02\0\xc0\xa8\x0a\x28\x08\0\x01\0\xc0\xa8\x0a\x28";
        assert_eq!(emitted("lo 192.168.10.40/32", None), expected);
    }

    /// `ip address add fd00::40/128 dev lo nodad preferred_lft 0`
    #[test]
    fn a_vip_of_ipv6_is_added_deprecated_and_without_detection_of_duplicates() {
        let expected = b"\x0a\x80\0\0\x01\0\0\0\
            \x14\0\x02\0\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x40\
            \x14\0\x01\0\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x40\
            \x08\0\x08\0\x02\0\0\0\
            \x14\0\x06\0\0\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0";
        assert_eq!(emitted("lo fd00::40/128", Some(&AddressAttributes::vip(Family::IPv6))), expected);
    }

    #[test]
    fn what_is_added_reads_back() {
        for (key, attributes) in [
            ("lo 192.168.10.40/32", AddressAttributes::vip(Family::IPv4)),
            ("lo fd00::40/128", AddressAttributes::vip(Family::IPv6)),
            (
                "lo 192.168.10.40/24",
                AddressAttributes {
                    scope: 254,
                    no_dad: false,
                    preferred_seconds: Some(7),
                    valid_seconds: Some(9),
                },
            ),
        ] {
            let found = parse(&emitted(key, Some(&attributes))).unwrap().unwrap();
            let key: AddressKey = key.parse().unwrap();
            let (address, prefix_length) = (key.address, key.prefix_length);
            assert_eq!(found, Found { index: 1, address, prefix_length, attributes });
        }
    }

    #[test]
    fn of_two_ends_ours_counts() {
        // `ip address show` of 10.0.0.1 peer 10.0.0.2/32
        let bytes = b"\x02\x20\x80\0\x01\0\0\0\x08\0\x01\0\x0a\0\0\x02\x08\0\x02\0\x0a\0\0\x01";
        assert_eq!(parse(bytes).unwrap().unwrap().address, IpAddr::from([10, 0, 0, 1]));
        // Without IFA_LOCAL, as IPv6 has it.
        assert_eq!(parse(&bytes[..16]).unwrap().unwrap().address, IpAddr::from([10, 0, 0, 2]));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..100)) {
            let _ = parse(&bytes);
        }
    }
}
