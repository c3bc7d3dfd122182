//! Firewall marks: how IPVS knows the packets of a service that is not one port by itself.

use std::fmt;
use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The marks that the planner gives to services whose ports are scheduled together: 16,384 of them. Users' own marks are
/// others. They have none of the bits that kube-proxy (0x4000, 0x8000), Calico (0x000f0000) and Tailscale (0x00ff0000) look at.
pub const RESERVED: RangeInclusive<u32> = 0x4c00_0000..=0x4c00_3fff;

/// How the packets of a service come to its virtual servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Marking {
    /// By protocol, VIP and port: each port is a virtual server of its own.
    #[default]
    Absent,
    /// By a mark that the user's own rules give them.
    Own(u32),
    /// By a mark that the planner picks, and that directors give to what comes for the ports.
    Together,
}

/// Whether the ports of a service are scheduled together, by name.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum PortScheduling {
    /// Each port for itself.
    #[default]
    Separate,
    /// A client's connections to all ports together.
    Together,
}

/// A mark as a person would say it.
#[derive(Clone, Copy, Debug)]
pub struct Mark(pub u32);

impl fmt::Display for Mark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "mark {}", self.0)
    }
}
