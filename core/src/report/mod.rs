//! What a node says of itself: read back from its kernel, not concluded from what was wanted.

mod concern;
mod pending;
mod trouble;
mod update;
mod zeroed;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::custody::{Custody, Item};
use crate::ipvs::VirtualServerKey;
use crate::kernel::{AddressKey, Kernel};
use crate::local::{Link, Local};
use crate::names::{LinkName, ServiceName};
use crate::network::Family;
use crate::node_plan::{NodePlan, PlannedService};
use crate::node_report::{NodeFacts, NodeReport, ReportedLink, ServiceReport, Trouble, VipReport};
use crate::reason::Reason;
use crate::redirection::Redirection;
use crate::wanted::{Failure, Hold, Wanted};

use pending::Pending;
pub use update::update;

/// The report of a node whose kernel is `have`, after what failed has failed.
#[must_use]
pub fn report(
    plan: &NodePlan,
    local: &Local,
    wanted: &Wanted,
    have: &Kernel,
    owned: &Custody,
    holds: &[Hold],
    failures: &[Failure],
) -> NodeReport {
    let subject = Subject::new(plan, local, wanted, have, owned);
    let mut troubles = subject.troubles(holds, failures);
    let services = plan.services.iter().map(|(name, part)| {
        let troubles = troubles.services.remove(name).unwrap_or_default();
        let vips = subject.vips_of(part);
        let reports = vips.iter().map(|vip| (*vip, subject.vip(name, *vip))).collect();
        let incapable = troubles.iter().any(|trouble| trouble.reason == Reason::FeatureMissing);
        let pending = subject.pending.services.contains(name);
        let closing = part.is_leaving() && subject.pending.closing;
        let applied = !incapable && !pending && !closing && vips.iter().all(|vip| subject.is_settled(*vip));
        let receives = part.receive.iter().filter(|reception| have.receives(reception)).copied().collect();
        let revision = part.revision;
        let in_place = |redirection: &&Redirection| {
            let (key, settings) = redirection.rule();
            have.packet_rules.get(&key) == Some(&settings)
        };
        let redirects = part.redirect.iter().filter(in_place).copied().collect();
        let counters_zeroed = zeroed::zeroed(name, part, wanted, owned);
        (
            name.clone(),
            ServiceReport {
                revision,
                applied,
                vips: reports,
                receives,
                redirects,
                counters_zeroed,
                troubles,
            },
        )
    });
    let services = services.collect();
    NodeReport { node: facts(plan, local, owned, troubles.node), services }
}

/// What a report speaks of, with what is looked up often.
struct Subject<'a> {
    plan: &'a NodePlan,
    local: &'a Local,
    wanted: &'a Wanted,
    have: &'a Kernel,
    owned: &'a Custody,
    /// What is left to do.
    pending: Pending,
    /// VIPs of which something is ours and for which no part has a duty any more.
    leaving: BTreeSet<IpAddr>,
    /// Those of them that no part names.
    leftover: BTreeSet<IpAddr>,
    /// The services of each VIP; a leftover one has those that answer for it.
    services: BTreeMap<IpAddr, BTreeSet<&'a ServiceName>>,
    /// Whether some part asks nothing any more.
    any_leaves: bool,
    /// Whether every link that speaks ARP hides.
    hidden: bool,
}

impl<'a> Subject<'a> {
    fn new(
        plan: &'a NodePlan,
        local: &'a Local,
        wanted: &'a Wanted,
        have: &'a Kernel,
        owned: &'a Custody,
    ) -> Self {
        let mut services = BTreeMap::<IpAddr, BTreeSet<&ServiceName>>::new();
        for (name, part) in &plan.services {
            for vip in part.vips.keys() {
                services.entry(*vip).or_default().insert(name);
            }
        }
        let planned = plan.services.values().flat_map(|part| &part.vips);
        let with_duty: BTreeSet<&IpAddr> =
            planned.filter(|(_, planned)| planned.has_duty()).map(|(vip, _)| vip).collect();
        let ours = owned.items().filter_map(|(item, _)| item.vip());
        let leaving: BTreeSet<IpAddr> = ours.filter(|vip| !with_duty.contains(vip)).collect();
        let mut subject = Self {
            plan,
            local,
            wanted,
            have,
            owned,
            pending: Pending::new(local, wanted, have, owned),
            leftover: leaving.iter().filter(|vip| !services.contains_key(vip)).copied().collect(),
            leaving,
            services,
            any_leaves: plan.services.values().any(|part| part.is_leaving()),
            hidden: is_hidden(local, have),
        };
        for vip in &subject.leftover {
            let answering = plan.services.iter().filter(|(_, part)| subject.answers_for_leftover(part));
            subject.services.insert(*vip, answering.map(|(name, _)| name).collect());
        }
        subject
    }

