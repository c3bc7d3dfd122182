//! What changed in a service's conditions, as events.

use lvs_core::names::ServiceName;
use lvs_core::reason::Reason;
use lvs_core::status::{Condition, ConditionKind, ConditionStatus};
use lvs_core::time::Monotonic;

use crate::change::ServiceStatusChange;
use crate::pace::Pace;

/// A service that changes all the time makes so many events at once, and then one per period in milliseconds.
const BURST: u64 = 12;
const PERIOD: u64 = 10_000;

/// A condition that has come to hold, or no longer does, or does not for another reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transition<'a> {
    /// The condition as it is now.
    pub(crate) condition: &'a Condition,
    /// Whether something is wrong now.
    pub(crate) warning: bool,
}

/// The events that may be published.
#[derive(Debug)]
pub(crate) struct Events {
    pace: Pace<ServiceName>,
}

impl Events {
    /// None published yet.
    pub(crate) fn new() -> Self {
        Self { pace: Pace::new(BURST, PERIOD) }
    }

    /// The transitions in a change, as many of them as the pace allows.
    pub(crate) fn due<'a>(&mut self, change: &'a ServiceStatusChange, now: Monotonic) -> Vec<Transition<'a>> {
        let mut transitions = transitions(change);
        transitions.retain(|_| self.pace.take(change.name.clone(), now).is_ok());
        transitions
    }
}

/// Whether nothing is wrong and it is only not done yet: so it is at every edit, and otherwise at the start only.
fn is_on_its_way(reason: Reason, held_before: bool) -> bool {
    match reason {
        Reason::Pending | Reason::HolderMoving => true,
        Reason::HolderPending | Reason::NoRealServer => !held_before,
        _ => false,
    }
}

/// Conditions whose status or reason is another one. Of a new object those that are unknown are left out.
fn transitions(change: &ServiceStatusChange) -> Vec<Transition<'_>> {
    let mut transitions = Vec::new();
    for condition in &change.status.conditions {
        let before = change
            .before
            .as_ref()
            .and_then(|status| status.conditions.iter().find(|before| before.kind == condition.kind));
        let same = before
            .is_some_and(|before| before.status == condition.status && before.reason == condition.reason);
        let nothing_yet = before.is_none() && condition.status == ConditionStatus::Unknown;
        if !same && !nothing_yet && !repeats(change, condition) {
            let held = before.is_some_and(|before| before.status == ConditionStatus::True);
            let warning =
                condition.status == ConditionStatus::False && !is_on_its_way(condition.reason, held);
            transitions.push(Transition { condition, warning });
        }
    }
    transitions
}

/// Whether a condition does not hold for no other reason than that the specification is not accepted, which `Accepted`
/// says with the cause.
fn repeats(change: &ServiceStatusChange, condition: &Condition) -> bool {
    let conditions = &change.status.conditions;
    let accepted = conditions.iter().find(|condition| condition.kind == ConditionKind::Accepted);
    condition.kind != ConditionKind::Accepted
        && condition.status == ConditionStatus::False
        && accepted.is_some_and(|accepted| {
            accepted.status == ConditionStatus::False && accepted.reason == condition.reason
        })
}

#[cfg(test)]
mod tests {
    use lvs_core::status::{ServiceStatus, Summary};
    use lvs_core::time::Time;

    use super::*;

    fn status(reason: Reason, holds: ConditionStatus) -> ServiceStatus {
        let condition = |kind, status, reason| Condition {
            kind,
            status,
            reason,
            message: String::new(),
            observed_generation: 1,
            last_transition_time: Time(0),
        };
        ServiceStatus {
            counters_zeroed: None,
            observed_generation: 1,
            conditions: vec![
                condition(ConditionKind::Programmed, holds, reason),
                condition(ConditionKind::Proved, ConditionStatus::Unknown, Reason::ProofsAbsent),
            ],
            summary: Summary::default(),
            vips: Vec::new(),
            real_servers: Vec::new(),
        }
    }

    fn change(before: Option<ServiceStatus>, status: ServiceStatus) -> ServiceStatusChange {
        ServiceStatusChange { name: ServiceName::new("shop", "web"), uid: String::new(), before, status }
    }

    #[test]
    fn each_transition_is_an_event_and_an_unchanged_condition_is_none() {
        let pending = status(Reason::Pending, ConditionStatus::False);
        let done = status(Reason::Programmed, ConditionStatus::True);
        let mut events = Events::new();
        let now = Monotonic(0);
        let new = change(None, pending.clone());
        let found = events.due(&new, now);
        assert_eq!(found.len(), 1);
        assert!(!found[0].warning, "a start is no trouble");
        assert!(events.due(&change(Some(pending.clone()), pending.clone()), now).is_empty());
        let better = change(Some(pending.clone()), done);
        assert_eq!(events.due(&better, now).iter().map(|event| event.warning).collect::<Vec<_>>(), [false]);
        // Still not programmed, and for another reason.
        let other = change(Some(pending), status(Reason::IpvsMissing, ConditionStatus::False));
        assert_eq!(events.due(&other, now).iter().map(|event| event.warning).collect::<Vec<_>>(), [true]);
    }

    #[test]
    fn one_cause_is_one_event() {
        let mut refused = status(Reason::InvalidSpec, ConditionStatus::False);
        let mut accepted = refused.conditions[0].clone();
        accepted.kind = ConditionKind::Accepted;
        refused.conditions.insert(0, accepted);
        let change = change(None, refused);
        let found = transitions(&change);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].condition.kind, ConditionKind::Accepted);
    }

    #[test]
    fn a_service_that_never_rests_is_not_heard_all_the_time() {
        let pending = status(Reason::Pending, ConditionStatus::False);
        let mut events = Events::new();
        let change = change(None, pending);
        let heard = (0..100).filter(|_| !events.due(&change, Monotonic(0)).is_empty()).count();
        assert_eq!(heard, usize::try_from(BURST).unwrap());
    }
}
