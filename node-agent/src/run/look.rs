//! Looking: from what is known to have changed to what is wanted and left to do, at the cost of the change.
//!
//! What was seen before is kept. A look concludes everything anew where the plan, the node's own facts or the time may
//! have changed it; else only for the virtual servers that are other than they were.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lvs_core::diff::{diff, diff_servers};
use lvs_core::ipvs::VirtualServerKey;
use lvs_core::kernel::Kernel;
use lvs_core::local::Local;
use lvs_core::names::ServiceName;
use lvs_core::neighbour::Flush;
use lvs_core::node_plan::NodePlan;
use lvs_core::render::{Before, other_forms, render};
use lvs_core::time::Monotonic;
use lvs_core::wanted::{Hold, Phase, Scope, Wanted};

use super::host::{Attention, Host, Sight};
use super::pass::{Engine, PassError};

/// What is, what is wanted, and what is left to do.
#[derive(Debug, Default)]
pub struct View {
    /// The kernel.
    pub kernel: Kernel,
    /// The local facts.
    pub local: Local,
    /// The kernel as it should be.
    pub wanted: Wanted,
    /// What is left to do.
    pub phases: Vec<Phase>,
    /// What is held.
    pub holds: Vec<Hold>,
    /// When to look again, as far as the plan's own timing goes.
    pub due: Option<Monotonic>,
}

/// What is known to have changed since the last look.
#[derive(Clone, Debug, Default)]
pub enum News {
    /// Whatever it is, all is to be looked at.
    #[default]
    Everything,
    /// The plan, in more than some services' parts.
    Plan,
    /// The parts of these services; as they were before.
    Forms(Before),
    /// Nothing: it is time to look.
    Audit,
    /// What was just done: to these virtual servers.
    Done {
        /// The virtual servers.
        servers: BTreeSet<VirtualServerKey>,
        /// Whether anything else was done too.
        network: bool,
    },
}

impl News {
    /// Both this and what came later.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        match (self, later) {
            (Self::Audit, other) | (other, Self::Audit) => other,
            (Self::Forms(mut before), Self::Forms(later)) => {
                for (name, part) in later {
                    before.entry(name).or_insert(part);
                }
                Self::Forms(before)
            }
            (Self::Everything, _) | (_, Self::Everything) => Self::Everything,
            _ => Self::Plan,
        }
    }
}

impl<H: Host> Engine<H> {
    /// Looks at everything.
    ///
    /// # Errors
    /// [`PassError::Observe`].
    pub fn look(&mut self, plan: &NodePlan) -> Result<&View, PassError> {
        self.look_for(plan, &News::Everything)?;
        Ok(&self.view)
    }

    /// Sees what is, and concludes what is wanted and left to do. Whether it concluded everything anew.
    pub(super) fn look_for(&mut self, plan: &NodePlan, news: &News) -> Result<bool, PassError> {
        let mut whole = !self.has_view || matches!(news, News::Everything | News::Plan);
        let mut servers = BTreeSet::new();
        let mut table_only = false;
        match news {
            _ if whole => self.prepare(plan),
            News::Forms(before) => {
                let keys = other_forms(plan, &self.view.local, before, &mut self.view.wanted);
                if let Some(keys) = keys {
                    (servers, table_only) = (keys, true);
                } else {
                    self.prepare(plan);
                    whole = true;
                }
                self.concern(before.keys());
            }
            News::Done { servers: done, network } => {
                servers.clone_from(done);
                table_only = !network;
            }
            _ => {}
        }
        let attention = match news {
            News::Everything => Attention::Everything,
            _ if !self.has_view => Attention::Everything,
            _ if table_only => Attention::Servers(&servers),
            _ => Attention::Audit(&servers),
        };
        let looked_at_packet_rules = self.needs_packet_rules();
        self.host.look_at_packet_rules(looked_at_packet_rules);
        let before = self.view.kernel.virtual_servers.len();
        // Should it fail, what was seen before is not to be relied on.
        self.has_view = false;
        let sight = self.host.observe(attention, &mut self.view.kernel).map_err(PassError::Observe)?;
        self.has_view = true;
        self.see_flush(&sight, before);
        let whole = self.see(&sight) || whole || self.is_due();
        servers.extend(&sight.servers_changed);
        if !whole && self.conclude_for(servers) {
            return Ok(false);
        }
        self.conclude(plan);
        if self.needs_packet_rules() && !looked_at_packet_rules {
            return self.look_for(plan, &News::Everything);
        }
        Ok(true)
    }

    /// Whether any packet rules are wanted or ours.
    fn needs_packet_rules(&self) -> bool {
        !self.view.wanted.packet_rules.is_empty() || self.ledger.custody().holds_packet_rules()
    }

    fn prepare(&mut self, plan: &NodePlan) {
        self.host.prepare(plan);
        let vips = plan.services.values().flat_map(|part| &part.vips);
        let attracted: BTreeSet<IpAddr> = vips.filter(|(_, vip)| vip.attract).map(|(vip, _)| *vip).collect();
        // A probe says nothing of a time after which somebody else was to have the VIP.
        self.probes.retain(|vip, _| attracted.contains(vip));
    }

    /// Takes note of it where somebody has emptied the table.
    fn see_flush(&mut self, sight: &Sight, before: usize) {
        let (changed, custody, now) = (&sight.servers_changed, self.ledger.custody(), self.host.now());
        let flush = Flush::seen(changed, before, &self.view.kernel, custody, now, self.flush);
        self.flush = flush.or(self.flush);
    }

    /// Takes in the local facts. Whether anything that more than virtual servers follow from has changed.
    fn see(&mut self, sight: &Sight) -> bool {
        let Some(local) = &sight.local else { return false };
        let mut local = local.clone();
        local.ours = self.ledger.custody().addresses();
        local.flush = self.flush;
        local.probes.extend(self.probes.iter().map(|(vip, probe)| (*vip, probe.clone())));
        let changed = sight.network_changed || local != self.view.local;
        self.view.local = local;
        changed
    }

    /// Whether the plan's own timing, or an operation that waits for its next try, asks for everything.
    fn is_due(&self) -> bool {
        let due = [self.view.due, self.outstanding.due].into_iter().flatten().min();
        due.is_some_and(|due| due <= self.host.now())
    }

    fn conclude(&mut self, plan: &NodePlan) {
        let view = &mut self.view;
        (view.wanted, view.due) = render(plan, &view.local, self.host.now());
        let custody = self.ledger.custody();
        (view.phases, view.holds) = diff(&view.wanted, &view.kernel, custody, &Scope::Everything);
    }

    /// Concludes what follows from these virtual servers alone. Whether nothing else does.
    fn conclude_for(&mut self, servers: BTreeSet<VirtualServerKey>) -> bool {
        let view = &mut self.view;
        view.phases.clear();
        if servers.is_empty() {
            return true;
        }
        let concerned = servers.iter().filter_map(|key| view.wanted.owners.get(key)).cloned();
        self.concerned.extend(concerned);
        let custody = self.ledger.custody();
        let phases = diff_servers(&view.wanted, &view.kernel, custody, servers, &view.holds);
        let alone = phases.is_some();
        view.phases = phases.unwrap_or_default();
        alone
    }

    fn concern<'a>(&mut self, services: impl Iterator<Item = &'a ServiceName>) {
        self.concerned.extend(services.cloned());
    }
}
