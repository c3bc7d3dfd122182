//! What a dump or a configuration says, before it becomes manifests.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use lvs_core::forwarding::Forwarding;
use lvs_core::ipvs::{PortKey, Timeouts};
use lvs_core::network::Family;
use lvs_core::scheduling::{FormPersistence, SchedulerFlag, Thresholds};

/// Everything that was read.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// The virtual servers, as they stand in the file.
    pub(super) servers: Vec<VirtualServer>,
    /// Timeouts, where the file sets them.
    pub(super) timeouts: Option<Timeouts>,
    /// What could not be carried over.
    pub(super) left: Vec<Left>,
}

/// A line that could not be carried over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Left {
    /// The line, from 1.
    pub(super) line: usize,
    /// What stands there.
    pub(super) text: String,
    /// Why not, and what to do instead.
    pub(super) why: String,
}

/// Real servers by their address, and the port on which each listens where that is not the virtual server's.
pub(super) type RealServers = BTreeMap<(IpAddr, Option<u16>), RealServer>;

/// A virtual server of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VirtualServer {
    /// The line where it begins, from 1.
    pub(super) line: usize,
    /// Which packets it takes.
    pub(super) packets: Packets,
    /// How a real server is chosen.
    pub(super) scheduling: Scheduling,
    /// The real servers.
    pub(super) real_servers: RealServers,
}

/// The packets that a virtual server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Packets {
    /// Those to a VIP, by protocol and port.
    To(IpAddr, PortKey),
    /// Those of a family that have a firewall mark.
    Marked(Family, u32),
}

impl Packets {
    /// Their family.
    pub(super) fn family(self) -> Family {
        match self {
            Self::To(vip, _) => Family::of(vip),
            Self::Marked(family, _) => family,
        }
    }

    /// Their port; 0 for whatever port they come to.
    pub(super) fn port(self) -> u16 {
        match self {
            Self::To(_, port) => port.port,
            Self::Marked(..) => 0,
        }
    }
}

impl fmt::Display for Packets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::To(vip, port) => write!(formatter, "{vip} {port}"),
            Self::Marked(family, mark) => write!(formatter, "firewall mark {mark} {family:?}"),
        }
    }
}

/// How a virtual server chooses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scheduling {
    /// The scheduler's name.
    pub(super) scheduler: String,
    /// Its flags, in order.
    pub(super) flags: Vec<SchedulerFlag>,
    /// One-packet scheduling.
    pub(super) one_packet: bool,
    /// Persistence.
    pub(super) persistence: Option<FormPersistence>,
}

impl Default for Scheduling {
    /// As ipvsadm and keepalived have it.
    fn default() -> Self {
        Self { scheduler: "wlc".to_owned(), flags: Vec::new(), one_packet: false, persistence: None }
    }
}

/// A real server of a virtual server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RealServer {
    /// Its weight, 0 to 2147483647.
    pub(super) weight: u32,
    /// Its limits.
    pub(super) thresholds: Thresholds,
    /// How it is sent to.
    pub(super) forwarding: Forwarding,
}

impl Table {
    /// Notes a line that cannot be carried over.
    pub(super) fn leave(&mut self, line: usize, text: impl Into<String>, why: impl Into<String>) {
        self.left.push(Left { line, text: text.into(), why: why.into() });
    }
}

/// Persistence without a timeout of its own, and for whole addresses.
pub(super) fn persistence(timeout_seconds: u32) -> FormPersistence {
    FormPersistence { timeout_seconds, ipv4_prefix_length: 32, ipv6_prefix_length: 128, engine: None }
}

/// The length of a netmask, of a prefix length in figures, or of `/24`; none where it has a hole.
pub(super) fn prefix_length(text: &str, most: u8) -> Option<u8> {
    if let Ok(mask) = text.parse::<std::net::Ipv4Addr>() {
        let bits = mask.to_bits();
        let length = bits.leading_ones();
        let whole = length + bits.trailing_zeros().min(32 - length) == 32;
        return u8::try_from(length).ok().filter(|length| whole && *length > 0);
    }
    let length = text.trim_start_matches('/').parse().ok()?;
    (1..=most).contains(&length).then_some(length)
}

/// A flag by its name.
pub(super) fn flag(name: &str) -> Option<SchedulerFlag> {
    SchedulerFlag::ALL.into_iter().find(|flag| flag.to_string() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_has_a_length_or_a_hole() {
        for (text, wanted) in [
            ("255.255.255.0", Some(24)),
            ("255.255.255.255", Some(32)),
            ("128.0.0.0", Some(1)),
            ("255.0.255.0", None),
            ("0.0.0.0", None),
            ("64", Some(64)),
            ("/48", Some(48)),
            ("129", None),
            ("0", None),
        ] {
            assert_eq!(prefix_length(text, 128), wanted, "{text}");
        }
    }
}
