use netlink_packet_core::DecodeError;

use super::{Destination, DestinationEntry, DestinationIdentity, ForwardingMethod, Tunnel};
use crate::attribute::{self, attributes, required};
use crate::writer::Writer;
use crate::{AddressFamily, Nest, Stats32, Stats64, UnknownAttribute, address, stats};

// IPVS_DEST_ATTR_*
const ADDR: u16 = 1;
const PORT: u16 = 2;
const FWD_METHOD: u16 = 3;
const WEIGHT: u16 = 4;
const U_THRESH: u16 = 5;
const L_THRESH: u16 = 6;
const ACTIVE_CONNS: u16 = 7;
const INACT_CONNS: u16 = 8;
const PERSIST_CONNS: u16 = 9;
const STATS: u16 = 10;
const ADDR_FAMILY: u16 = 11;
const STATS64: u16 = 12;
const TUN_TYPE: u16 = 13;
const TUN_PORT: u16 = 14;
const TUN_FLAGS: u16 = 15;

/// The attributes of one destination nest. The address is still bytes: its family may stand behind it.
#[derive(Default)]
pub(crate) struct DestinationAttributes<'a> {
    address: Option<&'a [u8]>,
    family: Option<u16>,
    port: Option<u16>,
    forwarding: Option<u32>,
    weight: Option<u32>,
    upper_threshold: Option<u32>,
    lower_threshold: Option<u32>,
    tunnel: Tunnel,
    active_connections: Option<u32>,
    inactive_connections: Option<u32>,
    persistent_connections: Option<u32>,
    stats: Option<Stats32>,
    stats64: Option<Stats64>,
}

impl<'a> DestinationAttributes<'a> {
    pub(crate) fn parse(nest: &'a [u8], unknown: &mut Vec<UnknownAttribute>) -> Result<Self, DecodeError> {
        let mut known = Self::default();
        for attribute in attributes(nest, Nest::Destination) {
            let attribute = attribute?;
            let value = attribute.value;
            match attribute.kind {
                ADDR => known.address = Some(value),
                PORT => known.port = Some(attribute::port(value, "IPVS_DEST_ATTR_PORT")?),
                FWD_METHOD => known.forwarding = Some(attribute::u32(value, "IPVS_DEST_ATTR_FWD_METHOD")?),
                WEIGHT => known.weight = Some(attribute::u32(value, "IPVS_DEST_ATTR_WEIGHT")?),
                U_THRESH => known.upper_threshold = Some(attribute::u32(value, "IPVS_DEST_ATTR_U_THRESH")?),
                L_THRESH => known.lower_threshold = Some(attribute::u32(value, "IPVS_DEST_ATTR_L_THRESH")?),
                ACTIVE_CONNS => {
                    known.active_connections = Some(attribute::u32(value, "IPVS_DEST_ATTR_ACTIVE_CONNS")?);
                }
                INACT_CONNS => {
                    known.inactive_connections = Some(attribute::u32(value, "IPVS_DEST_ATTR_INACT_CONNS")?);
                }
                PERSIST_CONNS => {
                    known.persistent_connections =
                        Some(attribute::u32(value, "IPVS_DEST_ATTR_PERSIST_CONNS")?);
                }
                STATS => known.stats = Some(stats::parse(value, unknown)?),
                ADDR_FAMILY => known.family = Some(attribute::u16(value, "IPVS_DEST_ATTR_ADDR_FAMILY")?),
                STATS64 => known.stats64 = Some(stats::parse(value, unknown)?),
                TUN_TYPE => known.tunnel.kind = attribute::u8(value, "IPVS_DEST_ATTR_TUN_TYPE")?.into(),
                TUN_PORT => known.tunnel.port = attribute::port(value, "IPVS_DEST_ATTR_TUN_PORT")?,
                TUN_FLAGS => known.tunnel.flags = attribute::u16(value, "IPVS_DEST_ATTR_TUN_FLAGS")?,
                _ => attribute.keep(Nest::Destination, unknown),
            }
        }
        Ok(known)
    }

