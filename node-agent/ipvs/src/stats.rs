use netlink_packet_core::DecodeError;

use crate::attribute::{self, attributes};
use crate::writer::Writer;
use crate::{Nest, UnknownAttribute};

/// Counters and rates of a service or destination, read from the director's point of view.
///
/// The kernel refreshes them every two seconds. Under direct routing the outgoing ones stay 0: replies do not pass
/// the director.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Stats<Number> {
    /// Connections scheduled.
    pub connections: Number,
    /// Packets from clients.
    pub incoming_packets: Number,
    /// Packets to clients.
    pub outgoing_packets: Number,
    /// Bytes from clients.
    pub incoming_bytes: u64,
    /// Bytes to clients.
    pub outgoing_bytes: u64,
    /// Connections per second.
    pub connections_per_second: Number,
    /// Packets from clients per second.
    pub incoming_packets_per_second: Number,
    /// Packets to clients per second.
    pub outgoing_packets_per_second: Number,
    /// Bytes from clients per second.
    pub incoming_bytes_per_second: Number,
    /// Bytes to clients per second.
    pub outgoing_bytes_per_second: Number,
}

/// Statistics whose counters and rates wrap at 32 bits (`IPVS_SVC_ATTR_STATS`, `IPVS_DEST_ATTR_STATS`).
pub type Stats32 = Stats<u32>;

/// Statistics of 64 bits; Linux sends them since 4.1 (`IPVS_SVC_ATTR_STATS64`, `IPVS_DEST_ATTR_STATS64`).
pub type Stats64 = Stats<u64>;

// IPVS_STATS_ATTR_*
const CONNS: u16 = 1;
const INPKTS: u16 = 2;
const OUTPKTS: u16 = 3;
const INBYTES: u16 = 4;
const OUTBYTES: u16 = 5;
const CPS: u16 = 6;
const INPPS: u16 = 7;
const OUTPPS: u16 = 8;
const INBPS: u16 = 9;
const OUTBPS: u16 = 10;
const PAD: u16 = 11;

/// What is left open in [`Stats`]: 32 or 64 bits.
pub(crate) trait Number: Copy + Default {
    /// The nest that holds statistics of this width.
    const NEST: Nest;
    fn parse(value: &[u8], name: &str) -> Result<Self, DecodeError>;
    fn write(self, writer: &mut Writer<'_>, kind: u16);
}

impl Number for u32 {
    const NEST: Nest = Nest::Stats;

    fn parse(value: &[u8], name: &str) -> Result<Self, DecodeError> {
        attribute::u32(value, name)
    }

    fn write(self, writer: &mut Writer<'_>, kind: u16) {
        writer.u32(kind, self);
    }
}

impl Number for u64 {
    const NEST: Nest = Nest::Stats64;

    fn parse(value: &[u8], name: &str) -> Result<Self, DecodeError> {
        attribute::u64(value, name)
    }

    fn write(self, writer: &mut Writer<'_>, kind: u16) {
        writer.u64(kind, self, PAD);
    }
}

/// The statistics of one nest. A counter that the kernel does not send stays 0.
pub(crate) fn parse<N: Number>(
    nest: &[u8],
    unknown: &mut Vec<UnknownAttribute>,
) -> Result<Stats<N>, DecodeError> {
    let mut stats = Stats::default();
    for attribute in attributes(nest, N::NEST) {
        let attribute = attribute?;
        let value = attribute.value;
        match attribute.kind {
            CONNS => stats.connections = N::parse(value, "IPVS_STATS_ATTR_CONNS")?,
            INPKTS => stats.incoming_packets = N::parse(value, "IPVS_STATS_ATTR_INPKTS")?,
            OUTPKTS => stats.outgoing_packets = N::parse(value, "IPVS_STATS_ATTR_OUTPKTS")?,
            INBYTES => stats.incoming_bytes = attribute::u64(value, "IPVS_STATS_ATTR_INBYTES")?,
            OUTBYTES => stats.outgoing_bytes = attribute::u64(value, "IPVS_STATS_ATTR_OUTBYTES")?,
            CPS => stats.connections_per_second = N::parse(value, "IPVS_STATS_ATTR_CPS")?,
            INPPS => stats.incoming_packets_per_second = N::parse(value, "IPVS_STATS_ATTR_INPPS")?,
            OUTPPS => stats.outgoing_packets_per_second = N::parse(value, "IPVS_STATS_ATTR_OUTPPS")?,
            INBPS => stats.incoming_bytes_per_second = N::parse(value, "IPVS_STATS_ATTR_INBPS")?,
            OUTBPS => stats.outgoing_bytes_per_second = N::parse(value, "IPVS_STATS_ATTR_OUTBPS")?,
            PAD => {}
            _ => attribute.keep(N::NEST, unknown),
        }
    }
    Ok(stats)
}

pub(crate) fn write<N: Number>(
    stats: &Stats<N>,
    writer: &mut Writer<'_>,
    kind: u16,
    unknown: &[UnknownAttribute],
) {
    writer.nest(kind, |writer| {
        stats.connections.write(writer, CONNS);
        stats.incoming_packets.write(writer, INPKTS);
        stats.outgoing_packets.write(writer, OUTPKTS);
        writer.u64(INBYTES, stats.incoming_bytes, PAD);
        writer.u64(OUTBYTES, stats.outgoing_bytes, PAD);
        stats.connections_per_second.write(writer, CPS);
        stats.incoming_packets_per_second.write(writer, INPPS);
        stats.outgoing_packets_per_second.write(writer, OUTPPS);
        stats.incoming_bytes_per_second.write(writer, INBPS);
        stats.outgoing_bytes_per_second.write(writer, OUTBPS);
        writer.unknown(unknown, N::NEST);
    });
}
