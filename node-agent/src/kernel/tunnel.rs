//! Tunnel devices: read with the links, made and removed by rtnetlink, which loads the module of a kind that is missing.

use std::net::IpAddr;

use lvs_core::names::LinkName;
use lvs_core::tunnel::{TunnelDevice, TunnelKind, dummy_address};
use netlink_packet_core::{DecodeError, DefaultNla, Emitable, NLA_F_NESTED, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::link::{LinkFlags, LinkHeader};
use nix::errno::Errno;

use super::address;
use super::arp_settings;
use super::error::{Cause, Error};
use super::link::{Links, RTM_NEWLINK, RTM_SETLINK, by_name};
use super::rtnetlink::{ASK, attributes, message, nested, u32};
use super::socket::Socket;

// linux/rtnetlink.h, linux/if_link.h, linux/if_tunnel.h
const RTM_DELLINK: u16 = 17;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
/// The numbers of `ipip`, `sit` and `ip6tnl`.
const IFLA_IPTUN_LINK: u16 = 1;
const IFLA_IPTUN_LOCAL: u16 = 2;
const IFLA_IPTUN_REMOTE: u16 = 3;
const IFLA_IPTUN_PROTO: u16 = 9;
/// The numbers of `gre` and `ip6gre`.
const IFLA_GRE_LINK: u16 = 1;
const IFLA_GRE_IFLAGS: u16 = 2;
const IFLA_GRE_LOCAL: u16 = 6;
const IFLA_GRE_REMOTE: u16 = 7;
/// Flags of GRE as they stand in a packet, in network byte order.
const GRE_CSUM: u16 = 0x8000;
const GRE_KEY: u16 = 0x2000;

// Assigned internet protocol numbers.
const ANY: u8 = 0;
const IPV4: u8 = 4;
const IPV6: u8 = 41;

/// What a link's `IFLA_LINKINFO` says of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    kind: TunnelKind,
    local: Option<IpAddr>,
    remote: Option<IpAddr>,
    checksum: bool,
}

impl Ends {
    /// The device, with what else the link says. Whether it has an IPv4 address is found later.
    pub(super) fn device(self, up: bool, rp_filter: u32) -> TunnelDevice {
        let Self { kind, local, remote, checksum } = self;
        TunnelDevice { kind, local, remote, checksum, up, rp_filter, addressed: false }
    }
}

/// Reads a link's `IFLA_LINKINFO`; none where it is no tunnel, or one that takes in only some of the packets (those of
/// one key, one link or one family) and so stands in nobody's way.
pub(super) fn parse(info: &[u8]) -> Result<Option<Ends>, DecodeError> {
    let (mut kind, mut data) = (None, None);
    for attribute in attributes(info) {
        match attribute? {
            (IFLA_INFO_KIND, name) => {
                let name = name.strip_suffix(&[0]).unwrap_or(name);
                kind = TunnelKind::ALL.into_iter().find(|kind| kind.as_str().as_bytes() == name);
            }
            (IFLA_INFO_DATA, value) => data = Some(value),
            _ => {}
        }
    }
    let (Some(kind), Some(data)) = (kind, data) else { return Ok(None) };
    if is_gre(kind) { gre(kind, data) } else { ip_in_ip(kind, data) }
}

fn is_gre(kind: TunnelKind) -> bool {
    matches!(kind, TunnelKind::Gre | TunnelKind::Ip6gre)
}

fn ip_in_ip(kind: TunnelKind, data: &[u8]) -> Result<Option<Ends>, DecodeError> {
    let mut ends = Ends { kind, local: None, remote: None, checksum: false };
    let mut whole = true;
    for attribute in attributes(data) {
        match attribute? {
            (IFLA_IPTUN_LOCAL, value) => ends.local = end(value)?,
            (IFLA_IPTUN_REMOTE, value) => ends.remote = end(value)?,
            (IFLA_IPTUN_LINK, value) => whole &= u32(value)? == 0,
            (IFLA_IPTUN_PROTO, value) => {
                let protocol = value.first().copied().unwrap_or(ANY);
                whole &= protocol == ANY || protocol == carried(kind);
            }
            _ => {}
        }
    }
    Ok(whole.then_some(ends))
}

