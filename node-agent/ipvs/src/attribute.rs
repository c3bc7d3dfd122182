use netlink_packet_core::{DecodeError, ErrorContext, NLA_HEADER_SIZE, NlaBuffer, NlasIterator};

/// An attribute of a reply that this crate does not know, kept as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownAttribute {
    /// Where in the message it stood.
    pub within: Nest,
    /// Its number, without the flags `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
    pub kind: u16,
    /// Its value, without header and padding.
    pub value: Vec<u8>,
}

/// The places in a message where attributes stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Nest {
    /// Directly behind the generic netlink header.
    Message,
    /// In the service (`IPVS_CMD_ATTR_SERVICE`).
    Service,
    /// In the destination (`IPVS_CMD_ATTR_DEST`).
    Destination,
    /// In the synchronisation daemon (`IPVS_CMD_ATTR_DAEMON`).
    Daemon,
    /// In the 32-bit statistics of a service or destination.
    Stats,
    /// In the 64-bit statistics of a service or destination.
    Stats64,
}

/// One attribute on its way in: its number without flags, and its value.
pub(crate) struct Attribute<'a> {
    pub(crate) kind: u16,
    pub(crate) value: &'a [u8],
}

impl Attribute<'_> {
    /// Keeps this attribute, as nothing here knows it.
    pub(crate) fn keep(&self, within: Nest, unknown: &mut Vec<UnknownAttribute>) {
        unknown.push(UnknownAttribute { within, kind: self.kind, value: self.value.to_vec() });
    }
}

/// Walks the attributes of one nest; stops after the first error.
pub(crate) fn attributes(
    bytes: &[u8],
    nest: Nest,
) -> impl Iterator<Item = Result<Attribute<'_>, DecodeError>> {
    NlasIterator::new(bytes).map(move |attribute| {
        let attribute = attribute.with_context(|| format!("malformed attribute in {nest:?}"))?;
        Ok(Attribute { kind: attribute.kind(), value: value(attribute) })
    })
}

/// The value with the lifetime of the message; `NlaBuffer::value` would lend it from the iterator's item.
pub(crate) fn value(attribute: NlaBuffer<&[u8]>) -> &[u8] {
    let end = usize::from(attribute.length());
    attribute.into_inner().get(NLA_HEADER_SIZE..end).unwrap_or_default()
}

/// A value of exactly `N` bytes; `name` is the kernel's name of the attribute, for the error.
pub(crate) fn array<const N: usize>(value: &[u8], name: &str) -> Result<[u8; N], DecodeError> {
    value
        .try_into()
        .map_err(|_| DecodeError::from(format!("{name}: expected {N} bytes, received {}", value.len())))
}

pub(crate) fn u8(value: &[u8], name: &str) -> Result<u8, DecodeError> {
    array::<1>(value, name).map(|[byte]| byte)
}

pub(crate) fn u16(value: &[u8], name: &str) -> Result<u16, DecodeError> {
    array(value, name).map(u16::from_ne_bytes)
}

/// A port, which is in network byte order.
pub(crate) fn port(value: &[u8], name: &str) -> Result<u16, DecodeError> {
    array(value, name).map(u16::from_be_bytes)
}

pub(crate) fn u32(value: &[u8], name: &str) -> Result<u32, DecodeError> {
    array(value, name).map(u32::from_ne_bytes)
}

pub(crate) fn u64(value: &[u8], name: &str) -> Result<u64, DecodeError> {
    array(value, name).map(u64::from_ne_bytes)
}

/// A value that the message must hold; `name` is the kernel's name of its attribute.
pub(crate) fn required<T>(value: Option<T>, name: &str) -> Result<T, DecodeError> {
    value.ok_or_else(|| DecodeError::from(format!("{name} is missing")))
}
