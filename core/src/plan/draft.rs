//! Drafts: the form of each service that is in force, new or still the previous one, and the verdict on its edit.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::accept;
use super::claims::Claims;
use super::marks;
use super::past::Past;
use crate::addresses::Addresses;
use crate::cluster::{Cluster, Service};
use crate::counters::ZeroToken;
use crate::forwarding::Forwarding;
use crate::ipvs::PortKey;
use crate::marking::Marking;
use crate::names::{GroupName, LinkName, NodeName, PoolName, RealServerKey, ServiceName};
use crate::node_plan::StageName;
use crate::reason::Reason;
use crate::redirection::LocalPorts;
use crate::scheduling::{Scheduling, Thresholds};
use crate::verdict::Judgement;

/// What the planner makes of one manifest.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// The form in force; `None` where nothing has ever been accepted.
    pub(super) in_force: Option<Form>,
    /// Whether that is the manifest's.
    pub(super) accepted: Judgement,
    /// Whether every reference was found.
    pub(super) resolved: Judgement,
}

/// A form in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// The VirtualService's uid.
    pub(super) uid: String,
    /// The VIPs with their places.
    pub(super) vips: BTreeMap<IpAddr, Place>,
    /// The ports; none where the user marks packets.
    pub(super) ports: BTreeSet<PortKey>,
    /// How its packets come to virtual servers.
    pub(super) marking: Marking,
    /// How a real server is chosen.
    pub(super) scheduling: Scheduling,
    /// Whether foreign entries are taken over.
    pub(super) adopt: bool,
    /// Zeroes the counters, once per token.
    pub(super) zero_counters: Option<ZeroToken>,
    /// The wanted real servers.
    pub(super) real_servers: BTreeMap<RealServerKey, WantedRealServer>,
}

/// Where a VIP belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its group.
    pub(super) group: GroupName,
    /// Its pool.
    pub(super) pool: PoolName,
    /// The pool's uplink.
    pub(super) interface: Option<LinkName>,
    /// The directors of the group.
    pub(super) directors: BTreeSet<NodeName>,
}

/// A real server as the manifest wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WantedRealServer {
    /// Its entry.
    pub(super) entry: String,
    /// RIPs, at most one per family; empty where none was found.
    pub(super) addresses: Addresses,
    /// Its weight.
    pub(super) weight: u32,
    /// How many connections it may have.
    pub(super) thresholds: Thresholds,
    /// How directors send to it.
    pub(super) forwarding: Forwarding,
    /// The ports on which it listens, where another than the service's.
    pub(super) ports: LocalPorts,
}

/// Judges every manifest. A conflict goes to the service that the previous plans serve, then to the older one, then
/// by name; who loses keeps the form that it had.
pub(super) fn drafts(cluster: &Cluster, past: &Past<'_>) -> BTreeMap<ServiceName, Draft> {
    if cluster.withdraw {
        return BTreeMap::new();
    }
    let index = accept::Index::of(cluster);
    let mut claims = Claims::default();
    let mut previous = BTreeMap::new();
    for name in cluster.services.keys() {
        if let Some(form) = previous_form(cluster, past, name) {
            claims.add(name, &form);
            previous.insert(name, form);
        }
    }
    let mut drafts = BTreeMap::new();
    for (name, service) in by_seniority(cluster) {
        let draft = judge(&index, &mut claims, name, service, previous.remove(name));
        drafts.insert(name.clone(), draft);
    }
    drafts.extend(kept_without_manifest(cluster, past));
    drafts
}

fn by_seniority(cluster: &Cluster) -> Vec<(&ServiceName, &Service)> {
    let mut services: Vec<(&ServiceName, &Service)> = cluster.services.iter().collect();
    services.sort_by_key(|(name, service)| (service.created, *name));
    services
}

