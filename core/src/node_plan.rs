//! A node's plan: what this node has to do, and what the next plan must remember.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use crate::addresses::Addresses;
use crate::counters::ZeroToken;
use crate::flat_map::FlatMap;
use crate::forwarding::{Forwarding, Reception};
use crate::ipvs::{PortKey, Timeouts};
use crate::names::{
    Feature, GroupName, InvalidKey, LinkName, NodeName, PoolName, RealServerKey, ServiceName, as_text,
};
use crate::redirection::{LocalPorts, Redirection};
use crate::scheduling::{Scheduling, Thresholds};
use crate::sysctl::Sysctl;
use crate::time::Time;

/// Everything that one node has to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodePlan {
    /// Who wrote this plan, as a number that grows with each leader. Agents refuse a lower one of the same lineage.
    pub epoch: u64,
    /// The NodePlan's uid, or in a folder the folder's own id: epochs compare only within one lineage.
    pub lineage: String,
    /// Whether all slices are there with the hashes that the plan names. Nothing is removed on an incomplete plan.
    pub complete: bool,
    /// What concerns the node as a whole.
    pub settings: NodeSettings,
    /// What each service asks of the node. Parts are shared between a plan and the next one: most of them stay.
    pub services: BTreeMap<ServiceName, Arc<PlannedService>>,
}

impl NodePlan {
    /// A complete plan that asks nothing.
    #[must_use]
    pub fn empty(epoch: u64, lineage: &str) -> Self {
        Self {
            epoch,
            lineage: lineage.to_owned(),
            complete: true,
            settings: NodeSettings::default(),
            services: BTreeMap::new(),
        }
    }

    /// A service's part, to be changed; a plan that shares it keeps its own.
    pub fn part_mut(&mut self, name: &ServiceName) -> Option<&mut PlannedService> {
        self.services.get_mut(name).map(Arc::make_mut)
    }
}

/// Node-wide settings of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSettings {
    /// IPVS's timeouts; absent: left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
    /// Sysctls by name, such as `net.ipv4.vs.conntrack`; those that are not here: left alone.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, i32>")]
    pub sysctls: BTreeMap<Sysctl, i32>,
    /// Foreign addresses that may be silenced by hiding ARP.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(schema_with = "crate::ipvs::address_list_schema")]
    pub allow_arp_silence: BTreeSet<IpAddr>,
    /// The uplink that the Node's annotation names, before that of any pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uplink: Option<LinkName>,
}

/// The part of one service on one node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedService {
    /// The VirtualService's uid.
    pub uid: String,
    /// Which version of this part it is; see [`Revision`].
    pub revision: Revision,
    /// What the agent must be able to do; one that lacks a feature keeps the last state of this service.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub requires: BTreeSet<Feature>,
    /// The node's duties for each VIP. No duty at all: the service leaves this node.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, PlannedVip>")]
    pub vips: FlatMap<IpAddr, PlannedVip>,
    /// The tunnels that the node takes in as a real server.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(with = "Vec<Reception>")]
    pub receive: BTreeSet<Reception>,
    /// What the node redirects to other ports of its own as a real server.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(with = "Vec<Redirection>")]
    pub redirect: BTreeSet<Redirection>,
    /// The accepted form of the service, on directors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<ServiceForm>,
}

/// A node's duties for one VIP. `attract` implies `accept`. A VIP without a duty is leaving the node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "duties are independent of each other")]
pub struct PlannedVip {
    /// Bind the VIP on `lo`, hidden from ARP.
    pub accept: bool,
    /// Hold the VIP on the uplink and announce it.
    pub attract: bool,
    /// Have the service's IPVS entries for this VIP.
    pub forward: bool,
    /// It held the VIP, and either has not reported it gone, or has to stay ready until the next holder has it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawing: bool,
    /// The DirectorGroup whose pool holds the VIP.
    pub group: GroupName,
    /// That pool.
    pub pool: PoolName,
    /// The uplink that the pool names; absent: the link whose subnet holds the VIP, else the default route's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<LinkName>,
}

impl PlannedVip {
    /// Whether anything is asked for this VIP.
    #[must_use]
    pub fn has_duty(&self) -> bool {
        self.accept || self.attract || self.forward
    }
}

/// A service as it was accepted: enough to go on with while a later edit is refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceForm {
    /// The ports, each on every VIP; none where packets are marked by the user's own rules.
    #[schemars(with = "Vec<PortKey>")]
    pub ports: BTreeSet<PortKey>,
    /// The firewall mark by which the packets are known: one virtual server for each family of the VIPs. Absent: by port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<u32>,
    /// How a real server is chosen.
    #[serde(flatten)]
    pub scheduling: Scheduling,
    /// The real servers, those included that wait or leave.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, PlannedRealServer>")]
    pub real_servers: FlatMap<RealServerKey, PlannedRealServer>,
    /// Whether a different IPVS entry that is not ours is taken over (annotation `lvs-operator.io/adopt`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopt: bool,
    /// Zeroes the counters of its virtual servers, once per token (annotation `lvs-operator.io/zero-counters`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_counters: Option<ZeroToken>,
}

