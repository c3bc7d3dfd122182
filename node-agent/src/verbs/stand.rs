//! How a node stands, as values: read from it, or from files.

use lvs_core::custody::Custody;
use lvs_core::kernel::Kernel;
use lvs_core::local::Local;
use lvs_core::names::NodeName;
use lvs_core::node_plan::NodePlan;

use super::written;
use crate::arguments::{Stand, StateFolders};
use crate::custody::Subject;
use crate::local::api_servers::Known;
use crate::run::host::{Attention, Host as _, Supposed};
use crate::run::ledger::Ledger;
use crate::run::live::{Live, Purpose};
use crate::run::pass::Engine;

/// A node at one moment.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Standing {
    /// Its kernel.
    pub kernel: Kernel,
    /// Its local facts.
    pub local: Local,
    /// What of it is ours.
    pub custody: Custody,
}

impl Standing {
    /// What the files say, where the user names any; else this node as it is, with the paths that `plan` needs.
    ///
    /// # Errors
    /// Where a file or the kernel cannot be read.
    pub fn of(
        stand: &Stand,
        folders: &StateFolders,
        node: &NodeName,
        plan: &NodePlan,
    ) -> anyhow::Result<Self> {
        match (&stand.kernel, &stand.local) {
            (Some(kernel), Some(local)) => {
                let local = written::local(local)?;
                let kernel = written::kernel(kernel, &local)?;
                let custody = stand.custody.as_deref().map(written::custody).transpose()?.unwrap_or_default();
                Ok(Self { kernel, local, custody })
            }
            _ => Self::here(folders, node, plan),
        }
    }

    /// This node as it is.
    ///
    /// # Errors
    /// Where the kernel or the custody journal cannot be read.
    pub fn here(folders: &StateFolders, node: &NodeName, plan: &NodePlan) -> anyhow::Result<Self> {
        let lasting = crate::local::lasting(node)?;
        let custody = crate::custody::read(&folders.custody(), &Subject::here(&lasting.boot_id)?)?;
        let mut live = Live::open(lasting, Known::default(), Purpose::Look)?;
        live.prepare(plan);
        live.look_at_packet_rules(custody.holds_packet_rules());
        let mut kernel = Kernel::default();
        let sight = live.observe(Attention::Everything, &mut kernel)?;
        let local = Local { ours: custody.addresses(), ..sight.local.unwrap_or_default() };
        Ok(Self { kernel, local, custody })
    }

    /// The node that a file of local facts is about.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn written_node(stand: &Stand) -> anyhow::Result<Option<NodeName>> {
        let local = stand.local.as_deref().map(written::local).transpose()?;
        Ok(local.map(|local| local.node))
    }

    /// An engine that works on these values and changes nothing else.
    #[must_use]
    pub fn engine(self) -> Engine<Supposed> {
        let Self { kernel, local, custody } = self;
        Engine::new(Supposed { kernel, local }, Ledger::supposed(custody))
    }
}
