//! The verdicts: what the planner found, in the form that conditions are made of.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::accept;
use super::draft::{Draft, Form};
use super::group;
use super::holder::Holding;
use super::past::Past;
use super::return_path;
use crate::cluster::{Cluster, Group, GroupSpec};
use crate::flat_map::FlatMap;
use crate::marking::Marking;
use crate::names::{GroupName, NodeName, RealServerKey, ServiceName};
use crate::node_plan::{NodePlan, PlannedRealServer, StageName};
use crate::node_report::Trouble;
use crate::reason::Reason;
use crate::sysctl::Sysctl;
use crate::verdict::{
    Departure, DirectorVerdict, GroupVerdict, Judgement, NodeSetting, PartVerdict, RealServerVerdict,
    SettingConflict, Verdict, VipVerdict,
};

type Servers = FlatMap<RealServerKey, PlannedRealServer>;

/// The verdict on each manifest.
pub(super) fn services(
    cluster: &Cluster,
    past: &Past<'_>,
    drafts: &BTreeMap<ServiceName, Draft>,
    forms: &BTreeMap<&ServiceName, Servers>,
    holders: &BTreeMap<IpAddr, Holding>,
    plans: &BTreeMap<NodeName, NodePlan>,
) -> BTreeMap<ServiceName, Verdict> {
    let mut verdicts = BTreeMap::new();
    let mut parts = parts(past, plans);
    for (name, service) in &cluster.services {
        let Some(draft) = drafts.get(name) else { continue };
        let form = draft.in_force.as_ref();
        let lacking = form.map(|form| return_path::troubles(past, holders, form)).unwrap_or_default();
        let verdict = Verdict {
            generation: service.generation,
            accepted: draft.accepted.clone(),
            resolved: resolved(draft, &lacking),
            vips: vips(form, holders),
            ports: form.map(|form| form.ports.clone()).unwrap_or_default(),
            zero_counters: draft.in_force.as_ref().and_then(|form| form.zero_counters.clone()),
            mark: form.and_then(|form| match form.marking {
                Marking::Own(mark) => Some(mark),
                Marking::Absent | Marking::Together => None,
            }),
            parts: parts.remove(name).unwrap_or_default(),
            real_servers: forms
                .get(name)
                .map(|servers| real_servers(cluster, past, name, servers, &lacking))
                .unwrap_or_default(),
        };
        verdicts.insert(name.clone(), verdict);
    }
    verdicts
}

/// Whether every reference was found, and every masqueraded real server has a way back: what is wrong with the manifest
/// comes first.
fn resolved(draft: &Draft, lacking: &BTreeMap<RealServerKey, Trouble>) -> Judgement {
    if draft.resolved.holds && !lacking.is_empty() {
        return accept::resolved(lacking.values().cloned().collect());
    }
    draft.resolved.clone()
}

fn parts<'a>(
    past: &Past<'_>,
    plans: &'a BTreeMap<NodeName, NodePlan>,
) -> BTreeMap<&'a ServiceName, BTreeMap<NodeName, PartVerdict>> {
    let mut parts: BTreeMap<&ServiceName, BTreeMap<NodeName, PartVerdict>> = BTreeMap::new();
    for (node, plan) in plans {
        for (name, part) in &plan.services {
            let same = past.part(name, node).is_some_and(|previous| previous.revision == part.revision);
            let verdict = PartVerdict {
                revision: part.revision,
                alive: past.alive(node),
                heard: past.report(node).is_some(),
                acknowledged: same && past.acknowledged(name, node),
            };
            parts.entry(name).or_default().insert(node.clone(), verdict);
        }
    }
    parts
}