/// A real server in a director's plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedRealServer {
    /// The entry of `spec.realServers` that it comes from.
    pub entry: String,
    /// Its node, where it has an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// RIPs, at most one per family.
    #[schemars(schema_with = "crate::ipvs::address_list_schema")]
    pub addresses: Addresses,
    /// The user's weight, 0 to 2147483647.
    pub weight: u32,
    /// How directors send to it now; it is made ready for another way before that changes.
    #[serde(default, skip_serializing_if = "Forwarding::is_default")]
    pub forwarding: Forwarding,
    /// The ports on which it listens, where another than the service's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, u16>")]
    pub ports: LocalPorts,
    /// How many connections it may have.
    #[serde(default, skip_serializing_if = "Thresholds::is_none")]
    pub thresholds: Thresholds,
    /// Where it is between coming and going.
    pub stage: Stage,
    /// The VIPs for which it has an entry while it is `Serving` or `Quiesced`: those that it reported bound and
    /// hidden, those whose holder its replies come back by where it is masqueraded, or all where it has no agent.
    #[serde(default)]
    #[schemars(schema_with = "crate::ipvs::address_list_schema")]
    pub admitted: Addresses,
}

impl PlannedRealServer {
    /// The port of its entries for a port of the service.
    #[must_use]
    pub fn port(&self, port: PortKey) -> u16 {
        let written = self.ports.get(&port).filter(|_| self.forwarding.rewrites());
        written.copied().unwrap_or(port.port)
    }
}

/// Where a real server is between coming and going. `Serving` and `Quiesced` have an entry in the IPVS table.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// Which stage it is.
    pub name: StageName,
    /// Since when it is quiesced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// The stages of a real server.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum StageName {
    /// Not admitted: it has not reported from its present boot that the VIP is bound and hidden.
    #[default]
    Pending,
    /// Gets connections by its weight.
    Serving,
    /// Weight 0 in the kernel: no new connections.
    Quiesced,
    /// No entry any more; its node keeps the VIP until every director has reported that.
    Removed,
}

impl Stage {
    /// A stage without a start.
    #[must_use]
    pub fn of(name: StageName) -> Self {
        Self { name, since: None }
    }

    /// Quiesced since a moment.
    #[must_use]
    pub fn quiesced(since: Time) -> Self {
        Self { name: StageName::Quiesced, since: Some(since) }
    }
}

/// The version of a (service, node) part, written `7-00c0ffee00c0ffee`: the hash says what the node must do, the
/// number grows with each change, so that a report of an older part with the same content is never taken for this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    /// 1 for the first part of the service on the node.
    pub number: u32,
    /// A hash of the part's content.
    pub hash: u64,
}

impl Revision {
    /// The revision of a part after `previous`: that one's where the content is the same, else the next.
    #[must_use]
    pub fn after(previous: Option<&PlannedService>, part: &PlannedService) -> Self {
        let hash = part.content_hash();
        match previous.map(|previous| previous.revision) {
            Some(revision) if revision.hash == hash => revision,
            Some(revision) => Self { number: revision.number.saturating_add(1), hash },
            None => Self { number: 1, hash },
        }
    }
}

impl PlannedService {
    /// A part that asks nothing.
    #[must_use]
    pub fn idle(uid: &str) -> Self {
        Self {
            uid: uid.to_owned(),
            revision: Revision::default(),
            requires: BTreeSet::new(),
            vips: FlatMap::new(),
            receive: BTreeSet::new(),
            redirect: BTreeSet::new(),
            form: None,
        }
    }

    /// Whether the part asks nothing any more: the service is leaving the node.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        !self.vips.values().any(PlannedVip::has_duty)
    }

    /// A hash of everything in the part but its revision; the same on every machine.
    #[must_use]
    pub fn content_hash(&self) -> u64 {
        let mut hasher = SipHasher13::new();
        (&self.uid, &self.requires, &self.vips, &self.receive, &self.redirect, &self.form).hash(&mut hasher);
        hasher.finish()
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{:016x}", self.number, self.hash)
    }
}

impl FromStr for Revision {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let wrong = || InvalidKey { text: text.to_owned(), wanted: "NUMBER-HASH" };
        let (number, hash) = text.split_once('-').ok_or_else(wrong)?;
        let number = number.parse().map_err(|_| wrong())?;
        Ok(Self { number, hash: u64::from_str_radix(hash, 16).map_err(|_| wrong())? })
    }
}

as_text!(Revision);

#[cfg(test)]
mod tests {
    use super::*;

    fn part() -> PlannedService {
        PlannedService::idle("uid")
    }

    #[test]
    fn a_revision_grows_with_each_change_and_only_then() {
        let mut first = part();
        first.revision = Revision::after(None, &first);
        assert_eq!(first.revision.number, 1);
        assert_eq!(Revision::after(Some(&first), &part()), first.revision);
        let mut second = part();
        second.uid = "other".to_owned();
        second.revision = Revision::after(Some(&first), &second);
        assert_eq!(second.revision.number, 2);
        // Back to the first content: the hash returns, the revision does not.
        let third = Revision::after(Some(&second), &part());
        assert_eq!((third.number, third.hash), (3, first.revision.hash));
    }

    #[test]
    fn a_revision_reads_back_what_it_writes() {
        let revision = Revision { number: 7, hash: 0xc0ff_ee00 };
        assert_eq!(revision.to_string(), "7-00000000c0ffee00");
        assert_eq!(revision.to_string().parse(), Ok(revision));
    }
}
