//! The node under an agent's hands: the kernel that runs here, or one that is only supposed.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lvs_core::kernel::{AddressKey, Kernel, Op, Refusal};
use lvs_core::local::{Local, ProbeOutcome};
use lvs_core::names::LinkName;
use lvs_core::network::Prefix;
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

    /// Tells each VIP's link that this node has it. That is no state and cannot fail in a way that matters: it is
    /// repeated anyway.
    fn announce(&mut self, vips: &BTreeMap<IpAddr, LinkName>);
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
        let mut local = self.local.clone();
        for (name, link) in &mut local.links {
            // What was done to the kernel shows in the facts; a prefix that is written in the facts only stays there.
            let there = |prefix: &Prefix| {
                let key = AddressKey { link: *name, address: prefix.address, prefix_length: prefix.length };
                !key.is_host() || self.kernel.addresses.contains_key(&key)
            };
            link.addresses.retain(there);
            let added = self.kernel.addresses.keys().filter(|key| key.link == *name);
            link.addresses
                .extend(added.map(|key| Prefix { address: key.address, length: key.prefix_length }));
        }
        Ok((self.kernel.clone(), local))
    }

    fn apply(&mut self, ops: &[Op]) -> Vec<(usize, Refusal)> {
        let step = |(place, op)| self.kernel.step(op).err().map(|refusal| (place, refusal));
        ops.iter().enumerate().filter_map(step).collect()
    }

    fn probe(&mut self, vips: &BTreeMap<IpAddr, LinkName>) -> BTreeMap<IpAddr, ProbeOutcome> {
        vips.keys().map(|vip| (*vip, ProbeOutcome::Clean)).collect()
    }

    fn announce(&mut self, _vips: &BTreeMap<IpAddr, LinkName>) {}
}
