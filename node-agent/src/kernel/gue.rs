//! UDP ports at which the kernel takes GUE in: generic netlink family `fou` of linux/fou.h (`ip fou`).

use std::collections::BTreeSet;

use lvs_core::network::Family;
use lvs_core::tunnel::GuePort;
use netlink_packet_core::{DecodeError, DefaultNla, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST};
use netlink_packet_generic::constants::GENL_HDRLEN;
use nix::errno::Errno;

use super::error::{Cause, Error};
use super::ipvs::family_number;
use super::rtnetlink::{Bytes, attributes, behind, message, nested};
use super::socket::Socket;

/// The family's name (`FOU_GENL_NAME`). No module goes by it, so that asking for it loads none.
const FAMILY_NAME: &str = "fou";
const VERSION: u8 = 1;
const FOU_CMD_ADD: u8 = 1;
const FOU_CMD_DEL: u8 = 2;
const FOU_CMD_GET: u8 = 3;
const FOU_ATTR_PORT: u16 = 1;
const FOU_ATTR_AF: u16 = 2;
const FOU_ATTR_TYPE: u16 = 4;
/// `FOU_ENCAP_GUE`
const GUE: u8 = 2;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// The ports; none where the kernel has no GUE.
pub(super) fn read(socket: &mut Socket) -> Result<BTreeSet<GuePort>, Error> {
    const DOING: &str = "reading the ports of GUE";
    let Some(family) = family_number(socket, FAMILY_NAME)? else { return Ok(BTreeSet::new()) };
    let ports = socket.dump(
        DOING,
        &|sequence, buffer| {
            request(family, NLM_F_REQUEST | NLM_F_DUMP, FOU_CMD_GET, &[], sequence, buffer);
        },
        &mut |_, payload| parse(payload),
    );
    match ports {
        // Without CAP_NET_ADMIN nobody is told; such an agent takes no tunnel in either.
        Err(error) if error.is_not_permitted() => Ok(BTreeSet::new()),
        other => Ok(other?.into_iter().collect()),
    }
}

/// Takes GUE in at a port.
pub(super) fn open(socket: &mut Socket, port: GuePort) -> Result<(), Error> {
    let kind = DefaultNla::new(FOU_ATTR_TYPE, vec![GUE]);
    change(socket, "taking GUE in", FOU_CMD_ADD, port, &nested(&[&kind]))
}

/// Takes it in no more.
pub(super) fn close(socket: &mut Socket, port: GuePort) -> Result<(), Error> {
    change(socket, "taking GUE in no more", FOU_CMD_DEL, port, &[])
}

fn change(
    socket: &mut Socket,
    doing: &'static str,
    command: u8,
    port: GuePort,
    more: &[u8],
) -> Result<(), Error> {
    let Some(family) = family_number(socket, FAMILY_NAME)? else {
        let cause = Cause::Refused { errno: Errno::ENOENT, text: None };
        return Err(Error { doing, cause });
    };
    let mut attributes = identity(port);
    attributes.extend(more);
    socket.change(doing, &|sequence, buffer| {
        request(family, NLM_F_REQUEST | NLM_F_ACK, command, &attributes, sequence, buffer);
    })
}

fn identity(port: GuePort) -> Vec<u8> {
    let family = match port.family {
        Family::IPv4 => AF_INET,
        Family::IPv6 => AF_INET6,
    };
    let number = DefaultNla::new(FOU_ATTR_PORT, port.port.to_be_bytes().to_vec());
    nested(&[&number, &DefaultNla::new(FOU_ATTR_AF, vec![family])])
}

fn request(family: u16, flags: u16, command: u8, attributes: &[u8], sequence: u32, buffer: &mut Vec<u8>) {
    // `struct genlmsghdr`: command, version, 16 bits reserved.
    let header = [command, VERSION, 0, 0];
    message(family, flags, sequence, &[&Bytes(&header), &Bytes(attributes)], buffer);
}

/// Reads one port; none for another encapsulation than GUE.
fn parse(payload: &[u8]) -> Result<Option<GuePort>, DecodeError> {
    let (mut port, mut family, mut is_gue) = (None, None, false);
    for attribute in attributes(behind(payload, GENL_HDRLEN)) {
        match attribute? {
            (FOU_ATTR_PORT, value) => port = value.try_into().ok().map(u16::from_be_bytes),
            (FOU_ATTR_AF, [AF_INET]) => family = Some(Family::IPv4),
            (FOU_ATTR_AF, [AF_INET6]) => family = Some(Family::IPv6),
            (FOU_ATTR_TYPE, value) => is_gue = value == [GUE],
            _ => {}
        }
    }
    Ok(port.zip(family).filter(|_| is_gue).map(|(port, family)| GuePort { family, port }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ip -6 fou add port 6080 gue`
    #[test]
    fn a_port_reads_back() {
        let port = GuePort { family: Family::IPv6, port: 6080 };
        let bytes = identity(port);
        assert_eq!(bytes, b"\x06\0\x01\0\x17\xc0\0\0\x05\0\x02\0\x0a\0\0\0");
        let payload = |kind: u8| {
            let kind = nested(&[&DefaultNla::new(FOU_ATTR_TYPE, vec![kind])]);
            [vec![FOU_CMD_GET, VERSION, 0, 0], bytes.clone(), kind].concat()
        };
        assert_eq!(parse(&payload(GUE)).unwrap(), Some(port));
        // FOU without GUE's header.
        assert_eq!(parse(&payload(1)).unwrap(), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
