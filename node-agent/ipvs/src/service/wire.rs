use std::num::NonZeroU32;

use netlink_packet_core::DecodeError;

use super::{Service, ServiceEntry, ServiceFlags, ServiceIdentity};
use crate::attribute::{self, attributes, required};
use crate::writer::Writer;
use crate::{
    AddressFamily, Nest, Netmask, PersistenceEngineName, SchedulerName, Stats32, Stats64, UnknownAttribute,
    address, stats,
};

// IPVS_SVC_ATTR_*
const AF: u16 = 1;
const PROTOCOL: u16 = 2;
const ADDR: u16 = 3;
const PORT: u16 = 4;
const FWMARK: u16 = 5;
const SCHED_NAME: u16 = 6;
const FLAGS: u16 = 7;
const TIMEOUT: u16 = 8;
const NETMASK: u16 = 9;
const STATS: u16 = 10;
const PE_NAME: u16 = 11;
const STATS64: u16 = 12;

/// The attributes of one service nest. Those whose meaning depends on the family are still bytes.
#[derive(Default)]
pub(crate) struct ServiceAttributes<'a> {
    family: Option<u16>,
    protocol: Option<u16>,
    address: Option<&'a [u8]>,
    port: Option<u16>,
    mark: Option<u32>,
    scheduler: Option<SchedulerName>,
    flags: Option<(ServiceFlags, ServiceFlags)>,
    timeout: Option<u32>,
    netmask: Option<&'a [u8]>,
    persistence_engine: Option<PersistenceEngineName>,
    stats: Option<Stats32>,
    stats64: Option<Stats64>,
}

impl<'a> ServiceAttributes<'a> {
    pub(crate) fn parse(nest: &'a [u8], unknown: &mut Vec<UnknownAttribute>) -> Result<Self, DecodeError> {
        let mut known = Self::default();
        for attribute in attributes(nest, Nest::Service) {
            let attribute = attribute?;
            let value = attribute.value;
            match attribute.kind {
                AF => known.family = Some(attribute::u16(value, "IPVS_SVC_ATTR_AF")?),
                PROTOCOL => known.protocol = Some(attribute::u16(value, "IPVS_SVC_ATTR_PROTOCOL")?),
                ADDR => known.address = Some(value),
                PORT => known.port = Some(attribute::port(value, "IPVS_SVC_ATTR_PORT")?),
                FWMARK => known.mark = Some(attribute::u32(value, "IPVS_SVC_ATTR_FWMARK")?),
                SCHED_NAME => {
                    known.scheduler = Some(SchedulerName::parse(value, "IPVS_SVC_ATTR_SCHED_NAME")?);
                }
                FLAGS => known.flags = Some(parse_flags(value)?),
                TIMEOUT => known.timeout = Some(attribute::u32(value, "IPVS_SVC_ATTR_TIMEOUT")?),
                NETMASK => known.netmask = Some(value),
                STATS => known.stats = Some(stats::parse(value, unknown)?),
                PE_NAME => {
                    known.persistence_engine =
                        Some(PersistenceEngineName::parse(value, "IPVS_SVC_ATTR_PE_NAME")?);
                }
                STATS64 => known.stats64 = Some(stats::parse(value, unknown)?),
                _ => attribute.keep(Nest::Service, unknown),
            }
        }
        Ok(known)
    }

    /// The mark comes first, as in the kernel: where there is one, the tuple does not matter.
    pub(crate) fn identity(&self) -> Result<ServiceIdentity, DecodeError> {
        let family = AddressFamily::parse(required(self.family, "IPVS_SVC_ATTR_AF")?, "IPVS_SVC_ATTR_AF")?;
        if let Some(mark) = self.mark {
            let mark = NonZeroU32::new(mark)
                .ok_or_else(|| DecodeError::from("IPVS_SVC_ATTR_FWMARK: 0 marks no packet"))?;
            return Ok(ServiceIdentity::FirewallMark { family, mark });
        }
        let address = required(self.address, "IPVS_SVC_ATTR_ADDR")?;
        Ok(ServiceIdentity::Tuple {
            protocol: required(self.protocol, "IPVS_SVC_ATTR_PROTOCOL")?,
            address: address::parse(address, family, "IPVS_SVC_ATTR_ADDR")?,
            port: required(self.port, "IPVS_SVC_ATTR_PORT")?,
        })
    }

    pub(crate) fn service(&self) -> Result<Service, DecodeError> {
        let identity = self.identity()?;
        let (flags, flags_mask) = required(self.flags, "IPVS_SVC_ATTR_FLAGS")?;
        let netmask = required(self.netmask, "IPVS_SVC_ATTR_NETMASK")?;
        Ok(Service {
            identity,
            scheduler: required(self.scheduler, "IPVS_SVC_ATTR_SCHED_NAME")?,
            flags,
            flags_mask,
            timeout: required(self.timeout, "IPVS_SVC_ATTR_TIMEOUT")?,
            netmask: Netmask::parse(netmask, identity.family(), "IPVS_SVC_ATTR_NETMASK")?,
            persistence_engine: self.persistence_engine,
        })
    }

    pub(crate) fn entry(&self) -> Result<ServiceEntry, DecodeError> {
        Ok(ServiceEntry { service: self.service()?, stats: self.stats, stats64: self.stats64 })
    }
}

/// `struct ip_vs_flags`: the flags, then the mask. The kernel takes the flags alone too, with a mask of 0.
fn parse_flags(value: &[u8]) -> Result<(ServiceFlags, ServiceFlags), DecodeError> {
    let (flags, mask) = value.split_at_checked(size_of::<u32>()).unwrap_or((value, &[]));
    let flags = attribute::u32(flags, "IPVS_SVC_ATTR_FLAGS")?;
    let mask = if mask.is_empty() { 0 } else { attribute::u32(mask, "the mask of IPVS_SVC_ATTR_FLAGS")? };
    Ok((ServiceFlags(flags), ServiceFlags(mask)))
}

impl ServiceIdentity {
    /// Writes the attributes by which the kernel finds a service.
    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.u16(AF, self.family() as u16);
        match *self {
            Self::Tuple { protocol, address, port } => {
                writer.u16(PROTOCOL, protocol);
                address::write(address, writer, ADDR);
                writer.port(PORT, port);
            }
            Self::FirewallMark { mark, .. } => writer.u32(FWMARK, mark.get()),
        }
    }
}

impl Service {
    /// Writes all attributes that a new or changed service needs: there is no partial change.
    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        self.identity.write(writer);
        writer.text(SCHED_NAME, self.scheduler.as_bytes());
        if let Some(engine) = self.persistence_engine {
            writer.text(PE_NAME, engine.as_bytes());
        }
        let mut flags = [0; 8];
        flags[..4].copy_from_slice(&self.flags.0.to_ne_bytes());
        flags[4..].copy_from_slice(&self.flags_mask.0.to_ne_bytes());
        writer.bytes(FLAGS, &flags);
        writer.u32(TIMEOUT, self.timeout);
        self.netmask.write(writer, NETMASK);
    }
}

impl ServiceEntry {
    pub(crate) fn write(&self, writer: &mut Writer<'_>, unknown: &[UnknownAttribute]) {
        self.service.write(writer);
        if let Some(stats) = &self.stats {
            stats::write(stats, writer, STATS, unknown);
        }
        if let Some(stats) = &self.stats64 {
            stats::write(stats, writer, STATS64, unknown);
        }
        writer.unknown(unknown, Nest::Service);
    }
}