fn vips(form: Option<&Form>, holders: &BTreeMap<IpAddr, Holding>) -> BTreeMap<IpAddr, VipVerdict> {
    let places = form.into_iter().flat_map(|form| &form.vips);
    let verdict = |(vip, place): (&IpAddr, &super::draft::Place)| {
        let holding = holders.get(vip).cloned().unwrap_or_default();
        let (group, pool) = (place.group.clone(), place.pool.clone());
        (
            *vip,
            VipVerdict {
                group,
                pool,
                holder: holding.attractor.or(holding.desired),
                trouble: holding.trouble,
            },
        )
    };
    places.map(verdict).collect()
}

fn real_servers(
    cluster: &Cluster,
    past: &Past<'_>,
    service: &ServiceName,
    servers: &Servers,
    lacking: &BTreeMap<RealServerKey, Trouble>,
) -> Vec<RealServerVerdict> {
    let verdict = |(key, server): (&RealServerKey, &PlannedRealServer)| RealServerVerdict {
        entry: server.entry.clone(),
        node: server.node.clone(),
        addresses: server.addresses.clone(),
        weight: server.weight,
        stage: server.stage.name,
        reason: match lacking.get(key).filter(|_| server.stage.name == StageName::Pending) {
            Some(trouble) => trouble.reason,
            None => reason(cluster, past, service, server),
        },
        since: server.stage.since,
    };
    let mut rows: Vec<RealServerVerdict> = servers.iter().map(verdict).collect();
    rows.sort();
    rows
}

fn reason(cluster: &Cluster, past: &Past<'_>, service: &ServiceName, server: &PlannedRealServer) -> Reason {
    match (server.stage.name, &server.node) {
        (StageName::Serving, None) => Reason::Unverified,
        (StageName::Serving, Some(_)) => Reason::Serving,
        (StageName::Quiesced, _) => Reason::Quiesced,
        (StageName::Removed, _) => Reason::Leaving,
        (StageName::Pending, _) if server.addresses.is_empty() => Reason::NoRealServerAddress,
        (StageName::Pending, Some(node)) => {
            let told = past.service_report(service, node).and_then(|report| report.troubles.first());
            // An agent that cannot read its kernel reports of no service, and says why.
            let told = told.or_else(|| past.report(node)?.node.troubles.first());
            let rebooted = cluster.reports.contains_key(node) && past.report(node).is_none();
            match told {
                Some(trouble) => trouble.reason,
                None if rebooted => Reason::Rebooted,
                None if !past.alive(node) => Reason::NodeUnreachable,
                None => Reason::AwaitingReport,
            }
        }
        (StageName::Pending, None) => Reason::AwaitingReport,
    }
}

/// The verdict on each group.
pub(super) fn groups(
    cluster: &Cluster,
    past: &Past<'_>,
    plans: &BTreeMap<NodeName, NodePlan>,
) -> BTreeMap<GroupName, GroupVerdict> {
    let mut departures = departures(cluster, past, plans);
    let mut verdicts = BTreeMap::new();
    for (name, group) in &cluster.groups {
        let mut verdict = judge(cluster, group);
        let selected = group.spec.as_ref().map(|spec| accept::directors(cluster, spec)).unwrap_or_default();
        for node in selected {
            let alive = past.alive(&node);
            verdict.directors.insert(node, DirectorVerdict { alive, vips: BTreeSet::new() });
        }
        for (node, plan) in plans {
            fill(cluster, &mut verdict, name, node, plan);
        }
        verdict.leaving = departures.remove(name).unwrap_or_default();
        verdicts.insert(name.clone(), verdict);
    }
    verdicts
}

fn judge(cluster: &Cluster, group: &Group) -> GroupVerdict {
    let (accepted, resolved) = match &group.spec {
        Err(trouble) => {
            let refused = Judgement::no(trouble.reason, trouble.message.clone());
            (refused, Judgement::no(trouble.reason, "The specification is not accepted."))
        }
        Ok(spec) if accept::directors(cluster, spec).is_empty() => {
            let message = "The nodeSelector selects no Node; label one as it says.";
            (accepted(), Judgement::no(Reason::NoDirector, message))
        }
        Ok(_) => {
            (accepted(), Judgement::yes(Reason::Resolved, "The nodeSelector selects at least one Node."))
        }
    };
    let generation = group.generation;
    let (directors, setting_conflicts, leaving) = Default::default();
    GroupVerdict { generation, accepted, resolved, directors, setting_conflicts, leaving }
}

