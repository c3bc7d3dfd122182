//! The director of the notes' recipe: its plan, and a host that stands as a supposed one but can misbehave.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lvs_core::kernel::{Kernel, Op, Refusal};
use lvs_core::local::{Local, ProbeOutcome};
use lvs_core::names::LinkName;
use lvs_core::node_plan::NodePlan;
use lvs_core::time::Monotonic;

use crate::run::host::{Attention, Host, Sight, Supposed};
use crate::verbs::written;

const PLAN: &str = r"
epoch: 3
lineage: test
complete: true
settings: {}
services:
  default/web:
    uid: uid-web
    revision: 1-00000000000000aa
    requires: [DirectRouting]
    vips:
      192.168.10.40: {accept: true, attract: true, forward: true, group: edge, pool: public}
    form:
      ports: [TCP 80]
      scheduler: rr
      persistence: {timeoutSeconds: 20, ipv4PrefixLength: 32, ipv6PrefixLength: 128}
      realServers:
        node/rs-1:
          entry: a
          node: rs-1
          addresses: [192.168.10.10]
          weight: 1
          stage: {name: Serving}
          admitted: [192.168.10.40]
        node/rs-2:
          entry: b
          node: rs-2
          addresses: [192.168.10.11]
          weight: 1
          stage: {name: Serving}
          admitted: [192.168.10.40]
";

/// The plan of the director that holds 192.168.10.40.
pub(super) fn plan() -> NodePlan {
    serde_saphyr::from_str(PLAN).unwrap()
}

/// A node on which nothing is set up, without probes made.
pub(super) fn local() -> Local {
    let text = include_str!("../../../../deploy/examples/lvs-notes/director-1.local.yaml");
    let mut local: Local = serde_saphyr::from_str(text).unwrap();
    local.probes.clear();
    local
}

/// A node that can refuse, answer probes, and let time pass.
pub(super) struct Director {
    pub(super) node: Supposed,
    pub(super) now: Monotonic,
    /// Operations that are refused.
    pub(super) refused: BTreeMap<Op, Refusal>,
    /// Whether its kernel refuses to be read.
    pub(super) unreadable: bool,
    /// What a probe of any VIP finds.
    pub(super) probed: ProbeOutcome,
    /// Operations that somebody else undoes as soon as they are done: each is removed again.
    pub(super) undone: BTreeSet<Op>,
    /// Every operation that reached the kernel.
    pub(super) applied: Vec<Op>,
    /// Every announcement.
    pub(super) announced: Vec<(Monotonic, IpAddr)>,
}

impl Director {
    pub(super) fn new() -> Self {
        let local = local();
        let kernel = written::empty(&local);
        Self {
            node: Supposed { kernel, local },
            now: Monotonic(1000),
            refused: BTreeMap::new(),
            unreadable: false,
            probed: ProbeOutcome::Clean,
            undone: BTreeSet::new(),
            applied: Vec::new(),
            announced: Vec::new(),
        }
    }
}

impl Host for Director {
    fn now(&self) -> Monotonic {
        self.now
    }

    fn observe(&mut self, attention: Attention<'_>, have: &mut Kernel) -> anyhow::Result<Sight> {
        anyhow::ensure!(!self.unreadable, "Operation not permitted");
        let before = have.clone();
        let local = self.node.observe(attention, have)?.local;
        // An audit lists virtual servers; destinations it reads of those that are named, new or of other settings.
        if let Attention::Audit(named) = attention {
            for (key, server) in &mut have.virtual_servers {
                let seen = before.virtual_servers.get(key).filter(|seen| seen.settings == server.settings);
                if let Some(seen) = seen.filter(|_| !named.contains(key)) {
                    server.clone_from(seen);
                }
            }
        }
        Ok(Sight { local, ..Sight::between(&before, have) })
    }

    fn apply(&mut self, ops: &[Op]) -> Vec<(usize, Refusal)> {
        self.applied.extend(ops);
        let mut refusals = Vec::new();
        for (place, op) in ops.iter().enumerate() {
            let refusal = self.refused.get(op).copied().or_else(|| self.node.kernel.step(op).err());
            refusals.extend(refusal.map(|refusal| (place, refusal)));
            if let (true, Op::AddVirtualServer(key, _)) = (self.undone.contains(op), op) {
                self.node.kernel.virtual_servers.remove(key);
            }
        }
        refusals
    }

    fn probe(&mut self, vips: &BTreeMap<IpAddr, LinkName>) -> BTreeMap<IpAddr, ProbeOutcome> {
        vips.keys().map(|vip| (*vip, self.probed.clone())).collect()
    }

    fn announce(&mut self, vips: &BTreeMap<IpAddr, LinkName>) {
        self.announced.extend(vips.keys().map(|vip| (self.now, *vip)));
    }
}
