//! The status of a DirectorGroup.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, ConditionKind, Reports, Stamp, join, some};
use crate::names::NodeName;
use crate::node_report::NO_IPVS;
use crate::reason::Reason;
use crate::time::Time;
use crate::verdict::{DirectorVerdict, GroupVerdict, Judgement, SettingConflict};

/// What a user reads of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupStatus {
    /// The generation that was judged.
    pub observed_generation: i64,
    /// `Accepted`, `ResolvedRefs`, `Programmed` (node-wide settings are in force) and `Ready` (a director is at work).
    pub conditions: Vec<Condition>,
    /// Short texts for the columns of `kubectl get`.
    #[serde(default)]
    pub summary: GroupSummary,
    /// The directors.
    pub directors: Vec<DirectorRow>,
    /// VIPs of deleted services that have not left every node.
    pub leaving: Vec<LeavingRow>,
}

/// Short texts for columns, which show only strings well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupSummary {
    /// Directors at work, of all: `1/2`.
    pub directors: String,
    /// The VIPs that they hold, with commas between them.
    pub vips: String,
}

/// A director in a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DirectorRow {
    /// Its node.
    pub node_name: NodeName,
    /// Whether it can be counted on.
    pub state: DirectorState,
    /// The VIPs that it holds, or is to hold.
    #[schemars(schema_with = "crate::ipvs::address_list_schema")]
    pub vips: Vec<IpAddr>,
}

/// Whether a director can be counted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DirectorState {
    /// Its node is ready and its agent has reported.
    Ready,
    /// Its agent has never reported.
    Silent,
    /// Its node is not ready.
    NotReady,
}

/// A VIP of a deleted service that has not left every node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeavingRow {
    /// The namespace of the service.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The VIP.
    #[schemars(schema_with = "crate::names::address_schema")]
    pub vip: IpAddr,
    /// Since when it leaves.
    pub since: Time,
    /// The nodes that have not acknowledged.
    pub waiting_for: Vec<NodeName>,
}

/// The status of a group.
#[must_use]
pub fn group(
    verdict: &GroupVerdict,
    reports: &Reports,
    previous: Option<&GroupStatus>,
    now: Time,
) -> GroupStatus {
    let generation = verdict.generation;
    let stamp = Stamp { generation, previous: previous.map_or(&[], |status| &status.conditions), now };
    let directors: Vec<DirectorRow> =
        verdict.directors.iter().map(|(node, director)| director_row(node, director, reports)).collect();
    let conditions = vec![
        stamp.judged(ConditionKind::Accepted, verdict.accepted.clone()),
        stamp.judged(ConditionKind::ResolvedRefs, verdict.resolved.clone()),
        stamp.judged(ConditionKind::Programmed, programmed(verdict, reports)),
        stamp.judged(ConditionKind::Ready, ready(verdict, &directors)),
    ];
    GroupStatus {
        observed_generation: generation,
        conditions,
        summary: summary(&directors),
        directors,
        leaving: leaving(verdict, previous, now),
    }
}

fn director_row(node: &NodeName, director: &DirectorVerdict, reports: &Reports) -> DirectorRow {
    let state = match (director.alive, reports.contains_key(node)) {
        (false, _) => DirectorState::NotReady,
        (true, false) => DirectorState::Silent,
        (true, true) => DirectorState::Ready,
    };
    DirectorRow { node_name: node.clone(), state, vips: director.vips.iter().copied().collect() }
}

fn summary(directors: &[DirectorRow]) -> GroupSummary {
    let at_work = directors.iter().filter(|row| row.state == DirectorState::Ready).count();
    GroupSummary {
        directors: format!("{at_work}/{}", directors.len()),
        vips: join(directors.iter().flat_map(|row| &row.vips)),
    }
}

fn programmed(verdict: &GroupVerdict, reports: &Reports) -> Judgement {
    if let Some((node, SettingConflict { group, setting })) = verdict.setting_conflicts.iter().next() {
        let message = format!(
            "{node}: DirectorGroup {group} is older and sets {setting} otherwise, which counts for the whole node."
        );
        return Judgement::no(Reason::NodeSettingConflict, message);
    }
    let heard = verdict.directors.keys().filter_map(|node| Some((node, reports.get(node)?)));
    for (node, report) in heard {
        if let Some(trouble) = report.node.troubles.first() {
            return Judgement::no(trouble.reason, format!("{node}: {}", trouble.message));
        }
        if !report.node.ipvs {
            return Judgement::no(Reason::IpvsMissing, format!("{node}: {NO_IPVS}"));
        }
    }
    Judgement::yes(Reason::Programmed, "The group's node-wide settings are in force.")
}

fn ready(verdict: &GroupVerdict, directors: &[DirectorRow]) -> Judgement {
    let in_state = |state| directors.iter().filter(move |row| row.state == state).map(|row| &row.node_name);
    if in_state(DirectorState::Ready).next().is_some() {
        return Judgement::yes(Reason::Ready, "A director is at work.");
    }
    if directors.is_empty() {
        return Judgement::no(verdict.resolved.reason, "The group has no director.");
    }
    let message = format!(
        "No director is at work; not ready: {}; without a report: {}.",
        some(&in_state(DirectorState::NotReady).collect::<Vec<_>>()),
        some(&in_state(DirectorState::Silent).collect::<Vec<_>>())
    );
    Judgement::no(Reason::NodeUnreachable, message)
}

fn leaving(verdict: &GroupVerdict, previous: Option<&GroupStatus>, now: Time) -> Vec<LeavingRow> {
    let rows = verdict.leaving.iter().map(|departure| {
        let (namespace, name) = (&departure.service.namespace, &departure.service.name);
        let before = previous
            .into_iter()
            .flat_map(|status| &status.leaving)
            .find(|row| row.namespace == *namespace && row.name == *name && row.vip == departure.vip);
        LeavingRow {
            namespace: namespace.clone(),
            name: name.clone(),
            vip: departure.vip,
            since: before.map_or(now, |row| row.since),
            waiting_for: departure.waiting_for.iter().cloned().collect(),
        }
    });
    rows.collect()
}
