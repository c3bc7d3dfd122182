//! The node under an agent's hands: the kernel that runs here, or one that is only supposed.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lvs_core::kernel::{Kernel, Op, Refusal};
use lvs_core::local::{Local, ProbeOutcome};
use lvs_core::names::LinkName;
use lvs_core::node_plan::NodePlan;
use lvs_core::time::Monotonic;

/// A node as one pass sees it. The kernel that runs here is [`super::live::Live`].
pub trait Host {
    /// The node's monotonic clock.
    fn now(&self) -> Monotonic;

    /// The kernel, and the local facts that a plan may need, without probes.
    ///
    /// # Errors
    /// Where the kernel cannot be read.
    fn observe(&mut self, plan: &NodePlan) -> anyhow::Result<(Kernel, Local)>;

    /// Does operations, in one batch; what is refused does not stop the others. Yields the place in `ops` of each that
    /// was refused.
    fn apply(&mut self, ops: &[Op]) -> Vec<(usize, Refusal)>;

    /// Asks on each VIP's link whether somebody else has it; takes 200 ms for all together.
    fn probe(&mut self, vips: &BTreeMap<IpAddr, LinkName>) -> BTreeMap<IpAddr, ProbeOutcome>;
}

/// A node that exists as values only: what `apply --dry-run` works on. Nobody answers its probes.
#[derive(Clone, Debug, Default)]
pub struct Supposed {
    /// Its kernel.
    pub kernel: Kernel,
    /// Its local facts.
    pub local: Local,
}

impl Host for Supposed {
    fn now(&self) -> Monotonic {
        Monotonic(0)
    }

    fn observe(&mut self, _plan: &NodePlan) -> anyhow::Result<(Kernel, Local)> {
        Ok((self.kernel.clone(), self.local.clone()))
    }

    fn apply(&mut self, ops: &[Op]) -> Vec<(usize, Refusal)> {
        let step = |(place, op)| self.kernel.step(op).err().map(|refusal| (place, refusal));
        ops.iter().enumerate().filter_map(step).collect()
    }

    fn probe(&mut self, vips: &BTreeMap<IpAddr, LinkName>) -> BTreeMap<IpAddr, ProbeOutcome> {
        vips.keys().map(|vip| (*vip, ProbeOutcome::Clean)).collect()
    }
}
