//! `arp_ignore` and `arp_announce`, `forwarding`, and `rp_filter` of tunnel devices: read with the links, set by rtnetlink.
//!
//! rtnetlink takes them per link with `CAP_NET_ADMIN` alone, where /proc/sys is read-only in most containers. Those
//! of `all` can be read from /proc/sys only, and are never set.

use std::fs;

use lvs_core::kernel::ArpSettings;
use lvs_core::names::LinkName;
use netlink_packet_core::{DecodeError, DefaultNla, NLA_F_NESTED};
use netlink_packet_route::link::LinkHeader;

use super::error::Error;
use super::link::{IFLA_AF_SPEC, RTM_SETLINK, by_name};
use super::rtnetlink::{ASK, attributes, message, nested, u32};
use super::socket::Socket;

// linux/rtnetlink.h, linux/if_link.h, linux/ip.h
const AF_INET: u16 = 2;
const IFLA_INET_CONF: u16 = 1;
const IPV4_DEVCONF_FORWARDING: u16 = 1;
const IPV4_DEVCONF_RP_FILTER: u16 = 8;
const IPV4_DEVCONF_ARP_ANNOUNCE: u16 = 18;
const IPV4_DEVCONF_ARP_IGNORE: u16 = 19;

/// A link's IPv4 settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Conf {
    pub(super) arp: ArpSettings,
    pub(super) rp_filter: u32,
    /// Whether IPv4 packets that come in there and are for others are forwarded.
    pub(super) forwarding: bool,
}

/// The settings within a link's `IFLA_AF_SPEC`; none where the link takes no part in IPv4.
pub(super) fn parse(af_spec: &[u8]) -> Result<Option<Conf>, DecodeError> {
    let Some(inet) = find(af_spec, AF_INET)? else { return Ok(None) };
    let Some(conf) = find(inet, IFLA_INET_CONF)? else { return Ok(None) };
    // The kernel tells them as an array, and takes them as attributes; both are numbered from 1.
    let setting = |number: u16| {
        let start = usize::from(number - 1) * 4;
        conf.get(start..start + 4).map(u32).transpose()
    };
    let (ignore, announce) = (setting(IPV4_DEVCONF_ARP_IGNORE)?, setting(IPV4_DEVCONF_ARP_ANNOUNCE)?);
    let arp = ignore.zip(announce).map(|(ignore, announce)| ArpSettings { ignore, announce });
    let forwarding = setting(IPV4_DEVCONF_FORWARDING)?.is_some_and(|value| value != 0);
    Ok(arp.zip(setting(IPV4_DEVCONF_RP_FILTER)?).map(|(arp, rp_filter)| Conf { arp, rp_filter, forwarding }))
}

/// The value of an attribute in a nest.
pub(super) fn find(nest: &[u8], wanted: u16) -> Result<Option<&[u8]>, DecodeError> {
    for attribute in attributes(nest) {
        let (kind, value) = attribute?;
        if kind == wanted {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// Sets both of a link.
pub(super) fn set(socket: &mut Socket, link: LinkName, settings: ArpSettings) -> Result<(), Error> {
    let conf = [(IPV4_DEVCONF_ARP_IGNORE, settings.ignore), (IPV4_DEVCONF_ARP_ANNOUNCE, settings.announce)];
    socket.change("setting a link's ARP settings", &|sequence, buffer| encode(link, &conf, sequence, buffer))
}

/// Sets the reverse path filter of a link.
pub(super) fn set_rp_filter(socket: &mut Socket, link: LinkName, value: u32) -> Result<(), Error> {
    let conf = [(IPV4_DEVCONF_RP_FILTER, value)];
    socket.change("setting a link's reverse path filter", &|sequence, buffer| {
        encode(link, &conf, sequence, buffer);
    })
}

/// Has IPv4 packets forwarded that come in on a link, or not.
pub(super) fn set_forwarding(socket: &mut Socket, link: LinkName, on: bool) -> Result<(), Error> {
    let conf = [(IPV4_DEVCONF_FORWARDING, u32::from(on))];
    socket.change("setting a link's forwarding", &|sequence, buffer| encode(link, &conf, sequence, buffer))
}

fn encode(link: LinkName, settings: &[(u16, u32)], sequence: u32, buffer: &mut Vec<u8>) {
    let mut conf = Vec::new();
    for (kind, value) in settings {
        conf.extend(nested(&[&DefaultNla::new(*kind, value.to_ne_bytes().to_vec())]));
    }
    let conf = DefaultNla::new(IFLA_INET_CONF | NLA_F_NESTED, conf);
    let inet = DefaultNla::new(AF_INET | NLA_F_NESTED, nested(&[&conf]));
    let af_spec = DefaultNla::new(IFLA_AF_SPEC | NLA_F_NESTED, nested(&[&inet]));
    message(RTM_SETLINK, ASK, sequence, &[&LinkHeader::default(), &by_name(link), &af_spec], buffer);
}

/// Those of `net.ipv4.conf.all` in the thread's network namespace.
pub(super) fn of_all() -> Result<Conf, Error> {
    let setting = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/net/ipv4/conf/all/{name}"))?;
        text.trim().parse().map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    };
    let read = || -> std::io::Result<Conf> {
        let arp = ArpSettings { ignore: setting("arp_ignore")?, announce: setting("arp_announce")? };
        Ok(Conf { arp, rp_filter: setting("rp_filter")?, forwarding: setting("forwarding")? != 0 })
    };
    read().map_err(|source| Error::io("reading the settings of `all` from /proc/sys", source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_settings_go_to_the_kernel_by_the_name_of_the_link() {
        let mut bytes = Vec::new();
        let conf = [(IPV4_DEVCONF_ARP_IGNORE, 1), (IPV4_DEVCONF_ARP_ANNOUNCE, 2)];
        encode("eth0".parse().unwrap(), &conf, 7, &mut bytes);
        let expected = b"\x48\0\0\0\x13\0\x05\0\x07\0\0\0\0\0\0\0\
            \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
            \x09\0\x03\0eth0\0\0\0\0\
            \x1c\0\x1a\x80\x18\0\x02\x80\x14\0\x01\x80\
            \x08\0\x13\0\x01\0\0\0\x08\0\x12\0\x02\0\0\0";
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_short_list_of_settings_holds_neither() {
        // IFLA_AF_SPEC of a kernel that knows three settings.
        let inet = b"\x14\0\x02\0\x10\0\x01\0\x01\0\0\0\x01\0\0\0\x01\0\0\0";
        assert_eq!(parse(inet).unwrap(), None);
    }
}
