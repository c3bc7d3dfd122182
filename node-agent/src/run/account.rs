//! What a pass lets the node say of itself.

use lvs_core::kernel::Op;
use lvs_core::names::ServiceName;
use lvs_core::neighbour::TableWriter;
use lvs_core::node_plan::{NodePlan, PlannedService};
use lvs_core::node_report::{NodeReport, Trouble};
use lvs_core::reason::Reason;

use super::host::Host;
use super::look::View;
use super::pass::{Engine, Outcome};

impl<H: Host> Engine<H> {
    /// The report on the node as it was last seen.
    #[must_use]
    pub fn report(&self, plan: &NodePlan, outcome: &Outcome) -> NodeReport {
        let (view, outstanding) = (&self.view, &outcome.outstanding);
        let mut report = lvs_core::report::report(
            plan,
            &view.local,
            &view.wanted,
            &view.kernel,
            self.ledger.custody(),
            &view.holds,
            &outstanding.failures,
        );
        for op in &outstanding.undone {
            accuse(&mut report, plan, view, op);
        }
        report
    }

    /// Brings `report`, which was right before a pass, up to date.
    pub fn report_again(&self, report: &mut NodeReport, plan: &NodePlan, outcome: &Outcome) {
        let (view, outstanding) = (&self.view, &outcome.outstanding);
        let calm = outstanding.failures.is_empty() && outstanding.undone.is_empty();
        let updated =
            outcome.concerned.as_ref().filter(|_| calm && view.phases.is_empty()).is_some_and(|services| {
                let custody = self.ledger.custody();
                lvs_core::report::update(
                    report,
                    plan,
                    &view.wanted,
                    &view.kernel,
                    custody,
                    &view.holds,
                    services,
                )
            });
        if !updated {
            *report = self.report(plan, outcome);
        }
    }
}

/// Says of the services that an operation is for, else of the node, that somebody else keeps undoing it.
fn accuse(report: &mut NodeReport, plan: &NodePlan, view: &View, op: &Op) {
    let wanted = &view.wanted;
    let writer = op.virtual_server().and_then(|_| TableWriter::on(&view.local).into_iter().next());
    let likely = writer.map(|writer| format!(", likely {writer},")).unwrap_or_default();
    let message = format!(
        "somebody else{likely} keeps undoing this, which is therefore done more and more rarely: {op}"
    );
    let trouble = Trouble::new(Reason::ForeignChange, message);
    let owner = op.virtual_server().and_then(|key| wanted.owners.get(&key));
    let concerned = |name: &ServiceName, part: &PlannedService| match owner {
        Some(owner) => owner == name,
        None => op.vip().is_some_and(|vip| part.vips.contains_key(&vip)),
    };
    let mut of_node = true;
    for (name, _) in plan.services.iter().filter(|(name, part)| concerned(name, part)) {
        if let Some(service) = report.services.get_mut(name) {
            service.troubles.insert(trouble.clone());
            of_node = false;
        }
    }
    if of_node {
        report.node.troubles.insert(trouble);
    }
}
