//! Services: what clients connect to, and how their connections are spread.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::ops::BitOr;

use crate::{AddressFamily, Netmask, PersistenceEngineName, SchedulerName, Stats32, Stats64};

pub(crate) mod wire;

/// A service as it is created, changed and listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Service {
    /// What the service is known by.
    pub identity: ServiceIdentity,
    /// Who spreads the connections.
    pub scheduler: SchedulerName,
    /// The flags to set; of [`ServiceFlags::HASHED`] the kernel itself takes care.
    pub flags: ServiceFlags,
    /// Which flags to set or clear: the new ones are `(old & !mask) | (flags & mask)`. All in a reply.
    pub flags_mask: ServiceFlags,
    /// Seconds for which a client stays with its real server after its last connection ended; without effect
    /// unless [`ServiceFlags::PERSISTENT`] is set. The kernel multiplies it by its tick rate without a check for
    /// overflow, so that 2³² divided by 1000 is the highest value that is right on every kernel.
    pub timeout: u32,
    /// Which part of a client's address persistence looks at.
    pub netmask: Netmask,
    /// Who tells, beside the client's address, which connections belong together. Absent in a request that
    /// changes a service, the present engine is removed.
    pub persistence_engine: Option<PersistenceEngineName>,
}

/// What a service is known by in its network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServiceIdentity {
    /// Packets to one address and port.
    Tuple {
        /// Number of the IP protocol: 6 TCP, 17 UDP, 132 SCTP. The kernel takes any, of which these three work.
        protocol: u16,
        /// The virtual address (VIP).
        address: IpAddr,
        /// The virtual port; 0 is every port, for a persistent service.
        port: u16,
    },
    /// Packets that carry a firewall mark.
    FirewallMark {
        /// The family of the packets.
        family: AddressFamily,
        /// The mark. Never 0: the kernel would make a service of TCP, address 0.0.0.0 and port 0 from it.
        mark: NonZeroU32,
    },
}

impl ServiceIdentity {
    /// The family of the service's clients.
    #[must_use]
    pub fn family(&self) -> AddressFamily {
        match *self {
            Self::Tuple { address, .. } => AddressFamily::of(address),
            Self::FirewallMark { family, .. } => family,
        }
    }
}

/// Flags of a service (`IP_VS_SVC_F_*`). Bits that have no name here are stored and told by the kernel too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceFlags(pub u32);

impl ServiceFlags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// A client stays with its real server.
    pub const PERSISTENT: Self = Self(0x1);
    /// The service is in the kernel's table. Set in every reply, and not for users to set.
    pub const HASHED: Self = Self(0x2);
    /// Each packet is scheduled by itself; for UDP.
    pub const ONE_PACKET: Self = Self(0x4);
    /// The scheduler's first flag: with `sh` and `mh`, fall back to another real server (`sh-fallback`).
    pub const SCHEDULER_1: Self = Self(0x8);
    /// The scheduler's second flag: with `sh` and `mh`, the client's port takes part (`sh-port`).
    pub const SCHEDULER_2: Self = Self(0x10);
    /// The scheduler's third flag.
    pub const SCHEDULER_3: Self = Self(0x20);
    /// Every flag: as a mask, the flags are replaced as a whole.
    pub const ALL: Self = Self(u32::MAX);

    /// Whether every flag of `other` is set.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These flags without those of `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for ServiceFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A service as the kernel lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ServiceEntry {
    /// The service.
    pub service: Service,
    /// Its counters.
    pub stats: Option<Stats32>,
    /// Its counters in 64 bits; absent before Linux 4.1.
    pub stats64: Option<Stats64>,
}