fn gre(kind: TunnelKind, data: &[u8]) -> Result<Option<Ends>, DecodeError> {
    let mut ends = Ends { kind, local: None, remote: None, checksum: false };
    let mut whole = true;
    for attribute in attributes(data) {
        match attribute? {
            (IFLA_GRE_LOCAL, value) => ends.local = end(value)?,
            (IFLA_GRE_REMOTE, value) => ends.remote = end(value)?,
            (IFLA_GRE_LINK, value) => whole &= u32(value)? == 0,
            (IFLA_GRE_IFLAGS, value) => {
                let flags = value.try_into().map_or(0, u16::from_be_bytes);
                ends.checksum = flags & GRE_CSUM != 0;
                whole &= flags & GRE_KEY == 0;
            }
            _ => {}
        }
    }
    Ok(whole.then_some(ends))
}

/// One end; none where it may be anybody.
fn end(value: &[u8]) -> Result<Option<IpAddr>, DecodeError> {
    super::rtnetlink::address(value).map(|address| Some(address).filter(|address| !address.is_unspecified()))
}

/// The protocol that a device of ours carries; 0 for both families.
fn carried(kind: TunnelKind) -> u8 {
    match kind {
        TunnelKind::Ipip => IPV4,
        TunnelKind::Sit => IPV6,
        TunnelKind::Ip6tnl | TunnelKind::Gre | TunnelKind::Ip6gre => ANY,
    }
}

/// Makes a device and all that belongs to it, or nothing.
pub(super) fn add(socket: &mut Socket, link: LinkName, device: &TunnelDevice) -> Result<(), Error> {
    let flags = ASK | NLM_F_CREATE | NLM_F_EXCL;
    socket.change("adding a tunnel device", &|sequence, buffer| {
        let (name, info) = (by_name(link), info(device));
        message(RTM_NEWLINK, flags, sequence, &[&LinkHeader::default(), &name, &info], buffer);
    })?;
    complete(socket, link, device).inspect_err(|_| {
        // What could not be completed goes again; why it could not is what counts.
        let _ = remove(socket, link);
    })
}

/// Gives a device that is there what it lacks; one with other ends is made anew.
pub(super) fn set(socket: &mut Socket, link: LinkName, device: &TunnelDevice) -> Result<(), Error> {
    let links = Links::read(socket)?;
    let Some(found) = links.found.get(&link) else {
        let cause = Cause::NoLink(link.to_string());
        return Err(Error { doing: "changing a tunnel device", cause });
    };
    let ends = |device: &TunnelDevice| (device.kind, device.local, device.remote, device.checksum);
    if found.tunnel.as_ref().map(ends) != Some(ends(device)) {
        remove(socket, link)?;
        return add(socket, link, device);
    }
    complete(socket, link, device)
}

/// Removes a device, and its addresses with it.
pub(super) fn remove(socket: &mut Socket, link: LinkName) -> Result<(), Error> {
    socket.change("removing a tunnel device", &|sequence, buffer| {
        message(RTM_DELLINK, ASK, sequence, &[&LinkHeader::default(), &by_name(link)], buffer);
    })
}

/// The reverse path filter, the address, and up at last: no packet comes in before it would be kept.
fn complete(socket: &mut Socket, link: LinkName, device: &TunnelDevice) -> Result<(), Error> {
    arp_settings::set_rp_filter(socket, link, device.rp_filter)?;
    if device.addressed {
        let (key, attributes) = dummy_address(link);
        match address::add(socket, &key, &attributes) {
            Err(error) if error.errno() == Errno::EEXIST => {}
            other => other?,
        }
    }
    let flags = if device.up { LinkFlags::Up } else { LinkFlags::empty() };
    let header = LinkHeader { flags, change_mask: LinkFlags::Up, ..LinkHeader::default() };
    socket.change("setting a tunnel device up", &|sequence, buffer| {
        message(RTM_SETLINK, ASK, sequence, &[&header, &by_name(link)], buffer);
    })
}

