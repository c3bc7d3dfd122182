use std::num::NonZeroI32;

use netlink_packet_core::{
    DecodeError, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLMSG_ALIGNTO, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP,
    NLMSG_OVERRUN, NetlinkBuffer, NlasIterator,
};

/// Walks the messages in what a netlink socket received.
///
/// It ends at the end of the bytes, or with one error at the first message whose length cannot be: what follows it
/// cannot be found.
#[derive(Debug, Clone)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    /// Over the bytes of one receive, whole and without anything behind them.
    #[must_use]
    pub fn new(received: &'a [u8]) -> Self {
        Self { rest: received }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let received = std::mem::take(&mut self.rest);
        if received.is_empty() {
            return None;
        }
        Some(Message::split(received).map(|(message, rest)| {
            self.rest = rest;
            message
        }))
    }
}

/// One netlink message: its header, and what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The header.
    pub header: MessageHeader,
    /// What follows the header, up to the length that the header names.
    pub payload: &'a [u8],
}

/// `struct nlmsghdr` without its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageHeader {
    /// A family's id, or one of the control messages that [`Content`] tells apart.
    pub message_type: u16,
    /// `NLM_F_*`. On a reply, `NLM_F_MULTIPART` says that more follow, up to [`Content::Done`].
    pub flags: u16,
    /// The sequence number of the request that this belongs to.
    pub sequence: u32,
    /// The port (`nlmsg_pid`) of the socket that asked.
    pub port: u32,
}

impl<'a> Message<'a> {
    /// The first message of `received`, and what follows it.
    fn split(received: &'a [u8]) -> Result<(Self, &'a [u8]), DecodeError> {
        let buffer = NetlinkBuffer::new_checked(received)?;
        let message = Self { header: MessageHeader::of(&buffer), payload: buffer.payload() };
        let next = length(&buffer).next_multiple_of(usize::from(NLMSG_ALIGNTO));
        // The last message may lack its padding.
        Ok((message, received.get(next..).unwrap_or_default()))
    }

    /// Tells acknowledgements, errors and the end of a dump from what a family sent.
    ///
    /// # Errors
    /// If an acknowledgement or the end of a dump is cut short.
    pub fn content(&self) -> Result<Content<'a>, DecodeError> {
        Ok(match self.header.message_type {
            NLMSG_NOOP => Content::Noop,
            NLMSG_OVERRUN => Content::Overrun,
            NLMSG_ERROR => Content::Acknowledgement(self.acknowledgement()?),
            NLMSG_DONE => {
                let (errno, rest) = split_errno(self.payload, "NLMSG_DONE")?;
                Content::Done { errno, text: ExtendedText::find(self.header.flags, rest).text }
            }
            _ => Content::Family(self.payload),
        })
    }

    /// Reads `struct nlmsgerr`: the error, then the request's header, then the rest of the request unless it was
    /// left out, then the extended acknowledgement if there is one.
    fn acknowledgement(&self) -> Result<Acknowledgement<'a>, DecodeError> {
        let (errno, request) = split_errno(self.payload, "NLMSG_ERROR")?;
        let header = request
            .get(..HEADER_LENGTH)
            .ok_or_else(|| DecodeError::from("NLMSG_ERROR: the request's header is cut short"))?;
        let header = NetlinkBuffer::new(header);
        let echoed = if self.header.flags & NLM_F_CAPPED == 0 { length(&header) } else { HEADER_LENGTH };
        let attributes =
            request.get(echoed.next_multiple_of(usize::from(NLMSG_ALIGNTO))..).unwrap_or_default();
        let ExtendedText { text, offset } = ExtendedText::find(self.header.flags, attributes);
        Ok(Acknowledgement { errno, request: MessageHeader::of(&header), text, offset })
    }
}

/// Bytes of `struct nlmsghdr`.
const HEADER_LENGTH: usize = 16;

/// The length that a header names, as a number of bytes in memory.
fn length(header: &NetlinkBuffer<&[u8]>) -> usize {
    usize::try_from(header.length()).unwrap_or(usize::MAX - usize::from(NLMSG_ALIGNTO))
}

impl MessageHeader {
    fn of(buffer: &NetlinkBuffer<&[u8]>) -> Self {
        Self {
            message_type: buffer.message_type(),
            flags: buffer.flags(),
            sequence: buffer.sequence_number(),
            port: buffer.port_number(),
        }
    }
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// Success or failure of one request (`NLMSG_ERROR`).
    Acknowledgement(Acknowledgement<'a>),
    /// The end of a dump (`NLMSG_DONE`).
    Done {
        /// Why the dump ended early, as a positive error number; `None` if it is whole.
        errno: Option<NonZeroI32>,
        /// What the kernel says about it, if the socket asked for `NETLINK_EXT_ACK`.
        text: Option<&'a str>,
    },
    /// To be ignored (`NLMSG_NOOP`).
    Noop,
    /// Messages were lost (`NLMSG_OVERRUN`).
    Overrun,
    /// What a family sent; for this family, to be read by [`crate::Reply::parse`].
    Family(&'a [u8]),
}

/// The kernel's verdict on one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledgement<'a> {
    /// The error as a positive number, as `std::io::Error::from_raw_os_error` takes it; `None` is success.
    pub errno: Option<NonZeroI32>,
    /// The header of the request, as it was sent.
    pub request: MessageHeader,
    /// What the kernel says about it, if the socket asked for `NETLINK_EXT_ACK`.
    pub text: Option<&'a str>,
    /// Where in the request the offending attribute starts, in bytes from its header's start.
    pub offset: Option<u32>,
}

/// The error number that a control message starts with, and what follows it.
fn split_errno<'a>(payload: &'a [u8], name: &str) -> Result<(Option<NonZeroI32>, &'a [u8]), DecodeError> {
    let (code, rest) = payload.split_first_chunk::<4>().ok_or_else(|| {
        DecodeError::from(format!("{name}: expected 4 bytes of error, received {}", payload.len()))
    })?;
    Ok((NonZeroI32::new(i32::from_ne_bytes(*code).saturating_abs()), rest))
}

/// The readable part of an extended acknowledgement.
#[derive(Default)]
struct ExtendedText<'a> {
    text: Option<&'a str>,
    offset: Option<u32>,
}

// NLMSGERR_ATTR_*
const MSG: u16 = 1;
const OFFS: u16 = 2;

impl<'a> ExtendedText<'a> {
    /// Malformed attributes end the search and are no error: the error number before them is what counts.
    fn find(flags: u16, attributes: &'a [u8]) -> Self {
        let mut found = Self::default();
        if flags & NLM_F_ACK_TLVS == 0 {
            return found;
        }
        for attribute in NlasIterator::new(attributes).map_while(Result::ok) {
            let kind = attribute.kind();
            let value = crate::attribute::value(attribute);
            match kind {
                MSG => found.text = std::str::from_utf8(value).ok().map(|text| text.trim_end_matches('\0')),
                OFFS => found.offset = crate::attribute::u32(value, "NLMSGERR_ATTR_OFFS").ok(),
                _ => {}
            }
        }
        found
    }
}
