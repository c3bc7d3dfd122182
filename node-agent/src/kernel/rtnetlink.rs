//! Messages of rtnetlink: written whole, read for the attributes that are needed.
//!
//! A link or a route has attributes of every driver and tunnel there is. Those that are not asked for are not parsed:
//! a strange link must not make a node unreadable.

use std::net::IpAddr;

use netlink_packet_core::{
    DecodeError, Emitable, NLA_HEADER_SIZE, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NlasIterator,
};

/// Bytes of `struct nlmsghdr`.
const HEADER_LENGTH: usize = 16;

/// What kind of answer a request asks for, as flags.
pub(super) const DUMP: u16 = NLM_F_REQUEST | NLM_F_DUMP;
/// See [`DUMP`].
pub(super) const ASK: u16 = NLM_F_REQUEST | NLM_F_ACK;

/// Writes a whole message, `body` being what follows the netlink header, to the end of `buffer`.
pub(super) fn message(kind: u16, flags: u16, sequence: u32, body: &[&dyn Emitable], buffer: &mut Vec<u8>) {
    let length = HEADER_LENGTH + body.iter().map(|part| part.buffer_len()).sum::<usize>();
    let start = buffer.len();
    buffer.resize(start + length, 0);
    let mut header = NetlinkHeader::default();
    // A request has a few attributes of fixed size.
    header.length = u32::try_from(length).unwrap_or(u32::MAX);
    header.message_type = kind;
    header.flags = flags;
    header.sequence_number = sequence;
    let (head, mut rest) = buffer[start..].split_at_mut(HEADER_LENGTH);
    header.emit(head);
    for part in body {
        let (place, after) = rest.split_at_mut(part.buffer_len());
        part.emit(place);
        rest = after;
    }
}

/// Attributes one after the other, as the value of one that holds them.
pub(super) fn nested(attributes: &[&dyn Emitable]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for attribute in attributes {
        let start = bytes.len();
        bytes.resize(start + attribute.buffer_len(), 0);
        attribute.emit(&mut bytes[start..]);
    }
    bytes
}

/// A part of a message that is given as bytes.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl Emitable for Bytes<'_> {
    fn buffer_len(&self) -> usize {
        self.0.len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(self.0);
    }
}

/// Walks attributes: their numbers without flags, and their values. Stops after the first error.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), DecodeError>> {
    NlasIterator::new(bytes).map(|attribute| {
        let attribute = attribute?;
        let (kind, end) = (attribute.kind(), usize::from(attribute.length()));
        Ok((kind, attribute.into_inner().get(NLA_HEADER_SIZE..end).unwrap_or_default()))
    })
}

/// What follows a family's own header of `length` bytes.
pub(super) fn behind(payload: &[u8], length: usize) -> &[u8] {
    payload.get(length..).unwrap_or_default()
}

/// A number in the host's byte order.
pub(super) fn u32(value: &[u8]) -> Result<u32, DecodeError> {
    let bytes = value.try_into().map_err(|_| DecodeError::from("a number is not of 4 bytes"))?;
    Ok(u32::from_ne_bytes(bytes))
}

/// An address, whose family is told by its length.
pub(super) fn address(value: &[u8]) -> Result<IpAddr, DecodeError> {
    if let Ok(octets) = <[u8; 4]>::try_from(value) {
        return Ok(octets.into());
    }
    let octets: [u8; 16] =
        value.try_into().map_err(|_| DecodeError::from("an address is not of 4 or 16 bytes"))?;
    Ok(octets.into())
}
