//! The number under which the kernel knows the IPVS family. It changes when the module is loaded again.

use netlink_packet_core::{DecodeError, Emitable as _, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST};
use netlink_packet_generic::constants::{CTRL_CMD_GETFAMILY, CTRL_CMD_NEWFAMILY, GENL_HDRLEN, GENL_ID_CTRL};
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_ipvs::FAMILY_NAME;
use nix::errno::Errno;

use crate::kernel::error::{Cause, Error};
use crate::kernel::rtnetlink::{Bytes, attributes, behind, message};
use crate::kernel::socket::Socket;

// linux/genetlink.h
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

/// How often the family is asked for by its name: some kernels answer only the second time after they have loaded
/// the module for the first.
const ATTEMPTS: usize = 2;

/// Whether looking at IPVS may bring it into the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpvsModule {
    /// Only look: a node that needs no IPVS does not get it.
    AsFound,
    /// Load the module where it is missing.
    Load,
}

/// The family's present number; none where the kernel has no IPVS.
pub(super) fn resolve(socket: &mut Socket, module: IpvsModule) -> Result<Option<u16>, Error> {
    if let Some(id) = listed(socket, FAMILY_NAME)? {
        return Ok(Some(id));
    }
    if module == IpvsModule::AsFound {
        return Ok(None);
    }
    for _ in 0..ATTEMPTS {
        if let Some(id) = asked_for(socket)? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// A family's number out of the list of all families, which loads nothing.
pub(in crate::kernel) fn listed(socket: &mut Socket, wanted: &str) -> Result<Option<u16>, Error> {
    let families = socket.dump(
        "listing the generic netlink families",
        &|sequence, buffer| request(NLM_F_REQUEST | NLM_F_DUMP, &[], sequence, buffer),
        &mut |_, payload| parse(payload),
    )?;
    Ok(families.into_iter().find_map(|(name, id)| (name == wanted).then_some(id)))
}

/// By its name, for which the kernel loads a module that goes by it (`net-pf-16-proto-16-family-IPVS`).
fn asked_for(socket: &mut Socket) -> Result<Option<u16>, Error> {
    let name = GenlCtrlAttrs::FamilyName(FAMILY_NAME.to_owned());
    let mut bytes = vec![0; name.buffer_len()];
    name.emit(&mut bytes);
    let mut found = None;
    let answer = socket.ask(
        "asking for the IPVS family",
        &|sequence, buffer| request(NLM_F_REQUEST | NLM_F_ACK, &bytes, sequence, buffer),
        &mut |_, payload| {
            found = parse(payload)?.map(|(_, id)| id);
            Ok(())
        },
    );
    match answer {
        Err(Error { cause: Cause::Refused { errno: Errno::ENOENT, .. }, .. }) => Ok(None),
        other => other.map(|()| found),
    }
}

fn request(flags: u16, attributes: &[u8], sequence: u32, buffer: &mut Vec<u8>) {
    // `struct genlmsghdr`: command, version, 16 bits reserved.
    let header = [CTRL_CMD_GETFAMILY, 2, 0, 0];
    message(GENL_ID_CTRL, flags, sequence, &[&Bytes(&header), &Bytes(attributes)], buffer);
}

/// The name and the number of a family.
fn parse(payload: &[u8]) -> Result<Option<(String, u16)>, DecodeError> {
    if payload.first() != Some(&CTRL_CMD_NEWFAMILY) {
        return Ok(None);
    }
    let (mut name, mut id) = (None, None);
    for attribute in attributes(behind(payload, GENL_HDRLEN)) {
        match attribute? {
            (CTRL_ATTR_FAMILY_NAME, value) => {
                name = Some(String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned());
            }
            (CTRL_ATTR_FAMILY_ID, value) => id = value.try_into().ok().map(u16::from_ne_bytes),
            _ => {}
        }
    }
    Ok(name.zip(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_read_by_name_and_number() {
        let mut payload = vec![CTRL_CMD_NEWFAMILY, 2, 0, 0];
        payload.extend_from_slice(b"\x09\x00\x02\x00IPVS\0\0\0\0\x06\x00\x01\x00\x1f\x00\0\0");
        assert_eq!(parse(&payload).unwrap(), Some(("IPVS".to_owned(), 31)));
        payload[0] = CTRL_CMD_GETFAMILY;
        assert_eq!(parse(&payload).unwrap(), None);
    }
}
