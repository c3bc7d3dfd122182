//! How a service chooses real servers, for a user and for the kernel.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::inline::InlineName;
use crate::ipvs::{Persistence, PortKey, VirtualServerSettings};
use crate::names::SchedulerName;
use crate::network::{Family, Protocol};

/// `IP_VS_SVC_F_ONEPACKET` of `linux/ip_vs.h`.
pub const ONE_PACKET: u32 = 0x4;

/// How a service chooses the real server of a connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scheduling {
    /// The scheduler.
    pub scheduler: SchedulerName,
    /// What the scheduler does besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scheduler_flags: Vec<SchedulerFlag>,
    /// What is scheduled of UDP.
    #[serde(default, skip_serializing_if = "UdpScheduling::is_default")]
    pub udp_scheduling: UdpScheduling,
    /// Persistence; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<FormPersistence>,
}

impl Scheduling {
    /// A scheduler and nothing else.
    #[must_use]
    pub fn by(scheduler: SchedulerName) -> Self {
        let udp_scheduling = UdpScheduling::default();
        Self { scheduler, scheduler_flags: Vec::new(), udp_scheduling, persistence: None }
    }

    /// The kernel's settings for a mark and family. One-packet scheduling is for whatever of it is UDP.
    #[must_use]
    pub fn settings_of_mark(&self, family: Family) -> VirtualServerSettings {
        self.settings(PortKey { protocol: Protocol::Udp, port: 0 }, family)
    }

    /// The kernel's settings for one port and family.
    #[must_use]
    pub fn settings(&self, port: PortKey, family: Family) -> VirtualServerSettings {
        let one_packet = port.protocol == Protocol::Udp && self.udp_scheduling == UdpScheduling::PerPacket;
        let flags = self.scheduler_flags.iter().map(|flag| flag.bit());
        VirtualServerSettings {
            scheduler: self.scheduler,
            flags: flags.fold(if one_packet { ONE_PACKET } else { 0 }, |all, flag| all | flag),
            persistence: self.persistence.map(|persistence| persistence.of(family)),
            persistence_engine: self.persistence.and_then(|persistence| persistence.engine),
        }
    }
}

/// The schedulers of Linux 7 (`net/netfilter/ipvs`), by their own names. A kernel may have others.
pub const KNOWN_SCHEDULERS: [&str; 14] =
    ["rr", "wrr", "lc", "wlc", "fo", "ovf", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "twos"];

/// A flag of a scheduler, written as ipvsadm's `--sched-flags` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SchedulerFlag {
    /// `sh` goes on to another real server where the chosen one has weight 0 or is overloaded.
    ShFallback,
    /// `sh` hashes the client's port too.
    ShPort,
    /// `mh` goes on to another real server where the chosen one has weight 0 or is overloaded.
    MhFallback,
    /// `mh` hashes the client's port too.
    MhPort,
}

impl SchedulerFlag {
    /// Every flag.
    pub const ALL: [Self; 4] = [Self::ShFallback, Self::ShPort, Self::MhFallback, Self::MhPort];

    /// The bit in the kernel: `IP_VS_SVC_F_SCHED_SH_FALLBACK` and so on of `linux/ip_vs.h`.
    #[must_use]
    pub fn bit(self) -> u32 {
        match self {
            Self::ShFallback | Self::MhFallback => 0x8,
            Self::ShPort | Self::MhPort => 0x10,
        }
    }

    /// The scheduler that knows it.
    #[must_use]
    pub fn scheduler(self) -> &'static str {
        match self {
            Self::ShFallback | Self::ShPort => "sh",
            Self::MhFallback | Self::MhPort => "mh",
        }
    }
}

impl fmt::Display for SchedulerFlag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ShFallback => "sh-fallback",
            Self::ShPort => "sh-port",
            Self::MhFallback => "mh-fallback",
            Self::MhPort => "mh-port",
        })
    }
}

