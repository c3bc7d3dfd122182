use netlink_packet_core::{NLA_ALIGNTO, NLA_F_NESTED, NLA_HEADER_SIZE};

use crate::{Command, FAMILY_VERSION, MessageHeader, Nest, UnknownAttribute};

/// Whether 64-bit numbers in replies are brought to eight-byte alignment.
///
/// A kernel that is built for a processor without unaligned access precedes such a number with an empty attribute
/// where needed; others, x86-64 among them, do not (`nla_put_u64_64bit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// No padding.
    Unpadded,
    /// An empty attribute before each 64-bit number whose value would stand at an odd multiple of four bytes,
    /// counted from the buffer's start.
    Aligned,
}

/// Writes one message's headers and attributes to the end of a buffer.
pub(crate) struct Writer<'a> {
    buffer: &'a mut Vec<u8>,
    nest_flag: u16,
    padding: Padding,
}

/// Length of a message that holds no more than a service, a destination and both headers: one growth, then none.
const USUAL_LENGTH: usize = 256;

/// Bytes that unknown attributes may take in one nest. The length of a nest is a `u16`, and a service holds three
/// of them (its own attributes and two nests of statistics) beside what is known.
const UNKNOWN_ROOM: usize = 16 * 1024;

impl<'a> Writer<'a> {
    /// For what goes to the kernel: nests are flagged, as libnl flags them.
    pub(crate) fn request(buffer: &'a mut Vec<u8>) -> Self {
        Self { buffer, nest_flag: NLA_F_NESTED, padding: Padding::Unpadded }
    }

    /// For what comes from the kernel: nests of this family are not flagged (`nla_nest_start_noflag`).
    pub(crate) fn reply(buffer: &'a mut Vec<u8>, padding: Padding) -> Self {
        Self { buffer, nest_flag: 0, padding }
    }

    /// Writes a whole message: `struct nlmsghdr`, `struct genlmsghdr`, and what `body` adds.
    pub(crate) fn message(&mut self, header: MessageHeader, command: Command, body: impl FnOnce(&mut Self)) {
        self.buffer.reserve(USUAL_LENGTH);
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 4]);
        self.buffer.extend_from_slice(&header.message_type.to_ne_bytes());
        self.buffer.extend_from_slice(&header.flags.to_ne_bytes());
        self.buffer.extend_from_slice(&header.sequence.to_ne_bytes());
        self.buffer.extend_from_slice(&header.port.to_ne_bytes());
        self.buffer.extend_from_slice(&[command as u8, FAMILY_VERSION, 0, 0]);
        body(self);
        // A message is far below 4 GiB: its top level holds at most a few attributes of 64 KiB.
        let length = u32::try_from(self.buffer.len() - start).unwrap_or(u32::MAX);
        self.buffer[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    pub(crate) fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 2]);
        self.buffer.extend_from_slice(&(kind | self.nest_flag).to_ne_bytes());
        body(self);
        // `unknown` keeps every nest below this bound.
        let length = u16::try_from(self.buffer.len() - start).unwrap_or(u16::MAX);
        self.buffer[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) {
        self.header(kind, value.len());
        self.buffer.extend_from_slice(value);
        self.align();
    }

    /// A NUL-terminated string.
    pub(crate) fn text(&mut self, kind: u16, value: &[u8]) {
        self.header(kind, value.len() + 1);
        self.buffer.extend_from_slice(value);
        self.buffer.push(0);
        self.align();
    }

    pub(crate) fn u8(&mut self, kind: u16, value: u8) {
        self.word(kind, 1, [value, 0, 0, 0]);
    }

    pub(crate) fn u16(&mut self, kind: u16, value: u16) {
        let [first, second] = value.to_ne_bytes();
        self.word(kind, 2, [first, second, 0, 0]);
    }

    /// A port, which is in network byte order.
    pub(crate) fn port(&mut self, kind: u16, value: u16) {
        let [first, second] = value.to_be_bytes();
        self.word(kind, 2, [first, second, 0, 0]);
    }

    pub(crate) fn u32(&mut self, kind: u16, value: u32) {
        self.word(kind, 4, value.to_ne_bytes());
    }

    /// A value of up to four bytes with its padding: header and all in one copy, as most attributes are of this kind.
    fn word(&mut self, kind: u16, value_length: u8, value: [u8; 4]) {
        let [length, kind] = [u16::from(value_length) + 4, kind].map(u16::to_ne_bytes);
        let [first, second, third, fourth] = value;
        self.buffer
            .extend_from_slice(&[length[0], length[1], kind[0], kind[1], first, second, third, fourth]);
    }

    /// A 64-bit number, preceded by an empty attribute `pad` where the padding asks for one.
    pub(crate) fn u64(&mut self, kind: u16, value: u64, pad: u16) {
        if self.padding == Padding::Aligned && self.buffer.len().is_multiple_of(8) {
            self.bytes(pad, &[]);
        }
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// Those of `attributes` that stood in `nest`, as long as they fit into [`UNKNOWN_ROOM`].
    pub(crate) fn unknown(&mut self, attributes: &[UnknownAttribute], nest: Nest) {
        let mut room = UNKNOWN_ROOM;
        for attribute in attributes.iter().filter(|attribute| attribute.within == nest) {
            let length = NLA_HEADER_SIZE + attribute.value.len().next_multiple_of(NLA_ALIGNTO);
            if length <= room {
                room -= length;
                self.bytes(attribute.kind, &attribute.value);
            }
        }
    }

    fn header(&mut self, kind: u16, value_length: usize) {
        // `unknown` bounds the only values whose length is not fixed by their type.
        let length = u16::try_from(NLA_HEADER_SIZE + value_length).unwrap_or(u16::MAX);
        self.buffer.extend_from_slice(&length.to_ne_bytes());
        self.buffer.extend_from_slice(&kind.to_ne_bytes());
    }

    fn align(&mut self) {
        let aligned = self.buffer.len().next_multiple_of(NLA_ALIGNTO);
        self.buffer.resize(aligned, 0);
    }
}
