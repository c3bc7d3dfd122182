use netlink_packet_core::DecodeError;

use crate::attribute::{self, attributes};
use crate::writer::Writer;
use crate::{Nest, UnknownAttribute};

/// How long an idle connection is kept, in seconds; one set per network namespace.
///
/// In a request, `None` and `Some(0)` leave a timeout as it is. In a reply, `None` is a protocol that the kernel
/// was built without. A value above `i32::MAX` is refused with EINVAL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Timeouts {
    /// TCP connections.
    pub tcp: Option<u32>,
    /// TCP connections after a FIN.
    pub tcp_fin: Option<u32>,
    /// UDP flows.
    pub udp: Option<u32>,
}

// IPVS_CMD_ATTR_TIMEOUT_*
const TCP: u16 = 4;
const TCP_FIN: u16 = 5;
const UDP: u16 = 6;

impl Timeouts {
    pub(crate) fn parse(message: &[u8], unknown: &mut Vec<UnknownAttribute>) -> Result<Self, DecodeError> {
        let mut timeouts = Self::default();
        for attribute in attributes(message, Nest::Message) {
            let attribute = attribute?;
            let value = attribute.value;
            match attribute.kind {
                TCP => timeouts.tcp = Some(attribute::u32(value, "IPVS_CMD_ATTR_TIMEOUT_TCP")?),
                TCP_FIN => timeouts.tcp_fin = Some(attribute::u32(value, "IPVS_CMD_ATTR_TIMEOUT_TCP_FIN")?),
                UDP => timeouts.udp = Some(attribute::u32(value, "IPVS_CMD_ATTR_TIMEOUT_UDP")?),
                _ => attribute.keep(Nest::Message, unknown),
            }
        }
        Ok(timeouts)
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        let timeouts = [(TCP, self.tcp), (TCP_FIN, self.tcp_fin), (UDP, self.udp)];
        for (kind, seconds) in timeouts {
            if let Some(seconds) = seconds {
                writer.u32(kind, seconds);
            }
        }
    }
}
