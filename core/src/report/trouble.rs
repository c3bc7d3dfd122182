//! Whose trouble something is.

use std::collections::{BTreeMap, BTreeSet};

use super::Subject;
use super::concern::Concern;
use crate::custody::Item;
use crate::kernel::{Op, Refusal};
use crate::names::ServiceName;
use crate::node_report::{NO_IPVS, Trouble};
use crate::reason::Reason;
use crate::wanted::{Failure, Hold};

/// Troubles by whom they concern.
#[derive(Default)]
pub(super) struct Troubles {
    pub(super) services: BTreeMap<ServiceName, BTreeSet<Trouble>>,
    pub(super) node: BTreeSet<Trouble>,
}

impl Subject<'_> {
    /// Everything that is wrong. What was left out after a failure is not said again: the failure is.
    pub(super) fn troubles(&self, holds: &[Hold], failures: &[Failure]) -> Troubles {
        let mut troubles =
            Troubles { services: self.wanted.troubles.clone(), node: self.wanted.node_troubles.clone() };
        for hold in holds {
            self.add(&mut troubles, &hold.item, &hold.trouble);
        }
        for failure in failures {
            if let Some(refusal) = failure.refusal {
                self.add(&mut troubles, &failure.op.item(), &trouble(&failure.op, refusal, self));
            }
        }
        troubles
    }

    fn add(&self, troubles: &mut Troubles, item: &Item, trouble: &Trouble) {
        let concerned = self.concerned(item);
        if concerned.is_empty() {
            troubles.node.insert(trouble.clone());
        }
        for service in concerned {
            troubles.services.entry(service.clone()).or_default().insert(trouble.clone());
        }
    }

    /// The services that an item belongs to; none where it is the node's own.
    fn concerned(&self, item: &Item) -> BTreeSet<&ServiceName> {
        match Concern::of(item, self.wanted) {
            Concern::Owner(owner) => BTreeSet::from([owner]),
            Concern::Users(users) => users.iter().collect(),
            Concern::Vip(vip) => self.services.get(&vip).cloned().unwrap_or_default(),
            concern => {
                let parts = self.plan.services.iter().filter(|(name, part)| concern.is(name, part));
                parts.map(|(name, _)| name).collect()
            }
        }
    }
}

/// Why a sysctl cannot be set, and what to do.
const NOT_WRITABLE: &str = "the agent can only read /proc/sys/net: set the chart's agent.hostSysctls to Writable (the \
    agent's --host-sysctls)";

fn trouble(op: &Op, refusal: Refusal, subject: &Subject) -> Trouble {
    let node = &subject.local.node;
    let (reason, why) = match refusal {
        Refusal::NoScheduler => (Reason::SchedulerMissing, "the kernel has no such scheduler".to_owned()),
        Refusal::NotPermitted => (Reason::NotPermitted, "the agent needs CAP_NET_ADMIN".to_owned()),
        Refusal::NoIpvs => (Reason::IpvsMissing, NO_IPVS.to_owned()),
        Refusal::NotWritable => (Reason::SysctlNotWritable, NOT_WRITABLE.to_owned()),
        Refusal::NoSysctl => (Reason::SysctlMissing, refusal.to_string()),
        Refusal::NoTunnel => (Reason::TunnelMissing, no_tunnel(op)),
        Refusal::NoGue => (Reason::TunnelMissing, "the kernel has no GUE: load the module fou".to_owned()),
        Refusal::NoPacketRules => (Reason::PacketRulesMissing, no_packet_rules(op)),
        other => (Reason::KernelRefused, other.to_string()),
    };
    Trouble::new(reason, format!("node {node} could not {op}: {why}"))
}

fn no_packet_rules(op: &Op) -> String {
    match op.item() {
        Item::PacketRule(key) => {
            let modules = key.kind.modules();
            format!(
                "the kernel lacks nftables for IPv4 and IPv6 or what the rule needs: load the modules {modules}"
            )
        }
        _ => Refusal::NoPacketRules.to_string(),
    }
}

fn no_tunnel(op: &Op) -> String {
    match op {
        Op::AddTunnel(_, device) | Op::SetTunnel(_, device) => {
            format!(
                "the kernel has no link of kind {}: load the module {}",
                device.kind,
                device.kind.module()
            )
        }
        _ => Refusal::NoTunnel.to_string(),
    }
}