    /// Whether a part speaks of VIPs that no part names any more: leaving ones do, and where there is none, all do, so
    /// that a VIP which has not left is never out of sight. Of an incomplete plan it may be a missing part's.
    fn answers_for_leftover(&self, part: &PlannedService) -> bool {
        part.is_leaving() || (!self.any_leaves && self.plan.complete)
    }

    /// The VIPs that a part speaks of.
    fn vips_of(&self, part: &PlannedService) -> BTreeSet<IpAddr> {
        let leftover = self.leftover.iter().filter(|_| self.answers_for_leftover(part));
        part.vips.keys().chain(leftover).copied().collect()
    }

    /// A VIP as it is on the node; entries that are another service's on the same VIP are not this one's.
    fn vip(&self, service: &ServiceName, vip: IpAddr) -> VipReport {
        let hosts = || self.have.arp.keys().map(|link| AddressKey::host(*link, vip));
        let on = |binds: bool| {
            hosts().any(|key| self.wanted.binds(&key) == binds && self.have.addresses.contains_key(&key))
        };
        let of_vip = VirtualServerKey::of_vip(vip).into_iter();
        let own = of_vip.flat_map(|range| self.have.virtual_servers.range(range));
        let marks = self.wanted.marked_by.get(&vip).into_iter().flatten();
        let marked = marks.filter_map(|key| self.have.virtual_servers.get_key_value(key));
        let mut servers = own.chain(marked).filter(|(key, there)| {
            let wanted = self.wanted.virtual_servers.get(key);
            let same = wanted.is_some_and(|wanted| wanted.settings == there.settings);
            let counts = same || self.owned.holds(&Item::VirtualServer(**key));
            counts && self.wanted.owners.get(key).is_none_or(|owner| owner == service)
        });
        VipReport {
            bound: on(true),
            hidden: Family::of(vip) == Family::IPv6 || self.hidden,
            held: on(false),
            forwarding: servers.next().is_some(),
        }
    }

    /// Whether nothing is left to do for a VIP as such.
    fn is_settled(&self, vip: IpAddr) -> bool {
        !self.leaving.contains(&vip) && !self.pending.vips.contains(&vip)
    }
}

/// Whether every link that speaks ARP keeps silent about addresses that it does not have itself.
fn is_hidden(local: &Local, have: &Kernel) -> bool {
    let mut speaking = local.links.iter().filter(|(_, link)| link.arp && !link.loopback);
    speaking.all(|(name, _)| have.arp.get(name).is_some_and(|arp| arp.effective(have.arp_all).hides()))
}

fn facts(plan: &NodePlan, local: &Local, owned: &Custody, troubles: BTreeSet<Trouble>) -> NodeFacts {
    NodeFacts {
        epoch: plan.epoch,
        lineage: plan.lineage.clone(),
        boot_id: local.boot_id.clone(),
        agent_version: local.agent_version.clone(),
        features: local.features.clone(),
        kernel_release: local.kernel_release.clone(),
        ipvs: local.ipvs,
        schedulers: local.schedulers.clone(),
        links: links(local, owned),
        gateways: local.gateways.clone(),
        clean: owned.is_clean(),
        troubles,
    }
}

/// The links that are not ours.
fn links(local: &Local, owned: &Custody) -> BTreeMap<LinkName, ReportedLink> {
    let foreign = local.links.iter().filter(|(name, _)| !owned.holds(&Item::Tunnel(**name)));
    foreign.map(|(name, link)| (*name, reported(*name, link, owned))).collect()
}

/// A link without the addresses that are ours.
fn reported(name: LinkName, link: &Link, owned: &Custody) -> ReportedLink {
    let foreign = link.addresses.iter().filter(|prefix| {
        let key = AddressKey { link: name, address: prefix.address, prefix_length: prefix.length };
        !owned.holds(&Item::Address(key))
    });
    ReportedLink { mac: link.mac, up: link.up, addresses: foreign.copied().collect() }
}

#[cfg(test)]
mod tests;
