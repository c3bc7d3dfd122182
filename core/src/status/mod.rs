//! `status`: what a user reads of a service or a group, made of the verdict and the nodes' reports.

mod group;
mod service;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use group::{DirectorRow, DirectorState, GroupStatus, GroupSummary, LeavingRow, group};
pub use service::{RealServerRow, ServiceStatus, Summary, VipRow, service};

use crate::names::NodeName;
use crate::node_report::NodeReport;
use crate::reason::Reason;
use crate::time::Time;
use crate::verdict::Judgement;

/// The agents' reports.
pub type Reports = BTreeMap<NodeName, NodeReport>;

/// A condition, as the Kubernetes API conventions shape it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which condition it is.
    #[serde(rename = "type")]
    pub kind: ConditionKind,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, in one word.
    pub reason: Reason,
    /// Why, in a sentence that names the object and the cause.
    #[schemars(length(max = 32768))]
    pub message: String,
    /// The generation that was judged.
    #[schemars(range(min = 0))]
    pub observed_generation: i64,
    /// When the status last changed.
    pub last_transition_time: Time,
}

/// The conditions; all are positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConditionKind {
    /// The specification is in force.
    Accepted,
    /// Every reference was found.
    ResolvedRefs,
    /// Every node has acknowledged the present revision.
    Programmed,
    /// A proof says that traffic takes the way that it should.
    Proved,
    /// Traffic flows.
    Ready,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Nobody knows.
    Unknown,
}

impl fmt::Display for ConditionKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self:?}")
    }
}

impl fmt::Display for ConditionStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self:?}")
    }
}

/// Conditions in the making: what is the same for all of an object's.
struct Stamp<'a> {
    generation: i64,
    previous: &'a [Condition],
    now: Time,
}

impl Stamp<'_> {
    fn judged(&self, kind: ConditionKind, judgement: Judgement) -> Condition {
        let status = if judgement.holds { ConditionStatus::True } else { ConditionStatus::False };
        self.condition(kind, status, judgement.reason, judgement.message)
    }

    /// The time of transition stays where the status has stayed.
    fn condition(
        &self,
        kind: ConditionKind,
        status: ConditionStatus,
        reason: Reason,
        message: String,
    ) -> Condition {
        let before =
            self.previous.iter().find(|condition| condition.kind == kind && condition.status == status);
        let last_transition_time = before.map_or(self.now, |condition| condition.last_transition_time);
        Condition {
            kind,
            status,
            reason,
            message: fitting(message),
            observed_generation: self.generation,
            last_transition_time,
        }
    }
}

/// The longest message of a condition, in characters, as the Kubernetes API conventions have it.
const LONGEST_MESSAGE: usize = 32768;

/// A message that the API server takes; one too long loses its end.
fn fitting(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(LONGEST_MESSAGE) {
        message.truncate(end);
    }
    message
}

/// The first names of many, and how many more there are.
fn some<T: fmt::Display>(items: &[T]) -> String {
    const MOST: usize = 8;
    match items.len().saturating_sub(MOST) {
        0 => join(items),
        more => format!("{} and {more} more", join(&items[..MOST])),
    }
}

/// Texts with commas between them.
fn join<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(",")
}
