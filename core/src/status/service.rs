//! The status of a VirtualService.

use std::collections::BTreeSet;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, ConditionKind, ConditionStatus, Reports, Stamp, join, some};
use crate::counters::ZeroToken;
use crate::marking::Mark;
use crate::names::{GroupName, NodeName, ServiceName};
use crate::node_plan::StageName;
use crate::node_report::Trouble;
use crate::reason::Reason;
use crate::time::Time;
use crate::verdict::{Judgement, RealServerVerdict, Verdict, VipVerdict};

/// At most this many real servers stand in a status.
const MOST_ROWS: usize = 64;
/// At most this many troubles of a node stand in a message.
const MOST_TROUBLES: usize = 4;

/// What a user reads of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// The generation that was judged.
    pub observed_generation: i64,
    /// Always five, in this order: `Accepted`, `ResolvedRefs`, `Programmed`, `Proved`, `Ready`.
    pub conditions: Vec<Condition>,
    /// Short texts for the columns of `kubectl get`.
    pub summary: Summary,
    /// The token of the annotation `lvs-operator.io/zero-counters` for which every director that forwards has zeroed the
    /// counters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters_zeroed: Option<ZeroToken>,
    /// The VIPs in force.
    pub vips: Vec<VipRow>,
    /// The real servers, troubled ones first, at most 64.
    pub real_servers: Vec<RealServerRow>,
}

/// Short texts for columns, which show only strings well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The VIPs, with commas between them.
    pub vips: String,
    /// The ports, as `80/TCP`, or the firewall mark, as `mark 7`.
    pub ports: String,
    /// The holders.
    pub holders: String,
    /// Real servers that get connections, of all: `3/4`.
    pub real_servers: String,
}

/// A VIP in a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VipRow {
    /// The address.
    #[schemars(schema_with = "crate::names::address_schema")]
    pub address: IpAddr,
    /// The DirectorGroup that it belongs to.
    pub director_group_name: GroupName,
    /// The director that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<NodeName>,
}

/// A real server in a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RealServerRow {
    /// Its entry in `spec.realServers`.
    pub name: String,
    /// Its node, where it has an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<NodeName>,
    /// Its RIP; two with a comma where it has both families.
    pub address: String,
    /// Its weight.
    #[schemars(range(min = 0, max = 65535))]
    pub weight: u32,
    /// Where it is between coming and going.
    pub state: StageName,
    /// Why.
    pub reason: Reason,
    /// Since when, where the state has a start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// The status of the service `name`.
#[must_use]
pub fn service(
    name: &ServiceName,
    verdict: &Verdict,
    reports: &Reports,
    previous: Option<&ServiceStatus>,
    now: Time,
) -> ServiceStatus {
    let generation = verdict.generation;
    let stamp = Stamp { generation, previous: previous.map_or(&[], |status| &status.conditions), now };
    let proofs = "Proofs do not exist yet; Ready says what the nodes have reported.".to_owned();
    let conditions = vec![
        stamp.judged(ConditionKind::Accepted, verdict.accepted.clone()),
        stamp.judged(ConditionKind::ResolvedRefs, verdict.resolved.clone()),
        stamp.judged(ConditionKind::Programmed, programmed(name, verdict, reports)),
        stamp.condition(ConditionKind::Proved, ConditionStatus::Unknown, Reason::ProofsAbsent, proofs),
        stamp.judged(ConditionKind::Ready, ready(name, verdict, reports)),
    ];
    ServiceStatus {
        observed_generation: generation,
        conditions,
        summary: summary(verdict),
        counters_zeroed: counters_zeroed(name, verdict, reports),
        vips: verdict.vips.iter().map(|(address, vip)| row(*address, vip)).collect(),
        real_servers: real_servers(verdict),
    }
}

/// The token, once every director with entries has done as it says.
fn counters_zeroed(name: &ServiceName, verdict: &Verdict, reports: &Reports) -> Option<ZeroToken> {
    let token = verdict.zero_counters.as_ref()?;
    let heard = verdict.parts.iter().filter(|(_, part)| part.heard);
    let own = heard.filter_map(|(node, _)| reports.get(node)?.services.get(name));
    let mut directors = own.filter(|own| own.vips.values().any(|vip| vip.forwarding)).peekable();
    directors.peek()?;
    directors.all(|own| own.counters_zeroed.as_ref() == Some(token)).then(|| token.clone())
}

fn row(address: IpAddr, vip: &VipVerdict) -> VipRow {
    VipRow { address, director_group_name: vip.group.clone(), holder: vip.holder.clone() }
}

