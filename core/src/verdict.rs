//! Verdicts: what the planner found of each service and group. Conditions are made of these and of reports.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use crate::addresses::Addresses;
use crate::counters::ZeroToken;
use crate::ipvs::PortKey;
use crate::names::{GroupName, NodeName, PoolName, ServiceName};
use crate::node_plan::{Revision, StageName};
use crate::reason::Reason;
use crate::sysctl::Sysctl;
use crate::time::Time;

/// Whether something holds, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Judgement {
    /// Whether it holds.
    pub holds: bool,
    /// The reason.
    pub reason: Reason,
    /// A sentence that names the object and the cause.
    pub message: String,
}

impl Judgement {
    /// It holds.
    #[must_use]
    pub fn yes(reason: Reason, message: impl Into<String>) -> Self {
        Self { holds: true, reason, message: message.into() }
    }

    /// It does not hold.
    #[must_use]
    pub fn no(reason: Reason, message: impl Into<String>) -> Self {
        Self { holds: false, reason, message: message.into() }
    }
}

/// The verdict on one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The generation that was judged.
    pub generation: i64,
    /// Whether the specification is in force.
    pub accepted: Judgement,
    /// Whether every reference was found.
    pub resolved: Judgement,
    /// The VIPs of the form in force.
    pub vips: BTreeMap<IpAddr, VipVerdict>,
    /// Its ports.
    pub ports: BTreeSet<PortKey>,
    /// The token for which its counters are to be zeroed.
    pub zero_counters: Option<ZeroToken>,
    /// Its firewall mark, where that is the user's own and stands for ports.
    pub mark: Option<u32>,
    /// The nodes that have a part of it, with the revision that each must acknowledge.
    pub parts: BTreeMap<NodeName, PartVerdict>,
    /// Its real servers, by entry and then by node or address.
    pub real_servers: Vec<RealServerVerdict>,
}

/// Where a VIP is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VipVerdict {
    /// The group and the pool that it belongs to.
    pub group: GroupName,
    /// The pool.
    pub pool: PoolName,
    /// The director that holds it or is to hold it next.
    pub holder: Option<NodeName>,
    /// Why it is not simply held there.
    pub trouble: Option<(Reason, String)>,
}

/// A node's part of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartVerdict {
    /// The revision that the node must acknowledge.
    pub revision: Revision,
    /// Whether the node is believed to be alive.
    pub alive: bool,
    /// Whether there is a report from the node's present boot; it may say nothing of the service.
    pub heard: bool,
    /// Whether that report says that this revision is in place.
    pub acknowledged: bool,
}

/// A real server of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RealServerVerdict {
    /// The entry of `spec.realServers`.
    pub entry: String,
    /// Its node, where it has an agent.
    pub node: Option<NodeName>,
    /// Its RIP or RIPs.
    pub addresses: Addresses,
    /// The user's weight.
    pub weight: u32,
    /// Where it is between coming and going.
    pub stage: StageName,
    /// Why.
    pub reason: Reason,
    /// Since when, where the stage has a start.
    pub since: Option<Time>,
}

/// The verdict on one DirectorGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupVerdict {
    /// The generation that was judged.
    pub generation: i64,
    /// Whether the specification is in force.
    pub accepted: Judgement,
    /// Whether it selects at least one node.
    pub resolved: Judgement,
    /// Its directors, and whether each is believed to be alive, with the VIPs that each holds.
    pub directors: BTreeMap<NodeName, DirectorVerdict>,
    /// Nodes where a node-wide setting lost to another group's; the first one of each.
    pub setting_conflicts: BTreeMap<NodeName, SettingConflict>,
    /// Deleted services that still have to leave.
    pub leaving: BTreeSet<Departure>,
}

/// A node-wide setting that another group's goes before, because that group is older.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingConflict {
    /// The other group.
    pub group: GroupName,
    /// What is set.
    pub setting: NodeSetting,
}

/// What two groups can want otherwise on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeSetting {
    /// IPVS's timeouts.
    Timeouts,
    /// A sysctl.
    Sysctl(Sysctl),
}

impl fmt::Display for NodeSetting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeouts => formatter.write_str("IPVS's timeouts"),
            Self::Sysctl(sysctl) => sysctl.fmt(formatter),
        }
    }
}

/// A director of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectorVerdict {
    /// Whether the node is believed to be alive.
    pub alive: bool,
    /// The VIPs that the plan lets it hold.
    pub vips: BTreeSet<IpAddr>,
}

/// A VIP of a deleted service that has not left every node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Departure {
    /// The service.
    pub service: ServiceName,
    /// A VIP of it in the group.
    pub vip: IpAddr,
    /// The nodes that have not acknowledged.
    pub waiting_for: BTreeSet<NodeName>,
}