/// What of UDP is scheduled.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum UdpScheduling {
    /// All datagrams of a client's address and port go to one real server, until none comes for a while.
    #[default]
    PerConnection,
    /// Each datagram anew (one-packet scheduling).
    PerPacket,
}

impl UdpScheduling {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands skip_serializing_if a reference")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Persistence for both families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FormPersistence {
    /// How long a client stays with its real server after its last connection, in seconds.
    pub timeout_seconds: u32,
    /// The prefix length of an IPv4 client's network, 1 to 32.
    pub ipv4_prefix_length: u8,
    /// The prefix length of an IPv6 client's network, 1 to 128.
    pub ipv6_prefix_length: u8,
    /// The persistence engine (`sip`); absent: the client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<InlineName>,
}

impl FormPersistence {
    /// The kernel's settings for one family.
    #[must_use]
    pub fn of(self, family: Family) -> Persistence {
        let prefix_length = match family {
            Family::IPv4 => self.ipv4_prefix_length,
            Family::IPv6 => self.ipv6_prefix_length,
        };
        Persistence { timeout_seconds: self.timeout_seconds, prefix_length }
    }
}

/// How many connections a real server may have (`ipvsadm -x` and `-y`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase", default)]
pub struct Thresholds {
    /// From this many on it gets no new ones; 0 for no limit.
    pub upper: u32,
    /// Below this many it gets new ones again; 0 for three quarters of `upper`.
    pub lower: u32,
}

impl Thresholds {
    /// No limit.
    pub const NONE: Self = Self { upper: 0, lower: 0 };

    /// Whether there is no limit.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// A real server's share of a total, by its weight among all: rounded down, but at least 1 of a limit, because 0
    /// would be none. One of weight 0 gets no new connections anyway, and 1.
    #[must_use]
    pub fn share(self, weight: u32, of_all: u64) -> Self {
        let share = |total: u32| {
            let share = u64::from(total) * u64::from(weight) / of_all.max(1);
            // A share is no more than the total, which fits.
            u32::try_from(share).unwrap_or(total)
        };
        if self.is_none() {
            return self;
        }
        let upper = share(self.upper).max(1);
        let lower = if self.lower == 0 { 0 } else { share(self.lower).clamp(1, upper) };
        Self { upper, lower }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_udp_is_scheduled_by_packet() {
        let scheduling = Scheduling {
            scheduler_flags: vec![SchedulerFlag::MhPort, SchedulerFlag::MhFallback],
            udp_scheduling: UdpScheduling::PerPacket,
            ..Scheduling::by("mh".parse().unwrap())
        };
        let flags = |text: &str| scheduling.settings(text.parse().unwrap(), Family::IPv4).flags;
        assert_eq!((flags("UDP 53"), flags("TCP 53"), flags("SCTP 53")), (0x1c, 0x18, 0x18));
    }

    #[test]
    fn a_flag_is_written_as_it_is_read() {
        for flag in SchedulerFlag::ALL {
            assert_eq!(serde_json::to_value(flag).unwrap(), flag.to_string());
            assert!(flag.to_string().starts_with(&format!("{}-", flag.scheduler())));
        }
    }

    #[test]
    fn a_total_is_split_by_weight_and_nobody_is_without_a_limit() {
        let total = Thresholds { upper: 1000, lower: 800 };
        assert_eq!(total.share(1, 4), Thresholds { upper: 250, lower: 200 });
        assert_eq!(total.share(0, 4), Thresholds { upper: 1, lower: 1 });
        assert_eq!(total.share(1, 65535 * 256), Thresholds { upper: 1, lower: 1 });
        assert_eq!(Thresholds { upper: 10, lower: 0 }.share(1, 2), Thresholds { upper: 5, lower: 0 });
        assert_eq!(Thresholds::NONE.share(1, 2), Thresholds::NONE);
        assert_eq!(Thresholds { upper: u32::MAX, lower: 0 }.share(65535, 65535).upper, u32::MAX);
    }
}
