use std::net::IpAddr;

use netlink_packet_core::DecodeError;

use crate::attribute::{self, attributes, required};
use crate::writer::Writer;
use crate::{InterfaceName, Nest, UnknownAttribute};

/// A synchronisation daemon, which tells connections to other directors or learns them.
///
/// Fields that are `None` in a request take the kernel's default; in a reply, the kernel is older than Linux 4.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Daemon {
    /// Whether it tells or learns.
    pub state: DaemonState,
    /// The network interface that it uses; the kernel refuses an unknown one with ENODEV.
    pub interface: InterfaceName,
    /// The group of directors; 0 is every group, to a backup. Usually 0 to 255, which nothing enforces.
    pub sync_id: u32,
    /// Bytes of the longest message; by default the link's MTU less headers.
    pub maximum_length: Option<u16>,
    /// The UDP port, by default 8848.
    pub multicast_port: Option<u16>,
    /// The hop limit of the messages, by default 1.
    pub multicast_ttl: Option<u8>,
    /// The multicast group, by default 224.0.0.81.
    pub multicast_group: Option<IpAddr>,
}

/// What a synchronisation daemon does (`IP_VS_STATE_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DaemonState {
    /// Tells the others.
    Master,
    /// Learns from a master.
    Backup,
    /// A number that has no name.
    Other(u32),
}

impl From<u32> for DaemonState {
    fn from(number: u32) -> Self {
        match number {
            1 => Self::Master,
            2 => Self::Backup,
            _ => Self::Other(number),
        }
    }
}

impl From<DaemonState> for u32 {
    fn from(state: DaemonState) -> Self {
        match state {
            DaemonState::Master => 1,
            DaemonState::Backup => 2,
            DaemonState::Other(number) => number,
        }
    }
}

// IPVS_DAEMON_ATTR_*
const STATE: u16 = 1;
const MCAST_IFN: u16 = 2;
const SYNC_ID: u16 = 3;
const SYNC_MAXLEN: u16 = 4;
const MCAST_GROUP: u16 = 5;
const MCAST_GROUP6: u16 = 6;
const MCAST_PORT: u16 = 7;
const MCAST_TTL: u16 = 8;

/// The attributes of one daemon nest.
#[derive(Default)]
pub(crate) struct DaemonAttributes {
    state: Option<u32>,
    interface: Option<InterfaceName>,
    sync_id: Option<u32>,
    maximum_length: Option<u16>,
    multicast_port: Option<u16>,
    multicast_ttl: Option<u8>,
    multicast_group: Option<IpAddr>,
}

impl DaemonAttributes {
    pub(crate) fn parse(nest: &[u8], unknown: &mut Vec<UnknownAttribute>) -> Result<Self, DecodeError> {
        let mut known = Self::default();
        for attribute in attributes(nest, Nest::Daemon) {
            let attribute = attribute?;
            let value = attribute.value;
            match attribute.kind {
                STATE => known.state = Some(attribute::u32(value, "IPVS_DAEMON_ATTR_STATE")?),
                MCAST_IFN => {
                    known.interface = Some(InterfaceName::parse(value, "IPVS_DAEMON_ATTR_MCAST_IFN")?);
                }
                SYNC_ID => known.sync_id = Some(attribute::u32(value, "IPVS_DAEMON_ATTR_SYNC_ID")?),
                SYNC_MAXLEN => {
                    known.maximum_length = Some(attribute::u16(value, "IPVS_DAEMON_ATTR_SYNC_MAXLEN")?);
                }
                MCAST_GROUP => {
                    let octets = attribute::array::<4>(value, "IPVS_DAEMON_ATTR_MCAST_GROUP")?;
                    known.multicast_group = Some(octets.into());
                }
                MCAST_GROUP6 => {
                    let octets = attribute::array::<16>(value, "IPVS_DAEMON_ATTR_MCAST_GROUP6")?;
                    known.multicast_group = Some(octets.into());
                }
                // Unlike every other port of this family, this one is in host byte order.
                MCAST_PORT => {
                    known.multicast_port = Some(attribute::u16(value, "IPVS_DAEMON_ATTR_MCAST_PORT")?);
                }
                MCAST_TTL => known.multicast_ttl = Some(attribute::u8(value, "IPVS_DAEMON_ATTR_MCAST_TTL")?),
                _ => attribute.keep(Nest::Daemon, unknown),
            }
        }
        Ok(known)
    }

    pub(crate) fn state(&self) -> Result<DaemonState, DecodeError> {
        required(self.state, "IPVS_DAEMON_ATTR_STATE").map(DaemonState::from)
    }

    pub(crate) fn daemon(&self) -> Result<Daemon, DecodeError> {
        Ok(Daemon {
            state: self.state()?,
            interface: required(self.interface, "IPVS_DAEMON_ATTR_MCAST_IFN")?,
            sync_id: required(self.sync_id, "IPVS_DAEMON_ATTR_SYNC_ID")?,
            maximum_length: self.maximum_length,
            multicast_port: self.multicast_port,
            multicast_ttl: self.multicast_ttl,
            multicast_group: self.multicast_group,
        })
    }
}

impl DaemonState {
    /// Writes the attribute by which the kernel finds a running daemon.
    pub(crate) fn write(self, writer: &mut Writer<'_>) {
        writer.u32(STATE, self.into());
    }
}

impl Daemon {
    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        self.state.write(writer);
        writer.text(MCAST_IFN, self.interface.as_bytes());
        writer.u32(SYNC_ID, self.sync_id);
        if let Some(length) = self.maximum_length {
            writer.u16(SYNC_MAXLEN, length);
        }
        if let Some(port) = self.multicast_port {
            writer.u16(MCAST_PORT, port);
        }
        if let Some(ttl) = self.multicast_ttl {
            writer.u8(MCAST_TTL, ttl);
        }
        match self.multicast_group {
            Some(IpAddr::V4(group)) => writer.bytes(MCAST_GROUP, &group.octets()),
            Some(IpAddr::V6(group)) => writer.bytes(MCAST_GROUP6, &group.octets()),
            None => {}
        }
    }
}