/// `IFLA_LINKINFO` of a device.
fn info(device: &TunnelDevice) -> DefaultNla {
    let octets = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let mut data = Vec::new();
    let (local, remote) = if is_gre(device.kind) {
        let flags = if device.checksum { GRE_CSUM } else { 0 };
        data.push(DefaultNla::new(IFLA_GRE_IFLAGS, flags.to_be_bytes().to_vec()));
        (IFLA_GRE_LOCAL, IFLA_GRE_REMOTE)
    } else {
        data.push(DefaultNla::new(IFLA_IPTUN_PROTO, vec![carried(device.kind)]));
        (IFLA_IPTUN_LOCAL, IFLA_IPTUN_REMOTE)
    };
    data.extend(device.local.map(|address| DefaultNla::new(local, octets(address))));
    data.extend(device.remote.map(|address| DefaultNla::new(remote, octets(address))));
    let data: Vec<&dyn Emitable> = data.iter().map(|attribute| attribute as &dyn Emitable).collect();
    let kind = DefaultNla::new(IFLA_INFO_KIND, device.kind.as_str().as_bytes().to_vec());
    let data = DefaultNla::new(IFLA_INFO_DATA | NLA_F_NESTED, nested(&data));
    DefaultNla::new(IFLA_LINKINFO | NLA_F_NESTED, nested(&[&kind, &data]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emitted(device: &TunnelDevice) -> Vec<u8> {
        nested(&[&info(device)])
    }

    fn read(bytes: &[u8]) -> Option<Ends> {
        parse(bytes).unwrap()
    }

    /// `ip link add x type ipip local 192.168.10.10`
    #[test]
    fn a_device_is_made_by_its_kind_and_its_own_end() {
        let device = TunnelDevice::receiving(TunnelKind::Ipip, [192, 168, 10, 10].into(), false);
        let expected = b"\x20\0\x12\x80\x08\0\x01\0ipip\
            \x14\0\x02\x80\x05\0\x09\0\x04\0\0\0\x08\0\x02\0\xc0\xa8\x0a\x0a";
        assert_eq!(emitted(&device), expected);
    }

    #[test]
    fn what_is_made_reads_back() {
        let (v4, v6): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), "fd00::1".parse().unwrap());
        for (kind, address, checksum) in [
            (TunnelKind::Ipip, v4, false),
            (TunnelKind::Sit, v4, false),
            (TunnelKind::Ip6tnl, v6, false),
            (TunnelKind::Gre, v4, true),
            (TunnelKind::Ip6gre, v6, false),
        ] {
            let device = TunnelDevice::receiving(kind, address, checksum);
            let ends = read(&emitted(&device)[4..]).unwrap();
            assert_eq!(TunnelDevice { addressed: true, ..ends.device(true, 2) }, device);
        }
    }

    #[test]
    fn one_that_takes_in_only_some_packets_stands_in_nobodys_way() {
        let of = |kind: &str, data: &[&dyn Emitable]| {
            let kind = DefaultNla::new(IFLA_INFO_KIND, kind.as_bytes().to_vec());
            let data = DefaultNla::new(IFLA_INFO_DATA, nested(data));
            read(&nested(&[&kind, &data]))
        };
        let number = |kind, value: &[u8]| DefaultNla::new(kind, value.to_vec());
        let anybody = number(IFLA_IPTUN_LOCAL, &[0; 4]);
        let tunl0 = of("ipip", &[&anybody, &number(IFLA_IPTUN_PROTO, &[4])]).unwrap();
        assert_eq!((tunl0.local, tunl0.remote), (None, None));
        // ip6tnl0 as it comes takes IPv6 only.
        assert_eq!(of("ip6tnl", &[&number(IFLA_IPTUN_PROTO, &[41])]), None);
        assert!(of("ip6tnl", &[&number(IFLA_IPTUN_PROTO, &[0])]).is_some());
        assert_eq!(of("ipip", &[&number(IFLA_IPTUN_LINK, &[7, 0, 0, 0])]), None);
        assert_eq!(of("gre", &[&number(IFLA_GRE_IFLAGS, &[0x20, 0])]), None);
        assert!(of("gre", &[&number(IFLA_GRE_IFLAGS, &[0x80, 0])]).unwrap().checksum);
        assert_eq!(of("vxlan", &[&anybody]), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
