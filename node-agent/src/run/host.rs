//! The node under an agent's hands: the kernel that runs here, or one that is only supposed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lvs_core::ipvs::VirtualServerKey;
use lvs_core::kernel::{AddressKey, Kernel, Op, Refusal};
use lvs_core::local::{Local, ProbeOutcome};
use lvs_core::names::LinkName;
use lvs_core::network::Prefix;
use lvs_core::node_plan::NodePlan;
use lvs_core::time::Monotonic;

/// What of a node is looked at.
#[derive(Clone, Copy, Debug)]
pub enum Attention<'a> {
    /// All of it: nothing is known yet, or nothing that can be relied on.
    Everything,
    /// All of it but destinations; of these those of the named virtual servers, of those that look touched, and of a
    /// share of the others that comes round within a minute.
    Audit(&'a BTreeSet<VirtualServerKey>),
    /// These virtual servers and nothing else.
    Servers(&'a BTreeSet<VirtualServerKey>),
}

/// What a look has shown.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// The local facts without probes; absent where only virtual servers were looked at.
    pub local: Option<Local>,
    /// Whether anything in the kernel but virtual servers is other than it was.
    pub network_changed: bool,
    /// The virtual servers that are other than they were.
    pub servers_changed: BTreeSet<VirtualServerKey>,
}

/// A node as one pass sees it. The kernel that runs here is [`super::live::Live`].
pub trait Host {
    /// The node's monotonic clock.
    fn now(&self) -> Monotonic;

    /// Takes note of what a plan needs to be known: the paths to its real servers, and whether it needs IPVS.
    fn prepare(&mut self, _plan: &NodePlan) {}

    /// Whether packet rules are looked at from now on: some are wanted or ours.
    fn look_at_packet_rules(&mut self, _needed: bool) {}

    /// Looks, and brings `have`, what was seen before, up to date.
    ///
    /// # Errors
    /// Where the kernel cannot be read; then `have` is not to be relied on.
    fn observe(&mut self, attention: Attention<'_>, have: &mut Kernel) -> anyhow::Result<Sight>;

    /// Does operations, in one batch; what is refused does not stop the others. Yields the place in `ops` of each that
    /// was refused.
    fn apply(&mut self, ops: &[Op]) -> Vec<(usize, Refusal)>;

    /// Asks on each VIP's link whether somebody else has it; takes 200 ms for all together.
    fn probe(&mut self, vips: &BTreeMap<IpAddr, LinkName>) -> BTreeMap<IpAddr, ProbeOutcome>;

    /// Tells each VIP's link that this node has it. That is no state and cannot fail in a way that matters: it is
    /// repeated anyway.
    fn announce(&mut self, vips: &BTreeMap<IpAddr, LinkName>);
}

impl Sight {
    /// What differs between two states of a kernel.
    #[must_use]
    pub fn between(before: &Kernel, now: &Kernel) -> Self {
        let network = |kernel: &Kernel| Kernel { virtual_servers: BTreeMap::new(), ..kernel.clone() };
        let (old, new) = (&before.virtual_servers, &now.virtual_servers);
        let keys = old.keys().chain(new.keys()).filter(|key| old.get(key) != new.get(key));
        Self {
            local: None,
            network_changed: network(before) != network(now),
            servers_changed: keys.copied().collect(),
        }
    }
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

    fn observe(&mut self, _attention: Attention<'_>, have: &mut Kernel) -> anyhow::Result<Sight> {
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
        let before = std::mem::replace(have, self.kernel.clone());
        Ok(Sight { local: Some(local), ..Sight::between(&before, have) })
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
