//! Announcing: tells the stations of a link that a VIP is at this node.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use lvs_core::names::LinkName;
use lvs_core::network::MacAddress;

use super::error::{Cause, Error};
use super::frame::{arp, neighbour};
use super::link::Links;
use super::packet_socket::{PacketSocket, Receives};

const DOING: &str = "announcing a VIP";

/// Announces each VIP on its link: by both forms of ARP, or by an advertisement that overrides. Returns the links on
/// which that failed, for at least one VIP, each with the first error.
pub(super) fn announce(vips: &BTreeMap<IpAddr, LinkName>, links: &Links) -> BTreeMap<LinkName, Error> {
    let mut by_link = BTreeMap::<LinkName, Vec<IpAddr>>::new();
    for (vip, link) in vips {
        by_link.entry(*link).or_default().push(*vip);
    }
    let failure = |(link, vips): (LinkName, Vec<IpAddr>)| {
        announce_on(link, &vips, links).err().map(|error| (link, error))
    };
    by_link.into_iter().filter_map(failure).collect()
}

/// Tries every VIP, whatever becomes of the others.
fn announce_on(link: LinkName, vips: &[IpAddr], links: &Links) -> Result<(), Error> {
    let no_link = || Error { doing: DOING, cause: Cause::NoLink(link.to_string()) };
    let found = &links.found.get(&link).ok_or_else(no_link)?.link;
    // A link that is not Ethernet has no stations to tell.
    let Some(mac) = found.mac else { return Ok(()) };
    let io = |source| Error::io(DOING, source);
    let socket = PacketSocket::open(found.index, Receives::Nothing).map_err(io)?;
    let mut outcome = Ok(());
    for vip in vips {
        for frame in frames(mac, *vip) {
            outcome = outcome.and(socket.send(&frame));
        }
    }
    outcome.map_err(|source: io::Error| io(source))
}

fn frames(mac: MacAddress, vip: IpAddr) -> Vec<Vec<u8>> {
    match vip {
        IpAddr::V4(vip) => vec![arp::announcement(mac, vip), arp::announcement_as_reply(mac, vip)],
        IpAddr::V6(vip) => vec![neighbour::advertisement(mac, vip)],
    }
}
