//! Which plans an agent believes: never one of a lower epoch than it has seen of the same lineage.

use serde::{Deserialize, Serialize};

use crate::node_plan::NodePlan;
use crate::node_report::Trouble;
use crate::reason::Reason;

/// How many lineages are remembered. A lineage ends with its NodePlan, so an old one comes back only where a data
/// base was restored, and a node sees few of them in its life.
const REMEMBERED: usize = 16;

/// The highest epoch seen of each lineage, the lineage of the latest plan last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SeenEpochs(Vec<SeenEpoch>);

/// The highest epoch seen of one lineage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SeenEpoch {
    lineage: String,
    epoch: u64,
}

impl SeenEpochs {
    /// Takes note of a plan's epoch.
    ///
    /// # Errors
    /// `StalePlan` where a higher epoch of the plan's lineage was seen: the plan comes from an operator that has lost
    /// its lease, and must not be followed. Then nothing is noted.
    pub fn admit(&mut self, plan: &NodePlan) -> Result<(), Trouble> {
        let seen = self.0.iter().position(|seen| seen.lineage == plan.lineage);
        if let Some(seen) = seen.map(|at| &self.0[at]).filter(|seen| plan.epoch < seen.epoch) {
            return Err(Trouble::new(
                Reason::StalePlan,
                format!(
                    "the plan has epoch {}, and epoch {} was seen before: the plan followed so far stays in force \
                     until the present leader writes",
                    plan.epoch, seen.epoch
                ),
            ));
        }
        if let Some(at) = seen {
            self.0.remove(at);
        } else if self.0.len() >= REMEMBERED {
            self.0.remove(0);
        }
        self.0.push(SeenEpoch { lineage: plan.lineage.clone(), epoch: plan.epoch });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_epoch_of_the_same_lineage_is_refused_and_leaves_no_trace() {
        let mut seen = SeenEpochs::default();
        for epoch in [3, 3, 5] {
            assert_eq!(seen.admit(&NodePlan::empty(epoch, "a")), Ok(()));
        }
        let before = seen.clone();
        let refused = seen.admit(&NodePlan::empty(4, "a")).unwrap_err();
        assert_eq!(refused.reason, Reason::StalePlan);
        assert!(refused.message.contains("epoch 4") && refused.message.contains("epoch 5"), "{refused:?}");
        assert_eq!(seen, before);
    }

    #[test]
    fn epochs_of_two_lineages_do_not_compare() {
        let mut seen = SeenEpochs::default();
        assert_eq!(seen.admit(&NodePlan::empty(9, "a")), Ok(()));
        assert_eq!(seen.admit(&NodePlan::empty(1, "b")), Ok(()));
        assert!(seen.admit(&NodePlan::empty(8, "a")).is_err());
    }

    #[test]
    fn of_many_lineages_the_latest_are_remembered() {
        let mut seen = SeenEpochs::default();
        for number in 0..40 {
            assert_eq!(seen.admit(&NodePlan::empty(7, &format!("lineage {number}"))), Ok(()));
        }
        assert_eq!(seen.0.len(), REMEMBERED);
        assert!(seen.admit(&NodePlan::empty(6, "lineage 39")).is_err());
        assert!(seen.admit(&NodePlan::empty(6, "lineage 24")).is_err());
        assert_eq!(seen.admit(&NodePlan::empty(6, "lineage 23")), Ok(()));
    }
}