/// Every node has acknowledged the present revision, and none has found anything wrong with it.
fn programmed(name: &ServiceName, verdict: &Verdict, reports: &Reports) -> Judgement {
    if verdict.parts.is_empty() {
        return Judgement::no(verdict.accepted.reason, "No node has a part of this service.");
    }
    let mut troubles = troubles(name, verdict, reports);
    if let Some((node, trouble)) = troubles.next() {
        let more = troubles.take_while(|(other, _)| *other == node).map(|(_, more)| more.message.as_str());
        let all: Vec<&str> =
            std::iter::once(trouble.message.as_str()).chain(more).take(MOST_TROUBLES).collect();
        return Judgement::no(trouble.reason, format!("{node}: {}", all.join("; ")));
    }
    let waiting = verdict.parts.iter().filter(|(_, part)| !part.acknowledged);
    let (alive, dead): (Vec<_>, Vec<_>) = waiting.partition(|(_, part)| part.alive);
    let [alive, dead] =
        [alive, dead].map(|parts| parts.into_iter().map(|(node, _)| node).collect::<Vec<_>>());
    if !dead.is_empty() {
        let message = format!("Not ready, and the present revision is not acknowledged: {}.", some(&dead));
        return Judgement::no(Reason::NodeUnreachable, message);
    }
    if !alive.is_empty() {
        let message = format!("Waiting for the report of {}.", some(&alive));
        return Judgement::no(Reason::Pending, message);
    }
    Judgement::yes(
        Reason::Programmed,
        format!("{} nodes have acknowledged the present revision.", verdict.parts.len()),
    )
}

/// What nodes with a part of the service have found wrong, node by node.
fn troubles<'a>(
    name: &'a ServiceName,
    verdict: &'a Verdict,
    reports: &'a Reports,
) -> impl Iterator<Item = (&'a NodeName, &'a Trouble)> {
    let heard = verdict.parts.iter().filter(|(_, part)| part.heard);
    heard.flat_map(|(node, part)| {
        let report = reports.get(node);
        let whole = report.into_iter().flat_map(|report| &report.node.troubles);
        let whole = whole.filter(|trouble| !trouble.reason.is_of_group());
        let own = report.and_then(|report| report.services.get(name));
        let own = own.filter(|own| own.revision == part.revision).into_iter().flat_map(|own| &own.troubles);
        own.chain(whole).map(move |trouble| (node, trouble))
    })
}

/// Traffic flows: each VIP is held by a director that is alive, and a real server gets connections.
fn ready(name: &ServiceName, verdict: &Verdict, reports: &Reports) -> Judgement {
    if verdict.vips.is_empty() {
        return Judgement::no(
            verdict.accepted.reason,
            "Nothing is in force: the specification is not accepted.",
        );
    }
    for (address, vip) in &verdict.vips {
        if !held(name, verdict, reports, *address, vip) {
            let (reason, message) = vip.trouble.clone().unwrap_or_else(|| {
                (Reason::HolderPending, format!("No director has reported that it holds {address}."))
            });
            return Judgement::no(reason, message);
        }
    }
    let serving = |server: &&RealServerVerdict| server.stage == StageName::Serving && server.weight > 0;
    if verdict.real_servers.iter().any(|server| serving(&server)) {
        return Judgement::yes(Reason::Ready, "Every VIP is held and a real server is admitted.");
    }
    let why = match verdict.real_servers.first() {
        None => "No real server was found.".to_owned(),
        Some(first) if first.stage == StageName::Serving => "Every real server has weight 0.".to_owned(),
        Some(first) => format!("No real server is admitted; realServers[{}]: {}.", first.entry, first.reason),
    };
    Judgement::no(Reason::NoRealServer, why)
}

fn held(name: &ServiceName, verdict: &Verdict, reports: &Reports, address: IpAddr, vip: &VipVerdict) -> bool {
    let Some(holder) = &vip.holder else { return false };
    let counts = verdict.parts.get(holder).is_some_and(|part| part.alive && part.heard);
    let report = reports.get(holder).and_then(|report| report.services.get(name));
    counts && report.and_then(|report| report.vips.get(&address)).is_some_and(|vip| vip.held)
}

fn summary(verdict: &Verdict) -> Summary {
    let holders: BTreeSet<&NodeName> = verdict.vips.values().filter_map(|vip| vip.holder.as_ref()).collect();
    let staying = verdict.real_servers.iter().filter(|server| server.stage != StageName::Removed);
    let serving = verdict.real_servers.iter().filter(|server| server.stage == StageName::Serving);
    Summary {
        vips: join(verdict.vips.keys()),
        ports: match verdict.mark {
            Some(mark) => Mark(mark).to_string(),
            None => join(verdict.ports.iter().map(|port| format!("{}/{}", port.port, port.protocol))),
        },
        holders: join(holders),
        real_servers: format!("{}/{}", serving.count(), staying.count()),
    }
}

/// The rows in the order in which a troubled person reads.
fn real_servers(verdict: &Verdict) -> Vec<RealServerRow> {
    let mut servers: Vec<&RealServerVerdict> = verdict.real_servers.iter().collect();
    servers.sort_by_key(|server| (urgency(server.stage), *server));
    let rows = servers.into_iter().take(MOST_ROWS).map(|server| RealServerRow {
        name: server.entry.clone(),
        node_name: server.node.clone(),
        address: join(server.addresses.iter()),
        weight: server.weight,
        state: server.stage,
        reason: server.reason,
        since: server.since,
    });
    rows.collect()
}

fn urgency(stage: StageName) -> u8 {
    match stage {
        StageName::Pending => 0,
        StageName::Removed => 1,
        StageName::Quiesced => 2,
        StageName::Serving => 3,
    }
}
