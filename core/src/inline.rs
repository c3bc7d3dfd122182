//! Short names held in place, so that an operation on the kernel needs no heap.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Up to 15 bytes of printable ASCII without space and slash: the shape of the kernel's names for links
/// (`IFNAMSIZ`) and schedulers (`IP_VS_SCHEDNAME_MAXLEN`), both 16 with the closing NUL.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InlineName([u8; 16]);

/// Why a text is no [`InlineName`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidName(pub String);

impl fmt::Display for InvalidName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:?} is no kernel name: 1 to 15 printable ASCII characters, no space and no slash",
            self.0
        )
    }
}

impl std::error::Error for InvalidName {}

impl InlineName {
    /// A name of seven letters, printable ASCII without space and slash, and eight hexadecimal digits.
    pub(crate) fn numbered(letters: [u8; 7], number: u32) -> Self {
        let mut bytes = [0; 16];
        bytes[..7].copy_from_slice(&letters);
        for (place, byte) in bytes[7..15].iter_mut().enumerate() {
            let digit = number >> (28 - 4 * place) & 0xf;
            *byte = b"0123456789abcdef"[digit as usize];
        }
        Self(bytes)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        // Only ASCII gets in (see `from_str`), so this is never the fallback.
        std::str::from_utf8(&self.0[..length]).unwrap_or_default()
    }
}

impl FromStr for InlineName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let fits = (1..=15).contains(&text.len());
        if !fits || !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/') {
            return Err(InvalidName(text.to_owned()));
        }
        let mut bytes = [0; 16];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self(bytes))
    }
}

impl fmt::Display for InlineName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl fmt::Debug for InlineName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.as_str())
    }
}

impl Serialize for InlineName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for InlineName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for InlineName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "InlineName".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({"type": "string", "minLength": 1, "maxLength": 15})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_the_kernel_takes() {
        for name in ["lo", "eth0", "bond0.100", "wlc", "fifteen-chars-x"] {
            assert_eq!(name.parse::<InlineName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn refuses_what_the_kernel_refuses() {
        for name in ["", "sixteen-chars-xy", "a b", "a/b", "ü", "a\0"] {
            assert_eq!(name.parse::<InlineName>(), Err(InvalidName(name.to_owned())));
        }
    }
}
