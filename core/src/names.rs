//! Names of objects, each of its own type so that none stands where another belongs.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::inline::InlineName;

/// A network link of a node (`eth0`, `bond0.100`).
pub type LinkName = InlineName;

/// An IPVS scheduler, by the kernel's own name (`rr`, `wlc`).
pub type SchedulerName = InlineName;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        #[schemars(inline)]
        pub struct $name(pub String);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

name!(
    /// The name of a Node, and of its NodePlan.
    NodeName
);
name!(
    /// The name of a DirectorGroup.
    GroupName
);
name!(
    /// The name of a pool in its DirectorGroup.
    PoolName
);
name!(
    /// Something that an agent can do and a planned service may need (`DirectRouting`).
    Feature
);
name!(
    /// The kernel's `/proc/sys/kernel/random/boot_id`: changes with each boot.
    BootId
);

/// The features of this version, which an agent reports and a plan may require.
pub const FEATURES: [&str; 13] = [
    "AllPorts",
    "ConnectionThresholds",
    "DirectRouting",
    "FirewallMarks",
    "FullNAT",
    "Masquerade",
    "OnePacketScheduling",
    "PacketRules",
    "Persistence",
    "PersistenceEngine",
    "PortRedirection",
    "SchedulerFlags",
    "Tunnel",
];

/// A VirtualService, written `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName {
    /// The namespace of the VirtualService.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ServiceName {
    /// `namespace/name` from its parts.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

/// A real server of a service: a node with an agent, or foreign hosts by the name of their entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RealServerKey {
    /// A node; written `node/NAME`.
    Node(NodeName),
    /// An entry of `spec.realServers` with `addresses`; written `foreign/ENTRY`.
    Foreign(String),
}

/// Why a text is no key: the text, and the form that was wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidKey {
    /// What was read.
    pub text: String,
    /// The form that it should have had.
    pub wanted: &'static str,
}

impl fmt::Display for InvalidKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} does not read as {}", self.text, self.wanted)
    }
}

impl std::error::Error for InvalidKey {}

impl fmt::Display for ServiceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for ServiceName {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self::new(namespace, name))
            }
            _ => Err(InvalidKey { text: text.to_owned(), wanted: "NAMESPACE/NAME" }),
        }
    }
}

impl fmt::Display for RealServerKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => write!(formatter, "node/{node}"),
            Self::Foreign(entry) => write!(formatter, "foreign/{entry}"),
        }
    }
}

impl FromStr for RealServerKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        match text.split_once('/') {
            Some(("node", name)) if !name.is_empty() => Ok(Self::Node(name.into())),
            Some(("foreign", entry)) if !entry.is_empty() => Ok(Self::Foreign(entry.to_owned())),
            _ => Err(InvalidKey { text: text.to_owned(), wanted: "node/NAME or foreign/ENTRY" }),
        }
    }
}

/// Serialises a type by its `Display` and `FromStr`, so that it can be the key of a map.
macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string"})
            }
        }
    )*};
}
pub(crate) use as_text;

as_text!(ServiceName, RealServerKey);

/// The schema of an IP address as a field: a plain string, because the API server knows no format `ip`.
pub(crate) fn address_schema(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({"type": "string", "maxLength": 45})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_what_they_write() {
        let service = ServiceName::new("web", "shop");
        assert_eq!(service.to_string(), "web/shop");
        assert_eq!("web/shop".parse(), Ok(service));
        for key in [RealServerKey::Node("rs-1".into()), RealServerKey::Foreign("legacy".to_owned())] {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
    }

    #[test]
    fn half_a_key_is_refused() {
        for text in ["", "web", "/shop", "web/", "a/b/c"] {
            assert!(text.parse::<ServiceName>().is_err(), "{text}");
        }
        for text in ["", "node/", "foreign/", "other/x"] {
            assert!(text.parse::<RealServerKey>().is_err(), "{text}");
        }
    }
}