fn judge<'a>(
    index: &accept::Index<'a>,
    claims: &mut Claims<'a>,
    name: &'a ServiceName,
    service: &Service,
    previous: Option<Form>,
) -> Draft {
    let judged = index.accept(service).and_then(|(form, resolved)| match claims.conflict(name, &form) {
        Some(trouble) => Err(trouble),
        None => Ok((form, resolved)),
    });
    match judged {
        Ok((form, resolved)) => {
            claims.add(name, &form);
            let accepted = Judgement::yes(Reason::Accepted, "The specification is valid and in force.");
            Draft { in_force: Some(form), accepted, resolved }
        }
        Err(trouble) => {
            let message = if previous.is_some() {
                let cause = trouble.message.trim_end_matches('.');
                format!("{cause}. The last accepted specification stays in force.")
            } else {
                trouble.message
            };
            let resolved = Judgement::no(trouble.reason, "The specification is not accepted.");
            Draft { in_force: previous, accepted: Judgement::no(trouble.reason, message), resolved }
        }
    }
}

/// Planned services without a manifest, while the snapshot is incomplete: they stay as they are.
fn kept_without_manifest<'a>(
    cluster: &'a Cluster,
    past: &'a Past<'_>,
) -> impl Iterator<Item = (ServiceName, Draft)> + 'a {
    let departed = past.departed(cluster).filter(|_| !cluster.complete);
    departed.filter_map(move |name| {
        let form = previous_form(cluster, past, name)?;
        let reason = Reason::IncompleteSnapshot;
        let message = "Some manifests cannot be read, so the service stays although its manifest is missing.";
        let judgement = Judgement::no(reason, message);
        Some((name.clone(), Draft { in_force: Some(form), accepted: judgement.clone(), resolved: judgement }))
    })
}

/// The form that the previous plans hold of a service, unless it is on its way out altogether.
fn previous_form(cluster: &Cluster, past: &Past<'_>, name: &ServiceName) -> Option<Form> {
    let directing = || past.parts(name).filter(|(_, part)| part.form.is_some() && !part.is_leaving());
    let (_, first) = directing().next()?;
    let form = first.form.as_ref()?;
    let mut vips: BTreeMap<IpAddr, Place> = BTreeMap::new();
    for (_, part) in directing() {
        for (vip, duty) in part.vips.iter().filter(|(_, duty)| duty.has_duty()) {
            vips.entry(*vip).or_insert_with(|| Place {
                group: duty.group.clone(),
                pool: duty.pool.clone(),
                interface: duty.interface,
                directors: BTreeSet::new(),
            });
        }
    }
    for (vip, place) in &mut vips {
        place.directors = directors_of(cluster, past, name, &place.group, *vip);
    }
    let staying = |stage| matches!(stage, StageName::Pending | StageName::Serving);
    let real_servers = past.real_servers(name).into_iter().filter(|(_, server)| staying(server.stage.name));
    Some(Form {
        uid: first.uid.clone(),
        vips,
        ports: form.ports.clone(),
        marking: marks::marking(form),
        scheduling: form.scheduling.clone(),
        adopt: form.adopt,
        zero_counters: form.zero_counters.clone(),
        real_servers: real_servers
            .map(|(key, server)| {
                let wanted = WantedRealServer {
                    entry: server.entry.clone(),
                    addresses: server.addresses.clone(),
                    weight: server.weight,
                    thresholds: server.thresholds,
                    forwarding: server.forwarding,
                    ports: server.ports.clone(),
                };
                (key.clone(), wanted)
            })
            .collect(),
    })
}

/// The directors that the group selects; where the group is gone or unreadable, those that were.
fn directors_of(
    cluster: &Cluster,
    past: &Past<'_>,
    name: &ServiceName,
    group: &GroupName,
    vip: IpAddr,
) -> BTreeSet<NodeName> {
    match cluster.groups.get(group).map(|group| &group.spec) {
        Some(Ok(spec)) => accept::directors(cluster, spec),
        _ => past
            .parts(name)
            .filter(|(_, part)| {
                part.form.is_some() && part.vips.get(&vip).is_some_and(|duty| !duty.withdrawing)
            })
            .map(|(node, _)| node.clone())
            .collect(),
    }
}