    /// A family of 0 and a missing one both mean the service's (kernels before 3.18 send none).
    pub(crate) fn identity(
        &self,
        service_family: Option<AddressFamily>,
    ) -> Result<DestinationIdentity, DecodeError> {
        let family = match self.family {
            Some(number) if number != 0 => AddressFamily::parse(number, "IPVS_DEST_ATTR_ADDR_FAMILY")?,
            _ => service_family.ok_or_else(|| {
                DecodeError::from(
                    "IPVS_DEST_ATTR_ADDR_FAMILY is missing and the service's family is not known",
                )
            })?,
        };
        let address = required(self.address, "IPVS_DEST_ATTR_ADDR")?;
        Ok(DestinationIdentity {
            address: address::parse(address, family, "IPVS_DEST_ATTR_ADDR")?,
            port: required(self.port, "IPVS_DEST_ATTR_PORT")?,
        })
    }

    pub(crate) fn destination(
        &self,
        service_family: Option<AddressFamily>,
    ) -> Result<Destination, DecodeError> {
        Ok(Destination {
            identity: self.identity(service_family)?,
            forwarding: ForwardingMethod::from(required(self.forwarding, "IPVS_DEST_ATTR_FWD_METHOD")?),
            weight: required(self.weight, "IPVS_DEST_ATTR_WEIGHT")?.cast_signed(),
            upper_threshold: required(self.upper_threshold, "IPVS_DEST_ATTR_U_THRESH")?,
            lower_threshold: required(self.lower_threshold, "IPVS_DEST_ATTR_L_THRESH")?,
            tunnel: self.tunnel,
        })
    }

    pub(crate) fn entry(
        &self,
        service_family: Option<AddressFamily>,
    ) -> Result<DestinationEntry, DecodeError> {
        Ok(DestinationEntry {
            destination: self.destination(service_family)?,
            active_connections: required(self.active_connections, "IPVS_DEST_ATTR_ACTIVE_CONNS")?,
            inactive_connections: required(self.inactive_connections, "IPVS_DEST_ATTR_INACT_CONNS")?,
            persistent_connections: required(self.persistent_connections, "IPVS_DEST_ATTR_PERSIST_CONNS")?,
            stats: self.stats,
            stats64: self.stats64,
        })
    }
}

impl DestinationIdentity {
    /// Writes the attributes by which the kernel finds a destination.
    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.u16(ADDR_FAMILY, AddressFamily::of(self.address) as u16);
        self.write_address(writer);
    }

    fn write_address(&self, writer: &mut Writer<'_>) {
        address::write(self.address, writer, ADDR);
        writer.port(PORT, self.port);
    }
}

impl Destination {
    /// Writes all attributes that a new or changed destination needs: there is no partial change.
    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        self.identity.write(writer);
        self.write_settings(writer);
    }

    fn write_settings(&self, writer: &mut Writer<'_>) {
        writer.u32(FWD_METHOD, self.forwarding.into());
        writer.u32(WEIGHT, self.weight.cast_unsigned());
        writer.u8(TUN_TYPE, self.tunnel.kind.into());
        writer.port(TUN_PORT, self.tunnel.port);
        writer.u16(TUN_FLAGS, self.tunnel.flags);
        writer.u32(U_THRESH, self.upper_threshold);
        writer.u32(L_THRESH, self.lower_threshold);
    }
}

impl DestinationEntry {
    /// Writes in the kernel's order, where the family stands behind the counts.
    pub(crate) fn write(&self, writer: &mut Writer<'_>, unknown: &[UnknownAttribute]) {
        let identity = self.destination.identity;
        identity.write_address(writer);
        self.destination.write_settings(writer);
        writer.u32(ACTIVE_CONNS, self.active_connections);
        writer.u32(INACT_CONNS, self.inactive_connections);
        writer.u32(PERSIST_CONNS, self.persistent_connections);
        writer.u16(ADDR_FAMILY, AddressFamily::of(identity.address) as u16);
        if let Some(stats) = &self.stats {
            stats::write(stats, writer, STATS, unknown);
        }
        if let Some(stats) = &self.stats64 {
            stats::write(stats, writer, STATS64, unknown);
        }
        writer.unknown(unknown, Nest::Destination);
    }
}