fn accepted() -> Judgement {
    Judgement::yes(Reason::Accepted, "The specification is valid and in force.")
}

/// What one node's plan says of a group: the VIPs that it holds, and settings that lost to another group's.
fn fill(cluster: &Cluster, verdict: &mut GroupVerdict, name: &GroupName, node: &NodeName, plan: &NodePlan) {
    let duties = plan.services.values().flat_map(|part| &part.vips).filter(|(_, duty)| duty.group == *name);
    for (vip, duty) in duties.clone() {
        if duty.attract {
            verdict.directors.entry(node.clone()).or_default().vips.insert(*vip);
        }
    }
    let forwards = duties.clone().any(|(_, duty)| duty.forward);
    let own = cluster.groups.get(name).and_then(|group| group.spec.as_ref().ok()).filter(|_| forwards);
    if let Some(conflict) = own.and_then(|own| setting_conflict(cluster, own, plan)) {
        verdict.setting_conflicts.insert(node.clone(), conflict);
    }
}

/// The first node-wide setting of a group that another group's goes before.
fn setting_conflict(cluster: &Cluster, own: &GroupSpec, plan: &NodePlan) -> Option<SettingConflict> {
    let timeouts = || {
        let (winner, timeouts) = group::timeouts(cluster, plan)?;
        (own.timeouts? != timeouts).then_some((winner, NodeSetting::Timeouts))
    };
    let sysctls = || {
        let lost = |(sysctl, (_, value)): &(Sysctl, (&GroupName, i32))| {
            let Sysctl::Ipvs(ipvs) = sysctl else { return false };
            own.ipvs_sysctls.get(ipvs).is_some_and(|own| own != value)
        };
        let (sysctl, (winner, _)) = group::sysctls(cluster, plan).into_iter().find(lost)?;
        Some((winner, NodeSetting::Sysctl(sysctl)))
    };
    timeouts().or_else(sysctls).map(|(winner, setting)| SettingConflict { group: winner.clone(), setting })
}

/// The places of a leaving service, and the nodes that it waits for.
type Waiting<'a> = (BTreeSet<(&'a GroupName, IpAddr)>, BTreeSet<NodeName>);

/// Services without a manifest that have not left, by the group of their VIPs.
fn departures(
    cluster: &Cluster,
    past: &Past<'_>,
    plans: &BTreeMap<NodeName, NodePlan>,
) -> BTreeMap<GroupName, BTreeSet<Departure>> {
    let mut waiting: BTreeMap<&ServiceName, Waiting<'_>> = BTreeMap::new();
    for (node, plan) in plans {
        let gone = |name: &&ServiceName| {
            cluster.withdraw || cluster.complete && !cluster.services.contains_key(*name)
        };
        for (name, part) in plan.services.iter().filter(|(name, _)| gone(name)) {
            let (places, nodes) = waiting.entry(name).or_default();
            places.extend(part.vips.iter().map(|(vip, duty)| (&duty.group, *vip)));
            let done = past.part(name, node).is_some_and(|previous| previous.revision == part.revision)
                && past.acknowledged(name, node);
            if !done {
                nodes.insert(node.clone());
            }
        }
    }
    let mut departures: BTreeMap<GroupName, BTreeSet<Departure>> = BTreeMap::new();
    for (service, (places, waiting_for)) in waiting {
        for (group, vip) in places {
            let departure = Departure { service: service.clone(), vip, waiting_for: waiting_for.clone() };
            departures.entry(group.clone()).or_default().insert(departure);
        }
    }
    departures
}
