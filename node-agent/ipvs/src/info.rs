use netlink_packet_core::DecodeError;

use crate::attribute::{self, attributes, required};
use crate::writer::Writer;
use crate::{Nest, UnknownAttribute};

/// What IPVS tells about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Info {
    /// The version as `NVERSION` of `linux/ip_vs.h` packs it: 0x010201 is 1.2.1.
    pub version: u32,
    /// Buckets of the connection table. From Linux 7 on it grows by need and may be 0.
    pub connection_table_size: u32,
}

impl Info {
    /// Major, minor and patch number of the version.
    #[must_use]
    pub fn version_parts(self) -> [u8; 3] {
        let [_, major, minor, patch] = self.version.to_be_bytes();
        [major, minor, patch]
    }

    pub(crate) fn parse(message: &[u8], unknown: &mut Vec<UnknownAttribute>) -> Result<Self, DecodeError> {
        let (mut version, mut connection_table_size) = (None, None);
        for attribute in attributes(message, Nest::Message) {
            let attribute = attribute?;
            match attribute.kind {
                VERSION => version = Some(attribute::u32(attribute.value, VERSION_NAME)?),
                TABLE_SIZE => connection_table_size = Some(attribute::u32(attribute.value, TABLE_SIZE_NAME)?),
                _ => attribute.keep(Nest::Message, unknown),
            }
        }
        Ok(Self {
            version: required(version, VERSION_NAME)?,
            connection_table_size: required(connection_table_size, TABLE_SIZE_NAME)?,
        })
    }

    pub(crate) fn write(self, writer: &mut Writer<'_>) {
        writer.u32(VERSION, self.version);
        writer.u32(TABLE_SIZE, self.connection_table_size);
    }
}

// IPVS_INFO_ATTR_*; they stand at the top level, where other commands have IPVS_CMD_ATTR_*.
const VERSION: u16 = 1;
const TABLE_SIZE: u16 = 2;
const VERSION_NAME: &str = "IPVS_INFO_ATTR_VERSION";
const TABLE_SIZE_NAME: &str = "IPVS_INFO_ATTR_CONN_TAB_SIZE";
