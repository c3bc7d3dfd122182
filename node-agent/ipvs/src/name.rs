use std::fmt;
use std::str::FromStr;

use netlink_packet_core::DecodeError;

/// Why a text is not a name that the kernel could hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidName {
    /// The text has more bytes than the kernel keeps.
    TooLong {
        /// Bytes of the text.
        length: usize,
        /// Bytes that the kernel keeps.
        longest: usize,
    },
    /// The text holds a NUL byte, which would end it early.
    ContainsNul,
}

impl fmt::Display for InvalidName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { length, longest } => {
                write!(formatter, "name of {length} bytes, at most {longest} are allowed")
            }
            Self::ContainsNul => formatter.write_str("name contains a NUL byte"),
        }
    }
}

impl std::error::Error for InvalidName {}

/// Bytes of the longest name, its terminating NUL aside (`IP_VS_PENAME_MAXLEN`).
const CAPACITY: usize = 16;

/// The bytes as they are stored: the name, then zeros.
fn stored(name: &[u8], longest: usize) -> Result<[u8; CAPACITY], InvalidName> {
    if name.len() > longest {
        return Err(InvalidName::TooLong { length: name.len(), longest });
    }
    if name.contains(&0) {
        return Err(InvalidName::ContainsNul);
    }
    let mut bytes = [0; CAPACITY];
    bytes[..name.len()].copy_from_slice(name);
    Ok(bytes)
}

/// What precedes the first NUL: the kernel takes and sends strings with and without one.
fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

macro_rules! name {
    ($(#[$documentation:meta])* $name:ident, $longest:literal) => {
        $(#[$documentation])*
        ///
        /// Parsed by [`FromStr`], which fails with [`InvalidName`]; shown by [`fmt::Display`], bytes that are not
        /// UTF-8 as U+FFFD. The default is the empty name.
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; CAPACITY]);

        impl $name {
            /// Bytes of the longest name, its terminating NUL aside.
            pub const LONGEST: usize = $longest;

            /// The name's bytes, without a terminating NUL.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                until_nul(&self.0)
            }

            /// Whether the name has no bytes.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.as_bytes().is_empty()
            }

            pub(crate) fn parse(value: &[u8], attribute: &str) -> Result<Self, DecodeError> {
                stored(until_nul(value), Self::LONGEST)
                    .map(Self)
                    .map_err(|invalid| DecodeError::from(format!("{attribute}: {invalid}")))
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                stored(text.as_bytes(), Self::LONGEST).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&String::from_utf8_lossy(self.as_bytes()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&String::from_utf8_lossy(self.as_bytes()), formatter)
            }
        }
    };
}

name! {
    /// A scheduler's name, at most 15 bytes: `rr`, `wlc`, `mh`, … (`IP_VS_SCHEDNAME_MAXLEN`).
    ///
    /// `none` stands for no scheduler. The kernel refuses the empty name with ENOENT.
    SchedulerName, 15
}

name! {
    /// A persistence engine's name, at most 16 bytes: `sip` (`IP_VS_PENAME_MAXLEN`).
    PersistenceEngineName, 16
}

name! {
    /// The name of a network interface, at most 15 bytes (`IP_VS_IFNAME_MAXLEN`).
    InterfaceName, 15
}
